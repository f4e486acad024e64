//! The scanner of log segments, walked as recovery walks them: over a segment as the node writes it, into which damage
//! was done, and over bytes that were never a segment.

#![no_main]

use griot_protocol::entry::{ENTRY_FRAME_BYTES_MAX, LogEntry, Marker, Place, Scan, append, find_marker, scan};
use libfuzzer_sys::{arbitrary, arbitrary::Arbitrary, fuzz_target};

#[derive(Arbitrary, Debug)]
struct Written<'a> {
    place: u64,
    first: bool,
    last: bool,
    /// Repeated, so that long frames need no long input.
    frame: &'a [u8],
    times: u16,
}

#[derive(Arbitrary, Debug)]
struct Input<'a> {
    marker: u64,
    entries: Vec<Written<'a>>,
    /// Zeros behind what was written.
    zeros: u16,
    /// Bytes that changed, and to what.
    damage: Vec<(u32, u8)>,
    /// Where the file ends, if not where it should.
    cut: Option<u32>,
    /// No segment at all.
    noise: &'a [u8],
}

/// A segment holds at most this much here: many small inputs find more than few large ones.
const SEGMENT_BYTES_MAX: usize = 256 * 1024;

/// Walks a segment to its end and gives the entries found. Whatever is taken for an entry is exactly what would have
/// been written.
fn walk(bytes: &[u8], marker: Marker) -> Vec<(u64, bool, bool, Vec<u8>)> {
    let (mut at, mut found) = (0, Vec::new());
    while at < bytes.len() {
        match scan(&bytes[at..], marker) {
            Scan::Entry(entry) => {
                let mut again = Vec::new();
                append(&mut again, marker, &entry);
                assert_eq!(again, &bytes[at..at + entry.bytes()]);
                at += entry.bytes();
                found.push((entry.place.0, entry.first, entry.last, entry.frame.to_vec()));
            }
            Scan::End | Scan::Torn | Scan::Bad => match find_marker(&bytes[at + 1..], marker) {
                Some(next) => at += 1 + next,
                None => break,
            },
        }
    }
    found
}

fuzz_target!(|input: Input| {
    let marker = Marker(input.marker.to_le_bytes());
    walk(input.noise, marker);
    let (mut segment, mut written) = (Vec::new(), Vec::new());
    for entry in &input.entries {
        let len = (entry.frame.len() * usize::from(entry.times)).min(ENTRY_FRAME_BYTES_MAX);
        let frame: Vec<u8> = entry.frame.iter().copied().cycle().take(len).collect();
        if frame.is_empty() || segment.len() + frame.len() > SEGMENT_BYTES_MAX {
            continue;
        }
        let (place, first, last) = (Place(entry.place), entry.first, entry.last);
        append(&mut segment, marker, &LogEntry { place, first, last, frame: &frame });
        written.push((entry.place, first, last, frame));
    }
    segment.resize(segment.len() + usize::from(input.zeros), 0);
    assert_eq!(walk(&segment, marker), written, "undamaged, everything is found again and nothing else");
    if segment.is_empty() {
        return;
    }
    for (at, byte) in &input.damage {
        let at = *at as usize % segment.len();
        segment[at] = *byte;
    }
    if let Some(cut) = input.cut {
        segment.truncate(cut as usize % segment.len());
    }
    walk(&segment, marker);
});
