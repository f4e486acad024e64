//! The record log: the authority on what this node holds.
//!
//! A directory of segment files, written in advance with zeros, because syncing overwritten bytes is twice as fast
//! as syncing appended ones. A segment is made under a temporary name, synced, renamed, and its directory synced,
//! before anything is written into it. It begins with a header
//!
//! ```text
//! ["griotlg1"][marker 8][crc32c u32 LE over the marker][zeros up to 64 bytes]
//! ```
//!
//! and goes on with entries (see [`griot_protocol::entry`]). What is committed together is one contiguous write and
//! one sync, and never crosses the end of a segment. A failed write or sync is never tried again: what the kernel
//! then thinks it has written is anybody's guess, so the log stops until it is read again from the disk.

use std::{
    collections::BTreeMap,
    io,
    path::{Path, PathBuf},
    sync::{Arc, PoisonError, RwLock, atomic::AtomicBool},
    time::{Duration, Instant},
};

use bytes::Bytes;
use griot_protocol::entry::{self, ENTRY_FRAME_BYTES_MAX, ENTRY_HEADER_BYTES, LogEntry, Marker, Place, Scan};

use super::{
    StoreError,
    io::{Disk, DiskFile},
};

/// A segment's header, in whole: the first entry begins on a boundary that reads well in a hex dump.
pub(super) const HEADER_BYTES: u64 = 64;

const MAGIC: &[u8; 8] = b"griotlg1";

/// Zeros are written in pieces of this size.
const ZEROS_BYTES: usize = 256 * 1024;

/// A write buffer that grew beyond this is given back after the write.
const BUFFER_KEPT_BYTES: usize = 2 * 1024 * 1024;

/// Learns of every sync of the log, for metrics.
pub trait Observer: Send + Sync {
    /// A write of `entries` entries and `bytes` bytes took `latency` to become durable.
    fn synced(&self, latency: Duration, entries: usize, bytes: u64);
}

/// Where an entry lies.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Location {
    pub segment: u32,
    pub offset: u32,
    /// Of the whole entry.
    pub bytes: u32,
}

/// One file of the log.
pub(super) struct Segment {
    pub file: Box<dyn DiskFile>,
    pub bytes: u64,
    /// Whether its header is as it should be.
    pub sound: AtomicBool,
}

/// Where the next write goes. Whoever holds it is the writer.
#[derive(Debug, Default)]
pub(super) struct Tail {
    pub segment: u32,
    pub offset: u64,
    pub next_batch: u64,
    pub stopped: Option<String>,
    /// Whether the index lacks something that is written here, because the disk was full: it is to be read again.
    pub unapplied: bool,
    /// Kept between writes.
    pub buffer: Vec<u8>,
}

/// The segments.
pub(super) struct Log {
    pub disk: Arc<dyn Disk>,
    pub dir: PathBuf,
    pub marker: Marker,
    segment_bytes: u64,
    reserve_bytes: u64,
    observer: Option<Arc<dyn Observer>>,
    segments: RwLock<BTreeMap<u32, Arc<Segment>>>,
}

/// Says what was being done when the file system refused.
pub(super) fn io_error(what: &str, path: &Path) -> impl FnOnce(io::Error) -> StoreError {
    let what = format!("{what} {}", path.display());
    move |source| {
        if source.kind() == io::ErrorKind::StorageFull { StoreError::Full } else { StoreError::Io { what, source } }
    }
}

fn segment_name(number: u32) -> String {
    format!("{number:08}.log")
}

fn header(marker: Marker) -> Vec<u8> {
    let mut header = Vec::with_capacity(HEADER_BYTES as usize);
    header.extend_from_slice(MAGIC);
    header.extend_from_slice(&marker.0);
    header.extend_from_slice(&crc32c::crc32c(&marker.0).to_le_bytes());
    header.resize(HEADER_BYTES as usize, 0);
    header
}

fn read_header(file: &dyn DiskFile) -> io::Result<Option<Marker>> {
    let mut bytes = [0; HEADER_BYTES as usize];
    file.read_at(&mut bytes, 0)?;
    let marker = bytes.get(8..16).and_then(|marker| marker.try_into().ok()).map(Marker);
    Ok(marker.filter(|marker| header(*marker) == bytes))
}

/// The marker of a log as its first entry has it: where the entry is sound under it, it is right.
fn guess_marker(file: &dyn DiskFile) -> io::Result<Option<Marker>> {
    let mut bytes = vec![0; ENTRY_HEADER_BYTES + ENTRY_FRAME_BYTES_MAX];
    let read = file.read_at(&mut bytes, HEADER_BYTES)?;
    bytes.truncate(read);
    let marker = bytes.first_chunk().copied().map(Marker);
    Ok(marker.filter(|marker| matches!(entry::scan(&bytes, *marker), Scan::Entry(_))))
}

impl Log {
    /// Opens the log in `dir`. `fresh` is the marker of a log that is new. Where no header can be read, the first entry
    /// of a segment tells the marker.
    pub(super) fn open(
        disk: Arc<dyn Disk>,
        dir: PathBuf,
        fresh: Marker,
        (segment_bytes, reserve_bytes): (u64, u64),
        observer: Option<Arc<dyn Observer>>,
    ) -> Result<Self, StoreError> {
        let mut segments = BTreeMap::new();
        let (mut marker, mut guessed) = (None, None);
        for name in disk.list(&dir).map_err(io_error("reading", &dir))? {
            let path = dir.join(&name);
            if name.ends_with(".tmp") {
                disk.remove(&path).map_err(io_error("removing", &path))?;
            }
            let Some(number) = name.strip_suffix(".log").and_then(|number| number.parse::<u32>().ok()) else {
                continue;
            };
            let file = disk.open(&path).map_err(io_error("opening", &path))?;
            let bytes = file.len().map_err(io_error("reading", &path))?;
            let found = read_header(&*file).map_err(io_error("reading", &path))?;
            marker = marker.or(found);
            if marker.is_none() && guessed.is_none() {
                guessed = guess_marker(&*file).map_err(io_error("reading", &path))?;
            }
            segments.insert(number, Arc::new(Segment { file, bytes, sound: found.is_some().into() }));
        }
        let marker = marker.or(guessed);
        if marker.is_none() && !segments.is_empty() {
            let text =
                format!("no segment in {} has a readable header or first entry: restore a backup", dir.display());
            return Err(StoreError::Schema(text));
        }
        let marker = marker.unwrap_or(fresh);
        Ok(Self { disk, dir, marker, segment_bytes, reserve_bytes, observer, segments: RwLock::new(segments) })
    }

    /// All segments, in order.
    pub(super) fn segments(&self) -> Vec<(u32, Arc<Segment>)> {
        let segments = self.segments.read().unwrap_or_else(PoisonError::into_inner);
        segments.iter().map(|(number, segment)| (*number, Arc::clone(segment))).collect()
    }

    pub(super) fn segment(&self, number: u32) -> Option<Arc<Segment>> {
        self.segments.read().unwrap_or_else(PoisonError::into_inner).get(&number).cloned()
    }

    /// Bytes of segments that are written, where the next write goes to `offset` of `segment`: what was made in advance
    /// is none of them.
    pub(super) fn used(&self, segment: u32, offset: u64) -> u64 {
        let before = self.segments().into_iter().filter(|(number, _)| *number < segment);
        before.map(|(_, segment)| segment.bytes).sum::<u64>() + offset
    }

    /// Whether a record might find no place: neither in what is left of `segment` from `offset` on, nor in one after it,
    /// made or to be made.
    pub(super) fn has_no_room(&self, segment: u32, offset: u64) -> Result<bool, StoreError> {
        let entry = (ENTRY_HEADER_BYTES + ENTRY_FRAME_BYTES_MAX) as u64;
        let is_ready = |(number, found): &(u32, Arc<Segment>)| match number.cmp(&segment) {
            std::cmp::Ordering::Less => false,
            std::cmp::Ordering::Equal => offset + entry <= found.bytes,
            std::cmp::Ordering::Greater => HEADER_BYTES + entry <= found.bytes,
        };
        Ok(!self.segments().iter().any(is_ready) && !self.can_create(self.segment_bytes.max(HEADER_BYTES + entry))?)
    }

    /// Whether there is room for a segment of so many bytes, and the reserve beside it.
    fn can_create(&self, bytes: u64) -> Result<bool, StoreError> {
        let free = self.disk.free_bytes(&self.dir).map_err(io_error("reading", &self.dir))?;
        Ok(free >= bytes.saturating_add(self.reserve_bytes))
    }

    /// Makes an empty segment after the last one, with room for `room` bytes of entries.
    pub(super) fn create_segment(&self, room: u64) -> Result<u32, StoreError> {
        let bytes = self.segment_bytes.max(HEADER_BYTES + room);
        if !self.can_create(bytes)? {
            return Err(StoreError::Full);
        }
        let last = self.segments.read().unwrap_or_else(PoisonError::into_inner).keys().next_back().copied();
        let number = last.map_or(1, |last| last + 1);
        let path = self.dir.join(segment_name(number));
        let temporary = path.with_extension("tmp");
        let file = self.fill_segment(&temporary, &path, bytes).map_err(|error| {
            // Half a segment helps nobody, least of all on a full disk; recovery would remove it too.
            let _ = self.disk.remove(&temporary);
            io_error("making segment", &path)(error)
        })?;
        let segment = Arc::new(Segment { file, bytes, sound: true.into() });
        self.segments.write().unwrap_or_else(PoisonError::into_inner).insert(number, segment);
        Ok(number)
    }

    fn fill_segment(&self, temporary: &Path, path: &Path, bytes: u64) -> io::Result<Box<dyn DiskFile>> {
        let file = self.disk.create(temporary)?;
        write_zeros(&*file, HEADER_BYTES, bytes)?;
        file.write_at(&header(self.marker), 0)?;
        file.sync_data()?;
        self.disk.rename(temporary, path)?;
        self.disk.sync_dir(&self.dir)?;
        Ok(file)
    }

    /// Writes a segment's header again.
    pub(super) fn write_header(&self, segment: &Segment) -> io::Result<()> {
        segment.file.write_at(&header(self.marker), 0)?;
        segment.file.sync_data()
    }

    /// Gives a segment back to the file system.
    pub(super) fn remove_segment(&self, number: u32) -> Result<u64, StoreError> {
        let path = self.dir.join(segment_name(number));
        self.disk.remove(&path).map_err(io_error("removing", &path))?;
        self.disk.sync_dir(&self.dir).map_err(io_error("syncing", &self.dir))?;
        let removed = self.segments.write().unwrap_or_else(PoisonError::into_inner).remove(&number);
        Ok(removed.map_or(0, |segment| segment.bytes))
    }

    /// Writes batches, in order, with one write and one sync, and says where each entry lies.
    pub(super) fn append(
        &self,
        tail: &mut Tail,
        batches: &[Vec<Bytes>],
    ) -> Result<Vec<Vec<(Place, Location)>>, StoreError> {
        if let Some(why) = &tail.stopped {
            return Err(StoreError::Stopped(why.clone()));
        }
        if tail.unapplied {
            return Err(StoreError::Full);
        }
        let total: usize = batches.iter().map(Vec::len).sum();
        if total == 0 {
            return Ok(batches.iter().map(|_| Vec::new()).collect());
        }
        let mut buffer = std::mem::take(&mut tail.buffer);
        buffer.clear();
        let (mut placed, mut batch, mut count) = (Vec::with_capacity(batches.len()), tail.next_batch, 0);
        for entries in batches {
            let mut places = Vec::with_capacity(entries.len());
            for (index, frame) in (0..).zip(entries) {
                count += 1;
                let place = Place::new(batch, index);
                let offset = buffer.len() as u32;
                entry::append(
                    &mut buffer,
                    self.marker,
                    &LogEntry { place, first: count == 1, last: count == total, frame },
                );
                places.push((place, Location { segment: 0, offset, bytes: (ENTRY_HEADER_BYTES + frame.len()) as u32 }));
            }
            batch += u64::from(!entries.is_empty());
            placed.push(places);
        }
        self.write(tail, &buffer, total)?;
        for (_, location) in placed.iter_mut().flatten() {
            location.segment = tail.segment;
            location.offset += tail.offset as u32;
        }
        tail.offset += buffer.len() as u64;
        tail.next_batch = batch;
        if buffer.capacity() <= BUFFER_KEPT_BYTES {
            tail.buffer = buffer;
        }
        Ok(placed)
    }

    fn write(&self, tail: &mut Tail, buffer: &[u8], entries: usize) -> Result<(), StoreError> {
        let length = buffer.len() as u64;
        if self.segment(tail.segment).is_none_or(|segment| tail.offset + length > segment.bytes) {
            // A full disk shows here, before anything of the batch was written.
            let ready = self.segments().into_iter().filter(|(number, _)| *number > tail.segment);
            let ready = ready.filter(|(_, segment)| segment.bytes >= HEADER_BYTES + length).map(|(number, _)| number);
            tail.segment = match ready.last() {
                Some(number) => number,
                None => self.create_segment(length)?,
            };
            tail.offset = HEADER_BYTES;
        }
        let Some(segment) = self.segment(tail.segment) else {
            return Err(StoreError::Stopped("the current segment is gone".into()));
        };
        let begun = Instant::now();
        if let Err(error) = segment.file.write_at(buffer, tail.offset).and_then(|()| segment.file.sync_data()) {
            let why = format!("{}: {error}", self.dir.join(segment_name(tail.segment)).display());
            tail.stopped = Some(why.clone());
            return Err(StoreError::Stopped(why));
        }
        if let Some(observer) = &self.observer {
            observer.synced(begun.elapsed(), entries, length);
        }
        Ok(())
    }

    /// Reads an entry and checks it. `None` where it is not there any more, or not as it was written.
    pub(super) fn read(&self, location: Location) -> Result<Option<Bytes>, StoreError> {
        let Some(segment) = self.segment(location.segment) else { return Ok(None) };
        let mut bytes = vec![0; location.bytes as usize];
        let read = segment.file.read_at(&mut bytes, u64::from(location.offset));
        let read = read.map_err(io_error("reading", &self.dir.join(segment_name(location.segment))))?;
        match entry::scan(bytes.get(..read).unwrap_or_default(), self.marker) {
            Scan::Entry(found) if found.bytes() == bytes.len() => {}
            _ => return Ok(None),
        }
        Ok(Some(Bytes::from(bytes).slice(ENTRY_HEADER_BYTES..)))
    }
}

/// Writes zeros from `from` up to `to`.
pub(super) fn write_zeros(file: &dyn DiskFile, from: u64, to: u64) -> io::Result<()> {
    let zeros = vec![0; ZEROS_BYTES];
    let mut at = from;
    while at < to {
        let piece = (to - at).min(ZEROS_BYTES as u64);
        file.write_at(zeros.get(..piece as usize).unwrap_or(&zeros), at)?;
        at += piece;
    }
    Ok(())
}
