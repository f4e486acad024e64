//! The life of a simulated node: it starts, stops, crashes, loses its disk, and starts again.
//!
//! What runs is the production node: [`Node::assemble`] with the production swarm over a simulated transport, the
//! production relay and driver, and the memory store. What outlives a crash is its disk, its key, and its clock. A node
//! that means harm is the same with a hostile rim (`adversary`).

use std::{sync::Arc, time::Duration};

use griot_node::{
    api::Inside,
    identity::Identity,
    metrics::Metrics,
    network::{self, Behaviour, COMMANDS_MAX, NetworkConfig, NetworkMetrics, Setup},
    relay,
    runtime::{Handle, Host, NetworkSide, Node, Parts},
    store::{MemoryStore, Store},
};
use griot_protocol::NetworkParams;
use libp2p::{Multiaddr, Swarm, Transport, multiaddr::Protocol};
use tokio::{sync::mpsc, task::JoinHandle};

use super::{
    World,
    adversary::{self, Rim, View},
    bugs::{Bug, FlawedStore},
    disk::Disk,
    host::SimHost,
    invariants::Law,
    net::{Power, SimTransport, address},
    seeds,
    time::now,
    trace::Short,
};
use crate::plan::{NodeFate, NodeIndex, PersonIndex, VirtualMs};

/// One node of the plan.
pub(crate) struct Slot {
    pub identity: Identity,
    pub host: Arc<SimHost>,
    pub disk: Arc<Disk>,
    /// Its `--peer`s.
    pub peers: Vec<NodeIndex>,
    /// Whose home it is.
    pub members: Vec<PersonIndex>,
    pub running: Option<Running>,
    /// What still has to end before it can start again.
    stopping: Option<JoinHandle<()>>,
    /// Gone for ever.
    pub dead: bool,
    starts: u64,
    stores: u64,
    /// Envelopes that it answered "accepted" to, and when they expire.
    pub acknowledged: Vec<(griot_protocol::RecordId, VirtualMs)>,
    pub fate: NodeFate,
}

/// A node that runs.
pub(crate) struct Running {
    node: Node,
    /// Its API, once a client has asked for it. It ends with it.
    inside: Option<Arc<Inside>>,
    since: VirtualMs,
}

impl std::fmt::Debug for Slot {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Slot").field("identity", &self.identity).finish_non_exhaustive()
    }
}

impl Slot {
    pub(crate) fn new(identity: Identity, host: Arc<SimHost>, disk: Disk) -> Self {
        Self {
            identity,
            host,
            disk: Arc::new(disk),
            peers: Vec::new(),
            members: Vec::new(),
            running: None,
            stopping: None,
            dead: false,
            starts: 0,
            stores: 0,
            acknowledged: Vec::new(),
            fate: NodeFate::default(),
        }
    }
}

/// Why a node does not run in the simulator. None of these happens with a plan that was checked.
#[derive(Debug, thiserror::Error)]
pub enum NodeError {
    /// libp2p refused.
    #[error("libp2p: {0}")]
    Network(String),
    /// The node refused.
    #[error(transparent)]
    Start(#[from] griot_node::runtime::StartError),
    /// The store refused.
    #[error(transparent)]
    Store(#[from] griot_node::store::StoreError),
}

impl World {
    /// How a person's client speaks to a node; nothing while it does not run.
    pub(crate) fn handle(&self, node: NodeIndex) -> Option<Handle> {
        self.slot(node).running.as_ref().map(|running| running.node.handle())
    }

    /// A node's API, as full clients use it; nothing while the node does not run. (Made when it is first asked for: it
    /// draws a secret, and where nobody has a full client that would be another run.)
    pub(crate) fn inside(&self, node: NodeIndex) -> Option<Arc<Inside>> {
        let mut slot = self.slot(node);
        let running = slot.running.as_mut()?;
        if running.inside.is_none() {
            running.inside = Inside::new(running.node.handle(), self.metrics.clone()).ok().map(Arc::new);
        }
        running.inside.clone()
    }

    /// A node starts, as soon as it has ended what it was doing.
    pub(crate) fn start_node(self: &Arc<Self>, node: NodeIndex) {
        let stopping = {
            let mut slot = self.slot(node);
            if slot.dead || (slot.running.is_some() && slot.stopping.is_none()) {
                return;
            }
            slot.stopping.take()
        };
        match stopping {
            Some(stopping) if !stopping.is_finished() => {
                let world = Arc::clone(self);
                tokio::spawn(async move {
                    let _ = stopping.await;
                    world.start_now(node);
                });
            }
            _ => self.start_now(node),
        }
    }

    fn start_now(self: &Arc<Self>, node: NodeIndex) {
        let may_start = {
            let slot = self.slot(node);
            !slot.dead && slot.running.is_none()
        };
        if !may_start {
            return;
        }
        if let Err(error) = self.try_start(node) {
            self.note(format_args!("n{} does not start: {error}", node.0));
            self.ledger.state().count(("node_failed_to_start", "", ""), 1);
            self.net.set_power(node, Power::Idle);
            return;
        }
        self.note(format_args!("n{} starts", node.0));
        let members = self.slot(node).members.clone();
        for person in members {
            self.open_session(person, node);
        }
    }

    fn try_start(&self, index: NodeIndex) -> Result<(), NodeError> {
        let mut slot = self.slot(index);
        slot.starts += 1;
        if slot.starts > 1
            && let Some(restarted) = slot.disk.restarted(&self.params.name)?
        {
            slot.disk = Arc::new(restarted);
        }
        let start = seeds::number(self.plan.seed, "start", u64::from(index.0) << 32 | slot.starts);
        let store: Arc<dyn Store> = slot.disk.store.clone();
        let side = self.start_network(index, &slot, start)?;
        let mut relay = relay::Config::new(self.params.clone(), slot.identity.node_id());
        relay.limits = self.limits;
        let parts = Parts {
            store,
            warnings: Vec::new(),
            identity: slot.identity.clone(),
            relay,
            seed: seeds::bytes(start, "relay", 0),
            host: slot.host.clone() as Arc<dyn Host>,
            metrics: self.metrics.clone(),
        };
        let disk = Arc::clone(&slot.disk);
        let node = Node::assemble(parts, side, |done| Ok(disk.start(done)))?;
        slot.running = Some(Running { node, inside: None, since: now() });
        Ok(())
    }

    fn start_network(&self, index: NodeIndex, slot: &Slot, seed: u64) -> Result<NetworkSide, NodeError> {
        let config = NetworkConfig {
            listen: vec![address(index)],
            peers: slot.peers.iter().map(|peer| self.full_address(*peer)).collect(),
            discovery: self.plan.discovery,
            mdns: false,
            nat: None,
            ..NetworkConfig::new(self.params.clone())
        };
        let failed = |error: &dyn std::fmt::Display| NodeError::Network(error.to_string());
        let behaviour = Behaviour::new(&config, &slot.identity, None).map_err(|error| failed(&error))?;
        let transport = SimTransport::new(self.net.clone(), index).boxed();
        let mut swarm = Swarm::new(transport, behaviour, slot.identity.peer_id(), network::swarm_config());
        self.net.set_power(index, Power::On);
        swarm.listen_on(address(index)).map_err(|error| failed(&error))?;
        let (events_in, events) = NetworkSide::events();
        let (commands, commands_out) = mpsc::channel(COMMANDS_MAX);
        let setup = Setup {
            config,
            remembered: slot.disk.store.remembered_peers()?,
            seed: seeds::number(seed, "network", 0),
            metrics: NetworkMetrics::default(),
        };
        let run = network::run(swarm, setup, commands_out, events_in);
        let view = View { params: self.params.clone(), store: Arc::clone(&slot.disk.store) };
        let conduct = &self.plan.nodes[index.0 as usize].conduct;
        let Some(adversary) = adversary::for_conduct(conduct, seeds::number(seed, "adversary", 0), view, now()) else {
            return Ok(NetworkSide { commands, events, task: tokio::spawn(run) });
        };
        let (rim, side) = Rim::new(adversary, Arc::clone(&slot.host), commands, events);
        let task = tokio::spawn(rim.run_beside(run));
        Ok(NetworkSide { commands: side.commands, events: side.events, task })
    }

    fn full_address(&self, node: NodeIndex) -> Multiaddr {
        address(node).with(Protocol::P2p(self.peers[node.0 as usize]))
    }

    /// A node stops in order.
    pub(crate) fn stop_node(self: &Arc<Self>, node: NodeIndex) {
        let Some(running) = self.take_running(node) else { return };
        let world = Arc::clone(self);
        let task = tokio::spawn(async move {
            running.node.shutdown().await;
            // Only unless it was cut off meanwhile.
            let is_idle = {
                let slot = world.slot(node);
                slot.running.is_none() && !slot.dead
            };
            if is_idle {
                world.net.set_power(node, Power::Idle);
            }
            world.note(format_args!("n{} has stopped", node.0));
        });
        self.slot(node).stopping = Some(task);
    }

    /// A node loses power. Where it was running, what was on its way to its disk may have got there or not.
    pub(crate) fn crash_node(&self, node: NodeIndex) {
        let running = self.take_running(node);
        let was_stopping = self.slot(node).stopping.take();
        let Some(running) = running else {
            if let Some(task) = was_stopping {
                task.abort();
            }
            self.net.vanish(node);
            return;
        };
        self.net.vanish(node);
        running.node.abort();
        let mut slot = self.slot(node);
        slot.fate.crashes += 1;
        let draw = seeds::number(self.plan.seed, "platter", u64::from(node.0) << 32 | u64::from(slot.fate.crashes));
        let survived = slot.disk.lose_power(draw & 1 == 0).unwrap_or_default();
        drop(slot);
        self.note(format_args!("n{} loses power; {survived} commits reach its disk after all", node.0));
        self.check_acknowledged(node);
    }

    fn take_running(&self, node: NodeIndex) -> Option<Running> {
        let (running, members) = {
            let mut slot = self.slot(node);
            let mut running = slot.running.take()?;
            running.inside = None;
            slot.fate.up_ms += now().0 - running.since.0;
            (running, slot.members.clone())
        };
        for person in members {
            self.close_session(person, node);
        }
        Some(running)
    }

    /// All that was answered "accepted" is still there, or was collected.
    fn check_acknowledged(&self, node: NodeIndex) {
        let slot = self.slot(node);
        let mut ledger = self.ledger.state();
        for (id, expires) in &slot.acknowledged {
            if *expires <= now() {
                continue;
            }
            let is_there = matches!(slot.disk.store.row(id), Ok(Some(_)));
            ledger.invariants.check(Law::AcknowledgedSurvivesCrash, is_there, || {
                format!("node {} had accepted {} and lost it in a crash at {} ms", node.0, Short(&id.0), now().0)
            });
        }
    }

    /// A node and its disk are gone for ever.
    pub(crate) fn kill_node(&self, node: NodeIndex) {
        self.crash_node(node);
        let mut slot = self.slot(node);
        slot.dead = true;
        self.empty_disk(&mut slot);
        drop(slot);
        self.note(format_args!("n{} is gone for ever", node.0));
    }

    /// A node loses its store and goes on with an empty one.
    pub(crate) fn lose_store(self: &Arc<Self>, node: NodeIndex) {
        let was_running = self.slot(node).running.is_some();
        self.crash_node(node);
        let members = {
            let mut slot = self.slot(node);
            self.empty_disk(&mut slot);
            slot.members.clone()
        };
        for person in members {
            let mut state = self.people.person(person);
            state.registered.retain(|(at, _)| *at != node);
            for outgoing in state.outgoing.values_mut().filter(|outgoing| outgoing.at == Some(node)) {
                outgoing.stored = false;
            }
        }
        self.note(format_args!("n{} loses its store", node.0));
        if was_running {
            self.start_node(node);
        }
    }

    fn empty_disk(&self, slot: &mut Slot) {
        slot.stores += 1;
        slot.acknowledged.clear();
        slot.disk = Arc::new(new_disk(&self.params, slot.stores + 1, self.fsync(), self.bug, &slot.host));
    }

    /// Notes what a node has reached by now.
    pub(crate) fn sample_node(&self, node: NodeIndex) -> bool {
        let mut slot = self.slot(node);
        let totals = slot.disk.store.totals();
        slot.fate.records = totals.records;
        slot.fate.records_max = slot.fate.records_max.max(totals.records);
        slot.fate.stored_bytes_max = slot.fate.stored_bytes_max.max(totals.bytes);
        slot.running.is_some()
    }

    /// What a node did, up to now.
    pub(crate) fn fate_of(&self, node: NodeIndex) -> NodeFate {
        let traffic = self.net.traffic(node);
        let slot = self.slot(node);
        let mut fate = slot.fate.clone();
        fate.up_ms += slot.running.as_ref().map_or(0, |running| now().0 - running.since.0);
        fate.sent_bytes = traffic.sent_bytes;
        fate.received_bytes = traffic.received_bytes;
        fate.peers = self.net.neighbours(node);
        fate
    }
}

/// An empty disk, sound unless a test wants it otherwise.
pub(super) fn new_disk(
    params: &NetworkParams,
    epoch: u64,
    fsync: Duration,
    bug: Option<Bug>,
    host: &Arc<SimHost>,
) -> Disk {
    match bug {
        None => Disk::new(MemoryStore::new(params.bits).with_epoch(epoch), fsync),
        Some(bug) => Disk::flawed(FlawedStore::new(bug, Arc::clone(host), params.bits, epoch), fsync),
    }
}

/// The metrics that all nodes share: what they count is summed over all of them.
pub(crate) fn shared_metrics() -> Metrics {
    Metrics::new(&mut prometheus_client::registry::Registry::default())
}
