//! Neighbours that lie, babble, stall or exhaust: every session with them ends, and an honest one is served beside.

use griot_protocol::{
    Hour,
    sync::{BucketDigest, BucketMessage, Opened, RECONCILE_BYTES_MAX, Set, SyncFrame},
};
use negentropy::{Id, Negentropy, NegentropyStorageVector};

use super::*;

fn random(seed: u64) -> ChaCha8Rng {
    ChaCha8Rng::seed_from_u64(seed)
}

fn ids(random: &mut ChaCha8Rng, count: usize) -> Vec<[u8; 32]> {
    (0..count).map(|_| random.random()).collect()
}

/// Digests that differ in every hour, anew each time.
fn endless_digests(random: &mut ChaCha8Rng) -> SyncResponse {
    let first = START.hour();
    let digest = |hour: u32, random: &mut ChaCha8Rng| BucketDigest {
        hour: Hour(first.0 + hour),
        count: 5,
        sum: random.random(),
    };
    let digests = (0..700).map(|hour| digest(hour, random)).collect();
    SyncResponse::Opened(Opened { postage_bits: 0, time: START, first, digests: Some(digests) })
}

/// Honest negentropy over ids that were made up a moment ago.
fn invented_ids(buckets: &[BucketMessage], random: &mut ChaCha8Rng, count: usize) -> SyncResponse {
    let limit = (RECONCILE_BYTES_MAX / buckets.len()) as u64;
    let answer = |bucket: &BucketMessage, random: &mut ChaCha8Rng| {
        let mut storage = NegentropyStorageVector::new();
        for id in ids(random, count) {
            storage.insert(bucket.hour.start().0 + 5, Id::from_byte_array(id)).unwrap();
        }
        storage.seal().unwrap();
        let message = Negentropy::owned(storage, limit).unwrap().reconcile(&bucket.message).unwrap();
        BucketMessage { hour: bucket.hour, message }
    };
    SyncResponse::Reconciled { buckets: buckets.iter().map(|bucket| answer(bucket, random)).collect() }
}

/// A world of two honest nodes (0 and 1) and a liar (2) that node 0 meets first.
fn with_liar(script: impl FnMut(&[u8]) -> Option<Bytes> + 'static) -> World {
    let mailbox = Mailbox::new(1);
    let mut world = World::new(3);
    world.nodes[2].script = Some(Box::new(script));
    world.put(0, &(0..100).map(|number| mailbox.small(number, 1 + number % 48)).collect::<Vec<_>>());
    world.connect(0, 2);
    world.run_for(2_000);
    world.put(1, &(100..150).map(|number| mailbox.small(number, 1 + number % 48)).collect::<Vec<_>>());
    world.connect(0, 1);
    world
}

/// Ten minutes with the liar: the honest neighbours are equal soon, and the liar cost no more than this.
fn ten_minutes(name: &str, mut world: World, requests_max: usize, bytes_max: u64) {
    world.run_for(SOON_MS);
    assert_eq!(world.ids(0).len(), 150, "{name}: an honest neighbour must not wait for a liar");
    assert_eq!(world.ids(0), world.ids(1), "{name}");
    world.run_for(600_000);
    assert!(world.traffic.requests <= requests_max, "{name}: {} requests", world.traffic.requests);
    assert!(world.traffic.bytes <= bytes_max, "{name}: {} bytes", world.traffic.bytes);
    // Whatever is under way ends.
    world.disconnect(0, 1);
    world.nodes[2].script = Some(Box::new(|_| None));
    world.run_for(EXCHANGE_MS_MAX + SETTLE_MS_MAX);
    let starts = |output: &&SyncOutput| match output {
        SyncOutput::Ask { peer, request, .. } if *peer == node_id(3) => {
            matches!(SyncRequest::decode(request), Ok(SyncRequest::Open(open)) if open.set == Set::Acks)
        }
        _ => false,
    };
    let sessions = world.nodes[0].log.iter().filter(starts).count();
    assert!(sessions >= 2, "{name}: a session ends before the next begins");
    assert_eq!(world.ids(0).len(), 150, "{name}: nothing of it was taken");
}

#[test]
fn silence() {
    ten_minutes("silence", with_liar(|_| None), 300, 500_000);
}

#[test]
fn babble() {
    let mut random = random(1);
    let script = move |_: &[u8]| {
        let mut bytes: Vec<u8> = (0..random.random_range(0..200)).map(|_| random.random()).collect();
        bytes.insert(0, random.random_range(0..9));
        Some(Bytes::from(bytes))
    };
    ten_minutes("babble", with_liar(script), 500, 500_000);
}

#[test]
fn always_busy() {
    ten_minutes("busy", with_liar(|_| Some(SyncResponse::Busy.encode())), 300, 500_000);
}

#[test]
fn the_wrong_answer_to_everything() {
    let answer = SyncResponse::Pushed { taken: 7 }.encode();
    ten_minutes("wrong answer", with_liar(move |_| Some(answer.clone())), 300, 500_000);
}

#[test]
fn endless_differences_and_garbage_for_negentropy() {
    let mut random = random(2);
    let script = move |request: &[u8]| {
        let response = match SyncRequest::decode(request).unwrap() {
            SyncRequest::Open(_) => endless_digests(&mut random),
            SyncRequest::Reconcile { buckets, .. } => {
                let garbage = |bucket: BucketMessage, random: &mut ChaCha8Rng| {
                    let mut message: Vec<u8> = (0..100).map(|_| random.random()).collect();
                    message.insert(0, 0x61);
                    BucketMessage { message, ..bucket }
                };
                let buckets = buckets.into_iter().map(|bucket| garbage(bucket, &mut random)).collect();
                SyncResponse::Reconciled { buckets }
            }
            _ => SyncResponse::Busy,
        };
        Some(response.encode())
    };
    ten_minutes("garbage", with_liar(script), 1_000, 20_000_000);
}

#[test]
fn a_reconciliation_that_never_ends() {
    // The same fingerprint of the whole range comes back in every round, and never matches.
    let mut random = random(3);
    let script = move |request: &[u8]| {
        let response = match SyncRequest::decode(request).unwrap() {
            SyncRequest::Open(_) => endless_digests(&mut random),
            SyncRequest::Reconcile { buckets, .. } => {
                let fingerprint = |bucket: BucketMessage, random: &mut ChaCha8Rng| {
                    let mut message = vec![0x61, 0, 0, 1];
                    message.extend(random.random::<[u8; 16]>());
                    BucketMessage { message, ..bucket }
                };
                let buckets = buckets.into_iter().map(|bucket| fingerprint(bucket, &mut random)).collect();
                SyncResponse::Reconciled { buckets }
            }
            _ => SyncResponse::Busy,
        };
        Some(response.encode())
    };
    ten_minutes("never ends", with_liar(script), 60 * 70, 50_000_000);
}

#[test]
fn invented_ids_that_are_never_held() {
    let mut random = random(4);
    let script = move |request: &[u8]| {
        let response = match SyncRequest::decode(request).unwrap() {
            SyncRequest::Open(_) => endless_digests(&mut random),
            SyncRequest::Reconcile { buckets, .. } => invented_ids(&buckets, &mut random, 50),
            SyncRequest::Fetch { ids } => SyncResponse::Frames { frames: Vec::new(), not_held: ids },
            SyncRequest::Push { .. } => SyncResponse::Pushed { taken: 1 },
            SyncRequest::About { .. } | SyncRequest::Offer { .. } => SyncResponse::Busy,
        };
        Some(response.encode())
    };
    let world = with_liar(script);
    ten_minutes("never held", world, 10_000, 300_000_000);
}

#[test]
fn invented_ids_are_fetched_within_bounds() {
    let mut random = random(5);
    let script = move |request: &[u8]| {
        let response = match SyncRequest::decode(request).unwrap() {
            SyncRequest::Open(_) => endless_digests(&mut random),
            SyncRequest::Reconcile { buckets, .. } => invented_ids(&buckets, &mut random, 500),
            SyncRequest::Fetch { ids } => SyncResponse::Frames { frames: Vec::new(), not_held: ids },
            SyncRequest::Push { .. } => SyncResponse::Pushed { taken: 1 },
            SyncRequest::About { .. } | SyncRequest::Offer { .. } => SyncResponse::Busy,
        };
        Some(response.encode())
    };
    let mut world = with_liar(script);
    world.run_for(60_000);
    // Each id is held for 20 s and remembered for as long again: two fillings of the list a minute, at most.
    assert!(world.traffic.fetched_ids <= 3 * (HOLDS_MAX + 1024), "{} ids", world.traffic.fetched_ids);
}

#[test]
fn frames_that_were_not_asked_for_and_prove_nothing() {
    let mut random = random(6);
    let script = move |request: &[u8]| {
        let response = match SyncRequest::decode(request).unwrap() {
            SyncRequest::Open(_) => endless_digests(&mut random),
            SyncRequest::Reconcile { buckets, .. } => invented_ids(&buckets, &mut random, 5),
            SyncRequest::Fetch { ids } => {
                let frame = |_| SyncFrame((0..100).map(|_| random.random()).collect::<Vec<u8>>().into());
                SyncResponse::Frames { frames: ids.iter().map(frame).collect(), not_held: Vec::new() }
            }
            SyncRequest::Push { .. } => SyncResponse::Pushed { taken: u32::MAX },
            SyncRequest::About { .. } | SyncRequest::Offer { .. } => SyncResponse::Busy,
        };
        Some(response.encode())
    };
    ten_minutes("worthless frames", with_liar(script), 10_000, 200_000_000);
}

#[test]
fn more_answers_than_questions() {
    let mut random = random(7);
    let script = move |request: &[u8]| {
        let response = match SyncRequest::decode(request).unwrap() {
            SyncRequest::Open(_) => endless_digests(&mut random),
            SyncRequest::Reconcile { buckets, .. } => invented_ids(&buckets, &mut random, 5),
            _ => SyncResponse::Frames { frames: Vec::new(), not_held: vec![RecordId([7; 32]); 1024] },
        };
        Some(response.encode())
    };
    ten_minutes("too many answers", with_liar(script), 1_000, 20_000_000);
}

#[test]
fn a_flood_of_costly_questions_is_answered_busy_until_time_has_paid() {
    let mailbox = Mailbox::new(1);
    let mut world = World::new(1);
    world.put(0, &(0..2_000).map(|number| mailbox.small(number, 2)).collect::<Vec<_>>());
    let now = world.now(0);
    let node = &mut world.nodes[0];
    let buckets = vec![BucketMessage { hour: START.plus(7200).hour(), message: vec![0x61] }];
    let request = SyncRequest::Reconcile { shard: Shard(0), set: Set::Rest, buckets }.encode();
    let mut is_busy = |now: Now| {
        let asked = node.sync.asked(now, node_id(9), &request, &node.store);
        SyncResponse::decode(&asked.response) == Ok(SyncResponse::Busy)
    };
    let answered = (0..10_000).take_while(|_| !is_busy(now)).count() as u64;
    assert_eq!(answered, UNITS_MAX.div_ceil(2_000 + REQUEST_UNITS));
    assert!(is_busy(now));
    assert!(!is_busy(Now { mono_ms: now.mono_ms + 1_000, ..now }));
}

#[test]
fn a_request_of_a_newer_version_is_counted_and_not_punished() {
    let mut world = World::new(1);
    let now = world.now(0);
    let node = &mut world.nodes[0];
    let asked = node.sync.asked(now, node_id(9), &[200, 1, 2, 3], &node.store);
    assert_eq!(SyncResponse::decode(&asked.response), Ok(SyncResponse::Unsupported));
    assert!(asked.outputs.contains(&SyncOutput::Count(Tally::Refused("unknown-request", "sync"))));
}
