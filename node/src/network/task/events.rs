//! What the swarm tells, and what becomes of it.

use std::collections::BTreeMap;

use bytes::Bytes;
use griot_protocol::Timestamp;
use libp2p::{
    Multiaddr, PeerId,
    core::ConnectedPoint,
    gossipsub::{self, MessageAcceptance},
    identify, kad, mdns,
    metrics::Recorder,
    multiaddr::Protocol,
    ping, relay, request_response,
    swarm::{ConnectionId, SwarmEvent},
};

use super::{
    super::{
        Event,
        address::{is_relayed, is_usable, split_peer},
        behaviour::{AsideEvent, BehaviourEvent, difference},
        doors::PartsEvent,
        metrics::GossipOutcome,
        topics::{self, is_provider_key},
    },
    OTHER_NETWORK_MS, Task,
    peers::{Connection, readable},
};
use crate::{identity::node_id, store::PEER_ADDRESSES_MAX};

impl Task {
    pub(super) fn on_swarm_event(&mut self, event: SwarmEvent<BehaviourEvent>) {
        if let Some(libp2p) = &self.metrics.libp2p {
            libp2p.record(&event);
        }
        match event {
            SwarmEvent::Behaviour(event) => self.on_behaviour_event(event),
            SwarmEvent::ConnectionEstablished { peer_id, connection_id, endpoint, .. } => {
                self.on_connected(peer_id, connection_id, &endpoint);
            }
            SwarmEvent::ConnectionClosed { peer_id, connection_id, num_established, cause, .. } => {
                if let Some(cause) = cause {
                    tracing::debug!(peer = %peer_id, %cause, "connection closed");
                }
                self.on_disconnected(&peer_id, connection_id, num_established);
            }
            SwarmEvent::OutgoingConnectionError { connection_id, peer_id, error } => {
                if let Some(id) = self.dials.remove(&connection_id) {
                    self.dial_failed(id, peer_id, &error);
                }
            }
            SwarmEvent::IncomingConnectionError { send_back_addr, error, .. } => {
                tracing::debug!(from = %send_back_addr, %error, "an inbound connection failed");
                self.metrics.refused("handshake");
            }
            SwarmEvent::NewListenAddr { listener_id, address } => self.on_listening(listener_id, address),
            SwarmEvent::ExpiredListenAddr { address, .. } => self.on_not_listening(address),
            SwarmEvent::ListenerClosed { listener_id, addresses, reason } => {
                if self.on_reservation_ended(listener_id) {
                    return;
                }
                if let Err(error) = reason {
                    tracing::error!(?addresses, %error, "no longer listening");
                }
                for address in addresses {
                    self.on_not_listening(address);
                }
            }
            SwarmEvent::ExternalAddrConfirmed { address } => self.on_confirmed_address(address),
            SwarmEvent::ListenerError { error, .. } => tracing::warn!(%error, "listener"),
            _ => {}
        }
    }

    fn on_connected(&mut self, peer: PeerId, connection: ConnectionId, endpoint: &ConnectedPoint) {
        let now = self.now_ms();
        if let Some(id) = self.dials.remove(&connection) {
            self.metrics.dial("connected");
            self.reconnect.dialled(id, peer);
        }
        self.reconnect.connected(peer, now);
        let Some(node) = node_id(&peer) else {
            tracing::info!(%peer, "parting from a peer whose key is not Ed25519");
            self.metrics.refused("key");
            self.part(peer, now + OTHER_NETWORK_MS, "its key is not Ed25519");
            return;
        };
        self.on_dialled_by(&peer, endpoint);
        let relayed = endpoint.is_relayed();
        let (address, dialled) = match endpoint {
            ConnectedPoint::Dialer { address, .. } => (address.clone(), true),
            // The other end of one through a relay is no more than a name.
            ConnectedPoint::Listener { local_addr, .. } if relayed => {
                (local_addr.clone().with(Protocol::P2p(peer)), false)
            }
            ConnectedPoint::Listener { send_back_addr, .. } => (send_back_addr.clone(), false),
        };
        let made = Connection { id: connection, address, dialled, relayed, since_ms: now, answered_ms: None };
        self.peers.entry(peer, node, now).connections.push(made);
    }

    fn on_disconnected(&mut self, peer: &PeerId, connection: ConnectionId, remaining: u32) {
        if remaining > 0 {
            if self.peers.get_mut(peer).is_some_and(|peer| peer.lost(connection)) {
                return;
            }
            // The oldest of several broke: most likely the peer was killed and has come back before the old connection was
            // found dead. gossipsub tells subscriptions on the first connection only, so the newborn knows none of
            // ours. Only parting altogether and meeting again sets both sides right; both dial again at once.
            let _ = self.swarm.disconnect_peer_id(*peer);
            return;
        }
        let now = self.now_ms();
        self.reconnect.disconnected(peer, now);
        self.relays.withdrawn(peer, true);
        self.settle_reach();
        for event in self.peers.release(peer) {
            self.give_up(event);
        }
        if let Some(gone) = self.peers.remove(peer)
            && gone.up
        {
            tracing::info!(%peer, "peer gone");
            self.outbox.fact(Event::PeerDown { peer: gone.node });
        }
        self.count_peers();
    }

    fn count_peers(&self) {
        self.metrics.peers.set(i64::try_from(self.peers.up_count()).unwrap_or(i64::MAX));
    }

    fn on_behaviour_event(&mut self, event: BehaviourEvent) {
        match event {
            BehaviourEvent::Gossip(event) => {
                if let Some(libp2p) = &self.metrics.libp2p {
                    libp2p.record(&event);
                }
                self.on_gossip(event);
            }
            BehaviourEvent::Aside(event) => self.on_aside_event(event),
        }
    }

    fn on_aside_event(&mut self, event: AsideEvent) {
        match event {
            AsideEvent::Identify(event) => {
                if let Some(libp2p) = &self.metrics.libp2p {
                    libp2p.record(&event);
                }
                self.on_identify(event);
            }
            AsideEvent::Ping(event) => {
                if let Some(libp2p) = &self.metrics.libp2p {
                    libp2p.record(&event);
                }
                self.on_ping(&event);
            }
            AsideEvent::Kad(event) => {
                if let Some(libp2p) = &self.metrics.libp2p {
                    libp2p.record(&event);
                }
                self.on_kad(event);
            }
            AsideEvent::Reach(event) => self.on_reach_event(event),
            AsideEvent::Sync(event) => self.on_sync(event),
            AsideEvent::Doors(PartsEvent::Mdns(mdns::Event::Discovered(found))) => self.on_mdns(found),
            // Addresses that time out are dropped when dialling them fails.
            AsideEvent::Doors(PartsEvent::Mdns(mdns::Event::Expired(_))) => {}
            // These three have nothing to tell.
            AsideEvent::Doors(PartsEvent::Limits(never) | PartsEvent::Blocked(never) | PartsEvent::Allowed(never)) => {
                match never {}
            }
        }
    }

    fn on_identify(&mut self, event: identify::Event) {
        match event {
            identify::Event::Received { connection_id, peer_id, info } => {
                if info.protocol_version == self.protocol_version {
                    if let Some(peer) = self.peers.get_mut(&peer_id) {
                        peer.sees_us_at = Some(info.observed_addr.clone());
                    }
                    self.on_confirmed(peer_id, &info.agent_version);
                    self.on_addresses(peer_id, connection_id, &info);
                } else {
                    self.on_stranger(peer_id, &info.protocol_version);
                }
            }
            identify::Event::Error { peer_id, error, .. } => tracing::debug!(peer = %peer_id, %error, "identify"),
            // Both are of what this node has told of itself. What a peer tells unasked is `Received` as well.
            identify::Event::Sent { .. } | identify::Event::Pushed { .. } => {}
        }
    }

    fn on_stranger(&mut self, peer: PeerId, network: &str) {
        let network = readable(network);
        if self.reconnect.is_configured(&peer) {
            tracing::warn!(%peer, network, ours = self.protocol_version, "a configured --peer is of another network");
        } else {
            tracing::info!(%peer, network, "parting from a peer of another network");
        }
        self.metrics.refused("network");
        let until = self.now_ms() + OTHER_NETWORK_MS;
        self.part(peer, until, &format!("it is of another network ({network})"));
    }

    /// The peer is of this network: it counts from now on, and what it sent meanwhile is told.
    fn on_confirmed(&mut self, id: PeerId, agent: &str) {
        let agent = readable(agent);
        let Some(peer) = self.peers.get_mut(&id) else { return };
        if peer.parting || peer.up {
            return;
        }
        let node = peer.node;
        peer.up = true;
        let differs = difference(&self.config.params, &agent);
        tracing::info!(peer = %id, agent, "peer");
        peer.agent = Some(agent);
        self.count_peers();
        self.outbox.fact(Event::PeerUp { peer: node });
        if let Some(detail) = differs {
            self.outbox.fact(Event::ParamsDiffer { peer: node, detail });
        }
        for event in self.peers.release(&id) {
            self.tell(event);
        }
    }

    /// What a peer tells of where it listens, and whether it relays.
    fn on_addresses(&mut self, id: PeerId, connection: ConnectionId, info: &identify::Info) {
        if !self.peers.is_up(&id) {
            return;
        }
        let Some(known) = self.peers.get(&id).and_then(|peer| peer.connection(connection)) else { return };
        let from = &known.address;
        let mut addresses: Vec<Multiaddr> = Vec::new();
        // The address that was dialled is known to work, so it comes first.
        let worked = known.dialled.then(|| split_peer(from).0);
        let told = info.listen_addrs.iter().filter(|address| is_usable(address, from));
        for address in worked.into_iter().chain(told.map(|told| split_peer(told).0)) {
            if addresses.len() < PEER_ADDRESSES_MAX && !addresses.contains(&address) {
                addresses.push(address);
            }
        }
        if let Some(kad) = self.swarm.behaviour_mut().aside.kad.as_mut() {
            for address in &addresses {
                kad.add_address(&id, address.clone());
            }
        }
        if !is_relayed(from) {
            self.on_relay_offer(id, info.protocols.contains(&relay::HOP_PROTOCOL_NAME), &addresses);
        }
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
        self.reconnect.confirmed(id, addresses, Timestamp(now.as_secs()));
    }

    fn on_ping(&mut self, event: &ping::Event) {
        match &event.result {
            Ok(rtt) => {
                let now = self.now_ms();
                if let Some(peer) = self.peers.get_mut(&event.peer) {
                    peer.answered(event.connection, now);
                    peer.rtt_ms = u64::try_from(rtt.as_millis()).ok();
                    if let Some(ms) = peer.rtt_ms {
                        let peer = peer.node;
                        // The next one comes in a few seconds.
                        let _ = self.outbox.hint(Event::RoundTrip { peer, ms });
                    }
                }
            }
            // A peer without ping may be a newer node.
            Err(ping::Failure::Unsupported) => {}
            Err(error) => {
                tracing::debug!(peer = %event.peer, %error, "closing a dead connection");
                self.swarm.close_connection(event.connection);
            }
        }
    }

    fn on_gossip(&mut self, event: gossipsub::Event) {
        let gossipsub::Event::Message { propagation_source, message_id, message } = event else { return };
        let Some(peer) = self.peers.get(&propagation_source).filter(|peer| !peer.parting) else {
            self.swarm.behaviour_mut().gossip.report_message_validation_result(
                &message_id,
                &propagation_source,
                MessageAcceptance::Ignore,
            );
            return;
        };
        let (node, up) = (peer.node, peer.up);
        // gossipsub tells only what came on topics that this node subscribed to, which are of its own bits.
        let Some(shard) = topics::shard_of(&self.config.params, &message.topic) else {
            self.metrics.gossip(GossipOutcome::OtherTopic);
            self.swarm.behaviour_mut().gossip.report_message_validation_result(
                &message_id,
                &propagation_source,
                MessageAcceptance::Ignore,
            );
            return;
        };
        self.metrics.gossip(GossipOutcome::Received);
        let (message_id, given_up) = self.unjudged.insert(message_id, propagation_source);
        if let Some((message, source)) = given_up {
            self.metrics.gossip(GossipOutcome::Unjudged);
            self.swarm.behaviour_mut().gossip.report_message_validation_result(
                &message,
                &source,
                MessageAcceptance::Ignore,
            );
        }
        let event = Event::Gossiped { peer: node, message: message_id, shard, frame: Bytes::from(message.data) };
        if up {
            self.tell(event);
        } else if let Err(event) = self.peers.hold(&propagation_source, event) {
            self.give_up(event);
        }
    }

    fn on_sync(&mut self, event: request_response::Event<Bytes, Bytes>) {
        match event {
            request_response::Event::Message { peer, message, .. } => match message {
                request_response::Message::Request { request_id, request, channel } => {
                    let Some((node, up)) =
                        self.peers.get(&peer).filter(|peer| !peer.parting).map(|peer| (peer.node, peer.up))
                    else {
                        return;
                    };
                    let Some(inbound) = self.exchanges.asked(request_id, channel) else {
                        self.metrics.refused("too_many_requests");
                        return;
                    };
                    let event = Event::Asked { peer: node, inbound, request };
                    if up {
                        self.tell(event);
                    } else if let Err(event) = self.peers.hold(&peer, event) {
                        self.give_up(event);
                    }
                }
                request_response::Message::Response { request_id, response } => {
                    if let Some((exchange, peer)) = self.exchanges.answered(request_id) {
                        self.outbox.fact(Event::Answered { peer, exchange, response: Some(response) });
                    }
                }
            },
            request_response::Event::OutboundFailure { peer, request_id, error, .. } => {
                tracing::debug!(%peer, %error, "a request failed");
                if let Some((exchange, peer)) = self.exchanges.answered(request_id) {
                    self.outbox.fact(Event::Answered { peer, exchange, response: None });
                }
            }
            request_response::Event::InboundFailure { peer, request_id, error, .. } => {
                tracing::debug!(%peer, %error, "a peer's request failed");
                self.exchanges.inbound_failed(request_id);
            }
            request_response::Event::ResponseSent { .. } => {}
        }
    }

    /// Tells what a peer sent, or gives it up where there is no room.
    fn tell(&mut self, event: Event) {
        let what = match &event {
            Event::Gossiped { message, .. } => Sent::Gossip(*message),
            Event::Asked { inbound, .. } => Sent::Request(*inbound),
            _ => return self.outbox.fact(event),
        };
        if !self.outbox.hint(event) {
            self.drop_sent(what);
        }
    }

    fn give_up(&mut self, event: Event) {
        match event {
            Event::Gossiped { message, .. } => self.drop_sent(Sent::Gossip(message)),
            Event::Asked { inbound, .. } => self.drop_sent(Sent::Request(inbound)),
            _ => {}
        }
    }

    fn drop_sent(&mut self, sent: Sent) {
        match sent {
            Sent::Gossip(message) => self.judge(message, crate::relay::Verdict::Ignore),
            // Dropping the channel tells the peer that there is no answer.
            Sent::Request(inbound) => drop(self.exchanges.answer(inbound)),
        }
    }

    fn on_kad(&mut self, event: kad::Event) {
        match event {
            kad::Event::OutboundQueryProgressed {
                id, result: kad::QueryResult::GetProviders(result), step, ..
            } => {
                if let Ok(kad::GetProvidersOk::FoundProviders { providers, .. }) = result {
                    self.on_providers(id, providers.into_iter().collect());
                }
                if step.last {
                    self.on_search_ended(id);
                }
            }
            kad::Event::InboundRequest { request: kad::InboundRequest::AddProvider { record: Some(mut record) } } => {
                if is_provider_key(&self.config.params, &record.key) {
                    record.addresses.truncate(PEER_ADDRESSES_MAX);
                    use kad::store::RecordStore;
                    if let Some(kad) = self.swarm.behaviour_mut().aside.kad.as_mut()
                        && let Err(error) = kad.store_mut().add_provider(record)
                    {
                        tracing::debug!(%error, "an announcement was not kept");
                    }
                } else {
                    self.metrics.refused("provider_key");
                }
            }
            kad::Event::RoutingUpdated { peer, is_new_peer: true, addresses, .. } => {
                // Whoever is new may be nearer to our keys.
                self.carriers.announce_again();
                let now = self.now_ms();
                self.reconnect.discovered(peer, addresses.into_vec(), now);
            }
            _ => {}
        }
    }

    fn on_mdns(&mut self, found: Vec<(PeerId, Multiaddr)>) {
        let mut peers: BTreeMap<PeerId, Vec<Multiaddr>> = BTreeMap::new();
        for (peer, address) in found {
            peers.entry(peer).or_default().push(address);
        }
        let now = self.now_ms();
        for (peer, addresses) in peers {
            self.reconnect.discovered(peer, addresses, now);
        }
    }
}

/// Something a peer sent that waits for the relay's word.
enum Sent {
    Gossip(crate::relay::GossipId),
    Request(crate::relay::InboundId),
}
