//! The thread that gives the index's changes to sled, so that no commit waits for it.
//!
//! sled is given nothing while the disk has little room: once it has failed to write, it writes no more until it is opened
//! again ([`super::reopening`]). What is not given waits in memory, and comes from the log after a restart.

use std::{
    path::PathBuf,
    sync::{
        Arc, Condvar, Mutex, MutexGuard, PoisonError, RwLock,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::Duration,
};

use super::{StoreError, io::Disk, log::io_error, overlay::Given, reopening::Slot, tables::Tables};

/// Changes that wait before the thread is woken: about a thousand records' worth, under a megabyte.
pub(super) const INDEX_WAITS: usize = 4 * 1024;

/// So many times that, and a commit first helps to give them to sled: with [`INDEX_WAITS`] a few tens of megabytes. It only
/// happens where sled cannot keep up with the log.
pub(super) const OVERDUE_FACTOR: usize = 32;

/// Free bytes of the disk without which sled is given nothing: it writes segments of 512 KiB, several at a time. Less than
/// what the log leaves free ([`super::Options::reserve_bytes`]), so that only what is not ours can take it.
pub(super) const INDEX_ROOM_BYTES: u64 = 16 * 1024 * 1024;

/// Free bytes without which sled is not opened: it then writes a summary of its pages, a few MiB for a million records.
pub(super) const OPENING_ROOM_BYTES: u64 = 8 * 1024 * 1024;

/// A pause after each batch. sled's lock is not fair: whoever gives batch after batch takes it again before a reader that
/// waits has woken, and readers then wait for the whole layer.
const READERS_TURN: Duration = Duration::from_micros(200);

/// The room that the disk has for the index.
#[derive(Clone)]
pub(super) struct Room {
    pub disk: Arc<dyn Disk>,
    pub dir: PathBuf,
}

impl Room {
    /// Whether there is enough to give sled something.
    pub(super) fn is_there(&self) -> Result<bool, StoreError> {
        Ok(self.free_bytes()? >= INDEX_ROOM_BYTES)
    }

    /// Whether there is enough to open sled.
    pub(super) fn is_there_to_open(&self) -> Result<bool, StoreError> {
        Ok(self.free_bytes()? >= OPENING_ROOM_BYTES)
    }

    pub(super) fn free_bytes(&self) -> Result<u64, StoreError> {
        self.disk.free_bytes(&self.dir).map_err(io_error("reading", &self.dir))
    }
}

/// Gives the index's changes to sled, one layer at a time.
pub(super) struct Giver {
    index: Arc<Slot>,
    tables: Arc<RwLock<Tables>>,
    pub room: Room,
    /// Whether sled has found the disk full, and must be opened again.
    found_full: AtomicBool,
    /// How many changes may wait before the thread is woken.
    waits: usize,
    /// Held by whoever gives. Taken *before* the writer's and the tables' lock, never after.
    alone: Mutex<Alone>,
    wish: Mutex<Wish>,
    wished: Condvar,
}

/// The right to give, and why it has ended for good.
#[derive(Default)]
pub(super) struct Alone {
    failed: Option<String>,
}

impl Alone {
    /// Nothing is given any more until the node is restarted.
    pub(super) fn fail(&mut self, why: &StoreError) {
        self.failed = Some(why.to_string());
    }
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
        index: Arc<Slot>,
        tables: Arc<RwLock<Tables>>,
        waits: usize,
        room: Room,
    ) -> Result<(Arc<Self>, thread::JoinHandle<()>), StoreError> {
        let (alone, wish) = (Mutex::default(), Mutex::default());
        let (found_full, wished) = (AtomicBool::new(false), Condvar::new());
        let giver = Arc::new(Self { index, tables, room, found_full, waits, alone, wish, wished });
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
            match self.give() {
                // Whoever commits next is told, and says so.
                Ok(()) | Err(StoreError::Full) => {}
                Err(error) => tracing::error!(%error, "the index could not be written"),
            }
        }
    }

    pub(super) fn end(&self) {
        lock(&self.wish).end = true;
        self.wished.notify_one();
    }

    /// Called before each commit: wakes the thread where much waits, and helps where too much does. Where sled can be given
    /// nothing for want of room, only what makes room is let through, as far as memory allows.
    pub(super) fn keep_up(&self, makes_room: bool) -> Result<(), StoreError> {
        let waiting = self.index.waiting()?;
        let is_overdue = waiting >= self.waits.saturating_mul(OVERDUE_FACTOR);
        if !self.can_give()? {
            return if makes_room && !is_overdue { Ok(()) } else { Err(StoreError::Full) };
        }
        if is_overdue {
            return self.give();
        }
        if waiting >= self.waits {
            lock(&self.wish).give = true;
            self.wished.notify_one();
        }
        Ok(())
    }

    /// Whether sled can be given anything now: it need not be opened again first, and the disk has room for it.
    pub(super) fn can_give(&self) -> Result<bool, StoreError> {
        Ok(!self.has_found_full() && self.room.is_there()?)
    }

    /// Whether sled has found the disk full, and must be opened again before it is given more.
    pub(super) fn has_found_full(&self) -> bool {
        self.found_full.load(Ordering::Acquire)
    }

    /// Notes that it has, or that it was opened again.
    pub(super) fn set_found_full(&self, is_so: bool) {
        self.found_full.store(is_so, Ordering::Release);
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
    ///
    /// # Errors
    /// [`StoreError::Full`] where sled can take nothing now; then nothing was taken.
    pub(super) fn take(&self, _alone: &Alone) -> Result<Given, StoreError> {
        if !self.can_give()? {
            return Err(StoreError::Full);
        }
        let _tables = self.tables.write().unwrap_or_else(PoisonError::into_inner);
        Ok(self.index.get()?.overlay.take())
    }

    /// Gives sled what was taken.
    pub(super) fn finish(&self, alone: &mut Alone, given: &Given) -> Result<(), StoreError> {
        let index = self.index.get()?;
        for batch in given.batches() {
            // The layer stays where readers find it, and nothing is written over it.
            index.give(batch).map_err(|error| self.failed(alone, error))?;
            thread::sleep(READERS_TURN);
        }
        let _tables = self.tables.write().unwrap_or_else(PoisonError::into_inner);
        index.overlay.given();
        Ok(())
    }

    /// sled has failed: until it is opened again where the disk was full, else until the node is restarted.
    pub(super) fn failed(&self, alone: &mut Alone, error: StoreError) -> StoreError {
        match error {
            StoreError::Full => self.set_found_full(true),
            ref other => alone.fail(other),
        }
        error
    }

    fn give(&self) -> Result<(), StoreError> {
        let mut alone = self.alone()?;
        let given = self.take(&alone)?;
        self.finish(&mut alone, &given)
    }
}
