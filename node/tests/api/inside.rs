//! The API from inside the process answers as over HTTP: the same checks, the same problems, the same streams.

use std::time::Duration;

use super::daemon::*;
use griot_node::{
    api::{Inside, InsideEnd, InsideItem, InsideStream},
    metrics::Metrics,
    store::MemberId,
};
use griot_protocol::{
    ProofMethod,
    api::{StreamEvent, StreamRequest, Unregistration},
};

const AWA: MemberId = MemberId([1; 16]);

async fn next(stream: &mut InsideStream) -> Result<InsideItem, InsideEnd> {
    tokio::time::timeout(Duration::from_secs(30), stream.next()).await.expect("the stream is silent")
}

#[tokio::test]
async fn inside_as_outside() {
    let daemon = Daemon::start(|config| config.network.postage_bits = 2).await;
    let metrics = Metrics::new(&mut prometheus_client::registry::Registry::default());
    let inside = Inside::new(daemon.node.handle(), metrics).unwrap();
    inside.admit(AWA);
    let mut mailbox = Mailbox::new(1);
    mailbox.params.postage_bits = 2;
    let (node, address) = (daemon.node.handle().node_id(), mailbox.address());
    assert_eq!(inside.info().await.unwrap().node_id, node);

    // What HTTP refuses is refused, for the same reason.
    assert_eq!(inside.page(AWA, &address, None).unwrap_err().reason(), Some("not-registered"));
    let nonce = inside.nonces(AWA, 1).unwrap().nonces[0];
    let mut forged = mailbox.registration(node, nonce);
    forged.proof = mailbox.proof(node, ProofMethod::Unregister, nonce);
    assert_eq!(inside.register(AWA, address, forged).await.unwrap_err().reason(), Some("proof"));
    let honest = mailbox.registration(node, nonce);
    assert_eq!(inside.register(MemberId([2; 16]), address, honest.clone()).await.unwrap_err().reason(), Some("nonce"));
    assert_eq!(inside.register(AWA, address, honest.clone()).await.unwrap().address, address);
    assert_eq!(
        inside.register(AWA, address, honest).await.unwrap_err().reason(),
        Some("nonce"),
        "a nonce is good once"
    );

    // What was handed in waits, streams, and can be asked about.
    let first = mailbox.envelope(1);
    assert_eq!(inside.submit(AWA, first.frame().clone()).await.unwrap().id, first.id());
    let cut = first.frame().slice(..40);
    assert_eq!(inside.submit(AWA, cut).await.unwrap_err().status, 400);
    assert_eq!(inside.page(AWA, &address, None).unwrap().entries.len(), 1);
    assert_eq!(inside.status(&first.id()).await.unwrap().unwrap().id, first.id());
    let mut stream = inside.stream(AWA).unwrap();
    let InsideItem::Event(StreamEvent::Hello { nonce, .. }) = next(&mut stream).await.unwrap() else {
        panic!("no hello")
    };
    let proof = mailbox.proof(node, ProofMethod::Subscribe, nonce);
    stream.send(&StreamRequest::Subscribe { keys: mailbox.keys, proof, after: None }).await.unwrap();
    let second = mailbox.envelope(2);
    inside.submit(AWA, second.frame().clone()).await.unwrap();
    let mut frames = Vec::new();
    while frames.len() < 2 {
        if let InsideItem::Envelope(of, _, frame) = next(&mut stream).await.unwrap() {
            assert_eq!(of, address);
            frames.push(frame);
        }
    }
    assert_eq!(frames, [first.frame(), second.frame()].map(Clone::clone));

    let nonce = inside.nonces(AWA, 1).unwrap().nonces[0];
    let gone = Unregistration { keys: mailbox.keys, proof: mailbox.proof(node, ProofMethod::Unregister, nonce) };
    inside.unregister(AWA, address, gone).await.unwrap();
    assert_eq!(inside.page(AWA, &address, None).unwrap_err().reason(), Some("not-registered"));

    // Its end is the end of its streams.
    drop(inside);
    while next(&mut stream).await.is_ok() {}
    daemon.stop().await;
}
