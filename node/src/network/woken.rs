//! Protocols that are asked only when they have something to do.
//!
//! Whenever a connection wakes up, for a frame of gossip say, libp2p asks the handler of every protocol on it what it
//! wants, and each looks at its streams and timers and finds nothing. That is paid for each frame at both ends, and for
//! every event in the swarm. [`Woken`] gives the protocols in it a waker of their own and passes the
//! question on only when that was called, or when they have been told something since.
//!
//! This needs nothing but what the contract of [`Future`](std::future::Future) says anyway: who answers "pending" has
//! seen to it that he is woken.

use std::{
    ops::{Deref, DerefMut},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll, Wake, Waker},
};

use futures::task::AtomicWaker;
use libp2p::{
    Multiaddr, PeerId,
    core::{Endpoint, transport::PortUse},
    swarm::{
        ConnectionDenied, ConnectionHandler, ConnectionHandlerEvent, ConnectionId, FromSwarm, NetworkBehaviour,
        SubstreamProtocol, THandler, THandlerInEvent, THandlerOutEvent, ToSwarm, handler::ConnectionEvent,
    },
};

/// A behaviour, and its handlers on every connection, that are polled only when there is a reason. See the module.
pub struct Woken<B> {
    inner: B,
    bell: Bell,
}

impl<B> Woken<B> {
    pub(super) fn new(inner: B) -> Self {
        Self { inner, bell: Bell::new() }
    }

    /// To tell it something: it is asked afterwards.
    fn told(&mut self) -> &mut B {
        self.bell.ring();
        &mut self.inner
    }
}

impl<B> Deref for Woken<B> {
    type Target = B;

    fn deref(&self) -> &B {
        &self.inner
    }
}

impl<B> DerefMut for Woken<B> {
    fn deref_mut(&mut self) -> &mut B {
        self.told()
    }
}

impl<B: NetworkBehaviour> NetworkBehaviour for Woken<B> {
    type ConnectionHandler = WokenHandler<THandler<B>>;
    type ToSwarm = B::ToSwarm;

    fn handle_pending_inbound_connection(
        &mut self,
        id: ConnectionId,
        local: &Multiaddr,
        remote: &Multiaddr,
    ) -> Result<(), ConnectionDenied> {
        self.told().handle_pending_inbound_connection(id, local, remote)
    }

    fn handle_established_inbound_connection(
        &mut self,
        id: ConnectionId,
        peer: PeerId,
        local: &Multiaddr,
        remote: &Multiaddr,
    ) -> Result<THandler<Self>, ConnectionDenied> {
        self.told().handle_established_inbound_connection(id, peer, local, remote).map(WokenHandler::new)
    }

    fn handle_pending_outbound_connection(
        &mut self,
        id: ConnectionId,
        peer: Option<PeerId>,
        addresses: &[Multiaddr],
        role: Endpoint,
    ) -> Result<Vec<Multiaddr>, ConnectionDenied> {
        self.told().handle_pending_outbound_connection(id, peer, addresses, role)
    }

    fn handle_established_outbound_connection(
        &mut self,
        id: ConnectionId,
        peer: PeerId,
        address: &Multiaddr,
        role: Endpoint,
        port: PortUse,
    ) -> Result<THandler<Self>, ConnectionDenied> {
        self.told().handle_established_outbound_connection(id, peer, address, role, port).map(WokenHandler::new)
    }

    fn on_swarm_event(&mut self, event: FromSwarm<'_>) {
        self.told().on_swarm_event(event);
    }

    fn on_connection_handler_event(&mut self, peer: PeerId, id: ConnectionId, event: THandlerOutEvent<Self>) {
        self.told().on_connection_handler_event(peer, id, event);
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<ToSwarm<Self::ToSwarm, THandlerInEvent<Self>>> {
        self.bell.ask(cx, |cx| self.inner.poll(cx))
    }
}

/// What [`Woken`] has on a connection.
pub struct WokenHandler<H> {
    inner: H,
    bell: Bell,
}

impl<H> WokenHandler<H> {
    fn new(inner: H) -> Self {
        Self { inner, bell: Bell::new() }
    }
}

impl<H: ConnectionHandler> ConnectionHandler for WokenHandler<H> {
    type FromBehaviour = H::FromBehaviour;
    type ToBehaviour = H::ToBehaviour;
    type InboundProtocol = H::InboundProtocol;
    type OutboundProtocol = H::OutboundProtocol;
    type InboundOpenInfo = H::InboundOpenInfo;
    type OutboundOpenInfo = H::OutboundOpenInfo;

    fn listen_protocol(&self) -> SubstreamProtocol<Self::InboundProtocol, Self::InboundOpenInfo> {
        self.inner.listen_protocol()
    }

    fn connection_keep_alive(&self) -> bool {
        self.inner.connection_keep_alive()
    }

    fn poll(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<ConnectionHandlerEvent<Self::OutboundProtocol, Self::OutboundOpenInfo, Self::ToBehaviour>> {
        self.bell.ask(cx, |cx| self.inner.poll(cx))
    }

    fn poll_close(&mut self, cx: &mut Context<'_>) -> Poll<Option<Self::ToBehaviour>> {
        self.inner.poll_close(cx)
    }

    fn on_behaviour_event(&mut self, event: Self::FromBehaviour) {
        self.bell.ring();
        self.inner.on_behaviour_event(event);
    }

    fn on_connection_event(
        &mut self,
        event: ConnectionEvent<
            '_,
            Self::InboundProtocol,
            Self::OutboundProtocol,
            Self::InboundOpenInfo,
            Self::OutboundOpenInfo,
        >,
    ) {
        self.bell.ring();
        self.inner.on_connection_event(event);
    }
}

/// Remembers that somebody must be asked, and wakes whoever asks.
struct Bell {
    rung: Arc<Rung>,
    /// Rings it. Kept, since making one for every question would cost what this saves.
    waker: Waker,
}

struct Rung {
    is_rung: AtomicBool,
    asker: AtomicWaker,
}

impl Bell {
    /// Rung: what is new must be asked once.
    fn new() -> Self {
        let rung = Arc::new(Rung { is_rung: AtomicBool::new(true), asker: AtomicWaker::new() });
        Self { waker: Waker::from(Arc::clone(&rung)), rung }
    }

    /// Something was told, by whoever asks next anyway: nobody need be woken.
    fn ring(&self) {
        self.rung.is_rung.store(true, Ordering::Release);
    }

    /// Asks, if there is a reason to.
    fn ask<T>(&self, cx: &mut Context<'_>, ask: impl FnOnce(&mut Context<'_>) -> Poll<T>) -> Poll<T> {
        // In this order: a bell that rings in between is heard twice and never missed.
        self.rung.asker.register(cx.waker());
        if !self.rung.is_rung.swap(false, Ordering::AcqRel) {
            return Poll::Pending;
        }
        let answer = ask(&mut Context::from_waker(&self.waker));
        if answer.is_ready() {
            // There may be more.
            self.ring();
        }
        answer
    }
}

impl Wake for Rung {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.is_rung.store(true, Ordering::Release);
        self.asker.wake();
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicUsize;

    use super::*;

    #[derive(Default)]
    struct Asker(AtomicUsize);

    impl Wake for Asker {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Asks once; says whether the question was passed on, and gives the waker that came with it.
    fn ask(bell: &Bell, asker: &Arc<Asker>, answer: Poll<()>) -> Option<Waker> {
        let (waker, mut passed_on) = (Waker::from(Arc::clone(asker)), None);
        let answered = bell.ask(&mut Context::from_waker(&waker), |cx| {
            passed_on = Some(cx.waker().clone());
            answer
        });
        assert_eq!(answered.is_ready(), passed_on.is_some() && answer.is_ready());
        passed_on
    }

    #[test]
    fn a_question_is_passed_on_once_and_then_only_for_a_reason() {
        let (bell, asker) = (Bell::new(), Arc::new(Asker::default()));
        let waker = ask(&bell, &asker, Poll::Pending).unwrap();
        assert!(ask(&bell, &asker, Poll::Pending).is_none());
        waker.wake_by_ref();
        assert_eq!(asker.0.load(Ordering::Relaxed), 1, "who asked is woken");
        assert!(ask(&bell, &asker, Poll::Pending).is_some());
        assert!(ask(&bell, &asker, Poll::Pending).is_none());
        bell.ring();
        assert!(ask(&bell, &asker, Poll::Pending).is_some(), "it was told something");
        assert_eq!(asker.0.load(Ordering::Relaxed), 1);
    }

    #[test]
    fn after_an_answer_it_is_asked_again() {
        let (bell, asker) = (Bell::new(), Arc::new(Asker::default()));
        assert!(ask(&bell, &asker, Poll::Ready(())).is_some());
        assert!(ask(&bell, &asker, Poll::Ready(())).is_some());
        assert!(ask(&bell, &asker, Poll::Pending).is_some());
        assert!(ask(&bell, &asker, Poll::Pending).is_none());
    }

    #[test]
    fn a_bell_that_rings_during_the_question_is_heard() {
        let (bell, asker) = (Bell::new(), Arc::new(Asker::default()));
        let waker = Waker::from(Arc::clone(&asker));
        let answer: Poll<()> = bell.ask(&mut Context::from_waker(&waker), |cx| {
            cx.waker().wake_by_ref();
            Poll::Pending
        });
        assert!(answer.is_pending());
        assert_eq!(asker.0.load(Ordering::Relaxed), 1);
        assert!(ask(&bell, &asker, Poll::Pending).is_some());
    }

    #[test]
    fn whoever_asked_last_is_woken() {
        let bell = Bell::new();
        let (first, second) = (Arc::new(Asker::default()), Arc::new(Asker::default()));
        let waker = ask(&bell, &first, Poll::Pending).unwrap();
        assert!(ask(&bell, &second, Poll::Pending).is_none());
        waker.wake();
        assert_eq!((first.0.load(Ordering::Relaxed), second.0.load(Ordering::Relaxed)), (0, 1));
    }
}
