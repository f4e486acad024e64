//! Nodes that mean harm do what they are said to do, and what honest people write to each other arrives all the same.

use super::support::*;
use griot_simulations::{
    plan::{Conduct, NodeIndex, Plan, Recording},
    world::{self, WorldError},
};

/// What must have been checked. Everybody is on line, so that mail is read before a receipt for it is due.
const PROMISES: [&str; 3] = ["read-was-written", "accepted-is-delivered", "acked-is-gone"];

/// A dozen nodes, of which every third means harm; nobody lives on those.
fn beset(conduct: &Conduct, seed: u64, minutes: u64) -> Plan {
    let mut plan = village(12, seed, minutes);
    for node in plan.nodes.iter_mut().skip(2).step_by(3) {
        node.conduct = conduct.clone();
    }
    let honest: Vec<NodeIndex> = (0..12).filter(|node| node % 3 != 2).map(NodeIndex).collect();
    for (place, person) in plan.people.iter_mut().enumerate() {
        person.homes = vec![honest[place % honest.len()], honest[(place + 3) % honest.len()]];
    }
    write(&mut plan, 40, 30_000, 150_000);
    plan
}

fn counted(recording: &Recording, name: &str) -> u64 {
    recording.counters.get(&format!("adversary.{name}")).copied().unwrap_or_default()
}

fn assert_all_arrives(plan: &Plan, recording: &Recording) {
    assert_eq!(delivered(plan, recording), plan.messages.len());
    assert_lawful(recording, &PROMISES);
}

#[test]
fn a_third_of_all_nodes_withholds_and_mail_goes_around_them() {
    let plan = beset(&Conduct::Withholding, 21, 7);
    let recording = run(&plan);
    assert!(counted(&recording, "withheld_gossip") > 0, "{:?}", recording.counters);
    assert!(counted(&recording, "withheld_in_sync") > 0, "{:?}", recording.counters);
    assert_all_arrives(&plan, &recording);
}

#[test]
fn what_only_withholders_could_pass_on_does_not_arrive() {
    // Two people, each with a home of their own, and between the homes a node that means harm.
    let mut plan = village(3, 22, 7);
    plan.nodes[1].conduct = Conduct::Withholding;
    plan.discovery = false;
    plan.links.retain(|link| link.from.0 == 1 || link.to.0 == 1);
    plan.people.truncate(2);
    plan.mailboxes.truncate(2);
    (plan.people[0].homes, plan.people[1].homes) = (vec![NodeIndex(0)], vec![NodeIndex(2)]);
    write(&mut plan, 10, 30_000, 60_000);
    let recording = run(&plan);
    assert!(recording.messages.iter().all(|fate| fate.accepted.is_some() && fate.deliveries.is_empty()));
    assert!(recording.messages.iter().all(|fate| fate.holders == 2), "the one in the middle took them");
    let promise = recording.invariants.iter().find(|law| law.name == "accepted-is-delivered").unwrap();
    assert_eq!((promise.checks, promise.broken), (10, 10), "and the report says so");
}

#[test]
fn a_third_of_all_nodes_floods_and_mail_arrives() {
    let plan = beset(&Conduct::Flooding { per_second: 1 }, 23, 7);
    let recording = run(&plan);
    let flooded = counted(&recording, "flooded");
    let expected = 4 * 7 * 60;
    assert!((expected - 20..=expected).contains(&flooded), "{flooded} of {expected}");
    let node = &recording.nodes[0];
    assert!(
        node.records_max * 10 > flooded * 9,
        "honest nodes take valid envelopes: {} of {flooded}",
        node.records_max
    );
    assert_all_arrives(&plan, &recording);
}

#[test]
fn what_is_replayed_is_looked_at_and_shown_to_nobody() {
    let plan = beset(&Conduct::Replaying { per_second: 2 }, 24, 7);
    let recording = run(&plan);
    assert!(counted(&recording, "replays_looked_at") > 100, "{:?}", recording.counters);
    assert!(counted(&recording, "replayed_by_gossip") > 100, "{:?}", recording.counters);
    assert!(recording.messages.iter().all(|fate| fate.shown_again == 0));
    assert_all_arrives(&plan, &recording);
}

#[test]
fn a_third_of_all_nodes_lies_in_sync_and_mail_arrives() {
    let plan = beset(&Conduct::LyingInSync, 25, 7);
    let recording = run(&plan);
    for name in ["lied_to_open", "lied_to_reconcile", "lied_to_fetch"] {
        assert!(counted(&recording, name) > 0, "{name}: {:?}", recording.counters);
    }
    assert_all_arrives(&plan, &recording);
}

#[test]
fn an_adversary_repeats_itself_from_the_same_seed() {
    let mut plan = beset(&Conduct::Flooding { per_second: 3 }, 26, 2);
    plan.nodes[2].conduct = Conduct::Withholding;
    plan.nodes[5].conduct = Conduct::Replaying { per_second: 3 };
    plan.nodes[8].conduct = Conduct::LyingInSync;
    let (first, second) = (run_in_a_fresh_process(&plan), run_in_a_fresh_process(&plan));
    assert_eq!(first.trace_hash, second.trace_hash);
    assert!(first == second, "the same trace, and another recording");
}

#[test]
fn one_that_sends_without_bound_is_refused() {
    let plan = beset(&Conduct::Flooding { per_second: 1_000_000 }, 27, 2);
    let refused = world::run(&plan, &mut Scribe::default());
    assert!(matches!(refused, Err(WorldError::Plan(_))), "{refused:?}");
}
