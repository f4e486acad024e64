//! Which ids differ: range-based set reconciliation (crate `negentropy`) over several buckets at a time.
//!
//! The initiator keeps a [`Batch`] over the rounds; the responder rebuilds a bucket from the store for every request.

use std::collections::{BTreeSet, VecDeque};

use griot_protocol::{
    Hour, RecordId, Shard,
    sync::{BucketMessage, RECONCILE_BUCKETS_MAX, RECONCILE_BYTES_MAX, Set},
};
use negentropy::{Id, Negentropy, NegentropyStorageVector};

use super::{
    limits::{BATCH_IDS_MAX, RESPONSE_IDS_MAX, ROUNDS_MAX, TRANSFER_IDS_MAX},
    summary::{Differing, store_set},
};
use crate::store::{Store, StoreError};

/// Why a reconciliation cannot go on.
#[derive(Debug, thiserror::Error)]
pub(super) enum ReconcileError {
    /// Reading the bucket failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The other side's message is none.
    #[error("negentropy: {0}")]
    Message(#[from] negentropy::Error),
    /// The answer is about other buckets than were asked about.
    #[error("the answer is about other buckets")]
    Buckets,
    /// Honest sets part much sooner.
    #[error("the reconciliation does not end")]
    Endless,
}

/// How many bytes each of `buckets` messages may have.
fn frame_limit(buckets: usize) -> u64 {
    (RECONCILE_BYTES_MAX / buckets.clamp(1, RECONCILE_BUCKETS_MAX)) as u64
}

fn load(store: &dyn Store, set: Set, shard: Shard, hour: Hour) -> Result<NegentropyStorageVector, ReconcileError> {
    let ids = store.bucket(store_set(set), shard, hour)?;
    let mut storage = NegentropyStorageVector::with_capacity(ids.len());
    for (expires_at, id) in ids {
        storage.insert(expires_at.0, Id::from_byte_array(id.0))?;
    }
    storage.seal()?;
    Ok(storage)
}

/// Answers the first of `buckets`, at least one, as far as [`RESPONSE_IDS_MAX`] goes; also returns how many ids were
/// read.
pub(super) fn respond(
    store: &dyn Store,
    set: Set,
    shard: Shard,
    buckets: &[BucketMessage],
) -> Result<(Vec<BucketMessage>, usize), ReconcileError> {
    let mut answers = Vec::with_capacity(buckets.len());
    let mut ids_read = 0;
    for bucket in buckets {
        if ids_read >= RESPONSE_IDS_MAX {
            break;
        }
        let storage = load(store, set, shard, bucket.hour)?;
        ids_read += negentropy::NegentropyStorageBase::size(&storage)?;
        let message = Negentropy::owned(storage, frame_limit(buckets.len()))?.reconcile(&bucket.message)?;
        answers.push(BucketMessage { hour: bucket.hour, message });
    }
    Ok((answers, ids_read))
}

/// One bucket whose difference is not known yet.
#[derive(Debug)]
struct Open {
    differing: Differing,
    negentropy: Negentropy<'static, NegentropyStorageVector>,
    message: Vec<u8>,
}

/// The initiator's side of a reconciliation of up to [`RECONCILE_BUCKETS_MAX`] buckets.
#[derive(Debug)]
pub(super) struct Batch {
    open: Vec<Open>,
    rounds: u32,
    /// Ids that we have and the other side lacks.
    pub have: BTreeSet<RecordId>,
    /// Ids that we lack.
    pub need: BTreeSet<RecordId>,
}

/// What a round led to.
#[derive(Debug)]
pub(super) enum Round {
    /// Send [`Batch::messages`] again.
    Again,
    /// The difference is known, or so much of it that it must be transferred first; these buckets are still to do.
    Over(Vec<Differing>),
}

impl Batch {
    /// Takes buckets from the front of `hours`.
    pub fn take(
        store: &dyn Store,
        set: Set,
        shard: Shard,
        hours: &mut VecDeque<Differing>,
    ) -> Result<Self, ReconcileError> {
        let mut chosen = Vec::new();
        let mut ids = 0;
        while let Some(next) = hours.front().copied() {
            ids += next.ours;
            if chosen.len() == RECONCILE_BUCKETS_MAX || (ids > BATCH_IDS_MAX && !chosen.is_empty()) {
                break;
            }
            chosen.push(next);
            hours.pop_front();
        }
        chosen.sort_unstable_by_key(|differing| differing.hour);
        let limit = frame_limit(chosen.len());
        let mut open = Vec::with_capacity(chosen.len());
        for differing in chosen {
            let storage = load(store, set, shard, differing.hour)?;
            let mut negentropy = Negentropy::owned(storage, limit)?;
            let message = negentropy.initiate()?;
            open.push(Open { differing, negentropy, message });
        }
        Ok(Self { open, rounds: 0, have: BTreeSet::new(), need: BTreeSet::new() })
    }

    /// What to send.
    pub fn messages(&self) -> Vec<BucketMessage> {
        let to_wire = |open: &Open| BucketMessage { hour: open.differing.hour, message: open.message.clone() };
        self.open.iter().map(to_wire).collect()
    }

    /// Takes an answer.
    pub fn answered(&mut self, answers: &[BucketMessage]) -> Result<Round, ReconcileError> {
        self.rounds += 1;
        if self.rounds > ROUNDS_MAX {
            return Err(ReconcileError::Endless);
        }
        let asked = self.open.iter().map(|open| open.differing.hour);
        let is_prefix =
            answers.len() <= self.open.len() && answers.iter().map(|answer| answer.hour).eq(asked.take(answers.len()));
        if answers.is_empty() || !is_prefix {
            return Err(ReconcileError::Buckets);
        }
        let mut still_open = Vec::with_capacity(self.open.len());
        let mut answers = answers.iter();
        for mut open in std::mem::take(&mut self.open) {
            let Some(answer) = answers.next() else {
                still_open.push(open);
                continue;
            };
            let (mut have, mut need) = (Vec::new(), Vec::new());
            let next = open.negentropy.reconcile_with_ids(&answer.message, &mut have, &mut need)?;
            self.have.extend(have.into_iter().map(|id| RecordId(id.to_bytes())));
            self.need.extend(need.into_iter().map(|id| RecordId(id.to_bytes())));
            if let Some(message) = next {
                still_open.push(Open { message, ..open });
            }
        }
        if still_open.is_empty() || self.have.len() + self.need.len() > TRANSFER_IDS_MAX {
            return Ok(Round::Over(still_open.into_iter().map(|open| open.differing).collect()));
        }
        self.open = still_open;
        Ok(Round::Again)
    }
}
