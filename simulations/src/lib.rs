//! Tools for finding out what real Griot nodes do: load, live processes, and scenarios in virtual time.
//!
//! - [`world`] runs thousands of real nodes in one thread, in virtual time, from one seed: it takes a
//!   [`plan`](plan::Plan) and gives a [`recording`](plan::Recording);
//! - [`live`] starts real `griotd` and `griot` processes on loopback, kills them, and watches what they say;
//! - [`load`] measures a node: durable accepts per second, latency, submit → push over two nodes;
//! - a [`scenario`] and a seed become a [`plan`]: [`topology`], people and what they write ([`workload`]), and what goes
//!   wrong ([`faults`]), all drawn from one seed ([`random`]);
//! - what came of a run is counted and written down by [`outcome`], drawn by [`report`], repeated over seeds by [`sweep`];
//! - [`truth`] holds the world against real nodes and against what others have published,
//! - [`trace_diff`] finds where two runs part that should be the same,
//! - [`explain`] tells one message's way, [`shrink`] makes a failing plan small, [`cli`] is the command line of it all.

pub mod allocator;
pub mod cli;
pub mod explain;
pub mod faults;
pub mod live;
pub mod load;
pub mod outcome;
pub mod plan;
pub mod random;
pub mod report;
pub mod scenario;
pub mod shrink;
pub mod sweep;
pub mod topology;
pub mod trace_diff;
pub mod truth;
pub mod workload;
pub mod world;
