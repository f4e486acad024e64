//! One call of [`Relay::handle`](super::Relay::handle): the time, the store, and what comes out.

use griot_protocol::Timestamp;

use crate::store::{Store, StoreError};

use super::types::{Now, Output, Tally};

/// What every decision has at hand.
pub(super) struct Turn<'a> {
    /// The machine's own clock.
    pub machine: Now,
    /// The time by which records are judged.
    pub wall: Timestamp,
    /// The time by which timers run.
    pub mono_ms: u64,
    /// For reading only.
    pub store: &'a dyn Store,
    /// What is to be done.
    pub out: Vec<Output>,
    /// The last read that failed.
    pub store_error: Option<String>,
}

/// Reading the store failed; the turn has noted why. Whoever sees this refuses safely.
#[derive(Clone, Copy, Debug)]
pub(super) struct Unreadable;

impl<'a> Turn<'a> {
    pub(super) fn new(machine: Now, wall: Timestamp, store: &'a dyn Store) -> Self {
        Self { machine, wall, mono_ms: machine.mono_ms, store, out: Vec::new(), store_error: None }
    }

    /// Both clocks, the wall's as records are judged.
    pub(super) const fn now(&self) -> Now {
        Now { wall: self.wall, mono_ms: self.mono_ms }
    }

    pub(super) fn emit(&mut self, output: Output) {
        self.out.push(output);
    }

    pub(super) fn count(&mut self, tally: Tally) {
        self.out.push(Output::Count(tally));
    }

    /// Passes a read on, or notes why it failed.
    pub(super) fn read<T>(&mut self, read: Result<T, StoreError>) -> Result<T, Unreadable> {
        read.map_err(|error| {
            self.store_error = Some(error.to_string());
            Unreadable
        })
    }
}
