//! What is to be done at the homes, derived from what is stored.
//!
//! Only *when* to try again is in memory: a new process tries everything at once, which is what somebody who just
//! typed a command wants.

use std::collections::BTreeMap;

use bytes::Bytes;
use griot_protocol::{RecordId, Timestamp};

use super::{
    error::ClientError,
    limits::{
        ASK_PAUSE_SECONDS_MAX, ASK_PAUSE_SECONDS_MIN, FETCH_EVERY_SECONDS, GREET_EVERY_SECONDS, HOME_PAUSE_SECONDS_MAX,
        OFFER_AGAIN_SECONDS, WORK_FORGOTTEN_SECONDS, WORK_MAX,
    },
    rows::{self, HomeRow, MailboxRow, QueuedKind, QueuedRow, key},
    types::{HomeId, Work},
};
use crate::store::Store;

/// Names a piece of work: kind, home, record or address.
type WorkKey = (u8, HomeId, [u8; 32]);

/// When a home is to be tried again.
#[derive(Default)]
struct Health {
    failures: u32,
    retry_at: Timestamp,
    error: Option<String>,
    answered_at: Option<Timestamp>,
}

/// When a piece of work is to be done again.
struct Due {
    at: Timestamp,
    pause_seconds: u64,
}

/// What was handed out, what failed, what is to wait.
#[derive(Default)]
pub(super) struct Timers {
    homes: BTreeMap<HomeId, Health>,
    issued: BTreeMap<WorkKey, Timestamp>,
    due: BTreeMap<WorkKey, Due>,
}

fn key_of(work: &Work) -> WorkKey {
    match work {
        Work::Greet { home } => (0, *home, [0; 32]),
        Work::Register { home, address } => (1, *home, address.0),
        Work::Unregister { home, address } => (2, *home, address.0),
        Work::Submit { home, id, .. } => (3, *home, id.0),
        Work::Fetch { home, address, .. } => (4, *home, address.0),
        Work::Ask { home, id } => (5, *home, id.0),
    }
}

impl Timers {
    /// Forgets all pauses.
    pub fn refresh(&mut self) {
        self.due.clear();
        for health in self.homes.values_mut() {
            health.retry_at = Timestamp(0);
        }
    }

    /// The home answered, whatever it said.
    pub fn answered(&mut self, work: &Work, now: Timestamp) {
        self.issued.remove(&key_of(work));
        let health = self.homes.entry(work.home()).or_default();
        *health = Health { answered_at: Some(now), ..Health::default() };
    }

    /// The home did not answer. `true` where that is news.
    pub fn unreachable(&mut self, work: &Work, now: Timestamp, error: &str) -> bool {
        self.issued.remove(&key_of(work));
        let health = self.homes.entry(work.home()).or_default();
        // Work that was in flight together fails together: that is one failure.
        let again = now < health.retry_at;
        if !again {
            health.failures = health.failures.saturating_add(1);
            let pause = 1u64 << health.failures.min(6);
            health.retry_at = now.plus(pause.min(HOME_PAUSE_SECONDS_MAX));
        }
        health.error = Some(error.to_owned());
        !again && health.failures == 1
    }

    /// The home answered, and will not do what a home is for.
    pub fn refused(&mut self, home: HomeId, error: &str) {
        self.homes.entry(home).or_default().error = Some(error.to_owned());
    }

    /// Lets a piece of work wait, twice as long as the last time.
    pub fn pause(&mut self, work: &Work, now: Timestamp) {
        let pause =
            self.due.get(&key_of(work)).map_or(ASK_PAUSE_SECONDS_MIN, |due| due.pause_seconds.saturating_mul(2));
        self.pause_for(work, now, pause.clamp(ASK_PAUSE_SECONDS_MIN, ASK_PAUSE_SECONDS_MAX));
    }

    /// Lets a piece of work wait.
    pub fn pause_for(&mut self, work: &Work, now: Timestamp, pause_seconds: u64) {
        self.due.insert(key_of(work), Due { at: now.plus(pause_seconds), pause_seconds });
    }

    /// Lets a mailbox be read again at once.
    pub fn clear(&mut self, work: &Work) {
        self.due.remove(&key_of(work));
    }

    pub fn remove_home(&mut self, home: HomeId) {
        self.homes.remove(&home);
        self.due.retain(|(_, of, _), _| *of != home);
        self.issued.retain(|(_, of, _), _| *of != home);
    }

    pub fn error_of(&self, home: HomeId) -> (Option<Timestamp>, Option<String>) {
        self.homes.get(&home).map_or((None, None), |health| (health.answered_at, health.error.clone()))
    }

    /// Whether a home answered when it was last tried in this run.
    pub fn is_reachable(&self, home: HomeId) -> bool {
        self.homes.get(&home).is_some_and(|health| health.failures == 0)
    }

    fn is_available(&self, home: HomeId, now: Timestamp) -> bool {
        self.homes.get(&home).is_none_or(|health| health.retry_at <= now)
    }

    fn is_due(&self, work: WorkKey, now: Timestamp) -> bool {
        self.due.get(&work).is_none_or(|due| due.at <= now)
    }

    /// Forgets pauses that ended long ago: the record they were about is done.
    fn prune(&mut self, now: Timestamp) {
        self.due.retain(|_, due| due.at.plus(2 * ASK_PAUSE_SECONDS_MAX) > now);
        self.issued.retain(|_, at| at.plus(WORK_FORGOTTEN_SECONDS) > now);
    }

    /// Keeps of `wanted` what is due and not in flight, at most [`WORK_MAX`], and notes it as handed out.
    fn hand_out(&mut self, wanted: Vec<Work>, now: Timestamp) -> Vec<Work> {
        let mut out = Vec::new();
        for work in wanted {
            let work_key = key_of(&work);
            let free = self.is_available(work.home(), now) && self.is_due(work_key, now);
            if out.len() < WORK_MAX && free && !self.issued.contains_key(&work_key) {
                self.issued.insert(work_key, now);
                out.push(work);
            }
        }
        out
    }
}

/// Everything that is to be done now, most urgent first: who the homes are, where our mailboxes are, what goes out,
/// what comes in, what became of what went out.
pub(super) fn work<S: Store>(store: &S, timers: &mut Timers, now: Timestamp) -> Result<Vec<Work>, ClientError> {
    timers.prune(now);
    let homes = rows::homes(store)?;
    let mailboxes: Vec<MailboxRow> = rows::load_all(store, key::MAILBOXES)?;
    let mut wanted = Vec::new();
    for row in &homes {
        let stale = row.node.as_ref().is_none_or(|node| node.greeted_at.plus(GREET_EVERY_SECONDS) <= now);
        if stale {
            wanted.push(Work::Greet { home: row.home.id });
        }
    }
    // Nothing else makes sense at a home that was never greeted.
    let greeted: Vec<&HomeRow> = homes.iter().filter(|row| row.node.is_some()).collect();
    let mut fetches = Vec::new();
    let mut farewells = Vec::new();
    for mailbox in &mailboxes {
        let address = mailbox.keys.address();
        for row in &greeted {
            let home = row.home.id;
            let known = mailbox.registered.get(&home.0);
            if !mailbox.active {
                if known.is_some() {
                    farewells.push(Work::Unregister { home, address });
                }
                continue;
            }
            if known.is_none_or(|registered| registered.renew_at <= now) {
                wanted.push(Work::Register { home, address });
            }
            if known.is_some() {
                fetches.push(Work::Fetch { home, address, after: mailbox.cursors.get(&home.0).copied() });
            }
        }
    }
    // A withdrawn mailbox is one that somebody may be shouting into: it does not wait behind the queue.
    wanted.append(&mut farewells);
    let asks = submissions(store, timers, &greeted, now, &mut wanted)?;
    wanted.append(&mut fetches);
    wanted.extend(asks);
    Ok(timers.hand_out(wanted, now))
}

/// Adds what is to be submitted, and returns what is to be asked about.
fn submissions<S: Store>(
    store: &S,
    timers: &Timers,
    greeted: &[&HomeRow],
    now: Timestamp,
    wanted: &mut Vec<Work>,
) -> Result<Vec<Work>, ClientError> {
    let homes: Vec<HomeId> = greeted.iter().map(|row| row.home.id).collect();
    let mut asks = Vec::new();
    let mut queue: Vec<(QueuedRow, RecordId)> = Vec::new();
    for (row_key, bytes) in rows::load_raw(store, key::QUEUE)? {
        if let Some(id) = key::parse_record(&row_key) {
            queue.push((rows::decode(&bytes)?, id));
        }
    }
    queue.sort_by_key(|(row, _)| row.number);
    for (row, id) in queue {
        for home in targets(&row, &id, timers, &homes, now) {
            // No room: the frame is not worth reading. It has its turn once what is ahead is done.
            if wanted.len() < WORK_MAX {
                let frame = store.get(&key::frame(&id))?;
                wanted.extend(frame.map(|frame| Work::Submit { home, id, frame: Bytes::from(frame) }));
            }
        }
        if row.kind != QueuedKind::Ack && row.offered_at.is_some() {
            let holders: Vec<HomeId> = homes.iter().copied().filter(|home| row.accepted.contains(&home.0)).collect();
            let answering = holders.iter().any(|home| timers.is_available(*home, now));
            let asked = if answering { holders } else { homes.clone() };
            asks.extend(asked.into_iter().map(|home| Work::Ask { home, id }));
        }
    }
    Ok(asks)
}

/// Homes to which a record is to be submitted now: acks to all, envelopes to one, and to one more whenever *stored* is
/// missing for a while.
fn targets(row: &QueuedRow, id: &RecordId, timers: &Timers, homes: &[HomeId], now: Timestamp) -> Vec<HomeId> {
    let open = |home: &&HomeId| !row.accepted.contains(&home.0) && !row.refused.contains_key(&home.0);
    let mut open = homes.iter().filter(open).copied();
    if row.kind == QueuedKind::Ack {
        return open.collect();
    }
    let rested = row.offered_at.is_none_or(|at| at.plus(OFFER_AGAIN_SECONDS) <= now);
    if !row.accepted.is_empty() && (row.stored || !rested) {
        return Vec::new();
    }
    let can = |home: &HomeId| timers.is_available(*home, now) && timers.is_due((3, *home, id.0), now);
    open.find(can).into_iter().collect()
}

/// How long a mailbox rests after it was read to the end.
pub(super) const fn fetch_pause(more: bool) -> u64 {
    if more { 0 } else { FETCH_EVERY_SECONDS }
}
