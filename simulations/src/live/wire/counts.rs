//! What a link has carried.

use serde::{Deserialize, Serialize};

/// What one direction between two ends has seen so far. Bytes are those of IP packets, headers included.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counts {
    /// Packets that were sent.
    pub sent_packets: u64,
    /// Their bytes.
    pub sent_bytes: u64,
    /// TCP payload in them, what was sent again included.
    pub sent_payload_bytes: u64,
    /// Packets that arrived.
    pub delivered_packets: u64,
    /// Their bytes.
    pub delivered_bytes: u64,
    /// Packets lost on the way.
    pub lost_packets: u64,
    /// Packets that a cut stopped.
    pub cut_packets: u64,
    /// Packets that found no room.
    pub overflow_packets: u64,
}

impl Counts {
    /// What was counted since an earlier reading.
    #[must_use]
    pub fn since(&self, earlier: &Self) -> Self {
        Self {
            sent_packets: self.sent_packets - earlier.sent_packets,
            sent_bytes: self.sent_bytes - earlier.sent_bytes,
            sent_payload_bytes: self.sent_payload_bytes - earlier.sent_payload_bytes,
            delivered_packets: self.delivered_packets - earlier.delivered_packets,
            delivered_bytes: self.delivered_bytes - earlier.delivered_bytes,
            lost_packets: self.lost_packets - earlier.lost_packets,
            cut_packets: self.cut_packets - earlier.cut_packets,
            overflow_packets: self.overflow_packets - earlier.overflow_packets,
        }
    }
}

impl std::ops::AddAssign for Counts {
    fn add_assign(&mut self, other: Self) {
        self.sent_packets += other.sent_packets;
        self.sent_bytes += other.sent_bytes;
        self.sent_payload_bytes += other.sent_payload_bytes;
        self.delivered_packets += other.delivered_packets;
        self.delivered_bytes += other.delivered_bytes;
        self.lost_packets += other.lost_packets;
        self.cut_packets += other.cut_packets;
        self.overflow_packets += other.overflow_packets;
    }
}
