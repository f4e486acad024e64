//! Which time it is: this machine's word, and the neighbours'.
//!
//! A node whose clock is wrong by hours would refuse good mail as expired, or worse, delete it. Neighbours tell their
//! time when a sync opens. Where at least three do and their median is more than ten minutes off our own clock, we
//! judge records by the median. Where our clock jumped by a day since the node last ran (or while it runs) and nobody
//! is there to compare with, we judge by it but delete nothing as expired until that is settled.
//!
//! Less than a day ahead may also be a machine that was off or asleep, so there that rule would stop expiry for all who
//! are alone. What is deleted is gone, though, and to be late with it costs a little room. So after a start or a jump
//! nothing is deleted for an hour, unless a neighbour agrees with our clock; and where the one or two neighbours we have
//! say that it is earlier, it is for this purpose, up to a day. What they said counts when they are gone, too.

use std::collections::BTreeMap;

use griot_protocol::{NodeId, Timestamp};

use super::{report::ClockState, types::Now};

/// Fewer neighbours than this could all be wrong together, or one attacker.
const PEERS_MIN: usize = 3;

/// Neighbours whose time is remembered; a median of more is no better.
const PEERS_MAX: usize = 64;

/// Up to here a clock counts as right: the rules of time allow for as much.
const SKEW_SECONDS_MAX: i64 = 10 * 60;

/// A jump that no outage of a few hours explains.
const JUMP_SECONDS: u64 = 24 * 3600;

/// How long nothing is deleted after a start or a jump ahead without a neighbour that agrees: NTP sets a clock within
/// minutes of having a network, and whoever sets it by hand sees that it is wrong. To wait costs an hour of what expires.
const GRACE_MS: u64 = 3600 * 1000;

/// How much later than our clock says we delete because of what too few neighbours say: from here on a jump counts as
/// one, and liars can make us keep no more than what expires in a day.
const SPARED_SECONDS_MAX: u64 = JUMP_SECONDS;

/// The relay's idea of the time.
#[derive(Debug)]
pub(super) struct Clock {
    last_ran: Option<Timestamp>,
    /// Wall and monotonic clock when they were last found to agree.
    base: Option<Now>,
    settled: bool,
    /// Nothing is deleted before, by the clock that only measures.
    held_until_ms: u64,
    /// Neighbours' clocks minus ours, in seconds.
    offsets: BTreeMap<NodeId, i64>,
    /// Their median, where it counts.
    skew: Option<i64>,
    /// Their median, however few or near they are; the last one, where none is left.
    heard: Option<i64>,
}

impl Clock {
    pub(super) const fn new(last_ran: Option<Timestamp>) -> Self {
        Self {
            last_ran,
            base: None,
            settled: true,
            held_until_ms: 0,
            offsets: BTreeMap::new(),
            skew: None,
            heard: None,
        }
    }

    /// Takes note of the machine's clock.
    pub(super) fn observe(&mut self, now: Now) {
        let expected = match self.base {
            Some(base) => Some(base.wall.plus(now.mono_ms.saturating_sub(base.mono_ms) / 1000)),
            None => self.last_ran,
        };
        self.base = Some(now);
        let ahead = expected.map_or(u64::MAX, |expected| now.wall.since(expected));
        let behind = expected.map_or(0, |expected| expected.since(now.wall));
        if ahead > SKEW_SECONDS_MAX.unsigned_abs() {
            self.held_until_ms = now.mono_ms.saturating_add(GRACE_MS);
        }
        if ahead.max(behind) > SKEW_SECONDS_MAX.unsigned_abs() {
            // What neighbours said was measured against the clock that has just jumped.
            self.offsets.clear();
            (self.skew, self.heard) = (None, None);
        }
        if expected.is_some() && ahead.max(behind) >= JUMP_SECONDS {
            self.settled = false;
        }
    }

    /// Takes note of a neighbour's clock.
    pub(super) fn peer_time(&mut self, peer: NodeId, theirs: Timestamp, now: Now) {
        if self.offsets.len() >= PEERS_MAX && !self.offsets.contains_key(&peer) {
            return;
        }
        let offset = i64::try_from(theirs.0).unwrap_or(i64::MAX).saturating_sub_unsigned(now.wall.0);
        self.offsets.insert(peer, offset);
        self.take_stock();
        let agrees = offset.saturating_abs() <= SKEW_SECONDS_MAX;
        if agrees || self.offsets.len() >= PEERS_MIN {
            self.settled = true;
            self.held_until_ms = 0;
        }
    }

    pub(super) fn peer_down(&mut self, peer: &NodeId) {
        self.offsets.remove(peer);
        self.take_stock();
    }

    fn take_stock(&mut self) {
        self.skew = self.median_skew();
        self.heard = self.median().or(self.heard);
    }

    /// The time by which records are judged.
    pub(super) fn judged(&self, now: Now) -> Timestamp {
        match self.skew {
            Some(offset) => Timestamp(now.wall.0.saturating_add_signed(offset)),
            None => now.wall,
        }
    }

    /// The time up to which what expires may be deleted; `None` while nothing may be.
    pub(super) fn deletes_until(&self, now: Now) -> Option<Timestamp> {
        if !self.settled || now.mono_ms < self.held_until_ms {
            return None;
        }
        let judged = self.judged(now);
        let ahead = self.heard.filter(|heard| self.skew.is_none() && *heard < -SKEW_SECONDS_MAX);
        let spared = ahead.map_or(0, i64::unsigned_abs).min(SPARED_SECONDS_MAX);
        Some(judged.minus(spared))
    }

    /// How far the median of the neighbours is off our clock, where they are enough and it is too far.
    pub(super) const fn skew(&self) -> Option<i64> {
        self.skew
    }

    fn median_skew(&self) -> Option<i64> {
        if self.offsets.len() < PEERS_MIN {
            return None;
        }
        self.median().filter(|median| median.saturating_abs() > SKEW_SECONDS_MAX)
    }

    /// The median of the neighbours' clocks minus ours, however few or near they are.
    fn median(&self) -> Option<i64> {
        let mut offsets: Vec<i64> = self.offsets.values().copied().collect();
        offsets.sort_unstable();
        offsets.get(offsets.len() / 2).copied()
    }

    /// How it is, for whoever asks.
    pub(super) fn state(&self) -> ClockState {
        ClockState {
            peers: self.offsets.len(),
            behind_seconds: self.median(),
            overruled: self.skew.is_some(),
            settled: self.settled,
        }
    }

    /// Whether the clock did not jump by a day, or somebody has confirmed it since.
    pub(super) const fn is_settled(&self) -> bool {
        self.settled
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOON: Timestamp = Timestamp(1_800_000_000);

    fn at(wall: Timestamp, mono_ms: u64) -> Now {
        Now { wall, mono_ms }
    }

    fn peer(n: u8) -> NodeId {
        NodeId([n; 32])
    }

    #[test]
    fn two_peers_are_not_believed_three_are() {
        let mut clock = Clock::new(None);
        let now = at(NOON, 0);
        clock.observe(now);
        clock.peer_time(peer(1), NOON.plus(3600), now);
        clock.peer_time(peer(2), NOON.plus(3600), now);
        assert_eq!(clock.judged(now), NOON);
        clock.peer_time(peer(3), NOON.plus(3601), now);
        assert_eq!(clock.judged(now), NOON.plus(3600));
        let state = ClockState { peers: 3, behind_seconds: Some(3600), overruled: true, settled: true };
        assert_eq!(clock.state(), state);
        clock.peer_down(&peer(1));
        assert_eq!(clock.judged(now), NOON);
        assert_eq!(clock.state(), ClockState { peers: 2, behind_seconds: Some(3601), overruled: false, ..state });
    }

    #[test]
    fn one_liar_among_many_moves_nothing() {
        let mut clock = Clock::new(None);
        let now = at(NOON, 0);
        clock.peer_time(peer(1), NOON.plus(1), now);
        clock.peer_time(peer(2), Timestamp(u64::MAX), now);
        clock.peer_time(peer(3), NOON.minus(2), now);
        assert_eq!(clock.judged(now), NOON);
    }

    #[test]
    fn after_a_jump_nothing_is_deleted_until_a_neighbour_agrees() {
        let mut clock = Clock::new(Some(NOON));
        let now = at(NOON.plus(40 * 24 * 3600), 0);
        clock.observe(now);
        assert!(!clock.is_settled());
        clock.peer_time(peer(1), NOON, now);
        assert!(!clock.is_settled(), "one neighbour that disagrees settles nothing");
        clock.peer_time(peer(2), now.wall, now);
        assert!(clock.is_settled());
    }

    #[test]
    fn a_jump_while_running_is_noticed_too() {
        let mut clock = Clock::new(Some(NOON));
        clock.observe(at(NOON, 0));
        clock.observe(at(NOON.plus(60), 60_000));
        assert!(clock.is_settled());
        clock.observe(at(NOON.plus(60 + 2 * 24 * 3600), 61_000));
        assert!(!clock.is_settled());
    }

    /// A clock that has run for long, beside neighbours that agreed, and has none now.
    fn trusted() -> Clock {
        let mut clock = Clock::new(Some(NOON));
        clock.observe(at(NOON, 0));
        assert_eq!(clock.deletes_until(at(NOON, 0)), Some(NOON));
        clock
    }

    #[test]
    fn a_jump_of_hours_holds_deletion_for_an_hour_and_one_that_goes_back_or_is_slight_does_not() {
        let mut clock = trusted();
        let back = at(NOON.minus(5 * 3600), 1_000);
        clock.observe(back);
        assert_eq!(clock.deletes_until(back), Some(back.wall));
        let slight = at(back.wall.plus(601), 2_000);
        clock.observe(slight);
        assert_eq!(clock.deletes_until(slight), Some(slight.wall));
        let ahead = at(NOON, 3_000);
        clock.observe(ahead);
        assert!(clock.is_settled());
        assert_eq!(clock.deletes_until(at(NOON.plus(3599), 3_602_999)), None);
        let later = at(NOON.plus(3600), 3_603_000);
        assert_eq!(clock.deletes_until(later), Some(later.wall));
    }

    #[test]
    fn after_a_start_deletion_waits_for_an_hour_or_for_a_neighbour_that_agrees() {
        for last_ran in [None, Some(NOON.minus(5 * 3600))] {
            let mut clock = Clock::new(last_ran);
            let now = at(NOON, 7);
            clock.observe(now);
            assert_eq!((clock.is_settled(), clock.deletes_until(now)), (true, None));
            clock.peer_time(peer(1), NOON.minus(5 * 3600), now);
            assert_eq!(clock.deletes_until(now), None);
            clock.peer_time(peer(2), NOON.plus(60), now);
            assert_eq!(clock.deletes_until(now), Some(NOON));
        }
    }

    #[test]
    fn too_few_neighbours_to_be_believed_are_enough_to_spare_what_they_do_not_call_expired() {
        let (mut clock, now) = (trusted(), at(NOON, 0));
        clock.peer_time(peer(1), NOON.minus(5 * 3600), now);
        assert_eq!((clock.judged(now), clock.deletes_until(now)), (NOON, Some(NOON.minus(5 * 3600))));
        clock.peer_down(&peer(1));
        let later = at(NOON.plus(7200), 7_200_000);
        clock.observe(later);
        assert_eq!(clock.deletes_until(later), Some(NOON.minus(3 * 3600)), "our clock has not been set since");
        clock.peer_time(peer(2), Timestamp(0), later);
        assert_eq!(clock.deletes_until(later), Some(later.wall.minus(24 * 3600)));
        clock.peer_time(peer(3), later.wall.plus(5 * 3600), later);
        assert_eq!(clock.deletes_until(later), Some(later.wall), "it is never later than our clock says");
        clock.observe(at(NOON.minus(2 * 3600), 7_201_000));
        assert_eq!(clock.deletes_until(later), Some(later.wall), "what they said was about another clock");
    }
}
