//! Mailboxes, their addresses, and the shards they fall into.
//!
//! A mailbox is a one-way letter box with two key pairs: the **deliver** secret lets you put envelopes in, the
//! **collect** secret lets you take them out. Recipients make mailboxes and *give* the deliver secret to those they
//! want to hear from; withdrawing the mailbox ends that. Its address is a hash of its public keys, so that it needs no
//! registry.

use bincode::{Decode, Encode};
use serde::{Deserialize, Serialize};

use crate::{
    codec,
    id::Address,
    keys::{CollectKey, DeliverKey},
    limits::{GRIND_SHARD_TRIES_MAX, SHARD_BITS_MAX},
};

/// BLAKE3 derive-key context of addresses.
pub const ADDRESS_CONTEXT: &str = "griot 2026 mailbox address v1";

/// Who reads a mailbox.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Encode, Decode, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum MailboxKind {
    /// One reader: an ack with `release` removes an envelope.
    Direct,
    /// Many readers (groups, channels): only expiry removes, acks are refused.
    Shared,
}

/// The public half of a mailbox. 70 bytes encoded while `nonce` is below 251.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Encode, Decode, Serialize, Deserialize)]
pub struct MailboxKeys {
    /// Who reads it.
    pub kind: MailboxKind,
    /// Envelopes are signed with this key.
    pub deliver: DeliverKey,
    /// Acks, registrations and grants are signed with this key.
    pub collect: CollectKey,
    /// Chosen by the recipient so that the address falls into a wanted shard.
    pub nonce: u32,
}

impl MailboxKeys {
    /// The mailbox's address.
    #[must_use]
    pub fn address(&self) -> Address {
        Address(blake3::derive_key(ADDRESS_CONTEXT, &codec::encode(self)))
    }

    /// Tries nonces, from the present one up, until the address falls into `shard`. `None` where none does within
    /// [`GRIND_SHARD_TRIES_MAX`] tries.
    #[must_use]
    pub fn grind_into(mut self, shard: Shard, bits: ShardBits) -> Option<Self> {
        for _ in 0..GRIND_SHARD_TRIES_MAX {
            if self.address().shard(bits) == shard {
                return Some(self);
            }
            self.nonce = self.nonce.wrapping_add(1);
        }
        None
    }
}

/// How many leading bits of an address name its shard: 0 to 16.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Encode, Serialize, Deserialize)]
#[serde(try_from = "u8", into = "u8")]
pub struct ShardBits(u8);

/// More shard bits than a network may have.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a network has 0 to {SHARD_BITS_MAX} shard bits")]
pub struct ShardBitsError;

impl ShardBits {
    /// One shard: everybody carries everything.
    pub const ZERO: Self = Self(0);

    /// The number of bits.
    #[must_use]
    pub const fn get(self) -> u8 {
        self.0
    }

    /// How many shards there are.
    #[must_use]
    pub const fn shard_count(self) -> u32 {
        1 << self.0
    }

    /// All shards in order.
    pub fn shards(self) -> impl Iterator<Item = Shard> {
        (0..self.shard_count()).map(Shard)
    }
}

impl TryFrom<u8> for ShardBits {
    type Error = ShardBitsError;

    fn try_from(bits: u8) -> Result<Self, ShardBitsError> {
        if bits > SHARD_BITS_MAX { Err(ShardBitsError) } else { Ok(Self(bits)) }
    }
}

impl From<ShardBits> for u8 {
    fn from(bits: ShardBits) -> Self {
        bits.0
    }
}

impl<Context> Decode<Context> for ShardBits {
    fn decode<D: bincode::de::Decoder<Context = Context>>(
        decoder: &mut D,
    ) -> Result<Self, bincode::error::DecodeError> {
        Self::try_from(u8::decode(decoder)?).map_err(|_| bincode::error::DecodeError::Other("shard bits"))
    }
}
bincode::impl_borrow_decode!(ShardBits);

/// One part of the address space: the leading bits of its addresses as a number.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Encode, Decode, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Shard(pub u32);

impl Shard {
    /// The two shards that this one becomes when a network adds a bit. No mailbox moves out of its parent.
    #[must_use]
    pub const fn children(self) -> [Self; 2] {
        [Self(self.0 << 1), Self(self.0 << 1 | 1)]
    }
}

impl Address {
    /// The shard this address falls into.
    #[must_use]
    pub fn shard(&self, bits: ShardBits) -> Shard {
        let lead = u32::from_be_bytes([self.0[0], self.0[1], self.0[2], self.0[3]]);
        Shard(lead.checked_shr(32 - u32::from(bits.0)).unwrap_or(0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keys() -> MailboxKeys {
        MailboxKeys { kind: MailboxKind::Direct, deliver: DeliverKey([1; 32]), collect: CollectKey([2; 32]), nonce: 0 }
    }

    #[test]
    fn the_address_depends_on_every_field() {
        let base = keys();
        let others = [
            MailboxKeys { kind: MailboxKind::Shared, ..base },
            MailboxKeys { deliver: DeliverKey([3; 32]), ..base },
            MailboxKeys { collect: CollectKey([3; 32]), ..base },
            MailboxKeys { nonce: 1, ..base },
        ];
        for other in others {
            assert_ne!(base.address(), other.address());
        }
    }

    #[test]
    fn grinding_reaches_every_shard_and_children_keep_their_mailboxes() {
        let bits = ShardBits::try_from(3).unwrap();
        let finer = ShardBits::try_from(4).unwrap();
        for shard in bits.shards() {
            let ground = keys().grind_into(shard, bits).unwrap();
            assert_eq!(ground.address().shard(bits), shard);
            assert!(shard.children().contains(&ground.address().shard(finer)));
        }
    }

    #[test]
    fn zero_bits_is_one_shard() {
        assert_eq!(keys().address().shard(ShardBits::ZERO), Shard(0));
        assert_eq!(ShardBits::ZERO.shards().count(), 1);
    }
}
