//! Shards: announcing those carried here, and finding who carries others.

use std::collections::{BTreeSet, VecDeque};

use griot_protocol::Shard;
use libp2p::{PeerId, kad};

/// Announcements begun at a time: each is a search through the network.
const ANNOUNCE_AT_ONCE: usize = 16;

/// Searches for carriers at a time.
const SEARCHES_MAX: usize = 32;

/// Carriers dialled for one search: enough that one of them is alive.
const DIALS_PER_SEARCH: usize = 6;

/// A search for the carriers of a shard.
#[derive(Debug)]
struct Search {
    query: kad::QueryId,
    shard: Shard,
    found: BTreeSet<PeerId>,
}

#[derive(Debug, Default)]
pub(super) struct Carriers {
    carried: BTreeSet<Shard>,
    announce: VecDeque<Shard>,
    searches: Vec<Search>,
}

/// What changes when other shards are carried.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Change {
    pub begin: Vec<Shard>,
    pub end: Vec<Shard>,
}

impl Carriers {
    /// Carries exactly these shards from now on.
    pub(super) fn carry(&mut self, shards: BTreeSet<Shard>) -> Change {
        let begin = shards.difference(&self.carried).copied().collect::<Vec<_>>();
        let end = self.carried.difference(&shards).copied().collect();
        self.announce.retain(|shard| shards.contains(shard));
        self.announce.extend(&begin);
        self.carried = shards;
        Change { begin, end }
    }

    /// Announces everything again: the network has changed.
    pub(super) fn announce_again(&mut self) {
        self.announce = self.carried.iter().copied().collect();
    }

    /// The next shards to announce.
    pub(super) fn next_announcements(&mut self) -> Vec<Shard> {
        let count = self.announce.len().min(ANNOUNCE_AT_ONCE);
        self.announce.drain(..count).collect()
    }

    /// Whether a search for a shard may begin.
    pub(super) fn may_search(&self, shard: Shard) -> bool {
        self.searches.len() < SEARCHES_MAX && self.searches.iter().all(|search| search.shard != shard)
    }

    pub(super) fn search(&mut self, query: kad::QueryId, shard: Shard) {
        self.searches.push(Search { query, shard, found: BTreeSet::new() });
    }

    /// A search found peers; returns those to dial, unless they are connected.
    pub(super) fn found(&mut self, query: kad::QueryId, peers: BTreeSet<PeerId>) -> Vec<PeerId> {
        let Some(search) = self.searches.iter_mut().find(|search| search.query == query) else { return Vec::new() };
        let room = DIALS_PER_SEARCH.saturating_sub(search.found.len());
        let new: Vec<_> = peers.difference(&search.found).copied().take(room).collect();
        search.found.extend(&new);
        new
    }

    /// A search ended.
    pub(super) fn ended(&mut self, query: kad::QueryId) -> Option<(Shard, BTreeSet<PeerId>)> {
        let index = self.searches.iter().position(|search| search.query == query)?;
        let search = self.searches.swap_remove(index);
        Some((search.shard, search.found))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_changes_are_carried_out_and_everything_is_announced() {
        let mut carriers = Carriers::default();
        let set = |range: std::ops::Range<u32>| range.map(Shard).collect::<BTreeSet<_>>();
        let change = carriers.carry(set(0..20));
        assert_eq!((change.begin.len(), change.end.len()), (20, 0));
        assert_eq!(carriers.next_announcements().len(), ANNOUNCE_AT_ONCE);
        let change = carriers.carry(set(18..21));
        assert_eq!((change.begin, change.end.len()), (vec![Shard(20)], 18));
        assert_eq!(carriers.next_announcements(), [18, 19, 20].map(Shard));
        assert!(carriers.next_announcements().is_empty());
        carriers.announce_again();
        assert_eq!(carriers.next_announcements(), [18, 19, 20].map(Shard));
    }
}
