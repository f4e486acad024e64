//! Who may connect, and who is near: the behaviours that say nothing on a connection, as one.
//!
//! Limits, lists and mDNS need no protocol on a connection, yet libp2p gives each a handler there, and whenever a
//! connection wakes up, for a ping or a frame, it asks every handler what it speaks and wants. That is paid for each
//! frame at both ends. So these four share one empty handler.

#![allow(missing_docs, reason = "the derive leaves the variants of PartsEvent undocumented")]

use std::{
    convert::Infallible,
    task::{Context, Poll},
};

use libp2p::{
    Multiaddr, PeerId,
    allow_block_list::{self, AllowedPeers, BlockedPeers},
    connection_limits,
    core::{Endpoint, transport::PortUse},
    mdns,
    swarm::{
        ConnectionDenied, ConnectionId, FromSwarm, NetworkBehaviour, THandler, THandlerInEvent, THandlerOutEvent,
        ToSwarm, behaviour::toggle::Toggle, dummy,
    },
};

/// The four. The order matters: who may not connect is turned away before anyone else hears of it.
#[derive(NetworkBehaviour)]
#[behaviour(prelude = "libp2p::swarm::derive_prelude")]
pub struct Parts {
    pub(super) limits: connection_limits::Behaviour,
    pub(super) blocked: allow_block_list::Behaviour<BlockedPeers>,
    pub(super) allowed: Toggle<allow_block_list::Behaviour<AllowedPeers>>,
    pub(super) mdns: Toggle<mdns::tokio::Behaviour>,
}

/// See the module.
pub struct Doors {
    parts: Parts,
}

impl Doors {
    pub(super) const fn new(parts: Parts) -> Self {
        Self { parts }
    }

    /// Closes all connections to a peer and allows no other.
    pub(super) fn block(&mut self, peer: PeerId) {
        self.parts.blocked.block_peer(peer);
    }

    /// Lets a peer in again.
    pub(super) fn unblock(&mut self, peer: PeerId) {
        self.parts.blocked.unblock_peer(peer);
    }
}

impl NetworkBehaviour for Doors {
    type ConnectionHandler = dummy::ConnectionHandler;
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
        self.parts.handle_established_inbound_connection(id, peer, local, remote)?;
        Ok(dummy::ConnectionHandler)
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
        self.parts.handle_established_outbound_connection(id, peer, address, role, port)?;
        Ok(dummy::ConnectionHandler)
    }

    fn on_swarm_event(&mut self, event: FromSwarm<'_>) {
        self.parts.on_swarm_event(event);
    }

    fn on_connection_handler_event(&mut self, _: PeerId, _: ConnectionId, event: THandlerOutEvent<Self>) {
        match event {}
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<ToSwarm<Self::ToSwarm, THandlerInEvent<Self>>> {
        self.parts.poll(cx).map(|event| event.map_in(nothing))
    }
}

/// Empty handlers are told nothing.
fn nothing(event: THandlerInEvent<Parts>) -> Infallible {
    match event {}
}
