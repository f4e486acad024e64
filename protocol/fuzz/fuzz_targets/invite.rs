//! Any text as an invite link, and any bytes as what a link says.
#![no_main]

use griot_protocol::{InviteLink, codec};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    if let Ok(text) = std::str::from_utf8(bytes) {
        let _ = InviteLink::parse(text);
        let _ = InviteLink::parse(&format!("griot:{text}"));
    }
    // Past base32 and checksum, which the fuzzer would not find its way through.
    if let Ok(link) = codec::decode::<InviteLink>(bytes) {
        let text = link.to_text();
        if let Ok(again) = InviteLink::parse(&text) {
            assert_eq!(again.to_text(), text);
        }
    }
});
