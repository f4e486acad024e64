//! For whom records are kept, quotas, eviction, acks.

use super::harness::*;
use crate::relay::{CallError, Config, Input, Limits, Output, Quota, Tally, Verdict};
use crate::store::{Holding, MemberId, Store};

fn node_with(limits: Limits) -> Node {
    Node::with(Config { limits, ..Config::new(params(0), Node::new(1).id()) }, 1)
}

fn quota() -> Quota {
    Limits::default().member
}

#[test]
fn an_ack_kills_and_leaves_a_tombstone() {
    let mut node = Node::new(1);
    let mailbox = Mailbox::direct(1);
    let (here, to_come) = (mailbox.envelope(1), mailbox.envelope(2));
    node.submit(&here).unwrap();
    let ack = mailbox.ack(&[&here, &to_come], true);
    assert_eq!(node.gossip(ack.frame()), Some(Verdict::Accept));
    assert!(!node.holds(&here));
    assert_eq!(node.row(here.id()).unwrap().holding, Holding::Killed);
    assert!(node.has_said(|output| matches!(output, Output::News { id } if *id == here.id())));
    assert_eq!(node.gossip(to_come.frame()), Some(Verdict::Accept), "valid, and others may lack the ack");
    assert!(!node.holds(&to_come));
    assert_eq!(node.gossip(to_come.frame()), Some(Verdict::Ignore));
    assert_eq!(node.submit(&to_come), duplicate(&to_come), "it was collected: nothing more to do");
}

#[test]
fn an_ack_of_another_mailbox_kills_nothing() {
    let mut node = Node::new(1);
    let (mailbox, other) = (Mailbox::direct(1), Mailbox::direct(2));
    let letter = mailbox.envelope(1);
    node.submit(&letter).unwrap();
    node.gossip(other.ack(&[&letter], true).frame());
    assert!(node.holds(&letter));
    assert_eq!(node.relay.outbox.usage(MemberId::LOCAL).envelopes, 1);
}

#[test]
fn delivered_envelopes_wake_their_streams() {
    let mut node = Node::new(1);
    let mailbox = Mailbox::direct(1);
    let letter = mailbox.envelope(1);
    node.gossip(letter.frame());
    let address = mailbox.keys.address();
    let delivered = |output: &Output| matches!(output, Output::Delivered { address: a, id, .. } if *a == address && *id == letter.id());
    assert!(node.has_said(delivered));
}

#[test]
fn over_quota_a_mailbox_takes_ids_only_but_passes_mail_on() {
    let mailbox = Mailbox::direct(1);
    let letters: Vec<_> = (0..3).map(|n| mailbox.envelope(n)).collect();
    let two = 2 * letters[0].frame().len() as u64;
    let mut node = node_with(Limits { member: Quota { mailbox_bytes: two, ..quota() }, ..Limits::default() });
    node.register_as(ANA, &mailbox).unwrap();
    for letter in &letters {
        assert_eq!(node.gossip(letter.frame()), Some(Verdict::Accept));
    }
    assert!(node.holds(&letters[1]) && !node.holds(&letters[2]));
    assert_eq!(node.row(letters[2].id()).unwrap().holding, Holding::Marked);
    assert_eq!(node.counted(Tally::Refused("quota", "gossip")), 1);
    assert_eq!(node.gossip(letters[2].frame()), Some(Verdict::Ignore), "known by its id");
    node.gossip(mailbox.ack(&[&letters[0]], true).frame());
    assert_eq!(node.gossip(letters[2].frame()), Some(Verdict::Accept), "there is room again");
    assert!(node.holds(&letters[2]));
}

#[test]
fn a_submission_counts_against_who_submits_until_it_is_collected() {
    let mut node = node_with(Limits { member: Quota { outbox_envelopes: 1, ..quota() }, ..Limits::default() });
    let mailbox = Mailbox::direct(1);
    let (first, second) = (mailbox.envelope(1), mailbox.envelope(2));
    node.submit_as(ANA, &first).unwrap();
    assert!(matches!(node.submit_as(ANA, &second), Err(CallError::Quota(_))));
    assert!(!node.holds(&second), "refused at submission, or kept");
    assert!(node.submit_as(BEN, &second).is_ok());
    node.gossip(mailbox.ack(&[&first], true).frame());
    assert!(node.submit_as(ANA, &mailbox.envelope(3)).is_ok());
}

#[test]
fn outbox_bytes_are_limited_too() {
    let mailbox = Mailbox::direct(1);
    let bytes = mailbox.envelope(1).frame().len() as u64;
    let mut node = node_with(Limits { member: Quota { outbox_bytes: bytes, ..quota() }, ..Limits::default() });
    node.submit_as(ANA, &mailbox.envelope(1)).unwrap();
    assert!(matches!(node.submit_as(ANA, &mailbox.envelope(2)), Err(CallError::Quota(_))));
}

#[test]
fn many_submissions_at_once_cannot_overrun_the_quota() {
    let mut node = node_with(Limits { member: Quota { outbox_envelopes: 2, ..quota() }, ..Limits::default() });
    let mailbox = Mailbox::direct(1);
    node.disk = Disk::Holds;
    let calls: Vec<_> = (0..5).map(|n| node.begin_submit(ANA, mailbox.envelope(n).frame())).collect();
    node.release();
    let taken = calls.iter().filter(|call| node.answer(**call).unwrap().is_ok()).count();
    assert_eq!(taken, 2);
}

#[test]
fn a_failed_commit_gives_the_quota_back() {
    let mut node = node_with(Limits { member: Quota { outbox_envelopes: 1, ..quota() }, ..Limits::default() });
    let letter = Mailbox::direct(1).envelope(1);
    node.disk = Disk::Broken;
    assert!(node.submit_as(ANA, &letter).is_err());
    node.disk = Disk::Works;
    assert!(node.submit_as(ANA, &letter).is_ok());
}

#[test]
fn registrations_are_limited_and_counted_while_under_way() {
    let mut node = node_with(Limits { member: Quota { mailboxes: 2, ..quota() }, ..Limits::default() });
    node.disk = Disk::Holds;
    let mut calls = Vec::new();
    for n in 1..=3 {
        let (mailbox, call) = (Mailbox::direct(n), node.call());
        let grant = mailbox.grant(&node.id());
        node.feed(Input::Register { call, member: ANA, keys: mailbox.keys, grant });
        calls.push(call);
    }
    node.release();
    let taken = calls.iter().filter(|call| node.answer(**call).unwrap().is_ok()).count();
    assert_eq!(taken, 2);
    assert!(node.register_as(ANA, &Mailbox::direct(1)).is_ok(), "renewing needs no room");
    assert!(matches!(node.register_as(ANA, &Mailbox::direct(3)), Err(CallError::Quota(_))));
    assert!(node.register_as(BEN, &Mailbox::direct(3)).is_ok());
}

#[test]
fn best_effort_mail_is_evicted_over_budget_and_members_mail_never() {
    let (ours, sent, rest) = (Mailbox::direct(1), Mailbox::direct(2), Mailbox::direct(3));
    let bytes = ours.envelope(1).frame().len() as u64;
    let mut node = node_with(Limits { best_effort_bytes: 3 * bytes, ..Limits::default() });
    node.register(&ours);
    let (kept, submitted) = (ours.envelope(1), sent.envelope(1));
    node.gossip(kept.frame());
    node.submit(&submitted).unwrap();
    // High postage, so that all of them get in and some must go.
    let others: Vec<_> = (0..6).map(|n| rest.envelope_paying(n, 9)).collect();
    for other in &others {
        assert_eq!(node.gossip(other.frame()), Some(Verdict::Accept));
    }
    node.wait_ms(2000);
    assert!(node.store.totals().best_effort_bytes <= 3 * bytes);
    assert!(node.counted(Tally::Evicted) >= 3);
    assert!(node.holds(&kept) && node.holds(&submitted));
    let evicted = others.iter().find(|other| !node.holds(other)).unwrap();
    assert_eq!(node.row(evicted.id()).unwrap().holding, Holding::Marked);
}

#[test]
fn congestion_asks_others_for_more_postage_and_members_for_nothing() {
    let (ours, rest) = (Mailbox::direct(1), Mailbox::direct(3));
    let mut node = node_with(Limits { best_effort_bytes: 0, ..Limits::default() });
    node.register(&ours);
    node.wait_ms(1000);
    assert!(node.relay.postage_bits_now() > POSTAGE);
    let cheap = (0..=255)
        .map(|n| rest.envelope(n))
        .find(|r| griot_protocol::postage::bits_of(&r.id()) < node.relay.postage_bits_now())
        .unwrap();
    assert_eq!(node.gossip(cheap.frame()), Some(Verdict::Ignore));
    assert_eq!(node.row(cheap.id()).unwrap().holding, Holding::Marked);
    assert_eq!(node.gossip(ours.envelope(1).frame()), Some(Verdict::Accept));
    assert!(node.holds(&ours.envelope(1)));
    assert_eq!(node.submit(&cheap), accepted(&cheap), "a member's own submission is kept, mark or not");
    assert!(node.holds(&cheap));
    let ack = rest.ack(&[&cheap], true);
    assert_eq!(node.gossip(ack.frame()), Some(Verdict::Accept), "an ack of what is held here is welcome");
}

#[test]
fn revoking_a_member_ends_its_registrations() {
    let mut node = Node::new(1);
    let mailbox = Mailbox::direct(1);
    let call = node.call();
    node.feed(Input::RevokeMember { call, member: ANA });
    assert_eq!(node.answer(call), Some(Err(CallError::NotFound)));
    let call = node.call();
    node.feed(Input::AddMember { call, member: ANA, label: "Ana".to_owned(), token_hash: [7; 32] });
    assert!(node.answer(call).unwrap().is_ok());
    node.register_as(ANA, &mailbox).unwrap();
    let call = node.call();
    node.feed(Input::RevokeMember { call, member: ANA });
    assert!(node.answer(call).unwrap().is_ok());
    assert!(node.store.registrations(&mailbox.keys.address()).unwrap().is_empty());
    node.gossip(mailbox.envelope(1).frame());
    node.wait_ms(1000);
    assert!(node.receipts().is_empty());
}
