//! Making records before the clock starts.

use std::time::{SystemTime, UNIX_EPOCH};

use griot_client::home::{Connection, Target};
use griot_protocol::{
    CollectSecret, DeliverSecret, MailboxKeys, MailboxKind, NetworkName, NetworkParams, Record, ShardBits, Timestamp,
    envelope, padding,
};

use super::LoadError;

/// How long load records live: an hour, so that a node that is loaded by mistake forgets them soon.
const LIFE_SECONDS: u64 = 3600;

/// A mailbox with its secrets.
pub(crate) struct Mailbox {
    pub keys: MailboxKeys,
    pub deliver: DeliverSecret,
    pub collect: CollectSecret,
}

impl Mailbox {
    /// A fresh one.
    pub(crate) fn fresh() -> Result<Self, LoadError> {
        let deliver = DeliverSecret::from_bytes(&random()?);
        let collect = CollectSecret::from_bytes(&random()?);
        let keys =
            MailboxKeys { kind: MailboxKind::Direct, deliver: deliver.public(), collect: collect.public(), nonce: 0 };
        Ok(Self { keys, deliver, collect })
    }
}

/// What the node's network demands.
pub(crate) async fn params(target: &Target) -> Result<NetworkParams, LoadError> {
    let info = Connection::new(target.clone().into()).greet().await?;
    let unusable = |what: &str| LoadError::Options(format!("the node announces an impossible {what}"));
    Ok(NetworkParams {
        name: info.network.parse::<NetworkName>().map_err(|_| unusable("network name"))?,
        bits: ShardBits::try_from(info.bits).map_err(|_| unusable("number of shard bits"))?,
        postage_bits: info.postage_bits,
    })
}

/// Makes `count` records of `size` payload bytes for a mailbox of their own, on all cores.
pub(super) async fn make(params: &NetworkParams, count: usize, size: usize) -> Result<Vec<Record>, LoadError> {
    let mailbox = std::sync::Arc::new(Mailbox::fresh()?);
    let workers = std::thread::available_parallelism().map_or(1, usize::from);
    let mut tasks = Vec::new();
    for worker in 0..workers {
        let share = count / workers + usize::from(worker < count % workers);
        let (mailbox, params) = (std::sync::Arc::clone(&mailbox), params.clone());
        tasks.push(tokio::task::spawn_blocking(move || make_some(&mailbox, &params, share, size)));
    }
    let mut records = Vec::with_capacity(count);
    for task in tasks {
        records.extend(task.await.map_err(|error| LoadError::Options(error.to_string()))??);
    }
    Ok(records)
}

fn make_some(mailbox: &Mailbox, params: &NetworkParams, count: usize, size: usize) -> Result<Vec<Record>, LoadError> {
    (0..count).map(|_| one(mailbox, params, size)).collect()
}

/// The time, to the minute.
pub(super) fn minute() -> Timestamp {
    let seconds = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
    Timestamp(seconds).floor_minute()
}

/// One record with a random payload.
pub(crate) fn one(mailbox: &Mailbox, params: &NetworkParams, size: usize) -> Result<Record, LoadError> {
    living(mailbox, params, size, minute(), LIFE_SECONDS)
}

/// One that lives for so long from then on.
pub(super) fn living(
    mailbox: &Mailbox,
    params: &NetworkParams,
    size: usize,
    from: Timestamp,
    life_seconds: u64,
) -> Result<Record, LoadError> {
    let bucket = padding::bucket_for(size).ok_or_else(|| LoadError::Options("--size is too large".to_owned()))?;
    let mut payload = vec![0; 1 + bucket];
    getrandom::fill(&mut payload[1..]).map_err(|error| LoadError::Options(error.to_string()))?;
    envelope::seal(params, &mailbox.deliver, mailbox.keys, from, from.plus(life_seconds), payload)
        .map_err(|refusal| LoadError::Options(refusal.to_string()))
}

fn random() -> Result<[u8; 32], LoadError> {
    let mut bytes = [0; 32];
    getrandom::fill(&mut bytes).map_err(|error| LoadError::Options(error.to_string()))?;
    Ok(bytes)
}
