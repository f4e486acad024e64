//! The index: what the log's entries amount to, in sled, so that nothing has to be read to be found.
//!
//! | table | key | value |
//! |---|---|---|
//! | `rows` | id | [`Row`], and where its entry lies in the log |
//! | `mailbox` | address ‖ position BE | id |
//! | `by_hour` | set ‖ hour BE ‖ first 4 bytes of address ‖ `expires_at` BE ‖ id | nothing |
//! | `named` | address ‖ id ‖ `created_at` BE | whether an ack releases it, and until when the acks live |
//! | `about` | envelope ‖ address ‖ kind ‖ id of the ack or receipt | nothing |
//! | `registrations`, `members` | address ‖ member, member | the row, and where its entry lies |
//! | `outbox` | id | member |
//! | `peers` | number | a remembered peer |
//! | `floor` | nothing | the floors of rows and of acks: which hours are closed |
//! | `meta` | name | schema, marker, epoch, checkpoint |
//!
//! All tables but the last two are parts of one tree ([`super::table`]), which changes as a whole. What is new in them
//! waits in memory until sled is given it ([`super::overlay`]).
//!
//! A shard is a range of `by_hour` for any number of shard bits. No value comes near 4 KiB, from where sled would put
//! it into a file of its own that it never syncs.
//!
//! Nothing here has to be durable: the log is read again from the checkpoint at every start, and the checkpoint
//! advances only after a flush. What sled keeps may be *ahead* of the checkpoint by any number of entries, so
//! that replaying an entry must do no harm to an index that has seen it and what came after it. A row therefore knows
//! the last entry that was about it, and earlier ones pass it by; what acks do is the same however often it is done;
//! and of registrations and members the last word, which is replayed too, counts.

use std::{
    fs::File,
    io,
    path::{Path, PathBuf},
    time::Duration,
};

use griot_protocol::{Address, RecordId, Shard, ShardBits, Timestamp, codec};
use sled::{Db, Tree};

use super::{
    ABOUT_MAX, Position, RememberedPeer, Row, StoreError, SyncSet,
    floors::Floors,
    local::{Packed, pack, unpack},
    log::{Location, io_error},
    overlay::Overlay,
    table::{Part, Table, Writes},
    tables::{Tables, sync_set},
};

/// The version of the trees' layout; another one is rebuilt from the log.
const SCHEMA: u32 = 2;

/// About entries that are looked at for an envelope that is not known here.
const ABOUT_SCANNED_MAX: usize = 1024;

/// How often, and how long apart, sled's lock is tried: ten seconds, of which milliseconds are used.
const LOCK_TRIES: u32 = 1000;
const LOCK_PAUSE: Duration = Duration::from_millis(10);

/// A row, and where its entry lies.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Stored {
    pub row: Row,
    pub location: Location,
    /// The place of the last entry that was about this record: a replay leaves the row alone until it is past that.
    pub place: Position,
}

/// Names an envelope as an ack does.
pub(super) type Name = (Address, RecordId, Timestamp);

/// How far the index surely is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Checkpoint {
    pub segment: u32,
    pub offset: u64,
    pub next_batch: u64,
}

/// The tables.
pub(super) struct Index {
    db: Db,
    pub rows: Table,
    pub mailbox: Table,
    pub by_hour: Table,
    pub named: Table,
    pub about: Table,
    pub registrations: Table,
    pub members: Table,
    pub outbox: Table,
    floor: Table,
    peers: Tree,
    meta: Tree,
    /// What of the tables above sled was not given yet.
    pub overlay: Overlay,
    /// What the tables above are parts of.
    records: Tree,
    db_file: PathBuf,
}

/// What is wrong with an index that opens.
pub(super) fn broken(what: &str) -> StoreError {
    StoreError::Index(sled::Error::ReportableBug(what.to_owned()))
}

pub(super) fn mailbox_key(address: &Address, position: Position) -> [u8; 40] {
    let mut key = [0; 40];
    key[..32].copy_from_slice(&address.0);
    key[32..].copy_from_slice(&position.0.to_be_bytes());
    key
}

/// The rows that expire in no sync set have one of their own, so that they expire too.
pub(super) const fn set_byte(set: Option<SyncSet>) -> u8 {
    match set {
        Some(SyncSet::Acks) => 0,
        Some(SyncSet::Rest) => 1,
        None => 2,
    }
}

pub(super) fn hour_key(row: &Row) -> [u8; 49] {
    let mut key = [0; 49];
    key[0] = set_byte(sync_set(row));
    key[1..5].copy_from_slice(&row.expires_at.hour().0.to_be_bytes());
    key[5..9].copy_from_slice(&row.address.0[..4]);
    key[9..17].copy_from_slice(&row.expires_at.0.to_be_bytes());
    key[17..].copy_from_slice(&row.id.0);
    key
}

pub(super) fn name_key(name: &Name) -> Vec<u8> {
    [&name.0.0[..], &name.1.0, &name.2.0.to_be_bytes()].concat()
}

pub(super) fn about_key(envelope: &RecordId, address: &Address, kind: u8, id: &RecordId) -> Vec<u8> {
    [&envelope.0[..], &address.0, &[kind], &id.0].concat()
}

/// The id at the end of a key.
pub(super) fn trailing_id(key: &[u8]) -> Option<RecordId> {
    key.last_chunk::<32>().copied().map(RecordId)
}

pub(super) fn encode_stored(stored: &Stored) -> Vec<u8> {
    let Location { segment, offset, bytes } = stored.location;
    codec::encode(&(pack(&stored.row), (segment, offset, bytes), stored.place.0))
}

fn decode_stored(bytes: &[u8]) -> Option<Stored> {
    let (row, (segment, offset, bytes), place): (Packed, (u32, u32, u32), u64) = codec::decode(bytes).ok()?;
    Some(Stored { row: unpack(row)?, location: Location { segment, offset, bytes }, place: Position(place) })
}

impl Index {
    /// Opens the trees in `dir`.
    pub(super) fn open(dir: &Path, cache_bytes: u64) -> Result<Self, StoreError> {
        remove_unfinished_snapshots(dir).map_err(io_error("cleaning up", dir))?;
        let config = sled::Config::new().path(dir).cache_capacity(cache_bytes).flush_every_ms(None);
        // The index is small beside the log: space is not what to save here.
        let config = config.mode(sled::Mode::HighThroughput);
        let db = open_when_free(&config)?;
        let tree = |name: &str| db.open_tree(name);
        let records = tree("records")?;
        let overlay = Overlay::default();
        let table = |part| Table::new(records.clone(), overlay.clone(), part);
        Ok(Self {
            rows: table(Part::Rows),
            mailbox: table(Part::Mailbox),
            by_hour: table(Part::ByHour),
            named: table(Part::Named),
            about: table(Part::About),
            registrations: table(Part::Registrations),
            members: table(Part::Members),
            outbox: table(Part::Outbox),
            floor: table(Part::Floor),
            peers: tree("peers")?,
            meta: tree("meta")?,
            overlay,
            records,
            db_file: dir.join("db"),
            db,
        })
    }

    /// The epoch, if this index was made for the log with `marker`.
    pub(super) fn epoch(&self, marker: &[u8; 8]) -> Result<Option<u64>, StoreError> {
        let (schema, made_for) = (self.number::<4>("schema")?, self.number::<8>("marker")?);
        if schema != Some(SCHEMA.to_be_bytes()) || made_for != Some(*marker) {
            return Ok(None);
        }
        Ok(self.number("epoch")?.map(u64::from_be_bytes))
    }

    /// Begins an empty index for the log with `marker`.
    pub(super) fn begin(&self, marker: &[u8; 8], epoch: u64) -> Result<(), StoreError> {
        self.meta.insert("marker", marker)?;
        self.meta.insert("epoch", &epoch.to_be_bytes())?;
        self.meta.insert("schema", &SCHEMA.to_be_bytes())?;
        Ok(())
    }

    fn number<const N: usize>(&self, name: &str) -> Result<Option<[u8; N]>, StoreError> {
        Ok(self.meta.get(name)?.and_then(|value| value.as_ref().try_into().ok()))
    }

    fn floors(&self) -> Result<Floors, StoreError> {
        let Some(bytes) = self.floor.get([])? else { return Ok(Floors::default()) };
        Floors::from_bytes(bytes.as_ref()).ok_or_else(|| broken("the floors do not decode"))
    }

    pub(super) fn checkpoint(&self) -> Result<Option<Checkpoint>, StoreError> {
        let Some(value) = self.meta.get("checkpoint")? else { return Ok(None) };
        let (segment, offset, next_batch) = codec::decode(&value).map_err(|_| broken("the checkpoint"))?;
        Ok(Some(Checkpoint { segment, offset, next_batch }))
    }

    /// Makes the index durable up to a place in the log that sled was given, and only then notes that place.
    pub(super) fn advance(&self, checkpoint: Checkpoint) -> Result<(), StoreError> {
        self.flush()?;
        let Checkpoint { segment, offset, next_batch } = checkpoint;
        self.meta.insert("checkpoint", codec::encode(&(segment, offset, next_batch)))?;
        self.flush()
    }

    fn flush(&self) -> Result<(), StoreError> {
        // sled's flush only starts writing pages back; the sync is ours to do.
        self.db.flush()?;
        let synced = File::open(&self.db_file).and_then(|file| file.sync_data());
        synced.map_err(io_error("syncing", &self.db_file))
    }

    /// Makes changes to the tables, together. They are seen at once; sled is given them later.
    pub(super) fn write(&self, writes: Writes) {
        writes.make(&self.overlay);
    }

    /// Gives sled a batch that was taken from the overlay.
    pub(super) fn give(&self, batch: sled::Batch) -> Result<(), StoreError> {
        Ok(self.records.apply_batch(batch)?)
    }

    pub(super) fn stored(&self, id: &RecordId) -> Result<Option<Stored>, StoreError> {
        let Some(value) = self.rows.get(id.0)? else { return Ok(None) };
        decode_stored(&value).map(Some).ok_or_else(|| broken("a row does not decode"))
    }

    /// All rows after `after`, in id order.
    pub(super) fn all_rows(&self, after: Option<RecordId>) -> impl Iterator<Item = Result<Stored, StoreError>> {
        let from = after.map_or_else(Vec::new, |id| id.0.to_vec());
        let rows = self.rows.range(from..).filter(move |row| match (row, after) {
            (Ok((key, _)), Some(after)) => key[..] != after.0,
            _ => true,
        });
        rows.map(|row| decode_stored(&row?.1).ok_or_else(|| broken("a row does not decode")))
    }

    pub(super) fn named(&self, name: &Name) -> Result<Option<(bool, Timestamp)>, StoreError> {
        let Some(value) = self.named.get(name_key(name))? else { return Ok(None) };
        codec::decode(&value).map(Some).map_err(|_| broken("a tombstone does not decode"))
    }

    pub(super) fn mailbox(
        &self,
        address: &Address,
        after: Position,
        max: usize,
    ) -> Result<Vec<(Position, RecordId)>, StoreError> {
        let Some(next) = after.0.checked_add(1) else { return Ok(Vec::new()) };
        let (from, to) = (mailbox_key(address, Position(next)), mailbox_key(address, Position(u64::MAX)));
        let rows = self.mailbox.range(from..=to).take(max).map(|row| {
            let (key, value) = row?;
            let position = key.last_chunk::<8>().map(|position| Position(u64::from_be_bytes(*position)));
            position.zip(trailing_id(&value)).ok_or_else(|| broken("a mailbox entry does not decode"))
        });
        rows.collect()
    }

    pub(super) fn bucket(
        &self,
        set: SyncSet,
        (shard, bits): (Shard, ShardBits),
        hour: u32,
    ) -> Result<Vec<(Timestamp, RecordId)>, StoreError> {
        let below = 32 - u32::from(bits.get());
        let first = shard.0.checked_shl(below).unwrap_or(0);
        let last = first | u32::MAX.checked_shr(u32::from(bits.get())).unwrap_or(0);
        if bits.get() > 0 && shard.0 >= bits.shard_count() || bits.get() == 0 && shard.0 > 0 {
            return Ok(Vec::new());
        }
        let key = |prefix: u32, fill: u8| {
            let mut key = [fill; 49];
            key[0] = set_byte(Some(set));
            key[1..5].copy_from_slice(&hour.to_be_bytes());
            key[5..9].copy_from_slice(&prefix.to_be_bytes());
            key
        };
        let rows = self.by_hour.range(key(first, 0)..=key(last, 255)).map(|row| {
            let (key, _) = row?;
            let expires = key.get(9..17).and_then(|bytes| bytes.try_into().ok()).map(u64::from_be_bytes);
            expires.map(Timestamp).zip(trailing_id(&key)).ok_or_else(|| broken("an hour entry does not decode"))
        });
        let mut rows = rows.collect::<Result<Vec<_>, StoreError>>()?;
        rows.sort_unstable();
        Ok(rows)
    }

    pub(super) fn about(&self, id: &RecordId) -> Result<Vec<RecordId>, StoreError> {
        let address = self.stored(id)?.map(|stored| stored.row.address);
        let mut found = Vec::new();
        for kind in [griot_protocol::RecordKind::Ack, griot_protocol::RecordKind::Custody] {
            let mut prefix = id.0.to_vec();
            if let Some(address) = address {
                prefix.extend_from_slice(&address.0);
                prefix.push(kind.byte());
            }
            let mut count = 0;
            for key in self.about.scan_prefix(prefix).keys().take(ABOUT_SCANNED_MAX) {
                let key = key?;
                if count < ABOUT_MAX && key.get(64) == Some(&kind.byte()) {
                    found.extend(trailing_id(&key));
                    count += 1;
                }
            }
        }
        Ok(found)
    }

    pub(super) fn remember_peers(&self, peers: &[RememberedPeer]) -> Result<(), StoreError> {
        let mut batch = sled::Batch::default();
        for key in self.peers.iter().keys() {
            batch.remove(key?);
        }
        for (number, peer) in (0_u32..).zip(peers) {
            let value = codec::encode(&(peer.peer_id.clone(), peer.addresses.clone(), peer.seen_at));
            batch.insert(&number.to_be_bytes(), value);
        }
        Ok(self.peers.apply_batch(batch)?)
    }

    pub(super) fn remembered_peers(&self) -> Result<Vec<RememberedPeer>, StoreError> {
        let peers = self.peers.iter().values().map(|value| {
            let (peer_id, addresses, seen_at) =
                codec::decode(&value?).map_err(|_| broken("a remembered peer does not decode"))?;
            Ok(RememberedPeer { peer_id, addresses, seen_at })
        });
        peers.collect()
    }

    /// Counts the rows, and returns the furthest place of the log that they speak of.
    pub(super) fn load(&self, tables: &mut Tables) -> Result<Location, StoreError> {
        tables.floors = self.floors()?;
        let mut furthest = Location::default();
        for stored in self.all_rows(None) {
            let stored = stored?;
            furthest = furthest.max(stored.location);
            tables.count(&stored, true);
        }
        super::apply::load_locals(self, tables, &mut furthest)?;
        Ok(furthest)
    }
}

/// sled's threads may hold its lock a moment longer than its last handle lives. Nobody else can: the store's own lock
/// is taken. Without patience, closing a store and opening it again would look like a broken index.
fn open_when_free(config: &sled::Config) -> Result<Db, StoreError> {
    let mut tries = 0;
    loop {
        match config.open() {
            Err(sled::Error::Io(error)) if tries < LOCK_TRIES && error.to_string().contains("acquire lock") => {
                tries += 1;
                std::thread::sleep(LOCK_PAUSE);
            }
            opened => return Ok(opened?),
        }
    }
}

/// A snapshot that was being written when the process died makes sled 0.34 refuse to open.
fn remove_unfinished_snapshots(dir: &Path) -> io::Result<()> {
    let names = match std::fs::read_dir(dir) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        names => names?,
    };
    for name in names {
        let path = name?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        if name.starts_with("snap.") && name.ends_with(".generating") {
            std::fs::remove_file(&path)?;
        }
    }
    Ok(())
}
