//! The messages of `/griot/sync/1`, their exact bytes, and some that must be refused.

use bytes::Bytes;
use griot_protocol::{
    Hour, RecordId, Shard, ShardBits, codec,
    sync::{BucketDigest, BucketMessage, Open, Opened, Set, SyncFrame, SyncRequest, SyncResponse, root},
};
use serde_json::{Value, json};

use crate::{accept::hex, craft::*};

fn digests() -> Vec<BucketDigest> {
    let first = NOW.hour();
    let mut sum = [0xff; 32];
    sum[31] = 0x7f;
    vec![
        BucketDigest { hour: first, count: 1, sum: record_id(0).0 },
        BucketDigest { hour: Hour(first.0 + 24), count: 300, sum },
    ]
}

fn requests() -> Vec<(&'static str, SyncRequest)> {
    let bits = ShardBits::try_from(4).unwrap();
    let (shard, set) = (Shard(9), Set::Rest);
    let open =
        Open { bits, postage_bits: POSTAGE_BITS, shard, set, time: NOW, first: NOW.hour(), root: root(&digests()) };
    let buckets = vec![BucketMessage { hour: NOW.hour(), message: vec![0x61] }];
    vec![
        ("open", SyncRequest::Open(open)),
        ("reconcile", SyncRequest::Reconcile { shard, set: Set::Acks, buckets }),
        ("fetch", SyncRequest::Fetch { ids: sorted_ids(2) }),
        ("push", SyncRequest::Push { frames: vec![SyncFrame(Bytes::from(Craft::good_ack().frame()))] }),
        ("about", SyncRequest::About { ids: sorted_ids(1) }),
        ("offer", SyncRequest::Offer { bits, shard, ids: sorted_ids(1) }),
    ]
}

fn responses() -> Vec<(&'static str, SyncResponse)> {
    let bits = ShardBits::try_from(4).unwrap();
    let opened =
        |digests| SyncResponse::Opened(Opened { postage_bits: POSTAGE_BITS, time: NOW, first: NOW.hour(), digests });
    let frame = || SyncFrame(Bytes::from(Craft::good_ack().frame()));
    let buckets = vec![BucketMessage { hour: NOW.hour(), message: vec![0x61] }];
    vec![
        ("unsupported", SyncResponse::Unsupported),
        ("not-carried", SyncResponse::NotCarried { bits, postage_bits: POSTAGE_BITS }),
        ("busy", SyncResponse::Busy),
        ("opened-same", opened(None)),
        ("opened-different", opened(Some(digests()))),
        ("reconciled", SyncResponse::Reconciled { buckets }),
        ("frames", SyncResponse::Frames { frames: vec![frame()], not_held: sorted_ids(1) }),
        ("pushed", SyncResponse::Pushed { taken: 1 }),
        ("news", SyncResponse::News { frames: vec![frame()], unknown: sorted_ids(1) }),
        ("noted", SyncResponse::Noted),
    ]
}

fn wrong_requests() -> Vec<(&'static str, Vec<u8>)> {
    let ids = |variant: u8, count: u64| {
        let ids: Vec<RecordId> = (0..count).map(|n| record_id(n as u32)).collect();
        [&[variant][..], &codec::encode(&ids)].concat()
    };
    let bucket = |hour: u64| [&varint(hour)[..], &[1, 0x61]].concat();
    let mut open = requests()[0].1.encode().to_vec();
    open[3] = 16;
    vec![
        ("no bytes", Vec::new()),
        ("a variant that a newer version may have", vec![6]),
        ("the variant 2 written in three bytes", [&[251, 2, 0][..], &ids(2, 1)[1..]].concat()),
        ("a shard that four bits do not reach", open),
        ("asks for nothing", ids(2, 0)),
        ("one id too many", ids(4, 257)),
        ("a byte follows", [&ids(2, 1)[..], &[0]].concat()),
        ("pushes nothing", vec![3, 0]),
        ("offers nothing", vec![5, 4, 9, 0]),
        ("offers in a shard that four bits do not reach", [&[5, 4, 16][..], &ids(2, 1)[1..]].concat()),
        ("offers one id too many", [&[5, 4, 9][..], &ids(2, 257)[1..]].concat()),
        ("pushes a frame that no frame can be", vec![3, 1, 1, 7]),
        ("announces 2^64 - 1 frames", [&[3, 253][..], &[0xff; 8]].concat()),
        ("no bucket", vec![1, 9, 1, 0]),
        ("buckets in descending order", [&[1, 9, 1, 2][..], &bucket(8), &bucket(7)].concat()),
    ]
}

pub fn vectors() -> Value {
    let requests: Vec<_> =
        requests().into_iter().map(|(name, m)| json!({ "name": name, "message": hex(m.encode()) })).collect();
    let responses: Vec<_> =
        responses().into_iter().map(|(name, m)| json!({ "name": name, "message": hex(m.encode()) })).collect();
    let reject: Vec<_> =
        wrong_requests().into_iter().map(|(why, m)| json!({ "why": why, "message": hex(m) })).collect();
    let digests: Vec<_> =
        digests().into_iter().map(|d| json!({ "hour": d.hour, "count": d.count, "sum": hex(d.sum) })).collect();
    json!({ "about": "Messages of /griot/sync/1. The values are in tests/vectors/sync.rs; ids, frames and times are those of the other files.",
        "digests": digests, "root": hex(root(&self::digests())), "requests": requests, "responses": responses,
        "reject_requests": reject })
}

pub fn check(file: &Value) {
    // The root and one message, composed by hand from docs/protocol.md.
    let mut hasher = blake3::Hasher::new_derive_key("griot 2026 sync root v1");
    for digest in digests() {
        hasher.update(&[&digest.hour.0.to_le_bytes()[..], &digest.count.to_le_bytes(), &digest.sum].concat());
    }
    let root = *hasher.finalize().as_bytes();
    assert_eq!(hex(root), file["root"]);
    let hour = NOW.0 / 3600;
    let open = [&[0, 4, POSTAGE_BITS, 9, 1][..], &varint(NOW.0), &varint(hour), &root].concat();
    assert_eq!(hex(open), file["requests"][0]["message"]);

    for ((name, request), vector) in requests().into_iter().zip(crate::list(file, "requests")) {
        assert_eq!(SyncRequest::decode(&crate::bytes(vector, "message")), Ok(request), "{name}");
    }
    for ((name, response), vector) in responses().into_iter().zip(crate::list(file, "responses")) {
        assert_eq!(SyncResponse::decode(&crate::bytes(vector, "message")), Ok(response), "{name}");
    }
    for vector in crate::list(file, "reject_requests") {
        assert!(SyncRequest::decode(&crate::bytes(vector, "message")).is_err(), "{}", vector["why"]);
    }
}
