//! One direction between two ends, and what happens to packets on it.
//!
//! A link is a queue before a line, then a path:
//!
//! ```text
//!  packet ─▶ cut? ─▶ queue (bounded, tail drop) ─▶ line (bytes per second) ─▶ lost? ─▶ path (latency + jitter) ─▶ out
//! ```
//!
//! The queue is never stored as such: the line is known to be busy until some moment, and what it could send until then
//! is what waits. Jitter never makes a packet overtake one before it: on real paths most of it is queueing, which keeps
//! the order, and a relay that shuffles packets would measure TCP's reaction to reordering instead. So where packets
//! follow closer than the jitter, the later ones wait for the slowest before them.

use std::{num::NonZeroU64, time::Duration};

use serde::{Deserialize, Serialize};

use super::draw;
use crate::random::Random;

/// The longest latency, and the longest jitter: a minute. What is in flight is held in memory.
pub const LATENCY_US_MAX: u64 = 60_000_000;

/// A loss of all packets.
pub const LOSS_PPM_ALL: u32 = 1_000_000;

/// What waits before a slow line unless something else is said: 64 full packets, as much as a cheap router holds.
pub const QUEUE_BYTES: u64 = 64 * 1500;

/// How one direction between two ends behaves. Everything beyond the limits is taken as the limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Link {
    /// One-way latency, microseconds, at most [`LATENCY_US_MAX`].
    pub latency_us: u64,
    /// Up to this is added to it, uniformly, microseconds, at most [`LATENCY_US_MAX`].
    pub jitter_us_max: u64,
    /// Packets lost, of a million.
    pub loss_ppm: u32,
    /// What the line carries, bytes of IP packets a second; without limit where there is none.
    pub bytes_per_second: Option<NonZeroU64>,
    /// What waits before the line at most, bytes; only where the line has a limit.
    pub queue_bytes_max: u64,
    /// Whether nothing gets through.
    pub cut: bool,
}

impl Default for Link {
    /// A perfect cable: no latency, no loss, no limit.
    fn default() -> Self {
        Self {
            latency_us: 0,
            jitter_us_max: 0,
            loss_ppm: 0,
            bytes_per_second: None,
            queue_bytes_max: QUEUE_BYTES,
            cut: false,
        }
    }
}

impl Link {
    /// A link with this latency, perfect otherwise.
    #[must_use]
    pub fn with_latency_ms(ms: u32) -> Self {
        Self { latency_us: u64::from(ms) * 1000, ..Self::default() }
    }
}

/// What became of a packet when it was put on a link.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fate {
    /// It arrives then, if no cut comes first.
    Due(Duration),
    /// The link is cut.
    Cut,
    /// There was no room in the queue.
    Overflow,
    /// It got lost on the way.
    Lost,
}

/// A link with its state.
#[derive(Debug)]
pub(super) struct Path {
    link: Link,
    draw: Random,
    /// When the line has sent all that waits for it.
    line_busy_until: Duration,
    /// When the last packet arrives: none may come before it.
    last_due: Duration,
    /// How often it was cut. A packet in flight survives only if that did not change.
    cuts: u64,
}

impl Path {
    /// A perfect link, whose packets are judged by draws from `seed`.
    pub(super) fn new(seed: u64, from: u16, to: u16) -> Self {
        Self {
            link: Link::default(),
            draw: draw::stream(seed, "packets", [from.into(), to.into()]),
            line_busy_until: Duration::ZERO,
            last_due: Duration::ZERO,
            cuts: 0,
        }
    }

    pub(super) fn link(&self) -> Link {
        self.link
    }

    pub(super) fn cuts(&self) -> u64 {
        self.cuts
    }

    /// Changes the link from now on. What is in flight keeps its time; what the queue holds counts at the new speed.
    pub(super) fn set(&mut self, now: Duration, link: Link) {
        let waiting_bytes = self.waiting_bytes(now);
        if link.cut && !self.link.cut {
            self.cuts += 1;
        }
        self.link = Link {
            latency_us: link.latency_us.min(LATENCY_US_MAX),
            jitter_us_max: link.jitter_us_max.min(LATENCY_US_MAX),
            loss_ppm: link.loss_ppm.min(LOSS_PPM_ALL),
            ..link
        };
        self.line_busy_until = now + self.sending_time(waiting_bytes);
    }

    /// Puts the next packet on the link.
    pub(super) fn put(&mut self, now: Duration, bytes: u64) -> Fate {
        // Two draws for each packet, whatever the link is like, so that a packet's luck depends on its number alone.
        let (luck, jitter) = (self.draw.below(LOSS_PPM_ALL.into()), self.draw.bits());
        if self.link.cut {
            return Fate::Cut;
        }
        if self.link.bytes_per_second.is_some() && self.waiting_bytes(now) + bytes > self.link.queue_bytes_max {
            return Fate::Overflow;
        }
        let sent = self.line_busy_until.max(now) + self.sending_time(bytes);
        self.line_busy_until = sent;
        if luck < u64::from(self.link.loss_ppm) {
            return Fate::Lost;
        }
        let jitter_us = (u128::from(jitter) * u128::from(self.link.jitter_us_max + 1)) >> 64;
        let due = sent + Duration::from_micros(self.link.latency_us + jitter_us as u64);
        self.last_due = self.last_due.max(due);
        Fate::Due(self.last_due)
    }

    /// What the line still has to send.
    fn waiting_bytes(&self, now: Duration) -> u64 {
        let Some(rate) = self.link.bytes_per_second else { return 0 };
        let nanos = self.line_busy_until.saturating_sub(now).as_nanos();
        u64::try_from(nanos * u128::from(rate.get()) / 1_000_000_000).unwrap_or(u64::MAX)
    }

    fn sending_time(&self, bytes: u64) -> Duration {
        let Some(rate) = self.link.bytes_per_second else { return Duration::ZERO };
        let nanos = u128::from(bytes) * 1_000_000_000 / u128::from(rate.get());
        Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn path(link: Link) -> Path {
        let mut path = Path::new(1, 0, 1);
        path.set(Duration::ZERO, link);
        path
    }

    fn ms(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    #[test]
    fn latency_is_exact() {
        let mut path = path(Link::with_latency_ms(40));
        assert_eq!(path.put(ms(5), 1500), Fate::Due(ms(45)));
        assert_eq!(path.put(ms(6), 1), Fate::Due(ms(46)));
    }

    #[test]
    fn jitter_stays_in_its_bounds_and_in_order() {
        let mut path = path(Link { jitter_us_max: 30_000, ..Link::with_latency_ms(40) });
        let mut last = Duration::ZERO;
        let mut added = Vec::new();
        for packet in 0..1000 {
            let now = ms(packet * 100);
            let Fate::Due(due) = path.put(now, 100) else { panic!("lost") };
            let extra = due - now - ms(40);
            assert!(extra <= ms(30) && due >= last, "{extra:?}");
            added.push(extra);
            last = due;
        }
        let mean = added.iter().sum::<Duration>() / 1000;
        assert!((ms(13)..ms(17)).contains(&mean), "{mean:?}");
        // Two at once: the second never comes first.
        for _ in 0..100 {
            let (Fate::Due(first), Fate::Due(second)) = (path.put(ms(200_000), 1), path.put(ms(200_000), 1)) else {
                panic!("lost")
            };
            assert!(second >= first);
        }
    }

    #[test]
    fn a_line_sends_so_many_bytes_a_second_and_drops_the_tail() {
        let rate = NonZeroU64::new(100_000);
        let mut path = path(Link { bytes_per_second: rate, queue_bytes_max: 3000, ..Link::with_latency_ms(10) });
        // 1,000 bytes take 10 ms.
        assert_eq!(path.put(ms(0), 1000), Fate::Due(ms(20)));
        assert_eq!(path.put(ms(0), 1000), Fate::Due(ms(30)));
        assert_eq!(path.put(ms(0), 1000), Fate::Due(ms(40)));
        assert_eq!(path.put(ms(0), 1000), Fate::Overflow);
        // One was sent meanwhile.
        assert_eq!(path.put(ms(10), 1000), Fate::Due(ms(50)));
        // At twice the speed the 3,000 bytes that wait take 15 ms.
        let faster = Link { bytes_per_second: NonZeroU64::new(200_000), queue_bytes_max: 4000, ..path.link() };
        path.set(ms(10), faster);
        assert_eq!(path.put(ms(10), 1000), Fate::Due(ms(50)), "not before what was under way");
        assert_eq!(path.put(ms(60), 1000), Fate::Due(ms(75)));
    }

    #[test]
    fn so_many_of_a_million_are_lost_and_always_the_same() {
        let lossy = Link { loss_ppm: 200_000, ..Link::default() };
        let fates = |link| {
            let mut path = path(link);
            (0..5000).map(|_| path.put(ms(0), 100)).collect::<Vec<_>>()
        };
        let lost = fates(lossy).iter().filter(|fate| **fate == Fate::Lost).count();
        assert!((900..1100).contains(&lost), "{lost}");
        assert_eq!(fates(lossy), fates(lossy));
        // What is lost at 5 % is lost at 20 % too: a packet's luck is its number's.
        let few = fates(Link { loss_ppm: 50_000, ..Link::default() });
        assert!(few.iter().zip(fates(lossy)).all(|(few, many)| *few != Fate::Lost || many == Fate::Lost));
        assert!(fates(Link { loss_ppm: LOSS_PPM_ALL, ..Link::default() }).iter().all(|fate| *fate == Fate::Lost));
        assert!(fates(Link::default()).iter().all(|fate| *fate == Fate::Due(ms(0))));
    }

    #[test]
    fn limits_are_kept() {
        let path = path(Link { latency_us: u64::MAX, jitter_us_max: u64::MAX, loss_ppm: u32::MAX, ..Link::default() });
        assert_eq!(path.link().latency_us, LATENCY_US_MAX);
        assert_eq!(path.link().jitter_us_max, LATENCY_US_MAX);
        assert_eq!(path.link().loss_ppm, LOSS_PPM_ALL);
    }
}
