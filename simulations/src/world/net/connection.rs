//! One connection between two nodes: its two sides, what each knows of the other's end, and how it breaks.
//!
//! A connection ends for one side at a time, as real ones do. Closing tells the other side one latency later, unless a
//! partition or a power loss is in between: then it hears nothing, and finds out by its own pings. A node that comes
//! back after a power loss knows nothing of its old connections and resets them when it is written to.

use std::{
    collections::VecDeque,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    task::Waker,
};

use super::{
    Net,
    calendar::Due,
    framing::{Framed, Framing, YAMUX_PING_BYTES},
    pipe::{Pipe, remember},
    stream::SimStream,
};
use crate::plan::{NodeIndex, VirtualMs};

/// Which end of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Side {
    /// The node that dialled.
    Dialler,
    /// The node that was dialled.
    Listener,
}

impl Side {
    pub(crate) const fn other(self) -> Self {
        match self {
            Self::Dialler => Self::Listener,
            Self::Listener => Self::Dialler,
        }
    }

    const fn index(self) -> usize {
        self as usize
    }
}

#[derive(Debug, Default)]
struct End {
    /// Substreams that the other side opened, in order. Known here only when something of them has arrived.
    inbound: VecDeque<SimStream>,
    waker: Option<Waker>,
    /// Since when bytes that this side sent wait behind a partition.
    stuck_since: Option<VirtualMs>,
    /// No byte may overtake another.
    last_arrival: VirtualMs,
    framing: Framing,
}

/// One connection between two nodes.
#[derive(Debug)]
pub(crate) struct Connection {
    net: Net,
    nodes: [NodeIndex; 2],
    latency_ms: [u32; 2],
    /// Sides that are gone without a word: their node lost power.
    vanished: [AtomicBool; 2],
    /// Sides that have closed or been reset.
    left: [AtomicBool; 2],
    /// When each side hears that the connection is over, milliseconds: asked at every poll of every substream.
    over_at_ms: [AtomicU64; 2],
    ends: [Mutex<End>; 2],
}

impl Connection {
    pub(crate) fn new(net: Net, dialler: NodeIndex, listener: NodeIndex) -> Self {
        let latency_ms = [net.one_way_ms(dialler, listener), net.one_way_ms(listener, dialler)];
        Self {
            net,
            nodes: [dialler, listener],
            latency_ms,
            vanished: Default::default(),
            left: Default::default(),
            over_at_ms: [const { AtomicU64::new(u64::MAX) }; 2],
            ends: Default::default(),
        }
    }

    pub(crate) const fn net(&self) -> &Net {
        &self.net
    }

    fn end(&self, side: Side) -> MutexGuard<'_, End> {
        self.ends[side.index()].lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn node(&self, side: Side) -> NodeIndex {
        self.nodes[side.index()]
    }

    /// Whether it is one between these two.
    pub(crate) fn is_between(&self, a: NodeIndex, b: NodeIndex) -> bool {
        self.nodes == [a, b] || self.nodes == [b, a]
    }

    /// The node at the other end, while this one takes the connection for alive.
    pub(crate) fn other_if_alive(&self, node: NodeIndex, now: VirtualMs) -> Option<NodeIndex> {
        let side = [Side::Dialler, Side::Listener].into_iter().find(|side| self.node(*side) == node)?;
        let alive = !self.has_vanished(side) && !self.is_over_for(side, now);
        alive.then(|| self.node(side.other()))
    }

    fn has_left(&self, side: Side) -> bool {
        self.left[side.index()].load(Ordering::Relaxed)
    }

    /// Whether this side's node has lost power: what it does not do, nobody notices.
    pub(crate) fn has_vanished(&self, side: Side) -> bool {
        self.vanished[side.index()].load(Ordering::Relaxed)
    }

    /// Whether nobody uses it any more.
    pub(crate) fn is_over(&self) -> bool {
        [Side::Dialler, Side::Listener].into_iter().all(|side| self.has_left(side) || self.has_vanished(side))
    }

    /// Sends so many bytes from a side; says when they arrive. `None`: they wait behind a partition, or nobody is there
    /// to hear them.
    pub(crate) fn transmit(self: &Arc<Self>, from: Side, bytes: usize, now: VirtualMs) -> Option<VirtualMs> {
        let (here, there) = (self.node(from), self.node(from.other()));
        let mut end = self.end(from);
        if self.has_vanished(from) {
            return None;
        }
        if self.has_vanished(from.other()) {
            drop(end);
            self.answer_of_the_dead(from, now);
            return None;
        }
        if end.stuck_since.is_some() || self.net.is_cut(here, there) {
            end.stuck_since.get_or_insert(now);
            self.net.count_lost(here, bytes);
            return None;
        }
        let latency_ms = self.latency_ms[from.index()];
        let framed = Framed::write(bytes);
        let at = self.net.send(here, there, framed, now, latency_ms).max(end.last_arrival);
        end.last_arrival = at;
        let their_acks = end.framing.acks_before(now, false);
        end.framing.arrives(at, framed.segments);
        let pings = end.framing.yamux_pings(now);
        drop(end);
        self.net.count_acks(there, here, their_acks);
        self.net.count_acks(here, there, self.end(from.other()).framing.acks_before(now, true));
        if pings {
            self.net.count_aside(here, there, 1, YAMUX_PING_BYTES);
            self.net.count_aside(there, here, 1, YAMUX_PING_BYTES);
            self.net.count_acks(here, there, 1);
        }
        Some(at)
    }

    /// A node that is up again does not know the connection and says so; one that is off says nothing.
    fn answer_of_the_dead(self: &Arc<Self>, asker: Side, now: VirtualMs) {
        let (here, there) = (self.node(asker), self.node(asker.other()));
        if self.net.is_up(there) && !self.net.is_cut(here, there) && !self.net.is_cut(there, here) {
            let round_trip: u32 = self.latency_ms.iter().sum();
            self.tell_over(asker, VirtualMs(now.0 + u64::from(round_trip)));
        }
    }

    /// The path is open again: when do the bytes arrive that wait? TCP tries again after 0.2 s, 0.6 s, 1.4 s, …, so the
    /// longer it has waited, the longer it goes on waiting.
    pub(crate) fn retransmit(&self, from: Side, now: VirtualMs) -> Option<VirtualMs> {
        const FIRST_RETRY_MS: u64 = 200;
        let (here, there) = (self.node(from), self.node(from.other()));
        if self.has_vanished(from.other()) || self.net.is_cut(here, there) {
            return None;
        }
        let mut end = self.end(from);
        if let Some(since) = end.stuck_since.take() {
            let (mut wait, mut retry) = (FIRST_RETRY_MS, since.0 + FIRST_RETRY_MS);
            while retry < now.0 {
                wait *= 2;
                retry += wait;
            }
            let at = VirtualMs(retry + u64::from(self.latency_ms[from.index()]));
            end.last_arrival = end.last_arrival.max(at);
        }
        Some(end.last_arrival)
    }

    /// A new substream, opened by `side`; the other side learns of it with its first bytes.
    pub(crate) fn open(self: &Arc<Self>, side: Side) -> SimStream {
        let there = Arc::new(Pipe::new(Arc::clone(self), side));
        let back = Arc::new(Pipe::new(Arc::clone(self), side.other()));
        let theirs = SimStream::new(Arc::clone(self), side.other(), Arc::clone(&there), Arc::clone(&back));
        self.end(side.other()).inbound.push_back(theirs);
        SimStream::new(Arc::clone(self), side, back, there)
    }

    /// The next substream that `side` has learned of.
    pub(crate) fn accept(&self, side: Side, now: VirtualMs) -> Option<SimStream> {
        let mut end = self.end(side);
        let index = end.inbound.iter().position(|stream| stream.has_arrived(now))?;
        end.inbound.remove(index)
    }

    /// Whom to wake when something happens at `side`.
    pub(crate) fn watch(&self, side: Side, waker: &Waker) {
        remember(&mut self.end(side).waker, waker);
    }

    pub(crate) fn wake(&self, side: Side) {
        if let Some(waker) = self.end(side).waker.take() {
            waker.wake();
        }
    }

    /// Whether `side` has heard that the connection is over.
    pub(crate) fn is_over_for(&self, side: Side, now: VirtualMs) -> bool {
        self.has_left(side) || self.over_at_ms[side.index()].load(Ordering::Relaxed) <= now.0
    }

    /// `side` closes; the other hears of it one latency later.
    pub(crate) fn leave(self: &Arc<Self>, side: Side, now: VirtualMs) {
        if self.left[side.index()].swap(true, Ordering::Relaxed) || self.has_vanished(side) {
            return;
        }
        let unopened: Vec<SimStream> = self.end(side).inbound.drain(..).collect();
        drop(unopened);
        if let Some(at) = self.transmit(side, 0, now) {
            self.tell_over(side.other(), at);
        }
        self.net.closed();
    }

    /// `side`'s node loses power: nobody is told.
    pub(crate) fn vanish(&self, node: NodeIndex) {
        for side in [Side::Dialler, Side::Listener] {
            if self.node(side) == node {
                self.vanished[side.index()].store(true, Ordering::Relaxed);
                let unopened: Vec<SimStream> = self.end(side).inbound.drain(..).collect();
                drop(unopened);
            }
        }
    }

    /// Both sides hear at once that it is over.
    pub(crate) fn reset(self: &Arc<Self>, now: VirtualMs) {
        for side in [Side::Dialler, Side::Listener] {
            self.tell_over(side, VirtualMs(now.0 + 1));
        }
    }

    fn tell_over(self: &Arc<Self>, side: Side, at: VirtualMs) {
        if self.over_at_ms[side.index()].fetch_min(at.0, Ordering::Relaxed) <= at.0 {
            return;
        }
        self.net.calendar().enter(at, Arc::new(Over { connection: Arc::clone(self), side }));
    }
}

/// A side hears that its connection is over.
struct Over {
    connection: Arc<Connection>,
    side: Side,
}

impl Due for Over {
    fn due(&self, _now: VirtualMs) {
        self.connection.wake(self.side);
    }
}
