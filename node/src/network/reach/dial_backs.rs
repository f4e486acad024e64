//! Dialling peers that want to know whether they can be dialled (AutoNAT v2, the server's side), within bounds.
//!
//! libp2p's own dials whatever a peer names, any number at a time, and keeps the connections. Here
//!
//! - only addresses are dialled that can mean the same to the peer and to this node (a stranger from far away learns
//!   nothing about the house that this node is in),
//! - only a few at a time; who asks beyond that is told to ask again,
//! - and a connection that was made for a test is closed after it.

use std::{
    collections::{BTreeMap, VecDeque},
    task::{Context, Poll, ready},
};

use libp2p::{
    Multiaddr, PeerId, autonat,
    core::{Endpoint, transport::PortUse},
    swarm::{
        CloseConnection, ConnectionClosed, ConnectionDenied, ConnectionId, DialFailure, FromSwarm, NetworkBehaviour,
        THandler, THandlerInEvent, THandlerOutEvent, ToSwarm, behaviour::ConnectionEstablished, derive_prelude::Either,
    },
};
use rand::rngs::StdRng;

use super::super::address::is_usable;

/// Tests under way at a time, for all peers: an eighth of the dials that a node may have under way.
const AT_ONCE_MAX: usize = 8;

type Server = autonat::v2::server::Behaviour<StdRng>;

/// See the module.
pub struct DialBacks {
    inner: Server,
    /// Connections that test an address, or are to.
    tests: BTreeMap<ConnectionId, PeerId>,
    /// Where peers are connected from.
    from: BTreeMap<(PeerId, ConnectionId), Multiaddr>,
    /// Connections whose test is over.
    over: VecDeque<(PeerId, ConnectionId)>,
}

/// Why an address is not dialled.
#[derive(Debug, thiserror::Error)]
#[error("it means nothing where the peer who asked for it is connected from")]
struct Elsewhere;

impl DialBacks {
    pub(super) fn new(rng: StdRng) -> Self {
        Self { inner: Server::new(rng), tests: BTreeMap::new(), from: BTreeMap::new(), over: VecDeque::new() }
    }

    fn is_usable(&self, peer: PeerId, address: &Multiaddr) -> bool {
        self.from.iter().any(|((from, _), connected)| *from == peer && is_usable(address, connected))
    }
}

impl NetworkBehaviour for DialBacks {
    type ConnectionHandler = THandler<Server>;
    type ToSwarm = autonat::v2::server::Event;

    fn handle_established_inbound_connection(
        &mut self,
        id: ConnectionId,
        peer: PeerId,
        local: &Multiaddr,
        remote: &Multiaddr,
    ) -> Result<THandler<Self>, ConnectionDenied> {
        self.inner.handle_established_inbound_connection(id, peer, local, remote)
    }

    fn handle_pending_outbound_connection(
        &mut self,
        id: ConnectionId,
        _: Option<PeerId>,
        addresses: &[Multiaddr],
        _: Endpoint,
    ) -> Result<Vec<Multiaddr>, ConnectionDenied> {
        match self.tests.get(&id) {
            Some(peer) if !addresses.iter().all(|address| self.is_usable(*peer, address)) => {
                Err(ConnectionDenied::new(Elsewhere))
            }
            _ => Ok(Vec::new()),
        }
    }

    fn handle_established_outbound_connection(
        &mut self,
        id: ConnectionId,
        peer: PeerId,
        address: &Multiaddr,
        role: Endpoint,
        port: PortUse,
    ) -> Result<THandler<Self>, ConnectionDenied> {
        self.inner.handle_established_outbound_connection(id, peer, address, role, port)
    }

    fn on_swarm_event(&mut self, event: FromSwarm<'_>) {
        match event {
            FromSwarm::ConnectionEstablished(ConnectionEstablished { peer_id, connection_id, endpoint, .. })
                if !self.tests.contains_key(&connection_id) =>
            {
                self.from.insert((peer_id, connection_id), endpoint.get_remote_address().clone());
            }
            FromSwarm::ConnectionClosed(ConnectionClosed { peer_id, connection_id, .. }) => {
                self.from.remove(&(peer_id, connection_id));
                self.tests.remove(&connection_id);
            }
            FromSwarm::DialFailure(DialFailure { connection_id, .. }) => {
                self.tests.remove(&connection_id);
            }
            _ => {}
        }
        self.inner.on_swarm_event(event);
    }

    fn on_connection_handler_event(&mut self, peer: PeerId, id: ConnectionId, event: THandlerOutEvent<Self>) {
        if matches!(event, Either::Left(_)) {
            self.over.push_back((peer, id));
        }
        self.inner.on_connection_handler_event(peer, id, event);
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<ToSwarm<Self::ToSwarm, THandlerInEvent<Self>>> {
        if let Some((peer_id, id)) = self.over.pop_front() {
            return Poll::Ready(ToSwarm::CloseConnection { peer_id, connection: CloseConnection::One(id) });
        }
        loop {
            let event = ready!(self.inner.poll(cx));
            let ToSwarm::Dial { opts } = &event else { return Poll::Ready(event) };
            let (id, peer) = (opts.connection_id(), opts.get_peer_id());
            let Some(peer) = peer else { return Poll::Ready(event) };
            if self.tests.len() < AT_ONCE_MAX {
                self.tests.insert(id, peer);
                return Poll::Ready(event);
            }
            // Taking what the connection would have had, and dropping it, is the one way to say "not now": the peer asks
            // again. A dial that is said to have failed would be its proof that nobody can reach it.
            let nowhere = Multiaddr::empty();
            drop(self.inner.handle_established_outbound_connection(id, peer, &nowhere, Endpoint::Dialer, PortUse::New));
        }
    }
}
