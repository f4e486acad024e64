//! The store on disk: the record log and the index over it.
//!
//! ```text
//! <dir>/lock         held while a process has the store open
//!       schema       the version of this layout
//!       log/         segments: the authority
//!       spare        room for the day when the disk is full
//!       index/       sled: made again from the log where it is missing or broken
//!       quarantine/  bytes of the log that were found damaged
//! ```
//!
//! A commit appends to the log and syncs it, then applies its entries to the index (in memory: sled is given them later, by
//! a thread of its own, see [`super::overlay`]), then returns. Threads that commit
//! at the same time share a sync: each leaves its batch in a queue; whoever gets hold of the writer first takes
//! everything that waits.

use std::{
    cmp::Reverse,
    collections::{BinaryHeap, VecDeque},
    fs,
    path::PathBuf,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard,
        atomic::{AtomicU64, Ordering},
    },
    thread,
};

use bytes::Bytes;
use griot_protocol::{Address, Hour, RecordId, Shard, ShardBits, Timestamp, postage::bits_of};

use super::{
    Digest, Entry, Footprint, Maintenance, MemberId, MemberRow, Outcome, Position, RegistrationRow, RememberedPeer,
    Row, Store, StoreError, SyncSet, Totals, Usage,
    apply::{Changes, sweep},
    floors::Floors,
    giving::{Giver, INDEX_WAITS, Room},
    index::{Checkpoint, broken},
    local::Fact,
    log::{Location, Log, Observer, Tail},
    memory::{check_batch, kept_peers},
    opening::Read,
    reopening::Slot,
    spare::Spare,
    tables::Tables,
};

/// Batches that one commit takes from the queue: with the largest batches still a bounded write.
const GROUP_BATCHES_MAX: usize = 64;

/// Envelopes of one mailbox that an eviction looks at, oldest first: bounds the work where one mailbox holds most.
const EVICTION_SCANNED_MAX: usize = 4096;

/// Times that a frame is looked up again because its segment was reclaimed under way.
const READ_TRIES: usize = 3;

/// How to open a store.
#[derive(Clone)]
pub struct Options {
    /// The bits by which the sync sets are split.
    pub bits: ShardBits,
    /// The size of a new segment of the log; one that must hold a larger write is larger.
    pub segment_bytes: u64,
    /// Free bytes that a new segment must leave on the file system.
    pub reserve_bytes: u64,
    /// Memory for sled's cache.
    pub cache_bytes: u64,
    /// Changes to the index (about four for a record) that wait in memory before sled is given them.
    pub index_waits: usize,
    /// Learns of every sync.
    pub observer: Option<Arc<dyn Observer>>,
}

impl Options {
    /// 64 MiB segments, 64 MiB reserve, 16 MiB cache: an idle node stays small.
    #[must_use]
    pub fn new(bits: ShardBits) -> Self {
        const MIB: u64 = 1024 * 1024;
        Self {
            bits,
            segment_bytes: 64 * MIB,
            reserve_bytes: 64 * MIB,
            cache_bytes: 16 * MIB,
            index_waits: INDEX_WAITS,
            observer: None,
        }
    }
}

/// What opening a store found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct OpenReport {
    /// Entries of the log that were read since the last checkpoint.
    pub replayed: u64,
    /// Bytes at the end of the log that belonged to no finished write, and were cut.
    pub torn_bytes: u64,
    /// Files with damaged bytes of the log. What they held comes back by sync.
    pub quarantined: Vec<PathBuf>,
    /// Sound entries that this version does not know.
    pub unknown: u64,
    /// Why the index was made again from the log, if it was; then the epoch is new.
    pub rebuilt: Option<String>,
}

/// A store on disk.
pub struct DiskStore {
    pub(super) dir: PathBuf,
    pub(super) options: Options,
    pub(super) spare: Spare,
    pub(super) index: Arc<Slot>,
    pub(super) giver: Arc<Giver>,
    giver_thread: Option<thread::JoinHandle<()>>,
    pub(super) log: Log,
    pub(super) segment_bytes: u64,
    pub(super) quarantine: PathBuf,
    tables: Arc<RwLock<Tables>>,
    writer: Mutex<Tail>,
    queue: Mutex<VecDeque<Waiting>>,
    pub(super) checkpoint: Mutex<Checkpoint>,
    /// Bytes of the log in use, noted by housekeeping: to measure them takes the writer's lock, and so a sync's time.
    pub(super) log_used: AtomicU64,
    bits: ShardBits,
    pub(super) epoch: AtomicU64,
    /// Holds the directory's lock until the store is dropped.
    _lock: fs::File,
}

/// A batch in the queue.
struct Waiting {
    entries: Vec<Entry>,
    answer: Answer,
}

/// Where a batch's leader puts its outcome.
type Answer = Arc<Mutex<Option<Result<Vec<Outcome>, StoreError>>>>;

impl std::fmt::Debug for DiskStore {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("DiskStore").field("log", &self.log.dir).field("epoch", &self.epoch()).finish_non_exhaustive()
    }
}

/// What opening has put together.
pub(super) struct Parts {
    pub dir: PathBuf,
    pub spare: Spare,
    pub log: Log,
    pub read: Read,
    pub lock: fs::File,
    pub quarantine: PathBuf,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // Whoever panicked while writing has left `Tail::stopped` or a log that is read again; the queue is a plain list.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl DiskStore {
    pub(super) fn assemble(parts: Parts, options: &Options) -> Result<Self, StoreError> {
        let checkpoint = Checkpoint { segment: 0, offset: 0, next_batch: 0 };
        let Read { index, tables, tail, epoch, .. } = parts.read;
        let (index, tables) = (Arc::new(Slot::new(index)), Arc::new(RwLock::new(tables)));
        let room = Room { disk: Arc::clone(&parts.log.disk), dir: parts.dir.clone() };
        let (giver, thread) = Giver::start(Arc::clone(&index), Arc::clone(&tables), options.index_waits, room)?;
        let log_used = parts.log.used(tail.segment, tail.offset);
        Ok(Self {
            dir: parts.dir,
            spare: parts.spare,
            options: options.clone(),
            index,
            giver,
            giver_thread: Some(thread),
            log: parts.log,
            segment_bytes: options.segment_bytes,
            quarantine: parts.quarantine,
            tables,
            writer: Mutex::new(tail),
            queue: Mutex::new(VecDeque::new()),
            checkpoint: Mutex::new(checkpoint),
            log_used: AtomicU64::new(log_used),
            bits: options.bits,
            epoch: AtomicU64::new(epoch),
            _lock: parts.lock,
        })
    }

    pub(super) fn tables(&self) -> RwLockReadGuard<'_, Tables> {
        self.tables.read().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn tables_mut(&self) -> RwLockWriteGuard<'_, Tables> {
        self.tables.write().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn writer(&self) -> MutexGuard<'_, Tail> {
        lock(&self.writer)
    }

    /// Makes batches of facts durable and applies them.
    pub(super) fn write(&self, tail: &mut Tail, batches: &[Vec<Fact>]) -> Result<Vec<Vec<Outcome>>, StoreError> {
        let frames: Vec<Vec<Bytes>> = batches.iter().map(|facts| facts.iter().map(Fact::encode).collect()).collect();
        let placed = self.log.append(tail, &frames)?;
        let mut tables = self.tables_mut();
        let applied = (|| {
            let index = self.index.get()?;
            let mut changes = Changes::new(&index, &mut tables);
            let mut outcomes = Vec::with_capacity(batches.len());
            for (facts, places) in batches.iter().zip(placed) {
                let mut of_batch = Vec::new();
                for (fact, (place, location)) in facts.iter().zip(places) {
                    of_batch.extend(changes.apply(fact, Position(place.0), location)?);
                }
                outcomes.push(of_batch);
            }
            changes.write()?;
            Ok(outcomes)
        })();
        self.or_stop(tail, applied)
    }

    /// Before each commit. Where the index found the disk full it is opened again, if there is room.
    fn keep_up(&self, entries: &[Entry]) -> Result<(), StoreError> {
        self.mend_index()?;
        self.giver.keep_up(entries.iter().all(Entry::makes_room))
    }

    /// Where the index fails half way it no longer agrees with the log: nothing more is written until it is replayed, which
    /// needs no restart where all that is wrong is a full disk: sled may write where it is read.
    fn or_stop<T>(&self, tail: &mut Tail, result: Result<T, StoreError>) -> Result<T, StoreError> {
        match &result {
            Ok(_) => {}
            Err(StoreError::Full) => {
                self.giver.set_found_full(true);
                tail.unapplied = true;
            }
            Err(error) => tail.stopped = Some(error.to_string()),
        }
        result
    }

    fn sweep(&self, tail: &mut Tail, max: usize) -> Result<usize, StoreError> {
        let mut tables = self.tables_mut();
        let swept = self.index.get().and_then(|index| sweep(&index, &mut tables, &self.log, max));
        self.or_stop(tail, swept)
    }

    /// Opens hours again, once everything is dropped that expires in them: so it is at a replay, which cannot know how
    /// far the sweep had come.
    fn go_back(&self, tail: &mut Tail, (before, after): (Floors, Floors), max: usize) -> Result<usize, StoreError> {
        let swept = self.sweep(tail, max)?;
        if swept < max {
            // The floor may have risen without the log, while the disk was full. It must not go back without it: what
            // is taken from now on would be refused at a replay.
            self.write(tail, &[vec![Fact::Floors(before), Fact::Floors(after)]])?;
        }
        Ok(swept)
    }

    /// Drops the row of a held record whose frame cannot be read back, so that sync brings it again.
    pub(super) fn drop_rotten(&self, id: &RecordId, location: Location) -> Result<(), StoreError> {
        let mut tail = self.writer();
        let mut tables = self.tables_mut();
        let index = self.index.get()?;
        if index.stored(id)?.is_none_or(|stored| stored.location != location) {
            return Ok(());
        }
        tracing::warn!(%id, ?location, "a stored record is damaged: it was dropped, and will be fetched again");
        let mut changes = Changes::new(&index, &mut tables);
        let removed = changes.remove(id, None).and_then(|()| changes.write());
        self.or_stop(&mut tail, removed)
    }

    /// Commits what waits in the queue, in as few writes as possible, until `answer` is there.
    fn lead(&self, answer: &Answer) -> Result<Vec<Outcome>, StoreError> {
        loop {
            let mut tail = self.writer();
            if let Some(outcome) = lock(answer).take() {
                return outcome;
            }
            let group: Vec<Waiting> = {
                let mut queue = lock(&self.queue);
                let count = queue.len().min(GROUP_BATCHES_MAX);
                queue.drain(..count).collect()
            };
            if group.is_empty() {
                // Nobody has the batch: the thread that took it panicked.
                return Err(StoreError::Stopped("a commit was abandoned".into()));
            }
            let facts: Vec<Vec<Fact>> =
                group.iter().map(|waiting| waiting.entries.iter().map(Fact::of).collect()).collect();
            match self.write(&mut tail, &facts) {
                Ok(outcomes) => {
                    for (waiting, outcomes) in group.iter().zip(outcomes) {
                        *lock(&waiting.answer) = Some(Ok(outcomes));
                    }
                }
                Err(error) => {
                    for waiting in &group {
                        let again = match &error {
                            StoreError::Full => StoreError::Full,
                            error => StoreError::Stopped(error.to_string()),
                        };
                        *lock(&waiting.answer) = Some(Err(again));
                    }
                }
            }
        }
    }
}

impl Store for DiskStore {
    fn commit(&self, entries: &[Entry]) -> Result<Vec<Outcome>, StoreError> {
        check_batch(entries)?;
        self.keep_up(entries)?;
        let answer = Answer::default();
        lock(&self.queue).push_back(Waiting { entries: entries.to_vec(), answer: Arc::clone(&answer) });
        self.lead(&answer)
    }

    fn commit_group(&self, groups: &[Vec<Entry>]) -> Result<Vec<Vec<Outcome>>, StoreError> {
        for entries in groups {
            check_batch(entries)?;
        }
        self.mend_index()?;
        self.giver.keep_up(groups.iter().flatten().all(Entry::makes_room))?;
        let facts: Vec<Vec<Fact>> = groups.iter().map(|entries| entries.iter().map(Fact::of).collect()).collect();
        self.write(&mut self.writer(), &facts)
    }

    fn maintain(&self, _now: Timestamp) -> Result<Maintenance, StoreError> {
        self.housekeeping()
    }

    fn held(&self, after: Option<RecordId>, max: usize) -> Result<Vec<RecordId>, StoreError> {
        let _tables = self.tables();
        let index = self.index.get()?;
        let rows = index.all_rows(after).filter_map(|stored| match stored {
            Ok(stored) => (stored.row.holding == super::Holding::Held).then_some(Ok(stored.row.id)),
            Err(error) => Some(Err(error)),
        });
        rows.take(max).collect()
    }

    fn expire(&self, now: Timestamp, max: usize) -> Result<usize, StoreError> {
        self.keep_up(&[])?;
        let mut tail = self.writer();
        let (before, after) = {
            let tables = self.tables();
            (tables.floors, tables.floors.at(now, |hour| tables.newest_ack(hour)))
        };
        if after.rows < before.rows {
            return self.go_back(&mut tail, (before, after), max);
        }
        if after != before {
            match self.write(&mut tail, &[vec![Fact::Floors(after)]]) {
                // Expiry must work on a full disk, for it is what makes room. At worst a rebuild expires again. Acks
                // wait: that they are gone must not be forgotten.
                Err(StoreError::Full) => self.tables_mut().floors.rows = after.rows,
                written => drop(written?),
            }
        }
        self.sweep(&mut tail, max)
    }

    fn floor(&self) -> Hour {
        self.tables().floors.rows
    }

    fn row(&self, id: &RecordId) -> Result<Option<Row>, StoreError> {
        let _tables = self.tables();
        Ok(self.index.get()?.stored(id)?.map(|stored| stored.row))
    }

    fn frame(&self, id: &RecordId) -> Result<Option<Bytes>, StoreError> {
        let mut rotten = None;
        for _ in 0..READ_TRIES {
            let stored = {
                let _tables = self.tables();
                self.index.get()?.stored(id)?
            };
            let Some(stored) = stored.filter(|stored| stored.row.holding == super::Holding::Held) else {
                return Ok(None);
            };
            if rotten == Some(stored.location) {
                break;
            }
            match self.log.read(stored.location)?.and_then(Fact::decode) {
                Some(Fact::Record(record) | Fact::Moved(_, record)) if record.id() == *id => {
                    return Ok(Some(record.frame().clone()));
                }
                _ => rotten = Some(stored.location),
            }
        }
        if let Some(location) = rotten {
            self.drop_rotten(id, location)?;
        }
        Ok(None)
    }

    fn mailbox(&self, address: &Address, after: Position, max: usize) -> Result<Vec<(Position, RecordId)>, StoreError> {
        let _tables = self.tables();
        self.index.get()?.mailbox(address, after, max)
    }

    fn usage(&self, address: &Address) -> Usage {
        self.tables().usage(address)
    }

    fn about(&self, id: &RecordId) -> Result<Vec<RecordId>, StoreError> {
        let _tables = self.tables();
        self.index.get()?.about(id)
    }

    fn registrations(&self, address: &Address) -> Result<Vec<RegistrationRow>, StoreError> {
        Ok(self.tables().registrations_of(address).cloned().collect())
    }

    fn all_registrations(
        &self,
        after: Option<(Address, MemberId)>,
        max: usize,
    ) -> Result<Vec<RegistrationRow>, StoreError> {
        use std::ops::Bound;
        let from = after.map_or(Bound::Unbounded, Bound::Excluded);
        let tables = self.tables();
        let rows = tables.registrations.range((from, Bound::Unbounded)).take(max);
        Ok(rows.map(|(_, (row, _))| row.clone()).collect())
    }

    fn members(&self) -> Result<Vec<MemberRow>, StoreError> {
        Ok(self.tables().members.values().map(|(row, _)| row.clone()).collect())
    }

    fn outbox(&self, after: Option<RecordId>, max: usize) -> Result<Vec<(RecordId, MemberId)>, StoreError> {
        let _tables = self.tables();
        let from = after.map_or_else(Vec::new, |id| [&id.0[..], &[0]].concat());
        let index = self.index.get()?;
        let rows = index.outbox.range(from..).take(max).map(|row| {
            let (key, value) = row?;
            let decoded = super::index::trailing_id(&key).zip(value.as_ref().try_into().ok().map(MemberId));
            decoded.ok_or_else(|| broken("an outbox entry does not decode"))
        });
        rows.collect()
    }

    fn digests(&self, set: SyncSet, shard: Shard, first: Hour) -> Vec<(Hour, Digest)> {
        self.tables().digests(set, shard, first)
    }

    fn bucket(&self, set: SyncSet, shard: Shard, hour: Hour) -> Result<Vec<(Timestamp, RecordId)>, StoreError> {
        let _tables = self.tables();
        self.index.get()?.bucket(set, (shard, self.bits), hour.0)
    }

    fn eviction_candidates(&self, bytes: u64, max: usize) -> Result<Vec<RecordId>, StoreError> {
        let tables = self.tables();
        // Always from the mailbox that then holds most; the first address among equals, as the heap's order has it.
        let mut heap: BinaryHeap<_> =
            tables.best_effort().map(|(bytes, address)| (bytes, Reverse(address), None)).collect();
        let (mut freed, mut chosen) = (0_u64, Vec::new());
        while freed < bytes && chosen.len() < max {
            let Some((held, Reverse(address), rows)) = heap.pop() else { break };
            let mut rows: VecDeque<(u8, Position, RecordId, u32)> = match rows {
                Some(rows) => rows,
                None => self.evictable(&address)?,
            };
            let Some((_, _, id, frame_bytes)) = rows.pop_front() else { continue };
            chosen.push(id);
            freed += u64::from(frame_bytes);
            heap.push((held.saturating_sub(u64::from(frame_bytes)), Reverse(address), Some(rows)));
        }
        Ok(chosen)
    }

    fn totals(&self) -> Totals {
        self.tables().totals()
    }

    fn footprint(&self) -> Footprint {
        Footprint { log_bytes: self.log_used.load(Ordering::Relaxed), reserve_bytes: self.options.reserve_bytes }
    }

    fn oldest_uncollected(&self) -> Option<Timestamp> {
        self.tables().oldest_uncollected()
    }

    fn epoch(&self) -> u64 {
        self.epoch.load(Ordering::Acquire)
    }

    fn bits(&self) -> ShardBits {
        self.bits
    }

    fn remember_peers(&self, peers: &[RememberedPeer]) -> Result<(), StoreError> {
        if !self.giver.can_give()? {
            return Err(StoreError::Full);
        }
        let _tables = self.tables();
        let written = self.index.get()?.remember_peers(&kept_peers(peers));
        if matches!(written, Err(StoreError::Full)) {
            self.giver.set_found_full(true);
        }
        written
    }

    fn remembered_peers(&self) -> Result<Vec<RememberedPeer>, StoreError> {
        let _tables = self.tables();
        self.index.get()?.remembered_peers()
    }
}

impl Drop for DiskStore {
    /// What sled was not given is replayed from the log at the next start.
    fn drop(&mut self) {
        self.giver.end();
        if let Some(thread) = self.giver_thread.take() {
            // A thread that panicked has said so.
            let _ = thread.join();
        }
    }
}

impl DiskStore {
    /// A mailbox's class-3 envelopes, lowest postage first.
    fn evictable(&self, address: &Address) -> Result<VecDeque<(u8, Position, RecordId, u32)>, StoreError> {
        let mut rows = Vec::new();
        let index = self.index.get()?;
        for (position, id) in index.mailbox(address, Position(0), EVICTION_SCANNED_MAX)? {
            if let Some(stored) = index.stored(&id)?.filter(|stored| stored.row.outbox.is_none()) {
                rows.push((bits_of(&id), position, id, stored.row.frame_bytes));
            }
        }
        rows.sort_unstable();
        Ok(rows.into())
    }
}
