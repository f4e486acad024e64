//! The network between simulated nodes: everything that a cable, a provider and a queue do to bytes.
//!
//! ```text
//!  Swarm ── SimTransport ── SimMuxer ── SimStream ── Pipe ──▶ Net::send ──▶ Calendar ──▶ the other side's Pipe
//!            dials, listens   one side     one end     bytes      when?       wakes
//! ```
//!
//! Noise, Yamux and TCP do not run. Their cost does: handshakes take their round trips, every write its headers and
//! acknowledgements ([`framing`]), and a node's links send one byte after another. A [partition](cuts) swallows what is sent across it, and TCP's patience
//! decides when it comes through after all. What a node's power loss looks like from outside is in [`connection`].
//!
//! Times are whole milliseconds; bandwidth is counted in microseconds and rounded up at the end.

mod calendar;
mod connection;
mod cuts;
mod framing;
mod latency;
mod line;
mod pipe;
mod stream;
mod tap;
#[cfg(test)]
mod tests;
mod traffic;
mod transport;

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex, MutexGuard, PoisonError, Weak},
};

use libp2p::{Multiaddr, PeerId, multiaddr::Protocol};
use tokio::sync::mpsc;

use self::{
    calendar::Calendar, connection::Connection, cuts::Cuts, framing::Framed, latency::Latency, line::Line, pipe::Pipe,
    traffic::Traffic, transport::Incoming,
};
use crate::{
    plan::{NodeIndex, Plan, VirtualMs},
    world::host::FixedMap,
};
pub(crate) use tap::{Speech, mark_of};
pub(crate) use transport::SimTransport;

/// Round trips until a connection is encrypted and multiplexed: TCP's, Noise's with its negotiation, Yamux'.
const HANDSHAKE_ROUND_TRIPS: u64 = 3;

/// Bytes that a handshake sends each way, all headers included: TCP's, Noise's, and what is said to agree on both and on
/// Yamux. Real nodes sent 700 to 740.
const HANDSHAKE_BYTES: u64 = 720;

/// How a node looks from outside.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Power {
    /// No answer at all.
    Off,
    /// The machine runs, the node does not: connections are refused.
    Idle,
    /// The node runs.
    On,
}

#[derive(Debug)]
struct Host {
    peer: PeerId,
    power: Power,
    behind_nat: bool,
    up: Line,
    down: Line,
    carried: Traffic,
    inbox: Option<mpsc::UnboundedSender<Incoming>>,
    connections: BTreeMap<u64, Weak<Connection>>,
}

#[derive(Debug)]
struct State {
    hosts: Vec<Host>,
    cuts: Cuts,
    stuck: Vec<Arc<Pipe>>,
    /// Frames that are counted, by their marks.
    watched: FixedMap<u64, u32>,
    copies: Vec<u32>,
    /// What was written, by what it was about, without any framing.
    written: BTreeMap<Speech, u64>,
    next_connection: u64,
    opened: u64,
    closed: u64,
}

/// The network. Cheap to clone.
#[derive(Clone, Debug)]
pub(crate) struct Net(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    latency: Latency,
    calendar: Calendar,
    state: Mutex<State>,
}

/// Where a node listens.
pub(crate) fn address(node: NodeIndex) -> Multiaddr {
    // Number 0 means "any" to libp2p.
    Protocol::Memory(u64::from(node.0) + 1).into()
}

fn node_at(address: &Multiaddr) -> Option<NodeIndex> {
    match address.iter().next()? {
        Protocol::Memory(number) => number.checked_sub(1).and_then(|index| u32::try_from(index).ok()).map(NodeIndex),
        _ => None,
    }
}

impl Net {
    /// Without nodes, with room for the copies of one message.
    #[cfg(test)]
    fn empty() -> Self {
        let law = crate::plan::LatencyLaw::Constant { ms: 1 };
        let state = State {
            hosts: Vec::new(),
            cuts: Cuts::new(0),
            stuck: Vec::new(),
            watched: FixedMap::default(),
            copies: vec![0],
            written: BTreeMap::new(),
            next_connection: 0,
            opened: 0,
            closed: 0,
        };
        Self(Arc::new(Inner {
            latency: Latency::new(0, crate::plan::LatencyPlan::Everywhere(law), Vec::new()),
            calendar: Calendar::default(),
            state: Mutex::new(state),
        }))
    }

    pub(crate) fn new(plan: &Plan, peers: &[PeerId]) -> Self {
        let regions = plan.nodes.iter().map(|node| node.region).collect();
        let hosts = plan.nodes.iter().zip(peers).map(|(node, peer)| Host {
            peer: *peer,
            power: Power::Off,
            behind_nat: node.behind_nat,
            up: Line::new(node.up_bytes_per_second),
            down: Line::new(node.down_bytes_per_second),
            carried: Traffic::default(),
            inbox: None,
            connections: BTreeMap::new(),
        });
        let state = State {
            hosts: hosts.collect(),
            cuts: Cuts::new(plan.nodes.len()),
            stuck: Vec::new(),
            watched: FixedMap::default(),
            copies: vec![0; plan.messages.len()],
            written: BTreeMap::new(),
            next_connection: 0,
            opened: 0,
            closed: 0,
        };
        Self(Arc::new(Inner {
            latency: Latency::new(plan.seed, plan.latency.clone(), regions),
            calendar: Calendar::default(),
            state: Mutex::new(state),
        }))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn calendar(&self) -> &Calendar {
        &self.0.calendar
    }

    /// Wakes whom bytes reach; never ends.
    pub(crate) async fn run(&self) {
        self.0.calendar.run().await;
    }

    fn one_way_ms(&self, from: NodeIndex, to: NodeIndex) -> u32 {
        self.0.latency.one_way_ms(from, to)
    }

    pub(crate) fn is_cut(&self, from: NodeIndex, to: NodeIndex) -> bool {
        self.state().cuts.is_cut(from, to)
    }

    fn is_up(&self, node: NodeIndex) -> bool {
        self.state().hosts.get(node.0 as usize).is_some_and(|host| host.power != Power::Off)
    }

    /// Sends what was framed over an open path; says when they arrive.
    fn send(&self, from: NodeIndex, to: NodeIndex, what: Framed, now: VirtualMs, latency_ms: u32) -> VirtualMs {
        let Framed { bytes: size, segments } = what;
        let mut state = self.state();
        let State { hosts, cuts, .. } = &mut *state;
        let now_us = now.0 * 1000;
        let mut at_us = now_us;
        if let Some(host) = hosts.get_mut(from.0 as usize) {
            host.carried.sent_bytes += size;
            host.carried.sent_packets += segments;
            at_us = host.up.carry(now_us, at_us, size);
        }
        at_us = cuts.throttle(from, to, size, now_us, at_us) + u64::from(latency_ms) * 1000;
        if let Some(host) = hosts.get_mut(to.0 as usize) {
            host.carried.received_bytes += size;
            at_us = host.down.carry(now_us, at_us, size);
        }
        VirtualMs(at_us.div_ceil(1000))
    }

    fn stuck(&self, pipe: Arc<Pipe>) {
        self.state().stuck.push(pipe);
    }

    /// What is stuck and need not be goes on its way.
    fn unstick(&self, now: VirtualMs) {
        let stuck = std::mem::take(&mut self.state().stuck);
        let still: Vec<_> = stuck.into_iter().filter(|pipe| pipe.is_still_stuck(now)).collect();
        self.state().stuck.extend(still);
    }

    /// Cuts all paths from the first nodes to the second.
    pub(crate) fn cut(&self, name: &str, from: &[NodeIndex], to: &[NodeIndex]) {
        self.state().cuts.cut(name, from, to);
    }

    /// Slows all paths between the first nodes and the second.
    pub(crate) fn throttle_between(&self, name: &str, from: &[NodeIndex], to: &[NodeIndex], bytes_per_second: u64) {
        self.state().cuts.slow(name, from, to, bytes_per_second);
    }

    /// Ends what was begun under this name; says whether there was anything.
    pub(crate) fn heal(&self, name: &str, now: VirtualMs) -> bool {
        let healed = self.state().cuts.heal(name);
        self.unstick(now);
        healed
    }

    /// Whether any partition is in force.
    pub(crate) fn is_whole(&self) -> bool {
        self.state().cuts.is_whole()
    }

    /// Resets all connections between two nodes; says how many.
    pub(crate) fn reset(&self, a: NodeIndex, b: NodeIndex, now: VirtualMs) -> usize {
        let connections = self.connections(a);
        let between: Vec<_> = connections.iter().filter(|connection| connection.is_between(a, b)).collect();
        for connection in &between {
            connection.reset(now);
        }
        between.len()
    }

    /// How many other nodes a node is connected to.
    pub(crate) fn neighbours(&self, node: NodeIndex) -> u32 {
        let now = crate::world::time::now();
        let connections = self.connections(node);
        let others: BTreeSet<_> =
            connections.iter().filter_map(|connection| connection.other_if_alive(node, now)).collect();
        u32::try_from(others.len()).unwrap_or(u32::MAX)
    }

    fn connections(&self, node: NodeIndex) -> Vec<Arc<Connection>> {
        let mut state = self.state();
        let Some(host) = state.hosts.get_mut(node.0 as usize) else { return Vec::new() };
        host.connections.retain(|_, connection| connection.strong_count() > 0);
        host.connections.values().filter_map(Weak::upgrade).collect()
    }

    /// A node runs from now on, or not.
    pub(crate) fn set_power(&self, node: NodeIndex, power: Power) {
        if let Some(host) = self.state().hosts.get_mut(node.0 as usize) {
            host.power = power;
            if power != Power::On {
                host.inbox = None;
            }
        }
        self.unstick(crate::world::time::now());
    }

    /// A node loses power: its connections hear nothing more.
    pub(crate) fn vanish(&self, node: NodeIndex) {
        self.set_power(node, Power::Off);
        for connection in self.connections(node) {
            connection.vanish(node);
        }
    }

    fn listen(&self, node: NodeIndex) -> Option<mpsc::UnboundedReceiver<Incoming>> {
        let mut state = self.state();
        let host = state.hosts.get_mut(node.0 as usize)?;
        // Bounded by the dials under way, each of which brings one.
        let (sender, receiver) = mpsc::unbounded_channel();
        host.inbox = Some(sender);
        Some(receiver)
    }

    /// What a dial finds now.
    fn reach(&self, from: NodeIndex, to: NodeIndex) -> Reach {
        let state = self.state();
        match state.hosts.get(to.0 as usize) {
            Some(host) if host.power != Power::Off && !host.behind_nat && from != to => {
                if state.cuts.is_cut(from, to) || state.cuts.is_cut(to, from) {
                    Reach::Silence
                } else if host.power == Power::On && host.inbox.is_some() {
                    Reach::Open
                } else {
                    Reach::Refused
                }
            }
            _ => Reach::Silence,
        }
    }

    /// Connects two nodes, both of which run. Gives the dialler's side; the listener finds its own in its inbox.
    fn connect(&self, from: NodeIndex, to: NodeIndex, now: VirtualMs) -> Option<(PeerId, Arc<Connection>)> {
        let connection = Arc::new(Connection::new(self.clone(), from, to));
        let mut state = self.state();
        let id = state.next_connection;
        state.next_connection += 1;
        state.opened += 1;
        let dialler = state.hosts.get(from.0 as usize)?.peer;
        let host = state.hosts.get_mut(to.0 as usize)?;
        let peer = host.peer;
        let incoming = Incoming { peer: dialler, from, connection: Arc::clone(&connection) };
        host.inbox.as_ref()?.send(incoming).ok()?;
        host.connections.insert(id, Arc::downgrade(&connection));
        state.hosts.get_mut(from.0 as usize)?.connections.insert(id, Arc::downgrade(&connection));
        drop(state);
        let packet = |bytes| Framed { bytes, segments: 1 };
        self.send(from, to, packet(HANDSHAKE_BYTES), now, 0);
        self.send(to, from, packet(HANDSHAKE_BYTES), now, 0);
        Some((peer, connection))
    }

    fn closed(&self) {
        self.state().closed += 1;
    }

    /// Connections made, and ends of connections closed, so far.
    pub(crate) fn connection_counts(&self) -> (u64, u64) {
        let state = self.state();
        (state.opened, state.closed)
    }
}

/// What a dial finds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Reach {
    Open,
    Refused,
    Silence,
}
