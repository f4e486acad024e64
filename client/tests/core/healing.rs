//! Sessions that are out of step heal: whatever one side lost, every message appears exactly once, and what truly cannot
//! be read is shown as such on both sides.

use super::world::{Person, START, World, befriend};
use griot_client::core::{ContactState, InviteOptions, SendState};
use griot_protocol::{Address, Record};

/// Longer than any pause in the healing, so that after it all that can happen has happened.
const AN_HOUR: u64 = 3600;

const A_DAY: u64 = 24 * 3600;

fn friends(homes: u8) -> (World, Person, Person) {
    let mut world = World::new(homes);
    let mut alice = Person::new("Awa", 1, homes.into());
    let mut bob = Person::new("Boubacar", 2, homes.into());
    befriend(&mut world, &mut alice, &mut bob);
    alice.say(world.now, "Boubacar", "before");
    world.settle(&mut [&mut alice, &mut bob]);
    bob.say(world.now, "Awa", "heard");
    world.settle(&mut [&mut alice, &mut bob]);
    (world, alice, bob)
}

/// Lets an hour pass, with everybody at work.
fn an_hour(world: &mut World, people: &mut [&mut Person]) {
    let end = world.now.plus(AN_HOUR);
    while world.now < end {
        for person in people.iter_mut() {
            world.drive(person);
        }
        world.now = world.now.plus(20);
    }
}

fn say_all(world: &World, from: &mut Person, to: &str, texts: &[String]) {
    for text in texts {
        from.say(world.now, to, text);
    }
}

fn numbered(name: &str, count: usize) -> Vec<String> {
    (0..count).map(|n| format!("{name} {n}")).collect()
}

/// Everything was read, struck from the notes, acked, and dropped by the homes.
fn assert_healed(world: &World, people: &[&Person]) {
    for person in people {
        let states = person.states();
        assert!(states.iter().all(|state| *state == SendState::Delivered), "{}: {states:?}", person.name);
        assert_eq!(person.client.status().unwrap().unreadable, 0, "{}", person.name);
    }
    assert_eq!(world.envelopes().len(), 0, "an envelope that was read at last is acked under its old id too");
}

/// What the sessions of one side, of the other, or of both can go through.
#[test]
fn whoever_loses_the_sessions_every_message_appears_once_and_in_order() {
    for losers in [[false, true], [true, false], [true, true]] {
        let (mut world, mut alice, mut bob) = friends(2);
        for (person, loses) in [&mut alice, &mut bob].into_iter().zip(losers) {
            if loses {
                person.lose_sessions();
            }
        }
        let (to, fro) = (numbered("to", 5), numbered("fro", 3));
        say_all(&world, &mut alice, "Boubacar", &to);
        say_all(&world, &mut bob, "Awa", &fro);
        an_hour(&mut world, &mut [&mut alice, &mut bob]);
        assert_eq!(bob.texts()[1..], to, "{losers:?}");
        assert_eq!(alice.texts()[1..], fro, "{losers:?}");
        assert_healed(&world, &[&alice, &bob]);
    }
}

#[test]
fn whoever_sets_the_sessions_back_every_message_appears_once_and_in_order() {
    for setter in 0..2 {
        let (mut world, mut alice, mut bob) = friends(1);
        let old = [&alice, &bob][setter].sessions();
        let (mut to, mut fro) = (Vec::new(), Vec::new());
        for round in 0..3 {
            to.push(format!("to {round}"));
            fro.push(format!("fro {round}"));
            alice.say(world.now, "Boubacar", &to[round]);
            world.settle(&mut [&mut alice, &mut bob]);
            bob.say(world.now, "Awa", &fro[round]);
            world.settle(&mut [&mut alice, &mut bob]);
        }
        [&mut alice, &mut bob][setter].restore_sessions(&old);
        let (more_to, more_fro) = (numbered("to again", 4), numbered("fro again", 4));
        say_all(&world, &mut alice, "Boubacar", &more_to);
        say_all(&world, &mut bob, "Awa", &more_fro);
        an_hour(&mut world, &mut [&mut alice, &mut bob]);
        assert_eq!(bob.texts()[1..], [to, more_to].concat(), "{setter}");
        assert_eq!(alice.texts()[1..], [fro, more_fro].concat(), "{setter}");
        assert_healed(&world, &[&alice, &bob]);
    }
}

#[test]
fn the_sender_is_told_and_sees_why_a_message_takes_longer() {
    let (mut world, mut alice, mut bob) = friends(1);
    bob.lose_sessions();
    alice.say(world.now, "Boubacar", "hello");
    world.drive(&mut alice);
    world.drive(&mut bob);
    assert!(bob.warnings().iter().any(|text| text.contains("they are asked to send it again")));
    assert_eq!(bob.client.status().unwrap().unreadable, 1);
    world.now = world.now.plus(20);
    world.drive(&mut alice);
    let sent = alice.client.sent(None).unwrap().pop().unwrap();
    assert_ne!(sent.state, SendState::Delivered, "an envelope that nobody could read is never acked");
    assert_eq!(sent.reason.as_deref(), Some("Boubacar could not read it; it was sent again"));
    an_hour(&mut world, &mut [&mut alice, &mut bob]);
    let sent = alice.client.sent(None).unwrap().pop().unwrap();
    assert_eq!((sent.state, sent.reason), (SendState::Delivered, None));
    assert_healed(&world, &[&alice, &bob]);
}

#[test]
fn more_unreadable_messages_than_one_report_holds_all_come_in_order() {
    let (mut world, mut alice, mut bob) = friends(1);
    bob.lose_sessions();
    let texts = numbered("n", 150);
    say_all(&world, &mut alice, "Boubacar", &texts);
    an_hour(&mut world, &mut [&mut alice, &mut bob]);
    assert_eq!(bob.texts()[1..], texts);
    assert_healed(&world, &[&alice, &bob]);
}

/// Takes every envelope of a mailbox's out of the homes.
fn lose_all(world: &mut World) -> Vec<Record> {
    let ids = world.envelopes();
    ids.iter().map(|id| world.lose(id)).collect()
}

#[test]
fn messages_that_come_later_than_olm_keeps_their_keys_are_said_again() {
    let (mut world, mut alice, mut bob) = friends(1);
    let late = numbered("late", 60);
    say_all(&world, &mut alice, "Boubacar", &late);
    world.drive(&mut alice);
    let lost = lose_all(&mut world);
    assert_eq!(lost.len(), late.len());
    alice.say(world.now, "Boubacar", "the last");
    world.drive(&mut alice);
    world.drive(&mut bob);
    world.now = world.now.plus(700);
    world.drive(&mut bob);
    assert_eq!(bob.texts(), ["before", "the last"]);
    let now = world.now;
    for record in lost {
        world.homes[0].take(record, now);
    }
    an_hour(&mut world, &mut [&mut bob, &mut alice]);
    // Their order was given up with them; that each is there once was not.
    let mut came = bob.texts().split_off(2);
    came.sort();
    let mut late = late;
    late.sort();
    assert_eq!(came, late);
    assert_healed(&world, &[&alice, &bob]);
}

#[test]
fn a_gap_wider_than_olm_bridges_heals() {
    let (mut world, mut alice, mut bob) = friends(1);
    // Nothing of these ever leaves: their time runs out while no home is there.
    for n in 0..2_010 {
        alice.say(world.now, "Boubacar", &n.to_string());
    }
    world.now = world.now.plus(31 * A_DAY);
    alice.client.tick(world.now).unwrap();
    let expired = alice.states().iter().filter(|state| **state == SendState::Expired).count();
    assert_eq!(expired, 2_010, "what was never read is shown as such");
    let after = numbered("after", 3);
    say_all(&world, &mut alice, "Boubacar", &after);
    an_hour(&mut world, &mut [&mut alice, &mut bob]);
    assert!(bob.warnings().contains(&"2010 messages from Awa did not come; the later ones are shown"));
    assert_eq!(bob.texts()[1..], after);
    assert_eq!(alice.states()[2_011..], [SendState::Delivered; 3]);
    assert_eq!(bob.client.status().unwrap().unreadable, 0);
}

#[test]
fn an_old_copy_of_the_writers_store_doubles_and_loses_nothing_that_is_written_afterwards() {
    let (mut world, mut alice, mut bob) = friends(1);
    let copy = alice.client.store().clone();
    let texts = numbered("first life", 3);
    say_all(&world, &mut alice, "Boubacar", &texts);
    world.settle(&mut [&mut alice, &mut bob]);
    alice.restore(copy, world.now);
    // The same chain and numbers as before, under keys that Olm has used up.
    let again = numbered("second life", 5);
    say_all(&world, &mut alice, "Boubacar", &again);
    an_hour(&mut world, &mut [&mut alice, &mut bob]);
    let mut came = bob.texts().split_off(1);
    assert_eq!(came[..3], texts);
    came.drain(..3);
    came.sort();
    assert_eq!(came, again, "each exactly once");
    assert_healed(&world, &[&alice, &bob]);
}

#[test]
fn two_messages_with_one_number_are_both_read_though_the_first_was_held() {
    let (mut world, mut alice, mut bob) = friends(1);
    alice.say(world.now, "Boubacar", "late");
    world.drive(&mut alice);
    let late = lose_all(&mut world).remove(0);
    let copy = alice.client.store().clone();
    alice.say(world.now, "Boubacar", "one");
    world.drive(&mut alice);
    world.drive(&mut bob);
    alice.restore(copy, world.now);
    alice.say(world.now, "Boubacar", "other");
    world.drive(&mut alice);
    world.drive(&mut bob);
    assert_eq!(bob.texts(), ["before"], "both wait for the one that is late");
    let now = world.now;
    world.homes[0].take(late, now);
    an_hour(&mut world, &mut [&mut alice, &mut bob]);
    let mut came = bob.texts().split_off(1);
    came.sort();
    assert_eq!(came, ["late", "one", "other"]);
    assert_eq!(bob.client.status().unwrap().unreadable, 0);
}

/// The mailbox that a person's only contact writes to.
fn mailbox_of(person: &Person) -> Address {
    let home = person.client.homes().unwrap()[0].0.id;
    let all = person.client.subscriptions(home).unwrap();
    assert_eq!(all.len(), 1, "the invite is revoked");
    all[0]
}

#[test]
fn what_can_never_be_read_is_said_four_times_at_a_bounded_rate_and_then_shown_as_refused() {
    let (mut world, mut alice, mut bob) = friends(1);
    let invite = alice.client.invites(world.now).unwrap()[0].id.clone();
    alice.client.revoke_invite(world.now, &invite).unwrap();
    world.settle(&mut [&mut alice, &mut bob]);
    let (hers, his) = (mailbox_of(&alice), mailbox_of(&bob));
    let (reports_before, messages_before) = (world.homes[0].taken[&hers], world.homes[0].taken[&his]);
    let messages = 10;
    let begun = world.now;
    for round in 0..200 {
        if round < messages {
            alice.say(world.now, "Boubacar", "?");
        }
        world.drive(&mut alice);
        // A disk that forgets everything, always.
        bob.lose_sessions();
        world.drive(&mut bob);
        world.now = world.now.plus(60);
        let reports = world.homes[0].taken[&hers] - reports_before;
        let elapsed = world.now.0 - begun.0;
        assert!(reports as u64 <= elapsed / 600 + 1, "{reports} reports after {elapsed} s");
    }
    assert_eq!(world.homes[0].taken[&his] - messages_before, 4 * messages, "each is said once and again three times");
    assert_eq!(bob.texts(), ["before"]);
    assert_eq!(bob.client.status().unwrap().unreadable, 4 * messages as u64);
    let sent = alice.client.sent(None).unwrap().split_off(1);
    for message in &sent {
        assert_eq!(message.state, SendState::Refused);
        assert!(message.reason.as_deref().unwrap().contains("could not read it: connect with a new invite"));
    }
    assert!(alice.warnings().iter().any(|text| text.contains("could not read something that was sent 4 times")));
    // With a disk that remembers, the two go on.
    alice.say(world.now, "Boubacar", "once more");
    an_hour(&mut world, &mut [&mut alice, &mut bob]);
    assert_eq!(bob.texts(), ["before", "once more"]);
}

#[test]
fn a_report_that_cannot_be_read_heals_in_turn() {
    let (mut world, mut alice, mut bob) = friends(1);
    // Awa replaces her fallback key twice, and the only message that said so is never sent: its time runs out.
    for _ in 0..2 {
        world.now = world.now.plus(61 * A_DAY);
        world.settle(&mut [&mut alice, &mut bob]);
    }
    alice.say(world.now, "Boubacar", "never sent");
    world.now = world.now.plus(31 * A_DAY);
    alice.client.tick(world.now).unwrap();
    // Boubacar's only way to heal is a key that she no longer has.
    bob.lose_sessions();
    alice.say(world.now, "Boubacar", "hello");
    for _ in 0..2 {
        an_hour(&mut world, &mut [&mut alice, &mut bob]);
    }
    assert!(alice.warnings().iter().any(|text| text.contains("a message from Boubacar cannot be read")));
    assert_eq!(bob.texts(), ["before", "hello"]);
    assert_eq!(alice.states(), [SendState::Delivered, SendState::Expired, SendState::Delivered]);
    assert_eq!(alice.client.status().unwrap().unreadable + bob.client.status().unwrap().unreadable, 0);
}

#[test]
fn an_acceptance_that_cannot_be_read_says_what_to_do_and_a_new_invite_heals_it() {
    let mut world = World::new(1);
    let (mut alice, mut bob) = (Person::new("Awa", 1, 1), Person::new("Boubacar", 2, 1));
    world.settle(&mut [&mut alice, &mut bob]);
    let link = alice.client.create_invite(START, InviteOptions::default()).unwrap().link;
    bob.client.connect(world.now, &link, None).unwrap();
    world.settle(&mut [&mut bob, &mut alice]);
    let request = alice.client.requests().unwrap().pop().unwrap();
    alice.client.accept(world.now, &request.id).unwrap();
    bob.lose_sessions();
    an_hour(&mut world, &mut [&mut alice, &mut bob]);
    assert_eq!(bob.client.contacts().unwrap()[0].state, ContactState::Pending);
    assert_eq!(bob.client.status().unwrap().unreadable, 1);
    assert!(bob.warnings().iter().any(|text| text.contains("connect with a new invite")));

    bob.client.connect(world.now, &link, None).unwrap();
    world.settle(&mut [&mut bob, &mut alice]);
    let request = alice.client.requests().unwrap().pop().unwrap();
    alice.client.accept(world.now, &request.id).unwrap();
    an_hour(&mut world, &mut [&mut alice, &mut bob]);
    alice.say(world.now, "Boubacar", "at last");
    bob.say(world.now, "Awa", "at last");
    an_hour(&mut world, &mut [&mut alice, &mut bob]);
    assert_eq!((alice.texts(), bob.texts()), (vec!["at last".to_owned()], vec!["at last".to_owned()]));
    assert_healed(&world, &[&alice, &bob]);
}

#[test]
fn a_crash_in_the_middle_of_healing_neither_loses_nor_doubles() {
    for crash in [griot_client::store::Crash::Before, griot_client::store::Crash::After] {
        for at in 0..14 {
            for who in 0..2 {
                let (mut world, mut alice, mut bob) = friends(1);
                bob.lose_sessions();
                let texts = numbered("n", 4);
                say_all(&world, &mut alice, "Boubacar", &texts);
                [&mut alice, &mut bob][who].client.store_mut().fail_after(at, crash);
                an_hour(&mut world, &mut [&mut alice, &mut bob]);
                assert!([&alice, &bob][who].crashed, "the crash struck: {who} {at}");
                assert_eq!(bob.texts()[1..], texts, "{crash:?} {who} {at}");
                assert_healed(&world, &[&alice, &bob]);
            }
        }
    }
}
