//! Speaking to one home node.
//!
//! A home is a node that the account trusts to keep its mail, and no further: it is reached by a [`HomeUrl`], and
//! everything it answers is bounded in size and time and believed only where it proves itself.
//!
//! ```text
//!  Target ──dial──▶ Socket (Unix, TCP or TLS) ──▶ Connection  one kept-alive HTTP/1.1 connection, typed calls
//!  (URL, token,                                └▶ HomeStream  the same API's WebSocket: envelopes as they come
//!   TLS settings)
//!  HomeClient = a few Connections to one Target: what a home can be asked (HomeCalls), and one way to Reach it
//! ```
//!
//! [`Connection`] is also what a load generator uses: one for each request in flight.

mod calls;
mod client;
mod connection;
mod dial;
mod error;
mod problem;
mod reach;
mod stream;
mod tls;
mod url;

pub use calls::Page;
pub use client::HomeClient;
pub use connection::Connection;
pub use dial::{Patience, Socket, Target};
pub use error::HomeError;
pub use reach::{Answer, HomeCalls, HomeNews, OverHttp, Reach};
pub use stream::{HomeStream, StreamItem};
pub use tls::{Fingerprint, FingerprintError};
pub use url::{HomeUrl, UrlError};
