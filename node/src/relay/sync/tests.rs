//! Stories of neighbours that compare what they have.

mod hostile;
mod world;

use griot_protocol::{Hour, RecordKind, Shard, ShardBits, Timestamp};
use proptest::prelude::*;

use self::world::{Mailbox, START, World, node_id};
use super::{limits::*, *};
use crate::store::{Entry, Holding, Local};

/// Long enough for a session after meeting, far too short for a periodic one.
const SOON_MS: u64 = 5_000;

#[test]
fn each_gets_what_it_lacks() {
    let mailbox = Mailbox::new(1);
    let mut world = World::new(2);
    let records: Vec<_> = (0..60).map(|number| mailbox.small(number, 1 + number % 40)).collect();
    world.put(0, &records[..40]);
    world.put(1, &records[20..]);
    world.connect(0, 1);
    world.run_for(SOON_MS);
    assert_eq!(world.ids(0).len(), 60);
    assert_eq!(world.ids(0), world.ids(1));
    assert_eq!(world.traffic.frames_of(RecordKind::Envelope), 40, "nothing is carried twice");
    assert_eq!((world.early_ends(0), world.early_ends(1)), (vec![], vec![]));
    assert_eq!(world.count(0, Tally::SyncDone) + world.count(1, Tally::SyncDone), 1);
}

#[test]
fn an_ack_kills_on_the_other_side_and_the_dead_are_not_carried() {
    // Whoever has the ack: it must be the same whether it is fetched or pushed.
    for holder in [0, 1] {
        let mailbox = Mailbox::new(1);
        let mut world = World::new(2);
        let dead: Vec<_> = (0..50).map(|number| mailbox.small(number, 20)).collect();
        let alive = mailbox.small(99, 20);
        let ack = mailbox.releasing_ack(&dead.iter().collect::<Vec<_>>());
        world.put(holder, std::slice::from_ref(&ack));
        world.put(1 - holder, &dead);
        world.put(1 - holder, std::slice::from_ref(&alive));
        world.connect(0, 1);
        world.run_for(SOON_MS);
        assert_eq!(world.traffic.frames_of(RecordKind::Ack), 1);
        assert_eq!(world.traffic.frames_of(RecordKind::Envelope), 1, "only the living one");
        assert_eq!(world.ids(0), [ack.id(), alive.id()].into());
        assert_eq!((world.early_ends(0), world.early_ends(1)), (vec![], vec![]));
        assert_eq!(world.ids(0), world.ids(1));
        let row = world.nodes[1 - holder].store.row(&dead[0].id()).unwrap().unwrap();
        assert_eq!(row.holding, Holding::Killed);
    }
}

#[test]
fn equal_sets_cost_one_exchange_each() {
    let mailbox = Mailbox::new(1);
    let mut world = World::new(2);
    let records: Vec<_> = (0..30).map(|number| mailbox.small(number, 1 + number)).collect();
    let ack = mailbox.releasing_ack(&[&mailbox.small(100, 5)]);
    for node in [0, 1] {
        world.put(node, &records);
        world.put(node, std::slice::from_ref(&ack));
    }
    world.connect(0, 1);
    world.run_for(SOON_MS);
    assert_eq!((world.traffic.requests, world.traffic.opens), (2, 2));
    assert!(world.traffic.bytes < 300, "{} bytes", world.traffic.bytes);
}

#[test]
fn ten_thousand_records_that_differ_in_ten_move_few_bytes() {
    let mailbox = Mailbox::new(1);
    let mut world = World::new(2);
    let records: Vec<_> = (0..10_000).map(|number| mailbox.small(number, 1 + number % 48)).collect();
    world.put(0, &records[5..]);
    world.put(1, &records[..9_995]);
    world.connect(0, 1);
    world.run_for(SOON_MS);
    assert_eq!(world.ids(0).len(), 10_000);
    assert_eq!(world.ids(0), world.ids(1));
    assert_eq!(world.traffic.frames_of(RecordKind::Envelope), 10);
    let frames = 10 * records[0].frame().len() as u64;
    let overhead = world.traffic.bytes - frames;
    assert_eq!((world.early_ends(0), world.early_ends(1)), (vec![], vec![]));
    assert!(overhead < 32 * 1024, "{overhead} bytes to find ten records of ten thousand");
}

#[test]
fn one_record_more_in_an_hour_is_exchanged_without_a_search() {
    let mailbox = Mailbox::new(1);
    let mut world = World::new(2);
    let records: Vec<_> = (0..200).map(|number| mailbox.small(number, 1 + number % 20)).collect();
    // One is missing here in hours 3 and 7, and there in hour 5; hour 30 has only one at all.
    let lacking = |gaps: &[usize]| -> Vec<_> {
        records.iter().enumerate().filter(|(n, _)| !gaps.contains(n)).map(|(_, record)| record.clone()).collect()
    };
    world.put(0, &lacking(&[2, 6]));
    world.put(1, &lacking(&[4]));
    world.put(1, &[mailbox.small(999, 30)]);
    world.connect(0, 1);
    world.run_for(SOON_MS);
    assert_eq!(world.ids(0).len(), 201);
    assert_eq!(world.ids(0), world.ids(1));
    // Acks and the rest are opened, three are fetched or pushed, one the other way.
    assert_eq!((world.traffic.opens, world.traffic.requests), (2, 4));
    assert_eq!((world.early_ends(0), world.early_ends(1)), (vec![], vec![]));
}

#[test]
fn an_hour_whose_sums_mislead_is_searched() {
    for sides in [[0, 1], [1, 0]] {
        let mailbox = Mailbox::new(1);
        let mut world = World::new(2);
        let records: Vec<_> = (0..12).map(|number| mailbox.small(number, 3)).collect();
        // One more on one side: two that the other lacks, and one that it lacks itself.
        world.put(sides[0], &records[..10]);
        world.put(sides[1], &records[1..]);
        world.connect(0, 1);
        world.run_for(SOON_MS);
        assert_eq!(world.ids(0).len(), 12);
        assert_eq!(world.ids(0), world.ids(1));
        assert_eq!((world.early_ends(0), world.early_ends(1)), (vec![], vec![]));
    }
}

#[test]
fn clocks_on_two_sides_of_a_full_hour_cost_one_more_answer_and_no_records() {
    let mailbox = Mailbox::new(1);
    let mut world = World::new(2);
    // Node 0 reads two seconds before the hour, node 1 two seconds after it.
    let full_hour = Timestamp(START.0 + 1800);
    world.nodes[0].clock_s = 1800 - 2 - 2;
    world.nodes[1].clock_s = 1800 + 2;
    let last_hour: Vec<_> = (0..5).map(|number| mailbox.envelope(number, full_hour.minus(1), 256)).collect();
    let next_hour: Vec<_> = (5..10).map(|number| mailbox.envelope(number, full_hour.plus(1800), 256)).collect();
    world.put(0, &last_hour);
    world.put(0, &next_hour[..3]);
    world.put(1, &next_hour[2..]);
    world.connect(0, 1);
    world.run_for(1_500);
    assert_eq!(world.traffic.frames_of(RecordKind::Envelope), 4, "what is about to expire stays where it is");
    assert_eq!(world.ids(1), next_hour.iter().map(|record| record.id()).collect());
    assert_eq!(world.ids(0).len(), 10);

    // Equal but for the hour that is over on one side: digests are exchanged, nothing else.
    let before = world.traffic.requests;
    world.disconnect(0, 1);
    world.nodes[0].clock_s -= 10;
    world.connect(0, 1);
    world.run_for(1_500);
    assert_eq!((world.traffic.requests - before, world.traffic.frames_of(RecordKind::Envelope)), (2, 4));
}

#[test]
fn expired_records_are_neither_pushed_nor_fetched() {
    let mailbox = Mailbox::new(1);
    let mut world = World::new(2);
    let expired = |number| mailbox.envelope(number, START.minus(60), 256);
    world.put(0, &[expired(1), mailbox.small(2, 1)]);
    world.put(1, &[expired(3), mailbox.small(4, 1)]);
    world.connect(0, 1);
    world.run_for(SOON_MS);
    assert_eq!(world.traffic.frames_of(RecordKind::Envelope), 2);
    assert_eq!((world.ids(0).len(), world.ids(1).len()), (3, 3));
}

#[test]
fn a_mark_is_not_pushed_and_not_asked_for_again_and_again() {
    let mailbox = Mailbox::new(1);
    let mut world = World::new(3);
    let record = mailbox.small(1, 48);
    for node in [0, 1] {
        world.put(node, std::slice::from_ref(&record));
    }
    let evicted = Entry::Local(Local::Evicted { id: record.id() });
    world.nodes[1].store.commit(&[evicted]).unwrap();
    world.nodes[1].sync.set_room(false);
    world.connect(0, 1);
    world.run_for(SOON_MS);
    assert_eq!(world.traffic.frames_of(RecordKind::Envelope), 0, "the id is in both sets");

    // Node 2 knows only the node that dropped the body: it asks, ever more rarely.
    world.disconnect(0, 1);
    world.connect(1, 2);
    world.run_for(30 * 60_000);
    assert_eq!(world.traffic.frames_of(RecordKind::Envelope), 0);
    assert!((2..12).contains(&world.traffic.fetched_ids), "{} questions in half an hour", world.traffic.fetched_ids);
    world.connect(0, 2);
    world.run_for(SOON_MS);
    assert!(world.ids(2).contains(&record.id()), "another neighbour has it");
}

#[test]
fn what_was_dropped_for_want_of_room_comes_back_when_there_is_some() {
    let mailbox = Mailbox::new(1);
    let mut world = World::new(2);
    let record = mailbox.small(1, 48);
    for node in [0, 1] {
        world.put(node, std::slice::from_ref(&record));
    }
    world.nodes[0].store.commit(&[Entry::Local(Local::Evicted { id: record.id() })]).unwrap();
    world.nodes[0].sync.set_room(false);
    world.connect(0, 1);
    world.run_for(120_000);
    assert_eq!(world.traffic.fetched_ids, 0);
    world.nodes[0].sync.set_room(true);
    world.run_for(2 * INTERVAL_MS);
    let row = world.nodes[0].store.row(&record.id()).unwrap().unwrap();
    assert_eq!((row.holding, world.traffic.fetched_ids), (Holding::Held, 1));
}

#[test]
fn what_the_other_refuses_is_offered_ever_more_rarely() {
    let mailbox = Mailbox::new(1);
    let mut world = World::new(2);
    // Node 1's clock is two hours behind, so that for it the record comes from the future: it ignores it.
    world.nodes[1].clock_s = -7200;
    world.put(0, &[mailbox.small(1, 48)]);
    world.connect(0, 1);
    world.run_for(30 * 60_000);
    assert!(world.ids(1).is_empty());
    let offered = world.traffic.frames_of(RecordKind::Envelope);
    assert!((2..25).contains(&offered), "{offered} transfers in half an hour");
}

#[test]
fn memory_stays_at_one_window_and_messages_below_a_mebibyte() {
    let mailbox = Mailbox::new(1);
    let mut world = World::new(2);
    let records: Vec<_> = (0..200).map(|number| mailbox.envelope(number, START.plus(7200), 16 * 1024)).collect();
    world.put(1, &records);
    world.connect(0, 1);
    world.run_for(SOON_MS);
    assert_eq!(world.ids(0).len(), 200);
    let windows: Vec<usize> = world.nodes[0]
        .log
        .iter()
        .filter_map(|output| match output {
            SyncOutput::Frames { frames, .. } => Some(frames.iter().map(Bytes::len).sum()),
            _ => None,
        })
        .collect();
    assert!(windows.len() >= 4);
    assert_eq!((world.early_ends(0), world.early_ends(1)), (vec![], vec![]));
    assert!(windows.iter().all(|bytes| *bytes < 1024 * 1024));
    // Between two windows the session was told to go on: never two fetches for one window.
    let asks = world.nodes[0].log.iter().filter(|output| matches!(output, SyncOutput::Ask { .. })).count();
    assert!(asks <= windows.len() + 6, "{asks} requests");
}

#[test]
fn a_forgotten_signal_slows_repair_but_does_not_stop_it() {
    let mailbox = Mailbox::new(1);
    let mut world = World::new(2);
    world.nodes[0].settles = false;
    let records: Vec<_> = (0..100).map(|number| mailbox.envelope(number, START.plus(7200), 16 * 1024)).collect();
    world.put(1, &records);
    world.connect(0, 1);
    world.run_for(3 * SETTLE_MS_MAX + SOON_MS);
    assert_eq!(world.ids(0).len(), 100);
}

#[test]
fn news_runs_down_a_line_faster_than_the_interval() {
    let mailbox = Mailbox::new(1);
    let mut world = World::new(4);
    for node in 0..3 {
        world.connect(node, node + 1);
    }
    world.run_for(120_000);
    let record = mailbox.small(1, 48);
    world.put(0, std::slice::from_ref(&record));
    world.run_for(INTERVAL_MS + INTERVAL_JITTER_MS + 3 * SPREAD_MS + 3_000);
    for node in 1..4 {
        assert!(world.ids(node).contains(&record.id()), "node {node}");
    }
}

#[test]
fn nothing_is_fetched_from_two_neighbours_at_once() {
    let mailbox = Mailbox::new(1);
    let mut world = World::new(4);
    world.latency_ms = 400; // so that the three sessions overlap
    let records: Vec<_> = (0..300).map(|number| mailbox.small(number, 1 + number % 40)).collect();
    for node in 1..4 {
        world.put(node, &records);
    }
    for node in 1..4 {
        world.connect(0, node);
    }
    world.run_for(60_000);
    assert_eq!(world.ids(0).len(), 300);
    assert_eq!(world.traffic.frames_of(RecordKind::Envelope), 300);
}

#[test]
fn only_common_shards_are_compared_and_other_parameters_are_reported() {
    let mut world = World::with_bits(&[(1, vec![0, 1]), (1, vec![1]), (2, vec![1])]);
    let (left, right) = (Mailbox::in_shard(1, 0, 1), Mailbox::in_shard(2, 1, 1));
    let (in_left, in_right) = (left.small(1, 5), right.small(2, 5));
    world.put(0, &[in_left.clone(), in_right.clone()]);
    world.connect(0, 1);
    world.connect(0, 2);
    world.run_for(60_000);
    assert_eq!(world.ids(1), [in_right.id()].into());
    assert!(world.ids(2).is_empty());
    let differing = |node: usize| {
        let mut log = world.nodes[node].log.iter();
        log.any(|output| matches!(output, SyncOutput::ParamsDiffer { .. }))
    };
    assert!(differing(0) && differing(2) && !differing(1));
    let failures: usize = (0..3).map(|node| world.count(node, Tally::SyncFailed)).sum();
    assert_eq!(failures, 0, "nobody is to blame");
}

#[test]
fn the_clocks_of_neighbours_are_reported() {
    let mut world = World::new(2);
    world.nodes[1].clock_s = 1000;
    world.connect(0, 1);
    world.run_for(SOON_MS);
    let told = |node: usize, of: usize| {
        let mut log = world.nodes[node].log.iter();
        log.find_map(|output| match output {
            SyncOutput::PeerTime { peer, time } if *peer == world.nodes[of].id => Some(*time),
            _ => None,
        })
    };
    assert!(told(0, 1).unwrap().since(START) >= 1000);
    assert!(told(1, 0).unwrap().since(START) < 10);
}

#[test]
fn a_neighbour_that_leaves_ends_its_session_and_late_answers_do_nothing() {
    let mailbox = Mailbox::new(1);
    let mut world = World::new(2);
    world.put(1, &[mailbox.small(1, 5)]);
    world.latency_ms = 300;
    world.connect(0, 1);
    world.run_for(1_100);
    assert_eq!(world.nodes[0].sync.sessions(), 1);
    world.disconnect(0, 1);
    assert_eq!(world.nodes[0].sync.sessions(), 0);
    world.run_for(10_000);
    assert!(world.ids(0).is_empty());
    world.connect(0, 1);
    world.run_for(10_000);
    assert_eq!(world.ids(0).len(), 1);
}

#[test]
fn a_carrier_tells_what_it_knows_about_an_envelope() {
    let mailbox = Mailbox::new(1);
    let mut world = World::new(1);
    let (envelope, stranger) = (mailbox.small(1, 5), mailbox.small(2, 5));
    let ack = mailbox.releasing_ack(&[&envelope]);
    world.put(0, &[envelope.clone(), ack.clone()]);
    let now = world.now(0);
    let node = &mut world.nodes[0];
    let requests = about_requests(&[envelope.id(), stranger.id()]);
    let [request] = &requests[..] else { panic!("one request") };
    let asked = node.sync.asked(now, node_id(9), request, &node.store);
    let Ok(SyncResponse::News { frames, unknown }) = SyncResponse::decode(&asked.response) else { panic!("news") };
    assert_eq!(frames.iter().map(|frame| &frame.0).collect::<Vec<_>>(), [ack.frame()]);
    assert_eq!(unknown, [stranger.id()]);
}

#[test]
fn frames_to_push_are_packed_into_messages() {
    let frames: Vec<Bytes> = (0..40).map(|_| Bytes::from(vec![0; 68 * 1024])).collect();
    let requests = push_requests(frames);
    let counts: Vec<usize> = requests
        .iter()
        .map(|request| match SyncRequest::decode(request) {
            Ok(SyncRequest::Push { frames }) => frames.len(),
            other => panic!("{other:?}"),
        })
        .collect();
    assert_eq!(counts, [14, 14, 12]);
    assert!(push_requests([]).is_empty());
}

/// What a random node of the property test starts with: for each record, who has it.
#[derive(Clone, Debug)]
struct Placed {
    mailbox: u8,
    hours: u64,
    holders: [bool; 3],
    acked_by: Option<usize>,
}

fn holding() -> impl Strategy<Value = Placed> {
    let acked = prop_oneof![3 => Just(None), 1 => (0usize..3).prop_map(Some)];
    (0u8..4, 1u64..700, any::<[bool; 3]>(), acked).prop_map(|(mailbox, hours, holders, acked_by)| Placed {
        mailbox,
        hours,
        holders,
        acked_by,
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn random_stores_converge(holdings in proptest::collection::vec(holding(), 0..80), bits in 0u8..2) {
        let mut world = World::with_bits(&vec![(bits, ShardBits::try_from(bits).unwrap().shards().map(|s| s.0).collect()); 3]);
        let mailboxes: Vec<_> = (0..4).map(Mailbox::new).collect();
        let mut dead = BTreeSet::new();
        for (number, holding) in holdings.iter().enumerate() {
            let mailbox = &mailboxes[usize::from(holding.mailbox)];
            let record = mailbox.small(number as u64, holding.hours);
            for node in (0..3).filter(|node| holding.holders[*node]) {
                world.put(node, std::slice::from_ref(&record));
            }
            if let Some(node) = holding.acked_by {
                world.put(node, &[mailbox.releasing_ack(&[&record])]);
                dead.insert(record.id());
            }
        }
        let all: BTreeSet<_> = (0..3).flat_map(|node| world.ids(node)).filter(|id| !dead.contains(id)).collect();
        world.connect(0, 1);
        world.connect(1, 2);
        world.run_for(90_000);
        for node in 0..3 {
            prop_assert_eq!(&world.ids(node), &all);
            prop_assert_eq!(world.early_ends(node), Vec::<&str>::new());
        }
    }

    #[test]
    fn no_request_makes_the_responder_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300), variant in 0u8..6) {
        let mailbox = Mailbox::new(1);
        let mut world = World::new(1);
        world.put(0, &(0..40).map(|number| mailbox.small(number, 2)).collect::<Vec<_>>());
        let now = world.now(0);
        let node = &mut world.nodes[0];
        let mut request = bytes.clone();
        request.insert(0, variant);
        let asked = node.sync.asked(now, node_id(9), &request, &node.store);
        prop_assert!(SyncResponse::decode(&asked.response).is_ok());
        // Deeper: a well-formed request around hostile negentropy bytes, of the version that is spoken.
        let mut message = bytes;
        message.insert(0, 0x61);
        let buckets = vec![griot_protocol::sync::BucketMessage { hour: Hour(START.plus(7200).hour().0), message }];
        let request = SyncRequest::Reconcile { shard: Shard(0), set: griot_protocol::sync::Set::Rest, buckets };
        let asked = node.sync.asked(now, node_id(9), &request.encode(), &node.store);
        prop_assert!(SyncResponse::decode(&asked.response).is_ok());
    }
}
