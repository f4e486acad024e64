//! The relay: every decision that a node makes about records, as a state machine without IO.
//!
//! One function, [`Relay::handle`], takes the time and an [`Input`] and returns [`Output`]s. It never asks for the
//! time, draws unseeded randomness, blocks, or iterates over a `HashMap`; the simulator runs exactly this code. It
//! reads the [`Store`](crate::store::Store) directly (reading decides nothing) and writes through
//! [`Output::Persist`]; nothing is answered, announced or forwarded as held before [`Input::Persisted`] came back.
//!
//! The way of a record:
//!
//! ```text
//! Submitted / Gossiped / Synced
//!   └▶ admission (cheapest first: length, header, times, shard, seen, postage, rate)
//!        └▶ Output::Verify ─▶ Input::Verified
//!             └▶ custody class and quota ─▶ Output::Persist ─▶ Input::Persisted
//!                  └▶ Respond · Publish · Delivered (streams) · MakeReceipt
//! ```

pub mod sync;
mod types;

pub use types::*;
