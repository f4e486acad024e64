//! Pages of a mailbox: what a reader who has read so far has not seen yet.
//!
//! Rows of the mailbox whose envelope is no longer to be read are passed over: acked since, or expired. A store forgets the
//! expired by the hour, and so holds them for up to two hours more; their authors have long been told that they expired,
//! and what then was read all the same would be said twice.

use bytes::Bytes;
use griot_protocol::{Address, Cursor, RecordId, Timestamp, limits::AHEAD_SECONDS_MAX};

use crate::store::{Position, Store, StoreError};

/// One page of a mailbox.
#[derive(Clone, Debug, Default)]
pub struct Page {
    /// Envelopes in order, each with the cursor after it.
    pub entries: Vec<(Cursor, RecordId, Bytes)>,
    /// Whether more wait beyond this page. A page with more is never empty.
    pub more: bool,
}

/// Bytes of one page: a few round trips for a large mailbox, no burden for a small machine.
pub const PAGE_BYTES_MAX: usize = 1024 * 1024;

/// Envelopes in one page.
pub const PAGE_ENTRIES_MAX: usize = 1000;

/// Reads a page after `after`, at most `max` envelopes. A cursor of another epoch reads from the start.
///
/// # Errors
/// Reading the store failed.
pub fn read(
    store: &dyn Store,
    address: &Address,
    after: Option<Cursor>,
    max: usize,
    now: Timestamp,
) -> Result<Page, StoreError> {
    let epoch = store.epoch();
    let mut position = Position(after.filter(|cursor| cursor.epoch == epoch).map_or(0, |cursor| cursor.position));
    let max = max.clamp(1, PAGE_ENTRIES_MAX);
    let (mut page, mut bytes) = (Page::default(), 0);
    // A stretch without anything to read is passed over at once: a reader has no cursor beyond it. It ends with the mailbox.
    loop {
        let rows = store.mailbox(address, position, max + 1)?;
        page.more = rows.len() > max;
        for (at, id) in rows.into_iter().take(max) {
            position = at;
            let Some(frame) = readable(store, &id, now)? else { continue };
            bytes += frame.len();
            if bytes > PAGE_BYTES_MAX && !page.entries.is_empty() {
                page.more = true;
                return Ok(page);
            }
            page.entries.push((Cursor { epoch, position: at.0 }, id, frame));
        }
        if !page.entries.is_empty() || !page.more {
            return Ok(page);
        }
    }
}

/// An envelope's frame, if it is there and may still be read. The clock may be ahead by what the protocol allows.
fn readable(store: &dyn Store, id: &RecordId, now: Timestamp) -> Result<Option<Bytes>, StoreError> {
    match store.row(id)? {
        Some(row) if row.expires_at.plus(AHEAD_SECONDS_MAX) > now => store.frame(id),
        Some(_) | None => Ok(None),
    }
}
