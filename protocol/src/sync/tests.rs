//! Messages survive the way there and back, and nothing else becomes one.

use proptest::{collection::vec, prelude::*};

use super::*;

fn id() -> impl Strategy<Value = RecordId> {
    any::<[u8; 32]>().prop_map(RecordId)
}

fn frames(min: usize) -> impl Strategy<Value = Vec<SyncFrame>> {
    vec(vec(any::<u8>(), FRAME_BYTES_MIN..400).prop_map(|bytes| SyncFrame(bytes.into())), min..8)
}

fn set() -> impl Strategy<Value = Set> {
    prop_oneof![Just(Set::Acks), Just(Set::Rest)]
}

fn buckets() -> impl Strategy<Value = Vec<BucketMessage>> {
    proptest::collection::btree_map(any::<u32>(), vec(any::<u8>(), 0..100), 1..=RECONCILE_BUCKETS_MAX)
        .prop_map(|map| map.into_iter().map(|(hour, message)| BucketMessage { hour: Hour(hour), message }).collect())
}

fn open() -> impl Strategy<Value = Open> {
    (0u8..=16, any::<u8>(), any::<u32>(), set(), any::<u64>(), any::<u32>(), any::<[u8; 32]>()).prop_map(
        |(bits, postage_bits, shard, set, time, first, root)| {
            let bits = ShardBits::try_from(bits).unwrap();
            let shard = Shard(shard % bits.shard_count());
            Open { bits, postage_bits, shard, set, time: Timestamp(time), first: Hour(first), root }
        },
    )
}

fn opened() -> impl Strategy<Value = Opened> {
    let digests = proptest::collection::btree_map(0u32..1000, (1u64.., any::<[u8; 32]>()), 0..20);
    (any::<u8>(), any::<u64>(), any::<u32>(), proptest::option::of(digests)).prop_map(
        |(postage_bits, time, first, digests)| {
            let first = first.min(u32::MAX - 1000);
            let digests = digests.map(|map| {
                map.into_iter()
                    .map(|(hour, (count, sum))| BucketDigest { hour: Hour(first + hour), count, sum })
                    .collect()
            });
            Opened { postage_bits, time: Timestamp(time), first: Hour(first), digests }
        },
    )
}

fn request() -> impl Strategy<Value = SyncRequest> {
    prop_oneof![
        open().prop_map(SyncRequest::Open),
        (any::<u32>(), set(), buckets()).prop_map(|(shard, set, buckets)| SyncRequest::Reconcile {
            shard: Shard(shard),
            set,
            buckets
        }),
        vec(id(), 1..40).prop_map(|ids| SyncRequest::Fetch { ids }),
        frames(1).prop_map(|frames| SyncRequest::Push { frames }),
        vec(id(), 1..40).prop_map(|ids| SyncRequest::About { ids }),
        (0u8..=16, any::<u32>(), vec(id(), 1..40)).prop_map(|(bits, shard, ids)| {
            let bits = ShardBits::try_from(bits).unwrap();
            SyncRequest::Offer { bits, shard: Shard(shard % bits.shard_count()), ids }
        }),
    ]
}

fn response() -> impl Strategy<Value = SyncResponse> {
    prop_oneof![
        Just(SyncResponse::Unsupported),
        Just(SyncResponse::Busy),
        Just(SyncResponse::Noted),
        (0u8..=16, any::<u8>()).prop_map(|(bits, postage_bits)| SyncResponse::NotCarried {
            bits: ShardBits::try_from(bits).unwrap(),
            postage_bits
        }),
        opened().prop_map(SyncResponse::Opened),
        buckets().prop_map(|buckets| SyncResponse::Reconciled { buckets }),
        (frames(1), vec(id(), 0..9)).prop_map(|(frames, not_held)| SyncResponse::Frames { frames, not_held }),
        any::<u32>().prop_map(|taken| SyncResponse::Pushed { taken }),
        (frames(0), vec(id(), 0..9)).prop_map(|(frames, unknown)| SyncResponse::News { frames, unknown }),
    ]
}

proptest! {
    #[test]
    fn a_request_survives_the_way_there(request in request()) {
        let bytes = request.encode();
        prop_assert!(bytes.len() <= SYNC_BYTES_MAX);
        prop_assert_eq!(SyncRequest::decode(&bytes), Ok(request));
    }

    #[test]
    fn a_response_survives_the_way_back(response in response()) {
        let bytes = response.encode();
        prop_assert!(bytes.len() <= SYNC_BYTES_MAX);
        prop_assert_eq!(SyncResponse::decode(&bytes), Ok(response));
    }

    #[test]
    fn arbitrary_bytes_never_panic_and_what_decodes_is_canonical(bytes in vec(any::<u8>(), 0..600), variant in 0u8..10) {
        let mut bytes = bytes;
        if let Some(first) = bytes.first_mut() {
            // Most random first bytes are no variant at all: look deeper.
            *first = variant;
        }
        if let Ok(request) = SyncRequest::decode(&bytes) {
            prop_assert_eq!(request.encode(), &bytes);
        }
        if let Ok(response) = SyncResponse::decode(&bytes) {
            prop_assert_eq!(response.encode(), &bytes);
        }
    }

    #[test]
    fn a_cut_or_lengthened_message_is_refused(request in request(), cut in any::<prop::sample::Index>()) {
        let bytes = request.encode();
        prop_assert!(SyncRequest::decode(&bytes[..cut.index(bytes.len())]).is_err());
        let longer = [&bytes[..], &[0]].concat();
        prop_assert!(SyncRequest::decode(&longer).is_err());
    }
}

#[test]
fn the_largest_messages_fit() {
    let frame = Bytes::from(vec![7; FRAME_BYTES_MIN]);
    let mut small = FrameBudget::default();
    while small.add(frame.clone()).is_ok() {}
    assert_eq!(small.len(), FRAMES_MAX);
    let largest = Bytes::from(vec![7; FRAME_BYTES_MAX]);
    let mut large = FrameBudget::default();
    while large.add(largest.clone()).is_ok() {}
    while large.add(frame.clone()).is_ok() {}
    let ids = vec![RecordId([0xff; 32]); FETCH_IDS_MAX];
    for frames in [small.into_frames(), large.into_frames()] {
        let response = SyncResponse::Frames { frames: frames.clone(), not_held: ids.clone() };
        assert_eq!(SyncResponse::decode(&response.encode()).as_ref(), Ok(&response));
        let request = SyncRequest::Push { frames };
        assert_eq!(SyncRequest::decode(&request.encode()).as_ref(), Ok(&request));
    }
    let digest = |hour| BucketDigest { hour: Hour(u32::MAX - 2000 + hour), count: u64::MAX, sum: [0xff; 32] };
    let response = SyncResponse::Opened(Opened {
        postage_bits: 8,
        time: Timestamp(u64::MAX),
        first: Hour(0),
        digests: Some((0..DIGESTS_MAX as u32).map(digest).collect()),
    });
    assert_eq!(SyncResponse::decode(&response.encode()).as_ref(), Ok(&response));
}

#[test]
fn lists_out_of_bounds_are_refused() {
    let bounds = |result: Result<SyncRequest, SyncMessageError>| matches!(result, Err(SyncMessageError::Bounds(_)));
    let fetch = |count| SyncRequest::Fetch { ids: vec![RecordId([1; 32]); count] };
    assert!(bounds(SyncRequest::decode(&fetch(0).encode())));
    assert!(SyncRequest::decode(&fetch(FETCH_IDS_MAX).encode()).is_ok());
    assert!(bounds(SyncRequest::decode(&fetch(FETCH_IDS_MAX + 1).encode())));

    let bucket = |hour: u32, len: usize| BucketMessage { hour: Hour(hour), message: vec![0; len] };
    let reconcile = |buckets| SyncRequest::Reconcile { shard: Shard(0), set: Set::Rest, buckets };
    assert!(bounds(SyncRequest::decode(&reconcile(vec![bucket(2, 1), bucket(1, 1)]).encode())));
    assert!(bounds(SyncRequest::decode(&reconcile(vec![bucket(1, 1), bucket(1, 1)]).encode())));
    assert!(bounds(SyncRequest::decode(&reconcile(vec![bucket(1, RECONCILE_BYTES_MAX + 1)]).encode())));
    assert!(bounds(SyncRequest::decode(&reconcile((0..17).map(|hour| bucket(hour, 1)).collect()).encode())));

    let push = |len| SyncRequest::Push { frames: vec![SyncFrame(vec![0; len].into())] };
    assert!(bounds(SyncRequest::decode(&push(FRAME_BYTES_MIN - 1).encode())));
    assert!(bounds(SyncRequest::decode(&push(FRAME_BYTES_MAX + 1).encode())));
    assert_eq!(SyncRequest::decode(&vec![0; SYNC_BYTES_MAX + 1]), Err(SyncMessageError::TooLong));
}

#[test]
fn the_root_is_what_the_docs_say() {
    let digests = [
        BucketDigest { hour: Hour(1), count: 2, sum: [3; 32] },
        BucketDigest { hour: Hour(0x0102_0304), count: 1, sum: [4; 32] },
    ];
    let mut bytes = vec![1, 0, 0, 0, 2, 0, 0, 0, 0, 0, 0, 0];
    bytes.extend([3; 32]);
    bytes.extend([4, 3, 2, 1, 1, 0, 0, 0, 0, 0, 0, 0]);
    bytes.extend([4; 32]);
    assert_eq!(root(&digests), blake3::derive_key("griot 2026 sync root v1", &bytes));
    assert_ne!(root(&digests[..1]), root(&digests));
}
