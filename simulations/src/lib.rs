//! Tools for finding out what real Griot nodes do: load, live processes, and (with its own issue) virtual time.
//!
//! - [`live`] starts real `griotd` and `griot` processes on loopback, kills them, and watches what they say;
//! - [`load`] measures a node: durable accepts per second, latency, submit → push over two nodes.

pub mod live;
pub mod load;
