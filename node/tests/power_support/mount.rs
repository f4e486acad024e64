//! The disk of [`super::image`] as a real directory, through FUSE.
//!
//! The kernel passes every call on a file in this directory to [`CutDisk`], so that unchanged programs run on it. After
//! [`CutDisk::cut_after`] so many changes the power fails: that change may reach the disk in part, and every call from
//! then on is answered with EIO.
//!
//! Writes arrive here at once: the kernel keeps no writes of its own back, because this disk does not ask it to.
//! `sync_file_range` never arrives, and so makes nothing durable, which POSIX does not promise either. Locks and
//! connections to sockets are the kernel's own business.

use std::{
    collections::BTreeMap,
    ffi::{OsStr, OsString},
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard},
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use fuser::{
    BackgroundSession, BsdFileFlags, Config, Errno, FileAttr, FileHandle, FileType, Filesystem, FopenFlags, Generation,
    INodeNo, LockOwner, MountOption, OpenFlags, RenameFlags, ReplyAttr, ReplyCreate, ReplyData, ReplyDirectory,
    ReplyEmpty, ReplyEntry, ReplyOpen, ReplyStatfs, ReplyWrite, Request, TimeOrNow, WriteFlags,
};

use super::image::{Image, Kind, ROOT};

/// The kernel may remember names and sizes: nobody but it changes them.
const REMEMBERED: Duration = Duration::from_secs(3600);

/// What the disk says is free: enough for every reserve.
const FREE_BLOCKS: u64 = 1 << 24;
const BLOCK_BYTES: u32 = 4096;

/// How long unmounting waits for the last file to be closed: sled's threads outlive its handles by a moment.
const UNMOUNT_PATIENCE: Duration = Duration::from_secs(30);

/// `S_IFMT` and the types of file that are made here.
const TYPE_MASK: u32 = 0o170_000;
const TYPE_FILE: u32 = 0o100_000;
const TYPE_SOCKET: u32 = 0o140_000;

/// `RENAME_NOREPLACE` and others that nothing here asks for.
const PLAIN_RENAME: RenameFlags = RenameFlags::empty();

#[derive(Default)]
struct State {
    image: Image,
    /// Changes and syncs that were asked for.
    asked: u64,
    /// After how many of them the power fails.
    lives: Option<u64>,
    lost: bool,
    /// What each open directory lists.
    listings: BTreeMap<u64, Vec<(u64, Kind, OsString)>>,
    next_handle: u64,
}

impl State {
    fn powered(&self) -> Result<(), Errno> {
        if self.lost { Err(Errno::EIO) } else { Ok(()) }
    }

    /// Counts a change or a sync, and says whether the power lasts beyond it.
    fn ask(&mut self) -> Result<(), Errno> {
        self.powered()?;
        self.lost = self.lives.is_some_and(|lives| self.asked >= lives);
        self.asked += 1;
        self.powered()
    }

    fn attr(&self, number: u64) -> Result<FileAttr, Errno> {
        self.powered()?;
        let kind = self.image.kind(number).ok_or(Errno::ENOENT)?;
        let size = self.image.size(number);
        Ok(FileAttr {
            ino: INodeNo(number),
            size,
            blocks: size.div_ceil(512),
            atime: UNIX_EPOCH,
            mtime: UNIX_EPOCH,
            ctime: UNIX_EPOCH,
            crtime: UNIX_EPOCH,
            kind: file_type(kind),
            perm: self.image.mode(number) as u16,
            nlink: if kind == Kind::Directory { 2 } else { 1 },
            uid: 0,
            gid: 0,
            rdev: 0,
            blksize: BLOCK_BYTES,
            flags: 0,
        })
    }

    /// Makes a change. The one under which the power fails may still reach the disk; later ones do not.
    fn change(&mut self, change: impl FnOnce(&mut Image)) -> Result<(), Errno> {
        self.powered()?;
        let made = self.ask();
        change(&mut self.image);
        made
    }

    fn name(&mut self, parent: u64, name: &OsStr, number: u64) -> Result<FileAttr, Errno> {
        if self.image.lookup(parent, name).is_some() {
            return Err(Errno::EEXIST);
        }
        self.change(|image| image.rename(parent, vec![(name.to_owned(), Some(number))]))?;
        self.attr(number)
    }

    fn make(&mut self, parent: u64, name: &OsStr, kind: Kind, mode: u32) -> Result<FileAttr, Errno> {
        let number = self.image.make(kind, mode);
        self.name(parent, name, number)
    }

    fn remove(&mut self, parent: u64, name: &OsStr) -> Result<(), Errno> {
        let number = self.image.lookup(parent, name).ok_or(Errno::ENOENT)?;
        if self.image.names(number).is_some_and(|names| !names.is_empty()) {
            return Err(Errno::ENOTEMPTY);
        }
        self.change(|image| image.rename(parent, vec![(name.to_owned(), None)]))
    }

    fn sync(&mut self, number: u64) -> Result<(), Errno> {
        self.ask()?;
        self.image.sync(number);
        Ok(())
    }
}

fn file_type(kind: Kind) -> FileType {
    match kind {
        Kind::File => FileType::RegularFile,
        Kind::Directory => FileType::Directory,
        Kind::Socket => FileType::Socket,
    }
}

#[derive(Clone, Default)]
struct Shared(Arc<Mutex<State>>);

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap()
    }
}

/// A disk that is mounted, until it is dropped.
pub struct CutDisk {
    shared: Shared,
    at: PathBuf,
    session: Option<BackgroundSession>,
}

impl CutDisk {
    /// Mounts what is on a disk at an empty directory.
    pub fn mount(image: Image, at: &Path) -> std::io::Result<Self> {
        let shared = Shared::default();
        shared.lock().image = image;
        let mut config = Config::default();
        config.mount_options = vec![MountOption::FSName("griot-power".to_owned()), MountOption::NoAtime];
        let session = fuser::spawn_mount(shared.clone(), at, &config)?;
        Ok(Self { shared, at: at.to_owned(), session: Some(session) })
    }

    /// Lets the power fail after `changes` more changes or syncs.
    pub fn cut_after(&self, changes: u64) {
        let mut state = self.shared.lock();
        state.lives = Some(state.asked + changes);
    }

    /// Lets the power fail now.
    pub fn cut(&self) {
        self.shared.lock().lost = true;
    }

    /// Gives the power back with nothing lost, as if only the process had died that was told of the failure.
    pub fn restore(&mut self) {
        let mut state = self.shared.lock();
        (state.lost, state.lives) = (false, None);
    }

    pub fn is_cut(&self) -> bool {
        self.shared.lock().lost
    }

    /// Changes and syncs so far.
    pub fn asked(&self) -> u64 {
        self.shared.lock().asked
    }

    /// Takes the disk out, as it is found after a power cut. Whoever had files open must be gone.
    pub fn after_power_cut(mut self, seed: u64) -> Image {
        self.cut();
        let deadline = Instant::now() + UNMOUNT_PATIENCE;
        while let Err(error) = rustix::mount::unmount(&self.at, rustix::mount::UnmountFlags::empty()) {
            assert!(Instant::now() < deadline, "{} is still in use: {error}", self.at.display());
            std::thread::sleep(Duration::from_millis(5));
        }
        // Its thread ends with the last mount. It is not waited for: whoever made a mount namespace meanwhile has a copy.
        drop(self.session.take());
        std::mem::take(&mut self.shared.lock().image).after_power_cut(seed)
    }
}

impl Drop for CutDisk {
    fn drop(&mut self) {
        // Where a test has failed there may be open files: the mount goes as soon as they do.
        if self.session.is_some() {
            self.cut();
            let _ = rustix::mount::unmount(&self.at, rustix::mount::UnmountFlags::DETACH);
        }
    }
}

impl Filesystem for Shared {
    fn lookup(&self, _: &Request, parent: INodeNo, name: &OsStr, reply: ReplyEntry) {
        let state = self.lock();
        let found = state.image.lookup(parent.0, name).ok_or(Errno::ENOENT);
        match state.powered().and(found).and_then(|number| state.attr(number)) {
            Ok(attr) => reply.entry(&REMEMBERED, &attr, Generation(0)),
            Err(error) => reply.error(error),
        }
    }

    fn getattr(&self, _: &Request, number: INodeNo, _: Option<FileHandle>, reply: ReplyAttr) {
        match self.lock().attr(number.0) {
            Ok(attr) => reply.attr(&REMEMBERED, &attr),
            Err(error) => reply.error(error),
        }
    }

    fn setattr(
        &self,
        _: &Request,
        number: INodeNo,
        mode: Option<u32>,
        _uid: Option<u32>,
        _gid: Option<u32>,
        size: Option<u64>,
        _atime: Option<TimeOrNow>,
        _mtime: Option<TimeOrNow>,
        _ctime: Option<SystemTime>,
        _: Option<FileHandle>,
        _crtime: Option<SystemTime>,
        _chgtime: Option<SystemTime>,
        _bkuptime: Option<SystemTime>,
        _: Option<BsdFileFlags>,
        reply: ReplyAttr,
    ) {
        let mut state = self.lock();
        if let Some(mode) = mode.filter(|_| state.powered().is_ok()) {
            state.image.set_mode(number.0, mode);
        }
        let resized = size.map_or(Ok(()), |size| state.change(|image| image.resize(number.0, size)));
        match resized.and_then(|()| state.attr(number.0)) {
            Ok(attr) => reply.attr(&REMEMBERED, &attr),
            Err(error) => reply.error(error),
        }
    }

    fn mknod(&self, _: &Request, parent: INodeNo, name: &OsStr, mode: u32, umask: u32, _: u32, reply: ReplyEntry) {
        let kind = match mode & TYPE_MASK {
            TYPE_FILE => Kind::File,
            TYPE_SOCKET => Kind::Socket,
            _ => return reply.error(Errno::EPERM),
        };
        match self.lock().make(parent.0, name, kind, mode & !umask) {
            Ok(attr) => reply.entry(&REMEMBERED, &attr, Generation(0)),
            Err(error) => reply.error(error),
        }
    }

    fn mkdir(&self, _: &Request, parent: INodeNo, name: &OsStr, mode: u32, umask: u32, reply: ReplyEntry) {
        match self.lock().make(parent.0, name, Kind::Directory, mode & !umask) {
            Ok(attr) => reply.entry(&REMEMBERED, &attr, Generation(0)),
            Err(error) => reply.error(error),
        }
    }

    fn create(&self, _: &Request, parent: INodeNo, name: &OsStr, mode: u32, umask: u32, _: i32, reply: ReplyCreate) {
        match self.lock().make(parent.0, name, Kind::File, mode & !umask) {
            Ok(attr) => reply.created(&REMEMBERED, &attr, Generation(0), FileHandle(0), FopenFlags::empty()),
            Err(error) => reply.error(error),
        }
    }

    fn unlink(&self, _: &Request, parent: INodeNo, name: &OsStr, reply: ReplyEmpty) {
        answer(self.lock().remove(parent.0, name), reply);
    }

    fn rmdir(&self, _: &Request, parent: INodeNo, name: &OsStr, reply: ReplyEmpty) {
        answer(self.lock().remove(parent.0, name), reply);
    }

    fn rename(
        &self,
        _: &Request,
        parent: INodeNo,
        name: &OsStr,
        new_parent: INodeNo,
        new_name: &OsStr,
        flags: RenameFlags,
        reply: ReplyEmpty,
    ) {
        // The store moves nothing from one directory to another; a disk on which that is two changes would be needed.
        if parent != new_parent || flags != PLAIN_RENAME {
            return reply.error(Errno::EXDEV);
        }
        let mut state = self.lock();
        let Some(number) = state.image.lookup(parent.0, name) else { return reply.error(Errno::ENOENT) };
        let renaming = vec![(name.to_owned(), None), (new_name.to_owned(), Some(number))];
        answer(state.change(|image| image.rename(parent.0, renaming)), reply);
    }

    fn link(&self, _: &Request, number: INodeNo, parent: INodeNo, name: &OsStr, reply: ReplyEntry) {
        match self.lock().name(parent.0, name, number.0) {
            Ok(attr) => reply.entry(&REMEMBERED, &attr, Generation(0)),
            Err(error) => reply.error(error),
        }
    }

    fn read(
        &self,
        _: &Request,
        number: INodeNo,
        _: FileHandle,
        offset: u64,
        size: u32,
        _: OpenFlags,
        _: Option<LockOwner>,
        reply: ReplyData,
    ) {
        let state = self.lock();
        match state.powered() {
            Ok(()) => reply.data(&state.image.read(number.0, offset, u64::from(size))),
            Err(error) => reply.error(error),
        }
    }

    fn write(
        &self,
        _: &Request,
        number: INodeNo,
        _: FileHandle,
        offset: u64,
        data: &[u8],
        _: WriteFlags,
        _: OpenFlags,
        _: Option<LockOwner>,
        reply: ReplyWrite,
    ) {
        match self.lock().change(|image| image.write(number.0, offset, data)) {
            Ok(()) => reply.written(data.len() as u32),
            Err(error) => reply.error(error),
        }
    }

    fn fsync(&self, _: &Request, number: INodeNo, _: FileHandle, _: bool, reply: ReplyEmpty) {
        answer(self.lock().sync(number.0), reply);
    }

    fn fsyncdir(&self, _: &Request, number: INodeNo, _: FileHandle, _: bool, reply: ReplyEmpty) {
        answer(self.lock().sync(number.0), reply);
    }

    /// The kernel does not ask again: closing a file writes nothing here. (A process that dies with files open on its own
    /// disk would otherwise wait for itself.)
    fn flush(&self, _: &Request, _: INodeNo, _: FileHandle, _: LockOwner, reply: ReplyEmpty) {
        reply.error(Errno::ENOSYS);
    }

    fn opendir(&self, _: &Request, number: INodeNo, _: OpenFlags, reply: ReplyOpen) {
        let mut state = self.lock();
        if let Err(error) = state.powered() {
            return reply.error(error);
        }
        let own = [(number.0, Kind::Directory, ".".into()), (ROOT, Kind::Directory, "..".into())];
        let names = state.image.names(number.0).into_iter().flatten();
        let listed = names.filter_map(|(name, number)| Some((*number, state.image.kind(*number)?, name.clone())));
        let listing = own.into_iter().chain(listed).collect();
        let handle = state.next_handle;
        state.next_handle += 1;
        state.listings.insert(handle, listing);
        reply.opened(FileHandle(handle), FopenFlags::empty());
    }

    fn readdir(&self, _: &Request, _: INodeNo, handle: FileHandle, offset: u64, mut reply: ReplyDirectory) {
        let state = self.lock();
        let listing = state.listings.get(&handle.0).into_iter().flatten();
        for (index, (number, kind, name)) in (1..).zip(listing).skip(offset as usize) {
            if reply.add(INodeNo(*number), index, file_type(*kind), name) {
                break;
            }
        }
        reply.ok();
    }

    fn releasedir(&self, _: &Request, _: INodeNo, handle: FileHandle, _: OpenFlags, reply: ReplyEmpty) {
        self.lock().listings.remove(&handle.0);
        reply.ok();
    }

    fn statfs(&self, _: &Request, _: INodeNo, reply: ReplyStatfs) {
        reply.statfs(FREE_BLOCKS, FREE_BLOCKS, FREE_BLOCKS, FREE_BLOCKS, FREE_BLOCKS, BLOCK_BYTES, 255, BLOCK_BYTES);
    }
}

fn answer(done: Result<(), Errno>, reply: ReplyEmpty) {
    match done {
        Ok(()) => reply.ok(),
        Err(error) => reply.error(error),
    }
}
