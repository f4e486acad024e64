//! Which time it is: this machine's word, and the neighbours'.
//!
//! A node whose clock is wrong by hours would refuse good mail as expired, or worse, delete it. Neighbours tell their
//! time when a sync opens. Where at least three do and their median is more than ten minutes off our own clock, we
//! judge records by the median. Where our clock jumped by a day since the node last ran (or while it runs) and nobody
//! is there to compare with, we judge by it but delete nothing as expired until that is settled.

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

/// The relay's idea of the time.
#[derive(Debug)]
pub(super) struct Clock {
    last_ran: Option<Timestamp>,
    /// Wall and monotonic clock when they were last found to agree.
    base: Option<Now>,
    settled: bool,
    /// Neighbours' clocks minus ours, in seconds.
    offsets: BTreeMap<NodeId, i64>,
    /// Their median, where it counts.
    skew: Option<i64>,
}

impl Clock {
    pub(super) const fn new(last_ran: Option<Timestamp>) -> Self {
        Self { last_ran, base: None, settled: true, offsets: BTreeMap::new(), skew: None }
    }

    /// Takes note of the machine's clock.
    pub(super) fn observe(&mut self, now: Now) {
        let expected = match self.base {
            Some(base) => Some(base.wall.plus(now.mono_ms.saturating_sub(base.mono_ms) / 1000)),
            None => self.last_ran,
        };
        self.base = Some(now);
        let Some(expected) = expected else { return };
        let jump = now.wall.since(expected).max(expected.since(now.wall));
        if jump >= JUMP_SECONDS {
            // What neighbours said was measured against the clock that has just jumped.
            self.offsets.clear();
            self.skew = None;
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
        self.skew = self.median_skew();
        let agrees = offset.saturating_abs() <= SKEW_SECONDS_MAX;
        if agrees || self.offsets.len() >= PEERS_MIN {
            self.settled = true;
        }
    }

    pub(super) fn peer_down(&mut self, peer: &NodeId) {
        self.offsets.remove(peer);
        self.skew = self.median_skew();
    }

    /// The time by which records are judged.
    pub(super) fn judged(&self, now: Now) -> Timestamp {
        match self.skew {
            Some(offset) => Timestamp(now.wall.0.saturating_add_signed(offset)),
            None => now.wall,
        }
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

    /// Whether anything may be deleted as expired.
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
}
