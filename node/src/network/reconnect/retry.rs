//! How long to wait before the next try, and why the last one failed.

use rand::{RngExt, rngs::StdRng};

/// The first delay after a failure.
pub(super) const FIRST_DELAY_MS: u64 = 500;

/// What is kept of an error's text: enough for an address and the system's answer.
const ERROR_CHARS_MAX: usize = 300;

/// When something is tried again, and what went wrong.
#[derive(Clone, Debug, Default)]
pub(super) struct Retry {
    /// Failures since it last worked.
    pub failures: u32,
    /// Not before then.
    pub at_ms: u64,
    /// The last failure, for a person.
    pub error: Option<String>,
}

impl Retry {
    /// To be tried from then on.
    pub(super) fn at(at_ms: u64) -> Self {
        Self { at_ms, ..Self::default() }
    }

    /// Keeps why it failed, made fit for a log or a terminal.
    pub(super) fn note(&mut self, error: &str) {
        self.error = Some(error.chars().filter(|c| !c.is_control()).take(ERROR_CHARS_MAX).collect());
    }
}

/// Half of it certain, half of it chance. Never more than `max_ms`.
pub(super) fn delay(rng: &mut StdRng, max_ms: u64, failures: u32) -> u64 {
    let doubled = FIRST_DELAY_MS.saturating_mul(1 << failures.saturating_sub(1).min(16));
    let whole = doubled.min(max_ms);
    whole / 2 + rng.random_range(0..=whole.div_ceil(2))
}
