//! How far apart this node and each neighbour were, and when they last were found together: for whoever asks, and for
//! no decision.
//!
//! Whoever begins a session sees it end. The other side is asked one thing at a time and never told of an end; what it
//! sees is that a later session opens with the same root over everything as its own: then nothing differs. Either
//! counts as *together*. What was moved each way until then says how far the two had come apart.

use std::collections::BTreeMap;

use griot_protocol::NodeId;

/// Neighbours that are remembered, those that are gone included: far above the connection limit.
const REMEMBERED_MAX: usize = 1024;

/// How it stands with one neighbour.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Progress {
    /// When all was last compared and exchanged, on the clock that never goes back.
    pub together_ms: Option<u64>,
    /// Records that it had handed over by then, since the time before.
    pub received: u64,
    /// Records that it had been handed.
    pub sent: u64,
    /// Sessions that failed since.
    pub failures: u32,
    /// Why the last of them failed.
    pub why: Option<&'static str>,
    moved: Moved,
}

/// What was moved since they were last together.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Moved {
    received: u64,
    sent: u64,
}

/// How it stands with all.
#[derive(Debug, Default)]
pub(super) struct Meetings {
    each: BTreeMap<NodeId, Progress>,
}

impl Meetings {
    /// Records were moved.
    pub fn moved(&mut self, peer: NodeId, received: u64, sent: u64) {
        if received > 0 || sent > 0 {
            let moved = &mut self.of(peer).moved;
            moved.received = moved.received.saturating_add(received);
            moved.sent = moved.sent.saturating_add(sent);
        }
    }

    /// Nothing differs any more.
    pub fn together(&mut self, peer: NodeId, now_ms: u64) {
        let progress = self.of(peer);
        let Moved { received, sent } = std::mem::take(&mut progress.moved);
        *progress = Progress { together_ms: Some(now_ms), received, sent, ..Progress::default() };
    }

    /// A session failed.
    pub fn failed(&mut self, peer: NodeId, why: &'static str) {
        let progress = self.of(peer);
        progress.failures = progress.failures.saturating_add(1);
        progress.why = Some(why);
    }

    /// How it stands with each.
    pub const fn each(&self) -> &BTreeMap<NodeId, Progress> {
        &self.each
    }

    /// Where too many are remembered, whoever was not met for longest is forgotten.
    fn of(&mut self, peer: NodeId) -> &mut Progress {
        if self.each.len() >= REMEMBERED_MAX && !self.each.contains_key(&peer) {
            let oldest = self.each.iter().min_by_key(|(_, progress)| progress.together_ms).map(|(peer, _)| *peer);
            if let Some(oldest) = oldest {
                self.each.remove(&oldest);
            }
        }
        self.each.entry(peer).or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn peer(n: u16) -> NodeId {
        let mut id = [0; 32];
        id[..2].copy_from_slice(&n.to_be_bytes());
        NodeId(id)
    }

    #[test]
    fn what_was_moved_counts_until_they_are_together_and_then_anew() {
        let mut meetings = Meetings::default();
        meetings.moved(peer(1), 3, 0);
        meetings.failed(peer(1), "no answer in time");
        meetings.moved(peer(1), 2, 7);
        let apart = meetings.each()[&peer(1)];
        assert_eq!((apart.together_ms, apart.received, apart.sent, apart.failures), (None, 0, 0, 1));
        assert_eq!(apart.why, Some("no answer in time"));
        meetings.together(peer(1), 500);
        let met = meetings.each()[&peer(1)];
        assert_eq!((met.together_ms, met.received, met.sent, met.failures, met.why), (Some(500), 5, 7, 0, None));
        meetings.together(peer(1), 900);
        let met = meetings.each()[&peer(1)];
        assert_eq!((met.together_ms, met.received, met.sent), (Some(900), 0, 0));
    }

    #[test]
    fn the_memory_is_bounded_and_keeps_whom_it_met_last() {
        let mut meetings = Meetings::default();
        for n in 0..REMEMBERED_MAX as u16 + 10 {
            meetings.together(peer(n), u64::from(n));
        }
        assert_eq!(meetings.each().len(), REMEMBERED_MAX);
        assert!(!meetings.each().contains_key(&peer(0)) && !meetings.each().contains_key(&peer(9)));
        assert!(meetings.each().contains_key(&peer(10)));
    }
}
