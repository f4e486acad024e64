//! A network: nodes that share a name and two parameters.

use serde::{Deserialize, Serialize};

use crate::{
    limits::{NETWORK_NAME_BYTES_MAX, POSTAGE_BITS_MAX},
    mailbox::ShardBits,
    refusal::Refusal,
};

/// A network's name: 1 to 32 of `a`–`z`, `0`–`9` and `-`. It is part of every signature, so that nothing signed for
/// one network is valid in another.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct NetworkName(String);

/// Text that cannot name a network.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a network name is 1 to 32 of a-z, 0-9 and -")]
pub struct NetworkNameError;

impl NetworkName {
    /// The name that nodes use unless told otherwise.
    #[must_use]
    pub fn standard() -> Self {
        Self("griot".to_owned())
    }

    /// The name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for NetworkName {
    type Error = NetworkNameError;

    fn try_from(name: String) -> Result<Self, NetworkNameError> {
        let allowed = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
        if name.is_empty() || name.len() > NETWORK_NAME_BYTES_MAX || !name.bytes().all(allowed) {
            return Err(NetworkNameError);
        }
        Ok(Self(name))
    }
}

impl std::str::FromStr for NetworkName {
    type Err = NetworkNameError;

    fn from_str(name: &str) -> Result<Self, NetworkNameError> {
        Self::try_from(name.to_owned())
    }
}

impl From<NetworkName> for String {
    fn from(name: NetworkName) -> Self {
        name.0
    }
}

impl std::fmt::Display for NetworkName {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::fmt::Debug for NetworkName {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "NetworkName({})", self.0)
    }
}

/// What all nodes of a network agree on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NetworkParams {
    /// The network's name.
    pub name: NetworkName,
    /// How many bits of an address name its shard; 0 where everybody carries everything.
    pub bits: ShardBits,
    /// Leading zero bits that a record's id must have.
    pub postage_bits: u8,
}

impl NetworkParams {
    /// Postage unless told otherwise: about 256 hashes, well under a millisecond of an honest sender's time.
    pub const POSTAGE_BITS_DEFAULT: u8 = 8;

    /// The parameters that nodes use unless told otherwise.
    #[must_use]
    pub fn standard(name: NetworkName) -> Self {
        Self { name, bits: ShardBits::ZERO, postage_bits: Self::POSTAGE_BITS_DEFAULT }
    }

    /// Whether an honest sender could pay this postage.
    #[must_use]
    pub const fn is_affordable(&self) -> bool {
        self.postage_bits <= POSTAGE_BITS_MAX
    }

    /// Refuses to grind for longer than a person would wait: a hostile node could name any postage to a client.
    pub(crate) const fn check_affordable(&self) -> Result<(), Refusal> {
        if self.is_affordable() { Ok(()) } else { Err(Refusal::Postage) }
    }
}
