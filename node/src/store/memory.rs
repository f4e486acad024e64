//! The store in memory: the model, and what the simulator runs nodes on.
//!
//! [`MemoryStore::new`] behaves as if every commit were synced before it returns. [`MemoryStore::lazy`] has a simulated
//! fsync: a commit is visible at once and durable only at [`sync`](MemoryStore::sync);
//! [`crash`](MemoryStore::crash) is the power loss, which forgets everything since. It holds the index twice, so
//! it costs twice the memory.

use std::sync::{Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use griot_protocol::{Address, Hour, RecordId, Shard, ShardBits, Timestamp};

use super::{
    COMMIT_ENTRIES_MAX, Digest, Entry, LABEL_BYTES_MAX, Local, MemberId, MemberRow, Outcome, PEER_TEXT_BYTES_MAX,
    Position, RegistrationRow, RememberedPeer, Row, Store, StoreError, SyncSet, Totals, Usage, model::Model,
};

/// A store without a disk.
#[derive(Debug)]
pub struct MemoryStore {
    bits: ShardBits,
    epoch: u64,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    visible: Model,
    /// What would survive a power loss, and what has happened since; `None` where every commit is synced.
    unsynced: Option<(Model, Vec<Step>)>,
}

/// One change, kept until it is synced.
#[derive(Debug)]
enum Step {
    Commit(Vec<Entry>),
    Expire(Timestamp, usize),
    Peers(Vec<RememberedPeer>),
}

fn replay(model: &mut Model, step: Step) {
    match step {
        Step::Commit(entries) => drop(model.commit(&entries)),
        Step::Expire(now, max) => drop(model.expire(now, max)),
        Step::Peers(peers) => model.peers = peers,
    }
}

impl MemoryStore {
    /// An empty store whose commits are durable when they return.
    #[must_use]
    pub fn new(bits: ShardBits) -> Self {
        let state = State { visible: Model::new(bits), unsynced: None };
        Self { bits, epoch: 1, state: Mutex::new(state) }
    }

    /// An empty store whose commits are durable only after [`sync`](Self::sync).
    #[must_use]
    pub fn lazy(bits: ShardBits) -> Self {
        let state = State { visible: Model::new(bits), unsynced: Some((Model::new(bits), Vec::new())) };
        Self { bits, epoch: 1, state: Mutex::new(state) }
    }

    /// The same store with another epoch: as after a restore.
    #[must_use]
    pub fn with_epoch(mut self, epoch: u64) -> Self {
        self.epoch = epoch;
        self
    }

    /// Makes everything so far durable, as fdatasync does.
    pub fn sync(&self) {
        if let Some((durable, steps)) = &mut self.state().unsynced {
            for step in steps.drain(..) {
                replay(durable, step);
            }
        }
    }

    /// Loses power: everything since the last [`sync`](Self::sync) is gone.
    pub fn crash(&self) {
        let state = &mut *self.state();
        if let Some((durable, steps)) = &mut state.unsynced {
            steps.clear();
            state.visible = durable.clone();
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // The model is changed by code that does not panic half way through a change that matters to a reader.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn note(&mut self, step: impl FnOnce() -> Step) {
        if let Some((_, steps)) = &mut self.unsynced {
            steps.push(step());
        }
    }
}

/// Refuses a batch that no store could number.
pub(super) fn check_batch(entries: &[Entry]) -> Result<(), StoreError> {
    if entries.len() > COMMIT_ENTRIES_MAX {
        return Err(StoreError::BatchTooLarge);
    }
    let is_too_long = |entry: &Entry| match entry {
        Entry::Local(Local::MemberAdded { label, .. }) => label.len() > LABEL_BYTES_MAX,
        _ => false,
    };
    if entries.iter().any(is_too_long) {
        return Err(StoreError::LabelTooLong);
    }
    Ok(())
}

impl Store for MemoryStore {
    fn commit(&self, entries: &[Entry]) -> Result<Vec<Outcome>, StoreError> {
        check_batch(entries)?;
        let mut state = self.state();
        state.note(|| Step::Commit(entries.to_vec()));
        Ok(state.visible.commit(entries))
    }

    fn held(&self, after: Option<RecordId>, max: usize) -> Result<Vec<RecordId>, StoreError> {
        Ok(self.state().visible.held(after, max))
    }

    fn expire(&self, now: Timestamp, max: usize) -> Result<usize, StoreError> {
        let mut state = self.state();
        state.note(|| Step::Expire(now, max));
        Ok(state.visible.expire(now, max))
    }

    fn floor(&self) -> Hour {
        self.state().visible.floor()
    }

    fn row(&self, id: &RecordId) -> Result<Option<Row>, StoreError> {
        Ok(self.state().visible.row(id))
    }

    fn frame(&self, id: &RecordId) -> Result<Option<Bytes>, StoreError> {
        Ok(self.state().visible.frame(id))
    }

    fn mailbox(&self, address: &Address, after: Position, max: usize) -> Result<Vec<(Position, RecordId)>, StoreError> {
        Ok(self.state().visible.mailbox(address, after, max))
    }

    fn usage(&self, address: &Address) -> Usage {
        self.state().visible.usage(address)
    }

    fn about(&self, id: &RecordId) -> Result<Vec<RecordId>, StoreError> {
        Ok(self.state().visible.about(id))
    }

    fn registrations(&self, address: &Address) -> Result<Vec<RegistrationRow>, StoreError> {
        Ok(self.state().visible.registrations(address))
    }

    fn all_registrations(
        &self,
        after: Option<(Address, MemberId)>,
        max: usize,
    ) -> Result<Vec<RegistrationRow>, StoreError> {
        Ok(self.state().visible.all_registrations(after, max))
    }

    fn members(&self) -> Result<Vec<MemberRow>, StoreError> {
        Ok(self.state().visible.members.values().cloned().collect())
    }

    fn outbox(&self, after: Option<RecordId>, max: usize) -> Result<Vec<(RecordId, MemberId)>, StoreError> {
        Ok(self.state().visible.outbox(after, max))
    }

    fn digests(&self, set: SyncSet, shard: Shard, first: Hour) -> Vec<(Hour, Digest)> {
        self.state().visible.digests(set, shard, first)
    }

    fn bucket(&self, set: SyncSet, shard: Shard, hour: Hour) -> Result<Vec<(Timestamp, RecordId)>, StoreError> {
        Ok(self.state().visible.bucket(set, shard, hour))
    }

    fn eviction_candidates(&self, bytes: u64, max: usize) -> Result<Vec<RecordId>, StoreError> {
        Ok(self.state().visible.eviction_candidates(bytes, max))
    }

    fn totals(&self) -> Totals {
        self.state().visible.totals()
    }

    fn oldest_uncollected(&self) -> Option<Timestamp> {
        self.state().visible.oldest_uncollected()
    }

    fn epoch(&self) -> u64 {
        self.epoch
    }

    fn bits(&self) -> ShardBits {
        self.bits
    }

    fn remember_peers(&self, peers: &[RememberedPeer]) -> Result<(), StoreError> {
        let kept = kept_peers(peers);
        let mut state = self.state();
        state.note(|| Step::Peers(kept.clone()));
        state.visible.peers = kept;
        Ok(())
    }

    fn remembered_peers(&self) -> Result<Vec<RememberedPeer>, StoreError> {
        Ok(self.state().visible.peers.clone())
    }
}

/// What is kept of the peers to remember: the first ones, each with its first addresses, in the order of their ids.
pub(super) fn kept_peers(peers: &[RememberedPeer]) -> Vec<RememberedPeer> {
    let short = peers.iter().filter(|peer| peer.peer_id.len() <= PEER_TEXT_BYTES_MAX);
    let mut kept: Vec<_> = short.take(super::REMEMBERED_PEERS_MAX).cloned().collect();
    for peer in &mut kept {
        peer.addresses.retain(|address| address.len() <= PEER_TEXT_BYTES_MAX);
        peer.addresses.truncate(super::PEER_ADDRESSES_MAX);
    }
    kept.sort_by(|a, b| a.peer_id.cmp(&b.peer_id));
    kept.dedup_by(|a, b| a.peer_id == b.peer_id);
    kept
}
