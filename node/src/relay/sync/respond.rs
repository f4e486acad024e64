//! The responder: every request carries all that is needed to answer it, so nothing is kept between requests.

use std::collections::BTreeSet;

use bytes::Bytes;
use griot_protocol::{
    NetworkParams, RecordId, Shard, Timestamp,
    sync::{FrameBudget, Open, Opened, Set, SyncRequest, SyncResponse, root},
};

use super::{
    limits::{FRAME_UNITS, REQUEST_UNITS},
    reconcile::{self, ReconcileError},
    summary::{digests, first_hour},
};
use crate::store::{Holding, Store, StoreError};

/// What is needed to answer.
pub(super) struct Responder<'a> {
    pub params: &'a NetworkParams,
    pub carried: &'a BTreeSet<Shard>,
    pub store: &'a dyn Store,
    pub wall: Timestamp,
}

/// An answer and what it cost.
pub(super) struct Reply {
    pub response: SyncResponse,
    /// Frames that the neighbour pushed.
    pub pushed: Vec<Bytes>,
    /// Ids that the neighbour offered.
    pub offered: Vec<RecordId>,
    pub units: u64,
    /// Frames that the neighbour fetched.
    pub served: u64,
    /// Whether both sides turned out to have the same, acks and all.
    pub agrees: bool,
}

impl Reply {
    pub fn new(response: SyncResponse) -> Self {
        Self { response, pushed: Vec::new(), offered: Vec::new(), units: REQUEST_UNITS, served: 0, agrees: false }
    }

    fn costing(self, units: u64) -> Self {
        Self { units: self.units.saturating_add(units), ..self }
    }
}

impl Responder<'_> {
    /// Answers. Where this node's own disk fails it answers *busy*: that is nobody else's concern.
    pub fn answer(&self, request: SyncRequest) -> Reply {
        match request {
            SyncRequest::Open(open) => self.open(&open),
            SyncRequest::Reconcile { shard, set, buckets } => {
                if !self.carried.contains(&shard) {
                    return Reply::new(self.not_carried());
                }
                match reconcile::respond(self.store, set, shard, &buckets) {
                    Ok((buckets, ids)) => Reply::new(SyncResponse::Reconciled { buckets }).costing(ids as u64),
                    Err(ReconcileError::Store(_)) => Reply::new(SyncResponse::Busy),
                    Err(_) => Reply::new(SyncResponse::Unsupported),
                }
            }
            SyncRequest::Fetch { ids } => self.fetch(&ids).unwrap_or_else(|_| Reply::new(SyncResponse::Busy)),
            SyncRequest::Push { frames } => {
                let pushed: Vec<Bytes> = frames.into_iter().map(|frame| frame.0).collect();
                let units = pushed.len() as u64 * FRAME_UNITS;
                let response = SyncResponse::Pushed { taken: u32::try_from(pushed.len()).unwrap_or(u32::MAX) };
                Reply { pushed, ..Reply::new(response) }.costing(units)
            }
            SyncRequest::About { ids } => self.about(&ids).unwrap_or_else(|_| Reply::new(SyncResponse::Busy)),
            SyncRequest::Offer { bits, shard, .. } if bits != self.params.bits || !self.carried.contains(&shard) => {
                Reply::new(self.not_carried())
            }
            SyncRequest::Offer { ids, .. } => {
                let units = ids.len() as u64 * FRAME_UNITS;
                Reply { offered: ids, ..Reply::new(SyncResponse::Noted) }.costing(units)
            }
        }
    }

    fn not_carried(&self) -> SyncResponse {
        SyncResponse::NotCarried { bits: self.params.bits, postage_bits: self.params.postage_bits }
    }

    fn open(&self, open: &Open) -> Reply {
        if open.bits != self.params.bits || !self.carried.contains(&open.shard) {
            return Reply::new(self.not_carried());
        }
        let first = open.first.max(first_hour(self.wall));
        let digests = digests(self.store, open.set, open.shard, first);
        let same = root(&digests) == open.root;
        let reply = Reply::new(SyncResponse::Opened(Opened {
            postage_bits: self.params.postage_bits,
            time: self.wall,
            first,
            digests: (!same).then_some(digests),
        }));
        // The rest is compared last, once the acks are the same.
        Reply { agrees: same && open.set == Set::Rest, ..reply }
    }

    fn fetch(&self, ids: &[RecordId]) -> Result<Reply, StoreError> {
        let mut frames = FrameBudget::default();
        let mut not_held = Vec::new();
        for id in ids {
            match live_frame(self.store, id, self.wall)? {
                Some(frame) => {
                    if frames.add(frame).is_err() {
                        break;
                    }
                }
                None => not_held.push(*id),
            }
        }
        let units = (frames.len() + not_held.len()) as u64 * FRAME_UNITS;
        let served = frames.len() as u64;
        let reply = Reply::new(SyncResponse::Frames { frames: frames.into_frames(), not_held });
        Ok(Reply { served, ..reply }.costing(units))
    }

    fn about(&self, ids: &[RecordId]) -> Result<Reply, StoreError> {
        let mut unknown = Vec::new();
        // One receipt names up to 256 envelopes: it is sent once.
        let mut naming = BTreeSet::new();
        for id in ids {
            if self.store.row(id)?.is_none() {
                unknown.push(*id);
            }
            naming.extend(self.store.about(id)?);
        }
        let mut frames = FrameBudget::default();
        let mut units = ids.len() as u64 * FRAME_UNITS;
        for id in naming {
            units += FRAME_UNITS;
            if let Some(frame) = live_frame(self.store, &id, self.wall)?
                && frames.add(frame).is_err()
            {
                break;
            }
        }
        Ok(Reply::new(SyncResponse::News { frames: frames.into_frames(), unknown }).costing(units))
    }
}

/// The frame of a record that is held and has not expired: what a neighbour can make use of.
pub(super) fn live_frame(store: &dyn Store, id: &RecordId, wall: Timestamp) -> Result<Option<Bytes>, StoreError> {
    match store.row(id)? {
        Some(row) if row.holding == Holding::Held && row.expires_at > wall => store.frame(id),
        _ => Ok(None),
    }
}
