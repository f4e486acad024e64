//! A line that carries one byte after another: when what comes then is through.
//!
//! When something is sent, its whole way is worked out at once. What a narrow uplink will let go in ten seconds is thus announced to
//! the lines behind it ten seconds early, and must not hold up what others send meanwhile: so a line remembers *which* times are taken,
//! and what comes takes the first free time from then on, in pieces where it must.

use std::collections::BTreeMap;

/// One line in one direction.
#[derive(Debug, Default)]
pub(super) struct Line {
    /// 0 is unlimited.
    bytes_per_second: u64,
    /// The times that are taken, microseconds: from, until. They neither touch nor overlap.
    taken: BTreeMap<u64, u64>,
}

impl Line {
    pub(super) const fn new(bytes_per_second: u64) -> Self {
        Self { bytes_per_second, taken: BTreeMap::new() }
    }

    /// Bytes come at `from_us`; says when the last of them is through.
    pub(super) fn carry(&mut self, now_us: u64, from_us: u64, bytes: u64) -> u64 {
        if self.bytes_per_second == 0 {
            return from_us;
        }
        while self.taken.first_key_value().is_some_and(|(_, until)| *until < now_us) {
            self.taken.pop_first();
        }
        let mut left_us = (bytes * 1_000_000).div_ceil(self.bytes_per_second);
        let mut begin = from_us;
        let mut end = from_us;
        // What is taken just then, or up to then, is continued.
        if let Some((from, until)) = self.taken.range(..=from_us).next_back().map(|(from, until)| (*from, *until))
            && until >= from_us
        {
            (begin, end) = (from, until);
        }
        // Free time is filled up to the next that is taken, and both become one.
        while let Some((from, until)) =
            self.taken.range(end.max(begin + 1)..).next().map(|(from, until)| (*from, *until))
        {
            let free_us = from - end;
            if free_us > left_us {
                break;
            }
            left_us -= free_us;
            self.taken.remove(&from);
            end = until;
            if left_us == 0 {
                self.taken.insert(begin, end);
                return from;
            }
        }
        self.taken.insert(begin, end + left_us);
        end + left_us
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A line on which a byte takes a millisecond.
    fn line() -> Line {
        Line::new(1000)
    }

    const MS: u64 = 1000;

    #[test]
    fn one_byte_after_another() {
        let mut line = line();
        assert_eq!(line.carry(0, 0, 500), 500 * MS);
        assert_eq!(line.carry(0, 0, 500), 1000 * MS, "it waits for the first");
        assert_eq!(line.carry(0, 5000 * MS, 500), 5500 * MS, "idle time is not saved up");
        assert_eq!(Line::new(0).carry(0, 7, 1_000_000), 7, "no limit");
    }

    #[test]
    fn what_will_come_later_does_not_hold_up_what_comes_now() {
        let mut line = line();
        assert_eq!(line.carry(0, 10_000 * MS, 100), 10_100 * MS);
        assert_eq!(line.carry(0, 0, 100), 100 * MS);
        assert_eq!(line.carry(0, 9_950 * MS, 100), 10_150 * MS, "in two pieces around what is taken");
        assert_eq!(line.carry(0, 50 * MS, 9_000), 9_100 * MS);
        assert_eq!(line.carry(0, 0, 850), 9_950 * MS, "the gap is just as large");
        assert_eq!(line.taken.len(), 1);
        assert_eq!(line.carry(0, 0, 1), 10_151 * MS);
    }

    #[test]
    fn no_time_is_given_twice_and_the_past_is_forgotten() {
        let mut line = line();
        let mut random = 1_u64;
        let (mut carried, mut now) = (0, 0);
        for _ in 0..10_000 {
            random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            let (ahead, bytes) = ((random >> 33) % 400, 1 + (random >> 50) % 8);
            now += (random >> 20) % 10;
            let from = (now + ahead) * MS;
            assert!(line.carry(now * MS, from, bytes) >= from + bytes * MS);
            carried += bytes * MS;
            let mut before = None;
            for (from, until) in &line.taken {
                assert!(from < until && before.is_none_or(|before| before < *from), "{:?}", line.taken);
                before = Some(*until);
            }
            assert!(line.taken.len() < 500, "{}", line.taken.len());
        }
        assert!(carried > 0);
    }

    #[test]
    fn what_it_carries_takes_the_time_that_it_takes() {
        let mut line = line();
        let mut bytes = 0;
        for n in 0..200_u64 {
            line.carry(0, n * 7919 % 1000 * MS, 1 + n % 5);
            bytes += 1 + n % 5;
        }
        assert_eq!(line.taken.iter().map(|(from, until)| until - from).sum::<u64>(), bytes * MS);
    }
}
