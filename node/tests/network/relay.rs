//! Nodes that nobody can dial, and those that relay for them.

use super::net::*;
use bytes::Bytes;
use griot_node::{
    network::{Command, Event, Nat, NetworkConfig, SYNC_MESSAGE_BYTES_MAX},
    relay::{ExchangeId, Verdict},
};
use griot_protocol::api::{PeerInfo, Reachability};
use libp2p::{Multiaddr, PeerId, multiaddr::Protocol};

/// Only whom it is told of.
fn quiet(listen: &[&str], peers: &[Multiaddr]) -> NetworkConfig {
    NetworkConfig { discovery: false, ..config(listen, peers) }
}

/// The address of a hidden node at a relay.
fn at_relay(relay: &Net, hidden: PeerId) -> Multiaddr {
    relay.listen[0].clone().with(Protocol::P2pCircuit).with(Protocol::P2p(hidden))
}

impl Net {
    /// Waits until it is reached through relays, and gives the addresses.
    async fn reserved(&mut self) -> Vec<Multiaddr> {
        self.wait("reservation", |event| match event {
            Event::Reachability { reachability: Reachability::Relayed, circuits, .. } => Some(circuits.clone()),
            _ => None,
        })
        .await
    }

    async fn peer(&self, peer: PeerId) -> Option<PeerInfo> {
        self.all_peers().await.into_iter().find(|info| info.peer_id == peer.to_string())
    }

    /// Asks a peer, whose test answers, as sync does.
    async fn exchange(&mut self, with: &mut Self, request: Bytes, response: Bytes) {
        let exchange = ExchangeId(9);
        self.send(Command::Ask { peer: with.id(), exchange, request: request.clone() }).await;
        let (inbound, asked) = with
            .wait("request", |event| match event {
                Event::Asked { inbound, request, .. } => Some((*inbound, request.clone())),
                _ => None,
            })
            .await;
        assert_eq!(asked, request);
        with.send(Command::Answer { inbound, response: response.clone() }).await;
        let answered = self
            .wait("response", |event| match event {
                Event::Answered { response, .. } => Some(response.clone()),
                _ => None,
            })
            .await;
        assert_eq!(answered, Some(response));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_nodes_that_nobody_can_dial_reach_each_other_through_a_third() {
    let mut relay = Net::start(1, quiet(&[TCP], &[])).await;
    let relay_id = relay.id();
    let mut hidden = Net::start_hidden(2, quiet(&[], &[relay.listen[0].clone()]));
    hidden.up(relay_id).await;
    let circuits = hidden.reserved().await;
    let address = at_relay(&relay, hidden.peer_id());
    assert!(circuits.contains(&address), "{circuits:?}");
    relay.wait("relaying", |event| matches!(event, Event::Reachability { relays: true, .. }).then_some(())).await;

    // The other knows nothing but that address.
    let mut other = Net::start_hidden(3, quiet(&[], std::slice::from_ref(&address)));
    other.up(hidden.id()).await;
    hidden.up(other.id()).await;
    for (one, another) in [(&hidden, &other), (&other, &hidden)] {
        let through = one.peer(another.peer_id()).await.unwrap();
        assert!(through.relayed && through.addresses[0].contains("/p2p-circuit/"), "{through:?}");
        assert!(!one.peer(relay.peer_id()).await.unwrap().relayed);
    }

    // Gossip, which the relay takes no part in since it carries nothing; and the largest frames of sync.
    hidden.carry(&[0]).await;
    other.carry(&[0]).await;
    other.publish(0, b"through a third").await;
    let message = hidden.gossiped(b"through a third").await;
    assert_eq!(message.0, other.id());
    hidden.judge(message, Verdict::Accept).await;
    let large = |byte: u8| Bytes::from(vec![byte; SYNC_MESSAGE_BYTES_MAX]);
    other.exchange(&mut hidden, large(1), large(2)).await;
    hidden.exchange(&mut other, large(3), large(4)).await;

    // The relay is lost with all that went through it, and comes back; so does everything.
    let listen = bare(&relay.listen[0]).to_string();
    relay.stop().await;
    hidden.down(other.id()).await;
    other.down(hidden.id()).await;
    let relay = Net::start(1, quiet(&[&listen], &[])).await;
    hidden.up(relay.id()).await;
    hidden.reserved().await;
    hidden.up(other.id()).await;
    other.up(hidden.id()).await;
    other.exchange(&mut hidden, large(5), large(6)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nobody_relays_against_the_operators_will() {
    let unwilling = Some(Nat { relay_for_others: false, use_relays: true });
    let relay = Net::start(1, NetworkConfig { nat: unwilling, ..quiet(&[TCP], &[]) }).await;
    let mut hidden = Net::start_hidden(2, quiet(&[], &[relay.listen[0].clone()]));
    hidden.up(relay.id()).await;
    let other = Net::start_hidden(3, quiet(&[], &[at_relay(&relay, hidden.peer_id())]));
    let refused = async || other.peer(hidden.peer_id()).await.is_some_and(|peer| peer.failures > 0);
    eventually("the dial to fail", refused).await;
    assert!(relay.peers().await.len() == 2, "both are connected with it");
    assert!(hidden.peers().await.len() == 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn peers_test_whether_a_node_can_be_dialled() {
    let mut tester = Net::start(1, config(&[TCP], &[])).await;
    let mut node = Net::start(2, config(&[TCP], &[tester.listen[0].clone()])).await;
    node.up(tester.id()).await;
    tester.up(node.id()).await;
    // Nobody dials it but for the test.
    node.wait("a test", |event| {
        matches!(event, Event::Reachability { reachability: Reachability::Local, .. }).then_some(())
    })
    .await;
    // The connection that was made for the test goes, and the other stays.
    let one_is_left = async || {
        let connections = |peer: Option<PeerInfo>| peer.map_or(0, |peer| peer.addresses.len());
        connections(tester.peer(node.peer_id()).await) == 1 && connections(node.peer(tester.peer_id()).await) == 1
    };
    eventually("the test to be over", one_is_left).await;
    for (net, other) in [(&mut tester, 2), (&mut node, 1)] {
        let gone = net
            .wait_within(std::time::Duration::ZERO, |event| matches!(event, Event::PeerDown { .. }).then_some(()))
            .await;
        assert!(gone.is_none(), "node {other} never left");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_node_tells_of_itself_is_not_taken_for_where_its_peers_are() {
    let first = Net::start(1, quiet(&[TCP], &[])).await;
    let mut relay = Net::start(2, quiet(&[TCP], &[first.listen[0].clone()])).await;
    relay.up(first.id()).await;
    // Being dialled, it learns that it can relay, and tells those that it is connected with.
    let mut hidden = Net::start_hidden(3, quiet(&[], &[relay.listen[0].clone()]));
    hidden.reserved().await;
    let wanted = (first.peer_id().to_string(), vec![bare(&first.listen[0]).to_string()]);
    let remembered: Vec<_> = relay.stop().await.into_iter().map(|peer| (peer.peer_id, peer.addresses)).collect();
    assert!(remembered.contains(&wanted), "{wanted:?} is not in {remembered:?}");
}
