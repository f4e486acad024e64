//! Between the relay and [`sync`](super::sync): carries out what sync says, and tells it when frames are dealt with.
//!
//! Frames from neighbours come in *batches*, fetched or pushed. A batch is done when each of its frames is durable or
//! refused; only then does sync go on, or the neighbour get its answer.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use griot_protocol::{NodeId, Shard, sync::SyncResponse};

use super::{
    Relay,
    limits::BATCHES_MAX,
    pending::{BatchId, Origin},
    sync::{Sync, SyncOutput},
    turn::Turn,
    types::{ExchangeId, InboundId, Output},
};

/// What follows when a batch is done.
#[derive(Debug)]
pub(super) enum Then {
    /// The relay asked for it itself.
    Nothing,
    /// The session with this neighbour goes on.
    Settled(NodeId),
    /// The neighbour that pushed is answered.
    Answer(InboundId, Bytes),
    /// What a neighbour told of is here.
    Told,
}

#[derive(Debug)]
struct Batch {
    peer: NodeId,
    left: usize,
    /// Shards in which it brought something new.
    news: BTreeSet<Shard>,
    then: Then,
}

/// Batches under way.
#[derive(Debug, Default)]
pub(super) struct Batches {
    next: u64,
    open: BTreeMap<BatchId, Batch>,
    done: Vec<Batch>,
}

impl Batches {
    /// Whether every batch was done.
    #[cfg(test)]
    pub(super) fn is_idle(&self) -> bool {
        self.open.is_empty() && self.done.is_empty()
    }
}

impl Relay {
    /// Puts a neighbour's frames through admission.
    pub(super) fn admit_batch(&mut self, turn: &mut Turn<'_>, peer: NodeId, frames: Vec<Bytes>, then: Then) {
        self.batches.next += 1;
        let batch = BatchId(self.batches.next);
        let is_told = matches!(then, Then::Told);
        // Held open by one, so that it is not done before its last frame was looked at.
        self.batches.open.insert(batch, Batch { peer, left: frames.len() + 1, news: BTreeSet::new(), then });
        for frame in frames {
            let origin = if is_told { Origin::Told { peer, batch } } else { Origin::Sync { peer, batch } };
            self.admit(turn, origin, frame);
        }
        self.one_done(batch);
    }

    /// One frame of a batch is durable or refused.
    pub(super) fn one_done(&mut self, batch: BatchId) {
        let Some(open) = self.batches.open.get_mut(&batch) else { return };
        open.left = open.left.saturating_sub(1);
        if open.left == 0
            && let Some(batch) = self.batches.open.remove(&batch)
        {
            self.batches.done.push(batch);
        }
    }

    /// The same for everyone who handed over a record.
    pub(super) fn all_done(&mut self, origins: &[Origin]) {
        for origin in origins {
            if let Some(batch) = origin.batch() {
                self.one_done(batch);
            }
        }
    }

    /// A batch brought something new into a shard.
    pub(super) fn note_news(&mut self, origins: &[Origin], shard: Shard) {
        for origin in origins {
            if let Origin::Sync { batch, .. } = origin
                && let Some(batch) = self.batches.open.get_mut(batch)
            {
                batch.news.insert(shard);
            }
        }
    }

    /// Goes on where batches are done. What follows may complete others.
    pub(super) fn finish_batches(&mut self, turn: &mut Turn<'_>) {
        while let Some(batch) = self.batches.done.pop() {
            for shard in &batch.news {
                self.sync.spread(turn.now(), *shard, Some(batch.peer));
            }
            match batch.then {
                Then::Nothing | Then::Told => {}
                Then::Settled(peer) => {
                    let outputs = self.sync.settled(turn.now(), peer, turn.store);
                    self.carry_out(turn, outputs);
                }
                Then::Answer(inbound, response) => turn.emit(Output::Answer { inbound, response }),
            }
        }
    }

    /// A neighbour asks.
    pub(super) fn asked(&mut self, turn: &mut Turn<'_>, peer: NodeId, inbound: InboundId, request: &[u8]) {
        if self.batches.open.len() >= BATCHES_MAX {
            turn.emit(Output::Answer { inbound, response: SyncResponse::Busy.encode() });
            return;
        }
        let asked = self.sync.asked(turn.now(), peer, request, turn.store);
        self.carry_out(turn, asked.outputs);
        if !asked.offered.is_empty() {
            turn.emit(Output::Answer { inbound, response: asked.response });
            self.told_of(turn, peer, asked.offered);
            return;
        }
        self.admit_batch(turn, peer, asked.pushed, Then::Answer(inbound, asked.response));
    }

    /// A neighbour answered, or will not.
    pub(super) fn answered(
        &mut self,
        turn: &mut Turn<'_>,
        peer: NodeId,
        exchange: ExchangeId,
        response: Option<&Bytes>,
    ) {
        if Sync::owns(exchange) {
            let response = response.map(AsRef::as_ref);
            let outputs = self.sync.answered(turn.now(), peer, exchange, response, turn.store);
            self.carry_out(turn, outputs);
        } else {
            self.errand_answered(turn, peer, exchange, response);
        }
    }

    /// Does what sync says.
    pub(super) fn carry_out(&mut self, turn: &mut Turn<'_>, outputs: Vec<SyncOutput>) {
        for output in outputs {
            match output {
                SyncOutput::Ask { peer, exchange, request } => turn.emit(Output::Ask { peer, exchange, request }),
                SyncOutput::Frames { peer, frames } => self.admit_batch(turn, peer, frames, Then::Settled(peer)),
                SyncOutput::PeerTime { peer, time } => self.clock.peer_time(peer, time, turn.machine),
                SyncOutput::ParamsDiffer { peer, bits, postage_bits } => turn.emit(Output::Warn(format!(
                    "peer {peer} of this network has {} shard bits and {postage_bits} postage bits, this node {} and \
                     {}: agree on one",
                    bits.get(),
                    self.config.params.bits.get(),
                    self.config.params.postage_bits,
                ))),
                // Failures are counted; a session is tried again by itself.
                SyncOutput::Ended { .. } => {}
                SyncOutput::Count(tally) => turn.count(tally),
            }
        }
    }
}
