//! Frames: `[kind u8][version u8][body_len u32 LE][body][signature 64]`.
//!
//! What is signed is a domain tag for the kind, the network's name, and the raw frame up to the signature:
//!
//! ```text
//! "griot 1 envelope" ‖ 0x00 ‖ len(network) u8 ‖ network ‖ kind ‖ version ‖ body_len ‖ body
//! ```
//!
//! The received bytes are signed, hashed, stored and passed on as they came. Nothing is ever decoded, encoded again
//! and then verified: that is where signature bypasses come from.

use crate::{
    keys::Signature,
    limits::{FRAME_BYTES_MAX, FRAME_BYTES_MIN, FRAME_HEADER_BYTES, SIGNATURE_BYTES},
    network::NetworkName,
    refusal::Refusal,
};

/// The version of all three kinds.
pub const VERSION: u8 = 1;

/// What a frame holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum RecordKind {
    /// Sealed bytes for a mailbox.
    Envelope,
    /// "Collected."
    Ack,
    /// "On my disk."
    Custody,
}

impl RecordKind {
    /// All kinds, in the order of their bytes.
    pub const ALL: [Self; 3] = [Self::Envelope, Self::Ack, Self::Custody];

    /// The kind byte.
    #[must_use]
    pub const fn byte(self) -> u8 {
        match self {
            Self::Envelope => 1,
            Self::Ack => 2,
            Self::Custody => 3,
        }
    }

    /// The kind with this byte, if this version knows it.
    #[must_use]
    pub fn from_byte(byte: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.byte() == byte)
    }

    /// The kind's name in counters and answers.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Envelope => "envelope",
            Self::Ack => "ack",
            Self::Custody => "custody",
        }
    }

    /// The domain tag under which this kind is signed.
    #[must_use]
    pub const fn domain(self) -> &'static str {
        match self {
            Self::Envelope => "griot 1 envelope",
            Self::Ack => "griot 1 ack",
            Self::Custody => "griot 1 custody",
        }
    }
}

/// A frame cut into its parts, nothing of which has been believed yet.
#[derive(Clone, Copy, Debug)]
pub struct Parts<'a> {
    /// What the body is.
    pub kind: RecordKind,
    /// The body.
    pub body: &'a [u8],
    /// Everything but the signature.
    pub signed: &'a [u8],
    /// The signature.
    pub signature: Signature,
}

/// Cuts a frame into its parts.
///
/// Kind and version are judged before the rest, because a newer version may lay out the rest differently.
///
/// # Errors
/// [`Refusal::Truncated`], [`Refusal::Oversized`], [`Refusal::UnknownKind`], [`Refusal::UnknownVersion`] or
/// [`Refusal::Length`].
pub fn split(frame: &[u8]) -> Result<Parts<'_>, Refusal> {
    if frame.len() > FRAME_BYTES_MAX {
        return Err(Refusal::Oversized);
    }
    let [kind, version, l0, l1, l2, l3, rest @ ..] = frame else {
        return Err(Refusal::Truncated);
    };
    let kind = RecordKind::from_byte(*kind).ok_or(Refusal::UnknownKind)?;
    if *version != VERSION {
        return Err(Refusal::UnknownVersion);
    }
    if frame.len() < FRAME_BYTES_MIN {
        return Err(Refusal::Truncated);
    }
    let body_len = u32::from_le_bytes([*l0, *l1, *l2, *l3]) as usize;
    let (body, signature) = rest.split_at(rest.len() - SIGNATURE_BYTES);
    if body.len() < body_len {
        return Err(Refusal::Truncated);
    }
    if body.len() != body_len {
        return Err(Refusal::Length);
    }
    let mut bytes = [0; SIGNATURE_BYTES];
    bytes.copy_from_slice(signature);
    Ok(Parts { kind, body, signed: &frame[..frame.len() - SIGNATURE_BYTES], signature: Signature(bytes) })
}

/// The frame of `kind` around `body`, up to the signature.
pub(crate) fn unsigned(kind: RecordKind, body: &[u8]) -> Vec<u8> {
    let mut frame = Vec::with_capacity(FRAME_HEADER_BYTES + body.len() + SIGNATURE_BYTES);
    frame.push(kind.byte());
    frame.push(VERSION);
    frame.extend_from_slice(&(body.len() as u32).to_le_bytes());
    frame.extend_from_slice(body);
    frame
}

/// What is signed for `signed` bytes in `network` under `domain`.
pub(crate) fn to_sign(domain: &str, network: &NetworkName, signed: &[u8]) -> Vec<u8> {
    let name = network.as_str().as_bytes();
    let mut message = Vec::with_capacity(domain.len() + 2 + name.len() + signed.len());
    message.extend_from_slice(domain.as_bytes());
    message.push(0);
    message.push(name.len() as u8);
    message.extend_from_slice(name);
    message.extend_from_slice(signed);
    message
}
