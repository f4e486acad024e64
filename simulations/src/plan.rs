//! What a run is going to do ([`Plan`]) and what came of it ([`Recording`]): the seam between those who describe a
//! world (scenarios, topologies, workloads, reports) and the world that runs it.
//!
//! A plan is complete: every node, link, person, message and fault is in it, with its time, drawn from the seed before
//! the run begins. The world decides nothing about *what* happens, only what follows from it, so a plan can be saved,
//! edited, shrunk and replayed. All times are whole virtual milliseconds since the run began.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// A moment, in virtual milliseconds since the run began.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct VirtualMs(pub u64);

/// A node, by its place in [`Plan::nodes`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct NodeIndex(pub u32);

/// A person, by its place in [`Plan::people`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct PersonIndex(pub u32);

/// A mailbox, by its place in [`Plan::mailboxes`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct MailboxIndex(pub u32);

/// A message, by its place in [`Plan::messages`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct MessageIndex(pub u32);

/// All that a run is going to do.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Plan {
    /// The scenario's name.
    pub scenario: String,
    /// From which everything random in the run is drawn.
    pub seed: u64,
    /// Wall-clock time at virtual millisecond 0, in Unix seconds.
    pub epoch_unix_seconds: u64,
    /// When the run ends.
    pub duration_ms: u64,
    /// Shard bits of the network.
    pub bits: u8,
    /// Postage of the network in bits; low in large runs, because every message is ground for real.
    pub postage_bits: u8,
    /// What one fdatasync takes, milliseconds.
    pub fsync_ms: u64,
    /// Whether nodes look for peers by kad, or keep to their links.
    pub discovery: bool,
    /// Whether a record's signature that one node checked is taken as checked by all (same trace, less work).
    pub shared_signature_checks: bool,
    /// The nodes.
    pub nodes: Vec<NodePlan>,
    /// Whom each node is told to dial (its `--peer`s).
    pub links: Vec<LinkPlan>,
    /// How long bytes travel between any two nodes.
    pub latency: LatencyPlan,
    /// The people.
    pub people: Vec<PersonPlan>,
    /// Every mailbox that is used.
    pub mailboxes: Vec<MailboxPlan>,
    /// Every message that is offered, in order of time.
    pub messages: Vec<MessagePlan>,
    /// Everything else that happens, in order of time.
    pub events: Vec<(VirtualMs, EventPlan)>,
    /// The outage that the report is about, if there is one: it is shaded in the plots and has figures of its own.
    pub outage: Option<(VirtualMs, VirtualMs)>,
}

impl Plan {
    /// Who is to read a message: the readers of its mailbox, less its author.
    pub fn readers_of(&self, message: &MessagePlan) -> impl Iterator<Item = PersonIndex> + use<'_> {
        let (author, mailbox) = (message.author, self.mailboxes.get(message.mailbox.0 as usize));
        let readers = mailbox.map_or(&[][..], |mailbox| &mailbox.readers);
        readers.iter().copied().filter(move |reader| *reader != author)
    }
}

/// A node.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct NodePlan {
    /// Its region, by its place in [`LatencyPlan::Regions::one_way_ms`]; 0 where there are none.
    pub region: u16,
    /// Bytes per second that it can send, all links together; 0: unlimited.
    pub up_bytes_per_second: u64,
    /// Bytes per second that it can receive; 0: unlimited.
    pub down_bytes_per_second: u64,
    /// Whether others cannot dial it.
    pub behind_nat: bool,
    /// Whether it runs when the run begins.
    pub starts_up: bool,
    /// How it behaves.
    pub conduct: Conduct,
}

/// How a node behaves.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Conduct {
    /// It runs the production code.
    Honest,
    /// It keeps everything to itself: takes what it is sent, passes nothing on.
    Withholding,
    /// It sends valid envelopes to mailboxes that nobody reads, so many a second.
    Flooding {
        /// Envelopes a second.
        per_second: u32,
    },
    /// It sends again what it has seen, so many a second.
    Replaying {
        /// Frames a second.
        per_second: u32,
    },
    /// It claims in sync to hold what it does not, and not to hold what it does.
    LyingInSync,
}

/// One configured peering; the first dials.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LinkPlan {
    /// Who dials.
    pub from: NodeIndex,
    /// Whom.
    pub to: NodeIndex,
}

/// How long bytes travel, one way.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum LatencyPlan {
    /// The same law for all pairs of nodes.
    Everywhere(LatencyLaw),
    /// By the regions of the two nodes: a base for each pair of regions, and a law for what comes on top.
    Regions {
        /// Base one-way milliseconds from region to region.
        one_way_ms: Vec<Vec<u32>>,
        /// What comes on top of it.
        jitter: LatencyLaw,
    },
}

/// A law of latency: drawn once for each pair of nodes and direction (it is a path), never per packet.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub enum LatencyLaw {
    /// Always the same.
    Constant {
        /// Milliseconds.
        ms: u32,
    },
    /// Uniform between two bounds, both included.
    Uniform {
        /// Milliseconds at least.
        min_ms: u32,
        /// Milliseconds at most.
        max_ms: u32,
    },
    /// Log-normal: what measured round-trip times between hosts of the Internet roughly follow.
    LogNormal {
        /// The median, milliseconds.
        median_ms: f64,
        /// The standard deviation of the logarithm.
        sigma: f64,
    },
}

/// A person: reads the mailboxes that name it, writes the messages that name it.
///
/// A person is *where its first home is* (the first of `homes` here, whatever [`EventPlan::Homes`] says later): a cut
/// between that node's place and another home cuts the person from that home too, for as long as it lasts. Whether that
/// first home itself runs does not matter for this. (Why: else a person in a country without international lines would
/// go on using a home abroad, and every blackout scenario would look better than it is.)
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PersonPlan {
    /// Its home nodes, 1–3, in order of preference. It registers its mailboxes on each and submits to any that answers.
    pub homes: Vec<NodeIndex>,
    /// Whether it is on line when the run begins.
    pub starts_online: bool,
    /// Whether it has a full client. What two such people write directly to each other are texts, encrypted by one
    /// production client and read by the other; everything else is as for everybody.
    #[serde(default, skip_serializing_if = "is_false")]
    pub full_client: bool,
}

/// Plans in which nobody has a full client look as they did before there were any.
#[allow(clippy::trivially_copy_pass_by_ref, reason = "as serde calls it")]
fn is_false(value: &bool) -> bool {
    !value
}

/// A mailbox.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MailboxPlan {
    /// `false`: Direct, its one reader acks and releases. `true`: Shared (group, channel), only expiry removes.
    pub shared: bool,
    /// Who reads it. One for a Direct one. The author of a message is never counted as its reader, even where it is in
    /// this list (members of a group read what the others wrote).
    pub readers: Vec<PersonIndex>,
}

/// A message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MessagePlan {
    /// When its author writes it. An author that is off line, or has no home that answers, sends it when it can.
    pub at: VirtualMs,
    /// Who writes it.
    pub author: PersonIndex,
    /// Where it goes.
    pub mailbox: MailboxIndex,
    /// Payload bytes, rounded up to a bucket.
    pub bytes: u32,
    /// How long it lives, seconds.
    pub life_seconds: u64,
}

/// Something that happens.
///
/// Faults are drawn independently of each other, so an event may find things as it would make them: starting a node that
/// runs or has died, stopping one that is down, sending somebody off line who is. Such an event changes nothing.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum EventPlan {
    /// A node loses power: what it had not synced is gone.
    Crash(NodeIndex),
    /// A node starts (again).
    Start(NodeIndex),
    /// A node stops in order.
    Stop(NodeIndex),
    /// A node and its disk are gone for ever.
    Die(NodeIndex),
    /// A node loses its store and goes on with an empty one (its identity stays). One that is down comes back empty.
    LoseStore(NodeIndex),
    /// A node's disk is full (`true`) or has room again.
    DiskFull(NodeIndex, bool),
    /// A node's wall clock is so many seconds off from now on.
    ClockSkew(NodeIndex, i64),
    /// A node's wall clock gains so many parts per million from now on.
    ClockDrift(NodeIndex, i32),
    /// Nothing gets from any node of the first list to any of the second, under a name by which it is healed. One way:
    /// for both ways there are two. Connections across it break when they are used, as real ones do.
    Cut {
        /// Its name.
        name: String,
        /// From these.
        from: Vec<NodeIndex>,
        /// To these.
        to: Vec<NodeIndex>,
    },
    /// That partition or throttle is over.
    Heal {
        /// Its name.
        name: String,
    },
    /// All bandwidth between the nodes of two lists is limited to so many bytes a second (both ways), under a name.
    Throttle {
        /// Its name.
        name: String,
        /// These.
        from: Vec<NodeIndex>,
        /// And these.
        to: Vec<NodeIndex>,
        /// Bytes a second.
        bytes_per_second: u64,
    },
    /// All connections between two nodes are reset.
    Reset(NodeIndex, NodeIndex),
    /// A person comes on line.
    Online(PersonIndex),
    /// A person goes off line.
    Offline(PersonIndex),
    /// A person changes its homes: registers on the new ones, leaves the others.
    Homes(PersonIndex, Vec<NodeIndex>),
}

/// What came of a run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Recording {
    /// BLAKE3 over the trace, lower-case hex.
    pub trace_hash: String,
    /// How far virtual time got.
    pub virtual_ms: u64,
    /// Whether it was interrupted before the end.
    pub interrupted: bool,
    /// What became of each message, in the order of [`Plan::messages`].
    pub messages: Vec<MessageFate>,
    /// What each node did, in the order of [`Plan::nodes`].
    pub nodes: Vec<NodeFate>,
    /// Minute by minute.
    pub timeline: Vec<Minute>,
    /// What was checked.
    pub invariants: Vec<Invariant>,
    /// Counters by name, summed over all nodes (refusals by reason, syncs, repaired records, …).
    pub counters: BTreeMap<String, u64>,
}

/// What became of a message.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct MessageFate {
    /// The envelope's id, lower-case hex; empty where it was never made.
    pub record: String,
    /// When a node first answered "accepted", and which.
    pub accepted: Option<(VirtualMs, NodeIndex)>,
    /// When the author first learned of a valid custody receipt. Nothing where the ack came before a receipt was due (a
    /// tenth of a second after the envelope): then none is made, because the ack proves more.
    pub stored: Option<VirtualMs>,
    /// Homes whose receipts the author knew at the end.
    pub stored_on: u32,
    /// First reading by each reader: who, when, from which home, and over how many hops the record had come there
    /// (0: it was submitted there).
    pub deliveries: Vec<Delivery>,
    /// Times that a reader met it again and dropped it (other homes, repeated streams).
    pub duplicates: u32,
    /// Times that a *reader was shown* it twice: must be none.
    pub shown_again: u32,
    /// Times that its frame was sent from node to node, by gossip or sync, whether or not it was new there.
    pub copies: u32,
    /// Nodes that came to hold it.
    pub holders: u32,
    /// When the author learned of a valid ack.
    pub acked: Option<VirtualMs>,
    /// When it expires.
    pub expires: Option<VirtualMs>,
}

/// One reader's first reading of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Delivery {
    /// Who.
    pub reader: PersonIndex,
    /// When.
    pub at: VirtualMs,
    /// From which home.
    pub home: NodeIndex,
    /// Over how many hops the record had come to that home; nothing where that is not known, because whoever handed it on
    /// did not have it on its own disk yet, and perhaps lost power before it had.
    pub hops: Option<u16>,
}

/// What a node did.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct NodeFate {
    /// Bytes sent to other nodes.
    pub sent_bytes: u64,
    /// Bytes received from other nodes.
    pub received_bytes: u64,
    /// Records held at the end, and the most at any time.
    pub records: u64,
    /// The most records at any time (looked at every minute).
    pub records_max: u64,
    /// The most bytes of records at any time (looked at every minute).
    pub stored_bytes_max: u64,
    /// Milliseconds that it was up.
    pub up_ms: u64,
    /// Times that it crashed.
    pub crashes: u32,
    /// Peers at the end.
    pub peers: u32,
}

/// A minute of a run. Counts are of that minute alone.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Minute {
    /// Its number, from 0.
    pub minute: u64,
    /// Messages that were offered, counted once for each reader.
    pub offered: u64,
    /// First readings.
    pub delivered: u64,
    /// At its end: accepted, not expired, and not yet read (counted once for each reader).
    pub in_custody: u64,
    /// Bytes sent between nodes.
    pub bytes: u64,
    /// Nodes up at its end.
    pub nodes_up: u64,
}

/// Something that must always hold.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Invariant {
    /// Its name, in kebab case.
    pub name: String,
    /// How often it was checked.
    pub checks: u64,
    /// How often it did not hold.
    pub broken: u64,
    /// The first times that it did not, in words (at most 16).
    pub examples: Vec<String>,
}

/// Where one record reached one node for the first time: what `explain` is made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Arrival {
    /// When.
    pub at: VirtualMs,
    /// Which message.
    pub message: MessageIndex,
    /// Where.
    pub node: NodeIndex,
    /// From whom; itself where it was submitted there.
    pub from: NodeIndex,
    /// How.
    pub way: Way,
}

/// How a record reached a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Way {
    /// Its author handed it in.
    Submitted,
    /// By gossip.
    Gossip,
    /// By sync or a direct push.
    Sync,
}

/// What one node has carried since the run began.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct NodeTraffic {
    /// Bytes of IP packets sent.
    pub sent_bytes: u64,
    /// Packets sent.
    pub sent_packets: u64,
    /// Bytes of IP packets received.
    pub received_bytes: u64,
}

/// Who listens to a run while it goes on.
pub trait Listener {
    /// A record reached a node for the first time.
    fn arrived(&mut self, arrival: Arrival);
    /// One line of the trace, as it is hashed. Only called where [`wants_trace`](Self::wants_trace) says so.
    fn traced(&mut self, line: &str);
    /// Whether trace lines are to be made.
    fn wants_trace(&self) -> bool;
    /// Whether [`traffic`](Self::traffic) is to be called.
    fn wants_traffic(&self) -> bool {
        false
    }
    /// What each node has carried so far, in the order of [`Plan::nodes`]. Called about every virtual second, and at the end.
    fn traffic(&mut self, now: VirtualMs, nodes: &[NodeTraffic]) {
        let _ = (now, nodes);
    }
    /// Virtual time got this far. Called about every virtual second; answer `false` to end the run here.
    fn progress(&mut self, now: VirtualMs) -> bool;
}
