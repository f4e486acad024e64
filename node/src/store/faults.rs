//! A disk that loses power, fails and runs full on demand, and the tests that need one.
//!
//! The log is on this disk, in memory; the index is in a real directory, as if sled had kept everything, or is
//! removed before the store is opened again.

use std::{
    collections::BTreeMap,
    io,
    path::{Path, PathBuf},
    sync::{Arc, Mutex},
};

use rand::{RngExt, SeedableRng, rngs::StdRng};

use super::io::{Disk, DiskFile};

/// What a device writes at once.
const SECTOR_BYTES: usize = 512;

/// What was asked of the disk.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Asked {
    Write,
    Sync,
    Other,
}

#[derive(Default)]
struct Content {
    durable: Vec<u8>,
    current: Vec<u8>,
    unsynced: Vec<(usize, Vec<u8>)>,
}

type Shared = Arc<Mutex<Content>>;

#[derive(Default)]
struct Inner {
    names: BTreeMap<PathBuf, Shared>,
    durable_names: BTreeMap<PathBuf, Shared>,
    asked: Vec<Asked>,
    /// The number of operations after which everything fails.
    lives: Option<usize>,
    /// The error of the next sync.
    sync_error: Option<io::ErrorKind>,
    /// The error of every creation's writes.
    create_error: Option<io::ErrorKind>,
    free_bytes: Option<u64>,
}

impl Inner {
    fn ask(&mut self, asked: Asked) -> io::Result<()> {
        if self.lives.is_some_and(|lives| self.asked.len() >= lives) {
            return Err(io::Error::other("power lost"));
        }
        self.asked.push(asked);
        Ok(())
    }
}

#[derive(Clone, Default)]
pub(super) struct TestDisk(Arc<Mutex<Inner>>);

struct TestFile {
    disk: TestDisk,
    content: Shared,
}

impl TestDisk {
    fn inner(&self) -> std::sync::MutexGuard<'_, Inner> {
        self.0.lock().unwrap()
    }

    /// How many operations there were.
    pub(super) fn operations(&self) -> usize {
        self.inner().asked.len()
    }

    /// Fails after so many more operations.
    pub(super) fn live_for(&self, operations: usize) {
        let mut inner = self.inner();
        inner.lives = Some(inner.asked.len() + operations);
    }

    /// What is there after a power loss: synced names, synced bytes, and any of the sectors written since.
    pub(super) fn after_power_loss(&self, seed: u64) -> Self {
        let mut random = StdRng::seed_from_u64(seed);
        let survivors = Self::default();
        for (path, content) in &self.inner().durable_names {
            let content = content.lock().unwrap();
            let mut bytes = content.durable.clone();
            for (offset, written) in &content.unsynced {
                // Sectors are those of the file, not of the write.
                let mut at = 0;
                while at < written.len() {
                    let piece = (SECTOR_BYTES - (offset + at) % SECTOR_BYTES).min(written.len() - at);
                    if random.random_bool(0.5) && offset + at + piece <= bytes.len() {
                        bytes[offset + at..offset + at + piece].copy_from_slice(&written[at..at + piece]);
                    }
                    at += piece;
                }
            }
            let content = Content { durable: bytes.clone(), current: bytes, unsynced: Vec::new() };
            let content = Arc::new(Mutex::new(content));
            let mut inner = survivors.inner();
            inner.names.insert(path.clone(), Arc::clone(&content));
            inner.durable_names.insert(path.clone(), content);
        }
        survivors
    }

    fn file(&self, content: &Shared) -> Box<dyn DiskFile> {
        Box::new(TestFile { disk: self.clone(), content: Arc::clone(content) })
    }
}

impl Disk for TestDisk {
    fn create(&self, path: &Path) -> io::Result<Box<dyn DiskFile>> {
        let mut inner = self.inner();
        inner.ask(Asked::Other)?;
        if let Some(kind) = inner.create_error {
            return Err(kind.into());
        }
        let content = Shared::default();
        inner.names.insert(path.to_owned(), Arc::clone(&content));
        drop(inner);
        Ok(self.file(&content))
    }

    fn open(&self, path: &Path) -> io::Result<Box<dyn DiskFile>> {
        let content = self.inner().names.get(path).cloned().ok_or(io::ErrorKind::NotFound)?;
        Ok(self.file(&content))
    }

    fn list(&self, dir: &Path) -> io::Result<Vec<String>> {
        let inner = self.inner();
        let paths = inner.names.keys().filter(|path| path.parent() == Some(dir));
        Ok(paths.map(|path| path.file_name().unwrap().to_string_lossy().into_owned()).collect())
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        let mut inner = self.inner();
        inner.ask(Asked::Other)?;
        let content = inner.names.remove(from).ok_or(io::ErrorKind::NotFound)?;
        inner.names.insert(to.to_owned(), content);
        Ok(())
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        let mut inner = self.inner();
        inner.ask(Asked::Other)?;
        inner.names.remove(path).map(drop).ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        let inner = &mut *self.inner();
        inner.ask(Asked::Other)?;
        inner.durable_names.retain(|path, _| path.parent() != Some(dir));
        let names = inner.names.iter().filter(|(path, _)| path.parent() == Some(dir));
        inner.durable_names.extend(names.map(|(path, content)| (path.clone(), Arc::clone(content))));
        Ok(())
    }

    fn free_bytes(&self, _dir: &Path) -> io::Result<u64> {
        Ok(self.inner().free_bytes.unwrap_or(u64::MAX))
    }
}

impl DiskFile for TestFile {
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        let content = self.content.lock().unwrap();
        let rest = content.current.get(offset as usize..).unwrap_or_default();
        let count = rest.len().min(buffer.len());
        buffer[..count].copy_from_slice(&rest[..count]);
        Ok(count)
    }

    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        let lost = self.disk.inner().ask(Asked::Write);
        let (mut content, offset) = (self.content.lock().unwrap(), offset as usize);
        let end = offset + bytes.len();
        if content.current.len() < end {
            content.current.resize(end, 0);
        }
        content.current[offset..end].copy_from_slice(bytes);
        // A write under which power fails may still reach the disk in part.
        content.unsynced.push((offset, bytes.to_vec()));
        lost
    }

    fn sync_data(&self) -> io::Result<()> {
        let mut inner = self.disk.inner();
        inner.ask(Asked::Sync)?;
        if let Some(kind) = inner.sync_error.take() {
            return Err(kind.into());
        }
        let mut content = self.content.lock().unwrap();
        content.durable = content.current.clone();
        content.unsynced.clear();
        Ok(())
    }

    fn len(&self) -> io::Result<u64> {
        Ok(self.content.lock().unwrap().current.len() as u64)
    }
}

mod tests {
    use std::{fs, sync::Barrier, time::Duration};

    use griot_protocol::{
        AckItem, CollectSecret, DeliverSecret, MailboxKeys, MailboxKind, NetworkName, NetworkParams, Record, ShardBits,
        Timestamp, ack, envelope,
    };

    use super::*;
    use crate::store::{
        DiskStore, Entry, Holding, MemoryStore, Observer, OpenReport, Options, Store, StoreError,
        small_disk::SmallDisk,
        support::{START as DAWN, assert_same, pool},
    };

    const START: Timestamp = Timestamp(500_000 * 3600);

    fn params() -> NetworkParams {
        NetworkParams { name: NetworkName::standard(), bits: ShardBits::ZERO, postage_bits: 0 }
    }

    fn keys() -> (DeliverSecret, CollectSecret, MailboxKeys) {
        let (deliver, collect) = (DeliverSecret::from_bytes(&[1; 32]), CollectSecret::from_bytes(&[2; 32]));
        let (kind, public) = (MailboxKind::Direct, deliver.public());
        let keys = MailboxKeys { kind, deliver: public, collect: collect.public(), nonce: 0 };
        (deliver, collect, keys)
    }

    fn letter(salt: u8, hours: u64) -> Record {
        let (deliver, _, keys) = keys();
        let payload = vec![salt; 257];
        envelope::seal(&params(), &deliver, keys, START, START.plus(hours * 3600), payload).unwrap()
    }

    fn entries(records: &[Record]) -> Vec<Entry> {
        records.iter().cloned().map(Entry::Record).collect()
    }

    fn open(disk: &TestDisk, dir: &Path) -> Result<(DiskStore, OpenReport), StoreError> {
        let options = Options { segment_bytes: 3000, cache_bytes: 1 << 20, ..Options::new(ShardBits::ZERO) };
        DiskStore::open_on(Arc::new(disk.clone()), dir, &options)
    }

    fn steps() -> Vec<Vec<Record>> {
        let (_, collect, keys) = keys();
        let letters: Vec<Record> = (0..24).map(|salt| letter(salt, 1 + u64::from(salt) * 2)).collect();
        let item = |record: &Record| AckItem { created_at: START, id: record.id() };
        let ack = ack::make(&params(), &collect, keys, true, letters[..4].iter().map(item).collect()).unwrap();
        vec![
            letters[..1].to_vec(),
            letters[1..4].to_vec(),
            letters[4..6].to_vec(),
            vec![ack],
            letters[6..9].to_vec(),
            letters[9..10].to_vec(),
            letters[10..14].to_vec(),
            letters[14..17].to_vec(),
            letters[17..22].to_vec(),
            letters[22..].to_vec(),
        ]
    }

    /// Runs the steps until power fails; returns those that were acknowledged, and the one under way.
    fn run(disk: &TestDisk, dir: &Path) -> (Vec<Vec<Record>>, Option<Vec<Record>>) {
        let mut acknowledged = Vec::new();
        let Ok((store, _)) = open(disk, dir) else { return (acknowledged, None) };
        for step in steps() {
            match store.commit(&entries(&step)) {
                Ok(_) => acknowledged.push(step),
                Err(_) => return (acknowledged, Some(step)),
            }
            // Whatever becomes of housekeeping, what was acknowledged must stay.
            let _ = store.maintain(START);
        }
        (acknowledged, None)
    }

    fn is_known(store: &DiskStore, record: &Record) -> bool {
        let Some(row) = store.row(&record.id()).unwrap() else { return false };
        let frame = store.frame(&record.id()).unwrap();
        assert_eq!(frame.as_ref(), (row.holding == Holding::Held).then_some(record.frame()));
        true
    }

    #[test]
    fn power_may_fail_at_every_operation() {
        let whole = TestDisk::default();
        let dir = tempfile::tempdir().unwrap();
        let (acknowledged, _) = run(&whole, dir.path());
        assert_eq!(acknowledged.len(), steps().len());
        let operations = whole.inner().asked.len();
        assert!(operations > 40);
        for lives in 0..operations {
            let dir = tempfile::tempdir().unwrap();
            let disk = TestDisk::default();
            disk.inner().lives = Some(lives);
            let (acknowledged, under_way) = run(&disk, dir.path());
            let disk = disk.after_power_loss(lives as u64);
            if lives % 2 == 0 {
                let _ = fs::remove_dir_all(dir.path().join("index"));
            }
            let (store, _) = open(&disk, dir.path()).unwrap();
            for record in acknowledged.iter().flatten() {
                assert!(is_known(&store, record), "lost an acknowledged record after {lives} operations");
            }
            let known = under_way.iter().flatten().filter(|record| is_known(&store, record)).count();
            let whole = under_way.map_or(0, |step| step.len());
            assert!(known == 0 || known == whole, "half a batch after {lives} operations");
            let report = store.verify().unwrap();
            assert!(report.is_sound(), "after {lives} operations: {report:?}");
            store.commit(&entries(&[letter(99, 9)])).unwrap();
            drop(store);
            let (store, report) = open(&disk, dir.path()).unwrap();
            assert_eq!((report.torn_bytes, report.quarantined.len()), (0, 0));
            assert!(is_known(&store, &letter(99, 9)));
        }
    }

    #[test]
    fn a_group_is_one_write_and_then_one_sync() {
        let (disk, dir) = (TestDisk::default(), tempfile::tempdir().unwrap());
        let (store, _) = open(&disk, dir.path()).unwrap();
        disk.inner().asked.clear();
        store.commit_group(&[entries(&[letter(1, 9), letter(2, 9)]), Vec::new(), entries(&[letter(3, 9)])]).unwrap();
        assert_eq!(disk.inner().asked, [Asked::Write, Asked::Sync]);
        assert_eq!(store.totals().records, 3);
    }

    #[test]
    fn a_failed_sync_is_never_tried_again() {
        let (disk, dir) = (TestDisk::default(), tempfile::tempdir().unwrap());
        let (store, _) = open(&disk, dir.path()).unwrap();
        store.commit(&entries(&[letter(1, 9)])).unwrap();
        disk.inner().sync_error = Some(io::ErrorKind::Other);
        assert!(matches!(store.commit(&entries(&[letter(2, 9)])), Err(StoreError::Stopped(_))));
        disk.inner().asked.clear();
        assert!(matches!(store.commit(&entries(&[letter(3, 9)])), Err(StoreError::Stopped(_))));
        assert_eq!(disk.inner().asked, []);
        assert_eq!(store.row(&letter(2, 9).id()).unwrap(), None);
        drop(store);
        let (store, _) = open(&disk, dir.path()).unwrap();
        assert!(is_known(&store, &letter(1, 9)) && !is_known(&store, &letter(3, 9)));
        store.commit(&entries(&[letter(3, 9)])).unwrap();
    }

    #[test]
    fn a_full_disk_refuses_and_then_goes_on() {
        let (disk, dir) = (TestDisk::default(), tempfile::tempdir().unwrap());
        let (store, _) = open(&disk, dir.path()).unwrap();
        let letters: Vec<Record> = (0..6).map(|salt| letter(salt, 9)).collect();
        store.commit(&entries(&letters[..5])).unwrap();
        for by_write in [false, true] {
            let mut inner = disk.inner();
            inner.free_bytes = (!by_write).then_some(10);
            inner.create_error = by_write.then_some(io::ErrorKind::StorageFull);
            drop(inner);
            let more: Vec<Record> = (10..14).map(|salt| letter(salt, 9)).collect();
            assert!(matches!(store.commit(&entries(&more)), Err(StoreError::Full)));
            assert_eq!(store.totals().records, 5);
        }
        // What still fits is taken, and expiry works.
        store.commit(&entries(&letters[5..])).unwrap();
        assert_eq!(store.expire(START.plus(100 * 3600), 100).unwrap(), 6);
        let mut inner = disk.inner();
        (inner.free_bytes, inner.create_error) = (None, None);
        drop(inner);
        let more: Vec<Record> = (20..30).map(|salt| letter(salt, 200)).collect();
        store.commit(&entries(&more)).unwrap();
        assert_eq!(store.totals().records, 10);
    }

    #[test]
    fn without_room_for_the_index_only_what_makes_room_is_taken() {
        let (disk, dir) = (TestDisk::default(), tempfile::tempdir().unwrap());
        let options = Options { segment_bytes: 1 << 20, reserve_bytes: 0, ..Options::new(ShardBits::ZERO) };
        let open = || DiskStore::open_on(Arc::new(disk.clone()), dir.path(), &options);
        let (store, _) = open().unwrap();
        let letters: Vec<Record> = (0..3).map(|salt| letter(salt, 9)).collect();
        store.commit(&entries(&letters)).unwrap();
        let (_, collect, keys) = keys();
        let item = AckItem { created_at: START, id: letters[0].id() };
        let ack = ack::make(&params(), &collect, keys, true, vec![item]).unwrap();
        disk.inner().free_bytes = Some(10);
        let more = entries(&[letter(9, 9)]);
        assert!(matches!(store.commit(&more), Err(StoreError::Full)), "the log has a place for it");
        assert!(store.maintain(START).unwrap().full);
        store.commit(&entries(&[ack])).unwrap();
        let holds = |store: &DiskStore| letters.iter().filter(|r| store.frame(&r.id()).unwrap().is_some()).count();
        assert_eq!(holds(&store), 2);
        drop(store);
        assert!(matches!(open(), Err(StoreError::NoRoomToOpen { .. })));
        disk.inner().free_bytes = None;
        let (store, report) = open().unwrap();
        assert_eq!((holds(&store), report.rebuilt), (2, None));
        store.commit(&more).unwrap();
        let done = store.maintain(START).unwrap();
        assert!(done.checkpointed && !done.full);
    }

    /// The log is on a disk that has room, so that sled, on another that has none, finds that out by itself.
    #[test]
    fn a_disk_that_is_full_when_sled_writes_stops_new_records_until_there_is_room() {
        let Some(small) = SmallDisk::make(48) else { return };
        let (disk, pool, model) = (TestDisk::default(), pool(), MemoryStore::new(ShardBits::ZERO));
        let dir = small.path().join("store");
        let options = Options { cache_bytes: 1 << 20, ..Options::new(ShardBits::ZERO) };
        let open = || DiskStore::open_on(Arc::new(disk.clone()), &dir, &options);
        let (store, _) = open().unwrap();
        let take = |record: &Record| {
            let taken = store.commit(&entries(std::slice::from_ref(record)));
            if taken.is_ok() {
                model.commit(&entries(std::slice::from_ref(record))).unwrap();
            }
            taken
        };
        let (first, second) = pool.records.split_at(10);
        let is_ack = |record: &&Record| matches!(record.body(), griot_protocol::Body::Ack(_));
        let (acks, second): (Vec<&Record>, Vec<&Record>) = second.iter().partition(is_ack);
        first.iter().for_each(|record| drop(take(record).unwrap()));
        store.maintain(DAWN).unwrap();

        small.fill();
        until_full(&store, &take);
        // As if there were room: the index cannot be opened.
        for record in &second[..2] {
            assert!(matches!(take(record), Err(StoreError::Full)));
        }
        // Room is known to be missing: it is opened in what was kept for it, and can be read.
        disk.inner().free_bytes = Some(10);
        assert!(small.path().join("store/spare").exists());
        assert!(matches!(take(second[0]), Err(StoreError::Full)));
        assert!(!small.path().join("store/spare").exists());
        assert_same(&store, &model, &pool);
        assert!(store.maintain(DAWN).unwrap().full);
        acks.into_iter().for_each(|ack| drop(take(ack).unwrap()));
        assert_same(&store, &model, &pool);

        small.free();
        disk.inner().free_bytes = None;
        second.into_iter().for_each(|record| drop(take(record).unwrap()));
        assert_same(&store, &model, &pool);
        assert!(store.maintain(DAWN).unwrap().checkpointed);
        assert!(small.path().join("store/spare").exists());
        assert!(store.verify().unwrap().is_sound());
        drop(store);
        let (store, report) = open().unwrap();
        assert_eq!(report.rebuilt, None);
        assert_same(&store, &model, &pool);
        assert_eq!(store.totals(), model.totals());
    }

    /// Commits until sled must write and cannot, which is only when it is given something.
    fn until_full(store: &DiskStore, take: &dyn Fn(&Record) -> Result<Vec<crate::store::Outcome>, StoreError>) {
        for salt in 0..=u8::MAX {
            take(&letter(salt, 9)).unwrap();
            match store.maintain(DAWN) {
                Err(StoreError::Full) => return,
                done => drop(done.unwrap()),
            }
        }
        panic!("sled writes on a full disk");
    }

    struct Syncs(Mutex<Vec<usize>>);

    impl Observer for Syncs {
        fn synced(&self, _latency: Duration, entries: usize, _bytes: u64) {
            self.0.lock().unwrap().push(entries);
        }
    }

    #[test]
    fn threads_that_commit_together_all_get_their_own_answers() {
        let dir = tempfile::tempdir().unwrap();
        let syncs = Arc::new(Syncs(Mutex::new(Vec::new())));
        let observer: Arc<dyn Observer> = syncs.clone();
        let options = Options { observer: Some(observer), ..Options::new(ShardBits::ZERO) };
        let disk = Arc::new(TestDisk::default());
        let (store, _) = DiskStore::open_on(disk, dir.path(), &options).unwrap();
        let barrier = Barrier::new(8);
        std::thread::scope(|scope| {
            for thread in 0..8_u8 {
                let (store, barrier) = (&store, &barrier);
                scope.spawn(move || {
                    barrier.wait();
                    for number in 0..10 {
                        let record = letter(thread * 10 + number, 9);
                        let outcomes = store.commit(&entries(std::slice::from_ref(&record))).unwrap();
                        assert_eq!(outcomes.len(), 1);
                        assert!(is_known(store, &record));
                    }
                });
            }
        });
        assert_eq!(store.totals().records, 80);
        assert_eq!(syncs.0.lock().unwrap().iter().sum::<usize>(), 80);
    }
}
