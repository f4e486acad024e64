//! Changes to the index that sled has not been given yet.
//!
//! The log is the authority, so nobody has to wait for sled: a commit changes this overlay, in memory, and is answered.
//! Every read looks here first and then in sled. A thread of its own gives the changes to sled, many commits at once,
//! because each batch of sled seals and writes a buffer whatever its size: at one batch per commit that took more time
//! than everything else a commit does.
//!
//! What sled holds is therefore always the index as it was *after some commit*: changes are given in their order and
//! never by half a commit. After a crash the log is replayed from the checkpoint, which lies before that.
//!
//! ```text
//!   commit ─▶ recent ──take()──▶ giving ──▶ sled
//!   read   ─▶ recent, else giving, else sled
//! ```
//!
//! Whoever iterates must hold the tables' lock: `recent` becomes `giving`, and `giving` becomes nothing, only while that
//! lock is held for writing, so that an iteration sees each key once.

use std::{
    collections::BTreeMap,
    ops::Bound,
    sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard},
};

use sled::IVec;

/// A key with its new value, or none where it was removed.
pub(super) type Write = (IVec, Option<IVec>);

/// Keys in one batch for sled: it lets nobody read meanwhile, and this many take it well under a millisecond.
const GIVEN_TOGETHER: usize = 128;

#[derive(Default)]
struct Layer {
    /// The last word on each key.
    latest: BTreeMap<IVec, Option<IVec>>,
    /// Every word, commit by commit.
    commits: Vec<Vec<Write>>,
    words: usize,
}

#[derive(Default)]
struct Layers {
    recent: Layer,
    giving: Arc<Layer>,
}

/// The changes, in two layers: those that are being given to sled, and those since.
#[derive(Clone, Default)]
pub(super) struct Overlay(Arc<RwLock<Layers>>);

impl Overlay {
    fn read(&self) -> RwLockReadGuard<'_, Layers> {
        self.0.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, Layers> {
        self.0.write().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes a commit's changes; of two to one key the later counts.
    pub(super) fn put(&self, writes: Vec<Write>) {
        let recent = &mut self.write().recent;
        recent.words += writes.len();
        for (key, value) in &writes {
            recent.latest.insert(key.clone(), value.clone());
        }
        recent.commits.push(writes);
    }

    /// How many changes sled was not given yet.
    pub(super) fn len(&self) -> usize {
        let layers = self.read();
        layers.recent.words + layers.giving.words
    }

    /// What is known here of a key: `Some(None)` where it was removed.
    pub(super) fn get(&self, key: &[u8]) -> Option<Option<IVec>> {
        let layers = self.read();
        layers.recent.latest.get(key).or_else(|| layers.giving.latest.get(key)).cloned()
    }

    /// The first key within bounds that is known here.
    pub(super) fn first(&self, bounds: &(Bound<IVec>, Bound<IVec>)) -> Option<Write> {
        if is_empty(bounds) {
            return None;
        }
        let layers = self.read();
        let first = |layer: &Layer| {
            let mut range = layer.latest.range::<IVec, _>((bounds.0.as_ref(), bounds.1.as_ref()));
            range.next().map(|(key, value)| (key.clone(), value.clone()))
        };
        match (first(&layers.recent), first(&layers.giving)) {
            (Some(recent), Some(giving)) => Some(if giving.0 < recent.0 { giving } else { recent }),
            (recent, giving) => recent.or(giving),
        }
    }

    /// Begins to give what is here to sled. The caller holds the tables' lock for writing, and nothing is being given.
    pub(super) fn take(&self) -> Given {
        let layers = &mut *self.write();
        layers.giving = Arc::new(std::mem::take(&mut layers.recent));
        Given(Arc::clone(&layers.giving))
    }

    /// sled has it all. The caller holds the tables' lock for writing.
    pub(super) fn given(&self) {
        self.write().giving = Arc::default();
    }
}

/// Whether nothing can lie within: a `BTreeMap` panics on such bounds.
fn is_empty((lower, upper): &(Bound<IVec>, Bound<IVec>)) -> bool {
    match (lower, upper) {
        (Bound::Unbounded, _) | (_, Bound::Unbounded) => false,
        (Bound::Excluded(lower), Bound::Excluded(upper)) => lower >= upper,
        (Bound::Included(lower) | Bound::Excluded(lower), Bound::Included(upper) | Bound::Excluded(upper)) => {
            lower > upper
        }
    }
}

/// The layer that is being given to sled.
pub(super) struct Given(Arc<Layer>);

impl Given {
    /// The changes as batches for sled, in order, none of them ending within a commit.
    pub(super) fn batches(&self) -> impl Iterator<Item = sled::Batch> {
        let mut commits = self.0.commits.iter().peekable();
        std::iter::from_fn(move || {
            commits.peek()?;
            let (mut batch, mut words) = (sled::Batch::default(), 0);
            while words < GIVEN_TOGETHER
                && let Some(commit) = commits.next()
            {
                for (key, value) in commit {
                    match value {
                        Some(value) => batch.insert(key, value),
                        None => batch.remove(key),
                    }
                }
                words += commit.len();
            }
            Some(batch)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn put(overlay: &Overlay, writes: &[(&str, Option<&str>)]) {
        overlay.put(writes.iter().map(|(key, value)| (IVec::from(*key), value.map(IVec::from))).collect());
    }

    fn all(overlay: &Overlay) -> Vec<String> {
        let mut bounds = (Bound::Unbounded, Bound::Unbounded);
        let mut found = Vec::new();
        while let Some((key, value)) = overlay.first(&bounds) {
            let text = |bytes: &IVec| String::from_utf8(bytes.to_vec()).unwrap();
            found.push(format!("{}={}", text(&key), value.as_ref().map_or("gone".into(), text)));
            bounds.0 = Bound::Excluded(key);
        }
        found
    }

    #[test]
    fn the_last_word_counts_whatever_layer_it_is_in() {
        let overlay = Overlay::default();
        put(&overlay, &[("a", Some("1")), ("b", Some("1")), ("b", Some("2")), ("c", Some("1"))]);
        let given = overlay.take();
        put(&overlay, &[("a", None), ("d", Some("4"))]);
        assert_eq!(all(&overlay), ["a=gone", "b=2", "c=1", "d=4"]);
        assert_eq!(overlay.get(b"b"), Some(Some(IVec::from("2"))));
        assert_eq!(overlay.get(b"a"), Some(None));
        assert_eq!(overlay.get(b"e"), None);
        drop(given);
        overlay.given();
        assert_eq!(all(&overlay), ["a=gone", "d=4"]);
        assert_eq!(overlay.len(), 2);
    }

    #[test]
    fn batches_end_where_commits_end_and_come_in_order() {
        let overlay = Overlay::default();
        for commit in 0..300_u32 {
            put(&overlay, &[("count", Some(&commit.to_string())), (&format!("k{commit}"), Some(""))]);
        }
        let config = sled::Config::new().temporary(true);
        let db = config.open().unwrap();
        let mut seen = 0;
        for batch in overlay.take().batches() {
            db.apply_batch(batch).unwrap();
            let count: u32 = std::str::from_utf8(&db.get("count").unwrap().unwrap()).unwrap().parse().unwrap();
            assert_eq!(db.scan_prefix("k").count() as u32, count + 1, "a commit was split");
            assert!(count > seen, "commits came out of order");
            seen = count;
        }
        assert_eq!(seen, 299);
    }
}
