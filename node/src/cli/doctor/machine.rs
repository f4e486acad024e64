//! What can be seen without a node: the clock, the data directory, its disk.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Write},
    os::unix::fs::{FileExt, PermissionsExt},
    path::Path,
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use super::Findings;
use crate::{
    config::{Config, socket_in},
    identity::Identity,
    metrics::disk_free_bytes,
};

/// No honest clock is before this: 2026-01-01. Machines without a battery start in 1970.
const CLOCK_MIN: u64 = 1_767_225_600;

/// The file with which the disk is tried. It is removed at once.
const PROBE_NAME: &str = "doctor-probe";

/// What one try writes: the smallest thing that a commit could be.
const PROBE_BYTES: usize = 4096;

/// Tries, of which the one in the middle counts: a single one may have waited for something else.
const PROBES: usize = 5;

/// A sync that takes longer is slow: every member waits for at least one with every message.
const SYNC_SLOW: Duration = Duration::from_millis(50);

/// A sync that takes longer makes a node that cannot be used by many.
const SYNC_BAD: Duration = Duration::from_millis(500);

pub(super) fn examine(found: &mut Findings, config: &Config) {
    clock(found);
    let dir = &config.data_dir;
    let Ok(metadata) = fs::metadata(dir) else {
        found.note("permissions", format_args!("{} does not exist yet", dir.display()), "the first start makes it");
        return;
    };
    if !metadata.is_dir() {
        found.problem("permissions", format_args!("{} is no directory", dir.display()), "choose another --data-dir");
        return;
    }
    permissions(found, dir, metadata.permissions().mode() & 0o777);
    space(found, dir, config.limits.disk_reserve_bytes);
    match probe(dir) {
        Ok(took) => sync_time(found, took),
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => found.problem(
            "permissions",
            format_args!("this user cannot write in {}", dir.display()),
            "run this, and the node, as the user whom the directory belongs to",
        ),
        Err(error) => found.problem(
            "disk",
            format_args!("writing in {} fails ({error})", dir.display()),
            "look at the system's log for what is wrong with the disk, and whether it is mounted read-only",
        ),
    }
}

fn clock(found: &mut Findings) {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
    if now < CLOCK_MIN {
        found.problem(
            "clock",
            "the clock is years behind",
            "set it (NTP), or every record seems to come from the future",
        );
    } else {
        found.good("clock", "the clock is plausible");
    }
}

fn permissions(found: &mut Findings, dir: &Path, mode: u32) {
    if mode & 0o022 != 0 {
        found.problem(
            "permissions",
            format_args!("others may write in {} (mode {mode:03o})", dir.display()),
            format_args!("chmod 700 {}", dir.display()),
        );
    } else {
        found.good("permissions", format_args!("{} (mode {mode:03o})", dir.display()));
    }
    match Identity::load(dir) {
        Ok(Some(identity)) => found.good("permissions", format_args!("peer id {}", identity.peer_id())),
        Ok(None) => found.note("permissions", "no identity yet", "the first start makes one"),
        Err(error) => found.problem("permissions", "the node's key cannot be used", error),
    }
    let socket = socket_in(dir);
    let Ok(metadata) = fs::metadata(&socket) else { return };
    let mode = metadata.permissions().mode() & 0o777;
    if mode & 0o077 == 0 {
        found.good("permissions", format_args!("{} (mode {mode:03o})", socket.display()));
    } else {
        found.problem(
            "permissions",
            format_args!("others may open {} (mode {mode:03o}): whoever does is the operator", socket.display()),
            format_args!("chmod 600 {}; a restart sets it too", socket.display()),
        );
    }
}

fn space(found: &mut Findings, dir: &Path, reserve: u64) {
    match disk_free_bytes(dir) {
        Ok(free) if free <= reserve => found.problem(
            "disk",
            format_args!(
                "{} MiB are free and {} MiB are kept in reserve: the node takes nothing",
                free >> 20,
                reserve >> 20
            ),
            "free space or lower limits.disk_reserve_bytes",
        ),
        Ok(free) => found.good("disk", format_args!("{} MiB of disk are free", free >> 20)),
        Err(error) => found.problem(
            "disk",
            format_args!("the disk cannot be asked for free space ({error})"),
            "look whether the data directory's file system is mounted",
        ),
    }
}

fn sync_time(found: &mut Findings, took: Duration) {
    let said = format!("one fdatasync takes {:.1} ms", took.as_secs_f64() * 1000.0);
    let cure = "put the data directory on a local SSD or NVMe; every message waits for one of these";
    if took > SYNC_BAD {
        found.problem("disk", said, cure);
    } else if took > SYNC_SLOW {
        found.note("disk", said, cure);
    } else {
        found.good("disk", said);
    }
}

/// How long overwritten bytes take to become durable in `dir`: the middle one of a few tries. Leaves nothing behind.
fn probe(dir: &Path) -> io::Result<Duration> {
    let path = dir.join(PROBE_NAME);
    // One that a killed doctor left behind.
    match fs::remove_file(&path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mut file = OpenOptions::new().write(true).create_new(true).open(&path)?;
    let took = time_syncs(&mut file);
    fs::remove_file(&path)?;
    let mut took = took?;
    took.sort_unstable();
    Ok(took.get(took.len() / 2).copied().unwrap_or_default())
}

fn time_syncs(file: &mut File) -> io::Result<Vec<Duration>> {
    // As in the log, the bytes are there before, so that only data is synced and no length.
    file.write_all(&[0; PROBE_BYTES])?;
    file.sync_all()?;
    let mut took = Vec::with_capacity(PROBES);
    for byte in (1..).take(PROBES) {
        let begun = Instant::now();
        file.write_all_at(&[byte; PROBE_BYTES], 0)?;
        file.sync_data()?;
        took.push(begun.elapsed());
    }
    Ok(took)
}

#[cfg(test)]
mod tests {
    use super::{super::Level, *};

    fn levels(found: &Findings, check: &str) -> Vec<Level> {
        found.0.iter().filter(|finding| finding.check == check).map(|finding| finding.level).collect()
    }

    #[test]
    fn the_disk_is_tried_and_left_as_it_was() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join(PROBE_NAME), "left by one that was killed").unwrap();
        assert!(probe(dir.path()).unwrap() > Duration::ZERO);
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0);
        assert!(probe(Path::new("/no/such/place")).is_err());
    }

    #[test]
    fn a_slow_disk_is_noted_and_a_very_slow_one_a_problem() {
        let level = |took| {
            let mut found = Findings::default();
            sync_time(&mut found, took);
            found.0[0].level
        };
        assert_eq!(level(Duration::from_micros(200)), Level::Ok);
        assert_eq!(level(SYNC_SLOW + Duration::from_millis(1)), Level::Note);
        assert_eq!(level(SYNC_BAD + Duration::from_millis(1)), Level::Problem);
    }

    #[test]
    fn what_others_may_open_or_write_is_a_problem() {
        let dir = tempfile::tempdir().unwrap();
        let socket = socket_in(dir.path());
        fs::write(&socket, "").unwrap();
        let examined = |dir_mode: u32, socket_mode: u32| {
            fs::set_permissions(&socket, fs::Permissions::from_mode(socket_mode)).unwrap();
            fs::set_permissions(dir.path(), fs::Permissions::from_mode(dir_mode)).unwrap();
            let mut found = Findings::default();
            permissions(&mut found, dir.path(), dir_mode);
            levels(&found, "permissions")
        };
        // The directory, the identity that is not there yet, the socket.
        assert_eq!(examined(0o700, 0o600), [Level::Ok, Level::Note, Level::Ok]);
        assert_eq!(examined(0o770, 0o600), [Level::Problem, Level::Note, Level::Ok]);
        assert_eq!(examined(0o755, 0o660), [Level::Ok, Level::Note, Level::Problem]);
    }

    #[test]
    fn less_than_the_reserve_is_a_problem() {
        let dir = tempfile::tempdir().unwrap();
        let mut found = Findings::default();
        space(&mut found, dir.path(), 0);
        space(&mut found, dir.path(), u64::MAX);
        assert_eq!(levels(&found, "disk"), [Level::Ok, Level::Problem]);
    }
}
