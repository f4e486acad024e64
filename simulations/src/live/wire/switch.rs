//! The switch: decides what becomes of every packet. No clock, no devices; time is told to it.
//!
//! ```text
//!  handle(now, Packet from an end) ─┐
//!  handle(now, Tick) ───────────────┼─▶ what arrives by now, in order of time
//!  set(now, from, to, Link) ────────┘   next_due(): when to tick again
//! ```
//!
//! Time is counted from when the wire was laid.

use std::{collections::BTreeMap, time::Duration};

use super::{
    counts::Counts,
    end::End,
    link::{Fate, Link, Path},
    packet,
};

/// What all links together hold: at a gigabit a second and 100 ms, 12 MB are in flight. More than this is dropped.
pub const IN_FLIGHT_BYTES_MAX: usize = 128 << 20;

/// What comes into the switch.
#[derive(Clone, Debug)]
pub enum Input {
    /// An end sent this IP packet.
    Packet {
        /// Who.
        from: End,
        /// The packet.
        bytes: Vec<u8>,
    },
    /// Time has passed.
    Tick,
}

/// A packet that arrives.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Delivery {
    /// Who sent it.
    pub from: End,
    /// Where it is to be written.
    pub to: End,
    /// When it was to arrive: now, or before.
    pub due: Duration,
    /// The packet.
    pub bytes: Vec<u8>,
}

#[derive(Debug)]
struct Pair {
    path: Path,
    counts: Counts,
}

#[derive(Debug)]
struct InFlight {
    from: End,
    to: End,
    bytes: Vec<u8>,
    /// How often the link had been cut when the packet was put on it.
    cuts: u64,
}

/// Every pair of ends, and what is in flight between them.
#[derive(Debug)]
pub struct Switch {
    ends: usize,
    /// Row from, column to; the diagonal is never used.
    pairs: Vec<Pair>,
    /// By time of arrival, then in the order in which they came.
    in_flight: BTreeMap<(Duration, u64), InFlight>,
    in_flight_bytes: usize,
    serial: u64,
    stray_packets: u64,
}

impl Switch {
    /// A switch with perfect links between `ends` ends, whose luck is drawn from `seed`.
    #[must_use]
    pub fn new(seed: u64, ends: u16) -> Self {
        let path = |from, to| Pair { path: Path::new(seed, from, to), counts: Counts::default() };
        Self {
            ends: ends.into(),
            pairs: (0..ends).flat_map(|from| (0..ends).map(move |to| path(from, to))).collect(),
            in_flight: BTreeMap::new(),
            in_flight_bytes: 0,
            serial: 0,
            stray_packets: 0,
        }
    }

    /// Takes what came in; gives what arrives by `now`, in order of time.
    pub fn handle(&mut self, now: Duration, input: Input) -> Vec<Delivery> {
        if let Input::Packet { from, bytes } = input {
            self.put(now, from, bytes);
        }
        let mut deliveries = Vec::new();
        while let Some(entry) = self.in_flight.first_entry()
            && entry.key().0 <= now
        {
            let ((due, _), packet) = entry.remove_entry();
            deliveries.extend(self.arrive(due, packet));
        }
        deliveries
    }

    /// When the next packet arrives.
    #[must_use]
    pub fn next_due(&self) -> Option<Duration> {
        self.in_flight.first_key_value().map(|((due, _), _)| *due)
    }

    /// How the link from one end to another is; a perfect one, where there is no such end.
    #[must_use]
    pub fn link(&self, from: End, to: End) -> Link {
        self.place(from, to).and_then(|place| self.pairs.get(place)).map_or_else(Link::default, |pair| pair.path.link())
    }

    /// Changes one direction from now on. What is in flight keeps its time of arrival; a cut stops it.
    pub fn set(&mut self, now: Duration, from: End, to: End, link: Link) {
        if let Some(pair) = self.pair(from, to) {
            pair.path.set(now, link);
        }
    }

    /// What one direction has seen.
    #[must_use]
    pub fn counts(&self, from: End, to: End) -> Counts {
        self.place(from, to).and_then(|place| self.pairs.get(place)).map_or_else(Counts::default, |pair| pair.counts)
    }

    /// Packets that were for nobody: not IPv4, or to an address that no other end has.
    #[must_use]
    pub fn stray_packets(&self) -> u64 {
        self.stray_packets
    }

    fn put(&mut self, now: Duration, from: End, bytes: Vec<u8>) {
        let to = packet::destination(&bytes).and_then(End::at).filter(|to| *to != from);
        let room = self.in_flight_bytes + bytes.len() <= IN_FLIGHT_BYTES_MAX;
        let Some((to, pair)) = to.and_then(|to| Some((to, self.pair(from, to)?))) else {
            self.stray_packets += 1;
            return;
        };
        pair.counts.sent_packets += 1;
        pair.counts.sent_bytes += bytes.len() as u64;
        pair.counts.sent_payload_bytes += packet::tcp_payload_bytes(&bytes);
        let cuts = pair.path.cuts();
        match pair.path.put(now, bytes.len() as u64) {
            Fate::Due(due) if room => {
                self.in_flight_bytes += bytes.len();
                self.serial += 1;
                self.in_flight.insert((due, self.serial), InFlight { from, to, bytes, cuts });
            }
            Fate::Due(_) | Fate::Overflow => pair.counts.overflow_packets += 1,
            Fate::Cut => pair.counts.cut_packets += 1,
            Fate::Lost => pair.counts.lost_packets += 1,
        }
    }

    fn arrive(&mut self, due: Duration, packet: InFlight) -> Option<Delivery> {
        let InFlight { from, to, bytes, cuts } = packet;
        self.in_flight_bytes -= bytes.len();
        let pair = self.pair(from, to)?;
        if pair.path.cuts() != cuts {
            pair.counts.cut_packets += 1;
            return None;
        }
        pair.counts.delivered_packets += 1;
        pair.counts.delivered_bytes += bytes.len() as u64;
        Some(Delivery { from, to, due, bytes })
    }

    fn pair(&mut self, from: End, to: End) -> Option<&mut Pair> {
        let place = self.place(from, to)?;
        self.pairs.get_mut(place)
    }

    fn place(&self, from: End, to: End) -> Option<usize> {
        (from.place() < self.ends && to.place() < self.ends).then(|| from.place() * self.ends + to.place())
    }
}

#[cfg(test)]
mod tests;
