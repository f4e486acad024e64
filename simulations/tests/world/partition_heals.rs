//! A network in two halves: inside each half mail flows as ever, between them it waits, and when the line is back it
//! all arrives, once.

use super::support::*;
use griot_simulations::plan::{EventPlan, NodeIndex, VirtualMs};

const CUT_MS: u64 = 60_000;
const HEAL_MS: u64 = 10 * 60_000;

#[test]
fn what_was_written_across_the_cut_arrives_when_it_is_healed() {
    let mut plan = village(24, 3, 16);
    // Some have their second home on the other side. They are no couriers: the cut is between them and that home too.
    let side = |home: &NodeIndex| home.0 / 12;
    assert!(plan.people.iter().any(|person| side(&person.homes[0]) != side(&person.homes[1])));
    write(&mut plan, 120, CUT_MS + 10_000, HEAL_MS - 60_000);
    let [a, b] = [(0..12), (12..24)].map(|range| range.map(NodeIndex).collect::<Vec<_>>());
    cut_both_ways(&mut plan, CUT_MS, "line", &a, &b);
    at(&mut plan, HEAL_MS, EventPlan::Heal { name: "line".to_owned() });

    let recording = run(&plan);
    let (mut inside, mut across) = (0, 0);
    for (message, fate) in plan.messages.iter().zip(&recording.messages) {
        let is_across = (message.author.0 < 12) != (message.mailbox.0 < 12);
        let delivery = fate.deliveries.first().expect("everything is delivered");
        assert_eq!((fate.deliveries.len(), fate.shown_again), (1, 0));
        if is_across {
            across += 1;
            assert!(delivery.at >= VirtualMs(HEAL_MS), "nothing gets through a cut: {delivery:?}");
            assert!(delivery.at <= VirtualMs(HEAL_MS + 120_000), "two minutes after the line is back: {delivery:?}");
        } else {
            inside += 1;
            assert!(delivery.at < VirtualMs(HEAL_MS), "inside a half mail flows: {delivery:?}");
        }
        assert!(fate.acked.is_some(), "the author hears of it");
        assert!(fate.copies + 1 >= fate.holders, "whoever holds it was sent it, but for the first: {fate:?}");
    }
    assert!(inside > 20 && across > 20, "{inside} {across}");
    assert_lawful(&recording, &["accepted-is-delivered", "acked-is-gone", "stored-is-true"]);
}

#[test]
fn a_cut_in_one_direction_is_a_cut() {
    let mut plan = village(2, 3, 8);
    plan.links.truncate(1);
    for (index, person) in (0..).zip(&mut plan.people) {
        person.homes = vec![NodeIndex(index)];
    }
    write(&mut plan, 10, CUT_MS + 10_000, CUT_MS + 60_000);
    let (a, b) = (vec![NodeIndex(0)], vec![NodeIndex(1)]);
    at(&mut plan, CUT_MS, EventPlan::Cut { name: "one way".to_owned(), from: a, to: b });
    at(&mut plan, CUT_MS + 120_000, EventPlan::Heal { name: "one way".to_owned() });
    let recording = run(&plan);
    for (message, fate) in plan.messages.iter().zip(&recording.messages) {
        let delivery = fate.deliveries.first().expect("everything is delivered");
        if message.author.0 == 0 {
            assert!(delivery.at >= VirtualMs(CUT_MS + 120_000), "{delivery:?}");
        }
    }
    assert_lawful(&recording, &["accepted-is-delivered"]);
}
