//! A store in memory, with the crashes of a disk: the model that the disk is tested against.

use std::collections::BTreeMap;

use super::{Change, Row, Store, StoreError};

/// Where a planned crash strikes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Crash {
    /// The commit never happened.
    Before,
    /// The commit is on the disk, but nobody was told.
    After,
}

/// An ordered map in memory.
#[derive(Clone, Debug, Default)]
pub struct MemoryStore {
    rows: BTreeMap<Vec<u8>, Vec<u8>>,
    commits: u64,
    plan: Option<(u64, Crash)>,
    dead: bool,
}

impl MemoryStore {
    /// An empty store.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Plans a crash: after `commits` more commits, the next one fails, and so does everything until
    /// [`MemoryStore::reopen`].
    pub fn fail_after(&mut self, commits: u64, crash: Crash) {
        self.plan = Some((self.commits + commits, crash));
    }

    /// How many commits succeeded.
    #[must_use]
    pub const fn commits(&self) -> u64 {
        self.commits
    }

    /// Whether the planned crash has struck.
    #[must_use]
    pub const fn is_dead(&self) -> bool {
        self.dead
    }

    /// The store as the next process finds it.
    #[must_use]
    pub fn reopen(self) -> Self {
        Self { rows: self.rows, commits: self.commits, plan: None, dead: false }
    }

    fn check_alive(&self) -> Result<(), StoreError> {
        if self.dead { Err(crashed()) } else { Ok(()) }
    }
}

fn crashed() -> StoreError {
    StoreError::Io { what: "memory store".to_owned(), source: std::io::Error::other("planned crash") }
}

impl Store for MemoryStore {
    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        self.check_alive()?;
        Ok(self.rows.get(key).cloned())
    }

    fn scan(&self, prefix: &[u8], after: Option<&[u8]>, max: usize) -> Result<Vec<Row>, StoreError> {
        self.check_alive()?;
        let rows = self.rows.range::<[u8], _>(super::from(prefix, after));
        Ok(rows.take_while(|(key, _)| key.starts_with(prefix)).take(max).map(|(k, v)| (k.clone(), v.clone())).collect())
    }

    fn commit(&mut self, changes: &[Change]) -> Result<(), StoreError> {
        self.check_alive()?;
        let crash = self.plan.filter(|(at, _)| *at == self.commits).map(|(_, crash)| crash);
        self.dead = crash.is_some();
        if crash == Some(Crash::Before) {
            return Err(crashed());
        }
        for change in changes {
            match change {
                Change::Put(key, value) => self.rows.insert(key.clone(), value.clone()),
                Change::Delete(key) => self.rows.remove(key),
            };
        }
        self.commits += 1;
        if crash.is_some() { Err(crashed()) } else { Ok(()) }
    }
}
