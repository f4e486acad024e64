//! The client's core, in virtual time and with homes that a test plays.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

mod crash;
mod healing;
mod hostile;
mod story;
mod world;
