//! Invite links: `griot:` and base32 text that lets its holder ask for contact.
//!
//! The text is lowercase [RFC 4648](https://www.rfc-editor.org/rfc/rfc4648) base32 without padding (fit for QR codes in
//! alphanumeric mode when upper-cased, and for reading aloud) over
//!
//! ```text
//! version u8 ‖ bincode(InviteLink) ‖ first 4 bytes of BLAKE3(all before)
//! ```
//!
//! The checksum is against slips of copying, not against forgers: whoever gives you a link decides whom you talk to.

use bincode::{Decode, Encode};
use zeroize::{Zeroize, ZeroizeOnDrop};

use crate::{
    codec,
    keys::DeliverSecret,
    limits::{NETWORK_NAME_BYTES_MAX, POSTAGE_BITS_MAX},
    mailbox::{MailboxKeys, MailboxKind},
    network::NetworkName,
    time::Timestamp,
};

/// What every link begins with.
pub const SCHEME: &str = "griot:";

/// The version of this format.
pub const INVITE_VERSION: u8 = 1;

/// The longest name a person can give, in bytes: two lines on a phone.
pub const DISPLAY_NAME_BYTES_MAX: usize = 64;

/// The longest link that is looked at: three times what the longest fields need.
pub const LINK_BYTES_MAX: usize = 2048;

const CHECKSUM_BYTES: usize = 4;

/// Everything one needs to ask the inviter for contact.
#[derive(Clone, PartialEq, Eq, Encode, Decode, Zeroize, ZeroizeOnDrop)]
pub struct InviteLink {
    /// The network's name.
    pub network: String,
    /// The shard bits and postage that requests must be made for.
    pub bits: u8,
    /// Postage for the invite mailbox, at least the network's.
    pub postage_bits: u8,
    /// The invite mailbox.
    #[zeroize(skip)]
    pub mailbox: MailboxKeys,
    /// Its deliver secret.
    pub deliver_secret: [u8; 32],
    /// HPKE public key (X25519) to which requests are sealed.
    pub hpke_public: [u8; 32],
    /// The inviter's Olm identity: Ed25519 fingerprint key.
    pub identity_ed25519: [u8; 32],
    /// The inviter's Olm identity: Curve25519 key.
    pub identity_curve25519: [u8; 32],
    /// Fallback key, or with `once` a one-time key, from which the first Olm session starts.
    pub prekey: [u8; 32],
    /// Whether the invite takes one request only.
    pub once: bool,
    /// When the inviter stops reading the mailbox.
    #[zeroize(skip)]
    pub expires_at: Timestamp,
    /// What the inviter calls themself.
    pub name: String,
}

impl std::fmt::Debug for InviteLink {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "InviteLink(to {})", self.mailbox.address())
    }
}

/// Why a text is not an invite link.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InviteError {
    /// It does not begin with `griot:`.
    #[error("an invite link begins with \"griot:\"")]
    Scheme,
    /// It is longer than any link.
    #[error("this is too long for an invite link")]
    TooLong,
    /// It has characters outside base32, or was cut.
    #[error("the link is damaged: copy all of it, without spaces")]
    Damaged,
    /// It comes from a newer program.
    #[error("the link was made by a newer version of Griot: update to use it")]
    Version,
    /// A field has no meaning.
    #[error("the link's contents are not valid")]
    Invalid,
}

impl InviteLink {
    /// The link as text.
    #[must_use]
    pub fn to_text(&self) -> String {
        let mut bytes = vec![INVITE_VERSION];
        bytes.extend_from_slice(&codec::encode(self));
        let sum = blake3::hash(&bytes);
        bytes.extend_from_slice(&sum.as_bytes()[..CHECKSUM_BYTES]);
        let text = data_encoding::BASE32_NOPAD.encode(&bytes).to_ascii_lowercase();
        format!("{SCHEME}{text}")
    }

    /// Reads a link. Case does not matter; white space at either end is dropped.
    ///
    /// # Errors
    /// [`InviteError`], in words for the person who pasted it.
    pub fn parse(text: &str) -> Result<Self, InviteError> {
        let text = text.trim();
        if text.len() > LINK_BYTES_MAX {
            return Err(InviteError::TooLong);
        }
        let (scheme, rest) = text.split_at_checked(SCHEME.len()).ok_or(InviteError::Scheme)?;
        if !scheme.eq_ignore_ascii_case(SCHEME) {
            return Err(InviteError::Scheme);
        }
        let upper = rest.to_ascii_uppercase();
        let bytes = data_encoding::BASE32_NOPAD.decode(upper.as_bytes()).map_err(|_| InviteError::Damaged)?;
        let (content, sum) = bytes.split_last_chunk::<CHECKSUM_BYTES>().ok_or(InviteError::Damaged)?;
        if blake3::hash(content).as_bytes()[..CHECKSUM_BYTES] != sum[..] {
            return Err(InviteError::Damaged);
        }
        let (version, body) = content.split_first().ok_or(InviteError::Damaged)?;
        if *version != INVITE_VERSION {
            return Err(InviteError::Version);
        }
        let link: Self = codec::decode(body).map_err(|_| InviteError::Invalid)?;
        link.check()?;
        Ok(link)
    }

    fn check(&self) -> Result<(), InviteError> {
        let named = self.network.len() <= NETWORK_NAME_BYTES_MAX && self.network.parse::<NetworkName>().is_ok();
        let writable = DeliverSecret::from_bytes(&self.deliver_secret).public() == self.mailbox.deliver;
        let sane = self.bits <= crate::limits::SHARD_BITS_MAX
            && self.postage_bits <= POSTAGE_BITS_MAX
            && self.mailbox.kind == MailboxKind::Direct
            && is_display_name(&self.name);
        if named && writable && sane { Ok(()) } else { Err(InviteError::Invalid) }
    }
}

/// Whether `name` can be shown as it is: at most [`DISPLAY_NAME_BYTES_MAX`] bytes, and no control characters, which could
/// drive the terminal of whoever pastes a stranger's link.
#[must_use]
pub fn is_display_name(name: &str) -> bool {
    name.len() <= DISPLAY_NAME_BYTES_MAX && !name.chars().any(char::is_control)
}
