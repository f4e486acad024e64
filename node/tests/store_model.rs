//! The disk store and the model, driven by the same random operations, give the same answers: through re-opens, lost
//! indexes, expiry and compaction.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

mod store_support;

use std::{fs, path::Path, sync::OnceLock};

use griot_node::store::{DiskStore, Entry, Local, MemberId, MemoryStore, OpenReport, Options, RememberedPeer, Store};
use griot_protocol::{ShardBits, Timestamp};
use proptest::prelude::*;
use store_support::{Pool, START, assert_same, pool, registered, unplaced};

fn shared_pool() -> &'static Pool {
    static POOL: OnceLock<Pool> = OnceLock::new();
    POOL.get_or_init(pool)
}

#[derive(Clone, Debug)]
enum Op {
    Commit(Vec<Vec<Entry>>),
    Expire {
        hours: u64,
        max: usize,
    },
    /// The clock was ahead by so many hours.
    GoBack {
        hours: u64,
        max: usize,
    },
    Maintain,
    Reopen,
    Rebuild,
    Peers(u8),
}

fn entry() -> impl Strategy<Value = Entry> {
    let pool = shared_pool();
    let records = 0..pool.records.len();
    let member = (1..4_u8).prop_map(|member| MemberId([member; 16]));
    let local = |local| Entry::Local(local);
    prop_oneof![
        12 => records.clone().prop_map(|at| Entry::Record(shared_pool().records[at].clone())),
        2 => (0..4_usize, 1..4_u8).prop_map(|(at, member)| registered(&shared_pool().mailboxes[at], member)),
        1 => (0..4_usize, member.clone()).prop_map(move |(at, member)| {
            local(Local::Unregistered { member, address: shared_pool().mailboxes[at].address })
        }),
        1 => (member.clone(), "[a-z]{0,8}").prop_map(move |(member, label)| {
            local(Local::MemberAdded { member, label, token_hash: [7; 32], at: START })
        }),
        1 => member.clone().prop_map(move |member| local(Local::MemberRevoked { member })),
        3 => (records.clone(), member).prop_map(move |(at, member)| {
            local(Local::Submitted { id: shared_pool().records[at].id(), member })
        }),
        1 => records.clone().prop_map(move |at| local(Local::Discharged { id: shared_pool().records[at].id() })),
        3 => records.clone().prop_map(move |at| local(Local::Evicted { id: shared_pool().records[at].id() })),
        2 => records.prop_map(move |at| {
            let record = &shared_pool().records[at];
            local(Local::Marked {
                id: record.id(),
                kind: record.kind(),
                address: record.address(),
                created_at: record.body().created_at(),
                expires_at: record.expires_at(),
            })
        }),
    ]
}

fn op() -> impl Strategy<Value = Op> {
    let batch = prop::collection::vec(entry(), 0..8);
    prop_oneof![
        10 => prop::collection::vec(batch, 0..4).prop_map(Op::Commit),
        3 => (0..4_u64, 1..6_usize).prop_map(|(hours, max)| Op::Expire { hours, max }),
        2 => (0..6_u64, 1..6_usize).prop_map(|(hours, max)| Op::GoBack { hours, max }),
        // Acks live for thirty days, and a day longer here.
        1 => (710..760_u64, 1..60_usize).prop_map(|(hours, max)| Op::Expire { hours, max }),
        1 => (700..800_u64, 1..60_usize).prop_map(|(hours, max)| Op::GoBack { hours, max }),
        4 => Just(Op::Maintain),
        2 => Just(Op::Reopen),
        1 => Just(Op::Rebuild),
        1 => (0..3_u8).prop_map(Op::Peers),
    ]
}

fn open(dir: &Path, bits: ShardBits, index_waits: usize) -> (DiskStore, OpenReport) {
    // Small segments, so that a few operations fill several; no reserve, so that a full machine does not fail the test.
    let options =
        Options { segment_bytes: 8 * 1024, reserve_bytes: 0, cache_bytes: 1 << 20, index_waits, ..Options::new(bits) };
    DiskStore::open(dir, &options).unwrap()
}

fn peers(count: u8) -> Vec<RememberedPeer> {
    let peer = |number| RememberedPeer {
        peer_id: format!("peer{number}"),
        addresses: vec![format!("/ip4/127.0.0.{number}/tcp/1"); 9],
        seen_at: Timestamp(7),
    };
    (0..count).map(peer).collect()
}

/// Drops all that expired; returns how many rows went.
fn expire(store: &dyn Store, now: Timestamp, max: usize) -> usize {
    let mut total = 0;
    loop {
        let dropped = store.expire(now, max).unwrap();
        total += dropped;
        if dropped < max {
            return total;
        }
    }
}

fn run(ops: Vec<Op>, bits: u8, index_waits: usize) {
    let bits = ShardBits::try_from(bits).unwrap();
    let dir = tempfile::tempdir().unwrap();
    let (mut disk, _) = open(dir.path(), bits, index_waits);
    let model = MemoryStore::new(bits);
    let mut now = START;
    for op in ops {
        match op {
            Op::Commit(groups) => {
                let answers = disk.commit_group(&groups).unwrap();
                for (entries, outcomes) in groups.iter().zip(answers) {
                    assert_eq!(unplaced(&model.commit(entries).unwrap()), unplaced(&outcomes));
                }
            }
            Op::Expire { hours, max } => {
                now = now.plus(hours * 3600);
                assert_eq!(expire(&disk, now, max), expire(&model, now, max));
            }
            Op::GoBack { hours, max } => {
                now = now.minus(hours * 3600);
                assert_eq!(expire(&disk, now, max), expire(&model, now, max));
            }
            Op::Maintain => drop(disk.maintain(now).unwrap()),
            Op::Reopen => {
                let epoch = disk.epoch();
                drop(disk);
                let (opened, report) = open(dir.path(), bits, index_waits);
                assert_eq!((report.torn_bytes, report.quarantined.len(), report.rebuilt), (0, 0, None));
                assert_eq!(opened.epoch(), epoch);
                disk = opened;
            }
            Op::Rebuild => {
                drop(disk);
                fs::remove_dir_all(dir.path().join("index")).unwrap();
                let (opened, report) = open(dir.path(), bits, index_waits);
                assert_eq!((report.torn_bytes, report.quarantined.len()), (0, 0));
                assert!(report.rebuilt.is_some());
                disk = opened;
                disk.remember_peers(&model.remembered_peers().unwrap()).unwrap();
            }
            Op::Peers(count) => {
                disk.remember_peers(&peers(count)).unwrap();
                model.remember_peers(&peers(count)).unwrap();
            }
        }
        assert_same(&disk, &model, shared_pool());
    }
    let report = disk.verify().unwrap();
    assert!(report.is_sound(), "{report:?}");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn disk_and_model_agree(
        ops in prop::collection::vec(op(), 1..40),
        bits in 0..3_u8,
        // sled is given the index: at once, every few commits, or only at a checkpoint.
        index_waits in prop::sample::select(vec![1, 20, usize::MAX]),
    ) {
        run(ops, bits, index_waits);
    }
}
