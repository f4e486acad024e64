//! Any bytes as a frame, all the way to the signature.
#![no_main]

use bytes::Bytes;
use griot_protocol::{NetworkName, Timestamp, Unverified};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let Ok(record) = Unverified::parse(Bytes::copy_from_slice(bytes)) else { return };
    let _ = record.check_times(Timestamp(1_800_000_000));
    let _ = record.check_postage(8);
    assert_eq!(record.claimed().frame(), bytes);
    assert!(record.claimed().payload().len() < bytes.len());
    let _ = record.verify(&NetworkName::standard());
});
