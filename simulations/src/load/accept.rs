//! Durable accepts: so many connections, each with one request in flight.

use std::{
    collections::BTreeSet,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use griot_client::home::{Connection, Target};
use griot_protocol::{Record, RecordId};

use super::{LoadError, latency::Latency};

/// Connections that ask for records after a restart.
const READERS: usize = 16;

/// What one run gave.
pub(super) struct Accepts {
    /// Distinct ids answered 202.
    pub ids: Vec<RecordId>,
    pub failed: usize,
    pub seconds: f64,
    pub latency: Latency,
}

#[derive(Default)]
struct Share {
    ids: Vec<RecordId>,
    samples: Vec<Duration>,
    failed: usize,
}

/// Submits all of `records`, `in_flight` at a time.
pub(super) async fn run(target: &Target, records: Vec<Record>, in_flight: usize) -> Result<Accepts, LoadError> {
    let target = Arc::new(target.clone());
    let mut connections = Vec::with_capacity(in_flight);
    for _ in 0..in_flight {
        let mut connection = Connection::new(Arc::clone(&target));
        connection.greet().await?;
        connections.push(connection);
    }
    let queue = Arc::new(Mutex::new(records));
    let begun = Instant::now();
    let tasks: Vec<_> = connections
        .into_iter()
        .map(|connection| tokio::spawn(submit_until_empty(connection, Arc::clone(&queue))))
        .collect();
    let mut all = Share::default();
    for task in tasks {
        let share = task.await.map_err(|error| LoadError::Options(error.to_string()))?;
        all.ids.extend(share.ids);
        all.samples.extend(share.samples);
        all.failed += share.failed;
    }
    let seconds = begun.elapsed().as_secs_f64();
    let distinct: BTreeSet<RecordId> = all.ids.into_iter().collect();
    let latency = Latency::of(&all.samples);
    Ok(Accepts { ids: distinct.into_iter().collect(), failed: all.failed, seconds, latency })
}

async fn submit_until_empty(mut connection: Connection, queue: Arc<Mutex<Vec<Record>>>) -> Share {
    let mut share = Share::default();
    loop {
        let next = queue.lock().unwrap_or_else(PoisonError::into_inner).pop();
        let Some(record) = next else { return share };
        let begun = Instant::now();
        match connection.submit(record.frame().clone()).await {
            Ok(accepted) if accepted.id == record.id() && !accepted.duplicate => {
                share.samples.push(begun.elapsed());
                share.ids.push(accepted.id);
            }
            Ok(_) | Err(_) => share.failed += 1,
        }
    }
}

/// Which of `ids` the node does not know.
pub(super) async fn missing(target: &Target, ids: &[RecordId]) -> Result<Vec<RecordId>, LoadError> {
    let target = Arc::new(target.clone());
    let tasks: Vec<_> = ids
        .chunks(ids.len().div_ceil(READERS).max(1))
        .map(|chunk| tokio::spawn(missing_of(Arc::clone(&target), chunk.to_vec())))
        .collect();
    let mut lost = Vec::new();
    for task in tasks {
        lost.extend(task.await.map_err(|error| LoadError::Options(error.to_string()))??);
    }
    Ok(lost)
}

async fn missing_of(target: Arc<Target>, ids: Vec<RecordId>) -> Result<Vec<RecordId>, LoadError> {
    let mut connection = Connection::new(target);
    let mut lost = Vec::new();
    for id in ids {
        if connection.status(&id).await?.is_none() {
            lost.push(id);
        }
    }
    Ok(lost)
}
