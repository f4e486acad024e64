//! What a node tells its operator: how much waits, for how long and why, on how many homes mail lies, and how far
//! neighbours are behind.

use griot_protocol::{
    NodeId, NodeSecret,
    api::{NodeReport, OutboxReport},
    custody,
};

use super::harness::*;
use crate::relay::{ClockState, Config, Input, Limits, Output, Quota, Tally};
use crate::runtime::{Counts, Facts, Growth, assess};
use crate::store::MemberId;

fn report(node: &Node) -> NodeReport {
    let facts = Facts {
        node: node.id(),
        time: node.now.wall,
        relay: node.relay.report(node.now, &node.store),
        counts: Counts::default(),
        growth: Growth::default(),
    };
    assess(&facts, &node.store).unwrap()
}

/// Reasons and how many envelopes wait for each.
fn reasons(outbox: &OutboxReport) -> Vec<(&str, u64)> {
    outbox.waiting.iter().map(|row| (row.reason.as_str(), row.envelopes)).collect()
}

fn home(seed: u8) -> NodeSecret {
    NodeSecret::from_bytes(&[seed; 32])
}

#[test]
fn the_outbox_says_how_much_waits_for_how_long_and_why() {
    let mut node = Node::new(1);
    assert_eq!(report(&node).outbox, OutboxReport::default());
    let mailbox = Mailbox::direct(1);
    let old = mailbox.envelope(1);
    node.submit(&old).unwrap();
    node.wait_ms(100_000);
    let (made, expires) = (DAWN.plus(60), DAWN.plus(7 * 24 * 3600));
    let young = mailbox.envelope_at(2, POSTAGE, made, expires);
    node.submit(&young).unwrap();
    let waits = report(&node).outbox;
    assert_eq!((waits.envelopes, waits.examined, waits.oldest_seconds), (2, 2, Some(100)));
    assert_eq!(waits.bytes, (old.frame().len() + young.frame().len()) as u64);
    assert_eq!(reasons(&waits), [("alone", 2)]);
    assert_eq!((waits.waiting[0].oldest_seconds, waits.waiting[0].bytes), (100, waits.bytes));

    // A home vouches for the old one: it waits for its reader now, and the other for a home.
    node.feed(Input::PeerUp { peer: NodeId([7; 32]) });
    node.gossip(mailbox.receipt_by(&home(9), &[&old]).frame());
    let waits = report(&node).outbox;
    assert_eq!(reasons(&waits), [("collecting", 1), ("no-receipt", 1)]);
    let age = |reason: &str| waits.waiting.iter().find(|row| row.reason == reason).unwrap().oldest_seconds;
    assert_eq!((age("collecting"), age("no-receipt")), (100, 40));

    node.gossip(mailbox.ack(&[&old], true).frame());
    let waits = report(&node).outbox;
    assert_eq!((waits.envelopes, waits.oldest_seconds), (1, Some(40)));
    assert_eq!(reasons(&waits), [("no-receipt", 1)]);
    // What it knows it knows from its disk.
    let mut node = node.restarted(Config::new(params(0), NodeId([0; 32])), 1);
    node.wait_ms(100);
    assert_eq!(report(&node).outbox.oldest_seconds, Some(40));
}

#[test]
fn another_mailboxs_receipt_vouches_for_nothing() {
    let mut node = Node::new(1);
    let (mailbox, other) = (Mailbox::direct(1), Mailbox::direct(2));
    let letter = mailbox.envelope(1);
    node.submit(&letter).unwrap();
    node.gossip(other.receipt_by(&home(9), &[&letter]).frame());
    assert_eq!(reasons(&report(&node).outbox), [("alone", 1)]);
}

#[test]
fn a_full_mailbox_is_the_reason_at_its_home() {
    let mailbox = Mailbox::direct(1);
    let letters = [mailbox.envelope(1), mailbox.envelope(2)];
    let one = letters[0].frame().len() as u64;
    let limits = Limits { member: Quota { mailbox_bytes: one, ..Limits::default().member }, ..Limits::default() };
    let mut node = Node::with(Config { limits, ..Config::new(params(0), NodeId([0; 32])) }, 1);
    node.register_as(ANA, &mailbox).unwrap();
    for letter in &letters {
        node.submit_as(BEN, letter).unwrap();
    }
    node.wait_ms(1000);
    assert_eq!(reasons(&report(&node).outbox), [("collecting", 1), ("mailbox-full", 1)]);
    node.submit_as(ANA, &mailbox.ack(&[&letters[0]], true)).unwrap();
    assert_eq!(reasons(&report(&node).outbox), [("signing", 1)]);
}

#[test]
fn mail_on_fewer_homes_than_are_known_is_told_after_ten_minutes() {
    let mut node = Node::new(1);
    let mailbox = Mailbox::direct(1);
    let letters = [mailbox.envelope(1), mailbox.envelope(2)];
    for letter in &letters {
        node.submit(letter).unwrap();
    }
    node.gossip(mailbox.receipt_by(&home(8), &[&letters[0], &letters[1]]).frame());
    node.gossip(mailbox.receipt_by(&home(9), &[&letters[0]]).frame());
    node.wait_ms(599_000);
    let early = report(&node).replication;
    assert_eq!((early.examined, early.mailboxes, early.under_replicated), (2, 1, 0), "it may be on its way");
    node.wait_ms(1_000);
    let late = report(&node).replication;
    assert_eq!((late.examined, late.mailboxes, late.under_replicated), (2, 1, 1));
    let [worst] = &late.worst[..] else { panic!("{late:?}") };
    assert_eq!((worst.address, worst.registered), (mailbox.keys.address(), false));
    assert_eq!((worst.envelopes, worst.stored_on, worst.homes_known, worst.oldest_seconds), (1, 1, 2, 600));
    node.gossip(mailbox.receipt_by(&home(9), &[&letters[1]]).frame());
    assert_eq!(report(&node).replication.under_replicated, 0);

    // Nobody vouches for this one: whoever its homes are, they lack it.
    let lost = Mailbox::direct(2).envelope(1);
    node.submit(&lost).unwrap();
    let nobody = report(&node).replication;
    let [worst] = &nobody.worst[..] else { panic!("{nobody:?}") };
    assert_eq!((worst.stored_on, worst.homes_known), (0, 0));
}

#[test]
fn a_home_counts_itself_and_its_readers_mail() {
    let mut node = Node::new(1);
    let mailbox = Mailbox::direct(1);
    node.register(&mailbox);
    let letter = mailbox.envelope(1);
    node.gossip(letter.frame());
    node.wait_ms(700_000);
    let alone = report(&node).replication;
    assert_eq!((alone.mailboxes, alone.under_replicated), (1, 0), "it knows of no other home");
    // Another home has vouched for other mail of the mailbox, and not for this.
    let other = mailbox.envelope(2);
    node.gossip(other.frame());
    node.gossip(mailbox.receipt_by(&home(9), &[&other]).frame());
    node.wait_ms(1_000);
    let report = report(&node).replication;
    let [worst] = &report.worst[..] else { panic!("{report:?}") };
    assert!(worst.registered);
    assert_eq!((worst.envelopes, worst.stored_on, worst.homes_known), (1, 1, 2));
}

#[test]
fn a_home_that_may_vouch_no_longer_is_a_home_all_the_same() {
    let mut node = Node::new(1);
    let mailbox = Mailbox::direct(1);
    let (call, grant) = (node.call(), mailbox.grant_until(&node.id(), DAWN.plus(60)));
    node.feed(Input::Register { call, member: MemberId::LOCAL, keys: mailbox.keys, grant });
    node.wait_ms(61_000);
    let letter = mailbox.envelope(1);
    node.submit(&letter).unwrap();
    node.gossip(mailbox.receipt_by(&home(9), &[&letter]).frame());
    node.wait_ms(600_000);
    let report = report(&node).replication;
    let [worst] = &report.worst[..] else { panic!("{report:?}") };
    assert_eq!((worst.registered, worst.stored_on, worst.homes_known), (true, 1, 2));
}

#[test]
fn a_receipt_whose_grant_has_run_out_names_no_home() {
    let mut node = Node::new(1);
    let mailbox = Mailbox::direct(1);
    let letter = mailbox.envelope(1);
    node.submit(&letter).unwrap();
    let (secret, items) = (home(9), vec![letter.id()]);
    let grant = mailbox.grant_until(&secret.public(), DAWN.plus(60));
    let receipt = custody::make(&params(0), &secret, mailbox.keys, grant, items, DAWN, DAWN.plus(86_400)).unwrap();
    node.gossip(receipt.frame());
    assert_eq!(reasons(&report(&node).outbox), [("collecting", 1)]);
    node.wait_ms(700_000);
    let report = report(&node);
    assert_eq!(reasons(&report.outbox), [("collecting", 1)], "somebody has vouched, and its reader knows where");
    let [worst] = &report.replication.worst[..] else { panic!("{report:?}") };
    assert_eq!((worst.stored_on, worst.homes_known), (0, 0));
}

#[test]
fn both_sides_of_a_sync_know_when_they_were_together_and_what_moved() {
    let mut world = World::new();
    let ids: Vec<NodeId> = (1..=2).map(|n| world.add(Node::new(n))).collect();
    // Gossip takes the letters and loses them: nothing is left to be offered.
    world.gossip = Gossip::Loses;
    let mailbox = Mailbox::direct(1);
    for n in 0..5 {
        world.node(ids[0]).submit(&mailbox.envelope(n)).unwrap();
    }
    for n in 5..7 {
        world.node(ids[1]).submit(&mailbox.envelope(n)).unwrap();
    }
    world.settle();
    world.wait_ms(60_000);
    assert!(world.node(ids[0]).relay.progress().is_empty());
    world.link(ids[0], ids[1]);
    let first = ids[0].min(ids[1]);
    let (first, second) = if first == ids[0] { (ids[0], ids[1]) } else { (ids[1], ids[0]) };
    let (to_first, to_second) = if first == ids[0] { (2, 5) } else { (5, 2) };
    world.wait_ms(5_000);
    let progress = world.node(first).relay.progress()[&second];
    assert!(progress.together_ms.unwrap() >= 60_000);
    assert_eq!((progress.received, progress.sent, progress.failures), (to_first, to_second, 0));
    // The other side hears of no end; the next time it is asked nothing differs.
    world.wait_ms(60_000);
    let progress = world.node(second).relay.progress()[&first];
    assert!(progress.together_ms.is_some());
    let before = progress.together_ms;
    world.cut(ids[0], ids[1]);
    world.wait_ms(60_000);
    assert_eq!(world.node(second).relay.progress()[&first].together_ms, before, "who is gone is remembered");
}

#[test]
fn a_neighbour_that_never_answers_fails_and_is_never_together() {
    let mut node = Node::new(1);
    let peer = NodeId([7; 32]);
    node.feed(Input::PeerUp { peer });
    for _ in 0..400 {
        node.wait_ms(100);
        let asked: Vec<_> = std::mem::take(&mut node.said)
            .into_iter()
            .filter_map(|output| match output {
                Output::Ask { peer, exchange, .. } => Some((peer, exchange)),
                _ => None,
            })
            .collect();
        for (peer, exchange) in asked {
            node.feed(Input::Answered { peer, exchange, response: None });
        }
    }
    let progress = node.relay.progress()[&peer];
    assert!(progress.together_ms.is_none() && progress.failures >= 2, "{progress:?}");
    assert_eq!(progress.why, Some("the exchange failed"));
}

#[test]
fn only_what_was_made_while_connected_was_missed_by_gossip() {
    let mut world = World::new();
    let ids: Vec<NodeId> = (1..=2).map(|n| world.add(Node::new(n))).collect();
    world.gossip = Gossip::Loses;
    let (mailbox, expires) = (Mailbox::direct(1), DAWN.plus(7 * 24 * 3600));
    world.node(ids[0]).submit(&mailbox.envelope(1)).unwrap();
    world.settle();
    world.wait_ms(60_000);
    world.link(ids[0], ids[1]);
    world.wait_ms(60_000);
    let counted = |world: &mut World, tally| world.node(ids[1]).counted(tally);
    assert_eq!((counted(&mut world, Tally::SyncRepaired), counted(&mut world, Tally::GossipMissed)), (1, 0));
    let late = mailbox.envelope_at(2, POSTAGE, DAWN.plus(120), expires);
    world.node(ids[0]).submit(&late).unwrap();
    world.settle();
    world.wait_ms(60_000);
    assert_eq!((counted(&mut world, Tally::SyncRepaired), counted(&mut world, Tally::GossipMissed)), (2, 1));
}

#[test]
fn the_clock_beside_those_of_neighbours_is_told_however_few_they_are() {
    let mut world = World::new();
    let ids: Vec<NodeId> = (1..=2).map(|n| world.add(Node::new(n))).collect();
    let alone = report(world.node(ids[0])).clock;
    assert_eq!((alone.peers, alone.behind_seconds, alone.settled), (0, None, true));
    world.link(ids[0], ids[1]);
    world.wait_ms(5_000);
    let node = world.node(ids[0]);
    let clock = node.relay.report(node.now, &node.store).clock;
    assert_eq!(clock, ClockState { peers: 1, behind_seconds: Some(0), overruled: false, settled: true });
}

#[test]
fn everything_waits_for_the_local_member_too() {
    let mut node = Node::new(1);
    node.submit_as(MemberId::LOCAL, &Mailbox::direct(1).envelope(1)).unwrap();
    node.submit_as(ANA, &Mailbox::direct(2).envelope(1)).unwrap();
    assert_eq!(report(&node).outbox.envelopes, 2);
}
