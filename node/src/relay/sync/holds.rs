//! What was tried with a neighbour in vain, and is not tried again for a while.
//!
//! An id that a neighbour has in its set but does not hand over (a mark, or a lie), or a record that it hands over and
//! this node refuses (or the other way round), keeps the two sets different. Without memory it would cross the wire at
//! every sync until it expires. Each id is held back for a time that doubles with every vain attempt.

use std::collections::BTreeMap;

use griot_protocol::RecordId;

use super::limits::{HOLD_MS_MAX, HOLD_MS_MIN, HOLDS_MAX};

#[derive(Clone, Copy, Debug)]
struct Hold {
    until_ms: u64,
    length_ms: u64,
}

impl Hold {
    /// Remembered for another `length_ms` after it ended, so that the next vain attempt doubles it.
    fn is_over(&self, now_ms: u64) -> bool {
        now_ms >= self.until_ms.saturating_add(self.length_ms)
    }
}

/// Ids not to be tried now, at most [`HOLDS_MAX`].
#[derive(Debug, Default)]
pub(super) struct Holds {
    holds: BTreeMap<RecordId, Hold>,
}

impl Holds {
    /// Notes a vain attempt (or one whose success cannot be seen from here).
    pub fn note(&mut self, id: RecordId, now_ms: u64) {
        let room = self.holds.len() < HOLDS_MAX;
        match self.holds.get_mut(&id) {
            Some(hold) => {
                hold.length_ms = (hold.length_ms * 2).min(HOLD_MS_MAX);
                hold.until_ms = now_ms.saturating_add(hold.length_ms);
            }
            None if room => {
                let hold = Hold { until_ms: now_ms.saturating_add(HOLD_MS_MIN), length_ms: HOLD_MS_MIN };
                self.holds.insert(id, hold);
            }
            None => {}
        }
    }

    /// Whether the id must wait.
    pub fn has(&self, id: &RecordId, now_ms: u64) -> bool {
        self.holds.get(id).is_some_and(|hold| now_ms < hold.until_ms)
    }

    /// Whether no further id can be remembered, so that none should be tried.
    pub fn is_full(&self) -> bool {
        self.holds.len() >= HOLDS_MAX
    }

    /// Forgets what is long over.
    pub fn forget(&mut self, now_ms: u64) {
        self.holds.retain(|_, hold| !hold.is_over(now_ms));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_vain_attempt_doubles_the_wait_and_rest_forgives() {
        let mut holds = Holds::default();
        let id = RecordId([1; 32]);
        holds.note(id, 0);
        assert!(holds.has(&id, HOLD_MS_MIN - 1));
        assert!(!holds.has(&id, HOLD_MS_MIN));
        holds.forget(HOLD_MS_MIN);
        holds.note(id, HOLD_MS_MIN);
        assert!(holds.has(&id, HOLD_MS_MIN * 3 - 1));
        holds.forget(HOLD_MS_MIN * 5);
        holds.note(id, HOLD_MS_MIN * 5);
        assert!(!holds.has(&id, HOLD_MS_MIN * 6), "after a long rest it starts anew");
        for _ in 0..40 {
            holds.note(id, 0);
        }
        assert!(!holds.has(&id, HOLD_MS_MAX));
    }

    #[test]
    fn the_memory_is_bounded() {
        let mut holds = Holds::default();
        for number in 0..HOLDS_MAX as u64 + 10 {
            let mut id = [0; 32];
            id[..8].copy_from_slice(&number.to_le_bytes());
            holds.note(RecordId(id), 0);
        }
        assert!(holds.is_full());
        assert_eq!(holds.holds.len(), HOLDS_MAX);
        holds.forget(HOLD_MS_MIN * 2);
        assert!(!holds.is_full());
    }
}
