//! A shard's sets in summary: bucket digests, their root, and the hours in which two nodes differ.

use std::collections::BTreeMap;

use griot_protocol::{
    Hour, Shard, Timestamp,
    sync::{BucketDigest, DIGESTS_MAX, Set},
};

use crate::store::{Store, SyncSet};

/// The first hour whose bucket can hold an unexpired record. (The store drops a bucket an hour after it ended, so that
/// whoever compares never finds one half dropped.)
pub(super) fn first_hour(wall: Timestamp) -> Hour {
    wall.hour()
}

/// The store's name for a set.
pub(super) fn store_set(set: Set) -> SyncSet {
    match set {
        Set::Acks => SyncSet::Acks,
        Set::Rest => SyncSet::Rest,
    }
}

/// This node's digests from `first` on. A store of verified records has never more than fit a message; should clocks
/// have made it so, the latest hours are left out.
pub(super) fn digests(store: &dyn Store, set: Set, shard: Shard, first: Hour) -> Vec<BucketDigest> {
    let digests = store.digests(store_set(set), shard, first);
    let to_wire =
        |(hour, digest): (Hour, crate::store::Digest)| BucketDigest { hour, count: digest.count, sum: digest.sum };
    digests.into_iter().filter(|(_, digest)| digest.count > 0).take(DIGESTS_MAX).map(to_wire).collect()
}

/// A bucket in which two nodes differ, and how many ids we have in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Differing {
    /// Which.
    pub hour: Hour,
    /// Our ids.
    pub ours: u64,
}

/// The buckets in which the two differ, in order: what expires first comes first.
pub(super) fn differing(ours: &[BucketDigest], theirs: &[BucketDigest]) -> Vec<Differing> {
    let mut by_hour: BTreeMap<Hour, (Option<&BucketDigest>, Option<&BucketDigest>)> = BTreeMap::new();
    for digest in ours {
        by_hour.entry(digest.hour).or_default().0 = Some(digest);
    }
    for digest in theirs {
        by_hour.entry(digest.hour).or_default().1 = Some(digest);
    }
    let differs = |(hour, (ours, theirs)): (Hour, (Option<&BucketDigest>, Option<&BucketDigest>))| {
        (ours != theirs).then_some(Differing { hour, ours: ours.map_or(0, |digest| digest.count) })
    };
    by_hour.into_iter().filter_map(differs).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_the_hours_that_only_one_has_and_those_that_differ() {
        let digest = |hour, count| BucketDigest { hour: Hour(hour), count, sum: [count as u8; 32] };
        let ours = [digest(1, 1), digest(2, 2), digest(4, 4)];
        let theirs = [digest(2, 2), digest(3, 3), digest(4, 5)];
        let hours = [(1, 1), (3, 0), (4, 4)].map(|(hour, ours)| Differing { hour: Hour(hour), ours });
        assert_eq!(differing(&ours, &theirs), hours);
        assert_eq!(differing(&ours, &ours), []);
    }
}
