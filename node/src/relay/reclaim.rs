//! Taking in what there was no room for before.
//!
//! A record refused or evicted for want of room leaves its id in the sync set, so neighbours do not push it again. When
//! there is room, this node must ask: it looks through its ids, some at a time, and fetches the bodies it lacks.

use griot_protocol::{Hour, RecordId, RecordKind, Shard, Timestamp, postage};

use crate::store::{Holding, Row, SyncSet};

use super::{
    Relay,
    limits::{RECLAIM_EVERY_MS, RECLAIM_IDS_MAX, RECLAIM_SCAN_MAX},
    turn::{Turn, Unreadable},
};

/// How far the search has come.
#[derive(Debug, Default)]
pub(super) struct Reclaim {
    next_ms: u64,
    shard: Shard,
    hour: Hour,
    after: Option<(Timestamp, RecordId)>,
}

impl Relay {
    /// Looks for ids whose bodies would now be taken, and asks a neighbour for them.
    pub(super) fn reclaim(&mut self, turn: &mut Turn<'_>) {
        if turn.mono_ms < self.reclaim.next_ms || self.peers.is_empty() {
            return;
        }
        self.reclaim.next_ms = turn.mono_ms.saturating_add(RECLAIM_EVERY_MS);
        if turn.store.totals().marks == 0 || !self.disk.takes(RecordKind::Envelope, turn.mono_ms) {
            return;
        }
        if let Ok(ids) = self.find_wanted(turn)
            && !ids.is_empty()
        {
            self.fetch(turn, ids);
        }
    }

    fn find_wanted(&mut self, turn: &mut Turn<'_>) -> Result<Vec<RecordId>, Unreadable> {
        let shards = self.carriage.shards();
        let from = self.reclaim.shard;
        let Some(shard) = shards.iter().find(|other| **other >= from).or(shards.first()).copied() else {
            return Ok(Vec::new());
        };
        let (mut looked_at, mut wanted) = (0, Vec::new());
        for (hour, _) in turn.store.digests(SyncSet::Rest, shard, self.reclaim.hour.max(turn.wall.hour())) {
            let bucket = turn.store.bucket(SyncSet::Rest, shard, hour);
            let after = self.reclaim.after;
            for key in turn.read(bucket)?.into_iter().filter(|key| Some(*key) > after) {
                if looked_at == RECLAIM_SCAN_MAX || wanted.len() == RECLAIM_IDS_MAX {
                    return Ok(wanted);
                }
                looked_at += 1;
                self.reclaim = Reclaim { shard, hour, after: Some(key), ..self.reclaim };
                let row = turn.store.row(&key.1);
                if turn.read(row)?.is_some_and(|row| self.is_wanted_now(&row)) {
                    wanted.push(key.1);
                }
            }
        }
        // This shard is done: the next one, or the first again.
        let shard = shards.iter().copied().find(|other| *other > shard).unwrap_or_default();
        self.reclaim = Reclaim { shard, hour: Hour::default(), after: None, ..self.reclaim };
        Ok(wanted)
    }

    fn is_wanted_now(&self, row: &Row) -> bool {
        if row.holding != Holding::Marked {
            return false;
        }
        if row.kind == RecordKind::Envelope && self.registry.contains(&row.address) {
            return self.registry.has_room(&row.address, u64::from(row.frame_bytes), &self.config.limits);
        }
        // Not while congested: what was evicted would come back only to be evicted again.
        let least = self.config.params.postage_bits;
        self.postage_bits_now == least && postage::bits_of(&row.id) >= least
    }
}
