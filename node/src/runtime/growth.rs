//! How fast the log grows, so that an operator hears of a full disk days before it is one.
//!
//! The log's size is noted every hour for a week. What is said is the **median of its growth over each whole day** in
//! that window: a day, because people write by day and sleep by night; the median, because a healed partition that brings
//! a gigabyte at once, or the log giving back what it no longer needs, says nothing about other days. Before two days have
//! been seen there is nothing to take a median of, and nothing is said.

use std::collections::VecDeque;

/// How often the size is noted.
const EVERY_MS: u64 = 3600 * 1000;

/// Notes in a day.
const A_DAY: usize = 24;

/// Notes kept: a week, from its first moment to its last.
const NOTES_MAX: usize = 7 * A_DAY + 1;

/// Notes before anything is said: two days, in which the day that just began can be compared with 25 others.
const NOTES_MIN: usize = 2 * A_DAY + 1;

/// Growth in a day that is called none: a gigabyte would take three years.
const STEADY_BYTES: u64 = 1024 * 1024;

/// Where the log's size is heading.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trend {
    /// It was not watched for long enough.
    Unknown,
    /// It does not grow, or by next to nothing.
    Steady,
    /// It grows by so many bytes a day.
    Growing(u64),
}

/// The sizes of the last week.
#[derive(Clone, Debug, Default)]
pub struct Growth {
    notes: VecDeque<u64>,
    noted_ms: u64,
}

impl Growth {
    /// Whether the size should be noted.
    #[must_use]
    pub fn is_due(&self, now_ms: u64) -> bool {
        self.notes.is_empty() || now_ms.saturating_sub(self.noted_ms) >= EVERY_MS
    }

    /// Notes the size, if it is due. Hours in which nobody came to note it (the machine slept) make what came before
    /// worthless: the notes begin anew.
    pub fn note(&mut self, now_ms: u64, bytes: u64) {
        if !self.is_due(now_ms) {
            return;
        }
        let late_ms = now_ms.saturating_sub(self.noted_ms).saturating_sub(EVERY_MS);
        if late_ms >= EVERY_MS && !self.notes.is_empty() {
            self.notes.clear();
        }
        // In step with the first note, so that a little lateness does not add up.
        let steps = if self.notes.is_empty() { None } else { Some(self.noted_ms.saturating_add(EVERY_MS)) };
        self.noted_ms = steps.unwrap_or(now_ms);
        if self.notes.len() == NOTES_MAX {
            self.notes.pop_front();
        }
        self.notes.push_back(bytes);
    }

    /// Seconds from the first note to the last.
    #[must_use]
    pub fn watched_seconds(&self) -> u64 {
        (self.notes.len().saturating_sub(1) as u64).saturating_mul(EVERY_MS / 1000)
    }

    /// Where it is heading.
    #[must_use]
    pub fn trend(&self) -> Trend {
        if self.notes.len() < NOTES_MIN {
            return Trend::Unknown;
        }
        let later = self.notes.iter().skip(A_DAY);
        let mut days: Vec<u64> =
            self.notes.iter().zip(later).map(|(before, after)| after.saturating_sub(*before)).collect();
        days.sort_unstable();
        match days.get(days.len() / 2).copied() {
            Some(bytes) if bytes > STEADY_BYTES => Trend::Growing(bytes),
            Some(_) => Trend::Steady,
            None => Trend::Unknown,
        }
    }
}

/// Days until a disk with so much room is full, where the log grows.
#[must_use]
pub const fn days_left(free_bytes: u64, reserve_bytes: u64, trend: Trend) -> Option<u64> {
    match trend {
        Trend::Growing(bytes) => free_bytes.saturating_sub(reserve_bytes).checked_div(bytes),
        Trend::Unknown | Trend::Steady => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: u64 = 1024 * 1024;

    /// Notes as many hours as `bytes` says sizes for, looked at every ten minutes.
    fn watched(bytes: impl Iterator<Item = u64>) -> Growth {
        let mut growth = Growth::default();
        for (hour, bytes) in (0..).zip(bytes) {
            for minute in (0..60).step_by(10) {
                growth.note(hour * EVERY_MS + minute * 60_000, bytes);
            }
        }
        growth
    }

    #[test]
    fn nothing_is_said_before_two_days_were_seen() {
        let growth = watched((0..48).map(|hour| hour * MIB));
        assert_eq!((growth.trend(), growth.watched_seconds()), (Trend::Unknown, 47 * 3600));
        let growth = watched((0..49).map(|hour| hour * MIB));
        assert_eq!((growth.trend(), growth.watched_seconds()), (Trend::Growing(24 * MIB), 48 * 3600));
        assert_eq!(Growth::default().trend(), Trend::Unknown);
        assert_eq!(Growth::default().watched_seconds(), 0);
    }

    #[test]
    fn days_and_nights_make_whole_days() {
        // Eight hours of every day bring 30 MiB each; most hours bring nothing.
        let size = |hour: u64| (0..hour).filter(|hour| hour % 24 < 8).count() as u64 * 30 * MIB;
        assert_eq!(watched((0..100).map(size)).trend(), Trend::Growing(240 * MIB));
    }

    #[test]
    fn a_flood_once_and_room_given_back_are_not_taken_for_every_day() {
        let calm = |hour: u64| hour * MIB;
        let flood = watched((0..100).map(|hour| calm(hour) + if hour > 60 { 10_000 * MIB } else { 0 }));
        assert_eq!(flood.trend(), Trend::Growing(24 * MIB));
        let relief = watched((0..100).map(|hour| 10_000 * MIB + calm(hour) - if hour > 60 { 9_000 * MIB } else { 0 }));
        assert_eq!(relief.trend(), Trend::Growing(24 * MIB));
    }

    #[test]
    fn what_stays_or_shrinks_is_steady() {
        assert_eq!(watched((0..60).map(|_| 7 * MIB)).trend(), Trend::Steady);
        assert_eq!(watched((0..60).map(|hour| 1000 * MIB - hour * MIB)).trend(), Trend::Steady);
        assert_eq!(watched((0..60).map(|hour| hour * MIB / 30)).trend(), Trend::Steady, "less than one a day");
    }

    #[test]
    fn only_the_last_week_counts() {
        let growth = watched((0..1000).map(|hour| if hour < 700 { hour * 50 * MIB } else { 35_000 * MIB }));
        assert_eq!((growth.trend(), growth.watched_seconds()), (Trend::Steady, 7 * 24 * 3600));
    }

    #[test]
    fn a_machine_that_slept_begins_anew() {
        let mut growth = watched((0..60).map(|hour| hour * MIB));
        growth.note(62 * EVERY_MS, 900 * MIB);
        assert_eq!((growth.trend(), growth.watched_seconds()), (Trend::Unknown, 0));
    }

    #[test]
    fn the_reserve_is_not_there_to_be_filled() {
        assert_eq!(days_left(1000, 200, Trend::Growing(100)), Some(8));
        assert_eq!(days_left(100, 200, Trend::Growing(100)), Some(0));
        assert_eq!(days_left(1000, 200, Trend::Steady), None);
        assert_eq!(days_left(1000, 200, Trend::Unknown), None);
    }
}
