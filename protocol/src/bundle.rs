//! Bundles: courier files for a USB stick, a memory card, or a phone that somebody carries over a border.
//!
//! A bundle is a sequence of the same frames that nodes gossip. Records prove themselves, so a bundle needs no trust
//! and no signature of its own; what it needs is to notice that a stick was pulled out too early or has a bad sector.
//!
//! ```text
//! header   "GRIOTBDL" ‖ version u8 ‖ created_at u64 LE ‖ len(network) u8 ‖ network ‖ crc32c u32 LE of all before
//! entry    len u32 LE (1..) ‖ crc32c u32 LE of (len ‖ frame) ‖ frame              any number of times
//! end      0 u32 LE         ‖ crc32c u32 LE of (0 ‖ count)   ‖ count u64 LE       then nothing
//! ```
//!
//! Kinds from [`LOCAL_KIND_FIRST`] up are a node's own notes (registrations, tokens): they never leave it, and neither
//! writer nor reader lets them pass. Frames of kinds below that are not judged here: an older program carries the
//! records of a newer one.
//!
//! Both ends are sans-IO. The reader's memory is bounded by [`READER_BYTES_MAX`] whatever it is fed:
//!
//! ```
//! use griot_protocol::{NetworkName, Timestamp, bundle::{BundleHeader, BundleItem, BundleReader, BundleWriter}};
//!
//! let header = BundleHeader { network: NetworkName::standard(), created_at: Timestamp(1_800_000_000) };
//! let (mut writer, mut file) = BundleWriter::begin(&header);
//! file.extend(writer.entry(&[1; 80])?);
//! file.extend(writer.finish());
//!
//! let mut reader = BundleReader::new();
//! let mut frames = 0;
//! let mut rest = &file[..];
//! while !rest.is_empty() {
//!     let taken = reader.push(rest);
//!     rest = &rest[taken..];
//!     while let Some(item) = reader.next_item()? {
//!         if let BundleItem::Frame(_) = item {
//!             frames += 1;
//!         }
//!     }
//! }
//! assert_eq!(frames, 1);
//! assert_eq!(reader.finish()?.entries, 1);
//! # Ok::<(), griot_protocol::bundle::BundleError>(())
//! ```

use bytes::Bytes;

use crate::{limits::FRAME_BYTES_MAX, network::NetworkName, time::Timestamp};

/// What every bundle begins with.
pub const BUNDLE_MAGIC: [u8; 8] = *b"GRIOTBDL";

/// The version of this format.
pub const BUNDLE_VERSION: u8 = 1;

/// The first kind byte that is never sent and never in a bundle.
pub const LOCAL_KIND_FIRST: u8 = 0x80;

/// What a reader holds at most: the largest entry twice, so that a caller that reads a file in 64 KiB pieces is rarely
/// held up.
pub const READER_BYTES_MAX: usize = 2 * (FRAME_BYTES_MAX + ENTRY_HEADER_BYTES);

/// Length and checksum.
const ENTRY_HEADER_BYTES: usize = 8;

/// Magic, version, time, length of the name.
const FIXED_HEADER_BYTES: usize = 8 + 1 + 8 + 1;

/// Whose bundle it is and when it was written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BundleHeader {
    /// The network whose records it holds.
    pub network: NetworkName,
    /// When it was written, by the writer's clock.
    pub created_at: Timestamp,
}

/// Why bytes are no bundle, or a frame cannot go into one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BundleError {
    /// The file does not begin as a bundle does.
    #[error("this is not a Griot bundle")]
    Magic,
    /// A newer program wrote it.
    #[error("the bundle was written by a newer version of Griot: update to read it")]
    Version,
    /// The header is damaged.
    #[error("the bundle's header is damaged")]
    Header,
    /// An entry announces no sensible length, so that what follows cannot be found.
    #[error("the bundle is damaged: an entry announces an impossible length")]
    Length,
    /// A frame of a kind that never leaves a node.
    #[error("the frame's kind is local to one node and does not belong into a bundle")]
    LocalKind,
    /// The end marker is damaged, or counts other entries than came.
    #[error("the bundle's end does not match its entries")]
    Count,
    /// Bytes follow the end marker.
    #[error("bytes follow the end of the bundle")]
    Trailing,
    /// It stops before its end marker.
    #[error("the bundle is cut short: copy the whole file again; what was read is good")]
    Truncated,
}

/// One step of reading.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum BundleItem {
    /// Always first.
    Header(BundleHeader),
    /// A frame whose checksum is right. Nothing about it has been verified.
    Frame(Bytes),
    /// An entry whose checksum is wrong: skipped, counted.
    Damaged,
    /// The end marker, whose count is right.
    End,
}

/// What was read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct BundleSummary {
    /// Entries, damaged ones included.
    pub entries: u64,
    /// Entries whose checksum was wrong.
    pub damaged: u64,
}

/// Writes a bundle, as pieces of bytes that the caller appends to a file in order.
#[derive(Debug)]
pub struct BundleWriter {
    count: u64,
}

impl BundleWriter {
    /// Begins a bundle: the writer and the file's first bytes.
    #[must_use]
    pub fn begin(header: &BundleHeader) -> (Self, Vec<u8>) {
        let name = header.network.as_str().as_bytes();
        let mut bytes = Vec::with_capacity(FIXED_HEADER_BYTES + name.len() + 4);
        bytes.extend_from_slice(&BUNDLE_MAGIC);
        bytes.push(BUNDLE_VERSION);
        bytes.extend_from_slice(&header.created_at.0.to_le_bytes());
        bytes.push(name.len() as u8);
        bytes.extend_from_slice(name);
        let crc = crc32c::crc32c(&bytes);
        bytes.extend_from_slice(&crc.to_le_bytes());
        (Self { count: 0 }, bytes)
    }

    /// The bytes of one more entry.
    ///
    /// # Errors
    /// [`BundleError::Length`] for an empty or oversized frame, [`BundleError::LocalKind`].
    pub fn entry(&mut self, frame: &[u8]) -> Result<Vec<u8>, BundleError> {
        check_frame(frame)?;
        let len = (frame.len() as u32).to_le_bytes();
        let mut bytes = Vec::with_capacity(ENTRY_HEADER_BYTES + frame.len());
        bytes.extend_from_slice(&len);
        bytes.extend_from_slice(&checksum(&len, frame).to_le_bytes());
        bytes.extend_from_slice(frame);
        self.count += 1;
        Ok(bytes)
    }

    /// The end marker: without it, readers call the bundle cut short.
    #[must_use]
    pub fn finish(self) -> Vec<u8> {
        let len = 0u32.to_le_bytes();
        let count = self.count.to_le_bytes();
        let mut bytes = Vec::with_capacity(16);
        bytes.extend_from_slice(&len);
        bytes.extend_from_slice(&checksum(&len, &count).to_le_bytes());
        bytes.extend_from_slice(&count);
        bytes
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Header,
    Entries,
    Ended,
    Failed(BundleError),
}

/// Reads a bundle piece by piece.
#[derive(Debug)]
pub struct BundleReader {
    buffer: Vec<u8>,
    /// How much of `buffer` has been read.
    start: usize,
    state: State,
    summary: BundleSummary,
}

impl Default for BundleReader {
    fn default() -> Self {
        Self::new()
    }
}

impl BundleReader {
    /// A reader at the start of a bundle.
    #[must_use]
    pub const fn new() -> Self {
        let summary = BundleSummary { entries: 0, damaged: 0 };
        Self { buffer: Vec::new(), start: 0, state: State::Header, summary }
    }

    /// Takes as many of `bytes` as there is room for, and says how many. There is always room for at least one after
    /// [`next_item`](Self::next_item) gave `None`.
    #[must_use = "bytes that were not taken must be pushed again"]
    pub fn push(&mut self, bytes: &[u8]) -> usize {
        self.buffer.drain(..self.start);
        self.start = 0;
        let room = READER_BYTES_MAX.saturating_sub(self.buffer.len());
        let taken = room.min(bytes.len());
        self.buffer.extend_from_slice(&bytes[..taken]);
        taken
    }

    /// The next item, or `None` where more bytes are needed.
    ///
    /// # Errors
    /// [`BundleError`]; every later call gives the same one.
    pub fn next_item(&mut self) -> Result<Option<BundleItem>, BundleError> {
        let step = match self.state {
            State::Header => self.read_header(),
            State::Entries => self.read_entry(),
            State::Ended if self.unread().is_empty() => Ok(None),
            State::Ended => Err(BundleError::Trailing),
            State::Failed(error) => Err(error),
        };
        if let Err(error) = step {
            self.state = State::Failed(error);
        }
        step
    }

    /// Ends the reading: call it when the file has no more bytes and [`next_item`](Self::next_item) gave `None`.
    ///
    /// # Errors
    /// [`BundleError::Truncated`] where the end marker has not come; [`BundleError::Trailing`]; or the error that
    /// stopped the reading.
    pub fn finish(self) -> Result<BundleSummary, BundleError> {
        match self.state {
            State::Ended if self.unread().is_empty() => Ok(self.summary),
            State::Ended => Err(BundleError::Trailing),
            State::Failed(error) => Err(error),
            State::Header | State::Entries => Err(BundleError::Truncated),
        }
    }

    fn unread(&self) -> &[u8] {
        self.buffer.get(self.start..).unwrap_or_default()
    }

    fn read_header(&mut self) -> Result<Option<BundleItem>, BundleError> {
        let Some((item, used)) = parse_header(self.unread())? else { return Ok(None) };
        self.start += used;
        self.state = State::Entries;
        Ok(Some(item))
    }

    fn read_entry(&mut self) -> Result<Option<BundleItem>, BundleError> {
        let unread = self.unread();
        let Some((len_bytes, rest)) = unread.split_first_chunk::<4>() else { return Ok(None) };
        let len = u32::from_le_bytes(*len_bytes) as usize;
        if len > FRAME_BYTES_MAX {
            return Err(BundleError::Length);
        }
        let Some((crc, rest)) = rest.split_first_chunk::<4>() else { return Ok(None) };
        let crc = u32::from_le_bytes(*crc);
        if len == 0 {
            let Some(count) = rest.first_chunk::<8>() else { return Ok(None) };
            if checksum(len_bytes, count) != crc || u64::from_le_bytes(*count) != self.summary.entries {
                return Err(BundleError::Count);
            }
            self.start += ENTRY_HEADER_BYTES + count.len();
            self.state = State::Ended;
            return Ok(Some(BundleItem::End));
        }
        let Some(frame) = rest.get(..len) else { return Ok(None) };
        let item = if checksum(len_bytes, frame) == crc {
            check_frame(frame)?;
            BundleItem::Frame(Bytes::copy_from_slice(frame))
        } else {
            self.summary.damaged += 1;
            BundleItem::Damaged
        };
        self.summary.entries += 1;
        self.start += ENTRY_HEADER_BYTES + len;
        Ok(Some(item))
    }
}

/// The header and its length, once all of it is there. What is wrong already is refused before the rest has come.
fn parse_header(bytes: &[u8]) -> Result<Option<(BundleItem, usize)>, BundleError> {
    if !bytes.iter().zip(BUNDLE_MAGIC).all(|(a, b)| *a == b) {
        return Err(BundleError::Magic);
    }
    let Some((_, rest)) = bytes.split_first_chunk::<8>() else { return Ok(None) };
    let Some((version, rest)) = rest.split_first() else { return Ok(None) };
    if *version != BUNDLE_VERSION {
        return Err(BundleError::Version);
    }
    let Some((created_at, rest)) = rest.split_first_chunk::<8>() else { return Ok(None) };
    let Some((name_len, rest)) = rest.split_first() else { return Ok(None) };
    let name_len = usize::from(*name_len);
    let Some((name, rest)) = rest.split_at_checked(name_len) else { return Ok(None) };
    let Some(crc) = rest.first_chunk::<4>() else { return Ok(None) };
    let covered = bytes.get(..FIXED_HEADER_BYTES + name_len).unwrap_or_default();
    if crc32c::crc32c(covered) != u32::from_le_bytes(*crc) {
        return Err(BundleError::Header);
    }
    let network = std::str::from_utf8(name).ok().and_then(|name| name.parse().ok()).ok_or(BundleError::Header)?;
    let header = BundleHeader { network, created_at: Timestamp(u64::from_le_bytes(*created_at)) };
    Ok(Some((BundleItem::Header(header), FIXED_HEADER_BYTES + name_len + crc.len())))
}

fn check_frame(frame: &[u8]) -> Result<(), BundleError> {
    let kind = *frame.first().ok_or(BundleError::Length)?;
    if frame.len() > FRAME_BYTES_MAX {
        return Err(BundleError::Length);
    }
    if kind >= LOCAL_KIND_FIRST { Err(BundleError::LocalKind) } else { Ok(()) }
}

/// The checksum covers the length too: a damaged length is seen as damage.
fn checksum(len: &[u8; 4], content: &[u8]) -> u32 {
    crc32c::crc32c_append(crc32c::crc32c(len), content)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn header() -> BundleHeader {
        BundleHeader { network: NetworkName::standard(), created_at: Timestamp(1_800_000_000) }
    }

    fn bundle(frames: &[&[u8]]) -> Vec<u8> {
        let (mut writer, mut file) = BundleWriter::begin(&header());
        for frame in frames {
            file.extend(writer.entry(frame).unwrap());
        }
        file.extend(writer.finish());
        file
    }

    fn read(file: &[u8], piece: usize) -> (Vec<BundleItem>, Result<BundleSummary, BundleError>) {
        let mut reader = BundleReader::new();
        let mut items = Vec::new();
        for mut chunk in file.chunks(piece) {
            while !chunk.is_empty() {
                chunk = &chunk[reader.push(chunk)..];
                assert!(reader.buffer.len() <= READER_BYTES_MAX);
                loop {
                    match reader.next_item() {
                        Ok(Some(item)) => items.push(item),
                        Ok(None) => break,
                        Err(error) => return (items, Err(error)),
                    }
                }
            }
        }
        (items, reader.finish())
    }

    #[test]
    fn what_was_written_is_read_in_pieces_of_any_size() {
        let large = vec![3; FRAME_BYTES_MAX];
        let file = bundle(&[b"\x01one", &large, b"\x7ffuture", &large, &large]);
        for piece in [1, 7, 4096, file.len()] {
            let (items, summary) = read(&file, piece);
            assert_eq!(summary, Ok(BundleSummary { entries: 5, damaged: 0 }));
            assert_eq!(items.len(), 7);
            assert_eq!(items[0], BundleItem::Header(header()));
            assert_eq!(items[3], BundleItem::Frame(Bytes::from_static(b"\x7ffuture")));
            assert_eq!(items[6], BundleItem::End);
        }
    }

    #[test]
    fn cutting_it_anywhere_is_noticed_and_keeps_what_came_before() {
        let file = bundle(&[b"\x01one", b"\x02two"]);
        for end in 0..file.len() {
            let (_, summary) = read(&file[..end], 64);
            assert_eq!(summary, Err(BundleError::Truncated), "cut at {end}");
        }
        let (items, _) = read(&file[..file.len() - 1], 64);
        assert_eq!(items.len(), 3);
    }

    #[test]
    fn a_damaged_entry_is_skipped_and_counted() {
        let mut file = bundle(&[b"\x01one", b"\x02two"]);
        let at = file.windows(3).position(|w| w == b"one").unwrap();
        file[at] ^= 1;
        let (items, summary) = read(&file, 5);
        assert_eq!(summary, Ok(BundleSummary { entries: 2, damaged: 1 }));
        assert_eq!(items[1], BundleItem::Damaged);
        assert_eq!(items[2], BundleItem::Frame(Bytes::from_static(b"\x02two")));
    }

    #[test]
    fn local_kinds_neither_leave_nor_enter() {
        let (mut writer, mut file) = BundleWriter::begin(&header());
        assert_eq!(writer.entry(&[0x80, 1]), Err(BundleError::LocalKind));
        assert_eq!(writer.entry(&[]), Err(BundleError::Length));
        assert_eq!(writer.entry(&vec![1; FRAME_BYTES_MAX + 1]), Err(BundleError::Length));
        let len = 1u32.to_le_bytes();
        file.extend(len);
        file.extend(checksum(&len, &[0xff]).to_le_bytes());
        file.push(0xff);
        assert_eq!(read(&file, 100).1, Err(BundleError::LocalKind));
    }

    #[test]
    fn nonsense_is_refused_with_its_reason() {
        assert_eq!(read(b"PK\x03\x04", 2).1, Err(BundleError::Magic));
        let good = bundle(&[b"\x01one"]);
        let with = |at: usize, byte: u8| {
            let mut file = good.clone();
            file[at] = byte;
            read(&file, 9).1
        };
        assert_eq!(with(8, 2), Err(BundleError::Version));
        assert_eq!(with(9, 0xee), Err(BundleError::Header));
        assert_eq!(with(17, 4), Err(BundleError::Header));
        assert_eq!(with(good.len() - 1, 9), Err(BundleError::Count));
        assert_eq!(with(good.len() - 25, 0xff), Err(BundleError::Length));
        let mut trailing = good.clone();
        trailing.push(0);
        assert_eq!(read(&trailing, 9).1, Err(BundleError::Trailing));
    }
}
