//! What is remembered about one connected neighbour.

use std::collections::BTreeMap;

use griot_protocol::Shard;

use super::{
    holds::Holds,
    limits::{BACKOFF_MS_MAX, BACKOFF_MS_MIN, NOT_CARRIED_MS, UNITS_MAX, UNITS_PER_SECOND},
};

/// A connected neighbour: what is to be compared with it, and when.
#[derive(Debug, Default)]
pub(super) struct Neighbour {
    /// Shards to compare, each with the time from which on.
    due: BTreeMap<Shard, u64>,
    /// Nothing before this time: the pause after failures.
    not_before_ms: u64,
    /// Sessions that failed in a row.
    failures: u32,
    /// When its last session began: whoever waited longest is next.
    pub served_ms: u64,
    /// Shards that it does not carry, or did not understand, each with the time until when this is believed.
    not_carried: BTreeMap<Shard, u64>,
    /// Ids fetched from it in vain.
    pub fetched: Holds,
    /// Ids pushed to it, in vain perhaps.
    pub pushed: Holds,
}

impl Neighbour {
    /// Compare `shard` from `at_ms` on, or earlier where that was wanted already.
    pub fn want(&mut self, shard: Shard, at_ms: u64) {
        self.due.entry(shard).and_modify(|due| *due = (*due).min(at_ms)).or_insert(at_ms);
    }

    /// Do not compare `shard` before `at_ms`, if it was to be compared at all.
    pub fn postpone(&mut self, shard: Shard, at_ms: u64) {
        if let Some(due) = self.due.get_mut(&shard) {
            *due = (*due).max(at_ms);
        }
    }

    /// Takes a shard that may be compared now, the one that is due longest.
    pub fn take_due(&mut self, now_ms: u64) -> Option<Shard> {
        let shard = self.next_due(now_ms)?;
        self.due.remove(&shard);
        Some(shard)
    }

    /// Whether a shard may be compared now.
    pub fn is_due(&self, now_ms: u64) -> bool {
        self.next_due(now_ms).is_some()
    }

    fn next_due(&self, now_ms: u64) -> Option<Shard> {
        if now_ms < self.not_before_ms {
            return None;
        }
        let (at_ms, shard) = self.due.iter().map(|(shard, at_ms)| (*at_ms, *shard)).min()?;
        (at_ms <= now_ms).then_some(shard)
    }

    /// Forgets shards that are no longer carried here.
    pub fn keep_shards(&mut self, carried: impl Fn(&Shard) -> bool) {
        self.due.retain(|shard, _| carried(shard));
        self.not_carried.retain(|shard, _| carried(shard));
    }

    /// A session went well.
    pub fn succeeded(&mut self) {
        self.failures = 0;
    }

    /// A session failed: pause, longer each time. `jitter` is 0 to 255.
    pub fn failed(&mut self, now_ms: u64, jitter: u8) {
        let doubled = BACKOFF_MS_MIN << self.failures.min(4);
        let pause_ms = doubled + doubled * u64::from(jitter) / 512;
        self.failures = self.failures.saturating_add(1);
        self.not_before_ms = now_ms.saturating_add(pause_ms.min(BACKOFF_MS_MAX));
    }

    /// It said that it does not carry `shard`, or does not understand.
    pub fn carries_not(&mut self, shard: Shard, now_ms: u64) {
        self.not_carried.insert(shard, now_ms.saturating_add(NOT_CARRIED_MS));
    }

    /// Whether comparing `shard` with it may make sense.
    pub fn may_carry(&self, shard: Shard, now_ms: u64) -> bool {
        self.not_carried.get(&shard).is_none_or(|until_ms| *until_ms <= now_ms)
    }
}

/// What a neighbour may still make this node do. The balance may be overdrawn by one request, because the work of a
/// request is known only afterwards; then nothing is done until time has paid it back.
#[derive(Clone, Copy, Debug)]
pub(super) struct Account {
    units: i64,
    at_ms: u64,
}

impl Account {
    /// A full account.
    pub fn new(now_ms: u64) -> Self {
        Self { units: UNITS_MAX as i64, at_ms: now_ms }
    }

    /// Whether a request may be looked at.
    pub fn is_open(&mut self, now_ms: u64) -> bool {
        let earned = now_ms.saturating_sub(self.at_ms).saturating_mul(UNITS_PER_SECOND) / 1000;
        let earned = i64::try_from(earned).unwrap_or(i64::MAX);
        self.units = self.units.saturating_add(earned).min(UNITS_MAX as i64);
        self.at_ms = now_ms;
        self.units > 0
    }

    /// Whether nothing is lost by forgetting it.
    pub fn is_full(&mut self, now_ms: u64) -> bool {
        self.is_open(now_ms) && self.units == UNITS_MAX as i64
    }

    /// Pays for a request.
    pub fn charge(&mut self, units: u64) {
        self.units = self.units.saturating_sub(i64::try_from(units).unwrap_or(i64::MAX));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_and_stay_below_the_bound() {
        let mut neighbour = Neighbour::default();
        neighbour.want(Shard(1), 0);
        let mut pauses = Vec::new();
        for _ in 0..10 {
            neighbour.failed(1000, 255);
            pauses.push(neighbour.not_before_ms - 1000);
        }
        assert!(pauses.is_sorted());
        assert!(pauses[0] < 2 * BACKOFF_MS_MIN);
        assert_eq!(pauses.last(), Some(&BACKOFF_MS_MAX));
        assert!(!neighbour.is_due(1000));
        assert!(neighbour.is_due(1000 + BACKOFF_MS_MAX));
        neighbour.succeeded();
        neighbour.failed(0, 0);
        assert_eq!(neighbour.not_before_ms, BACKOFF_MS_MIN);
    }

    #[test]
    fn what_is_due_longest_comes_first() {
        let mut neighbour = Neighbour::default();
        neighbour.want(Shard(1), 30);
        neighbour.want(Shard(2), 20);
        neighbour.want(Shard(1), 40);
        assert_eq!(neighbour.take_due(19), None);
        assert_eq!(neighbour.take_due(50), Some(Shard(2)));
        neighbour.postpone(Shard(1), 60);
        assert_eq!(neighbour.take_due(50), None);
        assert_eq!(neighbour.take_due(60), Some(Shard(1)));
        assert_eq!(neighbour.take_due(99), None);
    }

    #[test]
    fn an_overdrawn_account_is_paid_back_by_time() {
        let mut account = Account::new(0);
        account.charge(UNITS_MAX + UNITS_PER_SECOND);
        assert!(!account.is_open(1000));
        assert!(account.is_open(1001));
        assert!(account.is_open(u64::MAX));
        account.charge(u64::MAX);
        assert!(!account.is_open(u64::MAX));
    }
}
