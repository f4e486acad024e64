//! What is on a disk, and what is left of it when the power goes.
//!
//! Everything exists twice: as programs see it (`current`) and as it would be found after a power cut at this moment
//! (`durable`). A change is made to the former and noted; a sync of the file, or of the directory, carries the notes over.
//! [`Image::after_power_cut`] decides by a seed what becomes of the notes that were never carried over.
//!
//! What this disk promises is the least that POSIX lets a program rely on, and what [`griot_node::store`] says it
//! assumes:
//!
//! - what was written to a file survives once *that file* was synced; its name survives once *its directory* was
//!   synced, and the directory's own name once the directory above it was;
//! - of what was written since, any 512-byte sectors survive, whichever they are, and each as a whole. Of several writes
//!   to one sector any may be the last that survives. A file may have grown and hold zeros where it grew;
//! - of the names that were given and taken since, any survive, in any combination. Giving and taking in one call
//!   (`rename`) is one change;
//! - modes are kept with the file at once, because no program can sync them alone.

use std::{
    collections::{BTreeMap, BTreeSet},
    ffi::{OsStr, OsString},
};

use rand::{RngExt, SeedableRng, rngs::StdRng};

/// What a device writes as a whole.
const SECTOR_BYTES: u64 = 512;

/// Content is held in pieces of this size; a piece that was never written is zeros and takes no memory.
const PAGE_BYTES: u64 = 4096;

static ZERO_PAGE: [u8; PAGE_BYTES as usize] = [0; PAGE_BYTES as usize];

/// The root directory's number, which FUSE prescribes.
pub const ROOT: u64 = 1;

/// The bytes of a file.
#[derive(Clone, Default)]
struct Bytes {
    size: u64,
    pages: BTreeMap<u64, Box<[u8]>>,
}

impl Bytes {
    fn write(&mut self, offset: u64, bytes: &[u8]) {
        let mut at = offset;
        for piece in pieces(offset, bytes.len() as u64, PAGE_BYTES) {
            let from = (at - offset) as usize;
            let piece_bytes = &bytes[from..from + piece as usize];
            let (number, within) = (at / PAGE_BYTES, (at % PAGE_BYTES) as usize);
            if self.pages.contains_key(&number) || piece_bytes != &ZERO_PAGE[..piece as usize] {
                let page = self.pages.entry(number).or_insert_with(|| ZERO_PAGE.to_vec().into_boxed_slice());
                page[within..within + piece as usize].copy_from_slice(piece_bytes);
            }
            at += piece;
        }
        self.size = self.size.max(at);
    }

    fn read(&self, offset: u64, want: u64) -> Vec<u8> {
        let length = self.size.saturating_sub(offset).min(want);
        let mut bytes = vec![0; length as usize];
        let mut at = offset;
        for piece in pieces(offset, length, PAGE_BYTES) {
            if let Some(page) = self.pages.get(&(at / PAGE_BYTES)) {
                let (from, within) = ((at - offset) as usize, (at % PAGE_BYTES) as usize);
                bytes[from..from + piece as usize].copy_from_slice(&page[within..within + piece as usize]);
            }
            at += piece;
        }
        bytes
    }

    fn resize(&mut self, size: u64) {
        if size < self.size {
            self.pages.retain(|number, _| number * PAGE_BYTES < size);
            // What a file loses must not come back when it grows again.
            if let Some(page) = self.pages.get_mut(&(size / PAGE_BYTES)) {
                page[(size % PAGE_BYTES) as usize..].fill(0);
            }
        }
        self.size = size;
    }
}

/// Lengths of the pieces of a range that lie in one block of `block` bytes each.
fn pieces(offset: u64, length: u64, block: u64) -> impl Iterator<Item = u64> {
    let (mut at, end) = (offset, offset + length);
    std::iter::from_fn(move || {
        let piece = (block - at % block).min(end - at);
        at += piece;
        (piece > 0).then_some(piece)
    })
}

/// A change to a file's bytes.
enum Change {
    Write { offset: u64, bytes: Vec<u8> },
    Zeros { offset: u64, length: u64 },
    Resize(u64),
}

/// Some names, and what each of them means from now on: nothing, where it was taken away.
type Renaming = Vec<(OsString, Option<u64>)>;

enum Content {
    File { durable: Bytes, current: Bytes, unsynced: Vec<Change> },
    Directory { durable: BTreeMap<OsString, u64>, current: BTreeMap<OsString, u64>, unsynced: Vec<Renaming> },
    Socket,
}

/// What a number stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    File,
    Directory,
    Socket,
}

struct Inode {
    mode: u32,
    content: Content,
}

/// What is on a disk.
pub struct Image {
    inodes: BTreeMap<u64, Inode>,
    next: u64,
}

impl Default for Image {
    fn default() -> Self {
        let root = Inode { mode: 0o700, content: empty(Kind::Directory) };
        Self { inodes: BTreeMap::from([(ROOT, root)]), next: ROOT + 1 }
    }
}

fn empty(kind: Kind) -> Content {
    match kind {
        Kind::File => Content::File { durable: Bytes::default(), current: Bytes::default(), unsynced: Vec::new() },
        Kind::Directory => {
            Content::Directory { durable: BTreeMap::new(), current: BTreeMap::new(), unsynced: Vec::new() }
        }
        Kind::Socket => Content::Socket,
    }
}

impl Image {
    pub fn kind(&self, number: u64) -> Option<Kind> {
        self.inodes.get(&number).map(|inode| match inode.content {
            Content::File { .. } => Kind::File,
            Content::Directory { .. } => Kind::Directory,
            Content::Socket => Kind::Socket,
        })
    }

    pub fn mode(&self, number: u64) -> u32 {
        self.inodes.get(&number).map_or(0, |inode| inode.mode)
    }

    pub fn set_mode(&mut self, number: u64, mode: u32) {
        if let Some(inode) = self.inodes.get_mut(&number) {
            inode.mode = mode & 0o7777;
        }
    }

    pub fn size(&self, number: u64) -> u64 {
        match self.inodes.get(&number).map(|inode| &inode.content) {
            Some(Content::File { current, .. }) => current.size,
            _ => 0,
        }
    }

    pub fn lookup(&self, directory: u64, name: &OsStr) -> Option<u64> {
        self.names(directory).and_then(|names| names.get(name).copied())
    }

    pub fn names(&self, directory: u64) -> Option<&BTreeMap<OsString, u64>> {
        match self.inodes.get(&directory).map(|inode| &inode.content) {
            Some(Content::Directory { current, .. }) => Some(current),
            _ => None,
        }
    }

    pub fn read(&self, number: u64, offset: u64, want: u64) -> Vec<u8> {
        match self.inodes.get(&number).map(|inode| &inode.content) {
            Some(Content::File { current, .. }) => current.read(offset, want),
            _ => Vec::new(),
        }
    }

    /// Something new, without a name.
    pub fn make(&mut self, kind: Kind, mode: u32) -> u64 {
        let number = self.next;
        self.next += 1;
        self.inodes.insert(number, Inode { mode: mode & 0o7777, content: empty(kind) });
        number
    }

    /// Gives and takes names in one directory, as one change.
    pub fn rename(&mut self, directory: u64, renaming: Renaming) {
        if let Some(Inode { content: Content::Directory { current, unsynced, .. }, .. }) =
            self.inodes.get_mut(&directory)
        {
            apply_names(current, &renaming);
            unsynced.push(renaming);
        }
    }

    pub fn write(&mut self, number: u64, offset: u64, bytes: &[u8]) {
        let zeros = bytes.chunks(PAGE_BYTES as usize).all(|piece| piece == &ZERO_PAGE[..piece.len()]);
        self.change(
            number,
            if zeros {
                Change::Zeros { offset, length: bytes.len() as u64 }
            } else {
                Change::Write { offset, bytes: bytes.to_vec() }
            },
        );
    }

    pub fn resize(&mut self, number: u64, size: u64) {
        self.change(number, Change::Resize(size));
    }

    fn change(&mut self, number: u64, change: Change) {
        if let Some(Inode { content: Content::File { current, unsynced, .. }, .. }) = self.inodes.get_mut(&number) {
            apply(current, &change);
            unsynced.push(change);
        }
    }

    /// Makes a file's bytes, or a directory's names, durable.
    pub fn sync(&mut self, number: u64) {
        match self.inodes.get_mut(&number).map(|inode| &mut inode.content) {
            Some(Content::File { durable, unsynced, .. }) => {
                unsynced.drain(..).for_each(|change| apply(durable, &change));
            }
            Some(Content::Directory { durable, unsynced, .. }) => {
                unsynced.drain(..).for_each(|renaming| apply_names(durable, &renaming));
            }
            _ => {}
        }
    }

    /// Everything that would survive a power cut now, whatever the disk does besides: for tests of this disk.
    pub fn unsynced_changes(&self) -> usize {
        let count = |inode: &Inode| match &inode.content {
            Content::File { unsynced, .. } => unsynced.len(),
            Content::Directory { unsynced, .. } => unsynced.len(),
            Content::Socket => 0,
        };
        self.inodes.values().map(count).sum()
    }

    /// What is found when the power is back.
    pub fn after_power_cut(self, seed: u64) -> Self {
        let mut random = StdRng::seed_from_u64(seed);
        let mut survivors: BTreeMap<u64, Inode> = BTreeMap::new();
        for (number, Inode { mode, content }) in self.inodes {
            let luck = Luck::draw(&mut random);
            let content = match content {
                Content::File { mut durable, unsynced, .. } => {
                    for change in unsynced {
                        luck.tear(&mut random, &mut durable, &change);
                    }
                    Content::File { current: durable.clone(), durable, unsynced: Vec::new() }
                }
                Content::Directory { mut durable, unsynced, .. } => {
                    for renaming in unsynced {
                        if luck.survives(&mut random) {
                            apply_names(&mut durable, &renaming);
                        }
                    }
                    Content::Directory { current: durable.clone(), durable, unsynced: Vec::new() }
                }
                Content::Socket => Content::Socket,
            };
            survivors.insert(number, Inode { mode, content });
        }
        let mut image = Self { inodes: survivors, next: self.next };
        image.forget_the_nameless();
        image
    }

    /// Frees what no name leads to.
    fn forget_the_nameless(&mut self) {
        let (mut reached, mut todo) = (BTreeSet::from([ROOT]), vec![ROOT]);
        while let Some(directory) = todo.pop() {
            for number in self.names(directory).into_iter().flat_map(BTreeMap::values) {
                if reached.insert(*number) {
                    todo.push(*number);
                }
            }
        }
        self.inodes.retain(|number, _| reached.contains(number));
    }
}

fn apply(bytes: &mut Bytes, change: &Change) {
    match change {
        Change::Write { offset, bytes: written } => bytes.write(*offset, written),
        Change::Zeros { offset, length } => write_zeros(bytes, *offset, *length),
        Change::Resize(size) => bytes.resize(*size),
    }
}

fn write_zeros(bytes: &mut Bytes, offset: u64, length: u64) {
    let mut at = offset;
    for piece in pieces(offset, length, PAGE_BYTES) {
        bytes.write(at, &ZERO_PAGE[..piece as usize]);
        at += piece;
    }
}

fn apply_names(names: &mut BTreeMap<OsString, u64>, renaming: &Renaming) {
    for (name, number) in renaming {
        match number {
            Some(number) => drop(names.insert(name.clone(), *number)),
            None => drop(names.remove(name)),
        }
    }
}

/// How kindly a power cut treats one file or directory: drawn for each, because a disk that always loses half of
/// everything would hardly ever lose all of one thing and nothing of another.
struct Luck {
    /// How likely a piece survives.
    survival: f64,
    /// What survives or not as a whole: a sector, or a page.
    block: u64,
}

impl Luck {
    fn draw(random: &mut StdRng) -> Self {
        let survival = [0.0, 1.0, 0.5, 0.1, 0.9][random.random_range(0..5)];
        let block = if random.random_bool(0.5) { SECTOR_BYTES } else { PAGE_BYTES };
        Self { survival, block }
    }

    fn survives(&self, random: &mut StdRng) -> bool {
        random.random_bool(self.survival)
    }

    fn tear(&self, random: &mut StdRng, bytes: &mut Bytes, change: &Change) {
        let (offset, length) = match change {
            Change::Resize(size) => {
                if self.survives(random) {
                    bytes.resize(*size);
                }
                return;
            }
            Change::Write { offset, bytes } => (*offset, bytes.len() as u64),
            Change::Zeros { offset, length } => (*offset, *length),
        };
        // A file may have its new size and not yet what was written there.
        if offset + length > bytes.size && self.survives(random) {
            bytes.resize(offset + length);
        }
        let mut at = offset;
        for piece in pieces(offset, length, self.block) {
            if self.survives(random) {
                let from = (at - offset) as usize;
                match change {
                    Change::Write { bytes: written, .. } => bytes.write(at, &written[from..from + piece as usize]),
                    _ => write_zeros(bytes, at, piece),
                }
            }
            at += piece;
        }
    }
}
