//! A crash at any commit neither loses nor doubles a message: the whole story, aborted before and after every commit.

use super::world::{Person, World, befriend};
use griot_client::{core::SendState, store::Crash};

/// Runs the story; returns how many commits each made in it.
fn story(alice_plan: Option<(u64, Crash)>, bob_plan: Option<(u64, Crash)>) -> [u64; 2] {
    let mut world = World::new(2);
    let mut alice = Person::with_crash("Awa", 1, 2, alice_plan);
    let mut bob = Person::with_crash("Boubacar", 2, 2, bob_plan);
    let before = [alice.client.store().commits(), bob.client.store().commits()];
    befriend(&mut world, &mut alice, &mut bob);
    alice.say(world.now, "Boubacar", "a1");
    alice.say(world.now, "Boubacar", "a2");
    bob.say(world.now, "Awa", "b1");
    world.settle(&mut [&mut alice, &mut bob]);
    bob.say(world.now, "Awa", "b2");
    alice.say(world.now, "Boubacar", "a3");
    world.settle(&mut [&mut alice, &mut bob]);
    world.now = world.now.plus(60);
    world.settle(&mut [&mut alice, &mut bob]);
    let plan = format!("{alice_plan:?} {bob_plan:?}");
    assert_eq!(bob.texts(), ["a1", "a2", "a3"], "{plan}");
    assert_eq!(alice.texts(), ["b1", "b2"], "{plan}");
    assert_eq!(alice.states(), [SendState::Delivered; 3], "{plan}");
    assert_eq!(bob.states(), [SendState::Delivered; 2], "{plan}");
    assert_eq!(alice.crashed, alice_plan.is_some(), "the crash struck: {plan}");
    assert_eq!(bob.crashed, bob_plan.is_some(), "the crash struck: {plan}");
    [alice.client.store().commits() - before[0], bob.client.store().commits() - before[1]]
}

#[test]
fn the_first_person_may_crash_before_or_after_any_commit() {
    let [commits, _] = story(None, None);
    for at in 0..commits {
        for crash in [Crash::Before, Crash::After] {
            story(Some((at, crash)), None);
        }
    }
}

#[test]
fn the_second_person_may_crash_before_or_after_any_commit() {
    let [_, commits] = story(None, None);
    for at in 0..commits {
        for crash in [Crash::Before, Crash::After] {
            story(None, Some((at, crash)));
        }
    }
}
