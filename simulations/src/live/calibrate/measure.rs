//! The run itself: writers who submit at their time, readers who listen, and two readings of the clock for each message.

use std::{
    collections::BTreeMap,
    sync::Arc,
    time::{Duration, Instant},
};

use griot_client::{
    core::{Home, HomeId},
    home::{Connection, HomeStream, Patience, StreamItem, Target},
};
use griot_protocol::{
    NetworkParams, Record, RecordId, Unverified,
    ack::{self, AckItem},
};
use tokio::sync::{Mutex, mpsc};

use super::{CalibrateError, plan::CalibrationPlan};
use crate::load::{
    push,
    records::{self, Mailbox},
};

/// How long the last messages are waited for: two rounds of anti-entropy, should gossip have lost them.
const STRAGGLERS: Duration = Duration::from_secs(90);

/// Pushes that wait to be noted down.
const PUSHES_QUEUED: usize = 1024;

/// When one message was accepted and pushed, measured from its submission.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Sample {
    /// Until the writer's node answered that it is on its disk.
    pub accepted: Duration,
    /// Until the reader had it; nothing, if it never did.
    pub pushed: Option<Duration>,
    /// How much later than planned it was submitted.
    pub behind: Duration,
}

/// One node as its users see it.
struct Station {
    target: Arc<Target>,
    mailbox: Mailbox,
    /// Connections that nobody uses at the moment: each carries one request at a time.
    idle: Mutex<Vec<Connection>>,
}

impl Station {
    async fn submit(&self, record: &Record) -> Result<(), CalibrateError> {
        let idle = self.idle.lock().await.pop();
        let mut connection = idle.unwrap_or_else(|| Connection::new(Arc::clone(&self.target)));
        connection.submit(record.frame().clone()).await?;
        self.idle.lock().await.push(connection);
        Ok(())
    }
}

/// A network of stations with a reader at each, ready to be measured.
pub(super) struct Measure {
    stations: Arc<Vec<Station>>,
    params: NetworkParams,
    pushes: mpsc::Receiver<(RecordId, Instant)>,
    readers: tokio::task::JoinSet<Result<(), CalibrateError>>,
    records: Vec<Record>,
}

impl Measure {
    /// Registers a mailbox at each node, listens to it, and makes every message of the plan.
    pub(super) async fn prepare(plan: &CalibrationPlan, urls: Vec<String>) -> Result<Self, CalibrateError> {
        let mut stations = Vec::with_capacity(urls.len());
        let mut streams = Vec::with_capacity(urls.len());
        let mut params = None;
        for url in urls {
            let home = Home { id: HomeId(0), url, token: None, fingerprint: None, insecure_http: false };
            let target = Arc::new(Target::of(&home, Patience::default())?);
            let mut connection = Connection::new(Arc::clone(&target));
            let info = connection.greet().await?;
            let its_params = records::params(&target).await?;
            let mailbox = push::in_a_shard_of(&info, &its_params)?;
            push::register(&mut connection, &info, &mailbox, &its_params).await?;
            streams.push(push::subscribe(&target, &mailbox, &its_params).await?);
            stations.push(Station { target, mailbox, idle: Mutex::new(vec![connection]) });
            params = Some(its_params);
        }
        let params = params.ok_or_else(|| CalibrateError::Options("no nodes".to_owned()))?;
        let stations = Arc::new(stations);
        let (note, pushes) = mpsc::channel(PUSHES_QUEUED);
        let mut readers = tokio::task::JoinSet::new();
        for (place, stream) in streams.into_iter().enumerate() {
            let reader = Reader {
                stations: Arc::clone(&stations),
                place,
                acks: plan.acks.then(|| params.clone()),
                note: note.clone(),
            };
            readers.spawn(reader.read(stream));
        }
        let mut measure = Self { stations, params, pushes, readers, records: Vec::new() };
        measure.records =
            plan.messages.iter().map(|message| measure.make(plan, message.to)).collect::<Result<_, _>>()?;
        Ok(measure)
    }

    fn make(&self, plan: &CalibrationPlan, to: usize) -> Result<Record, CalibrateError> {
        Ok(records::one(&self.stations[to].mailbox, &self.params, plan.payload_bytes)?)
    }

    /// Bytes of one message's frame.
    pub(super) fn frame_bytes(&self) -> usize {
        self.records.first().map_or(0, |record| record.frame().len())
    }

    /// Submits every message at its time and waits until all are pushed.
    pub(super) async fn run(mut self, plan: &CalibrationPlan) -> Result<Vec<Sample>, CalibrateError> {
        let begun = Instant::now();
        let mut writers = tokio::task::JoinSet::new();
        for (number, (message, record)) in plan.messages.iter().zip(&self.records).enumerate() {
            let (stations, record, from) = (Arc::clone(&self.stations), record.clone(), message.from);
            let due = begun + Duration::from_millis(message.at_ms);
            writers.spawn(async move {
                tokio::time::sleep_until(due.into()).await;
                let submitted = Instant::now();
                stations[from].submit(&record).await?;
                Ok::<_, CalibrateError>((number, submitted, submitted.elapsed(), submitted - due))
            });
        }
        let wanted = self.records.len();
        let span = Duration::from_millis(plan.messages.last().map_or(0, |message| message.at_ms));
        let mut pushed = BTreeMap::new();
        let listen = async {
            while pushed.len() < wanted {
                tokio::select! {
                    Some((id, at)) = self.pushes.recv() => { pushed.entry(id).or_insert(at); }
                    Some(ended) = self.readers.join_next() => {
                        // A reader listens for ever: it ended because something is wrong.
                        ended.map_err(|error| CalibrateError::Options(error.to_string()))??;
                    }
                }
            }
            Ok::<_, CalibrateError>(())
        };
        match tokio::time::timeout_at((begun + span + STRAGGLERS).into(), listen).await {
            // What is missing is in the report.
            Err(_) => {}
            Ok(ended) => ended?,
        }
        let mut samples = vec![None; wanted];
        while let Some(written) = writers.join_next().await {
            let written = written.map_err(|error| CalibrateError::Options(error.to_string()))?;
            let (number, submitted, accepted, behind) = written?;
            let at = pushed.get(&self.records[number].id());
            let pushed = at.map(|at| at.saturating_duration_since(submitted));
            samples[number] = Some(Sample { accepted, pushed, behind });
        }
        Ok(samples.into_iter().flatten().collect())
    }
}

/// Who listens at one node.
struct Reader {
    stations: Arc<Vec<Station>>,
    place: usize,
    /// Whether, and by whose rules, it sends acks.
    acks: Option<NetworkParams>,
    note: mpsc::Sender<(RecordId, Instant)>,
}

impl Reader {
    async fn read(self, mut stream: HomeStream) -> Result<(), CalibrateError> {
        loop {
            let StreamItem::Envelope { frame, .. } = stream.next().await? else { continue };
            let at = Instant::now();
            let record = Unverified::parse(frame).map_err(|refusal| CalibrateError::Options(refusal.to_string()))?;
            let claimed = record.claimed();
            let item = AckItem { created_at: claimed.body().created_at(), id: claimed.id() };
            if self.note.send((item.id, at)).await.is_err() {
                // The measuring is over.
                return Ok(());
            }
            if let Some(params) = &self.acks {
                let station = &self.stations[self.place];
                let ack = ack::make(params, &station.mailbox.collect, station.mailbox.keys, true, vec![item])
                    .map_err(|refusal| CalibrateError::Options(refusal.to_string()))?;
                station.submit(&ack).await?;
            }
        }
    }
}
