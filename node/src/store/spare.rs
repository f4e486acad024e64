//! Room that is kept for the worst day: a file of the data directory that holds nothing.
//!
//! sled writes when it is opened. Where the disk was full when it wrote, it must be opened again to be read reliably, and
//! a node that is started on a full disk must open it too. Then the file is given up, and the index opened in the room that
//! this makes; when there is room again the file is made again.

use std::{
    fs::{self, File},
    io,
    path::{Path, PathBuf},
};

use rustix::fs::FallocateFlags;

use super::giving::{INDEX_ROOM_BYTES, OPENING_ROOM_BYTES, Room};

/// What the file holds free: the room that opening the index needs, and half as much for what else is written at a
/// start. Not as much as giving it something needs: on what is left then nothing new is taken.
const SPARE_BYTES: u64 = OPENING_ROOM_BYTES * 3 / 2;

/// The file.
pub(super) struct Spare {
    path: PathBuf,
    room: Room,
}

impl Spare {
    pub(super) fn new(dir: &Path, room: Room) -> Self {
        Self { path: dir.join("spare"), room }
    }

    /// Makes the file where it is missing and there is room for it beside what the index needs. Where the file system
    /// allocates nothing in advance there is none: the disk is then as full as it is.
    pub(super) fn keep(&self) {
        let has_room = || self.room.free_bytes().is_ok_and(|free| free >= SPARE_BYTES + INDEX_ROOM_BYTES);
        if self.path.exists() || !has_room() {
            return;
        }
        let made = File::create(&self.path)
            .and_then(|file| rustix::fs::fallocate(file, FallocateFlags::empty(), 0, SPARE_BYTES).map_err(Into::into));
        if let Err(error) = made {
            let _ = fs::remove_file(&self.path);
            tracing::debug!(%error, "no room could be set aside");
        }
    }

    /// Gives the room up. Returns whether there was any.
    pub(super) fn give_up(&self) -> io::Result<bool> {
        match fs::remove_file(&self.path) {
            Ok(()) => Ok(true),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
            Err(error) => Err(error),
        }
    }
}
