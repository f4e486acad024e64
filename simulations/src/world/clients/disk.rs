//! The disk under a client: the client's own memory store, which outlives the program that has it open.

use std::sync::{Arc, Mutex};

use griot_client::store::{Change, MemoryStore, Row, Store, StoreError};

use super::lock;

/// One client's store. A commit takes no time; between two commits the program may end at any moment.
#[derive(Clone, Debug, Default)]
pub(super) struct ClientDisk(Arc<Mutex<MemoryStore>>);

impl Store for ClientDisk {
    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        lock(&self.0).get(key)
    }

    fn scan(&self, prefix: &[u8], after: Option<&[u8]>, max: usize) -> Result<Vec<Row>, StoreError> {
        lock(&self.0).scan(prefix, after, max)
    }

    fn commit(&mut self, changes: &[Change]) -> Result<(), StoreError> {
        lock(&self.0).commit(changes)
    }
}

impl ClientDisk {
    /// Whether nothing was ever written.
    pub(super) fn is_new(&self) -> bool {
        lock(&self.0).commits() == 0
    }
}
