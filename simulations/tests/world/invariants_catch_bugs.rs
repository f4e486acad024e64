//! Each of a list of known bugs is caught by the invariant that is there for it.
//!
//! A check that cannot fail is worth nothing. So for every bug there is a small plan in which the production code passes
//! all invariants and the same code, with the bug put in beneath it, breaks the one that is named. Both runs are made by
//! the same test: a plan that is itself unsound, or that never comes to the point, proves nothing either way.

use super::support::*;
use griot_simulations::{
    plan::{EventPlan, MessagePlan, NodeIndex, PersonIndex, Plan, Recording},
    world::Bug,
};

/// Fails unless `law` is kept by the production code and broken with `bug`. Returns the sound run.
fn assert_caught(bug: Bug, law: &str, plan: &Plan) -> Recording {
    let sound = in_a_fresh_process(plan, None);
    assert_lawful(&sound, &[law]);
    let broken = in_a_fresh_process(plan, Some(bug));
    for invariant in broken.invariants.iter().filter(|invariant| invariant.broken > 0) {
        println!("{bug:?}: {} broken {} of {} times", invariant.name, invariant.broken, invariant.checks);
        println!("    such as: {}", invariant.examples[0]);
    }
    let invariant = broken.invariants.iter().find(|invariant| invariant.name == law).unwrap();
    assert!(invariant.broken > 0, "{bug:?} was not caught by {law} in {} checks", invariant.checks);
    sound
}

/// Two halves of a village, every person with both homes in one of them.
fn halves(plan: &mut Plan) -> [Vec<NodeIndex>; 2] {
    let count = plan.nodes.len() as u32;
    let half = count / 2;
    for (index, person) in (0..).zip(&mut plan.people) {
        let side = index / half * half;
        person.homes = vec![NodeIndex(index), NodeIndex(side + (index + 2) % half)];
    }
    [(0..half).map(NodeIndex).collect(), (half..count).map(NodeIndex).collect()]
}

/// Restarts nodes one after the other.
fn restart(plan: &mut Plan, from_ms: u64, nodes: &[NodeIndex]) {
    for (n, node) in (0..).zip(nodes) {
        at(plan, from_ms + n * 2_000, EventPlan::Crash(*node));
        at(plan, from_ms + n * 2_000 + 10_000, EventPlan::Start(*node));
    }
}

#[test]
fn a_disk_that_does_not_sync_loses_what_was_acknowledged() {
    let mut plan = village(8, 31, 8);
    write(&mut plan, 80, 30_000, 200_000);
    for n in 0..16 {
        let node = NodeIndex(n * 3 % 8);
        at(&mut plan, 40_000 + u64::from(n) * 10_130, EventPlan::Crash(node));
        at(&mut plan, 46_000 + u64::from(n) * 10_130, EventPlan::Start(node));
    }
    assert_caught(Bug::SkipSync, "acknowledged-survives-crash", &plan);
}

#[test]
fn acks_that_a_restart_forgets_let_bodies_come_back() {
    let mut plan = village(8, 32, 13);
    let [a, b] = halves(&mut plan);
    // The envelopes are on both sides before the cut; they are read and acked on one side, during it.
    let away: Vec<PersonIndex> = b.iter().map(|node| PersonIndex(node.0)).collect();
    for person in &away {
        at(&mut plan, 20_000, EventPlan::Offline(*person));
        at(&mut plan, 180_000, EventPlan::Online(*person));
    }
    write(&mut plan, 60, 30_000, 90_000);
    cut_both_ways(&mut plan, 120_000, "line", &a, &b);
    // All of that side is down at once: whoever is up would tell the others again.
    for node in &b {
        at(&mut plan, 260_000, EventPlan::Crash(*node));
        at(&mut plan, 280_000, EventPlan::Start(*node));
    }
    at(&mut plan, 400_000, EventPlan::Heal { name: "line".to_owned() });
    let sound = assert_caught(Bug::DropAcksOnRestart, "acked-is-gone", &plan);
    assert_eq!(delivered(&plan, &sound), 60);
}

#[test]
fn tombstones_that_a_restart_forgets_let_bodies_come_back() {
    let mut plan = village(10, 33, 13);
    // What node 0 sends gets out for a while, and nothing gets in; then it loses power. Its author heard of no receipt, and
    // offers the same envelopes to another home later, when they have long been read, acked and removed there.
    let others: Vec<NodeIndex> = (1..10).map(NodeIndex).collect();
    at(&mut plan, 60_000, EventPlan::Cut { name: "deaf".to_owned(), from: others.clone(), to: vec![NodeIndex(0)] });
    for n in 0..10 {
        plan.messages.push(MessagePlan {
            at: griot_simulations::plan::VirtualMs(60_500 + n * 300),
            author: PersonIndex(0),
            mailbox: griot_simulations::plan::MailboxIndex(3 + n as u32 % 5),
            bytes: 200,
            life_seconds: 7 * 24 * 3600,
        });
    }
    at(&mut plan, 63_700, EventPlan::Offline(PersonIndex(0)));
    restart(&mut plan, 120_000, &others);
    at(&mut plan, 250_000, EventPlan::Crash(NodeIndex(0)));
    at(&mut plan, 290_000, EventPlan::Heal { name: "deaf".to_owned() });
    at(&mut plan, 300_000, EventPlan::Online(PersonIndex(0)));
    at(&mut plan, 420_000, EventPlan::Start(NodeIndex(0)));
    assert_caught(Bug::ForgetTombstones, "acked-is-gone", &plan);
}

#[test]
fn a_sync_of_the_last_hour_does_not_heal_a_long_cut() {
    const HEAL_MS: u64 = 75 * 60_000;
    let mut plan = village(8, 34, 80);
    let [a, b] = halves(&mut plan);
    cut_both_ways(&mut plan, 60_000, "line", &a, &b);
    write(&mut plan, 40, 70_000, 300_000);
    at(&mut plan, HEAL_MS, EventPlan::Heal { name: "line".to_owned() });
    let sound = assert_caught(Bug::SyncLastHourOnly, "accepted-is-delivered", &plan);
    assert_eq!(delivered(&plan, &sound), 40);
}
