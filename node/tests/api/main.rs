//! A node's API: over HTTP, in streams, with TLS, and from inside the process.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

mod daemon;
mod inside;
mod report;
mod requests;
mod stream;
mod tls;
