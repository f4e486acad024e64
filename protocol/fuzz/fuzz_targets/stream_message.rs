//! Any bytes as a binary message of the stream, and as its JSON messages.
#![no_main]

use griot_protocol::{
    api::{StreamEvent, StreamRequest},
    feed,
};
use libfuzzer_sys::fuzz_target;

// The API's JSON goes through the same parser in node and client.
fuzz_target!(|bytes: &[u8]| {
    if let Ok((address, cursor, frame)) = feed::read_stream_message(bytes) {
        assert_eq!(feed::stream_message(&address, cursor, frame), bytes);
    }
    let _ = serde_json::from_slice::<StreamRequest>(bytes);
    let _ = serde_json::from_slice::<StreamEvent>(bytes);
});
