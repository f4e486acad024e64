//! What an operator may choose about the network.

use std::{io, time::Duration};

use griot_protocol::NetworkParams;
use libp2p::{Multiaddr, PeerId};

/// The port a node listens on unless told otherwise.
pub const PORT_DEFAULT: u16 = 7701;

/// Back-off to a peer never exceeds this unless told otherwise: after an outage ends, nobody waits long.
pub const RECONNECT_DELAY_MAX: Duration = Duration::from_secs(15);

/// Peers that a node wants to be connected to unless told otherwise: a mesh of eight survives the loss of most of them
/// and costs a small machine nothing.
pub const PEERS_WANTED: usize = 8;

/// How the network side of a node is set up. [`NetworkConfig::new`] gives the defaults.
#[derive(Clone, Debug)]
pub struct NetworkConfig {
    /// The network.
    pub params: NetworkParams,
    /// Where to listen. Empty: port 7701 over TCP and QUIC, on all IPv4 and (where the machine has it) IPv6 addresses.
    pub listen: Vec<Multiaddr>,
    /// Peers to stay connected to, with or without `/p2p/…`.
    pub peers: Vec<Multiaddr>,
    /// Addresses under which others reach this node, where it cannot know them itself (a port forwarding, a name).
    pub announce: Vec<Multiaddr>,
    /// Whether to dial anyone but [`peers`](Self::peers). Without it there is no mDNS and no kad, and remembered
    /// peers are left alone; whoever dials this node is still let in.
    pub discovery: bool,
    /// Whether to look for nodes in the local network. Needs [`discovery`](Self::discovery).
    pub mdns: bool,
    /// Only these peers may connect. Empty: all.
    pub allow: Vec<PeerId>,
    /// These peers may not.
    pub block: Vec<PeerId>,
    /// What to do about address translation (NAT) and firewalls. `None`: nothing; such addresses and tests are unknown to
    /// the node then, as in the simulator, where everyone can be dialled who is meant to be.
    pub nat: Option<Nat>,
    /// How many peers discovery should bring.
    pub peers_wanted: usize,
    /// The longest back-off.
    pub reconnect_delay_max: Duration,
    /// Limits on connections.
    pub limits: ConnectionLimits,
}

/// What a node does for those that nobody can dial, and what it does when it is one of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Nat {
    /// Whether to relay between others, once it has been seen that somebody can dial this node.
    pub relay_for_others: bool,
    /// Whether to be reached, and to reach others, through relays.
    pub use_relays: bool,
}

/// Limits on connections: they bound memory and file descriptors, and how much of a node one crowd can take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ConnectionLimits {
    /// Inbound handshakes at a time.
    pub pending_in: u32,
    /// Outbound handshakes at a time.
    pub pending_out: u32,
    /// Inbound connections.
    pub established_in: u32,
    /// Outbound connections. Apart from inbound ones, so that a crowd from outside cannot cut the node off.
    pub established_out: u32,
    /// Connections with one peer: both sides may dial at once, and over two transports.
    pub per_peer: u32,
}

impl Default for ConnectionLimits {
    fn default() -> Self {
        Self { pending_in: 64, pending_out: 64, established_in: 256, established_out: 128, per_peer: 4 }
    }
}

impl NetworkConfig {
    /// The defaults for a network.
    #[must_use]
    pub fn new(params: NetworkParams) -> Self {
        Self {
            params,
            listen: Vec::new(),
            peers: Vec::new(),
            announce: Vec::new(),
            discovery: true,
            mdns: true,
            allow: Vec::new(),
            block: Vec::new(),
            nat: Some(Nat { relay_for_others: true, use_relays: true }),
            peers_wanted: PEERS_WANTED,
            reconnect_delay_max: RECONNECT_DELAY_MAX,
            limits: ConnectionLimits::default(),
        }
    }
}

/// Why the network side of a node did not start.
#[derive(Debug, thiserror::Error)]
pub enum NetworkError {
    /// An address cannot be listened on.
    #[error("cannot listen on {address}: {source}; {cure}")]
    Listen {
        /// The address.
        address: Multiaddr,
        /// The system's answer.
        source: io::Error,
        /// What to do.
        cure: &'static str,
    },
    /// A `--peer` address that cannot be dialled.
    #[error(
        "cannot dial peer {address}: give an address such as /ip4/192.0.2.1/tcp/7701 or /dns/node.example/tcp/7701, with or without /p2p/…; through a relay, both the relay's /p2p/… and the peer's are needed: \
         /ip4/192.0.2.1/tcp/7701/p2p/RELAY/p2p-circuit/p2p/PEER"
    )]
    Peer {
        /// The address.
        address: Multiaddr,
    },
    /// A part of libp2p refused its configuration.
    #[error("{what}: {why}")]
    Setup {
        /// Which part.
        what: &'static str,
        /// Its words.
        why: String,
    },
}
