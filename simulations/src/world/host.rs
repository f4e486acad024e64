//! The machine under a simulated node: a clock that may be wrong, and somebody who writes down what the node keeps.

use std::{
    collections::{HashMap, hash_map::DefaultHasher},
    hash::BuildHasherDefault,
    sync::{Arc, Mutex, PoisonError},
};

use griot_node::{
    relay::{Tally, Way},
    runtime::Host,
};
use griot_protocol::{NetworkName, NodeId, Record, RecordId, Refusal, Timestamp, Unverified, limits::SIGNATURE_BYTES};

use super::{ledger::Ledger, time::now};
use crate::plan::NodeIndex;

/// Checked records kept at most: some hundred megabytes. When there are more, all are forgotten and checked again.
const CHECKED_MAX: usize = 100_000;

/// A node's wall clock: true time, and how wrong it is.
#[derive(Debug)]
pub(crate) struct WallClock {
    epoch: Timestamp,
    state: Mutex<Wrong>,
}

#[derive(Clone, Copy, Debug, Default)]
struct Wrong {
    /// What it was off by when the drift last changed, milliseconds.
    offset_ms: i64,
    drift_ppm: i64,
    since_ms: u64,
}

impl Wrong {
    fn offset_at(&self, ms: u64) -> i64 {
        let passed = i64::try_from(ms.saturating_sub(self.since_ms)).unwrap_or(i64::MAX);
        self.offset_ms.saturating_add(passed.saturating_mul(self.drift_ppm) / 1_000_000)
    }
}

impl WallClock {
    pub(crate) fn new(epoch: Timestamp) -> Self {
        Self { epoch, state: Mutex::default() }
    }

    /// It is so many seconds off from now on, and drifts on as it did.
    pub(crate) fn set_skew(&self, seconds: i64) {
        let mut wrong = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        *wrong = Wrong { offset_ms: seconds.saturating_mul(1000), since_ms: now().0, ..*wrong };
    }

    /// It gains so many parts per million from now on.
    pub(crate) fn set_drift(&self, ppm: i32) {
        let mut wrong = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let ms = now().0;
        *wrong = Wrong { offset_ms: wrong.offset_at(ms), drift_ppm: i64::from(ppm), since_ms: ms };
    }

    /// What it shows.
    pub(crate) fn read(&self) -> Timestamp {
        let ms = now().0;
        let offset_ms = self.state.lock().unwrap_or_else(PoisonError::into_inner).offset_at(ms);
        Timestamp(
            self.epoch.0.saturating_add_signed(i64::try_from(ms).unwrap_or(i64::MAX).saturating_add(offset_ms) / 1000),
        )
    }
}

/// Signature checks that one node has made for all.
///
/// Only good signatures are remembered, by id *and* signature, which is the whole frame. The records given back share
/// their bytes, so a thousand nodes that hold a frame hold it once.
#[derive(Debug, Default)]
pub(crate) struct Checked(Mutex<FixedMap<(RecordId, [u8; SIGNATURE_BYTES]), Record>>);

/// A hash map that draws no keys: one that did would change those of all maps made after it, and the run with them.
pub(crate) type FixedMap<K, V> = HashMap<K, V, BuildHasherDefault<DefaultHasher>>;

impl Checked {
    fn verify(&self, record: Unverified, network: &NetworkName) -> Result<Record, Refusal> {
        let claimed = record.claimed();
        let Some(signature) = claimed.frame().last_chunk::<SIGNATURE_BYTES>() else { return record.verify(network) };
        let key = (claimed.id(), *signature);
        let mut checked = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = checked.get(&key) {
            return Ok(known.clone());
        }
        let record = record.verify(network)?;
        if checked.len() >= CHECKED_MAX {
            checked.clear();
        }
        checked.insert(key, record.clone());
        Ok(record)
    }
}

/// The machine under one node. It outlives the node's crashes.
#[derive(Debug)]
pub(crate) struct SimHost {
    pub node: NodeIndex,
    pub clock: WallClock,
    pub ledger: Arc<Ledger>,
    pub checked: Option<Arc<Checked>>,
    pub last_ran: Mutex<Option<Timestamp>>,
}

impl Host for SimHost {
    fn wall_clock(&self) -> Timestamp {
        self.clock.read()
    }

    fn verify(&self, record: Unverified, network: &NetworkName) -> Result<Record, Refusal> {
        match &self.checked {
            Some(checked) => checked.verify(record, network),
            None => record.verify(network),
        }
    }

    fn runs_at(&self, now: Timestamp) {
        *self.last_ran.lock().unwrap_or_else(PoisonError::into_inner) = Some(now);
    }

    fn last_ran(&self) -> Option<Timestamp> {
        *self.last_ran.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn kept(&self, id: &RecordId, way: Way, from: Option<&NodeId>) {
        self.ledger.state().kept(self.node, id, way, from);
    }

    fn counted(&self, tally: &Tally) {
        self.ledger.state().counted(tally);
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::world::time::in_virtual_time;

    #[test]
    fn a_wall_clock_is_as_wrong_as_it_is_told() {
        let epoch = Timestamp(1_800_000_000);
        in_virtual_time(1, Duration::from_secs(epoch.0), || async move {
            let clock = WallClock::new(epoch);
            let shown = || i64::try_from(clock.read().0).unwrap() - i64::try_from(epoch.0).unwrap();
            assert_eq!(shown(), 0);
            clock.set_skew(-100);
            assert_eq!(shown(), -100);
            clock.set_drift(10_000);
            tokio::time::sleep(Duration::from_secs(1000)).await;
            assert_eq!(shown(), 1000 - 100 + 10);
            clock.set_drift(0);
            tokio::time::sleep(Duration::from_secs(1000)).await;
            assert_eq!(shown(), 2000 - 100 + 10);
            clock.set_skew(0);
            assert_eq!(shown(), 2000);
        })
        .unwrap();
    }
}
