//! Speaking to one home node.
//!
//! A home is a node that the account trusts to keep its mail, and no further: it is reached by a [`HomeUrl`], and
//! everything it answers is bounded in size and time and believed only where it proves itself.
//!
//! ```text
//!  Target ──dial──▶ Socket (Unix, TCP or TLS) ──▶ Connection  one kept-alive HTTP/1.1 connection, typed calls
//!  (URL, token,                                └▶ HomeStream  the same API's WebSocket: envelopes as they come
//!   TLS settings)
//!  HomeClient = a few Connections to one Target; turns the core's Work into Outcomes
//! ```
//!
//! [`Connection`] is also what a load generator uses: one for each request in flight.

mod calls;
mod client;
mod connection;
mod dial;
mod error;
mod problem;
mod stream;
mod tls;
mod url;

pub use calls::Page;
pub use client::HomeClient;
pub use connection::Connection;
pub use dial::{Patience, Socket, Target};
pub use error::HomeError;
pub use stream::{HomeStream, StreamItem};
pub use tls::{Fingerprint, FingerprintError};
pub use url::{HomeUrl, UrlError};
