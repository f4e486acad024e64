//! A node without IO: a relay, a store in memory, and what the runtime would do between them, in virtual time.

use std::collections::{BTreeMap, VecDeque};

use bytes::Bytes;
use griot_protocol::{
    AckItem, CollectSecret, DeliverSecret, Grant, MailboxKeys, MailboxKind, NetworkName, NetworkParams, NodeId,
    NodeSecret, Record, RecordId, Shard, Timestamp, Unverified, ack, custody, envelope,
};

use crate::{
    relay::{
        Answer, CallError, CallId, Config, GossipId, Input, Now, Output, PersistError, Relay, Tally, Ticket, Verdict,
    },
    store::{Entry, MemberId, MemoryStore, Outcome, Store},
};

/// When all stories begin: a full hour, so that times in them are easy to read.
pub const DAWN: Timestamp = Timestamp(1_800_000_000);

pub const ANA: MemberId = MemberId([1; 16]);
pub const BEN: MemberId = MemberId([2; 16]);

/// Cheap postage, so that stories are told quickly.
pub const POSTAGE: u8 = 2;

pub fn params(bits: u8) -> NetworkParams {
    NetworkParams { name: NetworkName::standard(), bits: bits.try_into().unwrap(), postage_bits: POSTAGE }
}

/// A mailbox with both its secrets.
pub struct Mailbox {
    pub keys: MailboxKeys,
    pub deliver: DeliverSecret,
    pub collect: CollectSecret,
}

impl Mailbox {
    pub fn new(seed: u8, kind: MailboxKind) -> Self {
        let deliver = DeliverSecret::from_bytes(&[seed; 32]);
        let collect = CollectSecret::from_bytes(&[seed ^ 0x80; 32]);
        let keys = MailboxKeys { kind, deliver: deliver.public(), collect: collect.public(), nonce: 0 };
        Self { keys, deliver, collect }
    }

    pub fn direct(seed: u8) -> Self {
        Self::new(seed, MailboxKind::Direct)
    }

    pub fn shared(seed: u8) -> Self {
        Self::new(seed, MailboxKind::Shared)
    }

    /// The same mailbox in another shard.
    pub fn ground_into(mut self, shard: u32, bits: u8) -> Self {
        self.keys = self.keys.grind_into(Shard(shard), bits.try_into().unwrap()).unwrap();
        self
    }

    pub fn envelope(&self, text: u8) -> Record {
        self.envelope_paying(text, POSTAGE)
    }

    pub fn envelope_paying(&self, text: u8, postage_bits: u8) -> Record {
        self.envelope_at(text, postage_bits, DAWN, DAWN.plus(7 * 24 * 3600))
    }

    pub fn envelope_at(&self, text: u8, postage_bits: u8, created_at: Timestamp, expires_at: Timestamp) -> Record {
        let params = NetworkParams { postage_bits, ..params(0) };
        envelope::seal(&params, &self.deliver, self.keys, created_at, expires_at, vec![text; 257]).unwrap()
    }

    /// A picture: neighbours are told of it.
    pub fn large_envelope(&self, picture: u8) -> Record {
        let (created_at, expires_at) = (DAWN, DAWN.plus(7 * 24 * 3600));
        envelope::seal(&params(0), &self.deliver, self.keys, created_at, expires_at, vec![picture; 16 * 1024 + 1])
            .unwrap()
    }

    pub fn ack(&self, envelopes: &[&Record], release: bool) -> Record {
        let items = envelopes.iter().map(|e| AckItem { created_at: e.body().created_at(), id: e.id() }).collect();
        ack::make(&params(0), &self.collect, self.keys, release, items).unwrap()
    }

    pub fn grant(&self, node: &NodeId) -> Grant {
        self.grant_until(node, DAWN.plus(300 * 24 * 3600))
    }

    pub fn grant_until(&self, node: &NodeId, until: Timestamp) -> Grant {
        Grant::issue(&params(0).name, &self.collect, &self.keys.address(), node, until)
    }

    /// A receipt that some other home of this mailbox issues.
    pub fn receipt_by(&self, home: &NodeSecret, envelopes: &[&Record]) -> Record {
        let items = envelopes.iter().map(|e| e.id()).collect();
        let grant = self.grant(&home.public());
        custody::make(&params(0), home, self.keys, grant, items, DAWN, DAWN.plus(7 * 24 * 3600)).unwrap()
    }
}

/// The same frame with a signature that is not valid.
pub fn forged(record: &Record) -> Bytes {
    let mut frame = record.frame().to_vec();
    let last = frame.len() - 1;
    frame[last] ^= 1;
    Bytes::from(frame)
}

/// What the disk does to the next commits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Disk {
    Works,
    /// Commits wait until [`Node::release`].
    Holds,
    Full,
    Broken,
}

pub struct Node {
    pub relay: Relay,
    pub store: MemoryStore,
    pub secret: NodeSecret,
    pub now: Now,
    /// How far its clock is ahead from the next moment on.
    pub ahead_seconds: u64,
    pub disk: Disk,
    held: VecDeque<(Ticket, Vec<Entry>)>,
    next_call: u64,
    next_message: u64,
    /// Everything that is for the world outside, in order.
    pub said: Vec<Output>,
    pub verified: usize,
}

impl Node {
    pub fn new(seed: u8) -> Self {
        let secret = NodeSecret::from_bytes(&[seed; 32]);
        Self::with(Config::new(params(0), secret.public()), seed)
    }

    pub fn with(config: Config, seed: u8) -> Self {
        let store = MemoryStore::new(config.params.bits);
        Self::on(config, seed, store, None)
    }

    pub fn on(config: Config, seed: u8, store: MemoryStore, last_ran: Option<Timestamp>) -> Self {
        let secret = NodeSecret::from_bytes(&[seed; 32]);
        let mut node = Self {
            relay: Relay::new(Config { node: secret.public(), ..config }, [seed; 32], last_ran),
            store,
            secret,
            now: Now { wall: DAWN, mono_ms: 0 },
            ahead_seconds: 0,
            disk: Disk::Works,
            held: VecDeque::new(),
            next_call: 0,
            next_message: 0,
            said: Vec::new(),
            verified: 0,
        };
        let outputs = node.relay.start(node.now, &node.store).unwrap();
        node.run(outputs);
        node
    }

    pub fn id(&self) -> NodeId {
        self.secret.public()
    }

    /// The node dies and comes back with what its disk holds.
    pub fn restarted(self, config: Config, seed: u8) -> Self {
        let mut node = Self::on(config, seed, self.store, Some(self.now.wall));
        node.now = self.now;
        node
    }

    pub fn feed(&mut self, input: Input) {
        let outputs = self.relay.handle(self.now, input, &self.store);
        self.run(outputs);
    }

    /// Carries out what the runtime would, until nothing is left to do.
    fn run(&mut self, outputs: Vec<Output>) {
        let mut queue = VecDeque::from(outputs);
        while let Some(output) = queue.pop_front() {
            let input = match output {
                Output::Verify { ticket, record } => {
                    self.verified += 1;
                    Input::Verified { ticket, result: record.verify(&params(0).name) }
                }
                Output::Persist { ticket, entries } => match self.persist(ticket, entries) {
                    Some(input) => input,
                    None => continue,
                },
                Output::MakeReceipt { ticket, keys, grant, items, stored_at, expires_at } => {
                    let made = custody::make(&params(0), &self.secret, keys, grant, items, stored_at, expires_at);
                    Input::ReceiptMade { ticket, result: made }
                }
                Output::Expire { now } => Input::ExpiredRows(self.store.expire(now, 10_000).unwrap() as u64),
                other => {
                    self.said.push(other);
                    continue;
                }
            };
            queue.extend(self.relay.handle(self.now, input, &self.store));
        }
    }

    fn persist(&mut self, ticket: Ticket, entries: Vec<Entry>) -> Option<Input> {
        let result = match self.disk {
            Disk::Works => Ok(self.commit(&entries)),
            Disk::Holds => {
                self.held.push_back((ticket, entries));
                return None;
            }
            Disk::Full => Err(PersistError::Full),
            Disk::Broken => Err(PersistError::Failed("it smells of smoke".to_owned())),
        };
        Some(Input::Persisted { ticket, result })
    }

    fn commit(&self, entries: &[Entry]) -> Vec<Outcome> {
        self.store.commit(entries).unwrap()
    }

    /// Lets the commits through that were held back.
    pub fn release(&mut self) {
        self.disk = Disk::Works;
        while let Some((ticket, entries)) = self.held.pop_front() {
            let result = Ok(self.commit(&entries));
            self.feed(Input::Persisted { ticket, result });
        }
    }

    /// Time goes by, with a tick every 100 ms.
    pub fn wait_ms(&mut self, ms: u64) {
        let end = self.now.mono_ms + ms;
        while self.now.mono_ms < end {
            let step = (end - self.now.mono_ms).min(100);
            self.now.mono_ms += step;
            self.now.wall = DAWN.plus(self.now.mono_ms / 1000 + self.ahead_seconds);
            self.feed(Input::Tick);
        }
    }

    pub fn call(&mut self) -> CallId {
        self.next_call += 1;
        CallId(self.next_call)
    }

    pub fn begin_submit(&mut self, member: MemberId, frame: &Bytes) -> CallId {
        let call = self.call();
        self.feed(Input::Submit { call, member, frame: frame.clone() });
        call
    }

    pub fn submit_as(&mut self, member: MemberId, record: &Record) -> Result<Answer, CallError> {
        let call = self.begin_submit(member, record.frame());
        self.answer(call).expect("answered")
    }

    pub fn submit(&mut self, record: &Record) -> Result<Answer, CallError> {
        self.submit_as(MemberId::LOCAL, record)
    }

    pub fn import(&mut self, record: &Record) -> Result<Answer, CallError> {
        let call = self.call();
        self.feed(Input::Import { call, frame: record.frame().clone() });
        self.answer(call).expect("answered")
    }

    pub fn register_as(&mut self, member: MemberId, mailbox: &Mailbox) -> Result<Answer, CallError> {
        let (call, grant) = (self.call(), mailbox.grant(&self.id()));
        self.feed(Input::Register { call, member, keys: mailbox.keys, grant });
        self.answer(call).expect("answered")
    }

    pub fn register(&mut self, mailbox: &Mailbox) {
        self.register_as(MemberId::LOCAL, mailbox).unwrap();
    }

    pub fn gossip_from(&mut self, peer: NodeId, frame: &Bytes) -> Option<Verdict> {
        let shard = self.shard_of(frame);
        self.gossip_on(shard, peer, frame)
    }

    /// Gossips a frame on the topic of a shard.
    pub fn gossip_on(&mut self, shard: Shard, peer: NodeId, frame: &Bytes) -> Option<Verdict> {
        self.next_message += 1;
        let message = GossipId(self.next_message);
        self.feed(Input::Gossiped { peer, message, shard, frame: frame.clone() });
        self.verdict(message)
    }

    /// Where a frame belongs, as this node sees it; anywhere, where it cannot be read.
    pub fn shard_of(&self, frame: &Bytes) -> Shard {
        let bits = self.relay.config.params.bits;
        Unverified::parse(frame.clone()).map_or(Shard(0), |record| record.claimed().address().shard(bits))
    }

    /// Gossips a frame as some neighbour would.
    pub fn gossip(&mut self, frame: &Bytes) -> Option<Verdict> {
        self.gossip_from(NodeId([0xee; 32]), frame)
    }

    pub fn answers(&self, call: CallId) -> Vec<Result<Answer, CallError>> {
        let is_it = |output: &Output| match output {
            Output::Respond { call: other, result } if *other == call => Some(result.clone()),
            _ => None,
        };
        self.said.iter().filter_map(is_it).collect()
    }

    pub fn answer(&self, call: CallId) -> Option<Result<Answer, CallError>> {
        self.answers(call).pop()
    }

    pub fn verdict(&self, message: GossipId) -> Option<Verdict> {
        self.said.iter().find_map(|output| match output {
            Output::Judge { message: other, verdict, .. } if *other == message => Some(*verdict),
            _ => None,
        })
    }

    pub fn counted(&self, tally: Tally) -> usize {
        self.said.iter().filter(|output| matches!(output, Output::Count(other) if *other == tally)).count()
    }

    pub fn published(&self) -> Vec<Record> {
        let frames = self.said.iter().filter_map(|output| match output {
            Output::Publish { frame, .. } => Some(frame.clone()),
            _ => None,
        });
        frames.map(|frame| Unverified::parse(frame).unwrap().claimed().clone()).collect()
    }

    /// The receipts that this node published, as the ids they name.
    pub fn receipts(&self) -> Vec<Vec<RecordId>> {
        let items = |record: Record| match record.body() {
            griot_protocol::Body::Custody(custody) => Some(custody.items.clone()),
            _ => None,
        };
        self.published().into_iter().filter_map(items).collect()
    }

    pub fn warnings(&self) -> Vec<String> {
        let texts = self.said.iter().filter_map(|output| match output {
            Output::Warn(text) => Some(text.clone()),
            _ => None,
        });
        texts.collect()
    }

    pub fn row(&self, id: RecordId) -> Option<crate::store::Row> {
        self.store.row(&id).unwrap()
    }

    pub fn holds(&self, record: &Record) -> bool {
        self.store.frame(&record.id()).unwrap().is_some()
    }

    pub fn has_said(&self, is_it: impl Fn(&Output) -> bool) -> bool {
        self.said.iter().any(is_it)
    }
}

/// "On disk, and it was new."
pub fn accepted(record: &Record) -> Result<Answer, CallError> {
    Ok(Answer::Accepted(griot_protocol::api::Accepted { id: record.id(), duplicate: false }))
}

/// "On disk, and it was there before."
pub fn duplicate(record: &Record) -> Result<Answer, CallError> {
    Ok(Answer::Accepted(griot_protocol::api::Accepted { id: record.id(), duplicate: true }))
}

/// What becomes of publications.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Gossip {
    #[default]
    Works,
    /// No mesh peer takes them, and the node is told so.
    FindsNobody,
    /// They vanish.
    Loses,
}

/// Several nodes whose neighbours hear each other at once.
#[derive(Default)]
pub struct World {
    pub nodes: BTreeMap<NodeId, Node>,
    links: Vec<(NodeId, NodeId)>,
    /// What becomes of publications; sync always gets through.
    pub gossip: Gossip,
    /// Requests under way: by exchange of the asker, or as the answerer knows them.
    asked: BTreeMap<u64, (NodeId, NodeId, crate::relay::ExchangeId)>,
    next_inbound: u64,
    next_message: u64,
    /// Who carries a shard, as kad would say.
    pub carriers: BTreeMap<Shard, Vec<NodeId>>,
}

impl World {
    pub fn new() -> Self {
        Self::default()
    }

    pub fn add(&mut self, node: Node) -> NodeId {
        let id = node.id();
        self.nodes.insert(id, node);
        id
    }

    pub fn node(&mut self, id: NodeId) -> &mut Node {
        self.nodes.get_mut(&id).unwrap()
    }

    pub fn link(&mut self, a: NodeId, b: NodeId) {
        self.links.push((a, b));
        self.node(a).feed(Input::PeerUp { peer: b });
        self.node(b).feed(Input::PeerUp { peer: a });
        self.settle();
    }

    pub fn cut(&mut self, a: NodeId, b: NodeId) {
        self.links.retain(|link| *link != (a, b) && *link != (b, a));
        self.node(a).feed(Input::PeerDown { peer: b });
        self.node(b).feed(Input::PeerDown { peer: a });
        self.settle();
    }

    fn are_linked(&self, a: NodeId, b: NodeId) -> bool {
        self.links.contains(&(a, b)) || self.links.contains(&(b, a))
    }

    fn neighbours(&self, of: NodeId) -> Vec<NodeId> {
        self.nodes.keys().copied().filter(|other| self.are_linked(of, *other)).collect()
    }

    /// Delivers everything that was said until all are silent.
    pub fn settle(&mut self) {
        loop {
            let mut said = Vec::new();
            for (id, node) in &mut self.nodes {
                let (travels, stays) = std::mem::take(&mut node.said).into_iter().partition::<Vec<_>, _>(travels);
                node.said = stays;
                said.extend(travels.into_iter().map(|output| (*id, output)));
            }
            if said.is_empty() {
                return;
            }
            for (from, output) in said {
                self.deliver(from, output);
            }
        }
    }

    fn deliver(&mut self, from: NodeId, output: Output) {
        match output {
            Output::Publish { shard, id, frame } => self.spread(from, shard, id, &frame),
            Output::Ask { peer, exchange, request } => {
                if !self.are_linked(from, peer) {
                    self.node(from).feed(Input::Answered { peer, exchange, response: None });
                    return;
                }
                self.next_inbound += 1;
                self.asked.insert(self.next_inbound, (from, peer, exchange));
                let inbound = crate::relay::InboundId(self.next_inbound);
                self.node(peer).feed(Input::Asked { peer: from, inbound, request });
            }
            Output::Answer { inbound, response } => {
                let (asker, peer, exchange) = self.asked.remove(&inbound.0).expect("answered once");
                self.node(asker).feed(Input::Answered { peer, exchange, response: Some(response) });
            }
            Output::FindCarriers { shard } => {
                let peers = self.carriers.get(&shard).cloned().unwrap_or_default();
                self.node(from).feed(Input::Carriers { shard, peers });
            }
            _ => {}
        }
    }

    /// Gossip: everyone who accepts passes it on.
    fn spread(&mut self, from: NodeId, shard: Shard, id: RecordId, frame: &Bytes) {
        match self.gossip {
            Gossip::Loses => return,
            Gossip::Works if !self.neighbours(from).is_empty() => {}
            Gossip::Works | Gossip::FindsNobody => {
                self.node(from).feed(Input::Unheard { id });
                return;
            }
        }
        let mut hops = VecDeque::from([from]);
        let mut heard = std::collections::BTreeSet::from([from]);
        while let Some(hop) = hops.pop_front() {
            for next in self.neighbours(hop) {
                if !heard.insert(next) {
                    continue;
                }
                self.next_message += 1;
                let message = GossipId((1 << 32) + self.next_message);
                let node = self.node(next);
                node.feed(Input::Gossiped { peer: hop, message, shard, frame: frame.clone() });
                if node.verdict(message) == Some(Verdict::Accept) {
                    hops.push_back(next);
                }
            }
        }
    }

    pub fn wait_ms(&mut self, ms: u64) {
        for _ in 0..ms.div_ceil(100) {
            for node in self.nodes.values_mut() {
                node.wait_ms(100);
            }
            self.settle();
        }
    }
}

fn travels(output: &Output) -> bool {
    matches!(output, Output::Publish { .. } | Output::Ask { .. } | Output::Answer { .. } | Output::FindCarriers { .. })
}
