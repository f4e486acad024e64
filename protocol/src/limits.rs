//! Every limit of the wire format, each with its reason.

/// A frame, from kind byte to signature. The largest payload bucket (64 KiB) plus header, suite byte and signature
/// fit with room for future header fields; one record then always fits a gossip message of 72 KiB.
pub const FRAME_BYTES_MAX: usize = 68 * 1024;

/// Bytes before the body: kind, version, body length.
pub const FRAME_HEADER_BYTES: usize = 1 + 1 + 4;

/// An Ed25519 signature.
pub const SIGNATURE_BYTES: usize = 64;

/// The smallest frame that can be split: an empty body.
pub const FRAME_BYTES_MIN: usize = FRAME_HEADER_BYTES + SIGNATURE_BYTES;

/// A body.
pub const BODY_BYTES_MAX: usize = FRAME_BYTES_MAX - FRAME_BYTES_MIN;

/// What `codec` lets one value decode to: a sync message of 1 MiB and its framing. Frames are held to
/// [`FRAME_BYTES_MAX`] before they come near the decoder.
pub const DECODE_BYTES_MAX: usize = 1024 * 1024 + 64 * 1024;

/// A sync message on the wire: large enough to amortise a round trip, small enough that sixty of them in flight do
/// not trouble a small machine.
pub const SYNC_BYTES_MAX: usize = 1024 * 1024;

/// Ids in one ack or custody receipt: one signature then covers a page of mail, and a receipt stays near 9 KiB.
pub const ITEMS_MAX: usize = 256;

/// How long a record may live. The longest outage Griot is for is a month.
pub const LIFE_SECONDS_MAX: u64 = 30 * 24 * 3600;

/// How far ahead of the reader's clock `created_at` may lie: phones without NTP drift by minutes, not by hours.
pub const AHEAD_SECONDS_MAX: u64 = 10 * 60;

/// How long a custody grant may run: a home that is never asked again loses its voice within a year.
pub const GRANT_SECONDS_MAX: u64 = 400 * 24 * 3600;

/// A network's name: it is part of every topic and every signature.
pub const NETWORK_NAME_BYTES_MAX: usize = 32;

/// Shard bits: 65,536 shards are enough for a billion people at a few thousand carriers each.
pub const SHARD_BITS_MAX: u8 = 16;

/// Postage bits beyond which an honest phone would grind for minutes.
pub const POSTAGE_BITS_MAX: u8 = 32;

/// Tries when grinding a mailbox nonce into a wanted shard: 64 times the mean at 16 bits, so that it fails less often
/// than once in 10²⁷.
pub const GRIND_SHARD_TRIES_MAX: u32 = 64 << SHARD_BITS_MAX;
