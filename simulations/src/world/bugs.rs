//! Known bugs, put into a run on purpose: invariants that have never been seen broken prove nothing.
//!
//! Each is a fault that a store or a disk could well have and that the node on top of it cannot see. They are put in at
//! the world's seams, where the simulated disk and the store meet the node, so the production code stays as it is. Only
//! [`run_with_bug`](super::run_with_bug) turns one on, and only a test calls it.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use griot_node::store::{
    Digest, Entry, Local, MemberId, MemberRow, MemoryStore, Outcome, Position, RegistrationRow, RememberedPeer, Row,
    Store, StoreError, SyncSet, Totals, Usage,
};
use griot_protocol::{
    Address, Hour, NetworkName, Record, RecordId, RecordKind, Shard, ShardBits, Timestamp, Unverified,
};

use super::host::SimHost;

/// A bug that a test puts into every node of a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bug {
    /// Commits are called durable without fdatasync. The kernel writes them out within half a minute; a power loss
    /// takes what it had not.
    SkipSync,
    /// A node that starts again has lost all acks, and what they said of envelopes.
    DropAcksOnRestart,
    /// A node that starts again still holds its acks, and no longer knows which envelopes they removed.
    ForgetTombstones,
    /// Sync compares only what was created within the last hour.
    SyncLastHourOnly,
}

/// How long written pages may stay in memory where nobody syncs: Linux's `vm.dirty_expire_centisecs`.
const WRITE_BACK_EVERY: Duration = Duration::from_secs(30);

/// What "the last hour" is to [`Bug::SyncLastHourOnly`], seconds.
const LAST_HOUR_SECONDS: u64 = 3600;

/// Entries read from the old store at once while a node's store is made again.
const PAGE: usize = 256;

/// A memory store with a bug.
#[derive(Debug)]
pub(crate) struct FlawedStore {
    bug: Bug,
    inner: MemoryStore,
    /// [`Bug::ForgetTombstones`]: acks from before the restart, which are held and have no effect.
    inert_acks: MemoryStore,
    host: Arc<SimHost>,
}

impl FlawedStore {
    /// An empty one.
    pub(crate) fn new(bug: Bug, host: Arc<SimHost>, bits: ShardBits, epoch: u64) -> Self {
        let empty = if bug == Bug::SkipSync { MemoryStore::lazy(bits) } else { MemoryStore::new(bits) };
        Self { bug, inner: empty.with_epoch(epoch), inert_acks: MemoryStore::new(bits), host }
    }

    /// The store that this one is after the node has started again.
    ///
    /// # Errors
    /// The store failed, which a store in memory does not.
    pub(crate) fn restarted(&self, network: &NetworkName) -> Result<Option<Self>, StoreError> {
        if !matches!(self.bug, Bug::DropAcksOnRestart | Bug::ForgetTombstones) {
            return Ok(None);
        }
        let next = Self::new(self.bug, Arc::clone(&self.host), self.bits(), self.epoch() + 1);
        self.copy_members(&next)?;
        let mut after = None;
        loop {
            let ids = self.held(after, PAGE)?;
            after = ids.last().copied();
            for id in &ids {
                let Some(record) = self.record(id, network)? else { continue };
                match (record.kind(), self.bug) {
                    (RecordKind::Ack, Bug::ForgetTombstones) => drop(next.inert_acks.commit(&[Entry::Record(record)])?),
                    (RecordKind::Ack, _) => {}
                    _ => drop(next.inner.commit(&[Entry::Record(record)])?),
                }
            }
            if ids.len() < PAGE {
                break;
            }
        }
        for (id, member) in self.outbox(None, usize::MAX)? {
            next.inner.commit(&[Entry::Local(Local::Submitted { id, member })])?;
        }
        Ok(Some(next))
    }

    fn copy_members(&self, next: &Self) -> Result<(), StoreError> {
        for MemberRow { member, label, token_hash, at } in self.members()? {
            next.inner.commit(&[Entry::Local(Local::MemberAdded { member, label, token_hash, at })])?;
        }
        for RegistrationRow { member, keys, grant, at } in self.all_registrations(None, usize::MAX)? {
            next.inner.commit(&[Entry::Local(Local::Registered { member, keys, grant, at })])?;
        }
        self.remembered_peers().and_then(|peers| next.remember_peers(&peers))
    }

    fn record(&self, id: &RecordId, network: &NetworkName) -> Result<Option<Record>, StoreError> {
        let record = self.frame(id)?.and_then(|frame| Unverified::parse(frame).ok());
        Ok(record.and_then(|record| record.verify(network).ok()))
    }

    /// Whether sync hears of a record.
    fn is_synced(&self, id: &RecordId) -> bool {
        let created = || self.row(id).ok().flatten().map(|row| row.created_at.0);
        self.bug != Bug::SyncLastHourOnly
            || created().is_some_and(|at| at + LAST_HOUR_SECONDS >= self.host.clock.read().0)
    }

    /// Starts what writes out now and then what nobody synced.
    pub(crate) fn start_write_back(self: &Arc<Self>) {
        if self.bug == Bug::SkipSync {
            let store = Arc::downgrade(self);
            tokio::spawn(async move {
                loop {
                    tokio::time::sleep(WRITE_BACK_EVERY).await;
                    let Some(store) = store.upgrade() else { return };
                    store.inner.sync();
                }
            });
        }
    }

    /// Whether a commit waits for the disk.
    pub(crate) fn waits_for_sync(&self) -> bool {
        self.bug != Bug::SkipSync
    }

    /// The power goes.
    pub(crate) fn lose_power(&self) {
        self.inner.crash();
    }
}

impl Store for FlawedStore {
    fn commit(&self, entries: &[Entry]) -> Result<Vec<Outcome>, StoreError> {
        let mut outcomes = Vec::new();
        for entry in entries {
            match entry {
                Entry::Record(record) if self.inert_acks.row(&record.id())?.is_some() => {
                    outcomes.push(Outcome::Present);
                }
                other => outcomes.extend(self.inner.commit(std::slice::from_ref(other))?),
            }
        }
        Ok(outcomes)
    }

    fn held(&self, after: Option<RecordId>, max: usize) -> Result<Vec<RecordId>, StoreError> {
        let mut ids = self.inner.held(after, max)?;
        ids.extend(self.inert_acks.held(after, max)?);
        ids.sort_unstable();
        ids.truncate(max);
        Ok(ids)
    }

    fn expire(&self, now: Timestamp, max: usize) -> Result<usize, StoreError> {
        let rows = self.inner.expire(now, max)?;
        Ok(rows + self.inert_acks.expire(now, max - rows)?)
    }

    fn floor(&self) -> Hour {
        self.inner.floor()
    }

    fn row(&self, id: &RecordId) -> Result<Option<Row>, StoreError> {
        Ok(self.inner.row(id)?.or(self.inert_acks.row(id)?))
    }

    fn frame(&self, id: &RecordId) -> Result<Option<Bytes>, StoreError> {
        Ok(self.inner.frame(id)?.or(self.inert_acks.frame(id)?))
    }

    fn mailbox(&self, address: &Address, after: Position, max: usize) -> Result<Vec<(Position, RecordId)>, StoreError> {
        self.inner.mailbox(address, after, max)
    }

    fn usage(&self, address: &Address) -> Usage {
        self.inner.usage(address)
    }

    fn about(&self, id: &RecordId) -> Result<Vec<RecordId>, StoreError> {
        let mut about = self.inner.about(id)?;
        about.extend(self.inert_acks.about(id)?);
        Ok(about)
    }

    fn registrations(&self, address: &Address) -> Result<Vec<RegistrationRow>, StoreError> {
        self.inner.registrations(address)
    }

    fn all_registrations(
        &self,
        after: Option<(Address, MemberId)>,
        max: usize,
    ) -> Result<Vec<RegistrationRow>, StoreError> {
        self.inner.all_registrations(after, max)
    }

    fn members(&self) -> Result<Vec<MemberRow>, StoreError> {
        self.inner.members()
    }

    fn outbox(&self, after: Option<RecordId>, max: usize) -> Result<Vec<(RecordId, MemberId)>, StoreError> {
        self.inner.outbox(after, max)
    }

    fn digests(&self, set: SyncSet, shard: Shard, first: Hour) -> Vec<(Hour, Digest)> {
        let both = [&self.inner, &self.inert_acks].map(|store| store.digests(set, shard, first));
        let mut hours: Vec<Hour> = both.into_iter().flatten().map(|(hour, _)| hour).collect();
        hours.sort_unstable();
        hours.dedup();
        let digest = |hour| {
            let mut digest = Digest::default();
            let bucket = self.bucket(set, shard, hour).unwrap_or_default();
            bucket.iter().for_each(|(_, id)| digest.add(id));
            (hour, digest)
        };
        hours.into_iter().map(digest).filter(|(_, digest)| digest.count > 0).collect()
    }

    fn bucket(&self, set: SyncSet, shard: Shard, hour: Hour) -> Result<Vec<(Timestamp, RecordId)>, StoreError> {
        let mut ids = self.inner.bucket(set, shard, hour)?;
        ids.extend(self.inert_acks.bucket(set, shard, hour)?);
        ids.retain(|(_, id)| self.is_synced(id));
        ids.sort_unstable();
        Ok(ids)
    }

    fn eviction_candidates(&self, bytes: u64, max: usize) -> Result<Vec<RecordId>, StoreError> {
        self.inner.eviction_candidates(bytes, max)
    }

    fn totals(&self) -> Totals {
        self.inner.totals()
    }

    fn oldest_uncollected(&self) -> Option<Timestamp> {
        self.inner.oldest_uncollected()
    }

    fn epoch(&self) -> u64 {
        self.inner.epoch()
    }

    fn bits(&self) -> ShardBits {
        self.inner.bits()
    }

    fn remember_peers(&self, peers: &[RememberedPeer]) -> Result<(), StoreError> {
        self.inner.remember_peers(peers)
    }

    fn remembered_peers(&self) -> Result<Vec<RememberedPeer>, StoreError> {
        self.inner.remembered_peers()
    }
}
