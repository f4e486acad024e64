//! Where a client keeps its state: an ordered map of encrypted rows with atomic, durable transactions.
//!
//! Two implementations: sled on disk, encrypted row by row, and memory (for the simulator and the tests, where it
//! can "crash" before or after any commit).

mod memory;
mod sealed;
mod vault;

use std::ops::Bound;

pub use memory::{Crash, MemoryStore};
pub use sealed::SledStore;
pub use vault::StoreKey;

/// One change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// Write a row.
    Put(Vec<u8>, Vec<u8>),
    /// Remove a row.
    Delete(Vec<u8>),
}

/// Why the store cannot do what was asked.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The file system refused.
    #[error("{what}: {source}")]
    Io {
        /// What was being done, and to which file.
        what: String,
        /// The file system's answer.
        source: std::io::Error,
    },
    /// sled refused.
    #[error("store: {0}")]
    Index(#[from] sled::Error),
    /// Another process has this home open.
    #[error("{0}")]
    Locked(String),
    /// The passphrase or key file does not open this store.
    #[error("the passphrase (or key file) does not open this store")]
    WrongKey,
    /// A row does not decrypt or decode, or the store is of a newer version.
    #[error("{0}")]
    Damaged(String),
}

/// A row: its key and its value.
pub type Row = (Vec<u8>, Vec<u8>);

/// An ordered map of rows. Keys are chosen by the core and sort bytewise.
pub trait Store: Send {
    /// Reads a row.
    ///
    /// # Errors
    /// The disk failed, or the row is damaged.
    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError>;

    /// Rows whose key begins with `prefix` and is greater than `after`, in order, at most `max`.
    ///
    /// # Errors
    /// The disk failed, or a row is damaged.
    fn scan(&self, prefix: &[u8], after: Option<&[u8]>, max: usize) -> Result<Vec<Row>, StoreError>;

    /// Makes all changes or none, durably (fdatasync), and only then returns.
    ///
    /// # Errors
    /// The disk failed: the changes may or may not be there after a restart, but never some of them.
    fn commit(&mut self, changes: &[Change]) -> Result<(), StoreError>;
}

impl<S: Store + ?Sized> Store for Box<S> {
    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        (**self).get(key)
    }

    fn scan(&self, prefix: &[u8], after: Option<&[u8]>, max: usize) -> Result<Vec<Row>, StoreError> {
        (**self).scan(prefix, after, max)
    }

    fn commit(&mut self, changes: &[Change]) -> Result<(), StoreError> {
        (**self).commit(changes)
    }
}

/// The range of keys that a scan looks at: from `prefix` on, or behind `after` where that is later.
fn from<'a>(prefix: &'a [u8], after: Option<&'a [u8]>) -> (Bound<&'a [u8]>, Bound<&'a [u8]>) {
    let start = match after {
        Some(after) if after >= prefix => Bound::Excluded(after),
        _ => Bound::Included(prefix),
    };
    (start, Bound::Unbounded)
}
