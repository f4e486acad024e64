//! The writer: the one thread that changes the store.
//!
//! It takes whatever commits are waiting, makes them durable with one fdatasync, and reports them all (*group commit*):
//! under load the cost of a sync is shared by everyone who waits for it, alone it is paid once. Between commits it
//! expires and compacts, a bounded piece at a time.
//!
//! Its queue has no bound of its own: every job in it is an outstanding ticket of the relay, which bounds those, or the
//! one expiry or maintenance that the driver has outstanding.

use std::{sync::Arc, thread};

use griot_protocol::Timestamp;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

use crate::{
    relay::{Input, PersistError, Ticket},
    store::{COMMIT_ENTRIES_MAX, Entry, Store, StoreError},
};

/// Commits that share one sync: with 64 clients in flight all of them, and never more than a few MiB of small records.
const GROUP_COMMITS_MAX: usize = 256;

/// Bytes of frames that share one sync, so that a group of large records stays within memory and within a segment.
const GROUP_BYTES_MAX: usize = 4 * 1024 * 1024;

/// Rows expired in one go: a few milliseconds of index work, so that commits do not wait longer.
const EXPIRE_ROWS_MAX: usize = 512;

/// What the writer is asked to do.
#[derive(Debug)]
pub enum Job {
    /// Make these durable and report [`Input::Persisted`].
    Commit {
        /// To be given back.
        ticket: Ticket,
        /// What.
        entries: Vec<Entry>,
    },
    /// Drop what expired before then, in small pieces between commits, and report [`Input::ExpiredRows`].
    Expire {
        /// Then.
        now: Timestamp,
    },
    /// Checkpoint and compact a little, and report [`Input::Maintained`].
    Maintain {
        /// The time.
        now: Timestamp,
    },
}

/// Starts the writer. It ends when the sender is dropped and all jobs are done.
pub(crate) fn spawn(
    store: Arc<dyn Store>,
    done: UnboundedSender<Input>,
) -> std::io::Result<(UnboundedSender<Job>, thread::JoinHandle<()>)> {
    let (jobs, queue) = unbounded_channel();
    let writer = Writer { store, queue, done, expiring: None };
    let thread = thread::Builder::new().name("griot-writer".to_owned()).spawn(move || writer.run())?;
    Ok((jobs, thread))
}

struct Writer {
    store: Arc<dyn Store>,
    queue: UnboundedReceiver<Job>,
    done: UnboundedSender<Input>,
    expiring: Option<Timestamp>,
}

impl Writer {
    fn run(mut self) {
        while let Some(first) = self.next() {
            let mut group = Vec::new();
            let mut entries = 0;
            let mut bytes = 0;
            let mut job = Some(first);
            while let Some(taken) = job.take() {
                match taken {
                    Job::Commit { ticket, entries: batch } => {
                        entries += batch.len();
                        bytes += batch.iter().map(weight).sum::<usize>();
                        group.push((ticket, batch));
                    }
                    Job::Expire { now } => self.expiring = Some(now),
                    Job::Maintain { now } => self.maintain(now),
                }
                let full =
                    group.len() >= GROUP_COMMITS_MAX || bytes >= GROUP_BYTES_MAX || entries >= COMMIT_ENTRIES_MAX;
                if !full {
                    job = self.queue.try_recv().ok();
                }
            }
            if !group.is_empty() {
                self.commit(group);
            }
        }
    }

    /// The next job; while none waits, expiry goes on in small pieces.
    fn next(&mut self) -> Option<Job> {
        while let Some(now) = self.expiring {
            match self.queue.try_recv() {
                Ok(job) => return Some(job),
                Err(_) => self.expire_some(now),
            }
        }
        self.queue.blocking_recv()
    }

    fn commit(&self, group: Vec<(Ticket, Vec<Entry>)>) {
        let (tickets, batches): (Vec<_>, Vec<_>) = group.into_iter().unzip();
        match self.store.commit_group(&batches) {
            Ok(outcomes) => {
                for (ticket, outcomes) in tickets.into_iter().zip(outcomes) {
                    self.report(Input::Persisted { ticket, result: Ok(outcomes) });
                }
            }
            Err(StoreError::Full) => {
                for (ticket, batch) in tickets.into_iter().zip(batches) {
                    self.commit_if_it_makes_room(ticket, batch);
                }
            }
            Err(error) => {
                for ticket in tickets {
                    self.report(Input::Persisted { ticket, result: Err(persist_error(&error)) });
                }
            }
        }
    }

    /// The disk is too full for what came together. An ack is small, and may be taken where new records are not.
    fn commit_if_it_makes_room(&self, ticket: Ticket, batch: Vec<Entry>) {
        let result = if batch.iter().all(Entry::makes_room) {
            let committed = self.store.commit_group(&[batch]).map_err(|error| persist_error(&error));
            committed.map(|mut outcomes| outcomes.pop().unwrap_or_default())
        } else {
            Err(PersistError::Full)
        };
        self.report(Input::Persisted { ticket, result });
    }

    fn expire_some(&mut self, now: Timestamp) {
        match self.store.expire(now, EXPIRE_ROWS_MAX) {
            Ok(rows) => {
                if rows < EXPIRE_ROWS_MAX {
                    self.expiring = None;
                }
                if rows > 0 {
                    self.report(Input::ExpiredRows(rows as u64));
                }
            }
            Err(error) => {
                tracing::error!(%error, "expiring failed; trying again at the next hour");
                self.expiring = None;
            }
        }
    }

    fn maintain(&self, now: Timestamp) {
        match self.store.maintain(now) {
            Ok(done) => self.report(Input::Maintained { full: done.full }),
            Err(StoreError::Full) => self.report(Input::Maintained { full: true }),
            Err(error) => tracing::error!(%error, "checkpoint or compaction failed; trying again in a while"),
        }
    }

    /// The driver is gone only when the node shuts down; what was committed stays committed.
    fn report(&self, input: Input) {
        let _ = self.done.send(input);
    }
}

fn persist_error(error: &StoreError) -> PersistError {
    match error {
        StoreError::Full => PersistError::Full,
        other => PersistError::Failed(other.to_string()),
    }
}

fn weight(entry: &Entry) -> usize {
    match entry {
        Entry::Record(record) => record.frame().len(),
        Entry::Local(_) => 0,
    }
}

#[cfg(test)]
mod tests {
    use griot_protocol::{MailboxKind, ShardBits};

    use super::*;
    use crate::store::{
        DiskStore, Options,
        small_disk::SmallDisk,
        support::{START, ack, envelope, mailbox},
    };

    #[test]
    fn an_ack_is_taken_on_a_full_disk_whatever_came_with_it() {
        let Some(disk) = SmallDisk::make(50) else { return };
        let options = Options { segment_bytes: 1 << 20, reserve_bytes: 0, ..Options::new(ShardBits::ZERO) };
        let (store, _) = DiskStore::open(&disk.path().join("store"), &options).unwrap();
        let to = mailbox(1, MailboxKind::Direct);
        let (held, new) = (envelope(&to, START, 9, 1), envelope(&to, START, 9, 2));
        store.commit(&[Entry::Record(held.clone())]).unwrap();
        disk.fill();
        let ((jobs, queue), (done, mut answers)) = (unbounded_channel(), unbounded_channel());
        for (number, record) in [(1, new), (2, ack(&to, true, &[&held]))] {
            let entries = vec![Entry::Record(record)];
            jobs.send(Job::Commit { ticket: Ticket(number), entries }).unwrap();
        }
        drop(jobs);
        // Both wait when it begins, so that they are one group.
        Writer { store: Arc::new(store), queue, done, expiring: None }.run();
        let mut answer = || match answers.try_recv().unwrap() {
            Input::Persisted { ticket, result } => (ticket.0, result.map(|outcomes| outcomes.len())),
            other => panic!("{other:?}"),
        };
        assert_eq!(answer(), (1, Err(PersistError::Full)));
        assert_eq!(answer(), (2, Ok(1)));
    }
}
