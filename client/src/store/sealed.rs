//! The store on disk: sled, every row sealed.
//!
//! sled sees neither keys nor values. A row's name there is a keyed hash of its key, and the key itself is inside the
//! sealed value; an index of all keys is built in memory at opening, and gives ordered scans. Values are cut into parts
//! below 4 KiB.
//!
//! What sled 0.34 does that one must know, and what is done about it:
//! - `flush()` is `sync_file_range`, no fsync: every commit also calls fdatasync on sled's one log file, `db`;
//! - large values may go to blob files that nothing syncs: hence the parts;
//! - a batch is atomic on one tree only: there is one tree;
//! - a left-over `snap.*.generating` makes it unopenable: it is removed before opening;
//! - its cache defaults to 1 GiB: it is set.

use std::{
    collections::BTreeMap,
    fs,
    os::unix::fs::DirBuilderExt,
    path::{Path, PathBuf},
};

use super::{
    Change, Row, Store, StoreError, StoreKey,
    vault::{self, Secret, io},
};

/// sled's directory in the home.
const SLED_DIR: &str = "store";

/// The file whose lock says who owns the home.
const LOCK_FILE: &str = "lock";

/// Bytes of a value in one row of sled: with name, nonce and tag well below the 4 KiB from which blobs begin.
const PART_BYTES: usize = 2048;

/// Parts of one value: 2 MiB, far beyond the largest row.
const PARTS_MAX: usize = 1024;

/// A row's name without its part number.
const NAME_BYTES: usize = 24;

/// sled's cache. The rows in use are few; the default would be 1 GiB.
const CACHE_BYTES: u64 = 16 * 1024 * 1024;

const NONCE_BYTES: usize = 24;

/// An encrypted store in a directory, with one owner.
pub struct SledStore {
    db: sled::Db,
    /// sled's log, opened once more to sync it.
    log: fs::File,
    log_path: PathBuf,
    row_key: Secret,
    name_key: Secret,
    /// Every key, with the number of its parts.
    keys: BTreeMap<Vec<u8>, u16>,
    /// A commit whose sync failed may or may not be on the disk; nothing is believed from then on.
    failed: bool,
    /// Holds the lock until it is dropped; declared last, so that sled is closed first.
    _lock: fs::File,
}

impl std::fmt::Debug for SledStore {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "SledStore({}, {} rows)", self.log_path.display(), self.keys.len())
    }
}

impl SledStore {
    /// Whether a passphrase opens the store in `home` (`false`: a key file). `None` where there is no store.
    ///
    /// # Errors
    /// The vault file cannot be read.
    pub fn wants_passphrase(home: &Path) -> Result<Option<bool>, StoreError> {
        vault::wants_passphrase(home)
    }

    /// Makes a store in `home`, and the directory where it is missing.
    ///
    /// # Errors
    /// There is one already, another process owns it, or the disk failed.
    pub fn create(home: &Path, key: &StoreKey) -> Result<Self, StoreError> {
        fs::DirBuilder::new().recursive(true).mode(0o700).create(home).map_err(io("create", home))?;
        let lock = lock(home)?;
        if vault::wants_passphrase(home)?.is_some() {
            return Err(StoreError::Damaged(format!("there is a store in {} already", home.display())));
        }
        if home.join(SLED_DIR).exists() {
            return Err(StoreError::Damaged(format!(
                "{} holds a store without its {}: restore that file, or choose another directory",
                home.display(),
                vault::VAULT_FILE
            )));
        }
        let data_key = vault::create(home, key)?;
        Self::open_rows(home, &data_key, lock)
    }

    /// Opens the store in `home`.
    ///
    /// # Errors
    /// [`StoreError::WrongKey`], [`StoreError::Locked`], or what the disk says.
    pub fn open(home: &Path, key: &StoreKey) -> Result<Self, StoreError> {
        if vault::wants_passphrase(home)?.is_none() {
            return Err(StoreError::Damaged(format!("there is no store in {}", home.display())));
        }
        let lock = lock(home)?;
        let data_key = vault::open(home, key)?;
        Self::open_rows(home, &data_key, lock)
    }

    fn open_rows(home: &Path, data_key: &Secret, lock: fs::File) -> Result<Self, StoreError> {
        let path = home.join(SLED_DIR);
        remove_half_snapshots(&path)?;
        let db = open_when_free(&sled::Config::new().path(&path).cache_capacity(CACHE_BYTES).flush_every_ms(None))?;
        let log_path = path.join("db");
        let log = fs::OpenOptions::new().write(true).open(&log_path).map_err(io("open", &log_path))?;
        log.sync_all().map_err(io("sync", &log_path))?;
        for dir in [path.as_path(), home] {
            fs::File::open(dir).and_then(|dir| dir.sync_all()).map_err(io("sync", dir))?;
        }
        let derive = |context| Secret::new(blake3::derive_key(context, &**data_key));
        let mut store = Self {
            db,
            log,
            log_path,
            row_key: derive("griot 2026 client store rows v1"),
            name_key: derive("griot 2026 client store names v1"),
            keys: BTreeMap::new(),
            failed: false,
            _lock: lock,
        };
        store.keys = store.read_keys()?;
        Ok(store)
    }

    /// Reads the key of every row.
    fn read_keys(&self) -> Result<BTreeMap<Vec<u8>, u16>, StoreError> {
        let mut keys = BTreeMap::new();
        for row in self.db.iter() {
            let (name, sealed) = row?;
            if name.get(NAME_BYTES..) != Some(&[0, 0]) {
                continue;
            }
            let plain = self.open_part(&name, &sealed)?;
            let (key, parts, _) = split_first_part(&plain).ok_or_else(damaged)?;
            if self.name(key, 0) != name.as_ref() {
                return Err(damaged());
            }
            keys.insert(key.to_vec(), parts);
        }
        Ok(keys)
    }

    fn name(&self, key: &[u8], part: u16) -> Vec<u8> {
        let hash = blake3::keyed_hash(&self.name_key, key);
        let mut name = hash.as_bytes()[..NAME_BYTES].to_vec();
        name.extend_from_slice(&part.to_be_bytes());
        name
    }

    fn seal_part(&self, name: &[u8], plain: &[u8]) -> Result<Vec<u8>, StoreError> {
        let mut nonce = [0; NONCE_BYTES];
        vault::fill(&mut nonce)?;
        let mut sealed = nonce.to_vec();
        sealed.extend(vault::seal(&self.row_key, &nonce, name, plain)?);
        Ok(sealed)
    }

    fn open_part(&self, name: &[u8], sealed: &[u8]) -> Result<Vec<u8>, StoreError> {
        let (nonce, sealed) = sealed.split_first_chunk::<NONCE_BYTES>().ok_or_else(damaged)?;
        vault::unseal(&self.row_key, nonce, name, sealed).ok_or_else(damaged)
    }

    fn read(&self, key: &[u8], parts: u16) -> Result<Vec<u8>, StoreError> {
        let mut value = Vec::new();
        for part in 0..parts {
            let name = self.name(key, part);
            let sealed = self.db.get(&name)?.ok_or_else(damaged)?;
            let plain = self.open_part(&name, &sealed)?;
            if part == 0 {
                let (_, _, rest) = split_first_part(&plain).ok_or_else(damaged)?;
                value.extend_from_slice(rest);
            } else {
                value.extend_from_slice(&plain);
            }
        }
        Ok(value)
    }

    /// Adds a row to the batch and returns its number of parts.
    fn put(&self, batch: &mut sled::Batch, key: &[u8], value: &[u8]) -> Result<u16, StoreError> {
        let too_large = || StoreError::Damaged("a row is too large to be stored".to_owned());
        let chunks: Vec<&[u8]> = if value.is_empty() { vec![&[]] } else { value.chunks(PART_BYTES).collect() };
        if chunks.len() > PARTS_MAX || key.len() > PART_BYTES / 2 {
            return Err(too_large());
        }
        let parts = chunks.len() as u16;
        for (part, chunk) in (0u16..).zip(chunks) {
            let name = self.name(key, part);
            let sealed = if part == 0 {
                let mut plain = (key.len() as u16).to_be_bytes().to_vec();
                plain.extend_from_slice(key);
                plain.extend_from_slice(&parts.to_be_bytes());
                plain.extend_from_slice(chunk);
                self.seal_part(&name, &plain)?
            } else {
                self.seal_part(&name, chunk)?
            };
            batch.insert(name, sealed);
        }
        Ok(parts)
    }
}

impl Store for SledStore {
    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        self.keys.get(key).map(|parts| self.read(key, *parts)).transpose()
    }

    fn scan(&self, prefix: &[u8], after: Option<&[u8]>, max: usize) -> Result<Vec<Row>, StoreError> {
        self.keys
            .range::<[u8], _>(super::from(prefix, after))
            .take_while(|(key, _)| key.starts_with(prefix))
            .take(max)
            .map(|(key, parts)| Ok((key.clone(), self.read(key, *parts)?)))
            .collect()
    }

    fn commit(&mut self, changes: &[Change]) -> Result<(), StoreError> {
        if self.failed {
            return Err(StoreError::Damaged("a write failed: close the store and open it again".to_owned()));
        }
        let mut batch = sled::Batch::default();
        let mut pending: BTreeMap<&[u8], Option<u16>> = BTreeMap::new();
        for change in changes {
            let (key, value) = match change {
                Change::Put(key, value) => (key.as_slice(), Some(value)),
                Change::Delete(key) => (key.as_slice(), None),
            };
            let before = pending.get(key).copied().unwrap_or_else(|| self.keys.get(key).copied()).unwrap_or(0);
            let parts = value.map(|value| self.put(&mut batch, key, value)).transpose()?;
            for part in parts.unwrap_or(0)..before {
                batch.remove(self.name(key, part));
            }
            pending.insert(key, parts);
        }
        let pending: Vec<(Vec<u8>, Option<u16>)> = pending.into_iter().map(|(k, p)| (k.to_vec(), p)).collect();
        // From here on a failure leaves open what is on the disk; only success clears this.
        self.failed = true;
        self.db.apply_batch(batch)?;
        self.db.flush()?;
        self.log.sync_data().map_err(io("sync", &self.log_path))?;
        self.failed = false;
        for (key, parts) in pending {
            match parts {
                Some(parts) => self.keys.insert(key, parts),
                None => self.keys.remove(&key),
            };
        }
        Ok(())
    }
}

/// Cuts the first part of a value into key, number of parts and the value's beginning.
fn split_first_part(plain: &[u8]) -> Option<(&[u8], u16, &[u8])> {
    let (len, rest) = plain.split_first_chunk::<2>()?;
    let (key, rest) = rest.split_at_checked(usize::from(u16::from_be_bytes(*len)))?;
    let (parts, rest) = rest.split_first_chunk::<2>()?;
    Some((key, u16::from_be_bytes(*parts), rest))
}

fn damaged() -> StoreError {
    StoreError::Damaged("a row of the store is damaged: restore a backup".to_owned())
}

/// Takes the home's lock, or says that somebody has it.
fn lock(home: &Path) -> Result<fs::File, StoreError> {
    let path = home.join(LOCK_FILE);
    let file =
        fs::OpenOptions::new().write(true).create(true).truncate(false).open(&path).map_err(io("open", &path))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(fs::TryLockError::WouldBlock) => {
            Err(StoreError::Locked(format!("another process has {} open", home.display())))
        }
        Err(fs::TryLockError::Error(error)) => Err(io("lock", &path)(error)),
    }
}

/// Removes snapshots that a crash left half written: sled cannot open beside them, and does not need them.
fn remove_half_snapshots(dir: &Path) -> Result<(), StoreError> {
    let entries = match fs::read_dir(dir) {
        Ok(entries) => entries,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(io("read", dir)(error)),
    };
    for entry in entries {
        let entry = entry.map_err(io("read", dir))?;
        let name = entry.file_name();
        let name = name.to_string_lossy();
        if name.starts_with("snap.") && name.ends_with(".generating") {
            fs::remove_file(entry.path()).map_err(io("remove", &entry.path()))?;
        }
    }
    Ok(())
}

/// Tries to open sled while its own lock is still held.
const SLED_LOCK_TRIES: u32 = 500;

/// Between two of them: ten seconds in all, far more than sled's threads take to end.
const SLED_LOCK_PAUSE: std::time::Duration = std::time::Duration::from_millis(20);

/// sled's threads may hold its lock a moment longer than its last handle lives. Nobody else can: the home's own lock is
/// taken. Without patience, a command right after another would see a lock error.
fn open_when_free(config: &sled::Config) -> Result<sled::Db, StoreError> {
    let mut tries = 0;
    loop {
        match config.open() {
            Err(sled::Error::Io(error)) if tries < SLED_LOCK_TRIES && error.to_string().contains("acquire lock") => {
                tries += 1;
                std::thread::sleep(SLED_LOCK_PAUSE);
            }
            opened => return Ok(opened?),
        }
    }
}

#[cfg(test)]
mod tests;
