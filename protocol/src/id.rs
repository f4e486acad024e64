//! The 32-byte names of things: records, mailboxes, nodes.

use bincode::{Decode, Encode};
use zeroize::Zeroize;

/// Text that is not the name it should be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("expected {expected} lowercase hex digits")]
pub struct ParseHexError {
    /// How many digits there should be.
    pub expected: usize,
}

/// Gives a byte-array newtype its text form (lowercase hex), in `Debug`, `Display`, `FromStr` and serde alike.
macro_rules! hex_newtype {
    ($name:ident, $bytes:expr) => {
        impl $name {
            /// The bytes.
            #[must_use]
            pub const fn as_bytes(&self) -> &[u8; $bytes] {
                &self.0
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(&data_encoding::HEXLOWER.encode(&self.0))
            }
        }

        impl std::fmt::Debug for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                write!(f, "{}({self})", stringify!($name))
            }
        }

        impl std::str::FromStr for $name {
            type Err = $crate::id::ParseHexError;

            fn from_str(text: &str) -> Result<Self, Self::Err> {
                let error = $crate::id::ParseHexError { expected: $bytes * 2 };
                let bytes = data_encoding::HEXLOWER.decode(text.as_bytes()).map_err(|_| error)?;
                <[u8; $bytes]>::try_from(bytes).map(Self).map_err(|_| error)
            }
        }

        impl serde::Serialize for $name {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl<'de> serde::Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = <std::borrow::Cow<'de, str>>::deserialize(deserializer)?;
                text.parse().map_err(serde::de::Error::custom)
            }
        }
    };
}
pub(crate) use hex_newtype;

/// The name of a record: a hash of all of it but its signature. See [`record`](crate::record) for how it is made.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Encode, Decode)]
pub struct RecordId(pub [u8; 32]);
hex_newtype!(RecordId, 32);

/// The address of a mailbox: a hash of its public keys, so it proves which keys may write and read.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Encode, Decode, Zeroize)]
pub struct Address(pub [u8; 32]);
hex_newtype!(Address, 32);

/// A node: its Ed25519 public key, the same key that its libp2p peer id is made from.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Encode, Decode)]
pub struct NodeId(pub [u8; 32]);
hex_newtype!(NodeId, 32);
