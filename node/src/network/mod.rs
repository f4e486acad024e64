//! The libp2p side of a node: who is connected, gossip, and request–response, without any decision about records.
//!
//! The swarm task takes [`Command`]s and gives [`Event`]s, both over bounded channels. It never waits for the relay:
//! what does not fit a channel is dropped and counted, because gossip is a hint and sync brings what it lost.
//!
//! ```text
//!            Command ─▶ ┌───────────── task ─────────────┐ ─▶ Event
//!                       │ peers   who is here, and ours? │
//!                       │ reconnect   whom to dial, when │   sans-IO
//!                       │ relays   where others reach us │
//!                       └───────────────┬────────────────┘
//!                                  Swarm<Behaviour>          gossipsub · sync · identify · ping · kad · mDNS · relay, AutoNAT, DCUtR
//!                                  Transport                 TCP + Noise + Yamux, QUIC, relayed; the simulator brings its own
//! ```
//!
//! A peer counts only once *identify* has shown that it is of the same network: then comes [`Event::PeerUp`], and what
//! it sent in the meantime. The loop in `task` is generic over the transport, so that the simulator drives
//! the very same code.

mod address;
mod behaviour;
mod codec;
mod config;
mod doors;
mod gossip;
mod metrics;
mod names;
mod offer;
mod reach;
mod reconnect;
mod relays;
mod swarm;
mod task;
mod topics;
mod transport;
mod types;
mod woken;

pub use behaviour::{Aside, AsideEvent, Behaviour, BehaviourEvent, Protocols, ProtocolsEvent};
pub use codec::SYNC_MESSAGE_BYTES_MAX;
pub use config::{ConnectionLimits, Nat, NetworkConfig, NetworkError, PEERS_WANTED, PORT_DEFAULT, RECONNECT_DELAY_MAX};
pub use gossip::{GOSSIP_BYTES_MAX, MESH_PEERS, MESH_PEERS_HIGH, MESH_PEERS_LOW};
pub use metrics::NetworkMetrics;
pub use swarm::{COMMANDS_MAX, build, start, swarm_config};
pub use task::{Setup, run};
pub use topics::CARRIED_SHARDS_MAX;
pub use types::*;
