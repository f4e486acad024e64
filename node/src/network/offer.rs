//! What a node speaks on a connection, worked out once.
//!
//! At the end of every question to a connection, and there are three for each frame that is passed on, libp2p gathers
//! the names of all protocols from all handlers, to see whether any has come or gone since. With gossipsub that copies
//! its whole configuration each time; in the simulator it was about a seventh of all work. [`Offered`] keeps the
//! list, and gathers it anew only when the handlers have been told something: that is when they change it (gossipsub
//! when its streams fail, kad when it is to serve no more).
//!
//! The handler of the protocol that the other side chooses is asked for its upgrade when it chooses.
//!
//! libp2p goes on comparing the list with what it knows, name by name: so a name is small ([`Name`]).

use std::{
    ops::{Deref, DerefMut},
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll},
    time::Duration,
};

use libp2p::{
    InboundUpgrade, Multiaddr, PeerId, Stream,
    core::{Endpoint, UpgradeInfo, transport::PortUse},
    swarm::{
        ConnectionDenied, ConnectionHandler, ConnectionHandlerEvent, ConnectionId, FromSwarm, NetworkBehaviour,
        SubstreamProtocol, THandler, THandlerInEvent, THandlerOutEvent, ToSwarm,
        handler::{ConnectionEvent, FullyNegotiatedInbound, InboundUpgradeSend, ListenUpgradeError, UpgradeInfoSend},
    },
};

use super::names::Name;

/// A behaviour whose handlers are seldom asked what they speak. See the module.
pub struct Offered<B> {
    inner: B,
    /// What the last connection was offered: the next is offered the same.
    usual: Offer,
}

impl<B> Offered<B> {
    pub(super) fn around(inner: B) -> Self {
        Self { inner, usual: Offer::default() }
    }
}

impl<B> Deref for Offered<B> {
    type Target = B;

    fn deref(&self) -> &B {
        &self.inner
    }
}

impl<B> DerefMut for Offered<B> {
    fn deref_mut(&mut self) -> &mut B {
        &mut self.inner
    }
}

impl<B: NetworkBehaviour> Offered<B> {
    fn handler(&mut self, inner: THandler<B>) -> OfferedHandler<THandler<B>> {
        self.usual.refresh(&inner);
        OfferedHandler { inner: Arc::new(Mutex::new(inner)), offer: self.usual.clone(), is_stale: false }
    }
}

impl<B: NetworkBehaviour> NetworkBehaviour for Offered<B> {
    type ConnectionHandler = OfferedHandler<THandler<B>>;
    type ToSwarm = B::ToSwarm;

    fn handle_pending_inbound_connection(
        &mut self,
        id: ConnectionId,
        local: &Multiaddr,
        remote: &Multiaddr,
    ) -> Result<(), ConnectionDenied> {
        self.inner.handle_pending_inbound_connection(id, local, remote)
    }

    fn handle_established_inbound_connection(
        &mut self,
        id: ConnectionId,
        peer: PeerId,
        local: &Multiaddr,
        remote: &Multiaddr,
    ) -> Result<THandler<Self>, ConnectionDenied> {
        let inner = self.inner.handle_established_inbound_connection(id, peer, local, remote)?;
        Ok(self.handler(inner))
    }

    fn handle_pending_outbound_connection(
        &mut self,
        id: ConnectionId,
        peer: Option<PeerId>,
        addresses: &[Multiaddr],
        role: Endpoint,
    ) -> Result<Vec<Multiaddr>, ConnectionDenied> {
        self.inner.handle_pending_outbound_connection(id, peer, addresses, role)
    }

    fn handle_established_outbound_connection(
        &mut self,
        id: ConnectionId,
        peer: PeerId,
        address: &Multiaddr,
        role: Endpoint,
        port: PortUse,
    ) -> Result<THandler<Self>, ConnectionDenied> {
        let inner = self.inner.handle_established_outbound_connection(id, peer, address, role, port)?;
        Ok(self.handler(inner))
    }

    fn on_swarm_event(&mut self, event: FromSwarm<'_>) {
        self.inner.on_swarm_event(event);
    }

    fn on_connection_handler_event(&mut self, peer: PeerId, id: ConnectionId, event: THandlerOutEvent<Self>) {
        self.inner.on_connection_handler_event(peer, id, event);
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<ToSwarm<Self::ToSwarm, THandlerInEvent<Self>>> {
        self.inner.poll(cx)
    }
}

/// What is offered to whoever opens a stream.
#[derive(Clone)]
struct Offer {
    names: Arc<[Name]>,
    /// How long agreeing on one may take.
    timeout: Duration,
}

impl Default for Offer {
    fn default() -> Self {
        Self { names: Arc::default(), timeout: Duration::ZERO }
    }
}

impl Offer {
    /// What this handler offers now. Where that is the same as before, so is the memory.
    fn refresh<H: ConnectionHandler>(&mut self, handler: &H) {
        let protocol = handler.listen_protocol();
        self.timeout = *protocol.timeout();
        let names: Vec<_> = protocol.upgrade().protocol_info().collect();
        let is_same = names.iter().map(AsRef::as_ref).eq(self.names.iter().map(AsRef::as_ref));
        if !is_same {
            self.names = names.iter().filter_map(|name| Name::of(name.as_ref())).collect();
        }
    }
}

/// What [`Offered`] has on a connection.
pub struct OfferedHandler<H> {
    /// Shared with the streams that are being agreed on.
    inner: Arc<Mutex<H>>,
    offer: Offer,
    /// Whether the handler has been told something since it was asked.
    is_stale: bool,
}

impl<H> OfferedHandler<H> {
    fn told(&mut self) -> MutexGuard<'_, H> {
        self.is_stale = true;
        lock(&self.inner)
    }
}

fn lock<H>(handler: &Mutex<H>) -> MutexGuard<'_, H> {
    handler.lock().unwrap_or_else(PoisonError::into_inner)
}

impl<H: ConnectionHandler> ConnectionHandler for OfferedHandler<H> {
    type FromBehaviour = H::FromBehaviour;
    type ToBehaviour = H::ToBehaviour;
    type InboundProtocol = Listen<H>;
    type OutboundProtocol = H::OutboundProtocol;
    type InboundOpenInfo = ();
    type OutboundOpenInfo = H::OutboundOpenInfo;

    fn listen_protocol(&self) -> SubstreamProtocol<Listen<H>> {
        let names = Arc::clone(&self.offer.names);
        SubstreamProtocol::new(Listen { handler: Arc::clone(&self.inner), names }, ()).with_timeout(self.offer.timeout)
    }

    fn connection_keep_alive(&self) -> bool {
        lock(&self.inner).connection_keep_alive()
    }

    fn poll(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<ConnectionHandlerEvent<Self::OutboundProtocol, Self::OutboundOpenInfo, Self::ToBehaviour>> {
        let mut inner = lock(&self.inner);
        let answer = inner.poll(cx);
        if std::mem::take(&mut self.is_stale) {
            self.offer.refresh(&*inner);
        }
        answer
    }

    fn poll_close(&mut self, cx: &mut Context<'_>) -> Poll<Option<Self::ToBehaviour>> {
        lock(&self.inner).poll_close(cx)
    }

    fn on_behaviour_event(&mut self, event: Self::FromBehaviour) {
        self.told().on_behaviour_event(event);
    }

    fn on_connection_event(
        &mut self,
        event: ConnectionEvent<'_, Listen<H>, Self::OutboundProtocol, (), Self::OutboundOpenInfo>,
    ) {
        let event = match event {
            ConnectionEvent::FullyNegotiatedInbound(FullyNegotiatedInbound {
                protocol: (protocol, info),
                info: (),
            }) => ConnectionEvent::FullyNegotiatedInbound(FullyNegotiatedInbound { protocol, info }),
            ConnectionEvent::ListenUpgradeError(ListenUpgradeError { error: Failed::Upgrade(error, info), .. }) => {
                ConnectionEvent::ListenUpgradeError(ListenUpgradeError { error, info })
            }
            // No handler is behind it any more.
            ConnectionEvent::ListenUpgradeError(ListenUpgradeError { error: Failed::Withdrawn, .. }) => return,
            ConnectionEvent::FullyNegotiatedOutbound(event) => ConnectionEvent::FullyNegotiatedOutbound(event),
            ConnectionEvent::AddressChange(event) => ConnectionEvent::AddressChange(event),
            ConnectionEvent::DialUpgradeError(event) => ConnectionEvent::DialUpgradeError(event),
            ConnectionEvent::LocalProtocolsChange(event) => ConnectionEvent::LocalProtocolsChange(event),
            ConnectionEvent::RemoteProtocolsChange(event) => ConnectionEvent::RemoteProtocolsChange(event),
            // libp2p may invent more; those of the version that is pinned are all above.
            _ => return,
        };
        self.told().on_connection_event(event);
    }
}

/// Takes streams that the other side opens.
pub struct Listen<H> {
    handler: Arc<Mutex<H>>,
    names: Arc<[Name]>,
}

type Upgraded<H> = (
    <<H as ConnectionHandler>::InboundProtocol as InboundUpgradeSend>::Output,
    <H as ConnectionHandler>::InboundOpenInfo,
);

type UpgradeFailed<H> = Failed<
    <<H as ConnectionHandler>::InboundProtocol as InboundUpgradeSend>::Error,
    <H as ConnectionHandler>::InboundOpenInfo,
>;

/// Why a stream that the other side opened came to nothing.
pub enum Failed<E, I> {
    /// The protocol says why.
    Upgrade(E, I),
    /// The protocol was given up after it had been offered.
    Withdrawn,
}

impl<H: ConnectionHandler> UpgradeInfo for Listen<H> {
    type Info = Name;
    type InfoIter = Names;

    fn protocol_info(&self) -> Names {
        Names { names: Arc::clone(&self.names), next: 0 }
    }
}

impl<H: ConnectionHandler> InboundUpgrade<Stream> for Listen<H> {
    type Output = Upgraded<H>;
    type Error = UpgradeFailed<H>;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Output, Self::Error>> + Send>>;

    fn upgrade_inbound(self, stream: Stream, name: Name) -> Self::Future {
        let (upgrade, info) = lock(&self.handler).listen_protocol().into_upgrade();
        let chosen = upgrade.protocol_info().find(|known| known.as_ref() == name.as_ref());
        Box::pin(async move {
            let chosen = chosen.ok_or(Failed::Withdrawn)?;
            match upgrade.upgrade_inbound(stream, chosen).await {
                Ok(protocol) => Ok((protocol, info)),
                Err(error) => Err(Failed::Upgrade(error, info)),
            }
        })
    }
}

/// The names that are offered.
pub struct Names {
    names: Arc<[Name]>,
    next: usize,
}

impl Iterator for Names {
    type Item = Name;

    fn next(&mut self) -> Option<Name> {
        let name = self.names.get(self.next).copied();
        self.next += 1;
        name
    }
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use libp2p::core::upgrade::DeniedUpgrade;

    use super::*;

    /// Speaks what it is told to.
    struct Speaks(Vec<&'static str>);

    /// Offers any number of names.
    struct Any(Vec<&'static str>);

    impl UpgradeInfo for Any {
        type Info = &'static str;
        type InfoIter = std::vec::IntoIter<&'static str>;

        fn protocol_info(&self) -> Self::InfoIter {
            self.0.clone().into_iter()
        }
    }

    impl InboundUpgrade<Stream> for Any {
        type Output = &'static str;
        type Error = Infallible;
        type Future = std::future::Ready<Result<&'static str, Infallible>>;

        fn upgrade_inbound(self, _: Stream, name: &'static str) -> Self::Future {
            std::future::ready(Ok(name))
        }
    }

    impl ConnectionHandler for Speaks {
        type FromBehaviour = Vec<&'static str>;
        type ToBehaviour = Infallible;
        type InboundProtocol = Any;
        type OutboundProtocol = DeniedUpgrade;
        type InboundOpenInfo = u32;
        type OutboundOpenInfo = Infallible;

        fn listen_protocol(&self) -> SubstreamProtocol<Any, u32> {
            SubstreamProtocol::new(Any(self.0.clone()), 7).with_timeout(Duration::from_secs(3))
        }

        fn poll(&mut self, _: &mut Context<'_>) -> Poll<ConnectionHandlerEvent<DeniedUpgrade, Infallible, Infallible>> {
            Poll::Pending
        }

        fn on_behaviour_event(&mut self, names: Vec<&'static str>) {
            self.0 = names;
        }

        fn on_connection_event(&mut self, _: ConnectionEvent<'_, Any, DeniedUpgrade, u32, Infallible>) {}
    }

    fn names(handler: &OfferedHandler<Speaks>) -> Vec<String> {
        UpgradeInfo::protocol_info(handler.listen_protocol().upgrade()).map(|name| name.as_ref().to_owned()).collect()
    }

    fn ask(handler: &mut OfferedHandler<Speaks>) {
        assert!(handler.poll(&mut Context::from_waker(std::task::Waker::noop())).is_pending());
    }

    #[test]
    fn the_offer_follows_what_the_handler_is_told() {
        let mut offer = Offer::default();
        let inner = Speaks(vec!["/a/1", "/b/1"]);
        offer.refresh(&inner);
        let mut handler = OfferedHandler { inner: Arc::new(Mutex::new(inner)), offer: offer.clone(), is_stale: false };
        assert_eq!(names(&handler), ["/a/1", "/b/1"]);
        assert_eq!(*handler.listen_protocol().timeout(), Duration::from_secs(3));
        ask(&mut handler);
        assert!(Arc::ptr_eq(&handler.offer.names, &offer.names), "one list for all connections");
        handler.on_behaviour_event(vec!["/b/1", "/c/1"]);
        ask(&mut handler);
        assert_eq!(names(&handler), ["/b/1", "/c/1"]);
        handler.on_behaviour_event(Vec::new());
        ask(&mut handler);
        assert!(names(&handler).is_empty());
    }
}
