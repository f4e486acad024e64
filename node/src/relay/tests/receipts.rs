//! "Stored", and who may say so.

use griot_protocol::{Body, NodeSecret};

use super::harness::*;
use crate::relay::limits::SHARED_RECEIPT_SPREAD_MS;
use crate::relay::{Config, Input, Limits, Output, Quota, Tally};
use crate::store::MemberId;

#[test]
fn a_receipt_needs_a_registration() {
    let mut node = Node::new(1);
    let (ours, theirs) = (Mailbox::direct(1), Mailbox::direct(2));
    node.register(&ours);
    let (letter, other) = (ours.envelope(1), theirs.envelope(1));
    node.gossip(letter.frame());
    node.gossip(other.frame());
    assert!(node.receipts().is_empty(), "it waits a moment for company");
    node.wait_ms(200);
    assert_eq!(node.receipts(), [vec![letter.id()]]);
    assert_eq!(node.counted(Tally::ReceiptIssued), 1);
    node.wait_ms(5000);
    assert_eq!(node.receipts().len(), 1);
}

#[test]
fn a_receipt_proves_itself() {
    let mut node = Node::new(1);
    let mailbox = Mailbox::direct(1);
    node.register(&mailbox);
    node.gossip(mailbox.envelope(1).frame());
    node.wait_ms(200);
    let receipt = node.published().into_iter().find(|r| matches!(r.body(), Body::Custody(_))).unwrap();
    let parsed = griot_protocol::Unverified::parse(receipt.frame().clone()).unwrap();
    assert!(parsed.verify(&params(0).name).is_ok());
    assert!(node.holds(&receipt));
}

#[test]
fn letters_that_come_together_share_a_receipt() {
    let mut node = Node::new(1);
    let mailbox = Mailbox::direct(1);
    node.register(&mailbox);
    for n in 0..5 {
        node.gossip(mailbox.envelope(n).frame());
    }
    node.wait_ms(200);
    assert_eq!(node.receipts().len(), 1);
    assert_eq!(node.receipts()[0].len(), 5);
}

#[test]
fn what_was_collected_before_its_receipt_was_due_gets_none() {
    let mut node = Node::new(1);
    let mailbox = Mailbox::direct(1);
    node.register(&mailbox);
    let [collected, waits] = [mailbox.envelope(1), mailbox.envelope(2)];
    node.gossip(collected.frame());
    node.gossip(waits.frame());
    node.gossip(mailbox.ack(&[&collected], true).frame());
    node.wait_ms(2000);
    assert_eq!(node.receipts(), [vec![waits.id()]]);
}

#[test]
fn in_a_shared_mailbox_what_a_few_homes_signed_the_others_need_not() {
    let mut node = Node::new(1);
    let group = Mailbox::shared(1);
    node.register(&group);
    let [few, enough, late] = [group.envelope(1), group.envelope(2), group.envelope(3)];
    for letter in [&few, &enough, &late] {
        node.gossip(letter.frame());
    }
    let homes = [21, 22, 23].map(|seed| NodeSecret::from_bytes(&[seed; 32]));
    for home in &homes {
        node.gossip(group.receipt_by(home, &[&enough]).frame());
    }
    // The same home twice proves no more than once.
    node.gossip(group.receipt_by(&homes[0], &[&few, &late]).frame());
    node.gossip(group.receipt_by(&homes[0], &[&few]).frame());
    node.gossip(group.receipt_by(&homes[1], &[&few]).frame());
    node.wait_ms(SHARED_RECEIPT_SPREAD_MS + 200);
    let mut signed = [few.id(), late.id()];
    signed.sort_unstable();
    let mut receipts = node.receipts().concat();
    receipts.sort_unstable();
    assert_eq!(receipts, signed);
}

#[test]
fn in_a_direct_mailbox_every_home_signs() {
    let mut node = Node::new(1);
    let mailbox = Mailbox::direct(1);
    node.register(&mailbox);
    let letter = mailbox.envelope(1);
    node.gossip(letter.frame());
    for seed in 21..26 {
        node.gossip(mailbox.receipt_by(&NodeSecret::from_bytes(&[seed; 32]), &[&letter]).frame());
    }
    node.wait_ms(200);
    assert_eq!(node.receipts(), [vec![letter.id()]]);
}

#[test]
fn homes_of_a_shared_mailbox_sign_at_different_times() {
    let mut times = std::collections::BTreeSet::new();
    for seed in 1..20 {
        let mut node = Node::new(seed);
        let group = Mailbox::shared(1);
        node.register(&group);
        node.gossip(group.envelope(1).frame());
        let mut waited = 0;
        while node.receipts().is_empty() {
            node.wait_ms(100);
            waited += 100;
            assert!(waited <= SHARED_RECEIPT_SPREAD_MS + 200);
        }
        times.insert(waited);
    }
    assert!(times.len() > 5, "{times:?}");
}

#[test]
fn the_senders_own_home_issues_receipts_too() {
    let mut node = Node::new(1);
    let mailbox = Mailbox::direct(1);
    node.register_as(BEN, &mailbox).unwrap();
    let letter = mailbox.envelope(1);
    node.submit_as(ANA, &letter).unwrap();
    node.wait_ms(200);
    assert_eq!(node.receipts(), [vec![letter.id()]]);
    assert!(node.has_said(|output| matches!(output, Output::News { id } if *id == letter.id())));
}

#[test]
fn registering_a_mailbox_that_holds_mail_yields_receipts_once() {
    let mut node = Node::new(1);
    let mailbox = Mailbox::direct(1);
    let letters: Vec<_> = (0..3).map(|n| mailbox.envelope(n)).collect();
    for letter in &letters {
        node.gossip(letter.frame());
    }
    node.wait_ms(2000);
    assert!(node.receipts().is_empty());
    node.register(&mailbox);
    node.wait_ms(3000);
    let mut ids: Vec<_> = letters.iter().map(|letter| letter.id()).collect();
    ids.sort_unstable();
    assert_eq!(node.receipts(), [ids]);
    node.register(&mailbox);
    node.wait_ms(3000);
    assert_eq!(node.receipts().len(), 1, "renewing a registration repeats nothing");
}

#[test]
fn a_crash_between_letter_and_receipt_is_made_good_at_the_next_start() {
    let config = || Config::new(params(0), NodeSecret::from_bytes(&[1; 32]).public());
    let mut node = Node::with(config(), 1);
    let mailbox = Mailbox::direct(1);
    node.register(&mailbox);
    let letter = mailbox.envelope(1);
    node.gossip(letter.frame());
    assert!(node.receipts().is_empty());
    let mut node = node.restarted(config(), 1);
    node.wait_ms(2000);
    assert_eq!(node.receipts(), [vec![letter.id()]]);
    let mut node = node.restarted(config(), 1);
    node.wait_ms(2000);
    assert!(node.receipts().is_empty());
}

#[test]
fn no_receipt_after_the_grant_has_run_out() {
    let mut node = Node::new(1);
    let mailbox = Mailbox::direct(1);
    let (call, grant) = (node.call(), mailbox.grant_until(&node.id(), DAWN.plus(60)));
    node.feed(Input::Register { call, member: MemberId::LOCAL, keys: mailbox.keys, grant });
    node.wait_ms(61_000);
    let letter = mailbox.envelope(1);
    node.gossip(letter.frame());
    node.wait_ms(1000);
    assert!(node.holds(&letter));
    assert!(node.receipts().is_empty());
    node.register(&mailbox);
    node.wait_ms(3000);
    assert_eq!(node.receipts(), [vec![letter.id()]], "a renewed grant makes it good");
}

#[test]
fn ending_the_registration_ends_the_receipts() {
    let mut node = Node::new(1);
    let mailbox = Mailbox::direct(1);
    node.register_as(ANA, &mailbox).unwrap();
    node.register_as(BEN, &mailbox).unwrap();
    let unregister = |node: &mut Node, member| {
        let call = node.call();
        node.feed(Input::Unregister { call, member, address: mailbox.keys.address() });
        node.answer(call).unwrap()
    };
    assert!(unregister(&mut node, ANA).is_ok());
    assert_eq!(unregister(&mut node, ANA), Err(crate::relay::CallError::NotFound));
    node.gossip(mailbox.envelope(1).frame());
    node.wait_ms(200);
    assert_eq!(node.receipts().len(), 1, "it is still Ben's");
    assert!(unregister(&mut node, BEN).is_ok());
    node.gossip(mailbox.envelope(2).frame());
    node.wait_ms(200);
    assert_eq!(node.receipts().len(), 1);
}

#[test]
fn a_receipt_that_finds_the_disk_full_comes_later() {
    let mut node = Node::new(1);
    let mailbox = Mailbox::direct(1);
    node.register(&mailbox);
    let letter = mailbox.envelope(1);
    node.gossip(letter.frame());
    node.disk = Disk::Full;
    node.wait_ms(2000);
    assert!(node.receipts().is_empty());
    node.disk = Disk::Works;
    node.wait_ms(10_000);
    assert_eq!(node.receipts(), [vec![letter.id()]]);
}

/// A node where a member's mailboxes hold so many letters.
fn node_with_room_for(letters: u64) -> Node {
    let bytes = letters * Mailbox::direct(1).envelope(1).frame().len() as u64;
    let member = Quota { mailbox_bytes: bytes, ..Limits::default().member };
    Node::with(
        Config { limits: Limits { member, ..Limits::default() }, ..Config::new(params(0), Node::new(1).id()) },
        1,
    )
}

#[test]
fn what_a_full_mailbox_took_has_its_receipt_when_there_is_room_again() {
    let mut node = node_with_room_for(2);
    let mailbox = Mailbox::direct(1);
    node.register_as(BEN, &mailbox).unwrap();
    let letters: Vec<_> = (0..4).map(|n| mailbox.envelope(n)).collect();
    for letter in &letters {
        node.submit_as(ANA, letter).unwrap();
    }
    node.wait_ms(5000);
    let vouched = |node: &Node| node.receipts().concat().into_iter().collect::<std::collections::BTreeSet<_>>();
    let ids = |numbers: &[usize]| numbers.iter().map(|n| letters[*n].id()).collect();
    assert_eq!(vouched(&node), ids(&[0, 1]), "nobody vouches for what there is no room for");
    node.gossip(mailbox.ack(&[&letters[0]], true).frame());
    node.wait_ms(5000);
    assert_eq!(vouched(&node), ids(&[0, 1]), "three are still more than two");
    node.gossip(mailbox.ack(&[&letters[1]], true).frame());
    node.wait_ms(2200);
    assert_eq!(vouched(&node), ids(&[0, 1, 2, 3]), "without a restart, and without a new registration");
    let receipts = node.receipts().len();
    node.wait_ms(10_000);
    assert_eq!(node.receipts().len(), receipts, "once");
}

#[test]
fn room_made_in_another_mailbox_of_the_same_member_counts() {
    let mut node = node_with_room_for(1);
    let (mailbox, other, gone) = (Mailbox::direct(1), Mailbox::direct(2), Mailbox::direct(3));
    for mailbox in [&mailbox, &other, &gone] {
        node.register_as(BEN, mailbox).unwrap();
    }
    let (first, second, third) = (other.envelope(1), mailbox.envelope(1), gone.envelope(1));
    for letter in [&first, &second, &third] {
        node.submit_as(ANA, letter).unwrap();
    }
    node.wait_ms(3000);
    assert_eq!(node.receipts(), [vec![first.id()]]);
    let call = node.call();
    node.feed(Input::Unregister { call, member: BEN, address: gone.keys.address() });
    node.gossip(other.ack(&[&first], true).frame());
    node.wait_ms(2200);
    assert_eq!(node.receipts(), [vec![first.id()], vec![second.id()]], "and nothing for a mailbox that is not ours");
}
