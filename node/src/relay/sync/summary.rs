//! A shard's sets in summary: bucket digests, their root, and the hours in which two nodes differ.

use std::collections::BTreeMap;

use griot_protocol::{
    Hour, RecordId, Shard, Timestamp,
    sync::{BucketDigest, DIGESTS_MAX, Set},
};

use crate::store::{Digest, Store, SyncSet};

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
    let to_wire = |(hour, digest): (Hour, Digest)| BucketDigest { hour, count: digest.count, sum: digest.sum };
    digests.into_iter().filter(|(_, digest)| digest.count > 0).take(DIGESTS_MAX).map(to_wire).collect()
}

/// A bucket in which two nodes differ, and how many ids we have in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Differing {
    /// Which.
    pub hour: Hour,
    /// Our ids.
    pub ours: u64,
    /// The difference, if one side has just one id more.
    pub lone: Option<Lone>,
}

/// One id that makes up the whole difference, if there is only one. It is the difference of the sums: nothing more need be said
/// about that bucket, which is what gossip leaves behind that lost a record now and then. Where more differ and one side has one
/// more all the same, it is an id that nobody has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Lone {
    /// They have it.
    Theirs(RecordId),
    /// We have it.
    Ours(RecordId),
}

fn lone(ours: Option<&BucketDigest>, theirs: Option<&BucketDigest>) -> Option<Lone> {
    let digest = |side: Option<&BucketDigest>| {
        side.map_or_else(Digest::default, |side| Digest { count: side.count, sum: side.sum })
    };
    let (mut ours, mut theirs) = (digest(ours), digest(theirs));
    if theirs.count.checked_sub(ours.count) == Some(1) {
        theirs.remove(&RecordId(ours.sum));
        Some(Lone::Theirs(RecordId(theirs.sum)))
    } else if ours.count.checked_sub(theirs.count) == Some(1) {
        ours.remove(&RecordId(theirs.sum));
        Some(Lone::Ours(RecordId(ours.sum)))
    } else {
        None
    }
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
        let count = ours.map_or(0, |digest| digest.count);
        (ours != theirs).then(|| Differing { hour, ours: count, lone: lone(ours, theirs) })
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
        let hours = differing(&ours, &theirs).into_iter().map(|differing| (differing.hour.0, differing.ours));
        assert_eq!(hours.collect::<Vec<_>>(), [(1, 1), (3, 0), (4, 4)]);
        assert_eq!(differing(&ours, &ours), []);
    }

    #[test]
    fn one_id_more_is_known_from_the_sums() {
        let id = |n: u8| RecordId(*blake3::hash(&[n]).as_bytes());
        let digest = |ids: &[u8]| {
            let mut digest = Digest::default();
            ids.iter().for_each(|n| digest.add(&id(*n)));
            BucketDigest { hour: Hour(1), count: digest.count, sum: digest.sum }
        };
        let lone = |ours: &[u8], theirs: &[u8]| differing(&[digest(ours)], &[digest(theirs)])[0].lone;
        assert_eq!(lone(&[1, 2, 3], &[3, 9, 1, 2]), Some(Lone::Theirs(id(9))));
        assert_eq!(lone(&[1, 2, 3], &[3, 1]), Some(Lone::Ours(id(2))));
        assert_eq!(lone(&[1, 2], &[1, 3]), None);
        assert_eq!(lone(&[1, 2], &[1, 2, 3, 4]), None);
        let nobodys = lone(&[1, 2], &[1, 3, 4]);
        assert!(matches!(nobodys, Some(Lone::Theirs(it)) if (1..5).all(|n| it != id(n))), "{nobodys:?}");
        assert_eq!(differing(&[], &[digest(&[7])])[0].lone, Some(Lone::Theirs(id(7))));
    }
}
