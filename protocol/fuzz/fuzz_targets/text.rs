//! Any text as a name, a cursor, an id.
#![no_main]

use griot_protocol::{Address, Cursor, NetworkName, NodeId, RecordId, Signature};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    macro_rules! same_text {
        ($($type:ty),*) => { $(
            if let Ok(value) = text.parse::<$type>() {
                assert_eq!(value.to_string(), text);
            }
        )* };
    }
    same_text!(Address, Cursor, NetworkName, NodeId, RecordId, Signature);
});
