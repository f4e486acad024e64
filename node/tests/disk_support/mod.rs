//! A disk that is small enough to be filled: a tmpfs, which answers `ENOSPC` to whoever writes on it when it is full.

#![allow(dead_code, clippy::unwrap_used, reason = "each test binary uses a part, and a test that fails may panic")]

use std::{
    fs::{self, File},
    io::{ErrorKind, Write},
    path::{Path, PathBuf},
    process::Command,
};

/// How the mount points' names begin; the process that made one, and its size, follow.
const NAME_PREFIX: &str = "griot-small-disk-";

/// What fills it.
const BALLAST: &str = "ballast";

/// Bytes of ballast written at a time; where no more of them fit, fewer are tried, down to one.
const PIECE_BYTES: usize = 1 << 20;

/// A mounted file system, unmounted when dropped.
pub struct SmallDisk(PathBuf);

impl SmallDisk {
    /// Mounts one with room for so many MiB. Where that cannot be, the test says why and ends; where nothing may be left
    /// out (`GRIOT_TEST_REQUIRE_ALL=1`), that is a failure.
    pub fn make(mib: u64) -> Option<Self> {
        sweep();
        let path = std::env::temp_dir().join(format!("{NAME_PREFIX}{}-{mib}", std::process::id()));
        fs::create_dir(&path).unwrap();
        let disk = Self(path);
        let options = format!("size={mib}m,mode=0700");
        let mounted = Command::new("mount").args(["-t", "tmpfs", "-o", &options, "griot-disk"]).arg(&disk.0).output();
        let why = match mounted {
            Ok(output) if output.status.success() => return Some(disk),
            Ok(output) => String::from_utf8_lossy(&output.stderr).trim().to_owned(),
            Err(error) => error.to_string(),
        };
        assert!(std::env::var_os("GRIOT_TEST_REQUIRE_ALL").is_none_or(|v| v != "1"), "required, and not here: {why}");
        println!("SKIPPED: mounting a tmpfs: {why}");
        None
    }

    pub fn path(&self) -> &Path {
        &self.0
    }

    /// Fills it to the last byte.
    pub fn fill(&self) {
        let mut file = match File::options().create(true).append(true).open(self.0.join(BALLAST)) {
            // Not even a name fits any more: full it is.
            Err(error) if error.kind() == ErrorKind::StorageFull => return,
            file => file.unwrap(),
        };
        let (piece, mut bytes) = (vec![0; PIECE_BYTES], PIECE_BYTES);
        while bytes > 0 {
            match file.write_all(&piece[..bytes]) {
                Err(error) if error.kind() == ErrorKind::StorageFull => bytes /= 2,
                written => written.unwrap(),
            }
        }
    }

    /// Removes what filled it.
    pub fn free(&self) {
        fs::remove_file(self.0.join(BALLAST)).unwrap();
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        remove(&self.0);
    }
}

fn remove(path: &Path) {
    // Lazily: a process that is about to die may still have a file open there.
    let _ = Command::new("umount").arg("--lazy").arg(path).output();
    let _ = fs::remove_dir(path);
}

/// Removes disks whose makers were killed.
fn sweep() {
    for entry in fs::read_dir(std::env::temp_dir()).unwrap().filter_map(Result::ok) {
        let name = entry.file_name().to_string_lossy().into_owned();
        let maker = name.strip_prefix(NAME_PREFIX).and_then(|rest| rest.split('-').next());
        if maker.is_some_and(|maker| !Path::new("/proc").join(maker).exists()) {
            remove(&entry.path());
        }
    }
}
