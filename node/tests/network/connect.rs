//! Nodes find and recognise each other: over TCP, QUIC and IPv6, with and without peer ids; networks stay apart.

use std::{
    io::Write,
    net::{Ipv6Addr, TcpListener, TcpStream},
    time::Duration,
};

use super::net::*;
use griot_node::network::{Command, ConnectionLimits, Event, NetworkConfig, NetworkError, start};
use prometheus_client::registry::Registry;
use tokio::sync::mpsc;

async fn connects_over(listen: &str) {
    let mut one = Net::start(1, config(&[listen], &[])).await;
    let mut two = Net::start(2, config(&[listen], &[one.listen[0].clone()])).await;
    one.up(two.id()).await;
    two.up(one.id()).await;
    let peers = two.peers().await;
    assert_eq!(peers.len(), 1);
    assert_eq!(peers[0].peer_id, one.peer_id().to_string());
    assert!(peers[0].connected && peers[0].configured);
    assert!(peers[0].agent.as_ref().unwrap().starts_with("griotd/"));
    assert!(!one.peers().await[0].configured);
    two.stop().await;
    one.down(identity(2).node_id()).await;
    one.stop().await;
}

#[tokio::test]
async fn two_nodes_connect_over_tcp() {
    connects_over(TCP).await;
}

#[tokio::test]
async fn two_nodes_connect_over_quic() {
    connects_over(QUIC).await;
}

#[tokio::test]
async fn two_nodes_connect_over_ipv6() {
    if let Err(error) = TcpListener::bind((Ipv6Addr::LOCALHOST, 0)) {
        assert!(std::env::var_os("GRIOT_TEST_REQUIRE_ALL").is_none_or(|v| v != "1"), "IPv6 is required: {error}");
        println!("SKIPPED: this machine has no ::1 ({error})");
        return;
    }
    connects_over("/ip6/::1/tcp/0").await;
    connects_over("/ip6/::1/udp/0/quic-v1").await;
}

#[tokio::test]
async fn a_peer_address_needs_no_peer_id_and_ones_own_does_no_harm() {
    let mut one = Net::start(1, config(&[TCP], &[])).await;
    // The second address is two's own: it dials itself once, and never again.
    let own = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let own = format!("/ip4/127.0.0.1/tcp/{own}");
    let peers = [bare(&one.listen[0]), own.parse().unwrap()];
    let mut two = Net::start(2, config(&[&own], &peers)).await;
    one.up(two.id()).await;
    two.up(one.id()).await;
    eventually("the address is known to be configured", async || two.peers().await[0].configured).await;
    two.stop().await;
    one.stop().await;
}

#[tokio::test]
async fn peers_of_different_networks_part_and_are_not_dialled_again() {
    let one = Net::start(1, config(&[TCP], &[])).await;
    let other = NetworkConfig { params: params("other", 0), ..config(&[TCP], &[one.listen[0].clone()]) };
    let mut two = Net::start(2, other).await;
    let mut three = Net::start(3, config(&[TCP], &[one.listen[0].clone()])).await;
    three.up(one.id()).await;
    eventually("two has seen that one is of another network", async || {
        metric(&two, "network_refused_total{reason=\"network\"}") == 1
    })
    .await;
    assert!(two.peers().await.is_empty());
    // It would have been dialled again by now: back-off ends within a second.
    let dialled_again =
        two.wait_within(Duration::from_secs(3), |event| matches!(event, Event::PeerUp { .. }).then_some(()));
    assert!(dialled_again.await.is_none());
    assert_eq!(metric(&two, "network_refused_total{reason=\"network\"}"), 1);
    assert_eq!(one.peer_ids().await, [three.peer_id()]);
    for net in [one, two, three] {
        net.stop().await;
    }
}

#[tokio::test]
async fn other_parameters_are_told_and_the_peer_stays() {
    let mut one = Net::start(1, config(&[TCP], &[])).await;
    let finer = NetworkConfig { params: params("test", 2), ..config(&[TCP], &[one.listen[0].clone()]) };
    let mut two = Net::start(2, finer).await;
    two.up(one.id()).await;
    let detail = one
        .wait("difference", |event| match event {
            Event::ParamsDiffer { detail, .. } => Some(detail.clone()),
            _ => None,
        })
        .await;
    assert_eq!(detail, "bits 2, here 0");
    assert_eq!(one.peer_ids().await, [two.peer_id()]);
    two.stop().await;
    one.stop().await;
}

#[tokio::test]
async fn blocked_and_unlisted_peers_stay_out() {
    let blocking = NetworkConfig { block: vec![identity(2).peer_id()], ..config(&[TCP], &[]) };
    let mut one = Net::start(1, blocking).await;
    let allowing = NetworkConfig { allow: vec![identity(3).peer_id()], ..config(&[TCP], &[]) };
    let mut four = Net::start(4, allowing).await;
    let both = [one.listen[0].clone(), four.listen[0].clone()];
    let two = Net::start(2, config(&[TCP], &both)).await;
    let mut three = Net::start(3, config(&[TCP], &both)).await;
    three.up(one.id()).await;
    three.up(four.id()).await;
    one.up(three.id()).await;
    four.up(three.id()).await;
    eventually("two was turned away by both", async || {
        metric(&one, "network_refused_total{reason=\"handshake\"}") > 0
            && metric(&four, "network_refused_total{reason=\"handshake\"}") > 0
    })
    .await;
    assert_eq!(one.peer_ids().await, [three.peer_id()]);
    assert_eq!(four.peer_ids().await, [three.peer_id()]);
    for net in [one, two, three, four] {
        net.stop().await;
    }
}

#[tokio::test]
async fn a_full_house_turns_strangers_away_but_nobody_whom_the_operator_wants() {
    let limits = ConnectionLimits { established_in: 1, ..ConnectionLimits::default() };
    // Four is wanted, but cannot be dialled: nobody is at that address.
    let nobody = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let wanted = format!("/ip4/127.0.0.1/tcp/{nobody}/p2p/{}", identity(4).peer_id()).parse().unwrap();
    let quiet = |peers: &[_]| NetworkConfig { discovery: false, ..config(&[TCP], peers) };
    let mut one = Net::start(1, NetworkConfig { limits, ..quiet(&[wanted]) }).await;
    let house = [one.listen[0].clone()];
    let two = Net::start(2, quiet(&house)).await;
    one.up(two.id()).await;
    let three = Net::start(3, quiet(&house)).await;
    eventually("three was turned away", async || metric(&one, "network_refused_total{reason=\"handshake\"}") > 0).await;
    let four = Net::start(4, quiet(&house)).await;
    one.up(four.id()).await;
    let connected = one.peer_ids().await;
    assert!(connected.contains(&two.peer_id()) && connected.contains(&four.peer_id()) && connected.len() == 2);
    for net in [one, two, three, four] {
        net.stop().await;
    }
}

#[tokio::test]
async fn a_disconnected_peer_is_kept_out() {
    let mut one = Net::start(1, config(&[TCP], &[])).await;
    let mut two = Net::start(2, config(&[TCP], &[one.listen[0].clone()])).await;
    one.up(two.id()).await;
    two.up(one.id()).await;
    one.send(Command::Disconnect { peer: two.id(), reason: "test" }).await;
    one.down(two.id()).await;
    two.down(one.id()).await;
    eventually("two comes back and is turned away", async || {
        metric(&one, "network_refused_total{reason=\"handshake\"}") > 0
    })
    .await;
    assert!(one.peers().await.is_empty());
    two.stop().await;
    one.stop().await;
}

#[tokio::test]
async fn random_bytes_on_the_port_disturb_nobody() {
    let mut one = Net::start(1, config(&[TCP], &[])).await;
    let two = Net::start(2, config(&[TCP], &[one.listen[0].clone()])).await;
    one.up(two.id()).await;
    let port = port(&one.listen[0]);
    let noise: Vec<u8> =
        (0..64 * 1024u32).flat_map(|n| blake3::hash(&n.to_le_bytes()).as_bytes()[..4].to_vec()).collect();
    for (n, start) in (0..noise.len()).step_by(noise.len() / 16).enumerate() {
        let mut stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
        let mut bytes = noise[start..].to_vec();
        if n % 2 == 0 {
            // Half of them begin as libp2p does.
            bytes.splice(..0, b"\x13/multistream/1.0.0\n\x07/noise\n".iter().copied());
        }
        // The node may close while we write.
        let _ = stream.write_all(&bytes);
    }
    eventually("the noise was refused", async || metric(&one, "network_refused_total{reason=\"handshake\"}") >= 16)
        .await;
    let mut three = Net::start(3, config(&[TCP], &[one.listen[0].clone()])).await;
    three.up(one.id()).await;
    one.up(three.id()).await;
    assert!(one.peer_ids().await.contains(&two.peer_id()), "two never left");
    for net in [one, two, three] {
        net.stop().await;
    }
}

#[tokio::test]
async fn what_cannot_be_listened_on_or_dialled_is_told_with_the_cure() {
    let one = Net::start(1, config(&[TCP], &[])).await;
    let taken = bare(&one.listen[0]).to_string();
    let quic = Net::start(3, config(&[QUIC], &[])).await;
    let taken_quic = bare(&quic.listen[0]).to_string();
    let started = |config: NetworkConfig| {
        let (sender, _events) = mpsc::channel(16);
        start(config, &identity(2), Vec::new(), sender, &mut Registry::default()).map(drop)
    };
    for address in [&taken, &taken_quic] {
        let error = started(config(&[address], &[])).unwrap_err();
        assert!(error.to_string().contains("another process has this port"), "{error}");
    }
    let error = started(config(&["/ip4/127.0.0.1/tcp/0/ws"], &[])).unwrap_err();
    assert!(matches!(error, NetworkError::Listen { .. }), "{error}");
    let error = started(config(&[TCP], &["/ip4/127.0.0.1".parse().unwrap()])).unwrap_err();
    assert!(matches!(error, NetworkError::Peer { .. }), "{error}");
    one.stop().await;
    quic.stop().await;
}

#[tokio::test]
async fn the_task_ends_when_nobody_listens() {
    let (sender, events) = mpsc::channel(16);
    let (commands, task) =
        start(config(&[TCP], &[]), &identity(1), Vec::new(), sender, &mut Registry::default()).unwrap();
    drop(events);
    tokio::time::timeout(DEADLINE, task).await.unwrap().unwrap();
    drop(commands);
}

fn metric(net: &Net, name: &str) -> u64 {
    let mut text = String::new();
    prometheus_client::encoding::text::encode(&mut text, &net.registry).unwrap();
    text.lines().find_map(|line| line.strip_prefix(name)).map_or(0, |value| value.trim().parse().unwrap())
}
