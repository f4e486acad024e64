//! Any bytes as a sync message.
#![no_main]

use griot_protocol::sync::{SyncRequest, SyncResponse};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    if let Ok(request) = SyncRequest::decode(bytes) {
        assert_eq!(request.encode(), bytes);
    }
    if let Ok(response) = SyncResponse::decode(bytes) {
        assert_eq!(response.encode(), bytes);
    }
});
