//! Nodes come back to each other, also where the one they first knew is dead, and only to those they may.

use std::{
    net::{TcpListener, UdpSocket},
    time::Duration,
};

use super::net::*;
use griot_node::{
    network::{Event, NetworkConfig},
    store::RememberedPeer,
};
use griot_protocol::Timestamp;

#[tokio::test]
async fn a_node_that_restarts_on_its_port_is_found_again() {
    for listen in [TCP, QUIC] {
        let one = Net::start(1, config(&[listen], &[])).await;
        let one_at = bare(&one.listen[0]);
        let at = one_at.to_string();
        let mut two = Net::start(2, config(&[listen], &[one.listen[0].clone()])).await;
        two.up(one.id()).await;
        one.stop().await;
        two.down(identity(1).node_id()).await;
        // QUIC's socket outlives its node a little within one process, until it has said its good-byes.
        eventually("the port is free", async || UdpSocket::bind(("127.0.0.1", port(&one_at))).is_ok()).await;
        let mut one = Net::start(1, config(&[&at], &[])).await;
        two.up(one.id()).await;
        one.up(two.id()).await;
        two.stop().await;
        one.stop().await;
    }
}

#[tokio::test]
async fn a_configured_peer_may_start_later() {
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let at = format!("/ip4/127.0.0.1/tcp/{port}");
    let mut two = Net::start(2, config(&[TCP], &[at.parse().unwrap()])).await;
    assert!(two.peers().await.is_empty());
    let one = Net::start(1, config(&[&at], &[])).await;
    two.up(one.id()).await;
    two.stop().await;
    one.stop().await;
}

#[tokio::test]
async fn remembered_peers_let_a_node_rejoin_when_the_bootstrap_is_dead() {
    let bootstrap = Net::start(1, config(&[TCP], &[])).await;
    let knows = [bootstrap.listen[0].clone()];
    let mut two = Net::start(2, config(&[TCP], &knows)).await;
    let mut three = Net::start(3, config(&[TCP], &knows)).await;
    // Two and three find each other through the bootstrap.
    two.up(three.id()).await;
    three.up(two.id()).await;
    let told = three
        .wait("remember", |event| match event {
            Event::Remember { peers } if peers.len() == 2 => Some(peers.clone()),
            _ => None,
        })
        .await;
    let remembered = three.stop().await;
    let names = |peers: &[RememberedPeer]| {
        let mut names: Vec<_> = peers.iter().map(|peer| peer.peer_id.clone()).collect();
        names.sort();
        names
    };
    assert_eq!(names(&told), names(&remembered));
    assert!(remembered.iter().all(|peer| peer.seen_at > Timestamp(0) && !peer.addresses.is_empty()));
    bootstrap.stop().await;

    let mut three = Net::start_remembering(3, config(&[TCP], &knows), remembered).await;
    three.up(two.id()).await;
    two.up(three.id()).await;
    two.stop().await;
    three.stop().await;
}

#[tokio::test]
async fn without_discovery_nobody_but_configured_peers_is_dialled() {
    let mut middle = Net::start(1, config(&[TCP], &[])).await;
    let other = Net::start(2, config(&[TCP], &[])).await;
    let remembered = vec![RememberedPeer {
        peer_id: other.peer_id().to_string(),
        addresses: vec![bare(&other.listen[0]).to_string()],
        seen_at: Timestamp(1),
    }];
    let only = |discovery| NetworkConfig { discovery, ..config(&[TCP], &[middle.listen[0].clone()]) };
    let strict = only(false);
    let usual = only(true);
    let mut two = Net::start_remembering(3, strict.clone(), remembered.clone()).await;
    let four = Net::start(4, strict).await;
    middle.up(two.id()).await;
    middle.up(four.id()).await;
    two.up(middle.id()).await;
    // The same node with discovery reaches the other one in no time …
    let mut five = Net::start_remembering(5, usual, remembered).await;
    five.up(other.id()).await;
    // … and the strict ones have had longer, and then have as long again.
    let strayed = two.wait_within(Duration::from_secs(3), |event| match event {
        Event::PeerUp { peer } => Some(*peer),
        _ => None,
    });
    let strayed = strayed.await;
    // Five, which discovers, may dial the strict ones: inbound is let in.
    assert!(strayed.is_none() || strayed == Some(five.id()), "{strayed:?}");
    for strict in [&two, &four] {
        let peers = strict.peer_ids().await;
        assert!(peers.contains(&middle.peer_id()));
        assert!(
            !peers.contains(&other.peer_id())
                && peers.iter().all(|peer| *peer != two.peer_id() && *peer != four.peer_id())
        );
    }
    for net in [middle, other, two, four, five] {
        net.stop().await;
    }
}

/// Killed over QUIC, a node says no good-bye, and is back before its old connection is found dead.
#[test]
fn a_node_that_was_killed_is_whole_again_after_its_restart() {
    let runtime = || tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let (here, there) = (runtime(), runtime());
    let mut one = here.block_on(Net::start(1, config(&[QUIC], &[])));
    let config = config(&[QUIC], &[one.listen[0].clone()]);
    let mut two = there.block_on(Net::start(2, config.clone()));
    here.block_on(one.carry(&[0]));
    there.block_on(two.up(one.id()));
    here.block_on(one.up(two.id()));
    // Everything that runs for it stops at once, its sockets with it.
    there.shutdown_timeout(Duration::from_secs(10));
    drop(two);

    let there = runtime();
    let mut two = there.block_on(Net::start(2, config));
    there.block_on(two.carry(&[0]));
    there.block_on(two.up(one.id()));
    there.block_on(two.publish(0, b"back again"));
    here.block_on(one.gossiped(b"back again"));
    there.block_on(two.stop());
    here.block_on(one.stop());
}
