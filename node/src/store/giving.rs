//! The thread that gives the index's changes to sled, so that no commit waits for it.

use std::{
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, RwLock},
    thread,
    time::Duration,
};

use super::{StoreError, index::Index, log::io_error, overlay::Given, tables::Tables};

/// Changes that wait before the thread is woken: about a thousand records' worth, under a megabyte.
pub(super) const INDEX_WAITS: usize = 4 * 1024;

/// So many times that, and a commit first helps to give them to sled: with [`INDEX_WAITS`] a few tens of megabytes. It only
/// happens where sled cannot keep up with the log.
const OVERDUE_FACTOR: usize = 32;

/// A pause after each batch. sled's lock is not fair: whoever gives batch after batch takes it again before a reader that
/// waits has woken, and readers then wait for the whole layer.
const READERS_TURN: Duration = Duration::from_micros(200);

/// Gives the index's changes to sled, one layer at a time.
pub(super) struct Giver {
    index: Arc<Index>,
    tables: Arc<RwLock<Tables>>,
    /// How many changes may wait before the thread is woken.
    waits: usize,
    /// Held by whoever gives. Taken *before* the writer's and the tables' lock, never after.
    alone: Mutex<Alone>,
    wish: Mutex<Wish>,
    wished: Condvar,
}

/// The right to give, and why it has ended.
#[derive(Default)]
pub(super) struct Alone {
    failed: Option<String>,
}

#[derive(Default)]
struct Wish {
    give: bool,
    end: bool,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Giver {
    /// Starts the thread; [`end`](Self::end) it before the store goes.
    pub(super) fn start(
        index: Arc<Index>,
        tables: Arc<RwLock<Tables>>,
        waits: usize,
    ) -> Result<(Arc<Self>, thread::JoinHandle<()>), StoreError> {
        let (alone, wish) = (Mutex::default(), Mutex::default());
        let giver = Arc::new(Self { index, tables, waits, alone, wish, wished: Condvar::new() });
        let its = Arc::clone(&giver);
        let thread = thread::Builder::new().name("griot-index".to_owned()).spawn(move || its.run());
        Ok((giver, thread.map_err(io_error("starting a thread for", "the index".as_ref()))?))
    }

    fn run(&self) {
        loop {
            let mut wish = lock(&self.wish);
            while !wish.give && !wish.end {
                wish = self.wished.wait(wish).unwrap_or_else(PoisonError::into_inner);
            }
            if wish.end {
                return;
            }
            wish.give = false;
            drop(wish);
            // A failure is remembered and stops the store at the next commit or checkpoint.
            if let Err(error) = self.give() {
                tracing::error!(%error, "the index could not be written");
            }
        }
    }

    pub(super) fn end(&self) {
        lock(&self.wish).end = true;
        self.wished.notify_one();
    }

    /// Called before each commit: wakes the thread where much waits, and helps where too much does.
    pub(super) fn keep_up(&self) -> Result<(), StoreError> {
        let waiting = self.index.overlay.len();
        if waiting >= self.waits.saturating_mul(OVERDUE_FACTOR) {
            return self.give();
        }
        if waiting >= self.waits {
            lock(&self.wish).give = true;
            self.wished.notify_one();
        }
        Ok(())
    }

    /// The right to give, which one thread has at a time.
    pub(super) fn alone(&self) -> Result<MutexGuard<'_, Alone>, StoreError> {
        let alone = lock(&self.alone);
        match &alone.failed {
            Some(why) => Err(StoreError::Stopped(why.clone())),
            None => Ok(alone),
        }
    }

    /// What waits now. What is committed from here on belongs to the next layer.
    pub(super) fn take(&self, _alone: &Alone) -> Given {
        let _tables = self.tables.write().unwrap_or_else(PoisonError::into_inner);
        self.index.overlay.take()
    }

    /// Gives sled what was taken.
    pub(super) fn finish(&self, alone: &mut Alone, given: &Given) -> Result<(), StoreError> {
        for batch in given.batches() {
            if let Err(error) = self.index.give(batch) {
                // The layer stays where readers find it, and nothing is written over it.
                alone.failed = Some(error.to_string());
                return Err(error);
            }
            thread::sleep(READERS_TURN);
        }
        let _tables = self.tables.write().unwrap_or_else(PoisonError::into_inner);
        self.index.overlay.given();
        Ok(())
    }

    fn give(&self) -> Result<(), StoreError> {
        let mut alone = self.alone()?;
        let given = self.take(&alone);
        self.finish(&mut alone, &given)
    }
}
