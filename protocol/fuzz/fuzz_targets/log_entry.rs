//! Any bytes as what lies in a record log: every entry that is read writes the same bytes again.
#![no_main]

use griot_protocol::entry::{Marker, Scan, append, find_marker, scan};
use libfuzzer_sys::fuzz_target;

const MARKER: Marker = Marker(*b"\x01griot\xff\x02");

fuzz_target!(|bytes: &[u8]| {
    // Behind a marker and not, because the fuzzer would hardly find eight bytes.
    for log in [bytes.to_vec(), [&MARKER.0[..], bytes].concat()] {
        let mut rest = &log[..];
        loop {
            match scan(rest, MARKER) {
                Scan::Entry(entry) => {
                    let mut again = Vec::new();
                    append(&mut again, MARKER, &entry);
                    assert_eq!(again[..], rest[..entry.bytes()]);
                    rest = &rest[entry.bytes()..];
                }
                Scan::End | Scan::Torn => break,
                Scan::Bad => match rest.get(1..).and_then(|rest| find_marker(rest, MARKER)) {
                    Some(at) => rest = &rest[1 + at..],
                    None => break,
                },
            }
        }
    }
});
