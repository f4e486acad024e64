//! So many a second, evenly, beginning somewhere within the first interval.

use crate::plan::VirtualMs;

/// What is left undone for so long is left undone for good: a node that was held up does not make up for hours.
const CATCH_UP_MS: u64 = 1_000;

/// A rate, and how much of it has been used.
#[derive(Clone, Copy, Debug)]
pub(super) struct Pace {
    per_second: u64,
    since: VirtualMs,
    done: u64,
}

impl Pace {
    /// `phase` says where in the first interval to begin: nodes that keep step are another kind of attack.
    pub fn new(per_second: u32, phase: u64, now: VirtualMs) -> Self {
        let per_second = u64::from(per_second.max(1));
        Self { per_second, since: VirtualMs(now.0 + phase % (1_000 / per_second).max(1)), done: 0 }
    }

    /// When the next one is due.
    pub fn next(&self) -> VirtualMs {
        VirtualMs(self.since.0 + (self.done + 1).saturating_mul(1_000).div_ceil(self.per_second))
    }

    /// How many are due now. They count as done.
    pub fn take(&mut self, now: VirtualMs) -> u64 {
        let passed = now.0.saturating_sub(self.since.0);
        let allowed = passed.saturating_mul(self.per_second) / 1_000;
        let due = allowed.saturating_sub(self.done);
        self.done = self.done.max(allowed);
        due.min((CATCH_UP_MS * self.per_second).div_ceil(1_000))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_minute_has_sixty_times_as_many_and_none_is_early() {
        for per_second in [1, 3, 7, 1_000, 2_500] {
            let mut pace = Pace::new(per_second, 0, VirtualMs(500));
            let mut count = 0;
            while pace.next() <= VirtualMs(60_500) {
                let at = pace.next();
                let due = pace.take(at);
                assert!(due >= 1, "{per_second} a second: nothing is due when it said so");
                count += due;
            }
            assert_eq!(count, 60 * u64::from(per_second));
        }
    }

    #[test]
    fn what_was_left_undone_for_hours_is_not_made_up_for() {
        let mut pace = Pace::new(10, 0, VirtualMs(0));
        assert_eq!(pace.take(VirtualMs(3_600_000)), 10);
        assert_eq!(pace.take(VirtualMs(3_600_050)), 0);
        assert_eq!(pace.next(), VirtualMs(3_600_100));
    }
}
