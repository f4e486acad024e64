//! Any bytes as each encoded type.
#![no_main]

use griot_protocol::{
    Ack, AckItem, Custody, EnvelopeHeader, Grant, InviteLink, MailboxKeys, RecordId, ShardBits, Timestamp, codec,
};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    macro_rules! canonical {
        ($($type:ty),*) => { $(
            if let Ok(value) = codec::decode::<$type>(bytes) {
                assert_eq!(codec::encode(&value), bytes);
            }
        )* };
    }
    canonical!(
        Ack,
        AckItem,
        Custody,
        EnvelopeHeader,
        Grant,
        InviteLink,
        MailboxKeys,
        RecordId,
        ShardBits,
        Timestamp,
        Vec<RecordId>,
        String,
        Vec<u8>
    );
});
