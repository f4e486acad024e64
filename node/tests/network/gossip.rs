//! Gossip goes on only when it was judged worth it, shards stay apart, and requests are answered or refused.

use std::time::Duration;

use super::net::*;
use bytes::Bytes;
use griot_node::{
    network::{Command, Event, NetworkConfig, SYNC_MESSAGE_BYTES_MAX},
    relay::{ExchangeId, Verdict},
};
use griot_protocol::{RecordId, Shard};

/// Three in a row: one – two – three. The outer ones are not connected.
async fn row() -> [Net; 3] {
    let alone = |peers: &[_]| NetworkConfig { discovery: false, ..config(&[TCP], peers) };
    let mut two = Net::start(2, alone(&[])).await;
    let one = Net::start(1, alone(&[two.listen[0].clone()])).await;
    let three = Net::start(3, alone(&[two.listen[0].clone()])).await;
    two.up(one.id()).await;
    two.up(three.id()).await;
    for net in [&one, &two, &three] {
        net.carry(&[0]).await;
    }
    [one, two, three]
}

#[tokio::test]
async fn gossip_reaches_the_far_end_only_after_it_was_accepted() {
    let [mut one, mut two, mut three] = row().await;
    one.publish(0, b"hello").await;
    let message = two.gossiped(b"hello").await;
    assert_eq!(message.0, one.id());
    // Nothing goes on until it is judged: not even over the heartbeats of a second and a half.
    let early =
        three.wait_within(Duration::from_millis(1500), |event| matches!(event, Event::Gossiped { .. }).then_some(()));
    assert!(early.await.is_none());
    two.judge(message, Verdict::Accept).await;
    let message = three.gossiped(b"hello").await;
    assert_eq!(message.0, two.id());
    for net in [one, two, three] {
        net.stop().await;
    }
}

#[tokio::test]
async fn rejected_and_ignored_gossip_goes_no_further() {
    let [mut one, mut two, mut three] = row().await;
    one.publish(0, b"bad").await;
    let bad = two.gossiped(b"bad").await;
    two.judge(bad, Verdict::Reject).await;
    one.publish(0, b"dull").await;
    let dull = two.gossiped(b"dull").await;
    two.judge(dull, Verdict::Ignore).await;
    // The accepted one overtakes nothing: when it is there, the others would have been.
    one.publish(0, b"good").await;
    let good = two.gossiped(b"good").await;
    two.judge(good, Verdict::Accept).await;
    three.gossiped(b"good").await;
    let other =
        three.wait_within(Duration::from_millis(1500), |event| matches!(event, Event::Gossiped { .. }).then_some(()));
    assert!(other.await.is_none());
    for net in [one, two, three] {
        net.stop().await;
    }
}

#[tokio::test]
async fn what_nobody_hears_is_told() {
    let mut one = Net::start(1, config(&[TCP], &[])).await;
    one.carry(&[0]).await;
    let id = RecordId([7; 32]);
    one.send(Command::Publish { shard: Shard(0), id, frame: Bytes::from_static(b"alone") }).await;
    one.wait("unheard", |event| matches!(event, Event::Unheard { id: unheard } if *unheard == id).then_some(())).await;
    one.stop().await;
}

#[tokio::test]
async fn shards_stay_apart_and_one_not_carried_is_reached_through_its_carriers() {
    let sharded = |peers: &[_]| NetworkConfig { params: params("test", 2), ..config(&[TCP], peers) };
    let mut one = Net::start(1, sharded(&[])).await;
    let mut two = Net::start(2, sharded(&[one.listen[0].clone()])).await;
    let mut three = Net::start(3, sharded(&[one.listen[0].clone()])).await;
    one.up(two.id()).await;
    one.up(three.id()).await;
    one.carry(&[0]).await;
    two.carry(&[2]).await;
    three.carry(&[3]).await;
    // One carries neither 2 nor 3, and reaches each through its carrier alone.
    one.publish(2, b"for two").await;
    two.gossiped(b"for two").await;
    one.publish(3, b"for three").await;
    three.gossiped(b"for three").await;
    let strays = [&mut two, &mut three].map(|net| {
        net.wait_within(Duration::from_millis(500), |event| matches!(event, Event::Gossiped { .. }).then_some(()))
    });
    for stray in strays {
        assert!(stray.await.is_none());
    }
    for net in [one, two, three] {
        net.stop().await;
    }
}

#[tokio::test]
async fn a_copy_on_another_shards_topic_does_not_hide_the_one_on_its_own() {
    let sharded = |peers: &[_]| NetworkConfig { params: params("test", 2), ..config(&[TCP], peers) };
    let mut one = Net::start(1, sharded(&[])).await;
    let mut two = Net::start(2, sharded(&[one.listen[0].clone()])).await;
    one.up(two.id()).await;
    two.carry(&[1, 2]).await;
    for shard in [1, 2] {
        one.publish(shard, b"the same frame").await;
        let told = two.wait("gossip", |event| match event {
            Event::Gossiped { peer, message, shard, .. } => Some(((*peer, *message), *shard)),
            _ => None,
        });
        let (message, topic) = told.await;
        assert_eq!(topic, Shard(shard), "the relay is told on whose topic it came");
        two.judge(message, Verdict::Reject).await;
    }
    two.stop().await;
    one.stop().await;
}

#[tokio::test]
async fn carriers_are_found_through_the_network_and_dialled() {
    let sharded = |peers: &[_]| NetworkConfig { params: params("test", 2), ..config(&[TCP], peers) };
    let mut one = Net::start(1, sharded(&[])).await;
    let two = Net::start(2, sharded(&[one.listen[0].clone()])).await;
    two.carry(&[3]).await;
    one.up(two.id()).await;
    // Three wants no peers beside the one configured, so only a search brings it to two.
    let mut three = Net::start(3, NetworkConfig { peers_wanted: 0, ..sharded(&[one.listen[0].clone()]) }).await;
    three.up(one.id()).await;
    let deadline = tokio::time::Instant::now() + DEADLINE;
    loop {
        three.send(Command::FindCarriers { shard: Shard(3) }).await;
        let carriers = three
            .wait("carriers", |event| match event {
                Event::Carriers { shard: Shard(3), peers } => Some(peers.clone()),
                _ => None,
            })
            .await;
        if carriers == [two.id()] {
            break;
        }
        assert!(carriers.is_empty());
        assert!(tokio::time::Instant::now() < deadline, "no carrier found");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    three.up(two.id()).await;
    for net in [one, two, three] {
        net.stop().await;
    }
}

#[tokio::test]
async fn requests_are_answered() {
    let mut one = Net::start(1, config(&[TCP], &[])).await;
    let mut two = Net::start(2, config(&[TCP], &[one.listen[0].clone()])).await;
    one.up(two.id()).await;
    two.up(one.id()).await;
    let largest = Bytes::from(vec![5; SYNC_MESSAGE_BYTES_MAX]);
    for (n, request) in [Bytes::new(), Bytes::from_static(b"what have you?"), largest].into_iter().enumerate() {
        let exchange = ExchangeId(n as u64);
        one.send(Command::Ask { peer: two.id(), exchange, request: request.clone() }).await;
        let (from, inbound, asked) = two
            .wait("request", |event| match event {
                Event::Asked { peer, inbound, request } => Some((*peer, *inbound, request.clone())),
                _ => None,
            })
            .await;
        assert_eq!((from, &asked), (one.id(), &request));
        two.send(Command::Answer { inbound, response: asked }).await;
        assert_eq!(answer(&mut one, exchange).await, Some(request));
    }
    two.stop().await;
    one.stop().await;
}

#[tokio::test]
async fn requests_that_cannot_be_answered_fail() {
    let mut one = Net::start(1, config(&[TCP], &[])).await;
    let mut two = Net::start(2, config(&[TCP], &[one.listen[0].clone()])).await;
    one.up(two.id()).await;
    two.up(one.id()).await;
    let too_long = Bytes::from(vec![5; SYNC_MESSAGE_BYTES_MAX + 1]);
    // Too long a request never leaves.
    one.send(Command::Ask { peer: two.id(), exchange: ExchangeId(1), request: too_long.clone() }).await;
    assert_eq!(answer(&mut one, ExchangeId(1)).await, None);
    // Nor does one to somebody who is not there.
    one.send(Command::Ask { peer: identity(9).node_id(), exchange: ExchangeId(2), request: Bytes::new() }).await;
    assert_eq!(answer(&mut one, ExchangeId(2)).await, None);
    // Too long a response is no response, and the connection stays.
    one.send(Command::Ask { peer: two.id(), exchange: ExchangeId(3), request: Bytes::new() }).await;
    let inbound = two
        .wait("request", |event| match event {
            Event::Asked { inbound, .. } => Some(*inbound),
            _ => None,
        })
        .await;
    two.send(Command::Answer { inbound, response: too_long }).await;
    assert_eq!(answer(&mut one, ExchangeId(3)).await, None);
    assert_eq!(one.peer_ids().await, [two.peer_id()]);
    // Whoever leaves owes no answer.
    one.send(Command::Ask { peer: two.id(), exchange: ExchangeId(4), request: Bytes::new() }).await;
    two.wait("request", |event| matches!(event, Event::Asked { .. }).then_some(())).await;
    two.stop().await;
    assert_eq!(answer(&mut one, ExchangeId(4)).await, None);
    one.stop().await;
}

async fn answer(net: &mut Net, wanted: ExchangeId) -> Option<Bytes> {
    net.wait("answer", |event| match event {
        Event::Answered { exchange, response, .. } if *exchange == wanted => Some(response.clone()),
        _ => None,
    })
    .await
}
