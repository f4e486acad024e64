//! A file system of a node's own, small enough to be filled.
//!
//! It is a tmpfs: full it behaves as a full disk does (`ENOSPC` to whoever writes), and what is on it outlives the
//! processes that use it, kill -9 included, though not this machine's power. A mount outlives the program that made it, too,
//! so its folder is named after its maker, and whoever makes one first removes those whose maker is gone.

use std::{
    fs::File,
    io::{ErrorKind, Write as _},
    path::{Path, PathBuf},
    process::Command,
    sync::atomic::{AtomicU32, Ordering},
};

use crate::live::{LiveError, owner::Owner};

/// How the folders' names begin.
const NAME_PREFIX: &str = "griot-disk-";

/// Room on such a disk: two segments of a node's log (64 MiB each) and its index, and not three.
const BYTES: u64 = 176 << 20;

/// What fills it.
const BALLAST: &str = "ballast";

/// Bytes of ballast written at a time; where no more of them fit, fewer are tried, down to one.
const PIECE_BYTES: usize = 1 << 20;

/// A mounted file system, unmounted when dropped.
#[derive(Debug)]
pub struct SmallDisk {
    path: PathBuf,
}

impl SmallDisk {
    /// Makes one.
    ///
    /// # Errors
    /// The system refused: not root, no `mount`. The reason is in the message.
    pub fn make() -> Result<Self, LiveError> {
        static SERIAL: AtomicU32 = AtomicU32::new(0);
        sweep();
        let owner = Owner::this()?;
        let serial = SERIAL.fetch_add(1, Ordering::Relaxed);
        let path = std::env::temp_dir().join(owner.name(NAME_PREFIX, &format!("{serial}")));
        std::fs::create_dir(&path).map_err(LiveError::io("making a mount point"))?;
        // From here on, whatever was made is removed again.
        let disk = Self { path };
        let options = format!("size={BYTES},mode=0700");
        run("mount", &["-t", "tmpfs", "-o", &options, "griot-disk"], &disk.path)?;
        Ok(disk)
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Fills it to the last byte.
    ///
    /// # Errors
    /// Something else than a full disk ended the writing.
    pub fn fill(&self) -> Result<(), LiveError> {
        let path = self.path.join(BALLAST);
        let mut options = File::options();
        let file = options.create(true).append(true).open(path);
        // Not even a name fits any more: full it is.
        let mut file = match file {
            Err(error) if error.kind() == ErrorKind::StorageFull => return Ok(()),
            other => other.map_err(LiveError::io("opening the ballast"))?,
        };
        let piece = vec![0; PIECE_BYTES];
        let mut bytes = PIECE_BYTES;
        while bytes > 0 {
            match file.write_all(&piece[..bytes]) {
                Ok(()) => {}
                Err(error) if error.kind() == ErrorKind::StorageFull => bytes /= 2,
                Err(error) => return Err(LiveError::io("filling a disk")(error)),
            }
        }
        Ok(())
    }

    /// Empties it of what filled it.
    ///
    /// # Errors
    /// The ballast cannot be removed.
    pub fn free(&self) -> Result<(), LiveError> {
        match std::fs::remove_file(self.path.join(BALLAST)) {
            Err(error) if error.kind() != ErrorKind::NotFound => Err(LiveError::io("removing the ballast")(error)),
            _ => Ok(()),
        }
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        remove(&self.path);
    }
}

fn remove(path: &Path) {
    // Lazily: a process that is about to die may still have a file open there.
    let _ = run("umount", &["--lazy"], path);
    // Only the empty mount point: what could not be unmounted stays, and is swept another day.
    let _ = std::fs::remove_dir(path);
}

/// Removes disks whose maker is gone.
fn sweep() {
    let Ok(entries) = std::fs::read_dir(std::env::temp_dir()) else { return };
    for entry in entries.filter_map(Result::ok) {
        let name = entry.file_name();
        if Owner::of(NAME_PREFIX, &name.to_string_lossy(), 1).is_some_and(|owner| !owner.is_alive()) {
            remove(&entry.path());
        }
    }
}

fn run(program: &str, args: &[&str], path: &Path) -> Result<(), LiveError> {
    let output = Command::new(program).args(args).arg(path).output();
    let output = output.map_err(LiveError::io(format!("running {program}")))?;
    if output.status.success() {
        return Ok(());
    }
    let why = String::from_utf8_lossy(&output.stderr);
    Err(LiveError::Missing(format!("{program} {}: {}", path.display(), why.trim())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_disk_is_filled_and_freed_and_goes() {
        let disk = match SmallDisk::make() {
            Ok(disk) => disk,
            Err(error) => return crate::live::skip(&format!("mounting a tmpfs ({error})")).unwrap(),
        };
        let file = disk.path().join("file");
        disk.fill().unwrap();
        assert_eq!(std::fs::write(&file, [7; 10_000]).unwrap_err().kind(), ErrorKind::StorageFull);
        // Filling what is full is no error.
        disk.fill().unwrap();
        disk.free().unwrap();
        disk.free().unwrap();
        std::fs::write(&file, [7; 10_000]).unwrap();
        let path = disk.path().to_owned();
        drop(disk);
        assert!(!path.exists());
    }
}
