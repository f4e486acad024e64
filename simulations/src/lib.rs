//! Tools for finding out what real Griot nodes do: load, live processes, and virtual time.
//!
//! - [`world`] runs thousands of real nodes in one thread, in virtual time, from one seed: it takes a
//!   [`plan`](plan::Plan) and gives a [`recording`](plan::Recording);
//! - [`live`] starts real `griotd` and `griot` processes on loopback, kills them, and watches what they say;
//! - [`load`] measures a node: durable accepts per second, latency, submit → push over two nodes.

pub mod live;
pub mod load;
pub mod plan;
pub mod world;
