//! Whatever comes in, in whatever order things come back: no panic, and every call is answered exactly once.

use bytes::Bytes;
use griot_protocol::{MailboxKeys, NodeId, Record, RecordId, Refusal, Shard, custody};
use proptest::{collection::vec, prelude::*};

use super::harness::*;
use crate::{
    relay::{
        CallId, Config, ExchangeId, GossipId, InboundId, Input, Limits, Now, Output, PersistError, Quota, Relay, Ticket,
    },
    store::{MemberId, MemoryStore, Store},
};

/// A relay whose verifications, commits and receipts come back when the test says so.
struct Chaos {
    relay: Relay,
    store: MemoryStore,
    now: Now,
    waiting: Vec<Output>,
    asked: u64,
    answered: Vec<CallId>,
    mailboxes: Vec<Mailbox>,
}

impl Chaos {
    fn new(bits: u8) -> Self {
        let quota = Quota { mailboxes: 2, mailbox_bytes: 1000, outbox_envelopes: 3, outbox_bytes: 10_000 };
        let limits = Limits { member: quota, best_effort_bytes: 1000, ..Limits::default() };
        let config = Config { limits, ..Config::new(params(bits), home().public()) };
        let mut relay = Relay::new(config, [3; 32], None);
        let store = MemoryStore::new(bits.try_into().unwrap());
        let now = Now { wall: DAWN, mono_ms: 0 };
        relay.start(now, &store).unwrap();
        let mailboxes = vec![Mailbox::direct(1), Mailbox::direct(2), Mailbox::shared(3)];
        Self { relay, store, now, waiting: Vec::new(), asked: 0, answered: Vec::new(), mailboxes }
    }

    fn feed(&mut self, input: Input) {
        for output in self.relay.handle(self.now, input, &self.store) {
            match output {
                Output::Respond { call, .. } => self.answered.push(call),
                Output::Verify { .. } | Output::Persist { .. } | Output::MakeReceipt { .. } => {
                    self.waiting.push(output)
                }
                _ => {}
            }
        }
    }

    fn come_back(&mut self, pick: usize, fails: u8) {
        if self.waiting.is_empty() {
            return;
        }
        // Commits are made in the order in which they were asked for; everything else comes back as it likes.
        let is_commit = |output: &Output| matches!(output, Output::Persist { .. });
        let mut pick = pick % self.waiting.len();
        if is_commit(&self.waiting[pick]) {
            pick = self.waiting.iter().position(is_commit).unwrap_or(pick);
        }
        let input = match self.waiting.remove(pick) {
            Output::Verify { ticket, record } => Input::Verified { ticket, result: record.verify(&params(0).name) },
            Output::Persist { ticket, .. } if fails == 1 => {
                Input::Persisted { ticket, result: Err(PersistError::Full) }
            }
            Output::Persist { ticket, .. } if fails == 2 => {
                Input::Persisted { ticket, result: Err(PersistError::Failed("x".to_owned())) }
            }
            Output::Persist { ticket, entries } => {
                Input::Persisted { ticket, result: Ok(self.store.commit(&entries).unwrap()) }
            }
            Output::MakeReceipt { ticket, .. } if fails == 3 => {
                Input::ReceiptMade { ticket, result: Err(Refusal::Grant) }
            }
            Output::MakeReceipt { ticket, keys, grant, items, stored_at, expires_at } => Input::ReceiptMade {
                ticket,
                result: custody::make(&params(0), &home(), keys, grant, items, stored_at, expires_at),
            },
            _ => return,
        };
        self.feed(input);
    }

    fn record(&self, pick: u8) -> Record {
        let mailbox = &self.mailboxes[usize::from(pick) % self.mailboxes.len()];
        let letter = mailbox.envelope(pick / 16);
        match pick % 7 {
            0 if mailbox.keys.kind == griot_protocol::MailboxKind::Direct => {
                mailbox.ack(&[&letter], pick.is_multiple_of(2))
            }
            1 => mailbox.receipt_by(&home(), &[&letter]),
            _ => letter,
        }
    }

    /// The relay's tables say what the store says.
    fn check_usage(&self) -> Result<(), TestCaseError> {
        let kept = self.store.outbox(None, 1000).unwrap();
        let table: Vec<RecordId> = self.relay.outbox.ids().collect();
        prop_assert_eq!(table, kept.iter().map(|(id, _)| *id).collect::<Vec<_>>());
        for member in [MemberId::LOCAL, MemberId([1; 16]), MemberId([2; 16])] {
            let paid = kept.iter().filter(|(_, payer)| *payer == member).count() as u64;
            prop_assert_eq!(self.relay.outbox.usage(member).envelopes, paid);
            let rows = self.store.all_registrations(None, 1000).unwrap();
            let registered = rows.iter().filter(|row| row.member == member).count() as u64;
            prop_assert_eq!(self.relay.registry.usage(member).mailboxes, registered);
        }
        Ok(())
    }

    fn call(&mut self) -> CallId {
        self.asked += 1;
        CallId(self.asked)
    }

    fn act(&mut self, step: &Step) {
        let (a, b) = (step.a, step.b);
        let peer = NodeId([b % 4; 32]);
        let member = if b.is_multiple_of(3) { MemberId::LOCAL } else { MemberId([b % 3; 16]) };
        let frame = match b % 5 {
            0 => Bytes::from(step.bytes.clone()),
            1 => forged(&self.record(a)),
            _ => self.record(a).frame().clone(),
        };
        let mailbox = &self.mailboxes[usize::from(a) % self.mailboxes.len()];
        let (keys, address): (MailboxKeys, _) = (mailbox.keys, mailbox.keys.address());
        let grant = mailbox.grant(&home().public());
        let call = CallId(self.asked + 1);
        let input = match step.kind {
            0..=2 => Input::Submit { call, member, frame },
            3 => Input::Import { call, frame },
            4 | 5 => {
                // Mostly on the topic it belongs to.
                let shard = Shard(u32::from(b.is_multiple_of(7)));
                Input::Gossiped { peer, message: GossipId(u64::from(a)), shard, frame }
            }
            6 => Input::Register { call, member, keys, grant },
            7 => Input::Unregister { call, member, address },
            8 => Input::AddMember { call, member, label: "x".to_owned(), token_hash: [0; 32] },
            9 => Input::RevokeMember { call, member },
            10 => Input::PeerUp { peer },
            11 => Input::PeerDown { peer },
            12 => Input::Asked { peer, inbound: InboundId(u64::from(a)), request: frame },
            13 => Input::Answered { peer, exchange: ExchangeId(u64::from(a)), response: Some(frame) },
            14 => Input::Carriers { shard: Shard(u32::from(a % 4)), peers: vec![peer] },
            15 => Input::Unheard { id: self.record(a).id() },
            16 => Input::Persisted { ticket: Ticket(1 << 40 | u64::from(a)), result: Ok(Vec::new()) },
            17 => Input::Verified { ticket: Ticket(1 << 40 | u64::from(a)), result: Err(Refusal::Signature) },
            18 => Input::ExpiredRows(u64::from(a)),
            19 => {
                let request = griot_protocol::sync::SyncRequest::Fetch { ids: vec![RecordId([a; 32])] }.encode();
                Input::Asked { peer, inbound: InboundId(u64::from(a)), request }
            }
            20..=22 => {
                self.now.mono_ms += u64::from(a) * 37;
                self.now.wall = DAWN.plus(self.now.mono_ms / 1000);
                Input::Tick
            }
            _ => return self.come_back(usize::from(a), b),
        };
        let is_call = matches!(
            input,
            Input::Submit { .. }
                | Input::Import { .. }
                | Input::Register { .. }
                | Input::Unregister { .. }
                | Input::AddMember { .. }
                | Input::RevokeMember { .. }
        );
        if is_call {
            self.call();
        }
        self.feed(input);
    }
}

fn home() -> griot_protocol::NodeSecret {
    griot_protocol::NodeSecret::from_bytes(&[5; 32])
}

#[derive(Clone, Debug)]
struct Step {
    kind: u8,
    a: u8,
    b: u8,
    bytes: Vec<u8>,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = (0..40u8, any::<u8>(), any::<u8>(), vec(any::<u8>(), 0..200));
    vec(step.prop_map(|(kind, a, b, bytes)| Step { kind, a, b, bytes }), 0..120)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn every_call_is_answered_exactly_once(steps in steps(), bits in 0..3u8) {
        let mut chaos = Chaos::new(bits);
        for step in &steps {
            chaos.act(step);
        }
        while !chaos.waiting.is_empty() {
            chaos.come_back(0, 0);
        }
        let mut answered = chaos.answered.clone();
        answered.sort_unstable();
        let asked: Vec<CallId> = (1..=chaos.asked).map(CallId).collect();
        prop_assert_eq!(answered, asked);
        prop_assert!(chaos.relay.pending.is_idle(), "every place in a queue is given back");
        prop_assert!(chaos.relay.batches.is_idle(), "every neighbour that waits goes on");
        prop_assert!(chaos.relay.evicting.is_empty());
        chaos.check_usage()?;
    }

    #[test]
    fn arbitrary_bytes_never_panic(bytes in vec(any::<u8>(), 0..2000)) {
        let mut node = Node::new(1);
        let frame = Bytes::from(bytes);
        let call = node.begin_submit(ANA, &frame);
        prop_assert_eq!(node.answers(call).len(), 1);
        node.gossip(&frame);
        let peer = NodeId([1; 32]);
        node.feed(Input::Asked { peer, inbound: InboundId(1), request: frame.clone() });
        node.feed(Input::Answered { peer, exchange: ExchangeId(1), response: Some(frame) });
    }
}
