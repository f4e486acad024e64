//! Records: from hostile bytes to something that was proven.
//!
//! [`Unverified::parse`] checks all that can be checked without a clock or a key and computes the id;
//! [`Unverified::check_times`] and [`Unverified::check_postage`] are cheap; [`Unverified::verify`] does the one
//! expensive thing, a strict signature check, and alone makes a [`Record`].
//!
//! The id is BLAKE3 in derive-key mode (context [`ID_CONTEXT`]) over
//!
//! ```text
//! kind u8 ‖ version u8 ‖ header ‖ BLAKE3(payload)
//! ```
//!
//! where `header` is the body without the payload field (the whole body for acks and custody receipts, whose payload
//! is empty). The signature is left out: who signed is fixed by the keys in the header.

use std::sync::{Arc, OnceLock};

use bytes::Bytes;

use crate::{
    ack::Ack,
    codec::{self, CodecError},
    custody::Custody,
    envelope::{EnvelopeBody, EnvelopeHeader},
    frame::{self, Parts, RecordKind, VERSION},
    id::{Address, RecordId},
    keys,
    limits::{AHEAD_SECONDS_MAX, LIFE_SECONDS_MAX, SIGNATURE_BYTES},
    mailbox::MailboxKeys,
    network::NetworkName,
    padding, postage,
    postage::Stamp,
    refusal::Refusal,
    time::Timestamp,
};

/// BLAKE3 derive-key context of record ids.
pub const ID_CONTEXT: &str = "griot 2026 record id v1";

/// What a record says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Body {
    /// An envelope; its payload is [`Record::payload`].
    Envelope(EnvelopeHeader),
    /// An ack.
    Ack(Ack),
    /// A custody receipt.
    Custody(Custody),
}

impl Body {
    /// The mailbox it concerns.
    #[must_use]
    pub const fn keys(&self) -> &MailboxKeys {
        match self {
            Self::Envelope(header) => &header.keys,
            Self::Ack(ack) => &ack.keys,
            Self::Custody(custody) => &custody.keys,
        }
    }

    /// When every node may drop it.
    #[must_use]
    pub const fn expires_at(&self) -> Timestamp {
        match self {
            Self::Envelope(header) => header.expires_at,
            Self::Ack(ack) => ack.expires_at,
            Self::Custody(custody) => custody.expires_at,
        }
    }

    /// When it was made: `created_at`, the latest item's for an ack, `stored_at` for a receipt.
    #[must_use]
    pub fn created_at(&self) -> Timestamp {
        match self {
            Self::Envelope(header) => header.created_at,
            Self::Ack(ack) => ack.expires_at.minus(LIFE_SECONDS_MAX),
            Self::Custody(custody) => custody.stored_at,
        }
    }

    /// Which kind it is.
    #[must_use]
    pub const fn kind(&self) -> RecordKind {
        match self {
            Self::Envelope(_) => RecordKind::Envelope,
            Self::Ack(_) => RecordKind::Ack,
            Self::Custody(_) => RecordKind::Custody,
        }
    }
}

/// A frame that is well-formed, whose signature nobody has checked.
#[derive(Clone, Debug)]
pub struct Unverified {
    record: Record,
}

impl Unverified {
    /// Parses a frame: length, kind, version, canonical body, shape; computes id and address.
    ///
    /// # Errors
    /// The first rule that the bytes break.
    pub fn parse(frame: Bytes) -> Result<Self, Refusal> {
        let parts = frame::split(&frame)?;
        let (body, payload_len) = parse_body(&parts)?;
        // The body is canonical, so its header is as long as the header's own encoding.
        let header_len = match &body {
            Body::Envelope(header) => codec::encode(header).len(),
            Body::Ack(_) | Body::Custody(_) => parts.body.len(),
        };
        let payload = &parts.body[parts.body.len() - payload_len..];
        let id = compute_id(parts.kind, &parts.body[..header_len], payload);
        Ok(Self { record: Record::trusted(frame, id, body, payload_len) })
    }

    /// Checks the rules of time against `now`.
    ///
    /// # Errors
    /// [`Refusal::Future`] or [`Refusal::Expired`]: neither is the sender's fault.
    pub fn check_times(&self, now: Timestamp) -> Result<(), Refusal> {
        self.record.check_times(now)
    }

    /// Checks the postage.
    ///
    /// # Errors
    /// [`Refusal::Postage`].
    pub fn check_postage(&self, bits: u8) -> Result<(), Refusal> {
        if postage::bits_of(&self.record.id()) < bits { Err(Refusal::Postage) } else { Ok(()) }
    }

    /// Checks the signature (about 43 µs of one core; twice that for a custody receipt, whose grant is checked too).
    ///
    /// # Errors
    /// [`Refusal::Signature`] or [`Refusal::Grant`].
    pub fn verify(self, network: &NetworkName) -> Result<Record, Refusal> {
        let parts = frame::split(self.record.frame())?;
        let message = frame::to_sign(parts.kind.domain(), network, parts.signed);
        let signer = match self.record.body() {
            Body::Envelope(header) => header.keys.deliver.0,
            Body::Ack(ack) => ack.keys.collect.0,
            Body::Custody(custody) => custody.node.0,
        };
        keys::verify(&signer, &message, &parts.signature)?;
        if let Body::Custody(custody) = self.record.body() {
            custody.grant.verify(network, &custody.keys.collect, &self.record.address(), &custody.node)?;
        }
        Ok(self.record)
    }

    /// What the record claims to be. Its id counts as *seen* only once [`verify`](Self::verify) succeeded.
    #[must_use]
    pub const fn claimed(&self) -> &Record {
        &self.record
    }

    /// Takes the record from this machine's own disk, where only verified records are written and a checksum was
    /// checked. Never for bytes from anywhere else.
    #[must_use]
    pub fn from_own_disk(self) -> Record {
        self.record
    }
}

/// A record whose signature was checked. It can only be made by [`Unverified::verify`] or by signing one. Clones share
/// everything: a record is cloned on its way to the disk, to gossip and to streams.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    parts: Arc<RecordParts>,
}

#[derive(Debug, PartialEq, Eq)]
struct RecordParts {
    frame: Bytes,
    id: RecordId,
    address: Address,
    body: Body,
    payload_len: usize,
}

impl Record {
    /// A record that this process has just signed, or is about to check.
    pub(crate) fn trusted(frame: Bytes, id: RecordId, body: Body, payload_len: usize) -> Self {
        let address = body.keys().address();
        Self { parts: Arc::new(RecordParts { frame, id, address, body, payload_len }) }
    }

    /// The frame as it is on the wire and on disk.
    #[must_use]
    pub fn frame(&self) -> &Bytes {
        &self.parts.frame
    }

    /// Its id.
    #[must_use]
    pub fn id(&self) -> RecordId {
        self.parts.id
    }

    /// The address of the mailbox it concerns.
    #[must_use]
    pub fn address(&self) -> Address {
        self.parts.address
    }

    /// What it says.
    #[must_use]
    pub fn body(&self) -> &Body {
        &self.parts.body
    }

    /// Which kind it is.
    #[must_use]
    pub fn kind(&self) -> RecordKind {
        self.parts.body.kind()
    }

    /// When every node may drop it.
    #[must_use]
    pub fn expires_at(&self) -> Timestamp {
        self.parts.body.expires_at()
    }

    /// An envelope's payload; empty for the other kinds.
    #[must_use]
    pub fn payload(&self) -> Bytes {
        let end = self.parts.frame.len() - SIGNATURE_BYTES;
        self.parts.frame.slice(end - self.parts.payload_len..end)
    }

    /// Checks the rules of time against `now`.
    ///
    /// # Errors
    /// [`Refusal::Future`] or [`Refusal::Expired`]: neither is the sender's fault.
    pub fn check_times(&self, now: Timestamp) -> Result<(), Refusal> {
        if self.body().created_at() > now.plus(AHEAD_SECONDS_MAX) {
            return Err(Refusal::Future);
        }
        if self.body().expires_at() <= now {
            return Err(Refusal::Expired);
        }
        Ok(())
    }
}

/// Decodes the body and checks its shape; also returns the payload's length.
fn parse_body(parts: &Parts<'_>) -> Result<(Body, usize), Refusal> {
    let refuse = |error| match error {
        CodecError::Invalid => Refusal::Malformed,
        CodecError::Trailing => Refusal::Trailing,
        CodecError::NotCanonical => Refusal::NotCanonical,
    };
    match parts.kind {
        RecordKind::Envelope => {
            let EnvelopeBody { header, payload } = codec::decode(parts.body).map_err(refuse)?;
            padding::check(&payload)?;
            check_life(header.created_at, header.expires_at)?;
            Ok((Body::Envelope(header), payload.len()))
        }
        RecordKind::Ack => {
            let ack: Ack = codec::decode(parts.body).map_err(refuse)?;
            ack.check_shape()?;
            Ok((Body::Ack(ack), 0))
        }
        RecordKind::Custody => {
            let custody: Custody = codec::decode(parts.body).map_err(refuse)?;
            custody.check_shape()?;
            Ok((Body::Custody(custody), 0))
        }
    }
}

/// Checks that a life runs forwards and no longer than 30 days.
pub(crate) fn check_life(from: Timestamp, to: Timestamp) -> Result<(), Refusal> {
    if to <= from {
        return Err(Refusal::Backwards);
    }
    if to.since(from) > LIFE_SECONDS_MAX { Err(Refusal::LifeTooLong) } else { Ok(()) }
}

/// Whether there are 1 to `max` items in strictly ascending order.
pub(crate) fn is_ascending<T: Ord>(items: &[T], max: usize) -> bool {
    !items.is_empty() && items.len() <= max && items.is_sorted_by(|a, b| a < b)
}

/// The hasher of ids, with its context already absorbed.
fn id_hasher() -> blake3::Hasher {
    static BASE: OnceLock<blake3::Hasher> = OnceLock::new();
    BASE.get_or_init(|| blake3::Hasher::new_derive_key(ID_CONTEXT)).clone()
}

fn compute_id(kind: RecordKind, header: &[u8], payload: &[u8]) -> RecordId {
    id_with_payload_hash(kind, header, blake3::hash(payload).as_bytes())
}

fn id_with_payload_hash(kind: RecordKind, header: &[u8], payload_hash: &[u8; 32]) -> RecordId {
    let mut hasher = id_hasher();
    hasher.update(&[kind.byte(), VERSION]);
    hasher.update(header);
    hasher.update(payload_hash);
    RecordId(*hasher.finalize().as_bytes())
}

/// Finds a stamp under which the record's id has `bits` leading zeros. `header` ends with the eight bytes of the stamp.
pub(crate) fn grind(kind: RecordKind, header: &[u8], payload: &[u8], bits: u8) -> (Stamp, RecordId) {
    let payload_hash = *blake3::hash(payload).as_bytes();
    let mut header = header.to_vec();
    let at = header.len() - 8;
    let mut counter: u64 = 0;
    loop {
        let stamp = Stamp(counter.to_le_bytes());
        header[at..].copy_from_slice(&stamp.0);
        let id = id_with_payload_hash(kind, &header, &payload_hash);
        if postage::bits_of(&id) >= bits {
            return (stamp, id);
        }
        counter += 1;
    }
}
