//! Tables within one sled tree.
//!
//! All of the index that the log determines lives in a single tree, each table under a prefix byte of its own, because
//! sled is atomic only within a tree: a row, its place in its mailbox and its hour are either all there after a crash or
//! none of them, and then the log is replayed. What sled has not been given yet is read from the [`Overlay`].

use std::{
    cmp::Ordering,
    iter::Peekable,
    ops::{Bound, RangeBounds},
};

use sled::{IVec, Tree};

use super::overlay::{Overlay, Write};

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
    Floor = b'f',
}

impl Part {
    fn key(self, key: &[u8]) -> IVec {
        let mut full = Vec::with_capacity(1 + key.len());
        full.push(self as u8);
        full.extend_from_slice(key);
        full.into()
    }
}

/// One table, for reading.
pub(super) struct Table {
    tree: Tree,
    overlay: Overlay,
    part: Part,
}

impl Table {
    pub(super) const fn new(tree: Tree, overlay: Overlay, part: Part) -> Self {
        Self { tree, overlay, part }
    }

    pub(super) fn get(&self, key: impl AsRef<[u8]>) -> sled::Result<Option<IVec>> {
        let key = self.part.key(key.as_ref());
        match self.overlay.get(&key) {
            Some(value) => Ok(value),
            None => self.tree.get(key),
        }
    }

    pub(super) fn contains_key(&self, key: impl AsRef<[u8]>) -> sled::Result<bool> {
        Ok(self.get(key)?.is_some())
    }

    /// Rows whose keys lie in `range`, in order. The caller holds the tables' lock until it is done with them.
    pub(super) fn range<K: AsRef<[u8]>>(&self, range: impl RangeBounds<K>) -> Rows {
        let bound = |bound: Bound<&K>| bound.map(|key| self.part.key(key.as_ref()));
        let lower = match bound(range.start_bound()) {
            Bound::Unbounded => Bound::Included(IVec::from(&[self.part as u8])),
            bound => bound,
        };
        let upper = match bound(range.end_bound()) {
            Bound::Unbounded => Bound::Excluded(IVec::from(&[self.part as u8 + 1])),
            bound => bound,
        };
        let sled = self.tree.range::<IVec, _>((lower.clone(), upper.clone())).peekable();
        Rows { sled, overlay: self.overlay.clone(), bounds: (lower, upper) }
    }

    /// Rows whose keys begin with `prefix`, in order, as [`range`](Self::range) gives them.
    pub(super) fn scan_prefix(&self, prefix: impl AsRef<[u8]>) -> Rows {
        let prefix = prefix.as_ref();
        let above = prefix.iter().rposition(|byte| *byte < u8::MAX).and_then(|last| {
            let mut above = prefix.get(..=last)?.to_vec();
            *above.last_mut()? += 1;
            Some(above)
        });
        self.range((Bound::Included(prefix.to_vec()), above.map_or(Bound::Unbounded, Bound::Excluded)))
    }

    /// All rows, in order, as [`range`](Self::range) gives them.
    pub(super) fn iter(&self) -> Rows {
        self.scan_prefix([])
    }
}

/// Rows of a table: keys without the table's prefix, and values.
pub(super) struct Rows {
    sled: Peekable<sled::Iter>,
    overlay: Overlay,
    /// What of the overlay is still to come.
    bounds: (Bound<IVec>, Bound<IVec>),
}

impl Rows {
    pub(super) fn keys(self) -> impl Iterator<Item = sled::Result<Vec<u8>>> {
        self.map(|row| row.map(|(key, _)| key))
    }

    pub(super) fn values(self) -> impl Iterator<Item = sled::Result<IVec>> {
        self.map(|row| row.map(|(_, value)| value))
    }

    /// The next row of both sources; what the overlay says of a key counts.
    fn merge(&mut self) -> Option<sled::Result<(IVec, IVec)>> {
        loop {
            let order = match (self.sled.peek(), self.overlay.first(&self.bounds)) {
                (_, None) | (Some(Err(_)), _) => return self.sled.next(),
                (None, Some(write)) => (Ordering::Greater, write),
                (Some(Ok((key, _))), Some(write)) => (key.cmp(&write.0), write),
            };
            let (key, value) = match order {
                (Ordering::Less, _) => return self.sled.next(),
                (Ordering::Equal, write) => {
                    self.sled.next();
                    write
                }
                (Ordering::Greater, write) => write,
            };
            self.bounds.0 = Bound::Excluded(key.clone());
            if let Some(value) = value {
                return Some(Ok((key, value)));
            }
        }
    }
}

impl Iterator for Rows {
    type Item = sled::Result<(Vec<u8>, IVec)>;

    fn next(&mut self) -> Option<Self::Item> {
        let row = self.merge()?;
        Some(row.map(|(key, value)| (key.get(1..).unwrap_or_default().to_vec(), value)))
    }
}

/// Changes to any tables, made together or not at all.
#[derive(Default)]
pub(super) struct Writes(Vec<Write>);

impl Writes {
    pub(super) fn insert(&mut self, part: Part, key: impl AsRef<[u8]>, value: impl Into<IVec>) {
        self.0.push((part.key(key.as_ref()), Some(value.into())));
    }

    pub(super) fn remove(&mut self, part: Part, key: impl AsRef<[u8]>) {
        self.0.push((part.key(key.as_ref()), None));
    }

    /// Makes them, in order. Nothing to change costs nothing.
    pub(super) fn make(self, overlay: &Overlay) {
        if !self.0.is_empty() {
            overlay.put(self.0);
        }
    }
}
