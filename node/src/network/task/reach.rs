//! How others reach this node: what the swarm tells of it, and what [`Relays`] decides.
//!
//! [`Relays`]: super::super::relays::Relays

use griot_protocol::api::Reachability;
use libp2p::{
    Multiaddr, PeerId, autonat,
    core::{ConnectedPoint, transport::ListenerId},
    metrics::Recorder,
    multiaddr::Protocol,
    relay,
};

use super::{
    super::{
        Event,
        address::{is_relayed, scope},
        reach::PartsEvent,
        relays::Reserve,
    },
    OTHER_NETWORK_MS, Task,
};

/// What was last told of how others reach this node.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Told {
    reachability: Reachability,
    circuits: Vec<Multiaddr>,
    relays: bool,
}

impl Task {
    pub(super) fn on_reach_event(&mut self, event: PartsEvent) {
        match event {
            PartsEvent::Server(event) => {
                if let Some(libp2p) = &self.metrics.libp2p {
                    libp2p.record(&event);
                }
                tracing::debug!(?event, "relaying for others");
            }
            PartsEvent::Client(relay::client::Event::ReservationReqAccepted { relay_peer_id, renewal, .. }) => {
                if !renewal {
                    tracing::info!(relay = %relay_peer_id, "others reach this node through a relay");
                }
            }
            PartsEvent::Client(event) => tracing::debug!(?event, "relayed"),
            PartsEvent::Probes(autonat::v2::client::Event { tested_addr, server, result, .. }) => {
                match result {
                    Ok(()) => tracing::info!(address = %tested_addr, by = %server, "others reach this node"),
                    Err(error) => {
                        tracing::info!(address = %tested_addr, by = %server, %error, "an address cannot be reached");
                        self.relays.failed(&tested_addr);
                    }
                }
                self.settle_reach();
            }
            PartsEvent::DialBacks(event) => tracing::debug!(?event, "tested whether a peer can be reached"),
            PartsEvent::Upgrades(event) => {
                if let Some(libp2p) = &self.metrics.libp2p {
                    libp2p.record(&event);
                }
                let peer = event.remote_peer_id;
                match event.result {
                    Ok(_) => tracing::info!(%peer, "connected directly to a peer that was met through a relay"),
                    Err(error) => tracing::debug!(%peer, %error, "no direct connection to a peer met through a relay"),
                }
            }
        }
    }

    /// A new address is listened on: this node's own, or one at a relay.
    pub(super) fn on_listening(&mut self, listener: ListenerId, address: Multiaddr) {
        let Some(ticket) = self.ticket(listener) else {
            self.listens.insert(address.clone());
            self.relays.listens(self.listens.len());
            let address = self.full(address);
            tracing::info!(%address, "listening");
            self.outbox.fact(Event::Listening { address });
            return self.settle_reach();
        };
        let (circuit, now) = (self.full(address), self.now_ms());
        if !self.relays.held(ticket, circuit, now)
            && let Some(relay) = self.relays.relay_of(ticket)
        {
            tracing::warn!(%relay, "parting from a relay that tells of too many addresses");
            self.part(relay, now + OTHER_NETWORK_MS, "as a relay it tells of too many addresses");
        }
        self.settle_reach();
    }

    /// An address is listened on no more. Where this machine has lost one it may be in another network by now: only what
    /// the operator vouches for still holds.
    pub(super) fn on_not_listening(&mut self, address: Multiaddr) {
        if is_relayed(&address) {
            return;
        }
        self.listens.remove(&address);
        self.relays.listens(self.listens.len());
        let now = self.now_ms();
        for doubtful in self.relays.moved(&self.config.announce, now) {
            self.swarm.remove_external_address(&doubtful);
        }
        let address = self.full(address);
        self.outbox.fact(Event::NotListening { address });
        self.settle_reach();
    }

    /// Whether the listener was at a relay, whose reservation has ended with it.
    pub(super) fn on_reservation_ended(&mut self, listener: ListenerId) -> bool {
        let Some(ticket) = self.ticket(listener) else { return false };
        self.reservations.retain(|(known, _)| *known != listener);
        tracing::debug!(relay = ?self.relays.relay_of(ticket), "a reservation ended or was refused");
        let now = self.now_ms();
        self.relays.ended(ticket, now);
        self.settle_reach();
        true
    }

    /// Others reach this node under this address, as a test has shown.
    pub(super) fn on_confirmed_address(&mut self, address: Multiaddr) {
        if !is_relayed(&address) {
            self.relays.confirmed(address);
            self.settle_reach();
        }
    }

    /// Somebody has dialled this node, which shows that its address can be dialled from where that peer is. Not if the two
    /// have met through a relay: then both dialled at the same moment, and NATs let nobody in who comes alone.
    pub(super) fn on_dialled_by(&mut self, peer: &PeerId, endpoint: &ConnectedPoint) {
        let ConnectedPoint::Listener { local_addr, send_back_addr } = endpoint else { return };
        let met_elsewhere = self.peers.get(peer).is_some_and(|peer| peer.connections.iter().any(|known| known.relayed));
        if self.config.nat.is_none() || endpoint.is_relayed() || met_elsewhere {
            return;
        }
        let Some(from) = scope(send_back_addr) else { return };
        let reached: Vec<_> = match scope(local_addr) {
            Some(here) if here == from => vec![local_addr.clone()],
            Some(_) => Vec::new(),
            // QUIC does not say which of all addresses it was, only the port.
            None => {
                let here = |address: &&Multiaddr| {
                    scope(address) == Some(from) && address.iter().skip(1).eq(local_addr.iter().skip(1))
                };
                self.listens.iter().filter(here).cloned().collect()
            }
        };
        for address in reached {
            if self.relays.confirmed(address.clone()) {
                tracing::info!(%address, by = %peer, "others reach this node");
                self.swarm.add_external_address(address);
            }
        }
        self.settle_reach();
    }

    /// What a peer says of whether it relays, and where it is reached.
    pub(super) fn on_relay_offer(&mut self, peer: PeerId, relays: bool, addresses: &[Multiaddr]) {
        // Whoever is itself reached through a relay only cannot relay.
        let is_direct = self.peers.is_up(&peer) && self.peers.get(&peer).is_some_and(|peer| !peer.is_relayed());
        // The one that reaches furthest; the first among those, which is known to work.
        let direct = addresses.iter().rev().filter(|address| !is_relayed(address));
        let address = direct.max_by_key(|address| scope(address));
        match address {
            Some(address) if relays && is_direct => {
                let (configured, now) = (self.reconnect.is_configured(&peer), self.now_ms());
                self.relays.offers(peer, address.clone(), configured, now);
            }
            _ => self.relays.withdrawn(&peer, false),
        }
        self.settle_reach();
    }

    /// Reserves what is to be reserved, and tells what has changed.
    pub(super) fn settle_reach(&mut self) {
        let Some(nat) = self.config.nat else { return };
        let now = self.now_ms();
        for Reserve { ticket, relay, address } in self.relays.poll(now) {
            let through = address.with(Protocol::P2p(relay)).with(Protocol::P2pCircuit);
            match self.swarm.listen_on(through) {
                Ok(listener) => self.reservations.push((listener, ticket)),
                Err(error) => {
                    tracing::debug!(%relay, %error, "no reservation");
                    self.relays.ended(ticket, now);
                }
            }
        }
        let told = Told {
            reachability: self.relays.reachability(),
            circuits: self.relays.circuits().into_iter().collect(),
            relays: nat.relay_for_others && self.relays.is_reached(),
        };
        if told != self.told {
            self.told = told.clone();
            let Told { reachability, circuits, relays } = told;
            self.outbox.fact(Event::Reachability { reachability, circuits, relays });
        }
    }

    fn ticket(&self, listener: ListenerId) -> Option<super::super::relays::Ticket> {
        self.reservations.iter().find(|(known, _)| *known == listener).map(|(_, ticket)| *ticket)
    }

    fn full(&self, address: Multiaddr) -> Multiaddr {
        let me = Protocol::P2p(*self.swarm.local_peer_id());
        if address.iter().last() == Some(me.clone()) { address } else { address.with(me) }
    }

    /// Closes relayed connections that direct ones have taken the place of.
    pub(super) fn close_superseded(&mut self, now_ms: u64) {
        let spare = self.peers.iter().filter_map(|(_, peer)| peer.superseded(now_ms, super::DIRECT_STABLE_MS));
        for connection in spare.collect::<Vec<_>>() {
            self.swarm.close_connection(connection);
        }
    }
}
