//! Who has used how much of their rate.

use std::collections::BTreeMap;

use griot_protocol::NodeId;

use crate::store::MemberId;

use super::{
    limits::{Limits, PEERS_REMEMBERED_MAX, RELAYED_RATE, Rate},
    rate::Bucket,
};

/// The buckets of all members and peers.
#[derive(Debug, Default)]
pub(super) struct Rates {
    members: BTreeMap<MemberId, Bucket>,
    peers: BTreeMap<NodeId, Bucket>,
    relayed: Option<Bucket>,
}

impl Rates {
    /// Takes a token of a member, or says how many milliseconds to wait.
    pub(super) fn take_member(&mut self, member: MemberId, limits: &Limits, now_ms: u64) -> Result<(), u64> {
        take(&mut self.members, member, limits.member_rate, now_ms)
    }

    /// Takes a token of a peer.
    pub(super) fn take_peer(&mut self, peer: NodeId, limits: &Limits, now_ms: u64) -> Result<(), u64> {
        take(&mut self.peers, peer, limits.peer_rate, now_ms)
    }

    /// Takes a token for announcing what came by sync or import.
    pub(super) fn take_relayed(&mut self, now_ms: u64) -> bool {
        self.relayed.get_or_insert_with(|| Bucket::full(RELAYED_RATE, now_ms)).take(RELAYED_RATE, now_ms).is_ok()
    }
}

fn take<K: Ord + Copy>(buckets: &mut BTreeMap<K, Bucket>, key: K, rate: Rate, now_ms: u64) -> Result<(), u64> {
    if buckets.len() >= PEERS_REMEMBERED_MAX && !buckets.contains_key(&key) {
        buckets.retain(|_, bucket| !bucket.is_full(rate, now_ms));
        if buckets.len() >= PEERS_REMEMBERED_MAX {
            return Err(1000);
        }
    }
    buckets.entry(key).or_insert_with(|| Bucket::full(rate, now_ms)).take(rate, now_ms)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_of_buckets_is_bounded() {
        let limits = Limits { peer_rate: Rate { per_second: 1, burst: 2 }, ..Limits::default() };
        let mut rates = Rates::default();
        let peer = |n: usize| NodeId(*blake3::hash(&n.to_le_bytes()).as_bytes());
        for n in 0..PEERS_REMEMBERED_MAX {
            assert_eq!(rates.take_peer(peer(n), &limits, 0), Ok(()));
        }
        assert!(rates.take_peer(peer(PEERS_REMEMBERED_MAX), &limits, 0).is_err());
        assert_eq!(rates.take_peer(peer(PEERS_REMEMBERED_MAX), &limits, 1000), Ok(()), "full buckets are forgotten");
        assert_eq!(rates.peers.len(), 1);
    }
}
