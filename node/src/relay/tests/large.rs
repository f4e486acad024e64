//! Large records: neighbours are told of them and fetch them, once.

use griot_protocol::{
    NodeId, Record, Shard,
    sync::{SyncRequest, SyncResponse},
};

use super::harness::*;
use crate::relay::{Config, InboundId, Input, Output, Tally};

const BEN: NodeId = NodeId([0xbe; 32]);
const EVE: NodeId = NodeId([0xee; 32]);

/// How often a neighbour was asked for a record, with the exchange of the last time.
fn fetches_from(node: &Node, peer: NodeId, record: &Record) -> Vec<crate::relay::ExchangeId> {
    let is_it = |output: &Output| match output {
        Output::Ask { peer: asked, exchange, request } if *asked == peer => match SyncRequest::decode(request) {
            Ok(SyncRequest::Fetch { ids }) if ids.contains(&record.id()) => Some(*exchange),
            _ => None,
        },
        _ => None,
    };
    node.said.iter().filter_map(is_it).collect()
}

/// Whom a node told of a record.
fn told(node: &Node, record: &Record) -> Vec<NodeId> {
    let is_it = |output: &Output| match output {
        Output::Ask { peer, request, .. } => match SyncRequest::decode(request) {
            Ok(SyncRequest::Offer { ids, .. }) if ids.contains(&record.id()) => Some(*peer),
            _ => None,
        },
        _ => None,
    };
    node.said.iter().filter_map(is_it).collect()
}

fn offer(node: &mut Node, peer: NodeId, inbound: u64, record: &Record) {
    let request = SyncRequest::Offer { bits: params(0).bits, shard: Shard(0), ids: vec![record.id()] }.encode();
    node.feed(Input::Asked { peer, inbound: InboundId(inbound), request });
}

fn frames(record: &Record) -> Option<bytes::Bytes> {
    let frames = vec![griot_protocol::sync::SyncFrame(record.frame().clone())];
    Some(SyncResponse::Frames { frames, not_held: Vec::new() }.encode())
}

fn with_two_neighbours() -> Node {
    let mut node = Node::new(1);
    node.feed(Input::PeerUp { peer: BEN });
    node.feed(Input::PeerUp { peer: EVE });
    node
}

#[test]
fn a_picture_goes_through_a_whole_network_and_each_node_gets_it_once() {
    let mut world = World::new();
    let ids: Vec<NodeId> = (1..=6).map(|n| world.add(Node::new(n))).collect();
    for (n, a) in ids.iter().enumerate() {
        for b in &ids[..n] {
            world.link(*a, *b);
        }
    }
    world.wait_ms(5_000);
    let picture = Mailbox::direct(1).large_envelope(1);
    world.node(ids[0]).submit(&picture).unwrap();
    world.settle();
    for id in &ids[1..] {
        let node = world.node(*id);
        assert!(node.holds(&picture), "at once, before any sync");
        assert!(node.published().is_empty());
        assert_eq!(node.counted(Tally::Accepted("envelope", "told")), 1);
        assert_eq!(node.counted(Tally::SyncRepaired), 0);
    }
    let sent: usize = ids.iter().map(|id| bytes_out(&world.nodes[id])).sum();
    assert!(sent < 6 * picture.frame().len(), "five copies, some ids and digests: {sent} bytes");
}

fn bytes_out(node: &Node) -> usize {
    let bytes = |output: &Output| match output {
        Output::Count(Tally::SyncBytesOut(bytes)) => *bytes as usize,
        _ => 0,
    };
    node.said.iter().map(bytes).sum()
}

#[test]
fn a_text_is_gossiped_and_nobody_is_told_of_it() {
    let mut node = with_two_neighbours();
    let letter = Mailbox::direct(1).envelope(1);
    node.submit(&letter).unwrap();
    assert_eq!(node.published().len(), 1);
    assert!(told(&node, &letter).is_empty());
}

#[test]
fn only_the_first_who_told_is_asked_and_it_is_told_nothing() {
    let mut node = with_two_neighbours();
    let picture = Mailbox::direct(1).large_envelope(1);
    offer(&mut node, BEN, 1, &picture);
    offer(&mut node, EVE, 2, &picture);
    let asked = fetches_from(&node, BEN, &picture);
    assert_eq!((asked.len(), fetches_from(&node, EVE, &picture).len()), (1, 0));
    node.feed(Input::PeerUp { peer: ANOTHER });
    node.feed(Input::Answered { peer: BEN, exchange: asked[0], response: frames(&picture) });
    assert!(node.holds(&picture));
    assert_eq!(told(&node, &picture), [ANOTHER], "both others know");
    // Whoever tells of what is here is not asked for it.
    offer(&mut node, ANOTHER, 3, &picture);
    assert!(fetches_from(&node, ANOTHER, &picture).is_empty());
}

const ANOTHER: NodeId = NodeId([0xaa; 32]);

#[test]
fn the_next_is_asked_where_the_first_is_silent_has_it_not_or_goes() {
    let not_held =
        |record: &Record| Some(SyncResponse::Frames { frames: Vec::new(), not_held: vec![record.id()] }.encode());
    for way in ["silent", "not held", "failed", "gone", "another record"] {
        let mut node = with_two_neighbours();
        let mailbox = Mailbox::direct(1);
        let picture = mailbox.large_envelope(1);
        offer(&mut node, BEN, 1, &picture);
        offer(&mut node, EVE, 2, &picture);
        let exchange = fetches_from(&node, BEN, &picture)[0];
        match way {
            "silent" => node.wait_ms(11_000),
            "not held" => node.feed(Input::Answered { peer: BEN, exchange, response: not_held(&picture) }),
            "failed" => node.feed(Input::Answered { peer: BEN, exchange, response: None }),
            "gone" => {
                node.feed(Input::PeerDown { peer: BEN });
                node.wait_ms(2_000);
            }
            _ => {
                let other = frames(&mailbox.large_envelope(2));
                node.feed(Input::Answered { peer: BEN, exchange, response: other });
                node.wait_ms(11_000);
            }
        }
        let asked = fetches_from(&node, EVE, &picture);
        assert_eq!(asked.len(), 1, "{way}");
        node.feed(Input::Answered { peer: EVE, exchange: asked[0], response: frames(&picture) });
        assert!(node.holds(&picture), "{way}");
    }
}

#[test]
fn an_offer_in_a_shard_that_is_not_carried_is_not_followed() {
    let config = Config::new(params(4), Node::new(1).id());
    let mut node = Node::with(config, 1);
    node.feed(Input::PeerUp { peer: BEN });
    let picture = Mailbox::direct(1).large_envelope(1);
    let shard = picture.address().shard(params(4).bits);
    let request = SyncRequest::Offer { bits: params(4).bits, shard, ids: vec![picture.id()] }.encode();
    node.feed(Input::Asked { peer: BEN, inbound: InboundId(1), request });
    assert!(fetches_from(&node, BEN, &picture).is_empty());
    let answered = node.said.iter().find_map(|output| match output {
        Output::Answer { response, .. } => SyncResponse::decode(response).ok(),
        _ => None,
    });
    assert!(matches!(answered, Some(SyncResponse::NotCarried { .. })));
}

#[test]
fn who_invents_ids_costs_little() {
    let mut node = with_two_neighbours();
    for n in 0..100_u64 {
        let ids = (0..256).map(|m| griot_protocol::RecordId(*blake3::hash(&(n << 32 | m).to_le_bytes()).as_bytes()));
        let request = SyncRequest::Offer { bits: params(0).bits, shard: Shard(0), ids: ids.collect() }.encode();
        node.feed(Input::Asked { peer: BEN, inbound: InboundId(n), request });
    }
    let asked = node.said.iter().filter(|output| matches!(output, Output::Ask { peer, .. } if *peer == BEN)).count();
    assert!(asked < 5, "one question at a time: {asked}");
    let picture = Mailbox::direct(1).large_envelope(1);
    offer(&mut node, EVE, 1000, &picture);
    let exchange = fetches_from(&node, EVE, &picture)[0];
    node.feed(Input::Answered { peer: EVE, exchange, response: frames(&picture) });
    assert!(node.holds(&picture));
}
