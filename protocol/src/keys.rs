//! Keys and signatures: Ed25519 ([RFC 8032](https://www.rfc-editor.org/rfc/rfc8032)), one type for each use, so that
//! the key that may write to a mailbox can never stand where the key that may read it belongs.
//!
//! Verification is *strict* everywhere (`verify_strict`): small-order keys and non-canonical points or scalars are
//! refused, so one message has one valid signature from an honest signer, and every implementation agrees.

use bincode::{Decode, Encode};
use ed25519_dalek::{Signer, SigningKey, VerifyingKey};

use crate::{
    id::{NodeId, hex_newtype},
    refusal::Refusal,
};

/// An Ed25519 signature.
#[derive(Clone, Copy, PartialEq, Eq, Encode, Decode)]
pub struct Signature(pub [u8; 64]);
hex_newtype!(Signature, 64);

/// The public key under which envelopes are put into a mailbox.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Encode, Decode)]
pub struct DeliverKey(pub [u8; 32]);
hex_newtype!(DeliverKey, 32);

/// The public key under which envelopes are taken out of a mailbox.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Encode, Decode)]
pub struct CollectKey(pub [u8; 32]);
hex_newtype!(CollectKey, 32);

/// Verifies `signature` over `message` strictly.
///
/// # Errors
/// [`Refusal::Signature`]: the key is weak, no point, or not canonical, or the signature does not match.
pub(crate) fn verify(key: &[u8; 32], message: &[u8], signature: &Signature) -> Result<(), Refusal> {
    if !is_canonical(key) {
        return Err(Refusal::Signature);
    }
    VerifyingKey::from_bytes(key)
        .and_then(|key| key.verify_strict(message, &ed25519_dalek::Signature::from_bytes(&signature.0)))
        .map_err(|_| Refusal::Signature)
}

/// Whether the point's y is below the field's prime 2²⁵⁵ − 19. `verify_strict` demands it of the signature's R, not of
/// the key; a few points have two encodings, and libraries differ about them.
fn is_canonical(key: &[u8; 32]) -> bool {
    let [low, middle @ .., high] = key;
    *high & 0x7f != 0x7f || *low < 0xed || middle.iter().any(|byte| *byte != 0xff)
}

/// Gives a secret-key type its constructors and its way to sign. Dropping wipes the secret (ed25519-dalek's `zeroize`).
macro_rules! secret_key {
    ($name:ident, $public:ident) => {
        impl $name {
            /// Makes the key from 32 secret bytes, which must come from a cryptographic random source.
            #[must_use]
            pub fn from_bytes(bytes: &[u8; 32]) -> Self {
                Self(SigningKey::from_bytes(bytes))
            }

            /// The secret bytes, for storing.
            #[must_use]
            pub fn to_bytes(&self) -> zeroize::Zeroizing<[u8; 32]> {
                zeroize::Zeroizing::new(self.0.to_bytes())
            }

            /// The public half.
            #[must_use]
            pub fn public(&self) -> $public {
                $public(self.0.verifying_key().to_bytes())
            }

            /// Signs `message`. The caller puts a domain tag first: see [`frame`](crate::frame).
            pub(crate) fn sign(&self, message: &[u8]) -> Signature {
                Signature(self.0.sign(message).to_bytes())
            }
        }

        impl std::fmt::Debug for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                write!(f, "{}(of {})", stringify!($name), self.public())
            }
        }
    };
}

/// Whoever holds it may put envelopes into the mailbox.
#[derive(Clone)]
pub struct DeliverSecret(SigningKey);
secret_key!(DeliverSecret, DeliverKey);

/// Whoever holds it may take envelopes out of the mailbox, and choose its homes.
#[derive(Clone)]
pub struct CollectSecret(SigningKey);
secret_key!(CollectSecret, CollectKey);

/// A node's own key: it signs custody receipts with it.
#[derive(Clone)]
pub struct NodeSecret(SigningKey);
secret_key!(NodeSecret, NodeId);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_from_the_prime_up_are_not_canonical() {
        let mut key = [0xff; 32];
        for sign in [0x7f, 0xff] {
            key[31] = sign;
            for low in 0xed..=0xff {
                key[0] = low;
                assert!(!is_canonical(&key));
            }
            key[0] = 0xec;
            assert!(is_canonical(&key));
        }
        key[0] = 0xff;
        key[9] = 0xfe;
        assert!(is_canonical(&key));
    }
}
