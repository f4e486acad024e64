//! Two people meet, write, go away, come back: the way a message takes through the client's core.

use super::world::{Person, START, World, befriend, is_connected};
use griot_client::core::{ClientError, ContactState, Event, InviteOptions, Outcome, SendState, Work};
use serde_json::json;

fn friends(homes: u8) -> (World, Person, Person) {
    let mut world = World::new(homes);
    let mut alice = Person::new("Awa", 1, homes.into());
    let mut bob = Person::new("Boubacar", 2, homes.into());
    befriend(&mut world, &mut alice, &mut bob);
    (world, alice, bob)
}

#[test]
fn a_message_goes_both_ways_and_is_proven_delivered() {
    let (mut world, mut alice, mut bob) = friends(3);
    assert!(is_connected(&alice, "Boubacar") && is_connected(&bob, "Awa"));
    assert_eq!(alice.client.safety("Boubacar").unwrap(), bob.client.safety("Awa").unwrap());
    for round in 0..5 {
        alice.say(world.now, "Boubacar", &format!("to {round}"));
        bob.say(world.now, "Awa", &format!("fro {round}"));
        world.settle(&mut [&mut alice, &mut bob]);
    }
    assert_eq!(bob.texts(), ["to 0", "to 1", "to 2", "to 3", "to 4"]);
    assert_eq!(alice.texts(), ["fro 0", "fro 1", "fro 2", "fro 3", "fro 4"]);
    assert_eq!(alice.states(), [SendState::Delivered; 5]);
    // Three homes had each message; it was shown once.
    let shown = bob.events.iter().filter(|event| matches!(event, Event::Message(_))).count();
    assert_eq!(shown, 5);
    let sent = alice.client.sent(Some("Boubacar")).unwrap();
    assert_eq!(sent[0].id, bob.client.inbox(None, None).unwrap()[0].id);
    assert_eq!(sent[0].stored_on.len(), 3);
    // Everything was acked, so no home keeps anything.
    assert_eq!(world.envelopes().len(), 0);
    assert_eq!(bob.client.inbox(Some("Awa"), Some(&sent[3].id)).unwrap().len(), 1);
}

#[test]
fn the_recipient_is_away_and_the_senders_home_dies() {
    let (mut world, mut alice, mut bob) = friends(2);
    alice.client.remove_home(alice.client.homes().unwrap()[1].0.id).unwrap();
    bob.client.remove_home(bob.client.homes().unwrap()[0].0.id).unwrap();
    for text in ["one", "two", "three"] {
        alice.say(world.now, "Boubacar", text);
    }
    assert_eq!(alice.states(), [SendState::Queued; 3]);
    world.settle(&mut [&mut alice]);
    assert_eq!(alice.states(), [SendState::Stored; 3]);
    world.homes[0].up = false;
    world.settle(&mut [&mut bob, &mut alice]);
    assert_eq!(bob.texts(), ["one", "two", "three"]);
    assert_eq!(alice.states(), [SendState::Stored; 3], "nothing is believed without an ack");
    world.homes[0].up = true;
    world.now = world.now.plus(600);
    world.settle(&mut [&mut alice, &mut bob]);
    assert_eq!(alice.states(), [SendState::Delivered; 3]);
}

#[test]
fn messages_that_come_in_another_order_are_shown_in_the_order_of_sending() {
    let (mut world, mut alice, mut bob) = friends(1);
    for number in 0..7 {
        alice.say(world.now, "Boubacar", &number.to_string());
    }
    world.drive(&mut alice);
    for order in world.homes[0].order.values_mut() {
        let positions: Vec<u64> = order.iter().map(|(position, _)| *position).collect();
        order.reverse();
        for (entry, position) in order.iter_mut().zip(positions) {
            entry.0 = position;
        }
    }
    world.settle(&mut [&mut bob, &mut alice]);
    assert_eq!(bob.texts(), ["0", "1", "2", "3", "4", "5", "6"]);
    assert_eq!(alice.states(), [SendState::Delivered; 7]);
    assert!(bob.warnings().iter().any(|text| text.contains("6 messages from Awa missing")));
}

#[test]
fn a_lost_message_is_waited_for_ten_minutes_and_shown_if_it_still_comes() {
    let (mut world, mut alice, mut bob) = friends(2);
    let mut sent = Vec::new();
    for text in ["first", "lost", "third"] {
        alice.say(world.now, "Boubacar", text);
        let before = world.envelopes();
        world.drive(&mut alice);
        sent.extend(world.envelopes().difference(&before).copied());
    }
    let lost = world.lose(&sent[1]);
    world.drive(&mut bob);
    assert_eq!(bob.texts(), ["first"]);
    assert!(bob.warnings().contains(&"1 message from Awa missing, asking every home"));
    world.now = world.now.plus(500);
    world.drive(&mut bob);
    bob.reopen(world.now);
    world.drive(&mut bob);
    assert_eq!(bob.texts(), ["first"], "a restart does not shorten the wait");
    world.now = world.now.plus(120);
    world.drive(&mut bob);
    assert_eq!(bob.texts(), ["first", "third"]);
    let now = world.now;
    world.homes[1].take(lost, now);
    world.now = world.now.plus(30);
    world.settle(&mut [&mut bob, &mut alice]);
    assert_eq!(bob.texts(), ["first", "third", "lost"]);
    assert_eq!(alice.states(), [SendState::Delivered; 3]);
}

#[test]
fn nothing_but_a_request_passes_before_acceptance_and_a_declined_one_is_gone() {
    let mut world = World::new(1);
    let (mut alice, mut bob) = (Person::new("Awa", 1, 1), Person::new("Boubacar", 2, 1));
    world.settle(&mut [&mut alice, &mut bob]);
    let link = alice.client.create_invite(world.now, InviteOptions::default()).unwrap().link;
    let (contact, request) = bob.client.connect(world.now, &link, None).unwrap();
    assert_eq!(contact.state, ContactState::Pending);
    assert_eq!(bob.client.is_accepted(request).unwrap(), Some(false));
    let early = bob.client.send(world.now, "Awa", json!({"type": "text", "text": "hey"}));
    assert!(matches!(early, Err(ClientError::Pending(_))));
    world.settle(&mut [&mut bob, &mut alice]);
    let requests = alice.client.requests().unwrap();
    alice.client.decline(world.now, &requests[0].id).unwrap();
    world.settle(&mut [&mut bob, &mut alice]);
    assert!(alice.client.contacts().unwrap().is_empty() && alice.client.requests().unwrap().is_empty());
    assert_eq!(bob.client.contacts().unwrap()[0].state, ContactState::Pending);
}

#[test]
fn a_once_invite_takes_one_request() {
    let mut world = World::new(1);
    let (mut alice, mut bob) = (Person::new("Awa", 1, 1), Person::new("Boubacar", 2, 1));
    let mut carol = Person::new("Carole", 3, 1);
    world.settle(&mut [&mut alice, &mut bob, &mut carol]);
    let options = InviteOptions { once: true, expires_days: Some(2) };
    let link = alice.client.create_invite(world.now, options).unwrap().link;
    bob.client.connect(world.now, &link, None).unwrap();
    world.settle(&mut [&mut bob, &mut alice]);
    carol.client.connect(world.now, &link, None).unwrap();
    world.settle(&mut [&mut carol, &mut alice]);
    let requests = alice.client.requests().unwrap();
    assert_eq!(requests.len(), 1);
    assert_eq!(requests[0].name, "Boubacar");
    let invites = alice.client.invites(world.now).unwrap();
    assert_eq!((invites[0].active, invites[0].requests), (false, 1));
    assert!(world.homes[0].registered.len() <= 2, "the invite's mailbox is registered nowhere any more");
    alice.client.accept(world.now, &requests[0].id).unwrap();
    world.settle(&mut [&mut alice, &mut bob]);
    alice.say(world.now, "Boubacar", "welcome");
    world.settle(&mut [&mut alice, &mut bob]);
    assert_eq!(bob.texts(), ["welcome"]);
}

#[test]
fn a_revoked_or_expired_invite_brings_nobody() {
    let mut world = World::new(1);
    let (mut alice, mut bob) = (Person::new("Awa", 1, 1), Person::new("Boubacar", 2, 1));
    world.settle(&mut [&mut alice, &mut bob]);
    let invite = alice.client.create_invite(world.now, InviteOptions::default()).unwrap();
    alice.client.revoke_invite(world.now, &invite.info.id).unwrap();
    bob.client.connect(world.now, &invite.link, None).unwrap();
    world.settle(&mut [&mut bob, &mut alice]);
    assert!(alice.client.requests().unwrap().is_empty());
    assert!(world.homes[0].registered.len() == 1);
    let late = alice.client.create_invite(world.now, InviteOptions { once: false, expires_days: Some(1) }).unwrap();
    world.now = world.now.plus(2 * 24 * 3600);
    assert!(matches!(bob.client.connect(world.now, &late.link, None), Err(ClientError::InviteExpired)));
    assert!(matches!(alice.client.connect(world.now, &invite.link, None), Err(ClientError::OwnInvite)));
}

#[test]
fn block_withdraws_the_mailbox_and_unblock_gives_a_new_one() {
    let (mut world, mut alice, mut bob) = friends(1);
    alice.client.block(world.now, "Boubacar").unwrap();
    bob.say(world.now, "Awa", "let me in");
    world.settle(&mut [&mut alice, &mut bob]);
    assert!(alice.texts().is_empty());
    assert_eq!(bob.states(), [SendState::Accepted], "no home of hers takes it");
    let blocked = alice.client.send(world.now, "Boubacar", json!({"type": "text", "text": "x"}));
    assert!(matches!(blocked, Err(ClientError::Blocked(_))));
    alice.client.unblock(world.now, "Boubacar").unwrap();
    world.settle(&mut [&mut alice, &mut bob]);
    bob.say(world.now, "Awa", "thank you");
    alice.say(world.now, "Boubacar", "welcome back");
    world.settle(&mut [&mut alice, &mut bob]);
    assert_eq!(alice.texts(), ["thank you"]);
    assert_eq!(bob.texts(), ["welcome back"]);
}

#[test]
fn both_may_ask_each_other_at_once() {
    let mut world = World::new(1);
    let (mut alice, mut bob) = (Person::new("Awa", 1, 1), Person::new("Boubacar", 2, 1));
    world.settle(&mut [&mut alice, &mut bob]);
    let hers = alice.client.create_invite(world.now, InviteOptions::default()).unwrap().link;
    let his = bob.client.create_invite(world.now, InviteOptions::default()).unwrap().link;
    alice.client.connect(world.now, &his, None).unwrap();
    bob.client.connect(world.now, &hers, None).unwrap();
    world.settle(&mut [&mut alice, &mut bob]);
    for person in [&mut alice, &mut bob] {
        let requests = person.client.requests().unwrap();
        person.client.accept(world.now, &requests[0].id).unwrap();
    }
    world.settle(&mut [&mut alice, &mut bob]);
    alice.say(world.now, "Boubacar", "ping");
    bob.say(world.now, "Awa", "pong");
    world.settle(&mut [&mut alice, &mut bob]);
    assert_eq!((alice.texts(), bob.texts()), (vec!["pong".to_owned()], vec!["ping".to_owned()]));
    assert_eq!(alice.client.contacts().unwrap().len(), 1);
}

#[test]
fn what_every_home_refuses_is_refused_and_what_runs_out_has_expired() {
    let (mut world, mut alice, _bob) = friends(2);
    for home in &mut world.homes {
        home.refuse = Some(super::world::problem(422));
    }
    alice.say(world.now, "Boubacar", "no");
    world.settle(&mut [&mut alice]);
    assert_eq!(alice.states(), [SendState::Refused]);
    for home in &mut world.homes {
        home.refuse = Some(super::world::problem(503));
    }
    alice.say(world.now, "Boubacar", "later");
    world.settle(&mut [&mut alice]);
    assert_eq!(alice.states(), [SendState::Refused, SendState::Queued]);
    world.now = world.now.plus(31 * 24 * 3600);
    alice.client.tick(world.now).unwrap();
    assert_eq!(alice.states(), [SendState::Refused, SendState::Expired]);
}

#[test]
fn a_content_without_a_type_or_too_large_is_an_error_and_changes_nothing() {
    let (_world, mut alice, _bob) = friends(1);
    let commits = alice.client.store().commits();
    for content in [json!("text"), json!({"text": "no type"}), json!({"type": 7})] {
        assert!(matches!(alice.client.send(START, "Boubacar", content), Err(ClientError::Content)));
    }
    let large = json!({"type": "text", "text": "x".repeat(70_000)});
    assert!(matches!(alice.client.send(START, "Boubacar", large), Err(ClientError::TooLarge { .. })));
    assert!(matches!(alice.client.send(START, "Nobody", json!({"type": "text"})), Err(ClientError::NoSuchContact(_))));
    assert_eq!(alice.client.store().commits(), commits);
}

#[test]
fn a_home_that_answers_and_refuses_to_know_us_is_shown_as_such() {
    let mut alice = Person::new("Awa", 1, 1);
    let home = alice.client.homes().unwrap()[0].0.id;
    let mut problem = super::world::problem(401);
    problem.detail = "this needs a member's token".to_owned();
    alice.client.done(START, Work::Greet { home }, Outcome::Refused(problem)).unwrap();
    let (_, status) = alice.client.homes().unwrap().remove(0);
    assert_eq!(status.error.as_deref(), Some("this needs a member's token"));
    assert_eq!(status.answered_at, Some(START));
    let mut world = World::new(1);
    world.now = START.plus(60);
    world.drive(&mut alice);
    assert_eq!(alice.client.homes().unwrap()[0].1.error, None);
}

#[test]
fn a_message_delivered_before_anybody_asked_still_shows_where_it_was_stored() {
    let (mut world, mut alice, mut bob) = friends(2);
    alice.client.remove_home(alice.client.homes().unwrap()[1].0.id).unwrap();
    bob.client.remove_home(bob.client.homes().unwrap()[0].0.id).unwrap();
    world.settle(&mut [&mut alice, &mut bob]);
    world.homes[0].linked = false;
    // Her home has it, and says no word of receipts.
    world.homes[0].registered.clear();
    alice.say(world.now, "Boubacar", "hello");
    world.drive(&mut alice);
    assert_eq!(alice.states(), [SendState::Accepted]);
    world.homes[0].linked = true;
    world.gossip();
    world.drive(&mut bob);
    assert_eq!(bob.texts(), ["hello"]);
    world.now = world.now.plus(60);
    world.settle(&mut [&mut alice, &mut bob]);
    let sent = alice.client.sent(None).unwrap().pop().unwrap();
    assert_eq!(sent.state, SendState::Delivered);
    assert_eq!(sent.stored_on, [world.homes[1].secret.public().to_string()]);
}

#[test]
fn fallback_keys_are_replaced_and_contacts_still_write() {
    let (mut world, mut alice, mut bob) = friends(1);
    for day in 0..4 {
        world.now = world.now.plus(61 * 24 * 3600);
        alice.say(world.now, "Boubacar", &day.to_string());
        world.settle(&mut [&mut alice, &mut bob]);
        bob.say(world.now, "Awa", &day.to_string());
        world.settle(&mut [&mut alice, &mut bob]);
    }
    assert_eq!(bob.texts(), ["0", "1", "2", "3"]);
    assert_eq!(alice.texts(), ["0", "1", "2", "3"]);
}
