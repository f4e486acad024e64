//! Opening a store: take the lock, check the version, open or make the index, replay the log.

use std::{
    fs,
    os::unix::fs::{DirBuilderExt, PermissionsExt},
    panic::{AssertUnwindSafe, catch_unwind},
    path::{Path, PathBuf},
    sync::Arc,
};

use griot_protocol::entry::Marker;

use super::{
    Position, StoreError,
    apply::{Changes, sweep},
    disk::{DiskStore, OpenReport, Options, Parts},
    giving::{INDEX_WAITS, OPENING_ROOM_BYTES, OVERDUE_FACTOR, Room},
    index::{Checkpoint, Index},
    io::{Disk, RealDisk},
    local::Fact,
    log::{HEADER_BYTES, Log, Tail, io_error},
    recovery::{Found, recover},
    spare::Spare,
    tables::Tables,
};

/// What the schema file says.
const SCHEMA: &str = "griot store 1\n";

/// Index directories that were moved aside are numbered up to here.
const BROKEN_MAX: u32 = 1000;

/// What a log is told by that is not there although there is an index of it.
const LOG_GONE: &str = "the record log was gone, and another was begun. Neighbours are asked for its records; members, \
                        registrations and the outbox come back only from a backup";

/// Rows that are dropped at once in a replay, and after it.
const SWEEP_ROWS: usize = 1024;

/// An index, its sums, and where to read the log on from.
struct Opened {
    index: Index,
    tables: Tables,
    from: Checkpoint,
    epoch: u64,
    /// The furthest place of the log that the index speaks of.
    furthest: (u32, u64),
}

impl Opened {
    fn read(self, tail: Tail, report: OpenReport) -> Read {
        let Self { index, tables, epoch, .. } = self;
        Read { index, tables, tail, epoch, report }
    }
}

/// An index that agrees with the log, and what reading both has shown.
pub(super) struct Read {
    pub index: Index,
    pub tables: Tables,
    /// Where the log goes on.
    pub tail: Tail,
    pub epoch: u64,
    pub report: OpenReport,
}

impl DiskStore {
    /// Opens the store in `dir`, or begins one.
    ///
    /// # Errors
    /// [`StoreError::Locked`] where another process has it open, [`StoreError::Schema`] where a newer version wrote it,
    /// or what the file system said.
    pub fn open(dir: &Path, options: &Options) -> Result<(Self, OpenReport), StoreError> {
        Self::open_on(Arc::new(RealDisk), dir, options)
    }

    pub(super) fn open_on(
        disk: Arc<dyn Disk>,
        dir: &Path,
        options: &Options,
    ) -> Result<(Self, OpenReport), StoreError> {
        let (log_dir, quarantine) = (dir.join("log"), dir.join("quarantine"));
        let above = first_existing(dir);
        for dir in [dir, &log_dir, &quarantine] {
            make_private(dir).map_err(io_error("making", dir))?;
        }
        let lock = take_lock(dir)?;
        check_schema(dir)?;
        let room = Room { disk: Arc::clone(&disk), dir: dir.to_owned() };
        let spare = Spare::new(dir, room.clone());
        check_room(&room, &spare)?;
        let sizes = (options.segment_bytes, options.reserve_bytes);
        let log = Log::open(disk, log_dir, Marker(random()?), sizes, options.observer.clone())?;
        let is_new = log.segments().is_empty();
        if is_new {
            log.create_segment(0)?;
        }
        sync_names(dir, &above, &log)?;
        let had_index = dir.join("index").exists();
        let read = read_index(dir, &log, options)?;
        let mut report = read.report.clone();
        if is_new {
            report.rebuilt = had_index.then(|| LOG_GONE.to_owned());
        }
        let store = Self::assemble(Parts { dir: dir.to_owned(), spare, log, read, lock, quarantine }, options)?;
        match store.advance_checkpoint() {
            // It was opened in the last of the room.
            Ok(_) | Err(StoreError::Full) => Ok((store, report)),
            Err(error) => Err(error),
        }
    }
}

/// sled writes when it is opened, and fails where it cannot; an index that was moved aside for that would be made again, in
/// more room still.
fn check_room(room: &Room, spare: &Spare) -> Result<(), StoreError> {
    if room.is_there_to_open()? {
        spare.keep();
        return Ok(());
    }
    if spare.give_up().map_err(io_error("giving up room in", &room.dir))? && room.is_there_to_open()? {
        return Ok(());
    }
    Err(StoreError::NoRoomToOpen { dir: room.dir.clone(), bytes: OPENING_ROOM_BYTES })
}

/// Opens the index in the data directory `dir` and brings it up to date from the log; where that cannot be, makes another.
///
/// # Errors
/// [`StoreError::Full`] where the disk is, which is no reason to make another.
pub(super) fn read_index(dir: &Path, log: &Log, options: &Options) -> Result<Read, StoreError> {
    let (index_dir, quarantine) = (dir.join("index"), dir.join("quarantine"));
    let mut report = OpenReport::default();
    let why = match open_index(&index_dir, log, options)? {
        Ok(opened) => match replay(opened, log, &quarantine) {
            Ok((opened, tail, found)) if opened.furthest <= (tail.segment, tail.offset) => {
                return Ok(opened.read(tail, found));
            }
            Ok((_, _, found)) => {
                report = found;
                "it knows more than the log".to_owned()
            }
            Err(StoreError::Full) => return Err(StoreError::Full),
            Err(error) => error.to_string(),
        },
        Err(why) => why,
    };
    let fresh = rebuild_index(&index_dir, log, options)?;
    let (fresh, tail, found) = replay(fresh, log, &quarantine).inspect_err(|error| {
        if matches!(error, StoreError::Full) {
            // Half an index would be moved aside at the next try, and take room for nothing.
            let _ = fs::remove_dir_all(&index_dir);
        }
    })?;
    // What a first reading has cut or set aside is reported too.
    report.torn_bytes += found.torn_bytes;
    report.quarantined.extend(found.quarantined);
    report.quarantined.dedup();
    (report.replayed, report.unknown) = (found.replayed, found.unknown);
    report.rebuilt = Some(why);
    Ok(fresh.read(tail, report))
}

fn make_private(dir: &Path) -> std::io::Result<()> {
    fs::DirBuilder::new().recursive(true).mode(0o700).create(dir)?;
    fs::set_permissions(dir, fs::Permissions::from_mode(0o700))
}

/// The nearest directory above `dir` that is there already.
fn first_existing(dir: &Path) -> PathBuf {
    let above = dir.ancestors().skip(1).find(|above| above.is_dir());
    above.filter(|above| !above.as_os_str().is_empty()).unwrap_or(Path::new(".")).to_owned()
}

/// Makes durable that there is a store here: the names of its segments and directories, and its own. At every start,
/// because whoever made them may have been killed before it came to this.
fn sync_names(dir: &Path, above: &Path, log: &Log) -> Result<(), StoreError> {
    log.disk.sync_dir(&log.dir).map_err(io_error("syncing", &log.dir))?;
    let sync = |dir: &Path| fs::File::open(dir).and_then(|dir| dir.sync_all()).map_err(io_error("syncing", dir));
    sync(dir)?;
    for parent in dir.ancestors().skip(1).take_while(|parent| *parent != above && !parent.as_os_str().is_empty()) {
        sync(parent)?;
    }
    match fs::File::open(above).and_then(|above| above.sync_all()) {
        // A directory that this user may not read holds one that was there long before.
        Err(error) if error.kind() == std::io::ErrorKind::PermissionDenied => Ok(()),
        synced => synced.map_err(io_error("syncing", above)),
    }
}

fn take_lock(dir: &Path) -> Result<fs::File, StoreError> {
    let path = dir.join("lock");
    let file = fs::OpenOptions::new().create(true).truncate(false).write(true).open(&path);
    let file = file.map_err(io_error("opening", &path))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(fs::TryLockError::WouldBlock) => Err(StoreError::Locked(format!(
            "another process is using {}: stop it, or choose another directory with --data-dir",
            dir.display()
        ))),
        Err(fs::TryLockError::Error(error)) => Err(io_error("locking", &path)(error)),
    }
}

fn check_schema(dir: &Path) -> Result<(), StoreError> {
    let path = dir.join("schema");
    match fs::read_to_string(&path) {
        Ok(found) if found == SCHEMA => Ok(()),
        Ok(found) => Err(StoreError::Schema(format!(
            "{} was written by another version ({}): use that version, or another directory",
            dir.display(),
            found.trim()
        ))),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            // Renamed into place, so that a crash leaves no half-written version behind.
            let temporary = path.with_extension("tmp");
            let written = fs::write(&temporary, SCHEMA)
                .and_then(|()| fs::File::open(&temporary)?.sync_all())
                .and_then(|()| fs::rename(&temporary, &path));
            written.map_err(io_error("writing", &path))
        }
        Err(error) => Err(io_error("reading", &path)(error)),
    }
}

fn random() -> Result<[u8; 8], StoreError> {
    let mut bytes = [0; 8];
    getrandom::fill(&mut bytes).map_err(|error| StoreError::Io {
        what: "reading randomness".into(),
        source: std::io::Error::other(error.to_string()),
    })?;
    // A zero first byte would make an entry look like the end of the log.
    bytes[0] |= 1;
    Ok(bytes)
}

/// Opens the index for this log, or says why there is none. sled panics on some kinds of damage.
fn open_index(dir: &Path, log: &Log, options: &Options) -> Result<Result<Opened, String>, StoreError> {
    if !dir.exists() {
        return Ok(Err("it is missing".to_owned()));
    }
    let open = || -> Result<Opened, StoreError> {
        let index = Index::open(dir, options.cache_bytes)?;
        let mut tables = Tables::new(options.bits);
        let missing = || super::index::broken("it does not belong to this log");
        let epoch = index.epoch(&log.marker.0)?.ok_or_else(missing)?;
        let from = index.checkpoint()?.ok_or_else(missing)?;
        log.segment(from.segment).filter(|segment| from.offset <= segment.bytes).ok_or_else(missing)?;
        let furthest = index.load(&mut tables)?;
        if let Some(number) = tables.live_segments().find(|number| log.segment(*number).is_none()) {
            return Err(super::index::broken(&format!("segment {number} of the log, of which it speaks, is gone")));
        }
        let furthest = (furthest.segment, u64::from(furthest.offset) + u64::from(furthest.bytes));
        Ok(Opened { index, tables, from, epoch, furthest })
    };
    match catch_unwind(AssertUnwindSafe(open)) {
        Ok(Err(StoreError::Full)) => Err(StoreError::Full),
        Ok(opened) => Ok(opened.map_err(|error| error.to_string())),
        Err(_) => Ok(Err("sled panicked".to_owned())),
    }
}

/// Moves the index aside, if there is one, and begins another.
fn rebuild_index(dir: &Path, log: &Log, options: &Options) -> Result<Opened, StoreError> {
    if dir.exists() {
        let aside = (1..=BROKEN_MAX).map(|number| dir.with_file_name(format!("index.broken-{number}")));
        let aside: Option<PathBuf> = aside.into_iter().find(|aside| !aside.exists());
        let aside = aside.ok_or_else(|| {
            StoreError::Schema(format!("too many index.broken-* beside {}: remove some", dir.display()))
        })?;
        fs::rename(dir, &aside).map_err(io_error("moving aside", dir))?;
    }
    make_private(dir).map_err(io_error("making", dir))?;
    let index = Index::open(dir, options.cache_bytes)?;
    let epoch = u64::from_le_bytes(random()?);
    index.begin(&log.marker.0, epoch)?;
    let first = log.segments().first().map_or(1, |(number, _)| *number);
    let from = Checkpoint { segment: first, offset: HEADER_BYTES, next_batch: 1 };
    Ok(Opened { index, tables: Tables::new(options.bits), from, epoch, furthest: (0, 0) })
}

fn sweep_all(index: &Index, tables: &mut Tables, log: &Log) -> Result<(), StoreError> {
    while sweep(index, tables, log, SWEEP_ROWS)? == SWEEP_ROWS {}
    Ok(())
}

/// Reads the log from the index's checkpoint on.
fn replay(mut opened: Opened, log: &Log, quarantine: &Path) -> Result<(Opened, Tail, OpenReport), StoreError> {
    let Checkpoint { segment, offset, next_batch } = opened.from;
    let mut unknown = 0;
    let room = Room { disk: Arc::clone(&log.disk), dir: log.dir.clone() };
    let Opened { index, tables, .. } = &mut opened;
    let recovered = recover(log, quarantine, (segment, offset, next_batch), &mut |found: Vec<Found>| {
        let mut changes = Changes::new(index, tables);
        for Found { place, location, bytes } in found {
            let Some(fact) = Fact::decode(bytes) else {
                unknown += 1;
                continue;
            };
            // What had been dropped when hours were opened again must not come back by a replay. Of what the index knows
            // already of the time after, the replay brings back what this drops.
            if changes.goes_back(&fact) {
                changes.write()?;
                sweep_all(index, tables, log)?;
                changes = Changes::new(index, tables);
            }
            changes.apply(&fact, Position(place.0), location)?;
        }
        changes.write()?;
        if index.overlay.len() >= INDEX_WAITS {
            if !room.is_there()? {
                // As much of it may wait in memory as while the store is in use.
                let is_overdue = index.overlay.len() >= INDEX_WAITS.saturating_mul(OVERDUE_FACTOR);
                return if is_overdue { Err(StoreError::Full) } else { Ok(()) };
            }
            // Nobody else reads yet.
            for batch in index.overlay.take().batches() {
                index.give(batch)?;
            }
            index.overlay.given();
        }
        Ok(())
    })?;
    sweep_all(index, tables, log)?;
    let report = OpenReport {
        replayed: recovered.replayed,
        torn_bytes: recovered.torn_bytes,
        quarantined: recovered.quarantined,
        unknown,
        rebuilt: None,
    };
    Ok((opened, recovered.tail, report))
}
