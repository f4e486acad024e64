//! What an operator asks: what waits here, for how long and why, how it stands with each neighbour, and which time it is.
//!
//! Nothing here decides anything, and nothing is worked out before somebody asks.

use std::collections::BTreeMap;

use griot_protocol::{Address, NodeId, RecordId, Timestamp};

use super::{Relay, standing::Waiting, sync::Progress, types::Now};
use crate::store::Store;

/// Envelopes of the outbox that one report asks for their reason. Looking each up takes some microseconds, during which
/// the relay does nothing else: a few milliseconds in all.
pub const REPORTED_MAX: usize = 1000;

/// How a relay does.
#[derive(Clone, Debug)]
pub struct Report {
    /// The time by which records are judged.
    pub now: Timestamp,
    /// Envelopes in the outbox.
    pub envelopes: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Those that have waited longest, the oldest first, at most [`REPORTED_MAX`].
    pub oldest: Vec<Waiter>,
    /// This machine's clock beside the neighbours'.
    pub clock: ClockState,
    /// Whether new records are refused because the disk is full.
    pub disk_full: bool,
    /// Bytes a second of strangers' mail that each neighbour may bring by gossip, while lines are full.
    pub line_share: Option<u64>,
}

/// An envelope that waits in the outbox.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Waiter {
    /// The envelope.
    pub id: RecordId,
    /// Its mailbox.
    pub address: Address,
    /// Its frame's bytes.
    pub bytes: u64,
    /// The time that its author wrote on it.
    pub created_at: Timestamp,
    /// What it waits for, unless somebody has vouched for it already.
    pub waiting: Waiting,
}

/// A machine's clock beside those of its neighbours.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ClockState {
    /// Neighbours whose clocks are known.
    pub peers: usize,
    /// The median of their clocks minus ours, in seconds.
    pub behind_seconds: Option<i64>,
    /// Whether records are judged by that median.
    pub overruled: bool,
    /// Whether anything may be deleted as expired.
    pub settled: bool,
}

impl Relay {
    /// How it does.
    #[must_use]
    pub fn report(&self, now: Now, store: &dyn Store) -> Report {
        let judged = self.clock.judged(now);
        let total = self.outbox.total();
        let oldest = self.outbox.oldest().take(REPORTED_MAX).map(|(id, item)| Waiter {
            id,
            address: item.address,
            bytes: item.bytes,
            created_at: item.created_at,
            waiting: self.waiting(judged, &item.address, &id, store),
        });
        Report {
            now: judged,
            envelopes: total.envelopes,
            bytes: total.bytes,
            oldest: oldest.collect(),
            clock: self.clock.state(),
            disk_full: self.disk.is_full(),
            line_share: self.lines.share(),
        }
    }

    /// Whether new records are refused because the disk is full.
    #[must_use]
    pub const fn is_disk_full(&self) -> bool {
        self.disk.is_full()
    }

    /// How it stands with each neighbour's records, those that are gone included.
    #[must_use]
    pub const fn progress(&self) -> &BTreeMap<NodeId, Progress> {
        self.sync.progress()
    }
}
