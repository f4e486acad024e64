//! Reading a mailbox page by page: in order, once, without what is no longer to be read, and never in a circle.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

mod store_support;

use griot_node::{
    runtime::page::{self, PAGE_ENTRIES_MAX},
    store::{Entry, MemoryStore, Store},
};
use griot_protocol::{MailboxKind, Record, RecordId, limits::AHEAD_SECONDS_MAX};
use store_support::{START, ack, envelope, mailbox, params, registered};

const HOUR: u64 = 3600;

/// All pages of `max`, one after the other.
fn read_all(store: &dyn Store, of: &store_support::Mailbox, max: usize, seconds_later: u64) -> Vec<RecordId> {
    let (mut cursor, mut ids) = (None, Vec::new());
    loop {
        let page = page::read(store, &of.address, cursor, max, START.plus(seconds_later)).unwrap();
        assert!(page.entries.len() <= max);
        assert!(!page.more || !page.entries.is_empty(), "nobody could go on from here");
        cursor = page.entries.last().map(|(cursor, ..)| *cursor).or(cursor);
        ids.extend(page.entries.iter().map(|(_, id, _)| *id));
        if !page.more {
            return ids;
        }
    }
}

/// Thirty envelopes, of which the middle ten live for one hour and the others for ten.
fn filled() -> (MemoryStore, store_support::Mailbox, Vec<Record>) {
    let of = mailbox(1, MailboxKind::Direct);
    let store = MemoryStore::new(params().bits);
    let life = |n: u64| if (10..20).contains(&n) { 1 } else { 10 };
    let records: Vec<Record> = (0..30).map(|n| envelope(&of, START, life(n), n)).collect();
    let mut entries = vec![registered(&of, 1)];
    entries.extend(records.iter().cloned().map(Entry::Record));
    store.commit(&entries).unwrap();
    (store, of, records)
}

#[test]
fn what_expired_is_not_read_though_the_store_still_holds_it() {
    let (store, of, records) = filled();
    let ids: Vec<RecordId> = records.iter().map(Record::id).collect();
    for max in [1, 3, 7, 30, PAGE_ENTRIES_MAX] {
        assert_eq!(read_all(&store, &of, max, 0), ids);
        // Whoever is late by what clocks may differ by still reads it.
        assert_eq!(read_all(&store, &of, max, HOUR + AHEAD_SECONDS_MAX - 1), ids);
        let living: Vec<RecordId> = [&ids[..10], &ids[20..]].concat();
        assert_eq!(read_all(&store, &of, max, HOUR + AHEAD_SECONDS_MAX), living);
    }
    assert!(ids.iter().all(|id| store.frame(id).unwrap().is_some()), "the store forgets by the hour");
}

#[test]
fn what_was_acked_is_not_read() {
    let (store, of, records) = filled();
    let read: Vec<&Record> = records.iter().step_by(2).collect();
    store.commit(&[Entry::Record(ack(&of, true, &read))]).unwrap();
    let rest: Vec<RecordId> = records.iter().skip(1).step_by(2).map(Record::id).collect();
    for max in [1, 4, 30] {
        assert_eq!(read_all(&store, &of, max, 0), rest);
    }
}
