//! Tables within one sled tree.
//!
//! All of the index that the log determines lives in a single tree, each table under a prefix byte of its own, because
//! sled is atomic only within a tree: a row, its place in its mailbox and its hour are either all there after a crash or
//! none of them, and then the log is replayed. It is also much faster. Each batch of sled seals and writes an
//! IO buffer, so one batch per commit instead of one per tree is an eighth of the system calls.

use std::ops::{Bound, RangeBounds};

use sled::{IVec, Tree};

/// Which table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum Part {
    Rows = b'r',
    Mailbox = b'm',
    ByHour = b'h',
    Named = b'n',
    About = b'a',
    Registrations = b'g',
    Members = b'e',
    Outbox = b'o',
}

impl Part {
    fn key(self, key: &[u8]) -> Vec<u8> {
        let mut full = Vec::with_capacity(1 + key.len());
        full.push(self as u8);
        full.extend_from_slice(key);
        full
    }
}

/// One table, for reading.
pub(super) struct Table {
    tree: Tree,
    part: Part,
}

impl Table {
    pub(super) const fn new(tree: Tree, part: Part) -> Self {
        Self { tree, part }
    }

    pub(super) fn get(&self, key: impl AsRef<[u8]>) -> sled::Result<Option<IVec>> {
        self.tree.get(self.part.key(key.as_ref()))
    }

    pub(super) fn contains_key(&self, key: impl AsRef<[u8]>) -> sled::Result<bool> {
        self.tree.contains_key(self.part.key(key.as_ref()))
    }

    /// Rows whose keys lie in `range`, in order.
    pub(super) fn range<K: AsRef<[u8]>>(&self, range: impl RangeBounds<K>) -> Rows {
        let bound = |bound: Bound<&K>| bound.map(|key| self.part.key(key.as_ref()));
        let lower = match bound(range.start_bound()) {
            Bound::Unbounded => Bound::Included(vec![self.part as u8]),
            bound => bound,
        };
        let upper = match bound(range.end_bound()) {
            Bound::Unbounded => Bound::Excluded(vec![self.part as u8 + 1]),
            bound => bound,
        };
        Rows(self.tree.range::<Vec<u8>, _>((lower, upper)))
    }

    /// Rows whose keys begin with `prefix`, in order.
    pub(super) fn scan_prefix(&self, prefix: impl AsRef<[u8]>) -> Rows {
        Rows(self.tree.scan_prefix(self.part.key(prefix.as_ref())))
    }

    /// All rows, in order.
    pub(super) fn iter(&self) -> Rows {
        self.scan_prefix([])
    }
}

/// Rows of a table: keys without the table's prefix, and values.
pub(super) struct Rows(sled::Iter);

impl Rows {
    pub(super) fn keys(self) -> impl Iterator<Item = sled::Result<Vec<u8>>> {
        self.map(|row| row.map(|(key, _)| key))
    }

    pub(super) fn values(self) -> impl Iterator<Item = sled::Result<IVec>> {
        self.map(|row| row.map(|(_, value)| value))
    }
}

impl Iterator for Rows {
    type Item = sled::Result<(Vec<u8>, IVec)>;

    fn next(&mut self) -> Option<Self::Item> {
        let row = self.0.next()?;
        Some(row.map(|(key, value)| (key.get(1..).unwrap_or_default().to_vec(), value)))
    }
}

/// Changes to any tables, made together or not at all.
#[derive(Default)]
pub(super) struct Writes {
    batch: sled::Batch,
    count: usize,
}

impl Writes {
    pub(super) fn insert(&mut self, part: Part, key: impl AsRef<[u8]>, value: impl Into<IVec>) {
        self.batch.insert(part.key(key.as_ref()), value);
        self.count += 1;
    }

    pub(super) fn remove(&mut self, part: Part, key: impl AsRef<[u8]>) {
        self.batch.remove(part.key(key.as_ref()));
        self.count += 1;
    }

    /// Makes them. Nothing to change costs nothing.
    pub(super) fn make(self, tree: &Tree) -> sled::Result<()> {
        if self.count == 0 { Ok(()) } else { tree.apply_batch(self.batch) }
    }
}
