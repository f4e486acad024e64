//! The index is opened again while the store is in use: sled, once it has found the disk full, writes no more.
//!
//! That is rare, because it is given nothing while the disk has little room ([`super::giving`]): something else must have
//! taken all of it within moments. Then sled cannot be read reliably either, because reading writes now and then (it
//! splits and merges pages), so that this is not put off until there is room: some is kept for it ([`super::spare`]). The
//! index is derived from the log, so it is closed, opened as at a start, and brought up to date from the log. Meanwhile
//! nobody reads, which takes as long as it does at a start.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{Arc, PoisonError, RwLock, atomic::Ordering},
};

use super::{StoreError, disk::DiskStore, index::Index, log::io_error, opening::read_index};

/// Where the index is, or is not: while it is opened again, and where that has failed for want of room.
///
/// Whoever takes it out holds the tables' lock, the writer's, or the right to give, and lets go of the index before the
/// lock: whoever holds all three has it alone.
pub(super) struct Slot(RwLock<Option<Arc<Index>>>);

impl Slot {
    pub(super) fn new(index: Index) -> Self {
        Self(RwLock::new(Some(Arc::new(index))))
    }

    /// The index.
    pub(super) fn get(&self) -> Result<Arc<Index>, StoreError> {
        let slot = self.0.read().unwrap_or_else(PoisonError::into_inner);
        slot.clone().ok_or(StoreError::Full)
    }

    /// How many changes sled was not given yet. This takes no lock, and so takes nothing out.
    pub(super) fn waiting(&self) -> Result<usize, StoreError> {
        let slot = self.0.read().unwrap_or_else(PoisonError::into_inner);
        slot.as_ref().map(|index| index.overlay.len()).ok_or(StoreError::Full)
    }

    /// Closes the index. Where sled panics over a disk that refuses, nothing is lost: the log has it all.
    fn close(&self) -> Result<(), StoreError> {
        let mut slot = self.0.write().unwrap_or_else(PoisonError::into_inner);
        let Some(index) = slot.take() else { return Ok(()) };
        match Arc::try_unwrap(index) {
            Ok(index) => {
                let _ = catch_unwind(AssertUnwindSafe(|| drop(index)));
                Ok(())
            }
            // Somebody reads without a lock. The next try will find it free.
            Err(index) => {
                *slot = Some(index);
                Err(StoreError::Full)
            }
        }
    }

    fn put(&self, index: Index) {
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = Some(Arc::new(index));
    }
}

impl DiskStore {
    /// Opens the index again, where sled has found the disk full: in the room that is kept for this, or when there is room
    /// again.
    ///
    /// # Errors
    /// [`StoreError::Full`] where there is too little room after all: another call tries again. What else is wrong with the
    /// index or the log stops the store.
    pub(super) fn mend_index(&self) -> Result<(), StoreError> {
        if !self.giver.has_found_full() {
            return Ok(());
        }
        if !self.giver.room.is_there_to_open()?
            && !self.spare.give_up().map_err(io_error("giving up room in", &self.dir))?
        {
            return Ok(());
        }
        let mut alone = self.giver.alone()?;
        let (mut tail, mut tables) = (self.writer(), self.tables_mut());
        if !self.giver.has_found_full() {
            // Another thread was first.
            return Ok(());
        }
        if let Some(why) = &tail.stopped {
            // The log has failed too, and only a restart reads it from the disk.
            return Err(StoreError::Stopped(why.clone()));
        }
        self.index.close()?;
        let read = read_index(&self.dir, &self.log, &self.options).map_err(|error| match error {
            StoreError::Full => error,
            other => {
                alone.fail(&other);
                StoreError::Stopped(other.to_string())
            }
        })?;
        if let Some(why) = &read.report.rebuilt {
            tracing::warn!("the index was rebuilt from the record log: {why}");
        }
        *tables = read.tables;
        *tail = read.tail;
        self.epoch.store(read.epoch, Ordering::Release);
        self.index.put(read.index);
        self.giver.set_found_full(false);
        tracing::info!("the index was opened again, because the disk was full when it was written");
        Ok(())
    }
}
