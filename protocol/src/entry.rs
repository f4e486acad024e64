//! Log entries: frames as they lie one after the other in a record log, and how to find them again.
//!
//! ```text
//! [marker 8][place u64 LE][len u32 LE][crc32c u32 LE over place, len, frame][frame]
//! ```
//!
//! - The *marker* is 8 random bytes, one for each log: whoever sends records does not know it and so cannot plant
//!   entries inside a frame. A reader that lost its way looks for the next marker.
//! - The *place* is batch number × 2²⁰ + index in the batch: it grows along the log.
//! - The two top bits of *len* delimit a **write**: what was written at once and made durable by one sync. The first
//!   entry of a write carries `FIRST`, the last one `LAST`. A write is taken whole or, where power failed in
//!   the middle, not at all. The log begins a write only after the one before it was synced, so *any* good entry of a
//!   later write proves that what is broken before it is damage and not an unfinished write.
//! - A log is written in advance with zeros, so zeros where an entry would be are its end.
//!
//! Everything here is pure: bytes in, bytes out.

use crate::limits::FRAME_BYTES_MAX;

/// Bytes before the frame.
pub const ENTRY_HEADER_BYTES: usize = 8 + 8 + 4 + 4;

/// The longest frame of an entry: a record's, and room for what a log notes beside it.
pub const ENTRY_FRAME_BYTES_MAX: usize = FRAME_BYTES_MAX + 1024;

/// Index bits of a place: more entries than one batch may have.
pub const PLACE_INDEX_BITS: u32 = 20;

/// In the length: the first entry of a write.
const FIRST: u32 = 1 << 31;

/// In the length: the last entry of a write.
const LAST: u32 = 1 << 30;

/// What entries of one log begin with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Marker(pub [u8; 8]);

/// Which entry of which batch it is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Place(pub u64);

impl Place {
    /// The place of entry `index` of `batch`.
    #[must_use]
    pub const fn new(batch: u64, index: u32) -> Self {
        Self(batch << PLACE_INDEX_BITS | index as u64)
    }

    /// The batch.
    #[must_use]
    pub const fn batch(self) -> u64 {
        self.0 >> PLACE_INDEX_BITS
    }
}

/// An entry that checked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LogEntry<'a> {
    /// Which one it is.
    pub place: Place,
    /// Whether a write begins with it.
    pub first: bool,
    /// Whether a write ends with it.
    pub last: bool,
    /// What it holds.
    pub frame: &'a [u8],
}

impl LogEntry<'_> {
    /// Its length in the log.
    #[must_use]
    pub const fn bytes(&self) -> usize {
        ENTRY_HEADER_BYTES + self.frame.len()
    }
}

/// What lies at the beginning of some bytes of a log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scan<'a> {
    /// An entry.
    Entry(LogEntry<'a>),
    /// Zeros, or nothing: the log was not written further.
    End,
    /// The bytes end before the entry does.
    Torn,
    /// No entry: another marker, an impossible length, or a checksum that does not match.
    Bad,
}

/// Appends an entry to `out`. `frame` has 1 to [`ENTRY_FRAME_BYTES_MAX`] bytes; what is longer would not be found again.
pub fn append(out: &mut Vec<u8>, marker: Marker, entry: &LogEntry<'_>) {
    let mut len = entry.frame.len() as u32;
    if entry.first {
        len |= FIRST;
    }
    if entry.last {
        len |= LAST;
    }
    let (place, len) = (entry.place.0.to_le_bytes(), len.to_le_bytes());
    out.extend_from_slice(&marker.0);
    out.extend_from_slice(&place);
    out.extend_from_slice(&len);
    out.extend_from_slice(&checksum(&place, &len, entry.frame).to_le_bytes());
    out.extend_from_slice(entry.frame);
}

/// Looks at the beginning of `bytes`.
#[must_use]
pub fn scan(bytes: &[u8], marker: Marker) -> Scan<'_> {
    let head = &bytes[..bytes.len().min(ENTRY_HEADER_BYTES)];
    if head.iter().all(|byte| *byte == 0) {
        return Scan::End;
    }
    let Some((head, rest)) = bytes.split_first_chunk::<ENTRY_HEADER_BYTES>() else {
        return if marker.0.starts_with(&head[..head.len().min(8)]) { Scan::Torn } else { Scan::Bad };
    };
    let [m0, m1, m2, m3, m4, m5, m6, m7, p0, p1, p2, p3, p4, p5, p6, p7, l0, l1, l2, l3, c0, c1, c2, c3] = *head;
    if [m0, m1, m2, m3, m4, m5, m6, m7] != marker.0 {
        return Scan::Bad;
    }
    let (place, len) = ([p0, p1, p2, p3, p4, p5, p6, p7], [l0, l1, l2, l3]);
    let flagged = u32::from_le_bytes(len);
    let frame_len = (flagged & !(FIRST | LAST)) as usize;
    if frame_len == 0 || frame_len > ENTRY_FRAME_BYTES_MAX {
        return Scan::Bad;
    }
    let Some(frame) = rest.get(..frame_len) else { return Scan::Torn };
    if checksum(&place, &len, frame) != u32::from_le_bytes([c0, c1, c2, c3]) {
        return Scan::Bad;
    }
    let place = Place(u64::from_le_bytes(place));
    Scan::Entry(LogEntry { place, first: flagged & FIRST != 0, last: flagged & LAST != 0, frame })
}

/// Where the next marker begins in `bytes`, if one does.
#[must_use]
pub fn find_marker(bytes: &[u8], marker: Marker) -> Option<usize> {
    bytes.windows(marker.0.len()).position(|window| window == marker.0)
}

fn checksum(place: &[u8; 8], len: &[u8; 4], frame: &[u8]) -> u32 {
    crc32c::crc32c_append(crc32c::crc32c_append(crc32c::crc32c(place), len), frame)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const MARKER: Marker = Marker(*b"\x01griot\xff\x02");

    fn entry(batch: u64, first: bool, last: bool, frame: &[u8]) -> Vec<u8> {
        let mut out = Vec::new();
        append(&mut out, MARKER, &LogEntry { place: Place::new(batch, 3), first, last, frame });
        out
    }

    #[test]
    fn zeros_and_nothing_are_the_end_and_a_partial_entry_is_torn() {
        assert_eq!(scan(&[], MARKER), Scan::End);
        assert_eq!(scan(&[0; 100], MARKER), Scan::End);
        let whole = entry(1, true, true, b"frame");
        for cut in 1..whole.len() {
            assert_eq!(scan(&whole[..cut], MARKER), Scan::Torn, "{cut}");
        }
    }

    #[test]
    fn another_logs_entry_is_bad() {
        assert_eq!(scan(&entry(1, true, true, b"frame"), Marker([9; 8])), Scan::Bad);
    }

    #[test]
    fn lengths_that_cannot_be_are_bad() {
        for len in [0, ENTRY_FRAME_BYTES_MAX as u32 + 1, u32::MAX] {
            let mut bytes = entry(1, true, true, b"frame");
            bytes[16..20].copy_from_slice(&len.to_le_bytes());
            assert_eq!(scan(&bytes, MARKER), Scan::Bad);
        }
    }

    #[test]
    fn a_lost_reader_finds_the_next_marker() {
        let mut bytes = b"some broken bytes".to_vec();
        bytes.extend(entry(1, true, true, b"frame"));
        assert_eq!(find_marker(&bytes, MARKER), Some(17));
        assert_eq!(find_marker(&bytes[18..], MARKER), None);
    }

    proptest! {
        #[test]
        fn what_was_appended_is_scanned(
            batch in 0..1u64 << 44, first: bool, last: bool,
            frame in prop::collection::vec(any::<u8>(), 1..300), rest in prop::collection::vec(any::<u8>(), 0..40),
        ) {
            let mut bytes = entry(batch, first, last, &frame);
            let length = bytes.len();
            bytes.extend(rest);
            let Scan::Entry(found) = scan(&bytes, MARKER) else { panic!("not found") };
            prop_assert_eq!(found, LogEntry { place: Place::new(batch, 3), first, last, frame: &frame });
            prop_assert_eq!((found.bytes(), found.place.batch()), (length, batch));
        }

        #[test]
        fn any_flipped_bit_is_noticed(frame in prop::collection::vec(any::<u8>(), 1..100), at: prop::sample::Index) {
            let mut bytes = entry(7, true, false, &frame);
            let bit = at.index(bytes.len() * 8);
            bytes[bit / 8] ^= 1 << (bit % 8);
            prop_assert!(matches!(scan(&bytes, MARKER), Scan::Bad | Scan::Torn));
        }

        #[test]
        fn arbitrary_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..200), with_marker: bool) {
            let mut all = if with_marker { MARKER.0.to_vec() } else { Vec::new() };
            all.extend(bytes);
            let _ = scan(&all, MARKER);
            let _ = find_marker(&all, MARKER);
        }
    }
}
