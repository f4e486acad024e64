//! The same plan gives the same run in every fresh process, to the last event; another seed gives another one.

use super::support::*;
use griot_simulations::{
    plan::{EventPlan, NodeIndex, PersonIndex, Plan},
    world,
};

/// A little of everything: messages, a crash, a restart, a partition, a wrong clock, somebody who is away.
fn eventful(seed: u64) -> Plan {
    let mut plan = village(20, seed, 8);
    write(&mut plan, 60, 20_000, 240_000);
    let [a, b] = [(0..6), (6..20)].map(|range| range.map(NodeIndex).collect::<Vec<_>>());
    cut_both_ways(&mut plan, 60_000, "halves", &a, &b);
    at(&mut plan, 70_500, EventPlan::Crash(NodeIndex(3)));
    at(&mut plan, 80_000, EventPlan::ClockSkew(NodeIndex(4), 90));
    at(&mut plan, 90_000, EventPlan::Offline(PersonIndex(7)));
    at(&mut plan, 100_000, EventPlan::Stop(NodeIndex(9)));
    at(&mut plan, 120_000, EventPlan::Start(NodeIndex(3)));
    at(&mut plan, 130_000, EventPlan::Reset(NodeIndex(0), NodeIndex(1)));
    at(&mut plan, 140_000, EventPlan::Start(NodeIndex(9)));
    at(&mut plan, 150_000, EventPlan::Heal { name: "halves".to_owned() });
    at(&mut plan, 160_000, EventPlan::Online(PersonIndex(7)));
    plan
}

#[test]
fn the_same_seed_gives_the_same_run_in_two_processes() {
    let plan = eventful(11);
    let first = run_in_a_fresh_process(&plan);
    let second = run_in_a_fresh_process(&plan);
    assert_eq!(first.trace_hash, second.trace_hash);
    assert!(first == second, "the same trace, and another recording");
    assert_eq!(delivered(&plan, &first), 60);
    assert_lawful(
        &first,
        &["read-was-written", "shown-once", "accepted-is-delivered", "acked-is-gone", "stored-is-true"],
    );
    let other = run_in_a_fresh_process(&eventful(12));
    assert_ne!(first.trace_hash, other.trace_hash);
}

#[test]
fn checking_every_signature_changes_nothing_but_the_time_it_takes() {
    let shared = eventful(13);
    let each = Plan { shared_signature_checks: false, ..shared.clone() };
    assert_eq!(run_in_a_fresh_process(&shared).trace_hash, run_in_a_fresh_process(&each).trace_hash);
}

#[test]
fn whoever_listens_changes_nothing_and_hears_everything() {
    let mut plan = village(8, 5, 2);
    write(&mut plan, 10, 20_000, 60_000);
    let mut scribe = Scribe { wants_trace: true, ..Scribe::default() };
    let recording = world::run(&plan, &mut scribe).unwrap();
    let mut hasher = blake3::Hasher::new();
    for line in &scribe.lines {
        hasher.update(line.as_bytes());
        hasher.update(b"\n");
    }
    assert_eq!(hasher.finalize().to_hex().to_string(), recording.trace_hash);
    let holders: u32 = recording.messages.iter().map(|fate| fate.holders).sum();
    assert_eq!(scribe.arrivals.len(), holders as usize);
    assert!(scribe.arrivals.is_sorted_by_key(|arrival| arrival.at));
}

#[test]
fn a_run_ends_where_its_listener_says_so() {
    let plan = village(4, 5, 60);
    let mut scribe = Scribe { until: Some(griot_simulations::plan::VirtualMs(30_000)), ..Scribe::default() };
    let recording = world::run(&plan, &mut scribe).unwrap();
    assert!(recording.interrupted);
    assert_eq!(recording.virtual_ms, 30_000);
}
