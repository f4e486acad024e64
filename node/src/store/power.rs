//! Power fails at every single operation of a short life of the store, and at random in long ones.
//!
//! Like [`super::faults`], whose disk this uses: the log is on it, the index in a real directory. After every power loss
//! that index is what sled would have if it had kept everything, or what it was some time before, or gone; each must come
//! to what the log says. (`tests/power_store.rs` has sled's own files torn as well, through a real file system.)

use std::{fs, path::Path, sync::Arc};

use griot_protocol::ShardBits;
use rand::{RngExt, SeedableRng, rngs::StdRng};

use super::{
    DiskStore, MemoryStore, OpenReport, Options, StoreError,
    faults::TestDisk,
    support::{
        pool,
        workload::{Op, Witness, random_op},
    },
};

/// Ways in which each power loss tears what was not synced.
const TEARS: u64 = 2;

/// Lives whose every operation is a power loss, and the calls of each: about a hundred operations.
const SHORT_LIVES: u64 = 1;
const SHORT_CALLS: usize = 24;

/// Lives that lose power at random, how often, and the most operations between.
const LONG_LIVES: u64 = 12;
const LONG_CUTS: usize = 12;
const LONG_OPERATIONS_MAX: usize = 400;

fn open(disk: &TestDisk, dir: &Path) -> Result<(DiskStore, OpenReport), StoreError> {
    let options = Options { segment_bytes: 6 * 1024, cache_bytes: 1 << 20, ..Options::new(ShardBits::ZERO) };
    DiskStore::open_on(Arc::new(disk.clone()), dir, &options)
}

fn witness() -> Witness {
    Witness::new(pool(), MemoryStore::lazy(ShardBits::ZERO))
}

/// Opens what is left, which must work, show no damage, and agree with what was answered.
fn examine(disk: &TestDisk, dir: &Path, witness: &mut Witness, when: &str) -> DiskStore {
    let (store, report) = open(disk, dir).unwrap();
    assert!(report.quarantined.is_empty() && report.unknown == 0, "{when}: {report:?}");
    witness.examine(&store);
    let verified = store.verify().unwrap();
    assert!(verified.is_sound(), "{when}: {verified:?}");
    store
}

/// Asks until the power fails.
fn ask(disk: &TestDisk, dir: &Path, witness: &mut Witness, ops: &[Op]) {
    let Ok((store, _)) = open(disk, dir) else { return };
    for op in ops {
        if witness.ask(&store, op).is_err() {
            return;
        }
    }
}

fn copy_index(from: &Path, to: &Path) {
    let _ = fs::remove_dir_all(to);
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        if entry.file_type().unwrap().is_dir() {
            copy_index(&entry.path(), &to.join(entry.file_name()));
        } else {
            fs::copy(entry.path(), to.join(entry.file_name())).unwrap();
        }
    }
}

/// The calls of a short life: the same for the same seed.
fn short_life(seed: u64) -> Vec<Op> {
    let mut random = StdRng::seed_from_u64(seed);
    let pool = pool();
    (0..SHORT_CALLS).map(|_| random_op(&mut random, &pool)).collect()
}

#[test]
fn power_may_fail_at_every_operation_of_a_short_life_and_again_at_every_one_of_the_recovery() {
    for life in 0..SHORT_LIVES {
        let ops = short_life(life);
        let whole = TestDisk::default();
        let dir = tempfile::tempdir().unwrap();
        ask(&whole, dir.path(), &mut witness(), &ops);
        let operations = whole.operations();
        assert!(operations > 40, "{operations} operations");
        for lives in 0..operations {
            for tear in 0..TEARS {
                lose_power_after(&ops, lives, life * 1_000_000 + lives as u64 * TEARS + tear);
            }
        }
    }
}

fn lose_power_after(ops: &[Op], lives: usize, seed: u64) {
    let when = format!("after {lives} operations, torn by {seed}");
    let (dir, disk, mut witness) = (tempfile::tempdir().unwrap(), TestDisk::default(), witness());
    disk.live_for(lives);
    ask(&disk, dir.path(), &mut witness, ops);
    let mut disk = disk.after_power_loss(seed);
    // The recovery writes too, where it has something to cut.
    for again in 0.. {
        disk.live_for(again);
        let opened = open(&disk, dir.path());
        let failed = opened.is_err();
        drop(opened);
        disk = disk.after_power_loss(seed + again as u64);
        if !failed {
            break;
        }
    }
    if seed.is_multiple_of(2) {
        let _ = fs::remove_dir_all(dir.path().join("index"));
    }
    drop(examine(&disk, dir.path(), &mut witness, &when));
    // Once more: recovery has left nothing that it would have to cut, and its own index is as good.
    let (store, report) = open(&disk, dir.path()).unwrap();
    assert_eq!((report.torn_bytes, report.rebuilt), (0, None), "{when}");
    witness.compare(&store);
}

#[test]
fn power_fails_again_and_again_in_long_lives() {
    for seed in 0..LONG_LIVES {
        let mut random = StdRng::seed_from_u64(seed);
        let (dir, older) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let index = dir.path().join("index");
        let (mut disk, mut witness) = (TestDisk::default(), witness());
        for cut in 0..LONG_CUTS {
            let when = format!("life {seed}, power loss {cut}");
            let store = examine(&disk, dir.path(), &mut witness, &when);
            drop(store);
            copy_index(&index, &older.path().join("index"));
            disk.live_for(random.random_range(0..LONG_OPERATIONS_MAX));
            let calls = random.random_range(0..150);
            let ops: Vec<Op> = (0..calls).map(|_| random_op(&mut random, &witness.pool)).collect();
            ask(&disk, dir.path(), &mut witness, &ops);
            disk = disk.after_power_loss(random.random());
            match random.random_range(0..3) {
                0 => fs::remove_dir_all(&index).unwrap_or_default(),
                1 => copy_index(&older.path().join("index"), &index),
                _ => {}
            }
        }
        examine(&disk, dir.path(), &mut witness, &format!("life {seed}, in the end"));
    }
}
