//! What bytes meet on their way.

use std::{future::Future, io, time::Duration};

use futures::{AsyncReadExt, AsyncWriteExt, FutureExt, StreamExt, future::poll_fn, stream};
use libp2p::{
    PeerId, Transport,
    core::{
        muxing::{StreamMuxerBox, StreamMuxerExt},
        transport::{DialOpts, ListenerId, PortUse, TransportEvent},
    },
};

use super::*;
use crate::{
    plan::{Conduct, LatencyLaw, LatencyPlan, NodePlan},
    world::time::{in_virtual_time, now},
};

const A: NodeIndex = NodeIndex(0);
const B: NodeIndex = NodeIndex(1);

/// One way, milliseconds.
const LATENCY_MS: u64 = 50;

/// Two nodes that can send so many bytes a second.
fn network(up_bytes_per_second: u64) -> Net {
    let node = |behind_nat| NodePlan {
        region: 0,
        up_bytes_per_second,
        down_bytes_per_second: 0,
        behind_nat,
        starts_up: true,
        conduct: Conduct::Honest,
    };
    let plan = Plan {
        scenario: String::new(),
        seed: 1,
        epoch_unix_seconds: 0,
        duration_ms: 0,
        bits: 0,
        postage_bits: 0,
        fsync_ms: 0,
        discovery: false,
        shared_signature_checks: false,
        nodes: vec![node(false), node(false), node(true)],
        links: Vec::new(),
        latency: LatencyPlan::Everywhere(LatencyLaw::Constant { ms: LATENCY_MS as u32 }),
        people: Vec::new(),
        mailboxes: Vec::new(),
        messages: Vec::new(),
        events: Vec::new(),
        outage: None,
    };
    let net = Net::new(&plan, &[PeerId::random(), PeerId::random(), PeerId::random()]);
    let courier = net.clone();
    tokio::spawn(async move { courier.run().await });
    net
}

fn in_time<T: Send, F: Future<Output = T>>(main: impl FnOnce() -> F + Send) -> T {
    in_virtual_time(1, Duration::ZERO, main).unwrap()
}

/// A node's transport, which listens.
fn transport(net: &Net, node: NodeIndex) -> SimTransport {
    net.set_power(node, Power::On);
    let mut transport = SimTransport::new(net.clone(), node);
    transport.listen_on(ListenerId::next(), address(node)).unwrap();
    transport
}

async fn dial(transport: &mut SimTransport, to: NodeIndex) -> io::Result<(PeerId, StreamMuxerBox)> {
    let opts = DialOpts { role: libp2p::core::Endpoint::Dialer, port_use: PortUse::New };
    transport.dial(address(to), opts).unwrap().await
}

async fn accept(mut transport: SimTransport) -> StreamMuxerBox {
    let mut events = stream::poll_fn(move |context| std::pin::Pin::new(&mut transport).poll(context).map(Some));
    loop {
        if let Some(TransportEvent::Incoming { upgrade, .. }) = events.next().await {
            return upgrade.await.unwrap().1;
        }
    }
}

/// A connection between two nodes that run.
async fn connected(net: &Net) -> (StreamMuxerBox, StreamMuxerBox) {
    let (mut here, there) = (transport(net, A), transport(net, B));
    let (dialled, accepted) = futures::join!(dial(&mut here, B), accept(there));
    (dialled.unwrap().1, accepted)
}

#[test]
fn a_handshake_takes_its_round_trips_and_bytes_their_latency() {
    in_time(|| async {
        let net = network(0);
        let (mut a, mut b) = connected(&net).await;
        assert_eq!(now().0, HANDSHAKE_ROUND_TRIPS * 2 * LATENCY_MS);
        let mut out = poll_fn(|context| a.poll_outbound_unpin(context)).await.unwrap();
        let begun = now().0;
        out.write_all(b"hello").await.unwrap();
        out.close().await.unwrap();
        let mut input = poll_fn(|context| b.poll_inbound_unpin(context)).await.unwrap();
        let mut heard = Vec::new();
        input.read_to_end(&mut heard).await.unwrap();
        assert_eq!((heard.as_slice(), now().0 - begun), (&b"hello"[..], LATENCY_MS));
        assert!(net.traffic(A).sent_bytes > 5 && net.traffic(A).sent_bytes == net.traffic(B).received_bytes);
    });
}

#[test]
fn a_narrow_link_sends_one_byte_after_another_and_a_full_window_waits() {
    in_time(|| async {
        let net = network(100_000);
        let (mut a, mut b) = connected(&net).await;
        let mut out = poll_fn(|context| a.poll_outbound_unpin(context)).await.unwrap();
        let begun = now().0;
        let size = 3 * pipe::WINDOW_BYTES;
        let writing = async {
            out.write_all(&vec![7; size]).await.unwrap();
            let written_after = now().0 - begun;
            out.close().await.unwrap();
            written_after
        };
        let reading = async {
            let mut input = poll_fn(|context| b.poll_inbound_unpin(context)).await.unwrap();
            let mut heard = Vec::new();
            input.read_to_end(&mut heard).await.unwrap();
            (heard.len(), now().0 - begun)
        };
        let (written_after, (heard, heard_after)) = futures::join!(writing, reading);
        assert_eq!(heard, size);
        // 786,432 bytes at 100,000 a second, and three to four per cent of headers.
        assert!((8_000..8_500).contains(&heard_after), "{heard_after}");
        assert!(written_after > 2_500, "the writer waits for its reader: {written_after}");
    });
}

#[test]
fn what_is_sent_into_a_partition_comes_when_it_is_healed() {
    in_time(|| async {
        let net = network(0);
        let (mut a, mut b) = connected(&net).await;
        let mut out = poll_fn(|context| a.poll_outbound_unpin(context)).await.unwrap();
        net.cut("cut", &[A], &[B]);
        let begun = now().0;
        out.write_all(b"late").await.unwrap();
        out.close().await.unwrap();
        assert!(net.traffic(A).lost_bytes == 4);
        tokio::time::sleep(Duration::from_secs(5)).await;
        assert!(poll_fn(|context| b.poll_inbound_unpin(context)).now_or_never().is_none());
        net.heal("cut", now());
        let mut input = poll_fn(|context| b.poll_inbound_unpin(context)).await.unwrap();
        let mut heard = Vec::new();
        input.read_to_end(&mut heard).await.unwrap();
        // TCP tried after 0.2, 0.6, 1.4, 3 and 6.2 s.
        assert_eq!((heard.as_slice(), now().0 - begun), (&b"late"[..], 6_200 + LATENCY_MS));
    });
}

#[test]
fn nobody_is_told_of_a_power_loss_until_the_node_is_back_and_written_to() {
    in_time(|| async {
        let net = network(0);
        let (mut a, b) = connected(&net).await;
        let mut out = poll_fn(|context| a.poll_outbound_unpin(context)).await.unwrap();
        net.vanish(B);
        drop(b);
        out.write_all(b"anybody?").await.unwrap();
        tokio::time::sleep(Duration::from_secs(60)).await;
        assert!(poll_fn(|context| a.poll_unpin(context)).now_or_never().is_none(), "silence");
        net.set_power(B, Power::On);
        let begun = now().0;
        out.write_all(b"anybody?").await.unwrap();
        let error = poll_fn(|context| a.poll_unpin(context)).await.unwrap_err();
        assert_eq!(now().0 - begun, 2 * LATENCY_MS, "{error}");
    });
}

#[test]
fn closing_is_heard_one_latency_later() {
    in_time(|| async {
        let net = network(0);
        let (mut a, mut b) = connected(&net).await;
        let begun = now().0;
        poll_fn(|context| a.poll_close_unpin(context)).await.unwrap();
        poll_fn(|context| b.poll_unpin(context)).await.unwrap_err();
        assert_eq!(now().0 - begun, LATENCY_MS);
        assert_eq!(net.neighbours(A), 0);
    });
}

#[test]
fn a_dial_finds_what_there_is() {
    in_time(|| async {
        let net = network(0);
        let mut here = transport(&net, A);
        let mut dialled = async |to| {
            let begun = now().0;
            let error = dial(&mut here, to).await.unwrap_err().kind();
            (error, now().0 - begun)
        };
        net.set_power(B, Power::Idle);
        assert_eq!(dialled(B).await, (io::ErrorKind::ConnectionRefused, 2 * LATENCY_MS));
        net.set_power(B, Power::Off);
        assert_eq!(dialled(B).await, (io::ErrorKind::TimedOut, 15_000));
        let nat = NodeIndex(2);
        let _behind_nat = transport(&net, nat);
        assert_eq!(dialled(nat).await, (io::ErrorKind::TimedOut, 15_000));
        let _there = transport(&net, B);
        net.cut("way back", &[B], &[A]);
        assert_eq!(dialled(B).await, (io::ErrorKind::TimedOut, 15_000));
    });
}
