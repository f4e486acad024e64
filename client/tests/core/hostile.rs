//! Homes that lie and strangers that send nonsense change nothing.

use super::world::{Person, START, World, befriend, params};
use bytes::Bytes;
use griot_client::core::{InviteOptions, Outcome, SendState, Work};
use griot_protocol::{
    AckItem, Address, CollectSecret, Cursor, DeliverSecret, Grant, InviteLink, MailboxKeys, Record, RecordId, ack,
    custody, envelope, limits::LIFE_SECONDS_MAX,
};
use proptest::prelude::*;
use rand::Rng;

fn friends() -> (World, Person, Person) {
    let mut world = World::new(1);
    let (mut alice, mut bob) = (Person::new("Awa", 1, 1), Person::new("Boubacar", 2, 1));
    befriend(&mut world, &mut alice, &mut bob);
    (world, alice, bob)
}

/// The envelopes that wait, with their mailbox's keys.
fn waiting(world: &World) -> Vec<(RecordId, MailboxKeys)> {
    world.envelopes().into_iter().map(|id| (id, *world.homes[0].records[&id].body().keys())).collect()
}

#[test]
fn a_forged_receipt_or_ack_changes_no_state() {
    let (mut world, mut alice, _bob) = friends();
    world.homes[0].registered.clear();
    alice.say(world.now, "Boubacar", "hello");
    world.drive(&mut alice);
    assert_eq!(alice.states(), [SendState::Accepted]);
    let (id, keys) = waiting(&world)[0];
    let mallory = CollectSecret::from_bytes(&[66; 32]);
    let own = MailboxKeys { collect: mallory.public(), ..keys };
    let item = AckItem { created_at: world.now.floor_minute(), id };
    // An ack for another mailbox, although properly signed for that one.
    let foreign = ack::make(&params(), &mallory, own, true, vec![item]).unwrap();
    // A receipt whose grant the recipient never signed, and one for another mailbox with a grant of its own.
    let home = &world.homes[0].secret;
    let until = world.now.plus(1000);
    let false_grant = Grant::issue(&params().name, &mallory, &keys.address(), &home.public(), until);
    let own_grant = Grant::issue(&params().name, &mallory, &own.address(), &home.public(), until);
    let receipt = |keys, grant| custody::make(&params(), home, keys, grant, vec![id], world.now, until).unwrap();
    world.homes[0].forged = vec![foreign, receipt(keys, false_grant), receipt(own, own_grant)];
    world.now = world.now.plus(60);
    world.settle(&mut [&mut alice]);
    assert_eq!(alice.states(), [SendState::Accepted]);
    assert!(alice.client.sent(None).unwrap()[0].stored_on.is_empty());
}

/// Gives a frame to a person as if a home had sent it for that mailbox.
fn hand(person: &mut Person, world: &World, address: Address, frame: Bytes) {
    let home = person.client.homes().unwrap()[0].0.id;
    let page = Outcome::Page { entries: vec![(Cursor { epoch: 1, position: 9_999 }, frame)], more: true };
    person.client.done(world.now, Work::Fetch { home, address, after: None }, page).unwrap();
}

#[test]
fn damaged_frames_and_swapped_mailboxes_are_ignored() {
    let (mut world, mut alice, mut bob) = friends();
    alice.say(world.now, "Boubacar", "hello");
    world.drive(&mut alice);
    let (id, keys) = waiting(&world)[0];
    let frame = world.homes[0].records[&id].frame().clone();
    let address = keys.address();
    let mut rng = super::world::rng(5);
    for cut in [0, 1, 6, 70, frame.len() - 1] {
        hand(&mut bob, &world, address, frame.slice(..cut));
    }
    for _ in 0..100 {
        let mut bent = frame.to_vec();
        let at = rng.next_u64() as usize % bent.len();
        bent[at] ^= 1 << (rng.next_u64() % 8);
        hand(&mut bob, &world, address, Bytes::from(bent));
    }
    hand(&mut alice, &world, address, frame.clone());
    let other = alice.client.subscriptions(alice.client.homes().unwrap()[0].0.id).unwrap()[0];
    hand(&mut alice, &world, other, frame);
    assert!(bob.texts().is_empty() && alice.texts().is_empty());
    assert_eq!(bob.client.status().unwrap().unreadable, 0);
    world.now = world.now.plus(60);
    // The cursors above were lies too; a person who reads from the start is not harmed by them.
    for position in &mut world.homes[0].order.values_mut().flatten() {
        position.0 += 20_000;
    }
    world.settle(&mut [&mut bob, &mut alice]);
    assert_eq!(bob.texts(), ["hello"]);
    assert_eq!(alice.states(), [SendState::Delivered]);
}

fn junk(link: &InviteLink, payload: Vec<u8>) -> Record {
    let secret = DeliverSecret::from_bytes(&link.deliver_secret);
    let at = START.floor_minute();
    envelope::seal(&params(), &secret, link.mailbox, at, at.plus(LIFE_SECONDS_MAX), payload).unwrap()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    /// Whoever has a link can put any bytes into its mailbox.
    #[test]
    fn junk_in_an_invites_mailbox_does_no_harm(suite in 0u8..4, fill in prop::collection::vec(any::<u8>(), 256)) {
        let mut world = World::new(1);
        let mut alice = Person::new("Awa", 1, 1);
        world.settle(&mut [&mut alice]);
        let link = alice.client.create_invite(world.now, InviteOptions::default()).unwrap().link;
        let link = InviteLink::parse(&link).unwrap();
        let payload = [vec![suite], fill].concat();
        hand(&mut alice, &world, link.mailbox.address(), junk(&link, payload).frame().clone());
        prop_assert!(alice.client.requests().unwrap().is_empty());
        prop_assert!(alice.client.invites(world.now).unwrap()[0].active);
    }

    /// Any text can be pasted as a link.
    #[test]
    fn any_text_is_refused_as_a_link(text in "(griot:)?[a-z2-7]{0,300}") {
        let mut world = World::new(1);
        let mut alice = Person::new("Awa", 1, 1);
        world.settle(&mut [&mut alice]);
        prop_assert!(alice.client.connect(world.now, &text, None).is_err());
    }
}
