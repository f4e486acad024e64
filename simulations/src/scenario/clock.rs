//! Scenario time and run time.
//!
//! A scenario's times are those of the world: "six hours", "five days". A run of five days would take too long to be done
//! casually, so a scenario may say `compress = 20`: everything that people do and that befalls them (writing, sessions,
//! outages, restarts, the life of a message, the length of a day) goes 20 times faster, and therefore as *often* as in the
//! full length: the same messages are written and the same faults happen. What the nodes do by themselves keeps its pace:
//! syncing every 30 s, back-off of up to 15 s, latencies, fdatasync. So a compressed run is a harder one, never an easier
//! one: relative to the outage the protocol has `compress` times less time. `--full-length` switches it off.

use super::Span;

/// The shortest life that compression leaves a message: clients round times down to the minute, so less could be born dead.
pub const LIFE_SECONDS_MIN: u64 = 180;

/// A day of the world, milliseconds.
const DAY_MS: u64 = 86_400_000;

/// How scenario time becomes run time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Clock {
    compress: u64,
    /// Unix seconds at which the scenario begins.
    epoch: u64,
}

impl Clock {
    /// A clock that divides by `compress`.
    #[must_use]
    pub fn new(compress: u64, epoch_unix_seconds: u64) -> Self {
        Self { compress: compress.max(1), epoch: epoch_unix_seconds }
    }

    /// A duration or a moment of the scenario, in milliseconds of the run.
    #[must_use]
    pub fn ms(self, span: Span) -> u64 {
        span.ms() / self.compress
    }

    /// The length of a day, in milliseconds of the run.
    #[must_use]
    pub fn day_ms(self) -> u64 {
        DAY_MS / self.compress
    }

    /// A message's life, in seconds of the run.
    #[must_use]
    pub fn life_seconds(self, life: Span) -> u64 {
        let seconds = life.ms() / 1000;
        if self.compress == 1 { seconds } else { (seconds / self.compress).max(LIFE_SECONDS_MIN.min(seconds)) }
    }

    /// How far into its day (UTC) a moment of the run is: 0 ≤ x < 24.
    #[must_use]
    pub fn hour(self, at_ms: u64) -> f64 {
        self.ms_of_day(at_ms) as f64 / 3_600_000.0
    }

    /// How many milliseconds of the scenario's day (UTC) have passed at a moment of the run.
    #[must_use]
    pub fn ms_of_day(self, at_ms: u64) -> u64 {
        (self.epoch % 86_400 * 1000 + at_ms.saturating_mul(self.compress)) % DAY_MS
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn compression_divides_and_keeps_the_hour() {
        let noon = Clock::new(24, 12 * 3600);
        assert_eq!(noon.ms(Span(86_400_000)), 3_600_000);
        assert_eq!(noon.day_ms(), 3_600_000);
        assert!((noon.hour(0) - 12.0).abs() < 1e-9);
        // Half a compressed day later it is midnight.
        assert!(noon.hour(1_800_000).abs() < 1e-9);
        assert_eq!(noon.life_seconds(Span(30 * 86_400_000)), 108_000);
        assert_eq!(noon.life_seconds(Span(3_600_000)), LIFE_SECONDS_MIN);
        assert_eq!(Clock::new(1, 0).life_seconds(Span(60_000)), 60);
    }
}
