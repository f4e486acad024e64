//! The real `griotd` on a disk that something else fills to the last byte: it takes no new records and says so, still takes
//! acks, and goes on by itself when there is room.

#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

mod disk_support;
mod griotd_support;

use std::{fs, time::Instant};

use disk_support::SmallDisk;
use griot_protocol::{
    AckItem, NetworkName, NetworkParams, Record, ack,
    api::{NodeReport, RecordState, RecordStatus},
};
use griotd_support::{Griotd, Line, PATIENCE, letter, mailbox};
use hyper::{Method, StatusCode, body::Bytes};

/// Room for two segments of the log, 64 MiB each, and for the index.
const DISK_MIB: u64 = 176;

/// An ack of the letter with this number.
fn ack_of(number: u64, letter: &Record) -> Record {
    let (_, collect, keys) = mailbox(number % 5);
    let item = AckItem { created_at: letter.body().created_at(), id: letter.id() };
    ack::make(&NetworkParams::standard(NetworkName::standard()), &collect, keys, true, vec![item]).unwrap()
}

async fn status(node: &Griotd, record: &Record) -> Option<RecordStatus> {
    let (status, body) = node.ask(Method::GET, &format!("/v1/records/{}", record.id()), Bytes::new()).await.unwrap();
    (status == StatusCode::OK).then(|| serde_json::from_slice(&body).unwrap())
}

/// Waits until it says that it is ready, or that it is not because the disk is full.
async fn ready(node: &Griotd, wanted: bool) {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let (status, body) = node.ask(Method::GET, "/health/ready", Bytes::new()).await.unwrap();
        let is_full = String::from_utf8_lossy(&body).contains("disk-full");
        assert!(status == StatusCode::OK || is_full, "{status}: {body:?}");
        if (status == StatusCode::OK) == wanted {
            return;
        }
        assert!(Instant::now() < deadline, "ready is still not {wanted}: {body:?}\n{}", node.log());
        tokio::time::sleep(std::time::Duration::from_millis(100)).await;
    }
}

async fn says_full(node: &Griotd) -> bool {
    let (_, body) = node.ask(Method::GET, "/v1/report", Bytes::new()).await.unwrap();
    serde_json::from_slice::<NodeReport>(&body).unwrap().disk.full
}

async fn assert_kept(node: &Griotd, letters: &[Record], acked: &[usize]) {
    for (number, letter) in letters.iter().enumerate() {
        let found = status(node, letter).await.unwrap_or_else(|| panic!("{} is gone", letter.id()));
        let wanted = if acked.contains(&number) { RecordState::Acked } else { RecordState::Held };
        assert_eq!(found.state, wanted, "{}", letter.id());
    }
}

#[tokio::test]
async fn on_a_full_disk_acks_are_taken_and_new_records_again_when_there_is_room() {
    let Some(disk) = SmallDisk::make(DISK_MIB) else { return };
    let log = tempfile::tempdir().unwrap();
    let data = disk.path().join("data");
    fs::create_dir(&data).unwrap();
    fs::write(data.join("griotd.toml"), "[limits]\ndisk_reserve_bytes = 0\n").unwrap();
    let mut node = Griotd::new(data.clone(), log.path().join("log"), 0, &[]);
    node.start().await;
    let mut line = Line::open(&data).await.unwrap();
    let mut letters: Vec<Record> = (0..60).map(letter).collect();
    for letter in &letters {
        assert!(line.submit(letter).await);
    }

    disk.fill();
    let refused = letter(1000);
    assert!(!line.submit(&refused).await, "the log has a place for it, and the index has none");
    ready(&node, false).await;
    assert!(says_full(&node).await);
    let info = node.info().await.unwrap();
    assert!(info.warnings.iter().any(|text| text.contains("the disk is full")), "{:?}", info.warnings);
    assert!(line.submit(&ack_of(7, &letters[7])).await, "an ack is taken: {}", node.log());
    assert_kept(&node, &letters, &[7]).await;
    assert!(!line.submit(&refused).await, "and that it was is no sign of room");

    disk.free();
    ready(&node, true).await;
    assert!(!says_full(&node).await);
    assert!(line.submit(&refused).await, "without a restart: {}", node.log());
    letters.push(refused);
    assert_kept(&node, &letters, &[7]).await;

    // A start on the full disk: in the room that is kept for it, or not at all.
    disk.fill();
    ready(&node, false).await;
    node.stop();
    node.start().await;
    ready(&node, false).await;
    let mut line = Line::open(&data).await.unwrap();
    assert!(line.submit(&ack_of(8, &letters[8])).await, "{}", node.log());
    assert!(!line.submit(&letter(1001)).await);
    node.stop();
    disk.fill();
    node.spawn();
    assert!(node.answers_unless(|| false).await.is_none(), "there is no room to open the index");
    assert!(node.log().contains("needs 8 MiB of free space"), "{}", node.log());
    node.kill();

    disk.free();
    node.start().await;
    assert_kept(&node, &letters, &[7, 8]).await;
    assert!(!node.log().contains("rebuilt"), "{}", node.log());
    node.stop();
}
