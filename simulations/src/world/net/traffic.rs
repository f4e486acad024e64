//! What the network counts: what each node's link has carried, what the bytes were about, and how often each message's
//! frame was sent.

use super::{Net, framing::ACK_BYTES, tap::Speech};
use crate::plan::{NodeIndex, NodeTraffic};

/// What a node's link has carried.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Traffic {
    pub sent_bytes: u64,
    pub sent_packets: u64,
    pub received_bytes: u64,
    /// Sent into a partition.
    pub lost_bytes: u64,
}

impl Traffic {
    pub(crate) const fn of_node(self) -> NodeTraffic {
        let Self { sent_bytes, sent_packets, received_bytes, .. } = self;
        NodeTraffic { sent_bytes, sent_packets, received_bytes }
    }
}

impl Net {
    /// Counts bytes that are on the links for TCP's or Yamux' own sake. They are few and take no time of their own.
    pub(super) fn count_aside(&self, from: NodeIndex, to: NodeIndex, packets: u64, bytes: u64) {
        let mut state = self.state();
        if let Some(host) = state.hosts.get_mut(from.0 as usize) {
            host.carried.sent_packets += packets;
            host.carried.sent_bytes += bytes;
        }
        if let Some(host) = state.hosts.get_mut(to.0 as usize) {
            host.carried.received_bytes += bytes;
        }
    }

    pub(super) fn count_acks(&self, from: NodeIndex, to: NodeIndex, acks: u64) {
        if acks > 0 {
            self.count_aside(from, to, acks, acks * ACK_BYTES);
        }
    }

    pub(super) fn count_lost(&self, from: NodeIndex, bytes: usize) {
        if let Some(host) = self.state().hosts.get_mut(from.0 as usize) {
            host.carried.lost_bytes += bytes as u64;
        }
    }

    pub(super) fn count_written(&self, speech: Speech, bytes: usize) {
        *self.state().written.entry(speech).or_default() += bytes as u64;
    }

    pub(super) fn count_copy(&self, mark: u64) {
        let state = &mut *self.state();
        if let Some(copies) = state.watched.get(&mark).and_then(|message| state.copies.get_mut(*message as usize)) {
            *copies += 1;
        }
    }

    /// Has the copies of a message's frame counted from now on.
    pub(crate) fn watch_frame(&self, mark: u64, message: u32) {
        self.state().watched.insert(mark, message);
    }

    /// How often a message's frame was sent so far, by gossip and by sync.
    pub(crate) fn copies(&self, message: u32) -> u32 {
        self.state().copies.get(message as usize).copied().unwrap_or_default()
    }

    /// Bytes that were written to substreams so far, by what they were about. What nodes sent beyond these is framing.
    pub(crate) fn written(&self, speech: Speech) -> u64 {
        self.state().written.get(&speech).copied().unwrap_or_default()
    }

    /// What a node's link has carried so far.
    pub(crate) fn traffic(&self, node: NodeIndex) -> Traffic {
        self.state().hosts.get(node.0 as usize).map_or_else(Traffic::default, |host| host.carried)
    }
}
