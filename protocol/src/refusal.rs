//! Why a record is refused, and what that says about whoever sent it.

/// What a refusal means for the peer that handed the record over.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Class {
    /// No honest implementation sends this: the peer may be punished.
    Invalid,
    /// Perhaps valid at another time or for another clock: ignore, may be asked for again.
    Time,
    /// From a newer implementation, perhaps: ignore and count.
    Unknown,
    /// Valid, but this node does not want it now: ignore.
    Unwanted,
}

/// Why a record is refused. The text of [`Refusal::reason`] is stable: it names counters and appears in answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, thiserror::Error)]
pub enum Refusal {
    /// Shorter than a header and a signature, or than its length field says.
    #[error("the frame is truncated")]
    Truncated,
    /// Longer than [`FRAME_BYTES_MAX`](crate::limits::FRAME_BYTES_MAX).
    #[error("the frame is larger than 68 KiB")]
    Oversized,
    /// The length field does not match the frame.
    #[error("the frame's length field does not match its length")]
    Length,
    /// A kind this version does not know.
    #[error("unknown record kind")]
    UnknownKind,
    /// A version of a known kind that this version does not know.
    #[error("unknown record version")]
    UnknownVersion,
    /// The body is no encoding of this kind of record.
    #[error("the body is malformed")]
    Malformed,
    /// Bytes follow the body's last field.
    #[error("bytes follow the body's last field")]
    Trailing,
    /// The body decodes, but is not the shortest encoding of what it says.
    #[error("the body's encoding is not canonical")]
    NotCanonical,
    /// The payload has no suite byte, or its ciphertext fills none of the buckets exactly.
    #[error("the payload does not fill a bucket exactly")]
    Bucket,
    /// No items, more than 256, or not in strictly ascending order.
    #[error("items must be 1 to 256 in strictly ascending order")]
    Items,
    /// An ack for a mailbox with many readers.
    #[error("a shared mailbox takes no acks")]
    AckOfShared,
    /// An ack whose `expires_at` is not its latest item's `created_at` + 30 days.
    #[error("an ack expires 30 days after its latest item was created")]
    AckExpiry,
    /// `expires_at` is not after `created_at` (or `stored_at`).
    #[error("the record expires before it begins")]
    Backwards,
    /// A life of more than 30 days.
    #[error("the record's life is longer than 30 days")]
    LifeTooLong,
    /// `created_at` is more than 10 minutes ahead of this clock.
    #[error("the record was created in the future")]
    Future,
    /// `expires_at` is past.
    #[error("the record has expired")]
    Expired,
    /// The id has too few leading zero bits.
    #[error("the postage is too low")]
    Postage,
    /// The signature does not match key, bytes, kind and network.
    #[error("the signature is not valid")]
    Signature,
    /// A custody receipt whose grant was not signed by the mailbox's collect key for this node, or had run out.
    #[error("the custody grant is not valid")]
    Grant,
}

impl Refusal {
    /// A short stable name, for counters and scripts.
    #[must_use]
    pub const fn reason(self) -> &'static str {
        match self {
            Self::Truncated => "truncated",
            Self::Oversized => "oversized",
            Self::Length => "length",
            Self::UnknownKind => "unknown-kind",
            Self::UnknownVersion => "unknown-version",
            Self::Malformed => "malformed",
            Self::Trailing => "trailing",
            Self::NotCanonical => "not-canonical",
            Self::Bucket => "bucket",
            Self::Items => "items",
            Self::AckOfShared => "ack-of-shared",
            Self::AckExpiry => "ack-expiry",
            Self::Backwards => "backwards",
            Self::LifeTooLong => "life-too-long",
            Self::Future => "future",
            Self::Expired => "expired",
            Self::Postage => "postage",
            Self::Signature => "signature",
            Self::Grant => "grant",
        }
    }

    /// What it says about the sender.
    #[must_use]
    pub const fn class(self) -> Class {
        match self {
            Self::UnknownKind | Self::UnknownVersion => Class::Unknown,
            Self::LifeTooLong | Self::Future | Self::Expired => Class::Time,
            // Postage is a network parameter that nodes may change at different times.
            Self::Postage => Class::Unwanted,
            _ => Class::Invalid,
        }
    }
}
