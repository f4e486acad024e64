//! A simulated disk: commits take as long as an fdatasync, and a power loss takes what was not synced.
//!
//! As on the real disk, a group of commits becomes visible when it is durable, all at once. So nothing visible can be
//! lost, and the memory store needs no second copy of itself. What is on its way to the platter when the power goes may
//! have reached it or not; nobody was told, and the seed decides.

use std::{
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use griot_node::{
    relay::{Input, PersistError, Ticket},
    runtime::{Job, Writer},
    store::{COMMIT_ENTRIES_MAX, Entry, MemoryStore, Store, StoreError},
};
use griot_protocol::NetworkName;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

use super::bugs::FlawedStore;

/// Commits that share one sync, as in the real writer.
const GROUP_COMMITS_MAX: usize = 256;

/// Rows expired in one go, as in the real writer.
const EXPIRE_ROWS_MAX: usize = 512;

/// One node's disk. It outlives the node's crashes.
pub(crate) struct Disk {
    pub store: Arc<dyn Store>,
    /// The same store, where a test has put a bug into it.
    flawed: Option<Arc<FlawedStore>>,
    fsync: Duration,
    full: AtomicBool,
    /// What is on its way to the platter.
    in_flight: Mutex<Vec<Vec<Entry>>>,
}

impl std::fmt::Debug for Disk {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Disk").field("fsync", &self.fsync).field("full", &self.full).finish_non_exhaustive()
    }
}

impl Disk {
    pub(crate) fn new(store: MemoryStore, fsync: Duration) -> Self {
        Self { store: Arc::new(store), flawed: None, fsync, full: AtomicBool::new(false), in_flight: Mutex::default() }
    }

    /// A disk with a bug.
    pub(crate) fn flawed(store: FlawedStore, fsync: Duration) -> Self {
        let store = Arc::new(store);
        Self {
            flawed: Some(Arc::clone(&store)),
            store,
            fsync,
            full: AtomicBool::new(false),
            in_flight: Mutex::default(),
        }
    }

    /// What a bug makes of the disk when its node starts again; nothing on a sound one.
    ///
    /// # Errors
    /// The store failed, which a store in memory does not.
    pub(crate) fn restarted(&self, network: &NetworkName) -> Result<Option<Self>, StoreError> {
        let Some(flawed) = &self.flawed else { return Ok(None) };
        let next = flawed.restarted(network)?.map(|store| Self::flawed(store, self.fsync));
        Ok(next.inspect(|next| next.set_full(self.full.load(Ordering::Relaxed))))
    }

    pub(crate) fn set_full(&self, full: bool) {
        self.full.store(full, Ordering::Relaxed);
    }

    fn take_in_flight(&self) -> Vec<Vec<Entry>> {
        std::mem::take(&mut self.in_flight.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// The power goes. What was on its way reaches the platter, or not.
    ///
    /// # Errors
    /// The store refused what it was about to take.
    pub(crate) fn lose_power(&self, reaches_platter: bool) -> Result<usize, StoreError> {
        if let Some(flawed) = &self.flawed {
            flawed.lose_power();
        }
        let in_flight = self.take_in_flight();
        if !reaches_platter || in_flight.is_empty() {
            return Ok(0);
        }
        self.store.commit_group(&in_flight)?;
        Ok(in_flight.len())
    }

    /// Starts the task that commits.
    pub(crate) fn start(self: &Arc<Self>, done: UnboundedSender<Input>) -> (UnboundedSender<Job>, Writer) {
        if let Some(flawed) = &self.flawed {
            flawed.start_write_back();
        }
        let (jobs, queue) = unbounded_channel();
        let task = tokio::spawn(run(Arc::clone(self), queue, done));
        (jobs, Writer::Task(task))
    }

    async fn commit(&self, tickets: Vec<Ticket>, batches: Vec<Vec<Entry>>, done: &UnboundedSender<Input>) {
        *self.in_flight.lock().unwrap_or_else(PoisonError::into_inner) = batches;
        let waits = self.flawed.as_ref().is_none_or(|flawed| flawed.waits_for_sync());
        if waits && !self.fsync.is_zero() {
            tokio::time::sleep(self.fsync).await;
        }
        let batches = self.take_in_flight();
        let committed = if self.full.load(Ordering::Relaxed) {
            Err(PersistError::Full)
        } else {
            self.store.commit_group(&batches).map_err(|error| PersistError::Failed(error.to_string()))
        };
        match committed {
            Ok(outcomes) => {
                for (ticket, outcomes) in tickets.into_iter().zip(outcomes) {
                    // The driver is gone only when the node stops.
                    let _ = done.send(Input::Persisted { ticket, result: Ok(outcomes) });
                }
            }
            Err(error) => {
                for ticket in tickets {
                    let _ = done.send(Input::Persisted { ticket, result: Err(error.clone()) });
                }
            }
        }
    }
}

async fn run(disk: Arc<Disk>, mut queue: UnboundedReceiver<Job>, done: UnboundedSender<Input>) {
    while let Some(first) = queue.recv().await {
        let (mut tickets, mut batches, mut entries, mut expire) = (Vec::new(), Vec::new(), 0, None);
        let mut job = Some(first);
        while let Some(taken) = job.take() {
            match taken {
                Job::Commit { ticket, entries: batch } => {
                    entries += batch.len();
                    tickets.push(ticket);
                    batches.push(batch);
                }
                Job::Expire { now } => expire = Some(now),
                // There is no log to checkpoint or compact.
                Job::Maintain { .. } => {}
            }
            if tickets.len() < GROUP_COMMITS_MAX && entries < COMMIT_ENTRIES_MAX {
                job = queue.try_recv().ok();
            }
        }
        if !tickets.is_empty() {
            disk.commit(tickets, batches, &done).await;
        }
        if let Some(now) = expire {
            let mut rows = 0;
            while let Ok(some) = disk.store.expire(now, EXPIRE_ROWS_MAX) {
                rows += some as u64;
                if some < EXPIRE_ROWS_MAX {
                    break;
                }
            }
            if rows > 0 {
                let _ = done.send(Input::ExpiredRows(rows));
            }
        }
    }
}
