//! Any bytes as the body of a frame whose length is right: what parses must be canonical, so that one record has one id.
#![no_main]

use bytes::Bytes;
use griot_protocol::{Body, Unverified, codec};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: (u8, &[u8])| {
    let (kind, body) = input;
    let mut frame = vec![1 + kind % 3, 1];
    frame.extend_from_slice(&(body.len() as u32).to_le_bytes());
    frame.extend_from_slice(body);
    frame.extend_from_slice(&[0; 64]);
    let Ok(record) = Unverified::parse(Bytes::from(frame)) else { return };
    let record = record.claimed();
    let again = match record.body() {
        Body::Envelope(header) => codec::encode(&(*header, record.payload().to_vec())),
        Body::Ack(ack) => codec::encode(ack),
        Body::Custody(custody) => codec::encode(custody),
    };
    assert_eq!(again, body);
});
