//! A real `griotd` on a disk that loses power, while clients hand it records: everything it answered 202 to is there when
//! it runs again, `griotd verify` finds nothing wrong, and nothing comes out of it that was not handed in.
//!
//! The data directory is a file system of the test's own ([`power_support`]). It fails after a number of changes that a
//! seed chooses, forgets or tears what was not synced, and is mounted again.
//!
//! `GRIOT_TEST_POWER_CUTS` says how often, `GRIOT_TEST_SEED` with which seed it begins. The node's own timing is not
//! seeded, so that a seed gives the same cuts and not the same run.

#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

mod griotd_support;
mod power_support;

use std::{
    collections::BTreeMap,
    fs,
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use griot_protocol::{
    Grant, NetworkName, NodeId, Proof, ProofMethod, Record, RecordId, RecordKind, Unverified,
    api::{MemberInfo, NodeInfo, Nonces, Registration},
    bundle::{BundleItem, BundleReader},
};
use griotd_support::{Griotd, Line, letter, mailbox, now};
use hyper::{Method, body::Bytes};
use power_support::{can_mount, image::Image, mount::CutDisk, number_from_env};
use rand::{RngExt, SeedableRng, rngs::StdRng};

/// Power cuts in the suite: about half a minute.
const CUTS: u64 = 12;

/// Changes to the disk after which the power fails at the latest: some two hundred syncs.
const CHANGES_MAX: u64 = 400;

/// Changes that a start makes, about.
const CHANGES_OF_A_START: u64 = 60;

/// Clients that hand in records side by side, so that a sync is shared.
const CLIENTS: u64 = 4;

/// Records that each client hands in where the power does not fail before.
const RECORDS_EACH: u64 = 150;

/// What was handed in, and what of that was answered.
#[derive(Default)]
struct Handed {
    letters: BTreeMap<RecordId, (Record, bool)>,
    members: Vec<String>,
    mailboxes: u64,
    node: Option<NodeId>,
}

impl Handed {
    /// Hands in letters from several clients, and what only this node knows from one more, until the disk fails.
    async fn hand_in(&mut self, griotd: &Griotd, node: NodeId, numbers: &Arc<AtomicU64>) {
        let mut clients = tokio::task::JoinSet::new();
        for _ in 0..CLIENTS {
            clients.spawn(hand_in_letters(griotd.data.clone(), Arc::clone(numbers)));
        }
        loop {
            let number = numbers.fetch_add(1, Ordering::Relaxed);
            let label = format!("member {number}");
            let body = serde_json::json!({ "label": label }).to_string();
            match griotd.ask(Method::POST, "/v1/members", body.into()).await {
                Some((status, _)) if status.is_success() => self.members.push(label),
                _ => break,
            }
            if !register(griotd, node, number).await {
                break;
            }
            self.mailboxes += 1;
            if let Some(done) = clients.try_join_next() {
                self.note(done.unwrap());
                break;
            }
        }
        while let Some(done) = clients.join_next().await {
            self.note(done.unwrap());
        }
    }

    fn note(&mut self, letters: Vec<(Record, bool)>) {
        self.letters.extend(letters.into_iter().map(|(letter, answered)| (letter.id(), (letter, answered))));
    }

    /// Everything that was answered must be there, and nothing that was not handed in.
    async fn examine(&mut self, griotd: &Griotd, info: &NodeInfo) {
        assert_eq!(*self.node.get_or_insert(info.node_id), info.node_id, "the node has forgotten who it is");
        let mut line = Line::open(&griotd.data).await.unwrap();
        for (letter, _) in self.letters.values().filter(|(_, answered)| *answered) {
            assert!(line.knows(letter).await, "{} was answered with 202 and is gone", letter.id());
        }
        let (_, members) = line.ask(Method::GET, "/v1/members", Bytes::new()).await.unwrap();
        let members: Vec<MemberInfo> = serde_json::from_slice(&members).unwrap();
        for label in &self.members {
            assert!(members.iter().any(|member| member.label == *label), "{label} was added and is gone");
        }
        assert!(info.mailboxes >= self.mailboxes, "{} of {} mailboxes", info.mailboxes, self.mailboxes);
        let verified = griotd.run(&["verify"]);
        assert!(verified.status.success(), "{}", String::from_utf8_lossy(&verified.stderr));
        self.examine_bundle(griotd);
    }

    /// What the node gives away is what was handed in, byte for byte.
    fn examine_bundle(&self, griotd: &Griotd) {
        let file = griotd.data.parent().unwrap().with_file_name("bundle");
        let _ = fs::remove_file(&file);
        let exported = griotd.run(&["bundle", "export", file.to_str().unwrap()]);
        assert!(exported.status.success(), "{}", String::from_utf8_lossy(&exported.stderr));
        let bytes = fs::read(&file).unwrap();
        let (mut reader, mut at, mut given) = (BundleReader::new(), 0, 0);
        loop {
            match reader.next_item().unwrap() {
                Some(BundleItem::Frame(frame)) => {
                    let record = Unverified::parse(frame).unwrap().verify(&NetworkName::standard()).unwrap();
                    // Besides there are receipts, which the node made itself.
                    if record.kind() == RecordKind::Envelope {
                        assert_eq!(self.letters[&record.id()].0.frame(), record.frame());
                        given += 1;
                    }
                }
                Some(BundleItem::Header(_)) => {}
                Some(BundleItem::End) => break,
                Some(BundleItem::Damaged) => panic!("a damaged entry"),
                None => at += reader.push(&bytes[at..]),
            }
        }
        assert!(given >= self.letters.values().filter(|(_, answered)| *answered).count());
    }
}

/// Hands in letters until one is not answered; each with whether it was.
async fn hand_in_letters(data: PathBuf, numbers: Arc<AtomicU64>) -> Vec<(Record, bool)> {
    let mut letters = Vec::new();
    let Some(mut line) = Line::open(&data).await else { return letters };
    for _ in 0..RECORDS_EACH {
        let letter = letter(numbers.fetch_add(1, Ordering::Relaxed));
        let answered = line.submit(&letter).await;
        letters.push((letter, answered));
        if !answered {
            break;
        }
    }
    letters
}

async fn register(griotd: &Griotd, node: NodeId, number: u64) -> bool {
    let (_, collect, keys) = mailbox(number);
    let (network, address) = (NetworkName::standard(), keys.address());
    let nonces = griotd.ask(Method::POST, "/v1/nonces?count=1", Bytes::new()).await;
    let Some((_, body)) = nonces.filter(|(status, _)| status.is_success()) else { return false };
    let nonces: Nonces = serde_json::from_slice(&body).unwrap();
    let grant = Grant::issue(&network, &collect, &address, &node, now().plus(86_400));
    let proof = Proof::make(&network, &collect, &node, ProofMethod::Register, &address, nonces.nonces[0]);
    let body = serde_json::to_vec(&Registration { keys, grant, proof }).unwrap();
    let answer = griotd.ask(Method::PUT, &format!("/v1/mailboxes/{address}"), body.into()).await;
    answer.is_some_and(|(status, _)| status.is_success())
}

#[test]
fn everything_that_griotd_accepted_is_there_after_a_power_cut() {
    if !can_mount() {
        return;
    }
    let seed = number_from_env("GRIOT_TEST_SEED", 20_211_004);
    println!("seed {seed} (set GRIOT_TEST_SEED for other cuts)");
    let mut random = StdRng::seed_from_u64(seed);
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let dir = tempfile::tempdir().unwrap();
    let at = dir.path().join("disk");
    fs::create_dir(&at).unwrap();
    let (mut image, mut handed, numbers) = (Image::default(), Handed::default(), Arc::new(AtomicU64::new(0)));
    let mut griotd = Griotd::new(at.join("data"), dir.path().join("log"), 0, &[]);
    for cut in 0..number_from_env("GRIOT_TEST_POWER_CUTS", CUTS) {
        let disk = CutDisk::mount(image, &at).unwrap();
        let while_starting = random.random_bool(0.25);
        if while_starting {
            disk.cut_after(random.random_range(0..CHANGES_OF_A_START));
        }
        griotd.spawn();
        let info = runtime.block_on(griotd.answers_unless(|| disk.is_cut()));
        match info {
            Some(info) if !while_starting => {
                runtime.block_on(handed.examine(&griotd, &info));
                disk.cut_after(random.random_range(1..CHANGES_MAX));
                runtime.block_on(handed.hand_in(&griotd, info.node_id, &numbers));
            }
            _ => assert!(while_starting, "cut {cut}: griotd did not start: {}", griotd.log()),
        }
        disk.cut();
        griotd.kill();
        image = disk.after_power_cut(random.random());
    }
    let answered = handed.letters.values().filter(|(_, answered)| *answered).count();
    println!("{answered} letters answered, {} members, {} mailboxes", handed.members.len(), handed.mailboxes);
    assert!(answered > 0 && handed.mailboxes > 0 && !handed.members.is_empty());
}
