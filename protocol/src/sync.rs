//! Sync (`/griot/sync/1`): how two nodes find out what each lacks, and hand it over.
//!
//! Gossip is a hint; sync is what makes "delivered while any replica survives" true. A shard's records form two *sets*
//! of ids ([`Set::Acks`], then [`Set::Rest`]), each cut into *buckets* by the hour of `expires_at`. Whoever asks (the
//! initiator) narrows the difference down step by step; whoever answers (the responder) keeps nothing between requests:
//!
//! ```text
//! initiator                                                     responder
//! Open      one hash over all bucket digests         ─▶
//!                                                    ◀─  Opened      "same", or the digests
//! Reconcile negentropy messages, up to 16 buckets    ─▶
//!                                                    ◀─  Reconciled  (until both know the difference)
//! Fetch     ids that the initiator lacks             ─▶
//!                                                    ◀─  Frames      as many as fit 1 MiB, and what is not held
//! Push      frames that the responder lacks          ─▶
//!                                                    ◀─  Pushed
//! ```
//!
//! Apart from that, whoever has a new *large* record tells its neighbours, which fetch it once:
//!
//! ```text
//! Offer     ids that the sender has                  ─▶
//!                                                    ◀─  Noted
//!                                                    ◀─  Fetch       those that are lacking here and not on their way
//! Frames                                             ─▶
//! ```
//!
//! Acks go first, because a held releasing ack takes the envelopes it names out of the other set: what is dead is not
//! carried around. Two more uses: [`SyncRequest::Push`] also carries a record into a shard that its sender does not
//! keep, and [`SyncRequest::About`] asks a carrier for the receipts and acks of envelopes that were sent that way.
//!
//! # Exact definitions
//!
//! A **bucket digest** is (`hour`, `count`, `sum`): hours since the epoch, the number of ids, and their sum modulo 2²⁵⁶
//! as little-endian numbers. Buckets without ids do not appear.
//!
//! The **root** is BLAKE3 in derive-key mode with context [`ROOT_CONTEXT`] over the digests in ascending order of
//! `hour`, each as `hour u32 LE ‖ count u64 LE ‖ sum 32 bytes`, and nothing else.
//!
//! The **first hour** of a node is the hour that its clock is in: no bucket before it holds an unexpired record. Both
//! sides use the later of the two. The initiator's root covers its buckets from its own first hour on; the responder
//! compares it with the root of its buckets from the later hour on, and answers *same* or with those digests. Two equal
//! nodes whose clocks stand on two sides of a full hour therefore exchange digests once, find them equal, and stop.
//!
//! **Reconciliation** of a bucket is [negentropy](https://github.com/hoytech/negentropy) protocol version 1 (`0x61`),
//! with `expires_at` as the timestamp and the record id as the id.
//!
//! A **message** is the enum below in the encoding of [`codec`]: one byte for the variant in the order
//! of declaration, then its fields. At most [`SYNC_BYTES_MAX`] bytes. A request that the responder cannot decode, from a
//! newer implementation perhaps, is answered [`SyncResponse::Unsupported`] and counted, never punished; variants are
//! only ever added at the end.

use bincode::{
    Decode, Encode,
    de::Decoder,
    enc::Encoder,
    error::{DecodeError, EncodeError},
};
use bytes::Bytes;

use crate::{
    codec::{self, CodecError},
    id::RecordId,
    limits::{FRAME_BYTES_MAX, FRAME_BYTES_MIN, SYNC_BYTES_MAX},
    mailbox::{Shard, ShardBits},
    time::{Hour, Timestamp},
};

/// The libp2p protocol id.
pub const PROTOCOL: &str = "/griot/sync/1";

/// BLAKE3 derive-key context of roots.
pub const ROOT_CONTEXT: &str = "griot 2026 sync root v1";

/// Bucket digests in one answer. A record lives 30 days and may be made 10 minutes ahead of the reader's clock, which
/// is 722 hours at most; the rest is room for clocks that disagree.
pub const DIGESTS_MAX: usize = 1024;

/// Buckets reconciled in one request: a node that was away for a month then needs some fifty round trips, not eight
/// hundred.
pub const RECONCILE_BUCKETS_MAX: usize = 16;

/// All negentropy messages of one request or answer together: room for 16,000 ids, and half of what a message may be.
/// A side that sends `n` of them limits each to an `n`-th of this.
pub const RECONCILE_BYTES_MAX: usize = 512 * 1024;

/// Ids in one fetch: small records (under 1 KiB) then fill an answer of 1 MiB in one round trip.
pub const FETCH_IDS_MAX: usize = 1024;

/// Ids in one question about custody and acks.
pub const ABOUT_IDS_MAX: usize = 256;

/// Ids in one offer: what a burst brings while the offer before it is on its way.
pub const OFFER_IDS_MAX: usize = 256;

/// Frames in one message: the smallest records (acks of one item, about 300 bytes) then fill it.
pub const FRAMES_MAX: usize = 4096;

/// Bytes of all frames in one message: what [`SYNC_BYTES_MAX`] leaves beside 1,024 ids and the frames' lengths.
pub const FRAMES_BYTES_MAX: usize = SYNC_BYTES_MAX - 64 * 1024;

/// Which of a shard's two sets of ids.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Encode, Decode)]
pub enum Set {
    /// Acks.
    Acks,
    /// Envelopes that no held releasing ack has killed, and custody receipts; also the ids of those whose bodies were
    /// dropped, or not taken, for want of room.
    Rest,
}

/// A summary of the ids in one bucket.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
pub struct BucketDigest {
    /// The hour of `expires_at`.
    pub hour: Hour,
    /// How many ids; at least 1.
    pub count: u64,
    /// Their sum modulo 2²⁵⁶, little-endian.
    pub sum: [u8; 32],
}

/// The root of bucket digests, which must be in ascending order of their hours.
#[must_use]
pub fn root(digests: &[BucketDigest]) -> [u8; 32] {
    let mut hasher = blake3::Hasher::new_derive_key(ROOT_CONTEXT);
    for digest in digests {
        hasher.update(&digest.hour.0.to_le_bytes());
        hasher.update(&digest.count.to_le_bytes());
        hasher.update(&digest.sum);
    }
    *hasher.finalize().as_bytes()
}

/// A negentropy message about one bucket.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct BucketMessage {
    /// Which bucket.
    pub hour: Hour,
    /// The message.
    pub message: Vec<u8>,
}

/// A record's frame inside a message: encoded as a length and the bytes. Nothing about it has been checked but its
/// length.
#[derive(Clone, PartialEq, Eq)]
pub struct SyncFrame(pub Bytes);

impl std::fmt::Debug for SyncFrame {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "SyncFrame({} bytes)", self.0.len())
    }
}

impl Encode for SyncFrame {
    fn encode<E: Encoder>(&self, encoder: &mut E) -> Result<(), EncodeError> {
        self.0.as_ref().encode(encoder)
    }
}

impl<Context> Decode<Context> for SyncFrame {
    fn decode<D: Decoder<Context = Context>>(decoder: &mut D) -> Result<Self, DecodeError> {
        Vec::<u8>::decode(decoder).map(|bytes| Self(Bytes::from(bytes)))
    }
}
bincode::impl_borrow_decode!(SyncFrame);

/// Opens the comparison of one set.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct Open {
    /// The sender's shard bits: where they differ, the two cannot compare.
    pub bits: ShardBits,
    /// The sender's postage: where it differs, operators are told.
    pub postage_bits: u8,
    /// Which shard.
    pub shard: Shard,
    /// Which set.
    pub set: Set,
    /// The sender's clock.
    pub time: Timestamp,
    /// The sender's first hour.
    pub first: Hour,
    /// The root of its buckets from that hour on.
    pub root: [u8; 32],
}

/// The answer to [`Open`].
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct Opened {
    /// The responder's postage.
    pub postage_bits: u8,
    /// The responder's clock.
    pub time: Timestamp,
    /// The later of both first hours.
    pub first: Hour,
    /// Nothing where the roots are the same; else the digests from `first` on, in ascending order of hours.
    pub digests: Option<Vec<BucketDigest>>,
}

/// What one node asks another.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub enum SyncRequest {
    /// Are we the same? Answered by [`SyncResponse::Opened`].
    Open(Open),
    /// Which ids differ? Answered by [`SyncResponse::Reconciled`].
    Reconcile {
        /// Which shard.
        shard: Shard,
        /// Which set.
        set: Set,
        /// 1 to [`RECONCILE_BUCKETS_MAX`] buckets, in ascending order of hours.
        buckets: Vec<BucketMessage>,
    },
    /// Give me these. Answered by [`SyncResponse::Frames`].
    Fetch {
        /// 1 to [`FETCH_IDS_MAX`] ids.
        ids: Vec<RecordId>,
    },
    /// Take these. Answered by [`SyncResponse::Pushed`].
    Push {
        /// 1 to [`FRAMES_MAX`] frames.
        frames: Vec<SyncFrame>,
    },
    /// What do you know about these envelopes? Answered by [`SyncResponse::News`].
    About {
        /// 1 to [`ABOUT_IDS_MAX`] ids of envelopes.
        ids: Vec<RecordId>,
    },
    /// I have these, and they are new: fetch what you lack. Answered by [`SyncResponse::Noted`] before anything is fetched.
    Offer {
        /// The sender's shard bits.
        bits: ShardBits,
        /// In which shard they lie.
        shard: Shard,
        /// 1 to [`OFFER_IDS_MAX`] ids.
        ids: Vec<RecordId>,
    },
}

/// What it answers.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub enum SyncResponse {
    /// The request is of no kind that this node knows: a newer one, perhaps.
    Unsupported,
    /// This node does not carry that shard, or its network has other shard bits.
    NotCarried {
        /// The responder's shard bits.
        bits: ShardBits,
        /// The responder's postage.
        postage_bits: u8,
    },
    /// This node has too much to do: ask again later.
    Busy,
    /// Answers [`SyncRequest::Open`].
    Opened(Opened),
    /// Answers [`SyncRequest::Reconcile`] for the first buckets asked about, at least one, in the same order; the others
    /// were too much work at once and may be asked about again.
    Reconciled {
        /// The messages.
        buckets: Vec<BucketMessage>,
    },
    /// Answers [`SyncRequest::Fetch`] for the first `frames.len() + not_held.len()` ids asked for, at least one; the
    /// others did not fit and may be asked for again. Frames are in the order of the ids.
    Frames {
        /// The frames.
        frames: Vec<SyncFrame>,
        /// Ids among them that this node has no frame of, in the same order.
        not_held: Vec<RecordId>,
    },
    /// Answers [`SyncRequest::Push`] once the frames have been dealt with, so that the next may come.
    Pushed {
        /// How many of the frames, from the first, the responder looked at; what is wrong with any of them it keeps to
        /// itself.
        taken: u32,
    },
    /// Answers [`SyncRequest::About`].
    News {
        /// Acks and custody receipts that name any of the envelopes, as many as fit.
        frames: Vec<SyncFrame>,
        /// Envelopes that this node knows nothing of: pushing them is worth it.
        unknown: Vec<RecordId>,
    },
    /// Answers [`SyncRequest::Offer`].
    Noted,
}

/// Why bytes are no sync message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SyncMessageError {
    /// Longer than [`SYNC_BYTES_MAX`].
    #[error("the sync message is longer than 1 MiB")]
    TooLong,
    /// No canonical encoding of a message that this version knows.
    #[error("no sync message that this version knows: {0}")]
    Codec(#[from] CodecError),
    /// A message of a known form with a list that is empty, too long, or out of order.
    #[error("a list in the sync message breaks its bounds: {0}")]
    Bounds(&'static str),
}

impl SyncRequest {
    /// The message's bytes.
    #[must_use]
    pub fn encode(&self) -> Bytes {
        Bytes::from(codec::encode(self))
    }

    /// Reads a request from hostile bytes.
    ///
    /// # Errors
    /// [`SyncMessageError`]; the right answer to all of them is [`SyncResponse::Unsupported`].
    pub fn decode(bytes: &[u8]) -> Result<Self, SyncMessageError> {
        let request: Self = decode_bounded(bytes)?;
        match &request {
            Self::Open(open) => check(open.shard.0 < open.bits.shard_count(), "shard")?,
            Self::Reconcile { buckets, .. } => check_buckets(buckets)?,
            Self::Fetch { ids } => check_ids(ids, 1, FETCH_IDS_MAX)?,
            Self::Push { frames } => check_frames(frames, 1)?,
            Self::About { ids } => check_ids(ids, 1, ABOUT_IDS_MAX)?,
            Self::Offer { bits, shard, ids } => {
                check(shard.0 < bits.shard_count(), "shard")?;
                check_ids(ids, 1, OFFER_IDS_MAX)?;
            }
        }
        Ok(request)
    }
}

impl SyncResponse {
    /// The message's bytes.
    #[must_use]
    pub fn encode(&self) -> Bytes {
        Bytes::from(codec::encode(self))
    }

    /// Reads a response from hostile bytes.
    ///
    /// # Errors
    /// [`SyncMessageError`].
    pub fn decode(bytes: &[u8]) -> Result<Self, SyncMessageError> {
        let response: Self = decode_bounded(bytes)?;
        match &response {
            Self::Unsupported | Self::NotCarried { .. } | Self::Busy | Self::Pushed { .. } | Self::Noted => {}
            Self::Opened(opened) => check_digests(opened)?,
            Self::Reconciled { buckets } => check_buckets(buckets)?,
            Self::Frames { frames, not_held } => {
                check_frames(frames, 0)?;
                check_ids(not_held, 0, FETCH_IDS_MAX)?;
                check(!frames.is_empty() || !not_held.is_empty(), "an answer about no id")?;
            }
            Self::News { frames, unknown } => {
                check_frames(frames, 0)?;
                check_ids(unknown, 0, ABOUT_IDS_MAX)?;
            }
        }
        Ok(response)
    }
}

/// Fills messages: collects frames until the next one would not fit.
#[derive(Debug, Default)]
pub struct FrameBudget {
    frames: Vec<SyncFrame>,
    bytes: usize,
}

impl FrameBudget {
    /// Adds a frame. Gives it back where it does not fit beside those already here.
    ///
    /// # Errors
    /// The frame that did not fit.
    pub fn add(&mut self, frame: Bytes) -> Result<(), Bytes> {
        if self.frames.len() >= FRAMES_MAX || self.bytes + frame.len() > FRAMES_BYTES_MAX {
            return Err(frame);
        }
        self.bytes += frame.len();
        self.frames.push(SyncFrame(frame));
        Ok(())
    }

    /// Whether there is no frame yet.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.frames.is_empty()
    }

    /// Their bytes.
    #[must_use]
    pub const fn bytes(&self) -> usize {
        self.bytes
    }

    /// How many frames there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.frames.len()
    }

    /// The frames.
    #[must_use]
    pub fn into_frames(self) -> Vec<SyncFrame> {
        self.frames
    }
}

fn decode_bounded<T: Encode + Decode<()>>(bytes: &[u8]) -> Result<T, SyncMessageError> {
    if bytes.len() > SYNC_BYTES_MAX {
        return Err(SyncMessageError::TooLong);
    }
    Ok(codec::decode(bytes)?)
}

fn check(holds: bool, what: &'static str) -> Result<(), SyncMessageError> {
    if holds { Ok(()) } else { Err(SyncMessageError::Bounds(what)) }
}

fn check_ids(ids: &[RecordId], min: usize, max: usize) -> Result<(), SyncMessageError> {
    check((min..=max).contains(&ids.len()), "number of ids")
}

fn check_frames(frames: &[SyncFrame], min: usize) -> Result<(), SyncMessageError> {
    check((min..=FRAMES_MAX).contains(&frames.len()), "number of frames")?;
    let fits = |frame: &SyncFrame| (FRAME_BYTES_MIN..=FRAME_BYTES_MAX).contains(&frame.0.len());
    check(frames.iter().all(fits), "length of a frame")
}

fn check_buckets(buckets: &[BucketMessage]) -> Result<(), SyncMessageError> {
    check((1..=RECONCILE_BUCKETS_MAX).contains(&buckets.len()), "number of buckets")?;
    check(buckets.is_sorted_by(|a, b| a.hour < b.hour), "order of buckets")?;
    let bytes: usize = buckets.iter().map(|bucket| bucket.message.len()).sum();
    check(bytes <= RECONCILE_BYTES_MAX, "length of the messages")
}

fn check_digests(opened: &Opened) -> Result<(), SyncMessageError> {
    let digests = opened.digests.as_deref().unwrap_or_default();
    check(digests.len() <= DIGESTS_MAX, "number of digests")?;
    check(digests.is_sorted_by(|a, b| a.hour < b.hour), "order of digests")?;
    check(digests.iter().all(|digest| digest.count > 0 && digest.hour >= opened.first), "an empty or early digest")
}

#[cfg(test)]
mod tests;
