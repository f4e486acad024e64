//! What members submitted, until it is collected; shards carried here and elsewhere.

use griot_protocol::{NodeId, NodeSecret, Shard};

use super::harness::*;
use crate::relay::{Config, Input, Output};
use crate::store::MemberId;

fn config(bits: u8) -> Config {
    Config::new(params(bits), NodeId([0; 32]))
}

fn outbox_of(node: &Node) -> u64 {
    node.relay.outbox.usage(MemberId::LOCAL).envelopes
}

#[test]
fn a_shared_envelope_leaves_the_outbox_at_its_first_receipt() {
    let mut node = Node::new(1);
    let (group, other) = (Mailbox::shared(1), Mailbox::shared(2));
    let home = NodeSecret::from_bytes(&[9; 32]);
    let letter = group.envelope(1);
    node.submit(&letter).unwrap();
    node.gossip(other.receipt_by(&home, &[&letter]).frame());
    assert_eq!(outbox_of(&node), 1, "another mailbox's receipt proves nothing");
    node.gossip(group.receipt_by(&home, &[&letter]).frame());
    assert_eq!(outbox_of(&node), 0);
    assert_eq!(node.row(letter.id()).unwrap().outbox, None);
    assert!(node.holds(&letter), "only expiry removes it");
    assert_eq!(node.submit(&letter), duplicate(&letter));
    assert_eq!(outbox_of(&node), 0, "what is proven stored needs no second custody");
}

#[test]
fn a_direct_envelope_stays_until_it_is_acked() {
    let mut node = Node::new(1);
    let mailbox = Mailbox::direct(1);
    let letter = mailbox.envelope(1);
    node.submit(&letter).unwrap();
    node.gossip(mailbox.receipt_by(&NodeSecret::from_bytes(&[9; 32]), &[&letter]).frame());
    assert_eq!(outbox_of(&node), 1);
    node.gossip(mailbox.ack(&[&letter], true).frame());
    assert_eq!(outbox_of(&node), 0);
}

#[test]
fn an_ack_that_came_first_leaves_nothing_in_the_outbox() {
    for release in [true, false] {
        let mut node = Node::new(1);
        let mailbox = Mailbox::direct(1);
        let letter = mailbox.envelope(1);
        node.gossip(mailbox.ack(&[&letter], release).frame());
        assert!(node.submit(&letter).is_ok());
        assert_eq!(outbox_of(&node), 0, "release: {release}");
        assert_eq!(node.holds(&letter), !release, "other devices may still want it");
    }
}

#[test]
fn submitting_what_came_by_gossip_takes_custody_of_it() {
    let mut node = Node::new(1);
    let letter = Mailbox::direct(1).envelope(1);
    node.gossip(letter.frame());
    assert_eq!(node.submit(&letter), duplicate(&letter));
    assert_eq!(node.row(letter.id()).unwrap().outbox, Some(MemberId::LOCAL));
    assert_eq!(outbox_of(&node), 1);
}

#[test]
fn the_outbox_survives_a_restart() {
    let mut node = Node::with(config(0), 1);
    let mailbox = Mailbox::direct(1);
    let letter = mailbox.envelope(1);
    node.submit(&letter).unwrap();
    let mut node = node.restarted(config(0), 1);
    assert_eq!(outbox_of(&node), 1);
    node.gossip(mailbox.ack(&[&letter], true).frame());
    assert_eq!(outbox_of(&node), 0);
}

#[test]
fn the_node_carries_what_its_members_use() {
    let mut node = Node::with(config(2), 1);
    let carried = |node: &Node| {
        let sets = node.said.iter().filter_map(|output| match output {
            Output::Carry { shards } => Some(shards.clone()),
            _ => None,
        });
        sets.last().unwrap()
    };
    assert!(carried(&node).is_empty());
    let mailbox = Mailbox::direct(1).ground_into(2, 2);
    node.register(&mailbox);
    assert_eq!(carried(&node), [Shard(2)]);
    assert_eq!(node.relay.carried(), [Shard(2)]);
    let call = node.call();
    node.feed(Input::Unregister { call, member: MemberId::LOCAL, address: mailbox.keys.address() });
    assert!(carried(&node).is_empty());
}
