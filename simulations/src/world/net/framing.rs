//! What goes around the bytes that libp2p writes: Yamux, Noise, TCP and IP, counted as real connections send them.
//!
//! Yamux puts a header before each write and flushes it, so Noise seals it alone and TCP sends it at once, in as many
//! segments as it takes. What arrives is acknowledged: by whatever the receiver sends back in the same millisecond, or
//! else by a packet of its own, one for every two segments. Yamux measures the round trip now and then, when there is
//! something to do anyway.
//!
//! The numbers are those of real nodes, whose packets were looked at one by one (`docs/simulation.md`).

use std::collections::VecDeque;

use crate::plan::VirtualMs;

/// Yamux' header before each write, and all there is when a substream is closed.
const YAMUX_BYTES: usize = 12;

/// Noise's length and tag around what is flushed.
const NOISE_BYTES: usize = 18;

/// IP's and TCP's headers, with TCP's timestamps.
const PACKET_HEADER_BYTES: usize = 52;

/// What is left of 1,500 bytes.
const PACKET_PAYLOAD_BYTES: usize = 1448;

/// A packet that acknowledges and carries nothing.
pub(super) const ACK_BYTES: u64 = PACKET_HEADER_BYTES as u64;

/// Segments that one acknowledgement covers where they arrive together.
const SEGMENTS_PER_ACK: u64 = 2;

/// Yamux measures the round trip this long after the last time, when the connection is next used.
const YAMUX_PING_EVERY_MS: u64 = 10_000;

/// A Yamux ping or its answer on the wire.
pub(super) const YAMUX_PING_BYTES: u64 = (YAMUX_BYTES + NOISE_BYTES + PACKET_HEADER_BYTES) as u64;

/// What one side of a connection has put on the wire.
#[derive(Debug, Default)]
pub(super) struct Framing {
    /// What the other side has not acknowledged: when it arrives there, and in how many segments.
    unacknowledged: VecDeque<(VirtualMs, u64)>,
    /// When Yamux last measured the round trip.
    yamux_ping: VirtualMs,
}

/// What a write puts on the wire.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Framed {
    /// Bytes, all headers included.
    pub bytes: u64,
    /// Segments that it begins.
    pub segments: u64,
}

impl Framed {
    /// A write of so many bytes; none, where a substream is closed.
    pub(super) const fn write(bytes: usize) -> Self {
        let payload = bytes + YAMUX_BYTES + NOISE_BYTES;
        let segments = payload.div_ceil(PACKET_PAYLOAD_BYTES);
        Self { bytes: (payload + segments * PACKET_HEADER_BYTES) as u64, segments: segments as u64 }
    }
}

impl Framing {
    /// So many segments of this side will arrive then.
    pub(super) fn arrives(&mut self, at: VirtualMs, segments: u64) {
        match self.unacknowledged.back_mut() {
            Some(last) if last.0 == at => last.1 += segments,
            _ => self.unacknowledged.push_back((at, segments)),
        }
    }

    /// How many packets the other side has sent before now for nothing but to acknowledge. Where it `answers` right now,
    /// what arrives now needs none.
    pub(super) fn acks_before(&mut self, now: VirtualMs, answers: bool) -> u64 {
        let mut acks = 0;
        while let Some((at, segments)) = self.unacknowledged.front().copied().filter(|(at, _)| *at <= now) {
            if at < now {
                acks += segments.div_ceil(SEGMENTS_PER_ACK);
            } else if !answers {
                break;
            }
            self.unacknowledged.pop_front();
        }
        acks
    }

    /// Whether Yamux measures the round trip with this write.
    pub(super) fn yamux_pings(&mut self, now: VirtualMs) -> bool {
        let due = now.0 >= self.yamux_ping.0 + YAMUX_PING_EVERY_MS;
        if due {
            self.yamux_ping = now;
        }
        due
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_write_has_the_size_that_real_nodes_give_it() {
        // An envelope of 1,182 bytes, with 28 of gossipsub's around it: 1,240 bytes of TCP payload.
        assert_eq!(Framed::write(1210), Framed { bytes: 1240 + 52, segments: 1 });
        // A ping of 32 bytes: 62.
        assert_eq!(Framed::write(32), Framed { bytes: 62 + 52, segments: 1 });
        assert_eq!(Framed::write(0), Framed { bytes: 30 + 52, segments: 1 }, "a substream closes");
        assert_eq!(Framed::write(1419).segments, 2);
    }

    #[test]
    fn what_is_not_answered_at_once_is_acknowledged_by_a_packet() {
        let mut framing = Framing::default();
        framing.arrives(VirtualMs(100), 1);
        framing.arrives(VirtualMs(100), 2);
        framing.arrives(VirtualMs(120), 1);
        framing.arrives(VirtualMs(130), 1);
        assert_eq!(framing.acks_before(VirtualMs(99), true), 0);
        assert_eq!(framing.acks_before(VirtualMs(100), false), 0, "it may still be answered");
        assert_eq!(framing.acks_before(VirtualMs(120), true), 2, "three segments take two; the fourth is answered");
        assert_eq!(framing.acks_before(VirtualMs(200), true), 1);
        assert!(framing.unacknowledged.is_empty());
    }

    #[test]
    fn yamux_measures_the_round_trip_now_and_then() {
        let mut framing = Framing::default();
        let at = |ms| VirtualMs(ms);
        assert!(!framing.yamux_pings(at(9_999)));
        assert!(framing.yamux_pings(at(10_500)));
        assert!(!framing.yamux_pings(at(20_499)));
        assert!(framing.yamux_pings(at(20_500)));
    }
}
