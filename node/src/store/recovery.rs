//! Reading the log again: what was committed, what was only begun, and what is damaged.
//!
//! The scan goes from a checkpoint to the end, write by write (see [`griot_protocol::entry`]):
//!
//! - a write whose entries are all good, up to its last one, is taken;
//! - a write with something broken in it is taken, less what is broken, as soon as a good entry of a *later* write
//!   shows up: the log begins a write only after the one before it was synced, so this is damage. The broken bytes are
//!   copied to a file in `quarantine/`, counted, and left to sync to bring back from another node;
//! - what then remains at the end was never acknowledged: it is cut off and overwritten with zeros, so that the rest
//!   of it can never be taken for an entry again;
//! - the last write that was taken is synced: a process that was killed may not have come to it.

use std::{
    ops::Range,
    path::{Path, PathBuf},
    sync::{Arc, atomic::Ordering},
};

use bytes::Bytes;
use griot_protocol::entry::{ENTRY_FRAME_BYTES_MAX, ENTRY_HEADER_BYTES, Place, Scan, find_marker, scan};

use super::{
    StoreError,
    log::{HEADER_BYTES, Location, Log, Segment, Tail, io_error, write_zeros},
};

/// What is read at once.
const WINDOW_BYTES: usize = 512 * 1024;

/// Entries that are handed over together, so that an index can apply them in one go.
const HANDOVER_ENTRIES: usize = 512;

/// An entry of the log.
pub(super) struct Found {
    pub place: Place,
    pub location: Location,
    pub bytes: Bytes,
}

/// What the scan came to.
#[derive(Debug, Default)]
pub(super) struct Recovered {
    pub tail: Tail,
    pub replayed: u64,
    pub torn_bytes: u64,
    /// Broken ranges, and the files they were copied to.
    pub quarantined: Vec<PathBuf>,
}

/// Reads the log from `(segment, offset)` on, hands over what was committed, and cuts what was not.
pub(super) fn recover(
    log: &Log,
    quarantine: &Path,
    (first, offset, next_batch): (u32, u64, u64),
    take: &mut dyn FnMut(Vec<Found>) -> Result<(), StoreError>,
) -> Result<Recovered, StoreError> {
    let recovered =
        Recovered { tail: Tail { segment: first, offset, next_batch, ..Tail::default() }, ..Recovered::default() };
    let mut reader = Reader {
        log,
        quarantine,
        take,
        recovered,
        open: Write::default(),
        doubtful: Write::default(),
        ready: Vec::new(),
    };
    for (number, segment) in log.segments().into_iter().filter(|(number, _)| *number >= first) {
        let from = if number == first { offset.max(HEADER_BYTES) } else { HEADER_BYTES };
        if !segment.sound.swap(true, Ordering::Relaxed) {
            reader.copy_to_quarantine(number, 0..HEADER_BYTES)?;
            log.write_header(&segment).map_err(io_error("mending a header in", &log.dir))?;
        }
        reader.read_segment(number, &segment, from)?;
    }
    reader.hand_over()?;
    reader.cut()?;
    reader.sync_last()?;
    Ok(reader.recovered)
}

/// Entries of one write, and the broken ranges among them.
#[derive(Default)]
struct Write {
    entries: Vec<Found>,
    broken: Vec<(u32, Range<u64>)>,
}

struct Reader<'a> {
    log: &'a Log,
    quarantine: &'a Path,
    take: &'a mut dyn FnMut(Vec<Found>) -> Result<(), StoreError>,
    recovered: Recovered,
    /// The write being read.
    open: Write,
    /// A write that has its last entry but is broken inside.
    doubtful: Write,
    /// Taken, and not handed over yet.
    ready: Vec<Found>,
}

impl Reader<'_> {
    fn read_segment(&mut self, number: u32, segment: &Arc<Segment>, from: u64) -> Result<(), StoreError> {
        let path = self.log.dir.join(format!("segment {number}"));
        let mut window = Window::new(segment);
        let mut at = from;
        while at < segment.bytes {
            let bytes =
                window.at(at, ENTRY_HEADER_BYTES + ENTRY_FRAME_BYTES_MAX).map_err(io_error("reading", &path))?;
            let found = match scan(bytes, self.log.marker) {
                Scan::Entry(found) => found,
                Scan::End | Scan::Torn | Scan::Bad => {
                    let next = self.next_entry(&mut window, at).map_err(io_error("reading", &path))?;
                    if next.start < next.end {
                        self.open.broken.push((number, next.clone()));
                    }
                    at = next.end.max(at + 1);
                    continue;
                }
            };
            let location = Location { segment: number, offset: at as u32, bytes: found.bytes() as u32 };
            let (place, first, last) = (found.place, found.first, found.last);
            let frame = Bytes::copy_from_slice(found.frame);
            self.entry(Found { place, location, bytes: frame }, first, last)?;
            at += u64::from(location.bytes);
        }
        Ok(())
    }

    /// The broken range from `at` up to the next marker or, where there is none, up to the last byte that is not zero;
    /// only zeros up to the end of the segment are no broken range but the end.
    fn next_entry(&self, window: &mut Window<'_>, at: u64) -> std::io::Result<Range<u64>> {
        let (mut from, mut last_used) = (at, at);
        while from < window.segment.bytes {
            let bytes = window.at(from, WINDOW_BYTES)?;
            if bytes.is_empty() {
                break;
            }
            // Zeros up to here are not searched for a marker: this is how an unwritten tail is skipped quickly.
            if let Some(used) = bytes.iter().rposition(|byte| *byte != 0) {
                let skip = usize::from(from == at);
                let search = bytes.get(skip..).unwrap_or_default();
                if let Some(marker) = find_marker(search, self.log.marker) {
                    return Ok(at..from + (skip + marker) as u64);
                }
                last_used = from + used as u64 + 1;
            }
            // A marker may straddle two windows.
            let step = bytes.len().saturating_sub(7).max(1);
            from += step as u64;
        }
        if last_used == at { Ok(window.segment.bytes..window.segment.bytes) } else { Ok(at..last_used) }
    }

    fn entry(&mut self, found: Found, first: bool, last: bool) -> Result<(), StoreError> {
        let (start, end) = (found.location.offset, found.location.offset + found.location.bytes);
        let segment = found.location.segment;
        let batch = found.place.batch();
        // A later write was begun, so the doubtful one had been synced.
        let proven = std::mem::take(&mut self.doubtful);
        self.accept(proven, batch, (segment, u64::from(start)))?;
        if first {
            let proven = std::mem::take(&mut self.open);
            self.accept(proven, batch, (segment, u64::from(start)))?;
        }
        self.open.entries.push(found);
        if last {
            let write = std::mem::take(&mut self.open);
            if write.broken.is_empty() {
                self.accept(write, batch + 1, (segment, u64::from(end)))?;
            } else {
                self.doubtful = write;
            }
        }
        Ok(())
    }

    /// Takes a write; the log goes on at `end` with at least `next_batch`.
    fn accept(&mut self, write: Write, next_batch: u64, (segment, offset): (u32, u64)) -> Result<(), StoreError> {
        if write.entries.is_empty() && write.broken.is_empty() {
            return Ok(());
        }
        for (number, range) in write.broken {
            self.copy_to_quarantine(number, range)?;
        }
        let tail = &mut self.recovered.tail;
        (tail.segment, tail.offset) = (segment, offset);
        tail.next_batch = tail.next_batch.max(next_batch);
        self.recovered.replayed += write.entries.len() as u64;
        self.ready.extend(write.entries);
        if self.ready.len() >= HANDOVER_ENTRIES { self.hand_over() } else { Ok(()) }
    }

    fn hand_over(&mut self) -> Result<(), StoreError> {
        let ready = std::mem::take(&mut self.ready);
        if ready.is_empty() { Ok(()) } else { (self.take)(ready) }
    }

    fn copy_to_quarantine(&mut self, number: u32, range: Range<u64>) -> Result<(), StoreError> {
        let path = self.quarantine.join(format!("{number:08}-{}.bin", range.start));
        let Some(segment) = self.log.segment(number) else { return Ok(()) };
        let mut bytes = vec![0; (range.end - range.start) as usize];
        segment.file.read_at(&mut bytes, range.start).map_err(io_error("reading for", &path))?;
        let file = self.log.disk.create(&path).map_err(io_error("writing", &path))?;
        file.write_at(&bytes, 0).map_err(io_error("writing", &path))?;
        self.recovered.quarantined.push(path);
        Ok(())
    }

    /// Overwrites everything after the last write that was taken.
    fn cut(&mut self) -> Result<(), StoreError> {
        let (first, offset) = (self.recovered.tail.segment, self.recovered.tail.offset);
        for (number, segment) in self.log.segments().into_iter().filter(|(number, _)| *number >= first) {
            let from = if number == first { offset } else { HEADER_BYTES };
            let used = self.used(&segment, from).map_err(io_error("reading", &self.log.dir))?;
            if used > from {
                self.recovered.torn_bytes += used - from;
                let cut = write_zeros(&*segment.file, from, used).and_then(|()| segment.file.sync_data());
                cut.map_err(io_error("cutting a torn write in", &self.log.dir))?;
            }
        }
        Ok(())
    }

    /// A process that was killed may have left its last write unsynced, and this one has read it all the same: before
    /// anybody is told of it, it is made durable. All earlier writes are.
    fn sync_last(&self) -> Result<(), StoreError> {
        let last = self.log.segment(self.recovered.tail.segment).filter(|_| self.recovered.replayed > 0);
        let synced = last.map_or(Ok(()), |segment| segment.file.sync_data());
        synced.map_err(io_error("syncing", &self.log.dir))
    }

    /// Where the zeros begin that reach up to the end of a segment.
    fn used(&self, segment: &Arc<Segment>, from: u64) -> std::io::Result<u64> {
        let mut window = Window::new(segment);
        let (mut at, mut used) = (from, from);
        while at < segment.bytes {
            let bytes = window.at(at, WINDOW_BYTES)?;
            if bytes.is_empty() {
                break;
            }
            if let Some(last) = bytes.iter().rposition(|byte| *byte != 0) {
                used = at + last as u64 + 1;
            }
            at += bytes.len() as u64;
        }
        Ok(used)
    }
}

/// A piece of a segment in memory, moved along as it is read: a segment is never held as a whole.
pub(super) struct Window<'a> {
    segment: &'a Segment,
    base: u64,
    buffer: Vec<u8>,
}

impl<'a> Window<'a> {
    pub(super) fn new(segment: &'a Segment) -> Self {
        Self { segment, base: 0, buffer: Vec::new() }
    }

    /// At most `want` bytes from `at` on: fewer only at the end of the file.
    pub(super) fn at(&mut self, at: u64, want: usize) -> std::io::Result<&[u8]> {
        let end = self.base + self.buffer.len() as u64;
        let want_end = (at + want as u64).min(self.segment.bytes);
        if at < self.base || want_end > end {
            self.buffer.resize(want.max(WINDOW_BYTES), 0);
            let read = self.segment.file.read_at(&mut self.buffer, at)?;
            self.buffer.truncate(read);
            self.base = at;
        }
        let from = (at - self.base) as usize;
        let to = (from + want).min(self.buffer.len());
        Ok(self.buffer.get(from..to).unwrap_or_default())
    }
}
