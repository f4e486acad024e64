//! What a node says about an envelope that nobody has vouched for yet: only what it knows.

use griot_protocol::{NodeId, Record, Shard, sync::SyncResponse};

use super::harness::*;
use crate::relay::{Config, Input, Output, Waiting};
use crate::store::MemberId;

fn why(node: &Node, letter: &Record) -> Waiting {
    node.relay.standing(node.now, &letter.address(), &letter.id(), &node.store).waiting
}

#[test]
fn mail_for_a_shard_not_carried_waits_for_a_carrier_then_for_its_word_then_for_a_home() {
    let mut node = Node::with(Config::new(params(2), NodeId([0; 32])), 1);
    let letter = Mailbox::direct(1).ground_into(3, 2).envelope(1);
    node.submit(&letter).unwrap();
    assert_eq!(why(&node, &letter), Waiting::Alone);
    let carrier = NodeId([7; 32]);
    node.feed(Input::PeerUp { peer: carrier });
    assert_eq!(why(&node, &letter), Waiting::NoCarrier, "it is a neighbour, and nobody knows what it carries");
    node.feed(Input::Carriers { shard: Shard(2), peers: vec![carrier] });
    assert_eq!(why(&node, &letter), Waiting::NoCarrier);
    node.feed(Input::Carriers { shard: Shard(3), peers: vec![carrier] });
    assert_eq!(why(&node, &letter), Waiting::NotTaken);
    node.wait_ms(100);
    let pushes = node.said.iter().filter_map(|output| match output {
        Output::Ask { peer, exchange, .. } if *peer == carrier => Some(*exchange),
        _ => None,
    });
    for exchange in pushes.collect::<Vec<_>>() {
        let response = Some(SyncResponse::Pushed { taken: 1 }.encode());
        node.feed(Input::Answered { peer: carrier, exchange, response });
    }
    assert_eq!(why(&node, &letter), Waiting::Handed);
    node.feed(Input::PeerDown { peer: carrier });
    assert_eq!(why(&node, &letter), Waiting::Alone);
}

#[test]
fn mail_of_a_carried_shard_waits_for_a_home_and_at_home_for_the_receipt() {
    let mut node = Node::new(1);
    let mailbox = Mailbox::direct(1);
    let letter = mailbox.envelope(1);
    node.submit(&letter).unwrap();
    assert_eq!(why(&node, &letter), Waiting::Alone);
    node.feed(Input::PeerUp { peer: NodeId([7; 32]) });
    assert_eq!(why(&node, &letter), Waiting::NoReceipt);
    let (call, grant) = (node.call(), mailbox.grant_until(&node.id(), DAWN.plus(60)));
    node.feed(Input::Register { call, member: MemberId::LOCAL, keys: mailbox.keys, grant });
    assert_eq!(why(&node, &letter), Waiting::Signing);
    node.wait_ms(61_000);
    let late = mailbox.envelope(2);
    node.submit(&late).unwrap();
    assert_eq!(why(&node, &late), Waiting::GrantOver);
    node.register(&mailbox);
    assert_eq!(why(&node, &late), Waiting::Signing);
}

#[test]
fn the_time_is_the_one_by_which_records_are_judged() {
    let mut node = Node::new(1);
    let letter = Mailbox::direct(1).envelope(1);
    node.submit(&letter).unwrap();
    node.wait_ms(5_000);
    let standing = node.relay.standing(node.now, &letter.address(), &letter.id(), &node.store);
    assert_eq!(standing.now, DAWN.plus(5));
}
