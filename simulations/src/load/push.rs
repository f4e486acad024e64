//! Submit at one node, push at another: one message at a time, as a person waits for it.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use griot_client::home::{Connection, HomeStream, StreamItem, Target};
use griot_protocol::{
    Grant, NetworkParams, Proof, ProofMethod, RecordId, Timestamp, Unverified,
    api::{NodeInfo, Registration, StreamEvent, StreamRequest},
};

use super::{
    LoadError,
    latency::Latency,
    records::{self, Mailbox},
};

/// How long one push is waited for.
const PUSH_WAIT: Duration = Duration::from_secs(30);

/// How long the reader's node may issue receipts for the load's mailbox.
const GRANT_SECONDS: u64 = 3600;

/// Times `count` messages from the submission at `writer` to their push at `reader`.
pub(super) async fn run(
    writer: &Target,
    reader: &Target,
    params: &NetworkParams,
    count: usize,
    size: usize,
) -> Result<Latency, LoadError> {
    let mut reading = Connection::new(reader.clone().into());
    let info = reading.greet().await?;
    let mailbox = in_a_shard_of(&info, params)?;
    register(&mut reading, &info, &mailbox, params).await?;
    let mut stream = subscribe(reader, &mailbox, params).await?;
    let mut writing = Connection::new(writer.clone().into());
    let mut samples = Vec::with_capacity(count);
    for _ in 0..count {
        let record = records::one(&mailbox, params, size)?;
        let begun = Instant::now();
        writing.submit(record.frame().clone()).await?;
        await_push(&mut stream, record.id()).await?;
        samples.push(begun.elapsed());
    }
    Ok(Latency::of(&samples))
}

/// A mailbox in a shard that the reader's node carries, as a client would make it.
pub(crate) fn in_a_shard_of(info: &NodeInfo, params: &NetworkParams) -> Result<Mailbox, LoadError> {
    let mut mailbox = Mailbox::fresh()?;
    if let Some(shard) = info.shards.first() {
        let ground = mailbox.keys.grind_into(griot_protocol::Shard(*shard), params.bits);
        mailbox.keys = ground.ok_or_else(|| LoadError::Options("no mailbox falls into the node's shard".to_owned()))?;
    }
    Ok(mailbox)
}

pub(crate) async fn register(
    reading: &mut Connection,
    info: &NodeInfo,
    mailbox: &Mailbox,
    params: &NetworkParams,
) -> Result<(), LoadError> {
    let address = mailbox.keys.address();
    let nonces = reading.nonces().await?;
    let nonce = *nonces.nonces.first().ok_or_else(|| LoadError::Options("the node gave no nonce".to_owned()))?;
    let seconds = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
    let until = Timestamp(seconds).plus(GRANT_SECONDS);
    let grant = Grant::issue(&params.name, &mailbox.collect, &address, &info.node_id, until);
    let proof = Proof::make(&params.name, &mailbox.collect, &info.node_id, ProofMethod::Register, &address, nonce);
    reading.register(&address, &Registration { keys: mailbox.keys, grant, proof }).await?;
    Ok(())
}

pub(crate) async fn subscribe(
    reader: &Target,
    mailbox: &Mailbox,
    params: &NetworkParams,
) -> Result<HomeStream, LoadError> {
    let mut stream = HomeStream::open(reader).await?;
    let address = mailbox.keys.address();
    let proof =
        Proof::make(&params.name, &mailbox.collect, &stream.node(), ProofMethod::Subscribe, &address, stream.nonce());
    stream.send(&StreamRequest::Subscribe { keys: mailbox.keys, proof, after: None }).await?;
    loop {
        match stream.next().await? {
            StreamItem::Event(StreamEvent::Live { .. }) => return Ok(stream),
            StreamItem::Event(StreamEvent::Refused { detail, .. }) => {
                return Err(LoadError::Options(format!("the reader's node refused the subscription: {detail}")));
            }
            _ => {}
        }
    }
}

async fn await_push(stream: &mut HomeStream, id: RecordId) -> Result<(), LoadError> {
    let lost = || LoadError::Options(format!("{id} was not pushed within {PUSH_WAIT:?}"));
    let wait = async {
        loop {
            if let StreamItem::Envelope { frame, .. } = stream.next().await?
                && Unverified::parse(frame).is_ok_and(|record| record.claimed().id() == id)
            {
                return Ok::<(), LoadError>(());
            }
        }
    };
    tokio::time::timeout(PUSH_WAIT, wait).await.map_err(|_| lost())?
}
