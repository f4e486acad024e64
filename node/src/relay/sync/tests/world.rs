//! Nodes that do nothing but sync, in virtual time.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use griot_protocol::{
    AckItem, CollectSecret, DeliverSecret, Hour, MailboxKeys, MailboxKind, NetworkName, NetworkParams, NodeId, Record,
    RecordId, RecordKind, Shard, ShardBits, Timestamp, Unverified, ack, envelope,
    limits::SYNC_BYTES_MAX,
    sync::{SyncFrame, SyncRequest, SyncResponse},
};

use crate::{
    relay::{
        ExchangeId, Now, Tally,
        sync::{Sync, SyncConfig, SyncOutput},
    },
    store::{Entry, MemoryStore, Store, SyncSet},
};

/// Half past an hour.
pub const START: Timestamp = Timestamp(1_800_000_000 + 1800);

/// How long a frame takes to be admitted.
const ADMISSION_MS: u64 = 5;

pub fn params(bits: u8) -> NetworkParams {
    let name = NetworkName::try_from("test".to_owned()).unwrap();
    NetworkParams { name, bits: ShardBits::try_from(bits).unwrap(), postage_bits: 0 }
}

pub fn node_id(number: usize) -> NodeId {
    NodeId([number as u8; 32])
}

/// A mailbox with all its secrets.
pub struct Mailbox {
    deliver: DeliverSecret,
    collect: CollectSecret,
    pub keys: MailboxKeys,
}

impl Mailbox {
    pub fn new(number: u8) -> Self {
        let deliver = DeliverSecret::from_bytes(&[number; 32]);
        let collect = CollectSecret::from_bytes(&[number ^ 0x80; 32]);
        let keys =
            MailboxKeys { kind: MailboxKind::Direct, deliver: deliver.public(), collect: collect.public(), nonce: 0 };
        Self { deliver, collect, keys }
    }

    pub fn in_shard(number: u8, shard: u32, bits: u8) -> Self {
        let mailbox = Self::new(number);
        let keys = mailbox.keys.grind_into(Shard(shard), ShardBits::try_from(bits).unwrap()).unwrap();
        Self { keys, ..mailbox }
    }

    /// An envelope with a payload of `bytes` (a bucket) that expires at `expires_at`.
    pub fn envelope(&self, number: u64, expires_at: Timestamp, bytes: usize) -> Record {
        let mut payload = vec![1; 1 + bytes];
        payload[1..9].copy_from_slice(&number.to_le_bytes());
        envelope::seal(&params(0), &self.deliver, self.keys, START.minus(600), expires_at, payload).unwrap()
    }

    /// A small envelope that lives `hours` more.
    pub fn small(&self, number: u64, hours: u64) -> Record {
        self.envelope(number, START.plus(hours * 3600), 256)
    }

    pub fn releasing_ack(&self, records: &[&Record]) -> Record {
        let item = |record: &&Record| AckItem { created_at: record.body().created_at(), id: record.id() };
        ack::make(&params(0), &self.collect, self.keys, true, records.iter().map(item).collect()).unwrap()
    }
}

type Script = Box<dyn FnMut(&[u8]) -> Option<Bytes>>;

pub struct TestNode {
    pub id: NodeId,
    pub sync: Sync,
    pub store: MemoryStore,
    params: NetworkParams,
    /// How far its clock is ahead, in seconds.
    pub clock_s: i64,
    /// A liar's answers; `None` for an answer is silence.
    pub script: Option<Script>,
    /// Whether the relay tells sync that frames were dealt with.
    pub settles: bool,
    pub log: Vec<SyncOutput>,
}

enum Event {
    Asked { from: usize, to: usize, exchange: ExchangeId, request: Bytes },
    Answered { from: usize, to: usize, exchange: ExchangeId, response: Bytes },
    Settled { node: usize, peer: NodeId },
    Tick { node: usize },
}

/// What crossed the wires.
#[derive(Debug, Default)]
pub struct Traffic {
    pub bytes: u64,
    pub opens: usize,
    pub requests: usize,
    pub fetched_ids: usize,
    pub frames: BTreeMap<&'static str, usize>,
}

impl Traffic {
    pub fn frames_of(&self, kind: RecordKind) -> usize {
        self.frames.get(kind.name()).copied().unwrap_or(0)
    }

    fn note_frames(&mut self, frames: &[SyncFrame]) {
        for frame in frames {
            if let Ok(record) = Unverified::parse(frame.0.clone()) {
                *self.frames.entry(record.claimed().kind().name()).or_default() += 1;
            }
        }
    }
}

pub struct World {
    pub now_ms: u64,
    pub latency_ms: u64,
    pub nodes: Vec<TestNode>,
    pub traffic: Traffic,
    links: BTreeSet<(usize, usize)>,
    events: BTreeMap<(u64, u64), Event>,
    sequence: u64,
}

impl World {
    /// Nodes that carry everything.
    pub fn new(count: usize) -> Self {
        Self::with_bits(&vec![(0, vec![0]); count])
    }

    /// Nodes with these shard bits and shards.
    pub fn with_bits(nodes: &[(u8, Vec<u32>)]) -> Self {
        let mut world = Self {
            now_ms: 0,
            latency_ms: 10,
            nodes: Vec::new(),
            traffic: Traffic::default(),
            links: BTreeSet::new(),
            events: BTreeMap::new(),
            sequence: 0,
        };
        for (number, (bits, shards)) in nodes.iter().enumerate() {
            let (id, params) = (node_id(number + 1), params(*bits));
            let mut sync = Sync::new(SyncConfig { params: params.clone(), node: id }, number as u64);
            let carried = shards.iter().map(|shard| Shard(*shard)).collect();
            sync.set_carried(Now { wall: START, mono_ms: 0 }, &carried);
            let store = MemoryStore::new(params.bits);
            world.nodes.push(TestNode {
                id,
                sync,
                store,
                params,
                clock_s: 0,
                script: None,
                settles: true,
                log: vec![],
            });
            world.after(0, Event::Tick { node: number });
        }
        world
    }

    pub fn put(&self, node: usize, records: &[Record]) {
        for records in records.chunks(1000) {
            let entries: Vec<Entry> = records.iter().cloned().map(Entry::Record).collect();
            self.nodes[node].store.commit(&entries).unwrap();
        }
    }

    pub fn connect(&mut self, a: usize, b: usize) {
        self.links.insert((a, b));
        self.links.insert((b, a));
        for (from, to) in [(a, b), (b, a)] {
            let (now, peer) = (self.now(from), self.nodes[to].id);
            self.nodes[from].sync.peer_up(now, peer);
        }
    }

    pub fn disconnect(&mut self, a: usize, b: usize) {
        self.links.remove(&(a, b));
        self.links.remove(&(b, a));
        for (from, to) in [(a, b), (b, a)] {
            let peer = self.nodes[to].id;
            self.nodes[from].sync.peer_down(peer);
        }
    }

    pub fn now(&self, node: usize) -> Now {
        let wall = START.0.saturating_add_signed(self.nodes[node].clock_s) + self.now_ms / 1000;
        Now { wall: Timestamp(wall), mono_ms: self.now_ms }
    }

    pub fn run_for(&mut self, ms: u64) {
        let end = self.now_ms + ms;
        while let Some(entry) = self.events.first_entry() {
            let (at_ms, _) = *entry.key();
            if at_ms > end {
                break;
            }
            let event = entry.remove();
            self.now_ms = at_ms;
            self.handle(event);
        }
        self.now_ms = end;
    }

    /// The ids in both sync sets of a node.
    pub fn ids(&self, node: usize) -> BTreeSet<RecordId> {
        let store = &self.nodes[node].store;
        let mut ids = BTreeSet::new();
        for shard in store.bits().shards() {
            for set in [SyncSet::Acks, SyncSet::Rest] {
                for (hour, _) in store.digests(set, shard, Hour(0)) {
                    ids.extend(store.bucket(set, shard, hour).unwrap().into_iter().map(|(_, id)| id));
                }
            }
        }
        ids
    }

    /// Why sessions of a node ended early.
    pub fn early_ends(&self, node: usize) -> Vec<&'static str> {
        let reason = |output: &SyncOutput| match output {
            SyncOutput::Ended { reason, .. } => Some(*reason),
            _ => None,
        };
        self.nodes[node].log.iter().filter_map(reason).collect()
    }

    pub fn count(&self, node: usize, wanted: Tally) -> usize {
        self.nodes[node]
            .log
            .iter()
            .filter(|output| matches!(output, SyncOutput::Count(tally) if *tally == wanted))
            .count()
    }

    fn after(&mut self, ms: u64, event: Event) {
        self.sequence += 1;
        self.events.insert((self.now_ms + ms, self.sequence), event);
    }

    fn index(&self, id: NodeId) -> usize {
        self.nodes.iter().position(|node| node.id == id).unwrap()
    }

    fn handle(&mut self, event: Event) {
        match event {
            Event::Tick { node } => {
                let now = self.now(node);
                let target = &mut self.nodes[node];
                let outputs = target.sync.tick(now, &target.store);
                self.carry_out(node, outputs);
                self.after(250, Event::Tick { node });
            }
            Event::Settled { node, peer } => {
                let now = self.now(node);
                let target = &mut self.nodes[node];
                let outputs = target.sync.settled(now, peer, &target.store);
                self.carry_out(node, outputs);
            }
            Event::Asked { from, to, exchange, request } => self.asked(from, to, exchange, &request),
            Event::Answered { from, to, exchange, response } => {
                self.traffic.bytes += response.len() as u64;
                if let Ok(SyncResponse::Frames { frames, .. }) = SyncResponse::decode(&response) {
                    self.traffic.note_frames(&frames);
                }
                let (now, peer) = (self.now(to), self.nodes[from].id);
                let target = &mut self.nodes[to];
                let outputs = target.sync.answered(now, peer, exchange, Some(&response), &target.store);
                self.carry_out(to, outputs);
            }
        }
    }

    fn asked(&mut self, from: usize, to: usize, exchange: ExchangeId, request: &Bytes) {
        assert!(request.len() <= SYNC_BYTES_MAX);
        self.note_request(request);
        let (now, peer) = (self.now(to), self.nodes[from].id);
        let target = &mut self.nodes[to];
        if let Some(script) = &mut target.script {
            if let Some(response) = script(request) {
                self.after(self.latency_ms, Event::Answered { from: to, to: from, exchange, response });
            }
            return;
        }
        let asked = target.sync.asked(now, peer, request, &target.store);
        assert!(asked.response.len() <= SYNC_BYTES_MAX);
        let delay_ms = self.latency_ms + if asked.pushed.is_empty() { 0 } else { ADMISSION_MS };
        self.admit(to, peer, asked.pushed);
        self.carry_out(to, asked.outputs);
        self.after(delay_ms, Event::Answered { from: to, to: from, exchange, response: asked.response });
    }

    fn note_request(&mut self, request: &[u8]) {
        self.traffic.bytes += request.len() as u64;
        self.traffic.requests += 1;
        match SyncRequest::decode(request) {
            Ok(SyncRequest::Open(_)) => self.traffic.opens += 1,
            Ok(SyncRequest::Fetch { ids }) => self.traffic.fetched_ids += ids.len(),
            Ok(SyncRequest::Push { frames }) => self.traffic.note_frames(&frames),
            _ => {}
        }
    }

    /// Admission as the relay does it, less what does not matter here.
    fn admit(&mut self, node: usize, from: NodeId, frames: Vec<Bytes>) {
        let now = self.now(node);
        let mut shards = BTreeSet::new();
        let target = &self.nodes[node];
        for frame in frames {
            let Ok(record) = Unverified::parse(frame) else { continue };
            if record.check_times(now.wall).is_err() || record.check_postage(target.params.postage_bits).is_err() {
                continue;
            }
            let Ok(record) = record.verify(&target.params.name) else { continue };
            shards.insert(record.address().shard(target.params.bits));
            target.store.commit(&[Entry::Record(record)]).unwrap();
        }
        for shard in shards {
            self.nodes[node].sync.spread(now, shard, Some(from));
        }
    }

    fn carry_out(&mut self, node: usize, outputs: Vec<SyncOutput>) {
        for output in outputs {
            self.nodes[node].log.push(output.clone());
            match output {
                SyncOutput::Ask { peer, exchange, request } => {
                    assert!(Sync::owns(exchange));
                    let to = self.index(peer);
                    if self.links.contains(&(node, to)) {
                        self.after(self.latency_ms, Event::Asked { from: node, to, exchange, request });
                    }
                }
                SyncOutput::Frames { peer, frames } => {
                    self.admit(node, peer, frames);
                    if self.nodes[node].settles {
                        self.after(ADMISSION_MS, Event::Settled { node, peer });
                    }
                }
                _ => {}
            }
        }
    }
}
