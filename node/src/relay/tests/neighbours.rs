//! Several nodes: gossip, sync, carriers.

use std::collections::BTreeSet;

use griot_protocol::{
    NodeId, NodeSecret, Record, Shard,
    sync::{SyncFrame, SyncRequest, SyncResponse},
};

use super::harness::*;
use crate::relay::{CarryPolicy, Config, InboundId, Input, Limits, Output, Quota, Tally};
use crate::store::{MemberId, Store};

fn world(count: u8) -> (World, Vec<NodeId>) {
    let mut world = World::new();
    let ids = (1..=count).map(|n| world.add(Node::new(n))).collect();
    (world, ids)
}

fn row_of_three() -> (World, Vec<NodeId>) {
    let (mut world, ids) = world(3);
    world.link(ids[0], ids[1]);
    world.link(ids[1], ids[2]);
    (world, ids)
}

fn outbox_of(node: &Node) -> u64 {
    node.relay.outbox.usage(MemberId::LOCAL).envelopes
}

fn has_receipt(node: &Node, letter: &Record) -> bool {
    !node.store.about(&letter.id()).unwrap().is_empty()
}

#[test]
fn mail_travels_and_the_receipt_comes_back() {
    let (mut world, ids) = row_of_three();
    let mailbox = Mailbox::direct(1);
    world.node(ids[2]).register(&mailbox);
    let letter = mailbox.envelope(1);
    world.node(ids[0]).submit(&letter).unwrap();
    world.settle();
    assert!(world.node(ids[2]).holds(&letter));
    world.wait_ms(300);
    assert!(has_receipt(world.node(ids[0]), &letter), "stored");
    world.node(ids[2]).submit(&mailbox.ack(&[&letter], true)).unwrap();
    world.settle();
    for id in &ids {
        assert!(!world.node(*id).holds(&letter), "delivered: nobody keeps it any longer");
    }
    assert_eq!(outbox_of(world.node(ids[0])), 0);
}

#[test]
fn what_gossip_loses_sync_brings_within_a_minute() {
    let (mut world, ids) = row_of_three();
    world.gossip = Gossip::Loses;
    world.wait_ms(10_000);
    let mailbox = Mailbox::direct(1);
    world.node(ids[2]).register(&mailbox);
    let letter = mailbox.envelope(1);
    world.node(ids[0]).submit(&letter).unwrap();
    world.wait_ms(60_000);
    assert!(world.node(ids[2]).holds(&letter));
    assert!(world.node(ids[2]).counted(Tally::SyncRepaired) > 0);
    world.wait_ms(60_000);
    assert!(has_receipt(world.node(ids[0]), &letter));
}

#[test]
fn a_node_that_was_away_gets_what_it_missed() {
    let (mut world, ids) = world(2);
    let mailbox = Mailbox::direct(1);
    world.node(ids[1]).register(&mailbox);
    let letters: Vec<_> = (0..20).map(|n| mailbox.envelope(n)).collect();
    for letter in &letters {
        world.node(ids[0]).submit(letter).unwrap();
    }
    let acked = mailbox.ack(&[&letters[0]], true);
    world.node(ids[1]).submit(&acked).unwrap();
    world.settle();
    world.link(ids[0], ids[1]);
    world.wait_ms(10_000);
    let node = world.node(ids[1]);
    assert!(letters[1..].iter().all(|letter| node.holds(letter)));
    assert!(!node.holds(&letters[0]), "acks go first: what is dead is not carried around");
    assert!(!world.node(ids[0]).holds(&letters[0]));
}

#[test]
fn a_publication_that_nobody_hears_is_offered_to_the_next_neighbour() {
    let (mut world, ids) = world(2);
    let letter = Mailbox::direct(1).envelope(1);
    world.node(ids[0]).submit(&letter).unwrap();
    world.settle();
    world.link(ids[0], ids[1]);
    assert!(world.node(ids[1]).holds(&letter), "at once, before any sync");
}

#[test]
fn a_publication_without_a_mesh_is_offered_to_neighbours_at_once() {
    let (mut world, ids) = row_of_three();
    world.gossip = Gossip::FindsNobody;
    let letter = Mailbox::direct(1).envelope(1);
    world.node(ids[0]).submit(&letter).unwrap();
    world.settle();
    assert!(world.node(ids[1]).holds(&letter));
    assert!(world.node(ids[2]).holds(&letter), "and they offer it on");
}

#[test]
fn a_dead_sender_loses_nothing() {
    let (mut world, ids) = row_of_three();
    let mailbox = Mailbox::direct(1);
    world.cut(ids[1], ids[2]);
    let letter = mailbox.envelope(1);
    world.node(ids[0]).submit(&letter).unwrap();
    world.settle();
    world.cut(ids[0], ids[1]);
    world.node(ids[2]).register(&mailbox);
    world.link(ids[1], ids[2]);
    world.wait_ms(10_000);
    assert!(world.node(ids[2]).holds(&letter));
}

/// A sender that carries nothing, a carrier, and the recipient's home, in a row.
fn sharded() -> (World, [NodeId; 3], Mailbox) {
    let mut world = World::new();
    let config = || Config::new(params(2), NodeId([0; 32]));
    let sender = world.add(Node::with(config(), 1));
    let carry = CarryPolicy::Listed(BTreeSet::from([Shard(3)]));
    let carrier = world.add(Node::with(Config { carry, ..config() }, 2));
    let home = world.add(Node::with(config(), 3));
    world.carriers.insert(Shard(3), vec![carrier]);
    let mailbox = Mailbox::direct(1).ground_into(3, 2);
    world.node(home).register(&mailbox);
    world.gossip = Gossip::Loses;
    world.link(carrier, home);
    (world, [sender, carrier, home], mailbox)
}

#[test]
fn mail_into_a_shard_not_carried_goes_through_carriers_and_is_asked_about() {
    let (mut world, [sender, carrier, home], mailbox) = sharded();
    world.link(sender, carrier);
    let letter = mailbox.envelope(1);
    assert_eq!(world.node(sender).submit(&letter), accepted(&letter));
    world.wait_ms(500);
    assert!(world.node(carrier).holds(&letter), "handed over");
    world.wait_ms(60_000);
    assert!(world.node(home).holds(&letter));
    world.wait_ms(60_000);
    assert!(has_receipt(world.node(sender), &letter), "the carrier was asked");
    assert_eq!(outbox_of(world.node(sender)), 1);
    world.node(home).submit(&mailbox.ack(&[&letter], true)).unwrap();
    world.wait_ms(120_000);
    assert_eq!(outbox_of(world.node(sender)), 0);
    assert!(!world.node(sender).holds(&letter));
}

#[test]
fn mail_waits_for_a_carrier() {
    let (mut world, [sender, carrier, _], mailbox) = sharded();
    let letter = mailbox.envelope(1);
    world.node(sender).submit(&letter).unwrap();
    world.wait_ms(30_000);
    assert!(!world.node(carrier).holds(&letter));
    world.link(sender, carrier);
    world.wait_ms(2_000);
    assert!(world.node(carrier).holds(&letter));
}

#[test]
fn an_ack_submitted_far_from_home_reaches_a_carrier() {
    let (mut world, [sender, carrier, _], mailbox) = sharded();
    world.link(sender, carrier);
    let letter = mailbox.envelope(1);
    world.node(carrier).import(&letter).unwrap();
    world.node(sender).submit(&mailbox.ack(&[&letter], true)).unwrap();
    world.wait_ms(500);
    assert!(!world.node(carrier).holds(&letter));
}

#[test]
fn what_there_was_no_room_for_is_fetched_when_there_is() {
    let mailbox = Mailbox::direct(1);
    let letters = [mailbox.envelope(1), mailbox.envelope(2)];
    let one = letters[0].frame().len() as u64;
    let limits = Limits { member: Quota { mailbox_bytes: one, ..Limits::default().member }, ..Limits::default() };
    let mut world = World::new();
    let sender = world.add(Node::new(1));
    let home = world.add(Node::with(Config { limits, ..Config::new(params(0), NodeId([0; 32])) }, 2));
    world.node(home).register_as(ANA, &mailbox).unwrap();
    world.link(sender, home);
    for letter in &letters {
        world.node(sender).submit(letter).unwrap();
        world.settle();
    }
    world.wait_ms(30_000);
    assert!(world.node(home).holds(&letters[0]) && !world.node(home).holds(&letters[1]));
    world.node(home).submit_as(ANA, &mailbox.ack(&[&letters[0]], true)).unwrap();
    world.wait_ms(30_000);
    assert!(world.node(home).holds(&letters[1]));
    assert!(has_receipt(world.node(home), &letters[1]));
}

#[test]
fn a_push_is_answered_only_after_it_is_durable() {
    let mut node = Node::new(1);
    node.disk = Disk::Holds;
    let letter = Mailbox::direct(1).envelope(1);
    let request = SyncRequest::Push { frames: vec![SyncFrame(letter.frame().clone())] }.encode();
    let peer = NodeSecret::from_bytes(&[9; 32]).public();
    node.feed(Input::PeerUp { peer });
    node.feed(Input::Asked { peer, inbound: InboundId(7), request });
    let is_answer = |output: &Output| matches!(output, Output::Answer { inbound: InboundId(7), .. });
    assert!(!node.has_said(is_answer));
    node.release();
    let answers: Vec<_> = node.said.iter().filter(|output| is_answer(output)).collect();
    let [Output::Answer { response, .. }] = answers.as_slice() else { panic!("{answers:?}") };
    assert_eq!(SyncResponse::decode(response).unwrap(), SyncResponse::Pushed { taken: 1 });
    assert!(node.holds(&letter));
}

#[test]
fn a_neighbour_that_keeps_pushing_invalid_records_is_disconnected() {
    let mut node = Node::new(1);
    let peer = NodeSecret::from_bytes(&[9; 32]).public();
    node.feed(Input::PeerUp { peer });
    let frames = (0..20).map(|n| SyncFrame(forged(&Mailbox::direct(1).envelope(n)))).collect();
    node.feed(Input::Asked { peer, inbound: InboundId(1), request: SyncRequest::Push { frames }.encode() });
    let goodbyes = node.said.iter().filter(|output| matches!(output, Output::Disconnect { .. })).count();
    assert_eq!(goodbyes, 1);
    assert_eq!(node.counted(Tally::Refused("signature", "sync")), 20);
}
