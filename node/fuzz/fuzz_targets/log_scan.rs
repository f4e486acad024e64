//! The scanner of log segments, on arbitrary bytes, walked as recovery walks them.

#![no_main]

use griot_protocol::entry::{Marker, Scan, append, find_marker, scan};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: (u64, &[u8])| {
    let (marker, bytes) = input;
    let marker = Marker(marker.to_le_bytes());
    let mut at = 0;
    while at < bytes.len() {
        match scan(&bytes[at..], marker) {
            Scan::Entry(found) => {
                // Whatever is taken for an entry is exactly what would have been written.
                let mut again = Vec::new();
                append(&mut again, marker, &found);
                assert_eq!(again, &bytes[at..at + found.bytes()]);
                at += found.bytes();
            }
            Scan::End | Scan::Torn | Scan::Bad => match find_marker(&bytes[at + 1..], marker) {
                Some(next) => at += 1 + next,
                None => return,
            },
        }
    }
});
