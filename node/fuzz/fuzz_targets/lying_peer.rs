//! The sync state machine beside a peer that lies: whatever comes, in whatever order and however late, every message it
//! wants sent is well formed and within the limits, and nothing is left of a peer that has gone.
//!
//! The liar knows the protocol: it runs the state machine itself over other records, and the input says where it departs
//! from what that one answers or asks. So the inputs get as far as reconciliation and transfer.

#![no_main]

use std::{collections::VecDeque, sync::OnceLock};

use griot_node::{
    relay::{
        ExchangeId, Now,
        sync::{Sync, SyncConfig, SyncOutput, limits},
    },
    store::{Entry, MemoryStore, Store},
};
use griot_protocol::{
    AckItem, CollectSecret, DeliverSecret, MailboxKeys, MailboxKind, NetworkName, NetworkParams, NodeId, Record, Shard,
    ShardBits, Timestamp, ack, envelope,
    limits::SYNC_BYTES_MAX,
    sync::{SyncRequest, SyncResponse},
};
use libfuzzer_sys::{arbitrary, arbitrary::Arbitrary, fuzz_target};

const START: Timestamp = Timestamp(1_800_001_800);

/// Records that exist in this world.
const RECORDS: usize = 48;

/// Questions of the honest node that the liar keeps for later.
const WAITING_MAX: usize = 64;

#[derive(Arbitrary, Debug)]
enum Lie<'a> {
    /// What an honest peer with other records would say.
    Honest,
    /// That, with bytes changed, and cut short.
    Damaged(Vec<(u16, u8)>, Option<u16>),
    /// What it said before.
    Again,
    Anything(&'a [u8]),
    Silence,
}

#[derive(Arbitrary, Debug)]
enum Step<'a> {
    Wait(u16),
    /// Answers the oldest question, or the newest.
    Answer(bool, Lie<'a>),
    /// Asks what an honest peer would ask now.
    Ask(Lie<'a>),
    Settle,
    Part,
    Meet,
    Room(bool),
    /// The honest node takes up a record meanwhile.
    Put(u8),
}

#[derive(Arbitrary, Debug)]
struct Input<'a> {
    seed: u64,
    /// Which records either holds from the start, bit by bit.
    held: [u64; 2],
    steps: Vec<Step<'a>>,
}

fn params() -> NetworkParams {
    let name = NetworkName::try_from("fuzz".to_owned()).expect("a valid name");
    NetworkParams { name, bits: ShardBits::ZERO, postage_bits: 0 }
}

/// Made once: signing is slow.
fn records() -> &'static [Record] {
    static MADE: OnceLock<Vec<Record>> = OnceLock::new();
    MADE.get_or_init(|| {
        let (deliver, collect) = (DeliverSecret::from_bytes(&[1; 32]), CollectSecret::from_bytes(&[2; 32]));
        let keys =
            MailboxKeys { kind: MailboxKind::Direct, deliver: deliver.public(), collect: collect.public(), nonce: 0 };
        let sealed = |number: usize| {
            let mut payload = vec![1; 257];
            payload[1] = number as u8;
            let expires = START.plus((1 + number as u64 % 5) * 3600);
            envelope::seal(&params(), &deliver, keys, START.minus(600), expires, payload).expect("a valid envelope")
        };
        let mut made: Vec<Record> = (0..RECORDS - 4).map(sealed).collect();
        for dead in 0..4 {
            let item = AckItem { created_at: made[dead].body().created_at(), id: made[dead].id() };
            made.push(ack::make(&params(), &collect, keys, true, vec![item]).expect("a valid ack"));
        }
        made
    })
}

struct Node {
    id: NodeId,
    sync: Sync,
    store: MemoryStore,
}

impl Node {
    fn new(number: u8, seed: u64, held: u64, now: Now) -> Self {
        let id = NodeId([number; 32]);
        let mut sync = Sync::new(SyncConfig { params: params(), node: id }, seed);
        sync.set_carried(now, &[Shard(0)].into());
        let node = Self { id, sync, store: MemoryStore::new(ShardBits::ZERO) };
        for (number, _) in records().iter().enumerate().filter(|(number, _)| held >> number & 1 == 1) {
            node.put(number);
        }
        node
    }

    fn put(&self, number: usize) {
        self.store.commit(&[Entry::Record(records()[number].clone())]).expect("the memory takes it");
    }
}

struct Play {
    now_ms: u64,
    honest: Node,
    liar: Node,
    /// What the honest node has asked and not heard of.
    questions: VecDeque<(ExchangeId, Vec<u8>)>,
    said: Vec<u8>,
}

impl Play {
    fn now(&self) -> Now {
        Now { wall: START.plus(self.now_ms / 1000), mono_ms: self.now_ms }
    }

    /// What the honest node wants done.
    fn obey(&mut self, outputs: Vec<SyncOutput>) {
        assert!(outputs.len() <= 64, "{} outputs at once", outputs.len());
        assert!(self.honest.sync.sessions() <= limits::SESSIONS_MAX);
        for output in outputs {
            match output {
                SyncOutput::Ask { exchange, request, .. } => {
                    assert!(request.len() <= SYNC_BYTES_MAX);
                    assert_eq!(SyncRequest::decode(&request).expect("a well formed request").encode(), request);
                    self.questions.push_back((exchange, request.to_vec()));
                    if self.questions.len() > WAITING_MAX {
                        self.questions.pop_front();
                    }
                }
                SyncOutput::Frames { frames, .. } => {
                    assert!(frames.iter().map(|frame| frame.len()).sum::<usize>() <= SYNC_BYTES_MAX);
                }
                _ => {}
            }
        }
    }

    fn tick(&mut self) {
        let outputs = self.honest.sync.tick(self.now(), &self.honest.store);
        self.obey(outputs);
    }

    /// Bends what is true.
    fn bend(&mut self, lie: Lie<'_>, truth: impl FnOnce(&mut Self) -> Option<Vec<u8>>) -> Option<Vec<u8>> {
        let said = match lie {
            Lie::Honest => truth(self)?,
            Lie::Damaged(damage, cut) => {
                let mut bytes = truth(self)?;
                let len = bytes.len().max(1);
                for (at, byte) in damage {
                    if let Some(place) = bytes.get_mut(usize::from(at) % len) {
                        *place = byte;
                    }
                }
                bytes.truncate(cut.map_or(len, |cut| usize::from(cut) % len));
                bytes
            }
            Lie::Again => self.said.clone(),
            Lie::Anything(bytes) => bytes.to_vec(),
            Lie::Silence => return None,
        };
        self.said.clone_from(&said);
        Some(said)
    }

    fn answer(&mut self, newest: bool, lie: Lie<'_>) {
        let question = if newest { self.questions.pop_back() } else { self.questions.pop_front() };
        let Some((exchange, request)) = question else { return };
        let response = self.bend(lie, |play| {
            let (now, honest) = (play.now(), play.honest.id);
            Some(play.liar.sync.asked(now, honest, &request, &play.liar.store).response.to_vec())
        });
        let (now, liar) = (self.now(), self.liar.id);
        let outputs = self.honest.sync.answered(now, liar, exchange, response.as_deref(), &self.honest.store);
        self.obey(outputs);
    }

    fn ask(&mut self, lie: Lie<'_>) {
        let request = self.bend(lie, |play| {
            let (now, honest) = (play.now(), play.honest.id);
            let outputs = play.liar.sync.tick(now, &play.liar.store);
            let ask = outputs.into_iter().find_map(|output| match output {
                SyncOutput::Ask { exchange, request, .. } => Some((exchange, request)),
                _ => None,
            });
            let Some((exchange, request)) = ask else {
                play.liar.sync.peer_up(now, honest);
                return None;
            };
            // It hears the answer, so that its next question is one further on.
            let response = play.honest.sync.asked(now, play.liar.id, &request, &play.honest.store).response;
            let _ = play.liar.sync.answered(now, honest, exchange, Some(&response), &play.liar.store);
            Some(request.to_vec())
        });
        let Some(request) = request else { return };
        let (now, liar) = (self.now(), self.liar.id);
        let asked = self.honest.sync.asked(now, liar, &request, &self.honest.store);
        assert!(asked.response.len() <= SYNC_BYTES_MAX);
        assert_eq!(SyncResponse::decode(&asked.response).expect("a well formed response").encode(), asked.response);
        assert!(asked.pushed.iter().map(|frame| frame.len()).sum::<usize>() <= request.len());
        self.obey(asked.outputs);
    }

    fn step(&mut self, step: Step<'_>) {
        let (now, liar) = (self.now(), self.liar.id);
        match step {
            Step::Wait(ms) => {
                self.now_ms += u64::from(ms);
                self.tick();
            }
            Step::Answer(newest, lie) => self.answer(newest, lie),
            Step::Ask(lie) => self.ask(lie),
            Step::Settle => {
                let outputs = self.honest.sync.settled(now, liar, &self.honest.store);
                self.obey(outputs);
            }
            Step::Part => self.honest.sync.peer_down(liar),
            Step::Meet => self.honest.sync.peer_up(now, liar),
            Step::Room(has_room) => self.honest.sync.set_room(has_room),
            Step::Put(number) => self.honest.put(usize::from(number) % RECORDS),
        }
    }
}

fuzz_target!(|input: Input| {
    let start = Now { wall: START, mono_ms: 0 };
    let node = |number: u8, held| Node::new(number, input.seed, held, start);
    let (honest, liar) = (node(1, input.held[0]), node(2, input.held[1]));
    let mut play = Play { now_ms: 0, honest, liar, questions: VecDeque::new(), said: Vec::new() };
    play.step(Step::Meet);
    for step in input.steps {
        play.step(step);
    }
    // Nothing of it stays when it has gone.
    play.step(Step::Part);
    assert_eq!(play.honest.sync.sessions(), 0);
    play.questions.clear();
    play.now_ms += limits::SESSION_MS_MAX;
    play.tick();
    assert!(play.questions.is_empty(), "nobody is there to be asked");
});
