//! Reaching those whom nobody can dial, and learning whether one is such a node: the behaviours for it, as one.
//!
//! - **Relaying** (circuit relay v2, both sides): a node behind NAT reserves a place at a peer, and others reach it through
//!   that. The relay passes on bytes that it cannot read: what goes through is encrypted (Noise) between the two ends.
//! - **Testing** (AutoNAT v2, both sides): a node asks peers to dial it, and learns which of its addresses others reach.
//! - **Upgrading** (DCUtR): two nodes that met through a relay dial each other at the same moment, and where their NATs
//!   permit it they need the relay no more.
//!
//! A node relays only where it is known that somebody can dial it, and never through a relay itself. [`Relays`] decides
//! at whom to reserve; this is only what is spoken.
//!
//! [`Relays`]: super::relays::Relays

#![allow(missing_docs, reason = "the derive leaves the variants of PartsEvent undocumented")]

mod boxed;
mod dial_backs;

use std::{
    collections::BTreeSet,
    num::NonZeroU32,
    task::{Context, Poll},
    time::Duration,
};

use libp2p::{
    Multiaddr, PeerId, autonat,
    core::{Endpoint, transport::PortUse},
    dcutr, relay,
    swarm::{
        ConnectionDenied, ConnectionId, ExternalAddrExpired, FromSwarm, NetworkBehaviour, NewExternalAddrCandidate,
        THandler, THandlerInEvent, THandlerOutEvent, ToSwarm,
        behaviour::{ExternalAddrConfirmed, toggle::Toggle},
    },
};
use rand::{SeedableRng, rngs::StdRng};

use self::{boxed::Boxed, dial_backs::DialBacks};
use super::{
    address::{is_relayed, scope},
    config::{Nat, NetworkError},
    relays::CIRCUITS_PER_RELAY_MAX,
};
use crate::identity::Identity;

/// How often addresses that others have seen of this node are tested, if any are new. Each test costs up to 100 KB, which
/// the asker sends so that nobody makes a node dial a stranger for nothing; a test that no peer can make is tried again.
pub(super) const PROBE_INTERVAL: Duration = Duration::from_secs(15);

/// Addresses tested at a time: TCP and QUIC, over IPv4 and IPv6.
const PROBES_AT_ONCE: usize = 4;

/// Different addresses of this node that peers may claim to have seen. Honest ones tell of a few.
const CANDIDATES_MAX: usize = 32;

/// Nodes that may be reached through this one at a time: half of the inbound connections that it allows. A place costs a
/// few hundred bytes as long as nobody comes.
const RESERVATIONS_MAX: usize = 128;

/// Places for one peer, over several connections.
const RESERVATIONS_PER_PEER_MAX: usize = 4;

/// How long a place is held unless it is asked for again, which libp2p does after three quarters of it.
const RESERVATION_LIFE: Duration = Duration::from_secs(3600);

/// Connections relayed at a time, for all. Each has two buffers of 8 KiB here, and what Yamux has under way.
const CIRCUITS_MAX: usize = 64;

/// Connections relayed at a time that one peer is an end of: as many as a node wants peers, and as many again for those
/// that look for it.
const CIRCUITS_PER_PEER_MAX: usize = 16;

/// How long one connection may be relayed. Gossip and sync keep a connection for as long as it stands, so the libp2p
/// default of two minutes would be nothing but reconnecting; an end every other hour costs one sync, and sees to it that
/// a place at a busy relay goes round.
const CIRCUIT_LIFE: Duration = Duration::from_secs(2 * 3600);

/// Bytes that one relayed connection may carry, both ways together. The libp2p default of 128 KiB does not let a single
/// frame of sync through (1 MiB). This carries the whole mail of a small community; a larger one needs a few connections
/// in a row, since sync goes on where it was.
const CIRCUIT_BYTES_MAX: u64 = 256 * 1024 * 1024;

/// Reservations and relayed connections that one peer may ask for in a burst, and how long one takes to be allowed again.
/// Together with the bytes above it bounds what one peer can have carried to 7.5 GiB an hour, 2 MiB a second.
const PER_PEER: (NonZeroU32, Duration) = (NonZeroU32::new(30).unwrap(), Duration::from_secs(120));

/// The same for one IP address: a community behind one NAT has one.
const PER_IP: (NonZeroU32, Duration) = (NonZeroU32::new(120).unwrap(), Duration::from_secs(30));

/// The protocols. See the module.
#[derive(NetworkBehaviour)]
#[behaviour(prelude = "libp2p::swarm::derive_prelude")]
pub struct Parts {
    pub(super) server: Toggle<relay::Behaviour>,
    pub(super) client: Toggle<relay::client::Behaviour>,
    pub(super) probes: autonat::v2::client::Behaviour,
    pub(super) dial_backs: Toggle<DialBacks>,
    pub(super) upgrades: Toggle<dcutr::Behaviour>,
}

/// See the module.
pub struct Reach {
    parts: Parts,
    /// Addresses of this node that peers claim to have seen.
    candidates: BTreeSet<Multiaddr>,
    /// Addresses under which others reach it, and those of them that it tells as a relay.
    own: BTreeSet<Multiaddr>,
    told: BTreeSet<Multiaddr>,
}

impl Reach {
    /// `client` belongs to the transport, and is there where relays are used. `dials_back`: whether to dial peers that ask
    /// to be tested.
    pub(super) fn new(
        nat: Nat,
        identity: &Identity,
        client: Option<relay::client::Behaviour>,
        dials_back: bool,
    ) -> Result<Self, NetworkError> {
        let me = identity.peer_id();
        let probes = autonat::v2::client::Config::default()
            .with_probe_interval(PROBE_INTERVAL)
            .with_max_candidates(PROBES_AT_ONCE);
        let parts = Parts {
            server: nat.relay_for_others.then(|| relay::Behaviour::new(me, limits())).into(),
            upgrades: client.is_some().then(|| dcutr::Behaviour::new(me)).into(),
            client: client.into(),
            probes: autonat::v2::client::Behaviour::new(random()?, probes),
            dial_backs: dials_back.then(random).transpose()?.map(DialBacks::new).into(),
        };
        Ok(Self { parts, candidates: BTreeSet::new(), own: BTreeSet::new(), told: BTreeSet::new() })
    }

    /// Whether it is worth a test that somebody claims to have seen this node there.
    fn is_candidate(&mut self, address: &Multiaddr) -> bool {
        if self.candidates.contains(address) {
            return true;
        }
        let good = scope(address).is_some() && !is_relayed(address) && self.candidates.len() < CANDIDATES_MAX;
        good && self.candidates.insert(address.clone())
    }

    /// Lets the relay know where others reach it: libp2p's begins to relay with the first such address, takes one through
    /// another relay for as good as any, and tells all to everyone who reserves. So it learns of the few that reach
    /// furthest.
    fn tell_relay(&mut self) {
        let Some(server) = self.parts.server.as_mut() else { return };
        let mut own: Vec<_> = self.own.iter().collect();
        own.sort_by_key(|address| std::cmp::Reverse(scope(address)));
        let tell: BTreeSet<_> = own.into_iter().take(CIRCUITS_PER_RELAY_MAX).cloned().collect();
        for addr in tell.difference(&self.told) {
            server.on_swarm_event(FromSwarm::ExternalAddrConfirmed(ExternalAddrConfirmed { addr }));
        }
        for addr in self.told.difference(&tell) {
            server.on_swarm_event(FromSwarm::ExternalAddrExpired(ExternalAddrExpired { addr }));
        }
        self.told = tell;
    }
}

fn limits() -> relay::Config {
    let config = relay::Config {
        max_reservations: RESERVATIONS_MAX,
        max_reservations_per_peer: RESERVATIONS_PER_PEER_MAX,
        reservation_duration: RESERVATION_LIFE,
        reservation_rate_limiters: Vec::new(),
        max_circuits: CIRCUITS_MAX,
        max_circuits_per_peer: CIRCUITS_PER_PEER_MAX,
        max_circuit_duration: CIRCUIT_LIFE,
        max_circuit_bytes: CIRCUIT_BYTES_MAX,
        circuit_src_rate_limiters: Vec::new(),
    };
    config
        .reservation_rate_per_peer(PER_PEER.0, PER_PEER.1)
        .reservation_rate_per_ip(PER_IP.0, PER_IP.1)
        .circuit_src_per_peer(PER_PEER.0, PER_PEER.1)
        .circuit_src_per_ip(PER_IP.0, PER_IP.1)
}

fn random() -> Result<StdRng, NetworkError> {
    let mut seed = [0; 32];
    getrandom::fill(&mut seed).map_err(|error| NetworkError::Setup { what: "randomness", why: error.to_string() })?;
    Ok(StdRng::from_seed(seed))
}

impl NetworkBehaviour for Reach {
    type ConnectionHandler = Boxed<THandler<Parts>>;
    type ToSwarm = PartsEvent;

    fn handle_pending_inbound_connection(
        &mut self,
        id: ConnectionId,
        local: &Multiaddr,
        remote: &Multiaddr,
    ) -> Result<(), ConnectionDenied> {
        self.parts.handle_pending_inbound_connection(id, local, remote)
    }

    fn handle_established_inbound_connection(
        &mut self,
        id: ConnectionId,
        peer: PeerId,
        local: &Multiaddr,
        remote: &Multiaddr,
    ) -> Result<THandler<Self>, ConnectionDenied> {
        self.parts.handle_established_inbound_connection(id, peer, local, remote).map(Boxed::new)
    }

    fn handle_pending_outbound_connection(
        &mut self,
        id: ConnectionId,
        peer: Option<PeerId>,
        addresses: &[Multiaddr],
        role: Endpoint,
    ) -> Result<Vec<Multiaddr>, ConnectionDenied> {
        self.parts.handle_pending_outbound_connection(id, peer, addresses, role)
    }

    fn handle_established_outbound_connection(
        &mut self,
        id: ConnectionId,
        peer: PeerId,
        address: &Multiaddr,
        role: Endpoint,
        port: PortUse,
    ) -> Result<THandler<Self>, ConnectionDenied> {
        self.parts.handle_established_outbound_connection(id, peer, address, role, port).map(Boxed::new)
    }

    fn on_swarm_event(&mut self, event: FromSwarm<'_>) {
        match event {
            FromSwarm::NewExternalAddrCandidate(NewExternalAddrCandidate { addr }) if !self.is_candidate(addr) => {}
            FromSwarm::ExternalAddrConfirmed(ExternalAddrConfirmed { addr }) => {
                if !is_relayed(addr) {
                    self.own.insert(addr.clone());
                    self.tell_relay();
                }
            }
            FromSwarm::ExternalAddrExpired(ExternalAddrExpired { addr }) => {
                if self.own.remove(addr) {
                    self.tell_relay();
                }
            }
            event => self.parts.on_swarm_event(event),
        }
    }

    fn on_connection_handler_event(&mut self, peer: PeerId, id: ConnectionId, event: THandlerOutEvent<Self>) {
        self.parts.on_connection_handler_event(peer, id, event);
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<ToSwarm<Self::ToSwarm, THandlerInEvent<Self>>> {
        self.parts.poll(cx)
    }
}
