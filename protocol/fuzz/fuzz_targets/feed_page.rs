//! Any bytes as a page of a feed: what is read writes the same page.
#![no_main]

use griot_protocol::feed;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let Ok(entries) = feed::read_page(bytes) else { return };
    let mut page = Vec::new();
    for (cursor, frame) in entries {
        feed::push_to_page(&mut page, cursor, frame);
    }
    assert_eq!(page, bytes);
});
