//! The network side of a node, on loopback and in real time.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::disallowed_methods,
    reason = "a test fails by panicking, and runs in real time"
)]

mod connect;
mod gossip;
mod net;
mod reconnect;
mod relay;
