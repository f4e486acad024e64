//! A Griot node.
//!
//! ```text
//!  clients ── local daemon API (api/) ──┐                        ┌── libp2p swarm (network/)
//!                                       ▼                        ▼
//!                       Handle ──▶ Driver (runtime/) ──▶ Relay (relay/, sans-IO) ──▶ Store (store/, trait)
//! ```
//!
//! Begin with [`relay`]: all decisions are made there, by a state machine without IO, clock or threads. [`store`] is
//! where records become durable. [`runtime`] is the loop that feeds the relay and carries out what it says; [`network`]
//! and [`api`] are the two doors to the world.

// The helpers of the tests in `tests/` name this crate as they see it, and tests inside use them too.
#[cfg(test)]
extern crate self as griot_node;

pub mod api;
pub mod cli;
pub mod config;
pub mod identity;
pub mod metrics;
pub mod network;
pub mod relay;
pub mod runtime;
pub mod store;
