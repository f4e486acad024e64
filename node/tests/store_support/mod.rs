//! Records and comparisons for the tests of the store.

#![allow(dead_code, clippy::unwrap_used, reason = "each test binary uses a part, and a test that fails may panic")]

pub mod workload;

use griot_node::store::{Entry, Holding, Local, MemberId, Outcome, Position, Row, Store, SyncSet};
use griot_protocol::{
    AckItem, Address, Body, CollectSecret, DeliverSecret, Grant, Hour, MailboxKeys, MailboxKind, NetworkName,
    NetworkParams, NodeSecret, Record, RecordId, Shard, ShardBits, Timestamp, ack, custody, envelope,
};

/// The hour in which the tests begin.
pub const START: Timestamp = Timestamp(500_000 * 3600);

pub struct Mailbox {
    pub deliver: DeliverSecret,
    pub collect: CollectSecret,
    pub keys: MailboxKeys,
    pub address: Address,
}

pub fn params() -> NetworkParams {
    NetworkParams { name: NetworkName::standard(), bits: ShardBits::ZERO, postage_bits: 0 }
}

pub fn mailbox(number: u8, kind: MailboxKind) -> Mailbox {
    let deliver = DeliverSecret::from_bytes(&[number; 32]);
    let collect = CollectSecret::from_bytes(&[number + 100; 32]);
    let keys = MailboxKeys { kind, deliver: deliver.public(), collect: collect.public(), nonce: 0 };
    Mailbox { deliver, collect, keys, address: keys.address() }
}

pub fn envelope(to: &Mailbox, created_at: Timestamp, life_hours: u64, salt: u64) -> Record {
    let mut payload = vec![1; 257];
    payload[1..9].copy_from_slice(&salt.to_le_bytes());
    envelope::seal(&params(), &to.deliver, to.keys, created_at, created_at.plus(life_hours * 3600), payload).unwrap()
}

pub fn ack(of: &Mailbox, release: bool, envelopes: &[&Record]) -> Record {
    let items = envelopes.iter().map(|record| AckItem { created_at: record.body().created_at(), id: record.id() });
    ack::make(&params(), &of.collect, of.keys, release, items.collect()).unwrap()
}

pub fn receipt(of: &Mailbox, node: u8, ids: Vec<RecordId>, at: Timestamp, life_hours: u64) -> Record {
    let node = NodeSecret::from_bytes(&[node; 32]);
    let grant = grant(of, &node);
    custody::make(&params(), &node, of.keys, grant, ids, at, at.plus(life_hours * 3600)).unwrap()
}

pub fn grant(of: &Mailbox, node: &NodeSecret) -> Grant {
    Grant::issue(&params().name, &of.collect, &of.address, &node.public(), START.plus(300 * 24 * 3600))
}

pub fn registered(of: &Mailbox, member: u8) -> Entry {
    let grant = grant(of, &NodeSecret::from_bytes(&[77; 32]));
    Entry::Local(Local::Registered { member: MemberId([member; 16]), keys: of.keys, grant, at: START })
}

/// All records and mailboxes of a test.
pub struct Pool {
    pub mailboxes: Vec<Mailbox>,
    pub records: Vec<Record>,
}

/// Four mailboxes; envelopes, acks of either sort and receipts that overlap in all ways.
pub fn pool() -> Pool {
    let kind = |number| if number == 4 { MailboxKind::Shared } else { MailboxKind::Direct };
    let mailboxes: Vec<Mailbox> = (1..=4).map(|number| mailbox(number, kind(number))).collect();
    let mut records = Vec::new();
    for salt in 0..28_u64 {
        let to = &mailboxes[salt as usize % 4];
        records.push(envelope(to, START.plus(salt * 60), 1 + salt * 5 % 60, salt));
    }
    let envelopes = records.clone();
    for (number, of) in mailboxes.iter().take(3).enumerate() {
        let theirs: Vec<&Record> = envelopes.iter().filter(|record| record.address() == of.address).collect();
        records.push(ack(of, true, &theirs[..2]));
        records.push(ack(of, false, &theirs[1..4]));
        records.push(ack(of, true, &theirs[3..5]));
        // Another mailbox's mail: must act on nothing.
        let others: Vec<&Record> = envelopes.iter().filter(|record| record.address() != of.address).take(3).collect();
        records.push(ack(of, true, &others));
        for node in 0..2 {
            let ids = theirs[node..node + 3].iter().map(|record| record.id()).collect();
            records.push(receipt(of, 50 + node as u8, ids, START.plus(number as u64 * 60), 3 + 20 * node as u64));
        }
    }
    Pool { mailboxes, records }
}

/// Outcomes without the positions, which a log that was compacted numbers otherwise.
pub fn unplaced(outcomes: &[Outcome]) -> Vec<Outcome> {
    let unplace = |outcome: &Outcome| match outcome {
        Outcome::Inserted(position) => Outcome::Inserted(position.map(|_| Position(0))),
        other => *other,
    };
    outcomes.iter().map(unplace).collect()
}

/// Of a killed envelope that was once a mark, nobody asks how long it was; a log that was compacted may not tell whether its
/// body came before or after the ack.
pub fn forget_killed_length(row: &mut Row) {
    if row.holding == Holding::Killed {
        row.frame_bytes = 0;
    }
}

/// Every answer that two stores give must be the same.
pub fn assert_same(one: &dyn Store, other: &dyn Store, pool: &Pool) {
    for record in &pool.records {
        let id = record.id();
        let (mut a, mut b) = (one.row(&id).unwrap(), other.row(&id).unwrap());
        for row in [&mut a, &mut b].into_iter().flatten() {
            row.position = row.position.map(|_| Position(0));
            forget_killed_length(row);
        }
        assert_eq!(a, b, "row of {id}");
        let frame = one.frame(&id).unwrap();
        assert_eq!(frame, other.frame(&id).unwrap(), "frame of {id}");
        assert!(frame.is_none_or(|frame| frame == record.frame()));
        assert_eq!(one.about(&id).unwrap(), other.about(&id).unwrap(), "about {id}");
    }
    for mailbox in &pool.mailboxes {
        let address = &mailbox.address;
        let [a, b] = [one, other].map(|store| {
            let all = store.mailbox(address, Position(0), 1000).unwrap();
            for (index, (position, _)) in all.iter().enumerate() {
                assert_eq!(store.mailbox(address, *position, 1000).unwrap(), all[index + 1..]);
                assert_eq!(store.mailbox(address, Position(0), index).unwrap(), all[..index]);
            }
            all.into_iter().map(|(_, id)| id).collect::<Vec<_>>()
        });
        assert_eq!(a, b, "mailbox {address}");
        assert_eq!(one.usage(address), other.usage(address));
        assert_eq!(one.registrations(address).unwrap(), other.registrations(address).unwrap());
    }
    assert_eq!(one.floor(), other.floor());
    assert_eq!(one.totals(), other.totals());
    assert_eq!(one.members().unwrap(), other.members().unwrap());
    assert_eq!(one.oldest_uncollected(), other.oldest_uncollected());
    let registrations = one.all_registrations(None, 100).unwrap();
    assert_eq!(registrations, other.all_registrations(None, 100).unwrap());
    for row in &registrations {
        let after = Some((row.keys.address(), row.member));
        assert_eq!(one.all_registrations(after, 2).unwrap(), other.all_registrations(after, 2).unwrap());
    }
    let outbox = one.outbox(None, 100).unwrap();
    assert_eq!(outbox, other.outbox(None, 100).unwrap());
    for (id, _) in &outbox {
        assert_eq!(one.outbox(Some(*id), 2).unwrap(), other.outbox(Some(*id), 2).unwrap());
    }
    let held = one.held(None, 1000).unwrap();
    assert_eq!(held, other.held(None, 1000).unwrap());
    for id in &held {
        assert_eq!(one.held(Some(*id), 3).unwrap(), other.held(Some(*id), 3).unwrap());
    }
    for bytes in [1, 1000, 100_000] {
        assert_eq!(one.eviction_candidates(bytes, 20).unwrap(), other.eviction_candidates(bytes, 20).unwrap());
    }
    for shard in one.bits().shards().chain([Shard(one.bits().shard_count())]) {
        for set in [SyncSet::Acks, SyncSet::Rest] {
            let digests = one.digests(set, shard, Hour(0));
            assert_eq!(digests, other.digests(set, shard, Hour(0)));
            for (hour, digest) in digests {
                let bucket = one.bucket(set, shard, hour).unwrap();
                assert_eq!(bucket, other.bucket(set, shard, hour).unwrap());
                let mut sum = griot_node::store::Digest::default();
                bucket.iter().for_each(|(_, id)| sum.add(id));
                assert_eq!(sum, digest);
                assert_eq!(one.digests(set, shard, Hour(hour.0 + 1)), other.digests(set, shard, Hour(hour.0 + 1)));
            }
        }
    }
    assert_eq!(one.remembered_peers().unwrap(), other.remembered_peers().unwrap());
}

/// Whether a record is an envelope.
pub fn is_envelope(record: &Record) -> bool {
    matches!(record.body(), Body::Envelope(_))
}
