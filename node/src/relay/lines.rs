//! Full lines: what strangers' mail may take of them.
//!
//! One neighbour with a wide line can bring more valid envelopes than this node's line can pass on. What its members write and read
//! would then wait behind them, for as long as queues in kernels and modems are deep. Nobody tells a node how wide its line is, but a
//! full one shows: answers to pings come late, from most neighbours at once. That is the signal of TCP Vegas and of LEDBAT (RFC 6817): delay beyond the
//! least that was ever seen.
//!
//! While lines are full, every neighbour may bring so many bytes a second of gossip that is not for mailboxes registered here, and no
//! more: half of what the loudest brought, then half of that, and so on; where lines are free the number grows slowly, until it limits
//! nobody. One number for all shares a line fairly, *max-min*: who brings less than it is not touched at all.
//!
//! What is over it is neither stored nor passed on, and nobody is blamed: an honest record comes by sync.

use std::collections::BTreeMap;

use griot_protocol::{NodeId, limits::FRAME_BYTES_MAX};

use super::{limits::Rate, rate::Bucket};

/// A ping that takes so much longer than the quickest from the same neighbour has stood in a queue. Radio and busy machines take less.
const DELAY_MS: u64 = 1_000;

/// A ping is believed for so long: three of their intervals.
const BELIEVED_MS: u64 = 45_000;

/// Delays towards one neighbour are that neighbour's. Fewer than this say nothing about our own line.
const NEIGHBOURS_MIN: usize = 2;

/// How often the share changes: a third of the time between two pings of one neighbour, so that several have been heard.
const CHANGE_EVERY_MS: u64 = 5_000;

/// The smallest share: five texts a second from each neighbour.
const SHARE_MIN: u64 = 2 * 1024;

/// How much the share grows where lines are free, in percent.
const GROWS_PERCENT: u64 = 10;

/// A share so many times as large as what the loudest brings limits nobody and is forgotten.
const AMPLE: u64 = 4;

/// Seconds of its share that a neighbour may bring at once, or one frame of any size.
const BURST_SECONDS: u64 = 4;

/// Round trips to one neighbour.
#[derive(Clone, Copy, Debug)]
struct Trips {
    least_ms: u64,
    last_ms: u64,
    at_ms: u64,
}

/// What one neighbour brings.
#[derive(Debug, Default)]
struct Bringer {
    /// Bytes since the share was last looked at, those over it included.
    bytes: u64,
    bucket: Option<Bucket>,
}

/// How full this node's lines are, as far as it can tell, and what follows.
#[derive(Debug, Default)]
pub(super) struct Lines {
    trips: BTreeMap<NodeId, Trips>,
    bringers: BTreeMap<NodeId, Bringer>,
    /// Bytes a second; none while lines are free.
    share: Option<u64>,
    changed_ms: u64,
}

impl Lines {
    /// A neighbour answered a ping after so long.
    pub(super) fn heard(&mut self, peer: NodeId, ms: u64, now_ms: u64) {
        let trips = self.trips.entry(peer).or_insert(Trips { least_ms: ms, last_ms: ms, at_ms: now_ms });
        *trips = Trips { least_ms: trips.least_ms.min(ms), last_ms: ms, at_ms: now_ms };
    }

    /// A neighbour is gone.
    pub(super) fn peer_down(&mut self, peer: &NodeId) {
        self.trips.remove(peer);
        self.bringers.remove(peer);
    }

    /// A connected neighbour brings a stranger's record. Says in how many milliseconds there would be room where there is none.
    pub(super) fn bring(&mut self, peer: NodeId, bytes: usize, now_ms: u64) -> Result<(), u64> {
        let bringer = self.bringers.entry(peer).or_default();
        bringer.bytes = bringer.bytes.saturating_add(bytes as u64);
        let Some(share) = self.share else { return Ok(()) };
        let rate = rate(share);
        let bucket = bringer.bucket.get_or_insert_with(|| Bucket::full(rate, now_ms));
        bucket.take_many(u32::try_from(bytes).unwrap_or(u32::MAX), rate, now_ms)
    }

    /// What each neighbour may bring in a second, while lines are full.
    pub(super) const fn share(&self) -> Option<u64> {
        self.share
    }

    /// Time has passed.
    pub(super) fn tick(&mut self, now_ms: u64) {
        let since_ms = now_ms.saturating_sub(self.changed_ms);
        if since_ms < CHANGE_EVERY_MS {
            return;
        }
        self.changed_ms = now_ms;
        let loudest = self.bringers.values().map(|bringer| bringer.bytes * 1000 / since_ms).max().unwrap_or_default();
        self.bringers.values_mut().for_each(|bringer| bringer.bytes = 0);
        if self.are_full(now_ms) {
            // Where nobody brings much, they are full of something else.
            if loudest > SHARE_MIN {
                let now = self.share.map_or(loudest, |share| share.min(loudest));
                self.share = Some((now / 2).max(SHARE_MIN));
            }
        } else if let Some(share) = self.share {
            let more = share + (share * GROWS_PERCENT / 100).max(1);
            self.share = (more < loudest.saturating_mul(AMPLE)).then_some(more);
            if self.share.is_none() {
                self.bringers.clear();
            }
        }
    }

    /// Whether most neighbours answer late.
    fn are_full(&self, now_ms: u64) -> bool {
        let fresh = || self.trips.values().filter(|trips| now_ms.saturating_sub(trips.at_ms) <= BELIEVED_MS);
        let late = fresh().filter(|trips| trips.last_ms - trips.least_ms > DELAY_MS).count();
        late >= NEIGHBOURS_MIN && late * 2 > fresh().count()
    }
}

fn rate(share: u64) -> Rate {
    let number = |bytes: u64| u32::try_from(bytes).unwrap_or(u32::MAX);
    Rate { per_second: number(share), burst: number(share.saturating_mul(BURST_SECONDS).max(FRAME_BYTES_MAX as u64)) }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LOUD: NodeId = NodeId([0; 32]);

    fn honest(n: u8) -> NodeId {
        NodeId([n; 32])
    }

    /// A minute of neighbours that bring these bytes a second, with pings that take `ping_ms`. How many bytes of each were taken.
    fn minute(lines: &mut Lines, from_ms: u64, rates: &[(NodeId, u64)], ping_ms: u64) -> Vec<u64> {
        let mut taken = vec![0; rates.len()];
        for second in 0..60 {
            let now_ms = from_ms + second * 1000;
            for (place, (peer, rate)) in rates.iter().enumerate() {
                if second % 15 == 0 {
                    lines.heard(*peer, ping_ms, now_ms);
                }
                for part in 0..10 {
                    let bytes = rate / 10;
                    if lines.bring(*peer, bytes as usize, now_ms + part * 100).is_ok() {
                        taken[place] += bytes;
                    }
                }
            }
            lines.tick(now_ms);
        }
        taken
    }

    fn neighbours() -> [(NodeId, u64); 4] {
        [(LOUD, 300_000), (honest(1), 1_000), (honest(2), 1_500), (honest(3), 500)]
    }

    #[test]
    fn the_loudest_is_held_back_while_lines_are_full_and_the_others_are_not() {
        let mut lines = Lines::default();
        let free = minute(&mut lines, 0, &neighbours(), 50);
        assert_eq!(free, neighbours().map(|(_, rate)| rate * 60), "free lines take everything");
        minute(&mut lines, 60_000, &neighbours(), 5_000);
        let held = minute(&mut lines, 120_000, &neighbours(), 5_000);
        assert!(held[0] < 2 * SHARE_MIN * 60, "{held:?}");
        assert_eq!(held[1..], neighbours().map(|(_, rate)| rate * 60)[1..], "who brings less is not touched");
        assert_eq!(lines.share(), Some(SHARE_MIN), "and not less than this");
    }

    #[test]
    fn the_share_grows_back_and_is_forgotten() {
        let mut lines = Lines::default();
        minute(&mut lines, 0, &neighbours(), 50);
        minute(&mut lines, 60_000, &neighbours(), 5_000);
        let held = lines.share().unwrap();
        minute(&mut lines, 120_000, &neighbours(), 50);
        assert!(lines.share().unwrap() > held, "slowly, while somebody is loud");
        let quiet = neighbours().map(|(peer, rate)| (peer, rate.min(1_500)));
        for n in 3..6 {
            minute(&mut lines, n * 60_000, &quiet, 50);
        }
        assert_eq!(lines.share(), None);
        assert!(lines.bringers.len() <= 4);
    }

    #[test]
    fn lines_that_are_full_of_something_else_limit_nobody() {
        let mut lines = Lines::default();
        let quiet = neighbours().map(|(peer, rate)| (peer, rate.min(1_500)));
        minute(&mut lines, 0, &quiet, 50);
        minute(&mut lines, 60_000, &quiet, 9_000);
        assert_eq!(lines.share(), None);
    }

    #[test]
    fn one_late_neighbour_is_no_full_line_nor_are_old_pings() {
        let mut lines = Lines::default();
        for n in 0..3 {
            lines.heard(honest(n), 50, 0);
        }
        lines.heard(honest(0), 9_000, 1);
        assert!(!lines.are_full(1), "one of three");
        lines.heard(honest(1), 9_000, 1);
        assert!(lines.are_full(1), "two of three");
        assert!(!lines.are_full(1 + BELIEVED_MS + 1));
        lines.peer_down(&honest(1));
        assert!(!lines.are_full(1));
        let mut alone = Lines::default();
        alone.heard(LOUD, 1, 0);
        alone.heard(LOUD, 9_000, 1);
        assert!(!alone.are_full(1), "its line may be the full one");
    }
}
