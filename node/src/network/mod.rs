//! The libp2p side of a node: who is connected, gossip, and request–response, without any decision about records.
//!
//! The swarm task takes [`Command`]s and gives [`Event`]s, both over bounded channels. It never waits for the relay:
//! what does not fit a channel is dropped and counted, because gossip is a hint and sync brings what it lost.

mod types;

pub use types::*;
