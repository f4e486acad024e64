//! People who write to each other and read, as clients do: through the nodes' API, at their homes.
//!
//! A writer offers a message to one home after the other until one says *accepted*, and then leaves it to the network. A
//! reader keeps a stream to each home, resumes it from its last cursor, drops what it has already, and acks what it has
//! collected at any home that answers. Now and then somebody is away for a while, and somebody reads a whole mailbox from the
//! start, as a new device would. Everything that a node answers goes into the history.

use std::{
    collections::BTreeSet,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use bytes::Bytes;
use griot_client::home::{HomeClient, HomeError, HomeStream, Patience, StreamItem, Target};
use griot_protocol::{
    AckItem, Cursor, Grant, NetworkParams, Proof, ProofMethod, Record, RecordId, Timestamp, Unverified, ack,
    api::{Registration, StreamEvent, StreamRequest},
    envelope,
};
use tokio::{sync::mpsc, task::JoinSet, time::sleep};

use super::{
    ChaosError,
    history::{History, What},
    plan::{ChaosPlan, PlannedMessage},
};
use crate::{
    live::wire::draw,
    load::records::{self, Mailbox},
    random::Random,
};

/// How long a reader's nodes may issue receipts: longer than any run.
const GRANT_SECONDS: u64 = 30 * 86_400;

/// Between two tries of anything that failed.
const RETRY: Duration = Duration::from_millis(700);

/// Failures of one message that are noted: after that they say the same.
const FAILURES_NOTED: usize = 4;

/// The longest time that what was collected waits for more before it is acked.
const ACK_DELAY_MS_MAX: u64 = 2_500;

/// Envelopes in one ack.
const ACK_ITEMS_MAX: usize = 64;

/// The mean time between two absences of one reader from one home.
const AWAY_EVERY_MS: f64 = 40_000.0;

/// The longest absence.
const AWAY_MS_MAX: u64 = 12_000;

/// The mean time between two readings of one mailbox from the start.
const REREAD_EVERY_MS: f64 = 30_000.0;

/// One person.
struct Person {
    homes: Vec<usize>,
    mailbox: Mailbox,
    /// What they have.
    seen: Mutex<BTreeSet<RecordId>>,
    /// What they have and did not ack yet.
    collected: mpsc::UnboundedSender<AckItem>,
}

/// Everybody, and the way to every node.
pub(super) struct Town {
    plan: Arc<ChaosPlan>,
    params: NetworkParams,
    nodes: Vec<HomeClient>,
    people: Vec<Person>,
    /// What is to be acked, until somebody does.
    to_ack: Mutex<Vec<Option<mpsc::UnboundedReceiver<AckItem>>>>,
    history: Arc<History>,
    feeds: AtomicU64,
}

impl Town {
    /// Gives everybody a mailbox and registers it with their homes. Nothing is noted yet.
    pub(super) async fn settle(
        plan: Arc<ChaosPlan>,
        urls: &[String],
        history: Arc<History>,
    ) -> Result<Arc<Self>, ChaosError> {
        let target =
            |url: &String| Target::new(url.parse().map_err(HomeError::Url)?, None, None, false, Patience::default());
        let targets: Vec<Target> = urls.iter().map(target).collect::<Result<_, HomeError>>()?;
        let first = targets.first().ok_or_else(|| ChaosError::Impossible("no nodes".to_owned()))?;
        let params = records::params(first).await?;
        let nodes: Vec<HomeClient> = targets.into_iter().map(HomeClient::new).collect();
        let (mut people, mut to_ack) = (Vec::new(), Vec::new());
        for homes in &plan.people {
            let mailbox = Mailbox::fresh()?;
            for home in homes {
                register(&nodes[*home], &mailbox, &params).await?;
            }
            let (collected, receiver) = mpsc::unbounded_channel();
            people.push(Person { homes: homes.clone(), mailbox, seen: Mutex::default(), collected });
            to_ack.push(Some(receiver));
        }
        let to_ack = Mutex::new(to_ack);
        Ok(Arc::new(Self { plan, params, nodes, people, to_ack, history, feeds: AtomicU64::new(0) }))
    }

    /// Everybody begins to read and to ack; they go on until the set is dropped.
    pub(super) fn begin_reading(self: &Arc<Self>) -> JoinSet<()> {
        let mut tasks = JoinSet::new();
        for (number, person) in self.people.iter().enumerate() {
            for home in person.homes.clone() {
                tasks.spawn(Arc::clone(self).read(number, home));
            }
            tasks.spawn(Arc::clone(self).reread(number));
            let mut to_ack = self.to_ack.lock().unwrap_or_else(PoisonError::into_inner);
            if let Some(receiver) = to_ack.get_mut(number).and_then(Option::take) {
                tasks.spawn(Arc::clone(self).ack(number, receiver));
            }
        }
        tasks
    }

    /// Every message is written at its time. The set is empty once all of them were accepted.
    pub(super) fn begin_writing(self: &Arc<Self>) -> JoinSet<()> {
        let mut tasks = JoinSet::new();
        for (number, message) in self.plan.messages.iter().copied().enumerate() {
            tasks.spawn(Arc::clone(self).write(number, message));
        }
        tasks
    }

    /// The way to a node.
    pub(super) fn node(&self, number: usize) -> Option<&HomeClient> {
        self.nodes.get(number)
    }

    async fn write(self: Arc<Self>, number: usize, message: PlannedMessage) {
        let due = self.history.begun() + Duration::from_millis(message.at_ms);
        tokio::time::sleep_until(due.into()).await;
        let record = match seal(&self.params, &self.people[message.reader].mailbox, &message) {
            Ok(record) => record,
            Err(error) => return self.history.note(What::Fault { text: format!("message {number}: {error}") }),
        };
        let id = record.id().to_string();
        let left_ms = record_expiry(&record).since(now()) * 1000;
        let expires_ms = self.history.now_ms() + left_ms;
        let (writer, reader) = (message.writer, message.reader);
        self.history.note(What::Sent { id: id.clone(), writer, reader, expires_ms });
        let mut homes = self.people[writer].homes.clone();
        let first = number % homes.len();
        homes.rotate_left(first);
        let mut failures = 0;
        loop {
            let mut refused = Vec::new();
            for node in homes {
                let asked_ms = self.history.now_ms();
                match self.nodes[node].submit(record.frame().clone()).await {
                    Ok(_) => {
                        self.history.note(What::Accepted { id: id.clone(), node, asked_ms });
                        if !message.to_all_homes {
                            return;
                        }
                    }
                    Err(error) => {
                        failures += 1;
                        if failures <= FAILURES_NOTED {
                            self.history.note(What::NotAccepted { id: id.clone(), node, why: error.to_string() });
                        }
                        refused.push(node);
                    }
                }
            }
            // What has expired is accepted nowhere any more.
            if refused.is_empty() || self.history.now_ms() > expires_ms {
                return;
            }
            homes = refused;
            sleep(RETRY).await;
        }
    }

    /// Keeps a stream to one home.
    async fn read(self: Arc<Self>, reader: usize, home: usize) {
        let feed = self.new_feed();
        let mut cursor = None;
        let mut draw = draw::stream(self.plan.seed, "chaos away", [reader as u64, home as u64]);
        loop {
            let stay = Duration::from_millis(draw.exponential(AWAY_EVERY_MS) as u64);
            let away = match tokio::time::timeout(stay, self.read_stream(reader, home, feed, &mut cursor)).await {
                Ok(Ok(()) | Err(_)) => RETRY,
                Err(_) => Duration::from_millis(draw.below(AWAY_MS_MAX)),
            };
            sleep(away).await;
        }
    }

    async fn read_stream(
        &self,
        reader: usize,
        node: usize,
        feed: u64,
        cursor: &mut Option<Cursor>,
    ) -> Result<(), HomeError> {
        let mailbox = &self.people[reader].mailbox;
        let address = mailbox.keys.address();
        let mut stream = HomeStream::open(self.nodes[node].target()).await?;
        let (name, method) = (&self.params.name, ProofMethod::Subscribe);
        let proof = Proof::make(name, &mailbox.collect, &stream.node(), method, &address, stream.nonce());
        let asked_ms = self.history.now_ms();
        stream.send(&StreamRequest::Subscribe { keys: mailbox.keys, proof, after: *cursor }).await?;
        loop {
            match stream.next().await? {
                StreamItem::Envelope { cursor: next, frame, .. } => {
                    self.take(reader, node, feed, (*cursor, next), frame, asked_ms);
                    *cursor = Some(next);
                }
                StreamItem::Event(StreamEvent::Refused { .. }) => return Ok(()),
                StreamItem::Event(_) => {}
            }
        }
    }

    /// Reads a mailbox from the start, now and then, at one home or another.
    async fn reread(self: Arc<Self>, reader: usize) {
        let mut draw = draw::stream(self.plan.seed, "chaos reread", [reader as u64, 0]);
        loop {
            sleep(Duration::from_millis(draw.exponential(REREAD_EVERY_MS) as u64)).await;
            if let Some(home) = draw.pick(&self.people[reader].homes) {
                // A home that does not answer is asked another time.
                let _ = self.read_all(reader, *home).await;
            }
        }
    }

    /// Reads a mailbox at one home from the start to the end.
    async fn read_all(&self, reader: usize, node: usize) -> Result<(), HomeError> {
        let address = self.people[reader].mailbox.keys.address();
        let feed = self.new_feed();
        let mut after = None;
        loop {
            let asked_ms = self.history.now_ms();
            let page = self.nodes[node].fetch(&address, after).await?;
            for (cursor, frame) in page.entries {
                self.take(reader, node, feed, (after, cursor), frame, asked_ms);
                after = Some(cursor);
            }
            if !page.more {
                return Ok(());
            }
        }
    }

    /// Everybody reads everything once more, at all homes that answer. Says how many did not.
    pub(super) async fn read_everything(&self) -> usize {
        let mut silent = 0;
        for (reader, person) in self.people.iter().enumerate() {
            for home in &person.homes {
                silent += usize::from(self.read_all(reader, *home).await.is_err());
            }
        }
        silent
    }

    /// A reader has an envelope.
    fn take(
        &self,
        reader: usize,
        node: usize,
        feed: u64,
        (after, cursor): (Option<Cursor>, Cursor),
        frame: Bytes,
        asked_ms: u64,
    ) {
        let record = Unverified::parse(frame).and_then(|record| record.verify(&self.params.name));
        // What is no record was sent by nobody, and is judged as such.
        let id =
            record.as_ref().map_or_else(|refusal| format!("no record: {refusal}"), |record| record.id().to_string());
        self.history.note(What::Fed { reader, node, feed, after, cursor, id: id.clone(), asked_ms });
        let person = &self.people[reader];
        let is_new = match &record {
            Ok(record) => person.seen.lock().unwrap_or_else(PoisonError::into_inner).insert(record.id()),
            Err(_) => true,
        };
        if !is_new {
            return;
        }
        self.history.note(What::Delivered { id, reader });
        if let Ok(record) = record {
            let item = AckItem { created_at: record.body().created_at(), id: record.id() };
            // At the end of a run nobody acks any more.
            let _ = person.collected.send(item);
        }
    }

    /// Acks what one person has collected, at any home that answers.
    async fn ack(self: Arc<Self>, reader: usize, mut collected: mpsc::UnboundedReceiver<AckItem>) {
        let person = &self.people[reader];
        let mut draw = draw::stream(self.plan.seed, "chaos acks", [reader as u64, 0]);
        let mut items = Vec::new();
        while collected.recv_many(&mut items, ACK_ITEMS_MAX).await > 0 {
            sleep(Duration::from_millis(draw.below(ACK_DELAY_MS_MAX))).await;
            while items.len() < ACK_ITEMS_MAX
                && let Ok(item) = collected.try_recv()
            {
                items.push(item);
            }
            let ids = items.iter().map(|item| item.id.to_string()).collect();
            let made =
                ack::make(&self.params, &person.mailbox.collect, person.mailbox.keys, true, std::mem::take(&mut items));
            match made {
                Ok(ack) => {
                    let node = self.submit_ack(&ack, &person.homes, &mut draw).await;
                    self.history.note(What::AckAccepted { reader, node, ids });
                }
                Err(refusal) => self.history.note(What::Fault { text: format!("an ack of {reader}: {refusal}") }),
            }
        }
    }

    async fn submit_ack(&self, ack: &Record, homes: &[usize], draw: &mut Random) -> usize {
        loop {
            let mut order = homes.to_vec();
            draw.shuffle(&mut order);
            for node in order {
                if self.nodes[node].submit(ack.frame().clone()).await.is_ok() {
                    return node;
                }
            }
            sleep(RETRY).await;
        }
    }

    fn new_feed(&self) -> u64 {
        self.feeds.fetch_add(1, Ordering::Relaxed)
    }
}

async fn register(home: &HomeClient, mailbox: &Mailbox, params: &NetworkParams) -> Result<(), HomeError> {
    let address = mailbox.keys.address();
    let (node, nonce) = home.nonce().await?;
    let grant = Grant::issue(&params.name, &mailbox.collect, &address, &node, now().plus(GRANT_SECONDS));
    let proof = Proof::make(&params.name, &mailbox.collect, &node, ProofMethod::Register, &address, nonce);
    home.register(&address, &Registration { keys: mailbox.keys, grant, proof }).await?;
    Ok(())
}

/// A message with random content.
fn seal(params: &NetworkParams, mailbox: &Mailbox, message: &PlannedMessage) -> Result<Record, ChaosError> {
    let wrong = |error: &dyn std::fmt::Display| ChaosError::Impossible(error.to_string());
    let mut payload = vec![0; 1 + message.payload_bytes];
    getrandom::fill(&mut payload[1..]).map_err(|error| wrong(&error))?;
    let created_at = now().floor_minute();
    // Its life counts from now, not from the beginning of the minute.
    let expires_at = now().plus(message.life_seconds);
    envelope::seal(params, &mailbox.deliver, mailbox.keys, created_at, expires_at, payload)
        .map_err(|refusal| wrong(&refusal))
}

fn record_expiry(record: &Record) -> Timestamp {
    record.body().expires_at()
}

fn now() -> Timestamp {
    Timestamp(SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs()))
}
