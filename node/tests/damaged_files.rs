//! A node's files are damaged while it is off: an index that is gone or torn, a log with flipped bits, cut short, without
//! its header, or gone. It starts all the same, says what it found, and what was lost comes back from its neighbour.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

mod griotd_support;

use std::{
    fs::{self, File, OpenOptions},
    net::TcpListener,
    os::unix::fs::FileExt,
    path::{Path, PathBuf},
};

use griot_protocol::Record;
use griotd_support::{Griotd, Line, letter};
use tempfile::TempDir;
use tokio::runtime::Runtime;

/// Records that both nodes hold before anything is damaged.
const RECORDS: u64 = 60;

/// Where the log's entries begin, found by their marker.
fn entries(segment: &Path) -> Vec<u64> {
    let bytes = fs::read(segment).unwrap();
    let used = bytes.iter().rposition(|byte| *byte != 0).unwrap();
    (64..used as u64).filter(|at| bytes[*at as usize..].starts_with(&bytes[8..16])).collect()
}

fn flip(path: &Path, at: u64) {
    let file = OpenOptions::new().read(true).write(true).open(path).unwrap();
    let mut byte = [0];
    file.read_exact_at(&mut byte, at).unwrap();
    file.write_all_at(&[byte[0] ^ 0x10], at).unwrap();
}

/// Two nodes that hold the same records.
struct Pair {
    runtime: Runtime,
    healthy: Griotd,
    /// The one whose files are damaged. It dials the other.
    damaged: Griotd,
    letters: Vec<Record>,
    _dir: TempDir,
}

impl Pair {
    fn start() -> Self {
        let (dir, runtime) = (tempfile::tempdir().unwrap(), Runtime::new().unwrap());
        let node = |name: &str, port, peers: &[String]| {
            Griotd::new(dir.path().join(name), dir.path().join(format!("{name}.log")), port, peers)
        };
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let mut healthy = node("healthy", port, &[]);
        let mut damaged = node("damaged", 0, &[format!("/ip4/127.0.0.1/tcp/{port}")]);
        let letters: Vec<Record> = (0..RECORDS).map(letter).collect();
        runtime.block_on(async {
            healthy.start().await;
            damaged.start().await;
            let mut line = Line::open(&healthy.data).await.unwrap();
            for letter in &letters {
                assert!(line.submit(letter).await);
            }
            damaged.wait_for("both to hold the records", |info| info.records == RECORDS).await;
        });
        Self { runtime, healthy, damaged, letters, _dir: dir }
    }

    fn segment(&self) -> PathBuf {
        self.damaged.data.join("log/00000001.log")
    }

    /// Damages the files while both nodes are off. Starts the node alone, and returns how many records it still holds and
    /// what it says.
    fn damage(&mut self, damage: impl FnOnce(&Self)) -> (u64, String) {
        self.healthy.kill();
        self.damaged.kill();
        damage(self);
        let info = self.runtime.block_on(self.damaged.start());
        (info.records, info.warnings.join("\n"))
    }

    /// The neighbour is back: so is everything that was lost.
    fn heal(&mut self) {
        self.runtime.block_on(async {
            self.healthy.start().await;
            self.damaged.wait_for("sync", |info| info.records == RECORDS).await;
            let mut line = Line::open(&self.damaged.data).await.unwrap();
            for letter in &self.letters {
                assert!(line.knows(letter).await, "{} did not come back", letter.id());
            }
        });
        assert!(self.damaged.run(&["verify"]).status.success());
    }
}

#[test]
fn an_index_that_is_gone_or_torn_is_made_again_and_nothing_is_lost() {
    let mut pair = Pair::start();
    let db = |pair: &Pair| pair.damaged.data.join("index/db");
    let (held, said) = pair.damage(|pair| fs::remove_dir_all(pair.damaged.data.join("index")).unwrap());
    assert!(held == RECORDS && said.contains("the index was rebuilt from the record log: it is missing"), "{said}");
    let (held, said) = pair.damage(|pair| File::create(db(pair)).unwrap().set_len(0).unwrap());
    assert!(held == RECORDS && said.contains("the index was rebuilt"), "{held}: {said}");
    let (held, said) = pair.damage(|pair| fs::write(db(pair), vec![0x5a; 600_000]).unwrap());
    assert!(held == RECORDS && said.contains("the index was rebuilt"), "{held}: {said}");
    assert!(pair.damaged.data.join("index.broken-1").is_dir());
    pair.heal();
}

#[test]
fn bits_that_flip_in_the_log_are_set_aside_when_it_is_read_and_come_back() {
    let mut pair = Pair::start();
    let (held, said) = pair.damage(|pair| {
        fs::remove_dir_all(pair.damaged.data.join("index")).unwrap();
        for entry in entries(&pair.segment()).iter().skip(5).step_by(10).take(4) {
            flip(&pair.segment(), entry + 100);
        }
    });
    assert_eq!(held, RECORDS - 4, "{said}");
    assert_eq!(said.matches("a damaged piece of the record log was set aside").count(), 4, "{said}");
    assert_eq!(fs::read_dir(pair.damaged.data.join("quarantine")).unwrap().count(), 4);
    pair.heal();
}

#[test]
fn bits_that_flip_under_a_living_index_are_found_by_verify_and_come_back() {
    let mut pair = Pair::start();
    // The index is up to date, so that the log is not read again.
    pair.healthy.kill();
    pair.damaged.stop();
    for entry in entries(&pair.segment()).iter().skip(5).step_by(10).take(3) {
        flip(&pair.segment(), entry + 100);
    }
    let verified = pair.damaged.run(&["verify"]);
    let found = String::from_utf8(verified.stderr).unwrap();
    assert!(!verified.status.success() && found.contains("3 of 60 records are damaged; sync fetches them"), "{found}");
    // What that dropped was not checkpointed; the running node drops it again, and asks for it.
    let (_, said) = pair.damage(|_| ());
    assert!(said.is_empty(), "{said}");
    let _ = pair.damaged.run(&["verify"]);
    pair.heal();
}

#[test]
fn a_log_that_is_cut_short_is_read_as_far_as_it_goes_and_the_rest_comes_back() {
    let mut pair = Pair::start();
    // The index is up to date: it knows that there was more.
    pair.damaged.stop();
    let (held, said) = pair.damage(|pair| {
        let cut = entries(&pair.segment())[20] + 50;
        OpenOptions::new().write(true).open(pair.segment()).unwrap().set_len(cut).unwrap();
    });
    assert!(held <= 20, "{held}: {said}");
    assert!(said.contains("the index was rebuilt from the record log"), "{said}");
    pair.heal();
    // What came back is on disk.
    let (held, said) = pair.damage(|_| ());
    assert!(held == RECORDS && said.is_empty(), "{held}: {said}");
}

#[test]
fn a_log_without_its_header_is_known_by_its_entries_and_made_good() {
    let mut pair = Pair::start();
    let (held, said) = pair.damage(|pair| {
        fs::remove_dir_all(pair.damaged.data.join("index")).unwrap();
        flip(&pair.segment(), 10);
    });
    assert_eq!(held, RECORDS, "{said}");
    assert!(said.contains("a damaged piece of the record log was set aside"), "{said}");
    let (held, said) = pair.damage(|_| ());
    assert!(held == RECORDS && said.is_empty(), "{held}: {said}");
    pair.heal();
}

#[test]
fn a_log_that_is_gone_is_reported_and_its_records_come_back() {
    let mut pair = Pair::start();
    let (held, said) = pair.damage(|pair| fs::remove_dir_all(pair.damaged.data.join("log")).unwrap());
    assert!(held == 0 && said.contains("the record log was gone"), "{held}: {said}");
    pair.heal();
}
