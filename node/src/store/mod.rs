//! Where records become durable.
//!
//! A store takes *entries*, in batches, and answers only when they are on disk ([`Store::commit`]). Everything else is
//! reading. Two implementations must give the same answers to the same calls, and a property test holds them to it:
//!
//! - [`DiskStore`]: the record log, which is the authority, and a sled index that can always be rebuilt from it;
//! - [`MemoryStore`]: the model. It serves the simulator, with a simulated fsync, and is the oracle of the tests.
//!
//! What an entry does to the index is a function of the index and the entry alone, so that replaying a log gives the
//! same index, and applying an entry twice does no harm.

mod apply;
mod compaction;
mod disk;
#[cfg(test)]
mod faults;
mod floors;
mod giving;
mod index;
mod io;
mod local;
mod log;
mod memory;
mod model;
mod opening;
mod overlay;
#[cfg(test)]
mod power;
mod recovery;
mod reopening;
#[cfg(test)]
#[path = "../../tests/disk_support/mod.rs"]
pub(crate) mod small_disk;
mod spare;
#[cfg(test)]
#[path = "../../tests/store_support/mod.rs"]
pub(crate) mod support;
mod table;
mod tables;
mod verify;

pub use disk::{DiskStore, OpenReport, Options};
pub use log::Observer;
pub use memory::MemoryStore;
pub use verify::VerifyReport;

use bytes::Bytes;
use griot_protocol::{Address, Grant, Hour, MailboxKeys, Record, RecordId, RecordKind, Shard, ShardBits, Timestamp};

/// Where an envelope stands in its mailbox: grows with every commit, within one [epoch](Store::epoch).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Position(pub u64);

/// A member of this node, 16 random bytes. Whoever opens the Unix socket is [`MemberId::LOCAL`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct MemberId(pub [u8; 16]);

impl MemberId {
    /// Whoever can open the node's Unix socket.
    pub const LOCAL: Self = Self([0; 16]);
}

/// One thing to make durable.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Entry {
    /// A verified record. Inserting one that is held, killed or expired changes nothing.
    ///
    /// An envelope whose (address, id, created_at) has a tombstone is kept as an id without a body. An ack with
    /// `release` drops the bodies it names and leaves tombstones for those and for the ones that have not come yet.
    Record(Record),
    /// A fact of this node alone: never sent to anyone, never in a bundle.
    Local(Local),
}

impl Entry {
    /// Whether it ends something that takes room. Such entries are made durable as long as the log has a place for them,
    /// however full the disk is, because they are the way out.
    #[must_use]
    pub fn makes_room(&self) -> bool {
        match self {
            Self::Record(record) => matches!(record.kind(), RecordKind::Ack),
            Self::Local(local) => matches!(
                local,
                Local::Unregistered { .. }
                    | Local::MemberRevoked { .. }
                    | Local::Discharged { .. }
                    | Local::Evicted { .. }
            ),
        }
    }
}

/// Facts of this node alone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Local {
    /// A member registered a mailbox (or renewed its grant).
    Registered {
        /// Whose registration it is.
        member: MemberId,
        /// The mailbox.
        keys: MailboxKeys,
        /// The right to issue receipts.
        grant: Grant,
        /// When.
        at: Timestamp,
    },
    /// A member ended its registration; the mailbox stays registered while another member's remains.
    Unregistered {
        /// Whose registration it was.
        member: MemberId,
        /// The mailbox.
        address: Address,
    },
    /// The operator added a member.
    MemberAdded {
        /// The new member.
        member: MemberId,
        /// The operator's label.
        label: String,
        /// BLAKE3 of the bearer token.
        token_hash: [u8; 32],
        /// When.
        at: Timestamp,
    },
    /// The operator revoked a member: its registrations end with it.
    MemberRevoked {
        /// The member.
        member: MemberId,
    },
    /// An envelope was submitted here: keep it until it is acked or expires.
    Submitted {
        /// The envelope.
        id: RecordId,
        /// Who pays for it.
        member: MemberId,
    },
    /// The envelope has left the outbox (a `Shared` one at its first valid custody receipt).
    Discharged {
        /// The envelope.
        id: RecordId,
    },
    /// The body was dropped for want of room; the id stays in the sync set until it expires.
    Evicted {
        /// The envelope.
        id: RecordId,
    },
    /// A valid record was refused for want of room: its id is in the sync set without a body.
    Marked {
        /// The record.
        id: RecordId,
        /// Its kind.
        kind: RecordKind,
        /// The mailbox it concerns.
        address: Address,
        /// Its `created_at`.
        created_at: Timestamp,
        /// When the mark may go.
        expires_at: Timestamp,
    },
}

/// What became of a record here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Holding {
    /// Its frame is in the log.
    Held,
    /// An envelope killed by a releasing ack: the body is gone, the id is out of the sync set.
    Killed,
    /// The body was dropped, or never taken, for want of room: the id stays in the sync set.
    Marked,
}

/// What the index knows about a record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    /// The record.
    pub id: RecordId,
    /// Its kind.
    pub kind: RecordKind,
    /// The mailbox it concerns.
    pub address: Address,
    /// `created_at` (see [`griot_protocol::Body::created_at`]).
    pub created_at: Timestamp,
    /// `expires_at`.
    pub expires_at: Timestamp,
    /// Frame length in bytes, also after the frame is gone; 0 for a mark that never had one.
    pub frame_bytes: u32,
    /// What became of it.
    pub holding: Holding,
    /// Whether an ack (of either sort) names it.
    pub acked: bool,
    /// Who submitted it here, while it is in the outbox.
    pub outbox: Option<MemberId>,
    /// Where it stands in its mailbox; only held envelopes have one. An envelope that comes back after an eviction
    /// has a new one, so that a reader who was past the old one sees it.
    pub position: Option<Position>,
}

/// What became of each record of a commit, in the order of its [`Entry::Record`]s.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// New here; envelopes have a position.
    Inserted(Option<Position>),
    /// It was already here (in whatever [`Holding`]; what replaces a mark is [`Outcome::Inserted`]), or the hour of its
    /// expiry is closed.
    Present,
    /// An envelope that a releasing ack had named before it came.
    Buried,
}

/// A member's registration of a mailbox.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RegistrationRow {
    /// Whose it is.
    pub member: MemberId,
    /// The mailbox.
    pub keys: MailboxKeys,
    /// The right to issue receipts.
    pub grant: Grant,
    /// When it was made.
    pub at: Timestamp,
}

/// A member.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MemberRow {
    /// The member.
    pub member: MemberId,
    /// The operator's label.
    pub label: String,
    /// BLAKE3 of the bearer token.
    pub token_hash: [u8; 32],
    /// When it was added.
    pub at: Timestamp,
}

/// What a mailbox holds here: held envelopes that no releasing ack has killed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    /// Envelopes with a body.
    pub envelopes: u64,
    /// Their frames' bytes.
    pub bytes: u64,
}

/// Which of a shard's two sync sets. Acks are exchanged first, because they decide which envelopes are in the other.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum SyncSet {
    /// Acks.
    Acks,
    /// Envelopes that no held releasing ack has killed, and custody receipts.
    Rest,
}

/// A summary of ids that does not depend on their order: their number and their sum modulo 2²⁵⁶ (as little-endian
/// numbers). Two sets with the same digest are taken to be equal; an adversary who grinds colliding sums only hides
/// records of its own making from itself, because ids are hashes and peers are compared pairwise.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Digest {
    /// How many ids.
    pub count: u64,
    /// Their sum.
    pub sum: [u8; 32],
}

impl Digest {
    /// Adds an id.
    pub fn add(&mut self, id: &RecordId) {
        self.count += 1;
        let mut carry = 0u16;
        for (sum, byte) in self.sum.iter_mut().zip(id.0) {
            let total = u16::from(*sum) + u16::from(byte) + carry;
            *sum = total as u8;
            carry = total >> 8;
        }
    }

    /// Takes an id out that was added before.
    pub fn remove(&mut self, id: &RecordId) {
        self.count = self.count.saturating_sub(1);
        let mut borrow = 0i16;
        for (sum, byte) in self.sum.iter_mut().zip(id.0) {
            let total = i16::from(*sum) - i16::from(byte) - borrow;
            *sum = total.rem_euclid(256) as u8;
            borrow = i16::from(total < 0);
        }
    }
}

/// Totals over the whole store.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Totals {
    /// Records with a frame.
    pub records: u64,
    /// Their frames' bytes.
    pub bytes: u64,
    /// Bytes of held envelopes in custody class 3: not registered here and not in the outbox.
    pub best_effort_bytes: u64,
    /// Mailboxes registered here.
    pub mailboxes: u64,
    /// Envelopes in the outbox.
    pub outbox: u64,
    /// Id-only marks.
    pub marks: u64,
}

/// What a store takes of its disk.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Footprint {
    /// Bytes of the log in use: what was written and not given back, as of the last [`Store::maintain`].
    pub log_bytes: u64,
    /// Bytes of the disk that are kept free.
    pub reserve_bytes: u64,
}

/// A peer to dial again, with the addresses that worked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RememberedPeer {
    /// libp2p peer id as text.
    pub peer_id: String,
    /// Multiaddrs as text, at most [`PEER_ADDRESSES_MAX`].
    pub addresses: Vec<String>,
    /// When it was last connected.
    pub seen_at: Timestamp,
}

/// Addresses kept for a peer: its TCP and QUIC ones over IPv4 and IPv6, twice.
pub const PEER_ADDRESSES_MAX: usize = 8;

/// Peers kept: enough to find a network again after years, few enough to dial in turn.
pub const REMEMBERED_PEERS_MAX: usize = 256;

/// A member's label: a line on a screen, and far from the 4 KiB from where sled writes a value to a file of its own.
pub const LABEL_BYTES_MAX: usize = 256;

/// A remembered peer's id or address as text: the longest useful multiaddr is a relayed QUIC one of about 200 bytes.
/// What is longer is not remembered.
pub const PEER_TEXT_BYTES_MAX: usize = 300;

/// Entries in one commit: bounds the memory of a batch to 256 × 68 KiB, and positions to 20 bits within one.
pub const COMMIT_ENTRIES_MAX: usize = 1024;

/// Receipts, and acks, that are listed for one envelope: a person has 2–3 homes; more receipts prove nothing more.
pub const ABOUT_MAX: usize = 16;

/// Why the store cannot do what was asked.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The file system refused: `what` was being done.
    #[error("{what}: {source}")]
    Io {
        /// What was being done, and to which file.
        what: String,
        /// The file system's answer.
        source: std::io::Error,
    },
    /// The index refused.
    #[error("index: {0}")]
    Index(sled::Error),
    /// A write or sync failed before; nothing more is written until the node is restarted and the log re-read.
    #[error("the record log stopped after a failed write: restart the node; it will re-read the log ({0})")]
    Stopped(String),
    /// More entries than one commit may have.
    #[error("a commit has at most {COMMIT_ENTRIES_MAX} entries")]
    BatchTooLarge,
    /// A member's label that is too long.
    #[error("a member's label has at most {LABEL_BYTES_MAX} bytes")]
    LabelTooLong,
    /// The disk is full (or below the configured reserve).
    #[error("the disk is full: free space, or lower the node's byte budget")]
    Full,
    /// There is too little room to open a store.
    #[error(
        "the disk is full: nothing is lost, but the index in {} needs {} MiB of free space to be opened. Free some, and \
         start again",
        dir.display(), bytes >> 20
    )]
    NoRoomToOpen {
        /// The data directory.
        dir: std::path::PathBuf,
        /// What must be free.
        bytes: u64,
    },
    /// The data directory was written by a newer version, or is not one.
    #[error("{0}")]
    Schema(String),
    /// Another process has the data directory open.
    #[error("{0}")]
    Locked(String),
}

impl From<sled::Error> for StoreError {
    /// A disk that is full passes, whoever finds it so.
    fn from(error: sled::Error) -> Self {
        match error {
            sled::Error::Io(source) if source.kind() == std::io::ErrorKind::StorageFull => Self::Full,
            error => Self::Index(error),
        }
    }
}

/// What a call of [`Store::maintain`] did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Maintenance {
    /// Whether the checkpoint advanced.
    pub checkpointed: bool,
    /// Entries that were copied out of an old segment.
    pub moved: usize,
    /// Bytes of log that were given back to the file system.
    pub reclaimed_bytes: u64,
    /// Whether another call would find more to do now.
    pub more: bool,
    /// Whether the disk has no room for new records.
    pub full: bool,
}

/// A durable, indexed set of records and local facts. All methods may be called from several threads.
pub trait Store: Send + Sync + 'static {
    /// Makes `entries` (at most [`COMMIT_ENTRIES_MAX`]) durable with one sync, indexes them, and only then returns.
    /// Outcomes are those of the [`Entry::Record`]s, in order.
    ///
    /// # Errors
    /// After an error nothing of the batch may be believed durable, and nothing of it is visible.
    fn commit(&self, entries: &[Entry]) -> Result<Vec<Outcome>, StoreError>;

    /// Commits several batches with one sync: what a writer does with the batches that wait for it. Each is applied as
    /// [`commit`](Self::commit) would, in order.
    ///
    /// # Errors
    /// As [`commit`](Self::commit); then nothing of any of the batches may be believed durable.
    fn commit_group(&self, groups: &[Vec<Entry>]) -> Result<Vec<Vec<Outcome>>, StoreError> {
        groups.iter().map(|entries| self.commit(entries)).collect()
    }

    /// A bounded piece of housekeeping: a checkpoint, a segment made in advance, at most one old segment reclaimed.
    /// Call it every few seconds, and again at once while [`Maintenance::more`] is set.
    ///
    /// # Errors
    /// The disk or the index failed.
    fn maintain(&self, _now: Timestamp) -> Result<Maintenance, StoreError> {
        Ok(Maintenance::default())
    }

    /// Ids of records that have a frame here, after `after`, in id order, at most `max`: for bundles and backups.
    ///
    /// # Errors
    /// The index failed.
    fn held(&self, after: Option<RecordId>, max: usize) -> Result<Vec<RecordId>, StoreError>;

    /// Drops everything in hour buckets that ended at least one hour before `now` (acks a day later), at most `max` rows a
    /// call; returns how many rows went. Call again while it returns `max`.
    ///
    /// Hours that were dropped are closed: what expires in them is not taken again, until a `now` before them shows that
    /// the clock was ahead. They open then, unless an ack was dropped that lived until there: what its reader has
    /// collected never comes back.
    ///
    /// # Errors
    /// The index failed.
    fn expire(&self, now: Timestamp, max: usize) -> Result<usize, StoreError>;

    /// The first hour of expiry that is not closed (see [`expire`](Self::expire)).
    fn floor(&self) -> Hour;

    /// What is known about a record.
    ///
    /// # Errors
    /// The index failed.
    fn row(&self, id: &RecordId) -> Result<Option<Row>, StoreError>;

    /// A held record's frame, checked against its checksum.
    ///
    /// # Errors
    /// The disk failed.
    fn frame(&self, id: &RecordId) -> Result<Option<Bytes>, StoreError>;

    /// Held envelopes of a mailbox after `after`, in order: at most `max`.
    ///
    /// # Errors
    /// The index failed.
    fn mailbox(&self, address: &Address, after: Position, max: usize) -> Result<Vec<(Position, RecordId)>, StoreError>;

    /// What a mailbox holds.
    fn usage(&self, address: &Address) -> Usage;

    /// Acks and custody receipts that name an envelope, at most [`ABOUT_MAX`] of each kind.
    ///
    /// # Errors
    /// The index failed.
    fn about(&self, id: &RecordId) -> Result<Vec<RecordId>, StoreError>;

    /// Registrations of a mailbox.
    ///
    /// # Errors
    /// The index failed.
    fn registrations(&self, address: &Address) -> Result<Vec<RegistrationRow>, StoreError>;

    /// All registrations after (`address`, `member`) in order, at most `max`: for loading at start and for listing.
    ///
    /// # Errors
    /// The index failed.
    fn all_registrations(
        &self,
        after: Option<(Address, MemberId)>,
        max: usize,
    ) -> Result<Vec<RegistrationRow>, StoreError>;

    /// All members.
    ///
    /// # Errors
    /// The index failed.
    fn members(&self) -> Result<Vec<MemberRow>, StoreError>;

    /// The outbox after `after`, in id order, at most `max`.
    ///
    /// # Errors
    /// The index failed.
    fn outbox(&self, after: Option<RecordId>, max: usize) -> Result<Vec<(RecordId, MemberId)>, StoreError>;

    /// Digests of a shard's sync set by hour of expiry, from `first` on, in order; empty hours are left out.
    fn digests(&self, set: SyncSet, shard: Shard, first: Hour) -> Vec<(Hour, Digest)>;

    /// The ids in one bucket of a shard's sync set, as (`expires_at`, id), in order.
    ///
    /// # Errors
    /// The index failed.
    fn bucket(&self, set: SyncSet, shard: Shard, hour: Hour) -> Result<Vec<(Timestamp, RecordId)>, StoreError>;

    /// Class-3 envelopes to evict so that at least `bytes` become free: from the unregistered mailbox that holds most,
    /// lowest postage first, at most `max`.
    ///
    /// # Errors
    /// The index failed.
    fn eviction_candidates(&self, bytes: u64, max: usize) -> Result<Vec<RecordId>, StoreError>;

    /// Totals.
    fn totals(&self) -> Totals;

    /// What it takes of its disk. Answered at once: it is asked while records come in.
    fn footprint(&self) -> Footprint {
        Footprint { log_bytes: self.totals().bytes, reserve_bytes: 0 }
    }

    /// When the oldest held, unacked envelope of a registered mailbox was created.
    fn oldest_uncollected(&self) -> Option<Timestamp>;

    /// The epoch of this store's positions: random, new at every rebuild or restore.
    fn epoch(&self) -> u64;

    /// The bits by which the sync sets are split.
    fn bits(&self) -> ShardBits;

    /// Replaces the remembered peers (at most [`REMEMBERED_PEERS_MAX`]). Losing them to a crash is harmless.
    ///
    /// # Errors
    /// The index failed.
    fn remember_peers(&self, peers: &[RememberedPeer]) -> Result<(), StoreError>;

    /// The remembered peers.
    ///
    /// # Errors
    /// The index failed.
    fn remembered_peers(&self) -> Result<Vec<RememberedPeer>, StoreError>;
}
