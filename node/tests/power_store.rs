//! The store on a disk that loses power: whatever was answered is there afterwards, the index agrees with the log, and
//! nothing is there by half.
//!
//! The store is the real one with its real files; only the disk below it is a test's ([`power_support`]). It is asked for
//! random things until the power fails, or until its process is killed, which loses less but leaves files that were never
//! synced; then it is opened again, now and then only to lose power again at once.
//!
//! `GRIOT_TEST_POWER_DISKS` says how many disks go through this, `GRIOT_TEST_SEED` with which seed the first begins.

#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

mod power_support;
mod store_support;

use std::{fs, path::Path};

use griot_node::store::{DiskStore, MemoryStore, OpenReport, Options, Store, StoreError};
use griot_protocol::ShardBits;
use power_support::{can_mount, image::Image, mount::CutDisk, number_from_env};
use rand::{RngExt, SeedableRng, rngs::StdRng};
use store_support::{
    pool,
    workload::{Witness, random_op},
};

/// Disks that go through this in the suite: some ten seconds.
const DISKS: u64 = 40;

/// How often each of them loses power.
const CUTS: usize = 8;

/// Changes after which the power fails at the latest: a few dozen commits and some housekeeping.
const CHANGES_MAX: u64 = 250;

/// Calls between two power cuts at most.
const CALLS_MAX: usize = 120;

fn open(dir: &Path, index_waits: usize) -> Result<(DiskStore, OpenReport), StoreError> {
    // Small segments, so that a few calls fill several; no reserve.
    let bits = ShardBits::ZERO;
    let sizes = Options { segment_bytes: 8 * 1024, reserve_bytes: 0, cache_bytes: 1 << 20, ..Options::new(bits) };
    DiskStore::open(dir, &Options { index_waits, ..sizes })
}

/// Opens what is left: that must work, and nothing may look damaged, for nothing is.
fn open_again(dir: &Path, index_waits: usize) -> DiskStore {
    let (store, report) = open(dir, index_waits).unwrap();
    assert!(report.quarantined.is_empty() && report.unknown == 0, "{report:?}");
    store
}

struct Life<'a> {
    random: StdRng,
    at: &'a Path,
    witness: Witness,
    index_waits: usize,
}

impl Life<'_> {
    /// From one power cut to the next.
    fn go_on(&mut self, image: Image) -> Image {
        let mut disk = CutDisk::mount(image, self.at).unwrap();
        let data = self.at.join("data");
        if self.random.random_bool(0.3) {
            // The power fails again while the store is still being opened, or soon after.
            disk.cut_after(self.random.random_range(0..30));
            drop(open(&data, self.index_waits));
        } else {
            let store = open_again(&data, self.index_waits);
            self.witness.examine(&store);
            assert!(store.verify().unwrap().is_sound());
            disk.cut_after(self.random.random_range(0..CHANGES_MAX));
            self.ask_until_it_fails(&store, &disk);
            drop(store);
            if self.random.random_bool(0.3) {
                // Only the process has died: what it wrote and did not sync is seen by the next, until the power fails.
                disk.restore();
                let store = open_again(&data, self.index_waits);
                self.witness.examine(&store);
                disk.cut_after(self.random.random_range(0..20));
                self.ask_until_it_fails(&store, &disk);
            }
        }
        disk.after_power_cut(self.random.random())
    }

    fn ask_until_it_fails(&mut self, store: &DiskStore, disk: &CutDisk) {
        for _ in 0..CALLS_MAX {
            let op = random_op(&mut self.random, &self.witness.pool);
            if let Err(error) = self.witness.ask(store, &op) {
                assert!(disk.is_cut(), "{op:?} failed although there was power: {error}");
                return;
            }
        }
    }
}

#[test]
fn nothing_that_was_answered_is_lost_when_the_power_fails() {
    if !can_mount() {
        return;
    }
    let first = number_from_env("GRIOT_TEST_SEED", 20_211_004);
    for seed in first..first + number_from_env("GRIOT_TEST_POWER_DISKS", DISKS) {
        println!("seed {seed} (set GRIOT_TEST_SEED to begin with it)");
        let mut random = StdRng::seed_from_u64(seed);
        let dir = tempfile::tempdir().unwrap();
        let index_waits = [1, 20, usize::MAX][random.random_range(0..3)];
        let witness = Witness::new(pool(), MemoryStore::lazy(ShardBits::ZERO));
        let mut life = Life { random, at: dir.path(), witness, index_waits };
        let image = (0..CUTS).fold(Image::default(), |image, _| life.go_on(image));
        // In the end the index must say what the log alone says.
        let disk = CutDisk::mount(image, dir.path()).unwrap();
        let data = dir.path().join("data");
        let store = open_again(&data, index_waits);
        life.witness.examine(&store);
        drop(store);
        fs::remove_dir_all(data.join("index")).unwrap();
        let store = open_again(&data, index_waits);
        life.witness.compare(&store);
        drop(store);
        drop(disk.after_power_cut(seed));
    }
}
