//! Dialling and listening, as libp2p sees them.

use std::{
    future::{Future, Ready, ready},
    io,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use libp2p::{
    Multiaddr, PeerId, Transport,
    core::{
        muxing::StreamMuxerBox,
        transport::{DialOpts, ListenerId, TransportError, TransportEvent},
    },
};
use tokio::sync::mpsc;

use super::{
    HANDSHAKE_ROUND_TRIPS, Net, Reach, address,
    connection::{Connection, Side},
    node_at,
    stream::SimMuxer,
};
use crate::{plan::NodeIndex, world::time::now};

/// When TCP sends its first packet again to somebody who does not answer, after which the dial has failed: the node's
/// own limit for a handshake is 15 s.
const SYN_RETRIES_MS: [u64; 4] = [1_000, 2_000, 4_000, 8_000];

/// Somebody has connected.
#[derive(Debug)]
pub(crate) struct Incoming {
    pub peer: PeerId,
    pub from: NodeIndex,
    pub connection: Arc<Connection>,
}

/// The transport of one run of one node.
#[derive(Debug)]
pub(crate) struct SimTransport {
    net: Net,
    node: NodeIndex,
    listener: Option<Listener>,
}

#[derive(Debug)]
struct Listener {
    id: ListenerId,
    inbox: mpsc::UnboundedReceiver<Incoming>,
    announced: bool,
}

type Output = (PeerId, StreamMuxerBox);

impl SimTransport {
    pub(crate) const fn new(net: Net, node: NodeIndex) -> Self {
        Self { net, node, listener: None }
    }
}

async fn dial(net: Net, from: NodeIndex, to: NodeIndex) -> io::Result<Output> {
    let round_trip_ms = u64::from(net.one_way_ms(from, to)) + u64::from(net.one_way_ms(to, from));
    let mut retries = SYN_RETRIES_MS.into_iter();
    loop {
        match net.reach(from, to) {
            Reach::Open => {
                tokio::time::sleep(Duration::from_millis(round_trip_ms * HANDSHAKE_ROUND_TRIPS)).await;
                // A partition or a crash in the middle of a handshake ends it.
                if net.reach(from, to) == Reach::Open
                    && let Some((peer, connection)) = net.connect(from, to, now())
                {
                    return Ok((peer, StreamMuxerBox::new(SimMuxer::new(connection, Side::Dialler))));
                }
                return Err(io::ErrorKind::ConnectionReset.into());
            }
            Reach::Refused => {
                tokio::time::sleep(Duration::from_millis(round_trip_ms)).await;
                return Err(io::ErrorKind::ConnectionRefused.into());
            }
            Reach::Silence => match retries.next() {
                Some(wait_ms) => tokio::time::sleep(Duration::from_millis(wait_ms)).await,
                None => return Err(io::ErrorKind::TimedOut.into()),
            },
        }
    }
}

impl Transport for SimTransport {
    type Output = Output;
    type Error = io::Error;
    type ListenerUpgrade = Ready<io::Result<Output>>;
    type Dial = Pin<Box<dyn Future<Output = io::Result<Output>> + Send>>;

    fn listen_on(&mut self, id: ListenerId, at: Multiaddr) -> Result<(), TransportError<io::Error>> {
        if at != address(self.node) || self.listener.is_some() {
            return Err(TransportError::MultiaddrNotSupported(at));
        }
        let inbox = self.net.listen(self.node).ok_or(TransportError::MultiaddrNotSupported(at))?;
        self.listener = Some(Listener { id, inbox, announced: false });
        Ok(())
    }

    fn remove_listener(&mut self, id: ListenerId) -> bool {
        let is_ours = self.listener.as_ref().is_some_and(|listener| listener.id == id);
        if is_ours {
            self.listener = None;
        }
        is_ours
    }

    fn dial(&mut self, at: Multiaddr, _: DialOpts) -> Result<Self::Dial, TransportError<io::Error>> {
        match node_at(&at) {
            Some(to) => Ok(Box::pin(dial(self.net.clone(), self.node, to))),
            None => Err(TransportError::MultiaddrNotSupported(at)),
        }
    }

    fn poll(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<TransportEvent<Self::ListenerUpgrade, io::Error>> {
        let node = self.node;
        let Some(listener) = &mut self.listener else { return Poll::Pending };
        let listener_id = listener.id;
        if !std::mem::replace(&mut listener.announced, true) {
            return Poll::Ready(TransportEvent::NewAddress { listener_id, listen_addr: address(node) });
        }
        match listener.inbox.poll_recv(context) {
            Poll::Ready(Some(Incoming { peer, from, connection })) => {
                let muxer = StreamMuxerBox::new(SimMuxer::new(connection, Side::Listener));
                Poll::Ready(TransportEvent::Incoming {
                    listener_id,
                    upgrade: ready(Ok((peer, muxer))),
                    local_addr: address(node),
                    send_back_addr: address(from),
                })
            }
            Poll::Ready(None) | Poll::Pending => Poll::Pending,
        }
    }
}
