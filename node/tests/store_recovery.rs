//! What the disk store does about damage: torn writes, flipped bits, lost or broken indexes, and two owners.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

mod store_support;

use std::{
    fs,
    os::unix::fs::{FileExt, PermissionsExt},
    path::{Path, PathBuf},
    slice::from_ref,
};

use griot_node::store::{DiskStore, Entry, MemoryStore, OpenReport, Options, Outcome, Position, Store, StoreError};
use griot_protocol::{MailboxKind, Record, ShardBits, Timestamp};
use store_support::{START, ack, assert_same, envelope, mailbox, pool, registered};

fn options() -> Options {
    Options { segment_bytes: 16 * 1024, reserve_bytes: 0, cache_bytes: 1 << 20, ..Options::new(ShardBits::ZERO) }
}

fn open(dir: &Path) -> (DiskStore, OpenReport) {
    DiskStore::open(dir, &options()).unwrap()
}

fn letters(count: u64) -> Vec<Record> {
    let to = mailbox(1, MailboxKind::Direct);
    (0..count).map(|salt| envelope(&to, START, 48, salt)).collect()
}

fn entries(records: &[Record]) -> Vec<Entry> {
    records.iter().cloned().map(Entry::Record).collect()
}

fn segment(dir: &Path) -> PathBuf {
    dir.join("log/00000001.log")
}

/// Where entries begin in the first segment, found by their marker.
fn starts(dir: &Path) -> Vec<usize> {
    let bytes = fs::read(segment(dir)).unwrap();
    let marker = bytes[8..16].to_vec();
    (64..bytes.len() - 8).filter(|at| bytes[*at..at + 8] == marker).collect()
}

fn held(store: &DiskStore, records: &[Record]) -> Vec<bool> {
    records.iter().map(|record| store.frame(&record.id()).unwrap().as_ref() == Some(record.frame())).collect()
}

#[test]
fn a_log_cut_at_any_byte_loses_the_unfinished_batch_and_nothing_else() {
    let dir = tempfile::tempdir().unwrap();
    let records = letters(4);
    let (store, _) = open(dir.path());
    store.commit(&entries(&records[..2])).unwrap();
    store.commit(&entries(&records[2..])).unwrap();
    drop(store);
    let whole = fs::read(segment(dir.path())).unwrap();
    let begun = starts(dir.path());
    let end = whole.iter().rposition(|byte| *byte != 0).unwrap() + 1;
    // Every byte of the headers, and some of the bodies.
    let near = |at: &usize| {
        begun.iter().any(|start| (*start..start + 26).contains(at)) || at.is_multiple_of(61) || at + 2 > end
    };
    for cut in (begun[2]..end).filter(near) {
        let mut bytes = whole.clone();
        bytes[cut..].fill(0);
        fs::write(segment(dir.path()), bytes).unwrap();
        fs::remove_dir_all(dir.path().join("index")).unwrap();
        let (store, report) = open(dir.path());
        assert_eq!(held(&store, &records), [true, true, false, false], "cut at {cut}");
        assert!(report.quarantined.is_empty());
        assert_eq!(report.torn_bytes > 0, cut > begun[2], "cut at {cut}");
        store.commit(&entries(&records[3..])).unwrap();
        drop(store);
        let (store, report) = open(dir.path());
        assert_eq!(held(&store, &records), [true, true, false, true]);
        assert_eq!((report.torn_bytes, report.rebuilt), (0, None));
    }
}

#[test]
fn a_flipped_bit_costs_one_record_and_is_reported() {
    let dir = tempfile::tempdir().unwrap();
    let records = letters(6);
    let (store, _) = open(dir.path());
    for batch in records.chunks(2) {
        store.commit(&entries(batch)).unwrap();
    }
    drop(store);
    let whole = fs::read(segment(dir.path())).unwrap();
    let begun = starts(dir.path());
    // In the marker, the place, the length, the checksum and the frame, of the first, a middle and a last entry.
    for damaged in [0, 1, 2, 3] {
        for within in [0, 9, 17, 19, 21, 60] {
            let mut bytes = whole.clone();
            bytes[begun[damaged] + within] ^= 0x80;
            fs::write(segment(dir.path()), bytes).unwrap();
            fs::remove_dir_all(dir.path().join("index")).unwrap();
            let (store, report) = open(dir.path());
            let expected: Vec<bool> = (0..6).map(|number| number != damaged).collect();
            assert_eq!(held(&store, &records), expected, "bit in byte {within} of entry {damaged}");
            assert_eq!((report.quarantined.len(), report.torn_bytes), (1, 0));
            assert_eq!(
                fs::read(&report.quarantined[0]).unwrap().len(),
                begun[damaged + 1] - begun[damaged],
                "the damaged bytes are kept"
            );
            // Sync brings the record again.
            store.commit(&entries(&records[damaged..=damaged])).unwrap();
            assert_eq!(held(&store, &records), [true; 6]);
        }
    }
}

#[test]
fn damage_under_a_living_index_is_found_when_read() {
    let dir = tempfile::tempdir().unwrap();
    let records = letters(3);
    let (store, _) = open(dir.path());
    store.commit(&entries(&records)).unwrap();
    let file = fs::OpenOptions::new().write(true).open(segment(dir.path())).unwrap();
    file.write_all_at(b"rot", starts(dir.path())[1] as u64 + 100).unwrap();
    assert_eq!(held(&store, &records), [true, false, true]);
    assert_eq!(store.row(&records[1].id()).unwrap(), None, "so that it is asked for again");
    assert_eq!(store.totals().records, 2);
    file.write_all_at(b"rot", starts(dir.path())[2] as u64 + 100).unwrap();
    let report = store.verify().unwrap();
    assert_eq!((report.records, report.damaged), (1, vec![records[2].id()]));
    assert!(store.verify().unwrap().is_sound());
}

fn filled(dir: &Path) -> (MemoryStore, u64) {
    let model = MemoryStore::new(ShardBits::ZERO);
    let (store, _) = open(dir);
    let pool = pool();
    let mut all = vec![registered(&pool.mailboxes[0], 1), registered(&pool.mailboxes[1], 2)];
    all.extend(pool.records.iter().cloned().map(Entry::Record));
    for batch in all.chunks(7) {
        store.commit(batch).unwrap();
        model.commit(batch).unwrap();
    }
    (model, store.epoch())
}

fn assert_rebuilt(dir: &Path, model: &MemoryStore, epoch: u64) {
    let (store, report) = open(dir);
    assert!(report.rebuilt.is_some(), "{report:?}");
    assert_ne!(store.epoch(), epoch);
    assert_same(&store, model, &pool());
    let address = pool().mailboxes[0].address;
    assert_eq!(
        store.mailbox(&address, Position(0), 100).unwrap(),
        model.mailbox(&address, Position(0), 100).unwrap(),
        "positions are the log's"
    );
}

#[test]
fn a_lost_index_is_made_again() {
    let dir = tempfile::tempdir().unwrap();
    let (model, epoch) = filled(dir.path());
    fs::remove_dir_all(dir.path().join("index")).unwrap();
    assert_rebuilt(dir.path(), &model, epoch);
}

#[test]
fn a_broken_index_is_set_aside_and_made_again() {
    for (name, garbage) in [("db", vec![0x5a; 600_000]), ("conf", b"segment_size: what?".to_vec()), ("db", Vec::new())]
    {
        let dir = tempfile::tempdir().unwrap();
        let (model, epoch) = filled(dir.path());
        fs::write(dir.path().join("index").join(name), garbage).unwrap();
        assert_rebuilt(dir.path(), &model, epoch);
        assert!(dir.path().join("index.broken-1").is_dir());
    }
}

#[test]
fn the_index_of_another_log_is_not_believed() {
    let (dir, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let (model, epoch) = filled(dir.path());
    drop(open(other.path()));
    fs::remove_dir_all(dir.path().join("index")).unwrap();
    fs::rename(other.path().join("index"), dir.path().join("index")).unwrap();
    assert_rebuilt(dir.path(), &model, epoch);
}

#[test]
fn an_unfinished_snapshot_of_sled_is_no_obstacle() {
    let dir = tempfile::tempdir().unwrap();
    let (model, epoch) = filled(dir.path());
    fs::write(dir.path().join("index/snap.0000000000000042.generating"), b"half").unwrap();
    let (store, report) = open(dir.path());
    assert_eq!((report.rebuilt, store.epoch()), (None, epoch));
    assert_same(&store, &model, &pool());
}

#[test]
fn a_second_owner_is_told_whom_to_stop() {
    let dir = tempfile::tempdir().unwrap();
    let (store, _) = open(dir.path());
    let refused = DiskStore::open(dir.path(), &options());
    let Err(StoreError::Locked(text)) = refused else { panic!("{refused:?}") };
    assert!(text.contains(&dir.path().display().to_string()) && text.contains("--data-dir"), "{text}");
    drop(store);
    open(dir.path());
}

#[test]
fn the_directory_is_private_and_a_newer_version_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("data");
    drop(open(&path));
    for dir in [path.clone(), path.join("log"), path.join("index")] {
        assert_eq!(fs::metadata(&dir).unwrap().permissions().mode() & 0o777, 0o700, "{}", dir.display());
    }
    fs::write(path.join("schema"), "griot store 2\n").unwrap();
    assert!(matches!(DiskStore::open(&path, &options()), Err(StoreError::Schema(text)) if text.contains("store 2")));
}

#[test]
fn segments_whose_records_are_gone_are_given_back() {
    let dir = tempfile::tempdir().unwrap();
    let (store, _) = open(dir.path());
    let member = mailbox(9, MailboxKind::Direct);
    store.commit(&[registered(&member, 1)]).unwrap();
    let keeper = envelope(&member, START, 700, 1_000_000);
    store.commit(&entries(from_ref(&keeper))).unwrap();
    let position = store.row(&keeper.id()).unwrap().unwrap().position;
    let count = || fs::read_dir(dir.path().join("log")).unwrap().count();
    let mut most = 0;
    for round in 0..6 {
        let to = mailbox(1, MailboxKind::Direct);
        // Each round begins when the last one has expired.
        let begun = START.plus(round * 50 * 3600);
        let batch: Vec<Record> = (0..100).map(|salt| envelope(&to, begun, 48, round * 100 + salt)).collect();
        store.commit(&entries(&batch)).unwrap();
        store.expire(START.plus((round + 1) * 50 * 3600), 1000).unwrap();
        while store.maintain(START).unwrap().more {}
        most = most.max(count());
    }
    assert!(most <= 6, "{most} segments for one record that is still needed");
    assert_eq!(store.row(&keeper.id()).unwrap().unwrap().position, position);
    drop(store);
    fs::remove_dir_all(dir.path().join("index")).unwrap();
    let (store, report) = open(dir.path());
    assert!(report.rebuilt.is_some() && report.quarantined.is_empty());
    assert_eq!(store.frame(&keeper.id()).unwrap().as_ref(), Some(keeper.frame()));
    assert_eq!(store.row(&keeper.id()).unwrap().unwrap().position, position);
    assert_eq!(store.registrations(&member.address).unwrap().len(), 1);
    assert_eq!(store.totals().records, 1);
}

/// Opens the store again; with `rebuilt`, from its log alone.
fn reopened(store: DiskStore, dir: &Path, rebuilt: bool) -> DiskStore {
    drop(store);
    if rebuilt {
        fs::remove_dir_all(dir.join("index")).unwrap();
    }
    let (store, report) = open(dir);
    assert_eq!(report.rebuilt.is_some(), rebuilt);
    store
}

fn hours(number: u64) -> Timestamp {
    START.plus(number * 3600)
}

#[test]
fn a_clock_that_was_ahead_closes_hours_until_it_is_right_and_a_replay_does_the_same() {
    for rebuilt in [false, true] {
        let dir = tempfile::tempdir().unwrap();
        let to = mailbox(1, MailboxKind::Direct);
        let [dropped, refused, late] = [2, 3, 4].map(|life| envelope(&to, START, life, life));
        let again = envelope(&to, START, 3, 7);
        let (store, _) = open(dir.path());
        store.commit(&entries(from_ref(&dropped))).unwrap();
        assert_eq!(store.expire(hours(6), 100).unwrap(), 1);
        assert_eq!(store.commit(&entries(from_ref(&refused))).unwrap(), [Outcome::Present]);
        let mut store = reopened(store, dir.path(), rebuilt);
        assert_eq!(store.floor(), hours(5).hour(), "a restart opens nothing");
        assert_eq!(store.commit(&entries(from_ref(&refused))).unwrap(), [Outcome::Present]);
        assert_eq!(store.expire(hours(1), 100).unwrap(), 0);
        for look in 0..2 {
            assert_eq!(store.floor(), START.hour());
            assert_eq!(held(&store, from_ref(&dropped)), [false], "what was dropped is not back by itself, {look}");
            assert_eq!(held(&store, from_ref(&refused)), [look > 0]);
            store.commit(&entries(&[refused.clone(), late.clone(), again.clone()])).unwrap();
            assert_eq!(held(&store, &[refused.clone(), late.clone(), again.clone()]), [true; 3]);
            store = reopened(store, dir.path(), rebuilt);
        }
        assert_eq!(store.commit(&entries(from_ref(&dropped))).unwrap().len(), 1);
        assert_eq!(held(&store, &[dropped]), [true], "a neighbour brought it");
        assert!(store.verify().unwrap().is_sound());
    }
}

#[test]
fn what_its_reader_collected_stays_away_though_the_clock_was_ahead_of_its_ack() {
    // An envelope that lives as long as one may, and its ack, which ends with it.
    let month = 30 * 24;
    for (ahead, may_open) in [(month + 20, true), (month + 400, false)] {
        for rebuilt in [false, true] {
            let dir = tempfile::tempdir().unwrap();
            let to = mailbox(1, MailboxKind::Direct);
            let collected = envelope(&to, START, month, 1);
            let new = envelope(&to, hours(month - 4), 2, 2);
            let (store, _) = open(dir.path());
            store.commit(&entries(&[collected.clone(), ack(&to, true, &[&collected])])).unwrap();
            store.expire(hours(ahead), 100).unwrap();
            let store = reopened(store, dir.path(), rebuilt);
            store.expire(hours(month - 3), 100).unwrap();
            let store = reopened(store, dir.path(), rebuilt);
            // Neighbours that never saw the ack bring the envelope.
            store.commit(&entries(&[collected.clone(), new.clone()])).unwrap();
            assert_eq!(held(&store, &[collected, new]), [false, may_open], "{ahead} hours, rebuilt: {rebuilt}");
        }
    }
}

#[test]
fn a_first_start_with_a_clock_that_is_years_ahead_closes_nothing_for_good() {
    for rebuilt in [false, true] {
        let dir = tempfile::tempdir().unwrap();
        let (store, _) = open(dir.path());
        store.expire(START.plus(70 * 365 * 24 * 3600), 100).unwrap();
        let store = reopened(store, dir.path(), rebuilt);
        store.expire(START, 100).unwrap();
        let records = letters(3);
        store.commit(&entries(&records)).unwrap();
        assert_eq!(held(&store, &records), [true; 3]);
    }
}
