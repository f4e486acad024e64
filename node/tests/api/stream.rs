//! Streams: what waited, what comes, and going on after a break from the last cursor seen.

use super::daemon::{Daemon, Mailbox};
use futures::{SinkExt, StreamExt};
use griot_protocol::{
    Cursor, Nonce, ProofMethod, RecordId,
    api::{StreamEvent, StreamRequest},
    feed,
};
use tokio::net::UnixStream;
use tokio_tungstenite::{WebSocketStream, client_async, tungstenite::Message};

struct Reader {
    socket: WebSocketStream<UnixStream>,
    nonce: Nonce,
}

#[derive(Debug)]
enum Heard {
    Envelope(Cursor, Vec<u8>),
    Event(StreamEvent),
}

impl Reader {
    async fn open(daemon: &Daemon) -> Self {
        let (mut socket, _) = client_async("ws://localhost/v1/stream", daemon.socket().await).await.unwrap();
        let hello = socket.next().await.unwrap().unwrap().into_text().unwrap();
        let StreamEvent::Hello { node_id, nonce } = serde_json::from_str(&hello).unwrap() else { panic!("{hello}") };
        assert_eq!(node_id, daemon.node.handle().node_id());
        Self { socket, nonce }
    }

    async fn say(&mut self, request: &StreamRequest) {
        self.socket.send(Message::text(serde_json::to_string(request).unwrap())).await.unwrap();
    }

    async fn subscribe(&mut self, daemon: &Daemon, mailbox: &Mailbox, after: Option<Cursor>) {
        let proof = mailbox.proof(daemon.node.handle().node_id(), ProofMethod::Subscribe, self.nonce);
        self.say(&StreamRequest::Subscribe { keys: mailbox.keys, proof, after }).await;
    }

    async fn hear(&mut self) -> Heard {
        loop {
            let next = tokio::time::timeout(std::time::Duration::from_secs(20), self.socket.next()).await;
            match next.expect("nothing came").unwrap().unwrap() {
                Message::Binary(bytes) => {
                    let (_, cursor, frame) = feed::read_stream_message(&bytes).unwrap();
                    return Heard::Envelope(cursor, frame.to_vec());
                }
                Message::Text(text) => return Heard::Event(serde_json::from_str(&text).unwrap()),
                _ => {}
            }
        }
    }

    /// Reads up to `Live`; gives what came before it.
    async fn until_live(&mut self) -> Vec<(Cursor, Vec<u8>)> {
        let mut envelopes = Vec::new();
        loop {
            match self.hear().await {
                Heard::Envelope(cursor, frame) => envelopes.push((cursor, frame)),
                Heard::Event(StreamEvent::Live { .. }) => return envelopes,
                Heard::Event(StreamEvent::Subscribed { .. }) => {}
                Heard::Event(other) => panic!("{other:?}"),
            }
        }
    }
}

#[tokio::test]
async fn what_waited_comes_first_then_what_is_new_and_a_break_loses_nothing() {
    let daemon = Daemon::start(|_| {}).await;
    let mailbox = Mailbox::new(1);
    daemon.register(&mailbox).await;
    // More than one page of the stream.
    let waiting: Vec<_> = (0..40).map(|n| mailbox.envelope(n).frame().to_vec()).collect();
    for frame in &waiting {
        assert_eq!(daemon.submit(frame.clone().into()).await.status, 202);
    }
    let mut reader = Reader::open(&daemon).await;
    reader.subscribe(&daemon, &mailbox, None).await;
    let first = reader.until_live().await;
    assert_eq!(first.iter().map(|(_, frame)| frame).collect::<Vec<_>>(), waiting.iter().collect::<Vec<_>>());

    let new = mailbox.envelope(100);
    daemon.submit(new.frame().clone()).await;
    let Heard::Envelope(cursor, frame) = reader.hear().await else { panic!("an envelope should have come") };
    assert_eq!(frame, new.frame().to_vec());
    drop(reader);

    let missed = mailbox.envelope(101);
    daemon.submit(missed.frame().clone()).await;
    let mut reader = Reader::open(&daemon).await;
    reader.subscribe(&daemon, &mailbox, Some(cursor)).await;
    let rest = reader.until_live().await;
    assert_eq!(rest.into_iter().map(|(_, frame)| frame).collect::<Vec<_>>(), vec![missed.frame().to_vec()]);

    // The node ends streams when it stops, and does not wait for readers.
    let begun = std::time::Instant::now();
    daemon.stop().await;
    assert!(begun.elapsed().as_secs() < 5);
}

#[tokio::test]
async fn a_reader_that_falls_behind_is_told_how_far_and_loses_nothing() {
    let daemon = Daemon::start(|_| {}).await;
    let mailbox = Mailbox::new(6);
    daemon.register(&mailbox).await;
    let mut reader = Reader::open(&daemon).await;
    reader.subscribe(&daemon, &mailbox, None).await;
    assert!(reader.until_live().await.is_empty());
    // Four megabytes while nobody reads: more than the system and the node hold back for a reader.
    let mut sent = Vec::new();
    for n in 0..64 {
        let frame = mailbox.envelope_of(n, 65_536).frame().clone();
        assert_eq!(daemon.submit(frame.clone()).await.status, 202);
        sent.push(frame.to_vec());
    }
    let (mut got, mut lags) = (Vec::new(), Vec::new());
    loop {
        match reader.hear().await {
            Heard::Envelope(_, frame) => got.push(frame),
            Heard::Event(StreamEvent::Lag { address, behind }) => {
                assert_eq!(address, mailbox.address());
                lags.push((got.len(), behind));
            }
            Heard::Event(StreamEvent::Live { .. }) => break,
            Heard::Event(other) => panic!("{other:?}"),
        }
    }
    assert!(got == sent, "{} of {} came, in order or not", got.len(), sent.len());
    let [(read, behind)] = lags[..] else { panic!("told once: {lags:?}") };
    assert_eq!(read as u64 + behind, sent.len() as u64, "all that was not sent yet waits");
    assert!(behind > 0);

    // Having caught up, it is told of the next one at once, and nothing of a lag.
    let next = mailbox.envelope(200);
    daemon.submit(next.frame().clone()).await;
    let heard = reader.hear().await;
    assert!(matches!(&heard, Heard::Envelope(_, frame) if *frame == next.frame().to_vec()), "{heard:?}");
    drop(reader);
    daemon.stop().await;
}

#[tokio::test]
async fn a_subscription_needs_the_collect_key_and_this_connections_nonce() {
    let daemon = Daemon::start(|_| {}).await;
    let (mailbox, other) = (Mailbox::new(2), Mailbox::new(3));
    let node = daemon.node.handle().node_id();
    let mut reader = Reader::open(&daemon).await;
    let second = Reader::open(&daemon).await;
    let proofs = [
        other.proof(node, ProofMethod::Subscribe, reader.nonce),
        mailbox.proof(node, ProofMethod::Register, reader.nonce),
        mailbox.proof(node, ProofMethod::Subscribe, second.nonce),
        mailbox.proof(node, ProofMethod::Subscribe, Nonce([0; 32])),
    ];
    for proof in proofs {
        reader.say(&StreamRequest::Subscribe { keys: mailbox.keys, proof, after: None }).await;
        let heard = reader.hear().await;
        let Heard::Event(StreamEvent::Refused { address, .. }) = heard else { panic!("{heard:?}") };
        assert_eq!(address, Some(mailbox.address()));
    }
    // Refusals leave the stream usable; what nobody understands is refused too.
    reader.socket.send(Message::text("{\"type\":\"of a newer version\"}")).await.unwrap();
    assert!(matches!(reader.hear().await, Heard::Event(StreamEvent::Refused { .. })));
    reader.subscribe(&daemon, &mailbox, None).await;
    assert!(reader.until_live().await.is_empty());
    drop((reader, second));
    daemon.stop().await;
}

#[tokio::test]
async fn a_client_that_only_sends_nonsense_is_hung_up_on() {
    let daemon = Daemon::start(|_| {}).await;
    let mut reader = Reader::open(&daemon).await;
    let mut closed = false;
    for _ in 0..80 {
        if reader.socket.send(Message::text("nonsense")).await.is_err() {
            closed = true;
            break;
        }
    }
    while let Some(Ok(message)) = reader.socket.next().await {
        closed |= message.is_close();
    }
    assert!(closed);
    daemon.stop().await;
}

#[tokio::test]
async fn an_unsubscribed_mailbox_is_silent_and_a_watched_record_has_news() {
    let daemon = Daemon::start(|_| {}).await;
    let (quiet, loud) = (Mailbox::new(4), Mailbox::new(5));
    daemon.register(&quiet).await;
    let mut reader = Reader::open(&daemon).await;
    reader.subscribe(&daemon, &quiet, None).await;
    reader.until_live().await;
    reader.subscribe(&daemon, &loud, None).await;
    reader.until_live().await;
    reader.say(&StreamRequest::Unsubscribe { address: quiet.address() }).await;
    // Requests are served in order: the answer to this one means that the first was served.
    reader.subscribe(&daemon, &loud, None).await;
    reader.until_live().await;

    let envelope = quiet.envelope(0);
    let id: RecordId = envelope.id();
    reader.say(&StreamRequest::Watch { id }).await;
    reader.subscribe(&daemon, &loud, None).await;
    reader.until_live().await;
    daemon.submit(envelope.frame().clone()).await;
    // The mailbox is registered here, so the node issues a receipt: news of the watched record, no envelope.
    let heard = reader.hear().await;
    assert!(matches!(&heard, Heard::Event(StreamEvent::Status { id: told }) if *told == id), "{heard:?}");
    drop(reader);
    daemon.stop().await;
}
