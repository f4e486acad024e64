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

use std::{
    fs,
    io::{BufRead, BufReader, Write},
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::mpsc,
    thread,
    time::Duration,
};

use griot_node::store::{DiskStore, MemoryStore, OpenReport, Options, StoreError};
use griot_protocol::{ShardBits, Timestamp};
use power_support::{can_mount, image::Image, mount::CutDisk, number_from_env};
use rand::{RngExt, SeedableRng, rngs::StdRng};
use store_support::{
    Pool, pool,
    workload::{Op, Witness, perform, random_op},
};

/// Disks that go through this in the suite: some ten seconds.
const DISKS: u64 = 40;

/// How often each of them loses power.
const CUTS: usize = 8;

/// Changes after which the power fails at the latest: a few dozen commits and some housekeeping.
const CHANGES_MAX: u64 = 250;

/// Calls between two power cuts at most.
const CALLS_MAX: usize = 120;

const POLL: Duration = Duration::from_millis(2);

fn open(dir: &Path, index_waits: usize) -> Result<(DiskStore, OpenReport), StoreError> {
    // Small segments, so that a few calls fill several; no reserve.
    let bits = ShardBits::ZERO;
    let sizes = Options { segment_bytes: 8 * 1024, reserve_bytes: 0, cache_bytes: 1 << 20, ..Options::new(bits) };
    DiskStore::open(dir, &Options { index_waits, ..sizes })
}

/// What the other process is told.
type Order = (PathBuf, u64, u64, usize, usize);
const ORDER: &str = "GRIOT_TEST_POWER_ORDER";

/// What the other process says once the store is open; it then waits for a line.
const OPEN: &str = "open";

/// What the other process says of each call that was answered.
const DONE: &str = "done";

/// The calls that the other process makes.
fn calls(seed: u64, count: usize, pool: &Pool) -> Vec<Op> {
    let mut random = StdRng::seed_from_u64(seed);
    (0..count).map(|_| random_op(&mut random, pool)).collect()
}

/// Opens the store and asks it until a call fails: in a process of its own, which can be killed.
#[test]
fn the_other_process() {
    let Ok(order) = std::env::var(ORDER) else { return };
    let (data, now, seed, count, index_waits): Order = serde_json::from_str(&order).unwrap();
    let Ok((store, _)) = open(&data, index_waits) else { std::process::exit(0) };
    println!("{OPEN}");
    std::io::stdin().read_line(&mut String::new()).unwrap();
    let mut now = Timestamp(now);
    for op in calls(seed, count, &pool()) {
        now = op.end(now);
        if perform(&store, &op, now).is_err() {
            break;
        }
        println!("{DONE}");
    }
    // Nothing is dropped: it ends as a killed process does.
    std::process::exit(0);
}

struct Life<'a> {
    random: StdRng,
    at: &'a Path,
    witness: Witness,
    index_waits: usize,
    /// Calls that were answered in all.
    answered: usize,
}

impl Life<'_> {
    /// From one power cut to the next.
    fn go_on(&mut self, image: Image) -> Image {
        let mut disk = CutDisk::mount(image, self.at).unwrap();
        if self.random.random_bool(0.3) {
            // The power fails again while the store is still being opened.
            disk.cut_after(self.random.random_range(0..30));
            self.ask_until_it_fails(&disk, 0, 0);
            return disk.after_power_cut(self.random.random());
        }
        self.examine();
        let changes = self.random.random_range(0..CHANGES_MAX);
        self.ask_until_it_fails(&disk, CALLS_MAX, changes);
        if self.random.random_bool(0.3) {
            // Only the process has died: what it wrote and did not sync is seen by the next, until the power fails.
            disk.restore();
            self.examine();
            let changes = self.random.random_range(0..20);
            self.ask_until_it_fails(&disk, CALLS_MAX, changes);
        }
        disk.after_power_cut(self.random.random())
    }

    /// Opens what is left: that must work, and nothing may look damaged, for nothing is.
    fn examine(&mut self) {
        let (store, report) = open(&self.at.join("data"), self.index_waits).unwrap();
        assert!(report.quarantined.is_empty() && report.unknown == 0, "{report:?}");
        self.witness.examine(&store);
        assert!(store.verify().unwrap().is_sound());
    }

    /// Lets another process open the store and ask until its disk fails, that many changes later; kills it, and notes what
    /// was answered.
    fn ask_until_it_fails(&mut self, disk: &CutDisk, count: usize, changes: u64) {
        let seed: u64 = self.random.random();
        let order: Order = (self.at.join("data"), self.witness.now().0, seed, count, self.index_waits);
        let mut process = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "the_other_process", "--nocapture", "--test-threads=1"])
            .env(ORDER, serde_json::to_string(&order).unwrap())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        // Read beside it: a process whose disk has failed may be silent for ever.
        let output = BufReader::new(process.stdout.take().unwrap());
        let (told, lines) = mpsc::channel();
        let reader = thread::spawn(move || output.lines().map_while(Result::ok).try_for_each(|line| told.send(line)));
        let mut answered = 0;
        loop {
            match lines.recv_timeout(POLL) {
                Ok(line) if line == DONE => answered += 1,
                // The first is on one line with what the test runner says.
                Ok(line) if line.ends_with(OPEN) => {
                    disk.cut_after(changes);
                    let _ = process.stdin.take().unwrap().write_all(b"\n");
                }
                Err(mpsc::RecvTimeoutError::Timeout) if !disk.is_cut() => {}
                Ok(_) => {}
                Err(_) => break,
            }
        }
        // What was answered is in the pipe. sled may wait for ever for a disk that has failed.
        let _ = process.kill();
        process.wait().unwrap();
        let _ = reader.join().unwrap();
        answered += lines.iter().filter(|line| line == DONE).count();
        self.answered += answered;
        let calls = calls(seed, count, &self.witness.pool);
        calls[..answered].iter().for_each(|op| self.witness.answered(op));
        if let Some(op) = calls.get(answered) {
            assert!(disk.is_cut(), "{op:?} failed although there was power");
            self.witness.begun(op);
        }
    }
}

#[test]
fn nothing_that_was_answered_is_lost_when_the_power_fails() {
    if !can_mount() {
        return;
    }
    let first = number_from_env("GRIOT_TEST_SEED", 20_211_004);
    let disks = number_from_env("GRIOT_TEST_POWER_DISKS", DISKS);
    let mut answered = 0;
    for seed in first..first + disks {
        println!("seed {seed} (set GRIOT_TEST_SEED to begin with it)");
        let mut random = StdRng::seed_from_u64(seed);
        let dir = tempfile::tempdir().unwrap();
        let index_waits = [1, 20, usize::MAX][random.random_range(0..3)];
        let witness = Witness::new(pool(), MemoryStore::lazy(ShardBits::ZERO));
        let mut life = Life { random, at: dir.path(), witness, index_waits, answered: 0 };
        let image = (0..CUTS).fold(Image::default(), |image, _| life.go_on(image));
        // In the end the index must say what the log alone says.
        let disk = CutDisk::mount(image, dir.path()).unwrap();
        let data = dir.path().join("data");
        life.examine();
        fs::remove_dir_all(data.join("index")).unwrap();
        life.examine();
        drop(disk.after_power_cut(seed));
        answered += life.answered;
    }
    // A disk that always fails before anything is answered would prove nothing.
    assert!(answered >= disks as usize * CUTS, "{answered} calls were answered on {disks} disks");
    println!("{answered} calls were answered");
}
