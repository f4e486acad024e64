//! Nodes lose power at awkward moments: right after "accepted", in the middle of a sync to disk, again and again. What
//! they had acknowledged is there afterwards, and everything is delivered once.

use super::support::*;
use griot_simulations::plan::{EventPlan, NodeIndex, PersonIndex};

#[test]
fn nothing_that_was_acknowledged_is_lost_and_nothing_comes_twice() {
    let mut plan = village(16, 21, 12);
    // A slow disk, so that many crashes fall into a sync.
    plan.fsync_ms = 40;
    write(&mut plan, 160, 30_000, 360_000);
    let (mut node, mut ms) = (0, 40_000);
    while ms < 340_000 {
        at(&mut plan, ms, EventPlan::Crash(NodeIndex(node)));
        at(&mut plan, ms + 5_000 + ms % 7_000, EventPlan::Start(NodeIndex(node)));
        node = (node + 5) % 16;
        ms += 3_217;
    }
    let recording = run(&plan);
    let crashes: u32 = recording.nodes.iter().map(|node| node.crashes).sum();
    assert!(crashes > 60, "{crashes} crashes");
    assert_eq!(delivered(&plan, &recording), 160);
    assert_lawful(
        &recording,
        &["acknowledged-survives-crash", "accepted-is-delivered", "shown-once", "acked-is-gone", "stored-is-true"],
    );
}

#[test]
fn events_that_find_things_as_they_would_make_them_change_nothing() {
    let mut plan = village(8, 24, 7);
    write(&mut plan, 30, 20_000, 150_000);
    at(&mut plan, 30_000, EventPlan::Start(NodeIndex(1)));
    at(&mut plan, 40_000, EventPlan::Stop(NodeIndex(2)));
    at(&mut plan, 41_000, EventPlan::Start(NodeIndex(2)));
    at(&mut plan, 50_000, EventPlan::Crash(NodeIndex(3)));
    for ms in [51_000, 52_000] {
        at(&mut plan, ms, EventPlan::Crash(NodeIndex(3)));
        at(&mut plan, ms, EventPlan::Stop(NodeIndex(3)));
    }
    at(&mut plan, 60_000, EventPlan::Start(NodeIndex(3)));
    at(&mut plan, 61_000, EventPlan::Online(PersonIndex(5)));
    at(&mut plan, 62_000, EventPlan::Offline(PersonIndex(6)));
    at(&mut plan, 63_000, EventPlan::Offline(PersonIndex(6)));
    at(&mut plan, 90_000, EventPlan::Online(PersonIndex(6)));
    at(&mut plan, 91_000, EventPlan::Heal { name: "no such cut".to_owned() });
    let recording = run(&plan);
    assert_eq!(recording.nodes[3].crashes, 1);
    assert_eq!(delivered(&plan, &recording), 30);
    assert_lawful(&recording, &["accepted-is-delivered", "shown-once"]);
}

#[test]
fn a_full_disk_refuses_and_another_home_takes_it() {
    let mut plan = village(8, 22, 8);
    at(&mut plan, 30_000, EventPlan::DiskFull(NodeIndex(2), true));
    at(&mut plan, 240_000, EventPlan::DiskFull(NodeIndex(2), false));
    write(&mut plan, 40, 40_000, 200_000);
    let recording = run(&plan);
    assert_eq!(delivered(&plan, &recording), 40);
    let from_two = plan.messages.iter().zip(&recording.messages).filter(|(message, _)| message.author.0 == 2);
    for (_, fate) in from_two {
        assert_eq!(fate.accepted.map(|(_, node)| node), Some(NodeIndex(4)), "the second home took it");
    }
    assert_lawful(&recording, &["accepted-is-delivered"]);
}

#[test]
fn a_node_that_is_gone_for_ever_takes_nothing_with_it_that_others_had() {
    let mut plan = village(12, 23, 10);
    write(&mut plan, 60, 30_000, 200_000);
    at(&mut plan, 210_000, EventPlan::Die(NodeIndex(5)));
    at(&mut plan, 215_000, EventPlan::LoseStore(NodeIndex(6)));
    let recording = run(&plan);
    assert_eq!(delivered(&plan, &recording), 60);
    assert_eq!(recording.nodes[5].records, 0);
    assert_lawful(&recording, &["read-was-written", "shown-once"]);
}
