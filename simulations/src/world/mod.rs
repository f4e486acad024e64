//! The world: real Griot nodes, hundreds or thousands of them, in one thread, in virtual time, from one seed.
//!
//! # How it works
//!
//! A run is a pure function of its [`Plan`]. Four things would make it otherwise, and each is taken away:
//!
//! | what | how |
//! |---|---|
//! | time | tokio's clock is paused and jumps to the next timer when nothing is left to do; `std::time` follows it (`time`) |
//! | entropy | every random byte on this thread is drawn from the seed (`griot_virtual_host`) |
//! | threads | there is one; the writer thread is a task (`disk`) |
//! | the network | bytes arrive when the plan's latencies, bandwidths and partitions say (`net`) |
//!
//! Everything else is the production code: the swarm with gossipsub, kad, identify, ping and request-response, the
//! driver, the relay, sync, signatures. `node/` knows nothing of the simulator; it is put together of parts
//! ([`Node::assemble`](griot_node::runtime::Node::assemble)), and here some of the parts are others.
//!
//! ```text
//!   plan ─▶ timeline ─┬─▶ nodes    start, stop, crash             ┐
//!                     ├─▶ net      cut, heal, throttle, reset      ├─▶ ledger ─▶ recording
//!                     ├─▶ people   write, read, ack                │     └─▶ trace hash
//!                     └─▶ clients  invite, encrypt, show            ┘
//! ```
//!
//! # One run, one process
//!
//! The same plan gives the same trace hash in every fresh process. Within one process a second run differs, because
//! libp2p numbers its connections over the whole process and the order of its hash maps depends on the numbers. So the
//! simulator makes one run per process, and sweeps start processes.

mod adversary;
mod bugs;
mod checks;
mod clients;
mod disk;
mod host;
mod invariants;
mod ledger;
mod net;
mod nodes;
mod people;
mod seeds;
mod time;
mod timeline;
mod trace;

use std::{
    collections::BTreeMap,
    fmt, io,
    sync::{Arc, Mutex, MutexGuard, PoisonError, atomic::AtomicU64},
    time::Duration,
};

use griot_node::{identity::Identity, metrics::Metrics, relay::Limits, store::MemberId};
use griot_protocol::{NetworkName, NetworkParams, NodeId, RecordId, ShardBits, Timestamp};
use libp2p::PeerId;

use self::{
    clients::Clients,
    host::{Checked, SimHost, WallClock},
    ledger::Ledger,
    net::{Net, Speech},
    nodes::Slot,
    people::People,
};
use crate::{
    plan::{Conduct, Listener, MessageIndex, NodeIndex, PersonIndex, Plan, Recording, VirtualMs},
    scenario::limits::{ADVERSARY_PER_SECOND_MAX, FULL_CLIENTS_MAX},
};

#[doc(hidden)]
pub use self::bugs::Bug;
pub use self::nodes::NodeError;

/// The name of the simulated network.
const NETWORK: &str = "simulated";

/// Why a plan cannot be run.
#[derive(Debug, thiserror::Error)]
pub enum WorldError {
    /// It contradicts itself.
    #[error("the plan is not consistent: {0}")]
    Plan(String),
    /// The system gave no thread or no runtime.
    #[error("virtual time cannot begin: {0}")]
    Time(#[from] io::Error),
}

/// Everything that there is in a run.
#[derive(Debug)]
pub(crate) struct World {
    pub plan: Plan,
    pub params: NetworkParams,
    pub limits: Limits,
    pub metrics: Metrics,
    pub net: Net,
    pub ledger: Arc<Ledger>,
    pub people: People,
    pub clients: Clients,
    pub peers: Vec<PeerId>,
    slots: Vec<Mutex<Slot>>,
    /// Envelopes whose ack a home has accepted, and when it first did.
    pub acked: Mutex<BTreeMap<RecordId, VirtualMs>>,
    /// When the plan last disturbed anything, milliseconds.
    pub quiet_since: AtomicU64,
    /// What a test has broken in every node.
    bug: Option<Bug>,
}

/// Runs a plan to its end, or until `listener` says that it is enough.
///
/// It runs on a thread of its own, in virtual time. Make one run per process: see the [module](self).
///
/// # Errors
/// [`WorldError`].
pub fn run(plan: &Plan, listener: &mut (dyn Listener + Send)) -> Result<Recording, WorldError> {
    run_as(plan, listener, None)
}

/// Runs a plan with a [`Bug`] in every node, so that a test can see the invariants catch it. Nothing else calls this.
///
/// # Errors
/// [`WorldError`].
#[doc(hidden)]
pub fn run_with_bug(plan: &Plan, listener: &mut (dyn Listener + Send), bug: Bug) -> Result<Recording, WorldError> {
    run_as(plan, listener, Some(bug))
}

fn run_as(plan: &Plan, listener: &mut (dyn Listener + Send), bug: Option<Bug>) -> Result<Recording, WorldError> {
    check(plan)?;
    let epoch = Duration::from_secs(plan.epoch_unix_seconds);
    let plan = plan.clone();
    time::in_virtual_time(plan.seed, epoch, move || async move {
        let world = Arc::new(World::new(plan, listener.wants_trace(), bug)?);
        let net = world.net.clone();
        let courier = tokio::spawn(async move { net.run().await });
        let interrupted = world.live(listener).await;
        world.end_minute();
        world.check_at_the_end();
        world.count_clients();
        world.tell(listener);
        courier.abort();
        Ok(world.recording(interrupted))
    })?
}

/// Refuses what would be an index out of bounds later.
fn check(plan: &Plan) -> Result<(), WorldError> {
    let wrong = |what: String| Err(WorldError::Plan(what));
    let is_node = |node: &NodeIndex| (node.0 as usize) < plan.nodes.len();
    let is_person = |person: &PersonIndex| (person.0 as usize) < plan.people.len();
    if let Some(index) = plan.nodes.iter().position(|node| !is_paced_within_bounds(&node.conduct)) {
        return wrong(format!("node {index} sends more than {ADVERSARY_PER_SECOND_MAX} a second, or none"));
    }
    if ShardBits::try_from(plan.bits).is_err() {
        return wrong(format!("{} shard bits", plan.bits));
    }
    if let Some(link) = plan.links.iter().find(|link| !is_node(&link.from) || !is_node(&link.to)) {
        return wrong(format!("a link from {} to {}", link.from.0, link.to.0));
    }
    if let Some(index) = plan.people.iter().position(|person| !person.homes.iter().all(is_node)) {
        return wrong(format!("person {index} has a home that does not exist"));
    }
    if let Some(index) = plan.mailboxes.iter().position(|mailbox| !mailbox.readers.iter().all(is_person)) {
        return wrong(format!("mailbox {index} has a reader that does not exist"));
    }
    let full_clients = plan.people.iter().filter(|person| person.full_client).count();
    if full_clients > FULL_CLIENTS_MAX as usize {
        return wrong(format!("{full_clients} people with a full client; at most {FULL_CLIENTS_MAX}"));
    }
    let is_mailbox = |message: &crate::plan::MessagePlan| (message.mailbox.0 as usize) < plan.mailboxes.len();
    if let Some(index) = plan.messages.iter().position(|message| !is_person(&message.author) || !is_mailbox(message)) {
        return wrong(format!("message {index} has an author or a mailbox that does not exist"));
    }
    if !plan.messages.is_sorted_by_key(|message| message.at) || !plan.events.is_sorted_by_key(|(at, _)| *at) {
        return wrong("messages and events must be in order of time".to_owned());
    }
    plan.events.iter().try_for_each(|(_, event)| check_event(plan, event))
}

/// What an adversary may send is bounded, or it would be the simulator that is flooded.
fn is_paced_within_bounds(conduct: &Conduct) -> bool {
    match conduct {
        Conduct::Honest | Conduct::Withholding | Conduct::LyingInSync => true,
        Conduct::Flooding { per_second } | Conduct::Replaying { per_second } => {
            (1..=ADVERSARY_PER_SECOND_MAX).contains(per_second)
        }
    }
}

fn check_event(plan: &Plan, event: &crate::plan::EventPlan) -> Result<(), WorldError> {
    use crate::plan::EventPlan as Event;
    let (nodes, person): (Vec<NodeIndex>, Option<PersonIndex>) = match event {
        Event::Crash(node) | Event::Start(node) | Event::Stop(node) | Event::Die(node) | Event::LoseStore(node) => {
            (vec![*node], None)
        }
        Event::DiskFull(node, _) | Event::ClockSkew(node, _) | Event::ClockDrift(node, _) => (vec![*node], None),
        Event::Cut { from, to, .. } | Event::Throttle { from, to, .. } => ([from.clone(), to.clone()].concat(), None),
        Event::Reset(a, b) => (vec![*a, *b], None),
        Event::Heal { .. } => (Vec::new(), None),
        Event::Online(person) | Event::Offline(person) => (Vec::new(), Some(*person)),
        Event::Homes(person, homes) => (homes.clone(), Some(*person)),
    };
    let nodes_exist = nodes.iter().all(|node| (node.0 as usize) < plan.nodes.len());
    let person_exists = person.is_none_or(|person| (person.0 as usize) < plan.people.len());
    if nodes_exist && person_exists { Ok(()) } else { Err(WorldError::Plan(format!("{event:?} is about nobody"))) }
}

/// As whom a person registers and submits: members have quotas of their own.
pub(crate) fn member_of(person: PersonIndex) -> MemberId {
    let mut id = *b"griot person    ";
    id[12..].copy_from_slice(&person.0.to_le_bytes());
    MemberId(id)
}

impl World {
    fn new(plan: Plan, keep_trace: bool, bug: Option<Bug>) -> Result<Self, WorldError> {
        let unusable = |what: &str| WorldError::Plan(what.to_owned());
        let params = NetworkParams {
            name: NETWORK.parse::<NetworkName>().map_err(|_| unusable("network name"))?,
            bits: ShardBits::try_from(plan.bits).map_err(|_| unusable("shard bits"))?,
            postage_bits: plan.postage_bits,
        };
        let indices = (0..plan.nodes.len() as u32).map(NodeIndex);
        let identity = |node: NodeIndex| Identity::from_bytes(&seeds::bytes(plan.seed, "node key", u64::from(node.0)));
        let identities: Vec<Identity> =
            indices.clone().map(identity).collect::<Option<_>>().ok_or_else(|| unusable("node keys"))?;
        let peers: Vec<PeerId> = identities.iter().map(Identity::peer_id).collect();
        let ids: Vec<NodeId> = identities.iter().map(Identity::node_id).collect();
        let ledger = Arc::new(Ledger::new(&plan, &ids, keep_trace));
        let checked = plan.shared_signature_checks.then(|| Arc::new(Checked::default()));
        let fsync = Duration::from_millis(plan.fsync_ms);
        let epoch = Timestamp(plan.epoch_unix_seconds);
        let mut slots: Vec<Slot> = indices
            .zip(identities)
            .map(|(node, identity)| {
                let host = SimHost {
                    node,
                    clock: WallClock::new(epoch),
                    ledger: Arc::clone(&ledger),
                    checked: checked.clone(),
                    last_ran: Mutex::default(),
                };
                let host = Arc::new(host);
                let disk = nodes::new_disk(&params, 1, fsync, bug, &host);
                Slot::new(identity, host, disk)
            })
            .collect();
        for link in &plan.links {
            slots[link.from.0 as usize].peers.push(link.to);
        }
        for (person, of) in (0..).map(PersonIndex).zip(&plan.people) {
            for home in &of.homes {
                slots[home.0 as usize].members.push(person);
            }
        }
        let clients = Clients::new(&plan);
        Ok(Self {
            people: People::new(&plan, &params, &clients).ok_or_else(|| unusable("a mailbox finds no shard"))?,
            clients,
            net: Net::new(&plan, &peers),
            limits: Limits::default(),
            metrics: nodes::shared_metrics(),
            ledger,
            peers,
            slots: slots.into_iter().map(Mutex::new).collect(),
            acked: Mutex::default(),
            quiet_since: AtomicU64::new(0),
            bug,
            params,
            plan,
        })
    }

    pub(crate) fn slot(&self, node: NodeIndex) -> MutexGuard<'_, Slot> {
        self.slots[node.0 as usize].lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn nodes(&self) -> impl Iterator<Item = NodeIndex> + use<> {
        (0..self.slots.len() as u32).map(NodeIndex)
    }

    /// Whether a node runs the production code and nothing else: promises are made by these alone.
    pub(crate) fn is_honest(&self, node: NodeIndex) -> bool {
        self.plan.nodes[node.0 as usize].conduct == Conduct::Honest
    }

    pub(crate) const fn fsync(&self) -> Duration {
        Duration::from_millis(self.plan.fsync_ms)
    }

    /// Notes a line of the trace.
    pub(crate) fn note(&self, what: fmt::Arguments<'_>) {
        self.ledger.note(what);
    }

    /// The messages that have become records.
    pub(crate) fn written(&self) -> Vec<(MessageIndex, RecordId)> {
        let ledger = self.ledger.state();
        let ids = ledger.fates.iter().enumerate().filter(|(_, fate)| !fate.record.is_empty());
        ids.filter_map(|(index, fate)| Some((MessageIndex(index as u32), fate.record.parse().ok()?))).collect()
    }

    /// What was counted, and what the bytes on the links were for.
    fn counters(&self, ledger: &ledger::State) -> BTreeMap<String, u64> {
        let mut counters = ledger.counters();
        let mut framing: u64 = self.nodes().map(|node| self.net.traffic(node).sent_bytes).sum();
        for speech in Speech::ALL {
            let written = self.net.written(speech);
            framing = framing.saturating_sub(written);
            if written > 0 {
                counters.insert(format!("bytes.{}", speech.name()), written);
            }
        }
        counters.insert("bytes.framing".to_owned(), framing);
        counters
    }

    fn recording(&self, interrupted: bool) -> Recording {
        let nodes = self.nodes().map(|node| self.fate_of(node)).collect();
        let mut ledger = self.ledger.state();
        for (message, fate) in (0..).zip(&mut ledger.fates) {
            fate.copies = self.net.copies(message);
        }
        Recording {
            trace_hash: ledger.trace.hash(),
            virtual_ms: time::now().0,
            interrupted,
            messages: ledger.fates.clone(),
            nodes,
            timeline: ledger.timeline.clone(),
            invariants: ledger.invariants.report(),
            counters: self.counters(&ledger),
        }
    }
}
