//! Housekeeping: checkpoints, segments made in advance, and old segments given back.
//!
//! Segments are reclaimed **oldest first**, always. What an entry means may depend on the entries before it ("evicted" on
//! the record it evicts), and what it undoes must not outlive it in an older segment; if only the oldest segment ever
//! goes, whatever remains is a suffix of history, and what was copied out of the oldest one is put *after* that as a
//! statement of how things now stand: a held record with its row ([`Fact::Moved`]), a row without a body
//! ([`Fact::Row`]), a registration, a member, the hours that are closed ([`Fact::Floors`]). Replaying a suffix and then
//! such statements gives the same index as replaying everything.
//!
//! A segment's file is removed only when nothing in the index points into it and a checkpoint lies beyond all the
//! copies, so that no replay will ever ask for it.

use std::sync::atomic::Ordering;

use griot_protocol::{
    RecordId,
    entry::{ENTRY_FRAME_BYTES_MAX, ENTRY_HEADER_BYTES, Scan, scan},
};

use super::{
    Holding, Local, Maintenance, StoreError,
    disk::DiskStore,
    index::{Checkpoint, Stored},
    local::Fact,
    log::{HEADER_BYTES, Location, io_error},
    recovery::Window,
};

/// Entries that are copied with one write: commits wait for no more than that.
const MOVED_TOGETHER: usize = 128;

/// Rows of a damaged segment that are looked for at once.
const STRAYS_MAX: usize = 1024;

impl DiskStore {
    pub(super) fn housekeeping(&self) -> Result<Maintenance, StoreError> {
        let mut done = Maintenance::default();
        self.mend_index()?;
        self.prepare_segment()?;
        let (tail, offset) = {
            let tail = self.writer();
            (tail.segment, tail.offset)
        };
        self.log_used.store(self.log.used(tail, offset), Ordering::Relaxed);
        if !self.giver.can_give()? {
            // Nothing can be given back either: that takes a checkpoint, and sled must write for it.
            return Ok(Maintenance { full: true, ..done });
        }
        self.spare.keep();
        done.full = self.log.has_no_room(tail, offset)?;
        let oldest = self.log.segments().first().map(|(number, _)| *number).filter(|number| *number < tail);
        let chosen = oldest.filter(|number| self.is_worth_reclaiming(*number, tail));
        if let Some(number) = chosen {
            done.moved = self.move_out_of(number)?;
        }
        done.checkpointed = self.advance_checkpoint()?;
        if let Some(number) = chosen
            && self.tables().live(number) == 0
            && self.checkpoint_segment() > number
        {
            done.reclaimed_bytes = self.log.remove_segment(number)?;
            let next = self.log.segments().first().map(|(number, _)| *number).filter(|number| *number < tail);
            done.more = next.is_some_and(|number| self.is_worth_reclaiming(number, tail));
        }
        Ok(done)
    }

    /// Makes the next segment while the current one still has room, so that no commit waits for 64 MiB of zeros.
    fn prepare_segment(&self) -> Result<(), StoreError> {
        let (segment, offset) = {
            let tail = self.writer();
            (tail.segment, tail.offset)
        };
        let half_full = self.log.segment(segment).is_some_and(|current| offset > current.bytes / 2);
        let is_last = self.log.segments().last().is_some_and(|(number, _)| *number == segment);
        if half_full && is_last {
            match self.log.create_segment(0) {
                // A commit that needs the segment will say so.
                Ok(_) | Err(StoreError::Full) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// The oldest segment goes where nothing in it is needed, where most of it is not, or where the log as a
    /// whole is more than twice what is needed (then it may stand in the way of emptier ones).
    fn is_worth_reclaiming(&self, number: u32, tail: u32) -> bool {
        let tables = self.tables();
        let bytes = |segment: u32| self.log.segment(segment).map_or(0, |segment| segment.bytes);
        let used: u64 = self.log.segments().iter().filter(|(number, _)| *number < tail).map(|(_, s)| s.bytes).sum();
        let live = tables.live(number);
        live == 0 || live < bytes(number) / 4 || used > 2 * tables.live_total() + 2 * self.segment_bytes
    }

    /// Copies everything in a segment that is still needed to the end of the log.
    fn move_out_of(&self, number: u32) -> Result<usize, StoreError> {
        let mut moved = 0;
        if self.tables().live(number) > 0 {
            moved += self.move_records(number)?;
        }
        moved += self.move_locals(number)?;
        if self.tables().live(number) > 0 {
            moved += self.move_strays(number)?;
        }
        Ok(moved)
    }

    fn move_records(&self, number: u32) -> Result<usize, StoreError> {
        let Some(segment) = self.log.segment(number) else { return Ok(0) };
        let mut window = Window::new(&segment);
        let (mut at, mut moved, mut batch) = (HEADER_BYTES, 0, Vec::new());
        while at < segment.bytes {
            let bytes = window.at(at, ENTRY_HEADER_BYTES + ENTRY_FRAME_BYTES_MAX);
            let Scan::Entry(found) = scan(bytes.map_err(io_error("reading", &self.log.dir))?, self.log.marker) else {
                // Unwritten or damaged: what is needed beyond it is found by its rows.
                break;
            };
            let location = Location { segment: number, offset: at as u32, bytes: found.bytes() as u32 };
            at += found.bytes() as u64;
            let frame = bytes::Bytes::copy_from_slice(found.frame);
            let id = match Fact::decode(frame) {
                Some(Fact::Record(record) | Fact::Moved(_, record)) => record.id(),
                Some(Fact::Row(row)) => row.id,
                Some(Fact::Local(Local::Marked { id, .. })) => id,
                _ => continue,
            };
            batch.push((id, location));
            if batch.len() == MOVED_TOGETHER {
                moved += self.move_rows(&std::mem::take(&mut batch))?;
            }
        }
        Ok(moved + self.move_rows(&batch)?)
    }

    /// Copies those of `rows` that are still where they were.
    fn move_rows(&self, rows: &[(RecordId, Location)]) -> Result<usize, StoreError> {
        let (mut facts, mut rotten) = (Vec::new(), Vec::new());
        let mut tail = self.writer();
        for (id, location) in rows {
            let Some(Stored { row, .. }) = self.index.get()?.stored(id)?.filter(|stored| stored.location == *location)
            else {
                continue;
            };
            if row.holding != Holding::Held {
                facts.push(Fact::Row(row));
                continue;
            }
            match self.log.read(*location)?.and_then(Fact::decode) {
                Some(Fact::Record(record) | Fact::Moved(_, record)) => facts.push(Fact::Moved(row, record)),
                _ => rotten.push((*id, *location)),
            }
        }
        let moved = facts.len();
        self.write(&mut tail, &[facts])?;
        drop(tail);
        for (id, location) in rotten {
            self.drop_rotten(&id, location)?;
        }
        Ok(moved)
    }

    /// Says again what is registered and who is a member, where that was said in this segment, and the floors.
    fn move_locals(&self, number: u32) -> Result<usize, StoreError> {
        let mut tail = self.writer();
        let facts: Vec<Fact> = {
            let tables = self.tables();
            let registrations = tables.registrations.values().filter(|(_, location)| location.segment == number);
            let registrations = registrations.map(|(row, _)| Local::Registered {
                member: row.member,
                keys: row.keys,
                grant: row.grant,
                at: row.at,
            });
            let members = tables.members.values().filter(|(_, location)| location.segment == number);
            let members = members.map(|(row, _)| Local::MemberAdded {
                member: row.member,
                label: row.label.clone(),
                token_hash: row.token_hash,
                at: row.at,
            });
            let floors = std::iter::once(Fact::Floors(tables.floors));
            members.chain(registrations).map(Fact::Local).chain(floors).collect()
        };
        let moved = facts.len();
        for facts in facts.chunks(MOVED_TOGETHER) {
            self.write(&mut tail, &[facts.to_vec()])?;
        }
        Ok(moved)
    }

    /// Rows that point into the segment although the scan did not come by them: parts of it are damaged.
    fn move_strays(&self, number: u32) -> Result<usize, StoreError> {
        let (mut after, mut moved) = (None, 0);
        loop {
            let rows: Vec<Stored> = {
                let _tables = self.tables();
                self.index.get()?.all_rows(after).take(STRAYS_MAX).collect::<Result<_, _>>()?
            };
            let Some(last) = rows.last() else { return Ok(moved) };
            after = Some(last.row.id);
            let strays = rows.iter().filter(|stored| stored.location.segment == number);
            let strays: Vec<_> = strays.map(|stored| (stored.row.id, stored.location)).collect();
            for strays in strays.chunks(MOVED_TOGETHER) {
                moved += self.move_rows(strays)?;
            }
        }
    }

    fn checkpoint_segment(&self) -> u32 {
        self.checkpoint.lock().unwrap_or_else(std::sync::PoisonError::into_inner).segment
    }

    /// Notes how far the index is, once that is durable. Returns whether it had moved.
    pub(super) fn advance_checkpoint(&self) -> Result<bool, StoreError> {
        let mut alone = self.giver.alone()?;
        let (reached, given) = {
            let tail = self.writer();
            if tail.stopped.is_some() || tail.unapplied {
                // The index may be half way through an entry; the next start replays it.
                return Ok(false);
            }
            let reached = Checkpoint { segment: tail.segment, offset: tail.offset, next_batch: tail.next_batch };
            (reached, self.giver.take(&alone)?)
        };
        self.giver.finish(&mut alone, &given)?;
        let mut last = self.checkpoint.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        if *last == reached {
            return Ok(false);
        }
        let advanced = self.index.get()?.advance(reached);
        if matches!(advanced, Err(StoreError::Full)) {
            self.giver.set_found_full(true);
        }
        advanced?;
        *last = reached;
        Ok(true)
    }
}
