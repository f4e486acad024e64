//! Token buckets: so many a second on average, so many at once after a rest.

use super::limits::Rate;

/// Thousandths of a token, so that integers suffice at any rate.
const MILLI: u64 = 1000;

/// One bucket. It starts full.
#[derive(Clone, Copy, Debug)]
pub(super) struct Bucket {
    milli_tokens: u64,
    at_ms: u64,
}

impl Bucket {
    pub(super) fn full(rate: Rate, now_ms: u64) -> Self {
        Self { milli_tokens: u64::from(rate.burst.max(1)) * MILLI, at_ms: now_ms }
    }

    /// Takes a token, or says in how many milliseconds there will be one.
    pub(super) fn take(&mut self, rate: Rate, now_ms: u64) -> Result<(), u64> {
        self.take_many(1, rate, now_ms)
    }

    /// Takes so many tokens, or says in how many milliseconds there will be as many. Of more than a burst it takes a burst.
    pub(super) fn take_many(&mut self, tokens: u32, rate: Rate, now_ms: u64) -> Result<(), u64> {
        self.refill(rate, now_ms);
        let wanted = u64::from(tokens.min(rate.burst.max(1))) * MILLI;
        if self.milli_tokens >= wanted {
            self.milli_tokens -= wanted;
            return Ok(());
        }
        // One thousandth of a token comes every 1/rate milliseconds.
        Err((wanted - self.milli_tokens).div_ceil(u64::from(rate.per_second.max(1))))
    }

    /// Whether nothing was taken for so long that a new bucket would be the same.
    pub(super) fn is_full(&mut self, rate: Rate, now_ms: u64) -> bool {
        self.refill(rate, now_ms);
        self.milli_tokens == u64::from(rate.burst.max(1)) * MILLI
    }

    fn refill(&mut self, rate: Rate, now_ms: u64) {
        let gained = now_ms.saturating_sub(self.at_ms).saturating_mul(u64::from(rate.per_second));
        self.milli_tokens = self.milli_tokens.saturating_add(gained).min(u64::from(rate.burst.max(1)) * MILLI);
        self.at_ms = self.at_ms.max(now_ms);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_burst_then_the_rate() {
        let rate = Rate { per_second: 10, burst: 3 };
        let mut bucket = Bucket::full(rate, 0);
        for _ in 0..3 {
            assert_eq!(bucket.take(rate, 0), Ok(()));
        }
        assert_eq!(bucket.take(rate, 0), Err(100));
        assert_eq!(bucket.take(rate, 99), Err(1));
        assert_eq!(bucket.take(rate, 100), Ok(()));
        assert!(!bucket.is_full(rate, 200));
        assert!(bucket.is_full(rate, 400));
    }

    #[test]
    fn many_at_once_and_never_more_than_a_burst() {
        let rate = Rate { per_second: 10, burst: 30 };
        let mut bucket = Bucket::full(rate, 0);
        assert_eq!(bucket.take_many(20, rate, 0), Ok(()));
        assert_eq!(bucket.take_many(20, rate, 0), Err(1000));
        assert_eq!(bucket.take_many(1000, rate, 2000), Ok(()), "it costs what the bucket holds");
        assert_eq!(bucket.take(rate, 2000), Err(100));
    }

    #[test]
    fn a_clock_that_stands_still_or_jumps_gives_no_more_than_a_burst() {
        let rate = Rate { per_second: 1, burst: 1 };
        let mut bucket = Bucket::full(rate, 1000);
        assert_eq!(bucket.take(rate, 0), Ok(()));
        assert!(bucket.take(rate, 0).is_err());
        assert_eq!(bucket.take(rate, u64::MAX), Ok(()));
        assert!(bucket.take(rate, u64::MAX).is_err());
    }
}
