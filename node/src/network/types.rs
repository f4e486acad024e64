//! What the swarm task is told and what it tells.

use bytes::Bytes;
use griot_protocol::{NodeId, RecordId, Shard, api::Reachability};
use libp2p::Multiaddr;
use tokio::sync::oneshot;

use crate::{
    relay::{ExchangeId, GossipId, InboundId, Verdict},
    store::RememberedPeer,
};

/// What the swarm is told to do.
#[derive(Debug)]
pub enum Command {
    /// Publish to a shard's topic (its mesh, or, where the shard is not carried, known subscribers).
    Publish {
        /// The shard.
        shard: Shard,
        /// The record.
        id: RecordId,
        /// Its frame.
        frame: Bytes,
    },
    /// Judge a gossip message.
    Judge {
        /// Who handed it over.
        peer: NodeId,
        /// The message.
        message: GossipId,
        /// What it was worth.
        verdict: Verdict,
    },
    /// Ask a peer on `/griot/sync/1`.
    Ask {
        /// Whom.
        peer: NodeId,
        /// Given back in [`Event::Answered`].
        exchange: ExchangeId,
        /// The request.
        request: Bytes,
    },
    /// Answer a peer on `/griot/sync/1`.
    Answer {
        /// Which request.
        inbound: InboundId,
        /// The response.
        response: Bytes,
    },
    /// Carry exactly these shards: subscribe to them and announce them as kad provider records.
    Carry {
        /// In order.
        shards: Vec<Shard>,
    },
    /// Find peers that carry a shard, dial those that are not connected (unless discovery is off), and report
    /// [`Event::Carriers`].
    FindCarriers {
        /// The shard.
        shard: Shard,
    },
    /// Disconnect a peer and do not dial it for a while.
    Disconnect {
        /// Whom.
        peer: NodeId,
        /// Why, for the log.
        reason: &'static str,
    },
    /// What is known about peers.
    Peers {
        /// The answer.
        answer: oneshot::Sender<Vec<griot_protocol::api::PeerInfo>>,
    },
    /// Close all connections and end.
    Shutdown,
}

/// What the swarm tells.
#[derive(Debug)]
pub enum Event {
    /// A new full address (with `/p2p/…`) that this node listens on, not through a relay.
    Listening {
        /// The address.
        address: Multiaddr,
    },
    /// An address is no longer listened on.
    NotListening {
        /// The address.
        address: Multiaddr,
    },
    /// How others reach this node, as far as it knows: told when it changes.
    Reachability {
        /// In a word.
        reachability: Reachability,
        /// Full addresses through relays.
        circuits: Vec<Multiaddr>,
        /// Whether this node relays for others.
        relays: bool,
    },
    /// First connection to a peer that speaks for the same network.
    PeerUp {
        /// The peer.
        peer: NodeId,
    },
    /// A peer answered a ping.
    RoundTrip {
        /// The peer.
        peer: NodeId,
        /// Milliseconds that it took.
        ms: u64,
    },
    /// Its last connection is gone.
    PeerDown {
        /// The peer.
        peer: NodeId,
    },
    /// A gossip message that waits to be judged.
    Gossiped {
        /// Who handed it over.
        peer: NodeId,
        /// The message.
        message: GossipId,
        /// The shard on whose topic it came. Whether the record belongs there is the relay's to judge.
        shard: Shard,
        /// The frame.
        frame: Bytes,
    },
    /// A publication found no mesh peer.
    Unheard {
        /// The record.
        id: RecordId,
    },
    /// A peer asks.
    Asked {
        /// Who.
        peer: NodeId,
        /// To be given back.
        inbound: InboundId,
        /// The request.
        request: Bytes,
    },
    /// A peer answered, or the exchange failed.
    Answered {
        /// Who.
        peer: NodeId,
        /// Which.
        exchange: ExchangeId,
        /// The response, if there is one.
        response: Option<Bytes>,
    },
    /// Who carries a shard.
    Carriers {
        /// The shard.
        shard: Shard,
        /// Connected, or being dialled.
        peers: Vec<NodeId>,
    },
    /// A connected peer of this network name announces other `bits` or `postage_bits`: worth a warning in status.
    ParamsDiffer {
        /// The peer.
        peer: NodeId,
        /// What differs, in words.
        detail: String,
    },
    /// Peers worth dialling after a restart, replacing those told before: for
    /// [`Store::remember_peers`](crate::store::Store::remember_peers).
    Remember {
        /// All of them.
        peers: Vec<RememberedPeer>,
    },
}
