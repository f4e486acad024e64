//! What a node asks of the machine it runs on, beside its disk and its network: the time of day, a signature check, a
//! place to note that it runs. And what it tells whoever watches it.
//!
//! A daemon runs on a [`Machine`]. The simulator brings hosts of its own, whose clocks go wrong and which write down
//! which record came from where.

use std::{
    path::Path,
    time::{SystemTime, UNIX_EPOCH},
};

use griot_protocol::{NetworkName, NodeId, Record, RecordId, Refusal, Timestamp, Unverified};

use super::last_ran::LastRan;
use crate::relay::{Tally, Way};

/// The machine under a node. All methods may be called from several threads.
pub trait Host: Send + Sync + 'static {
    /// The time of day, as this machine believes it.
    fn wall_clock(&self) -> Timestamp {
        Timestamp(SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs()))
    }

    /// Checks a record's signature, as [`Unverified::verify`] does. A host may remember checks that it has made; it may
    /// not pass what it has not checked.
    ///
    /// # Errors
    /// What is wrong with the record.
    fn verify(&self, record: Unverified, network: &NetworkName) -> Result<Record, Refusal> {
        record.verify(network)
    }

    /// The node runs at this time: to be remembered until after a restart, but need not be synced.
    fn runs_at(&self, _now: Timestamp) {}

    /// When it last ran; nothing at the first start.
    fn last_ran(&self) -> Option<Timestamp> {
        None
    }

    /// A record is on disk that was not here before; a neighbour handed it over first, or nobody.
    fn kept(&self, _id: &RecordId, _way: Way, _from: Option<&NodeId>) {}

    /// Something was counted.
    fn counted(&self, _tally: &Tally) {}
}

/// A real machine.
#[derive(Clone, Debug)]
pub struct Machine {
    last_ran: LastRan,
}

impl Machine {
    /// The machine that has this data directory.
    #[must_use]
    pub fn new(data_dir: &Path) -> Self {
        Self { last_ran: LastRan::new(data_dir) }
    }
}

impl Host for Machine {
    fn runs_at(&self, now: Timestamp) {
        self.last_ran.write(now);
    }

    fn last_ran(&self) -> Option<Timestamp> {
        self.last_ran.read()
    }
}
