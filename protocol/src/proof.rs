//! Proofs: "I hold this mailbox's collect secret", said to one node about one call.
//!
//! A client proves it before a node registers a mailbox, ends a registration, or streams one. The signature covers
//!
//! ```text
//! "griot 1 api proof" ‖ 0x00 ‖ len(network) ‖ network ‖ node 32 ‖ method u8 ‖ address 32 ‖ nonce 32
//! ```
//!
//! so it cannot be replayed on another network or node, for another call or mailbox, or a second time: the nonce is the
//! node's, used once.

use bincode::{Decode, Encode};
use serde::{Deserialize, Serialize};

use crate::{
    frame,
    id::{Address, NodeId, hex_newtype},
    keys::{self, CollectKey, CollectSecret, Signature},
    network::NetworkName,
    refusal::Refusal,
};

/// The domain tag under which proofs are signed.
pub const PROOF_DOMAIN: &str = "griot 1 api proof";

/// A number that a node gives out once and takes back once.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Encode, Decode)]
pub struct Nonce(pub [u8; 32]);
hex_newtype!(Nonce, 32);

/// The call that a proof is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProofMethod {
    /// `PUT /v1/mailboxes/{address}`.
    Register,
    /// `DELETE /v1/mailboxes/{address}`.
    Unregister,
    /// A subscription in `GET /v1/stream`.
    Subscribe,
}

impl ProofMethod {
    const fn byte(self) -> u8 {
        match self {
            Self::Register => 1,
            Self::Unregister => 2,
            Self::Subscribe => 3,
        }
    }
}

/// A proof as it travels in JSON.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Proof {
    /// The node's nonce, from `POST /v1/nonces`.
    #[schema(value_type = String)]
    pub nonce: Nonce,
    /// The collect key's signature.
    #[schema(value_type = String)]
    pub signature: Signature,
}

impl Proof {
    /// Proves it for `method` on the mailbox at `address`, to `node`.
    #[must_use]
    pub fn make(
        network: &NetworkName,
        secret: &CollectSecret,
        node: &NodeId,
        method: ProofMethod,
        address: &Address,
        nonce: Nonce,
    ) -> Self {
        Self { nonce, signature: secret.sign(&to_sign(network, node, method, address, &nonce)) }
    }

    /// Checks it. Whether the nonce is one's own and unused is the caller's to know.
    ///
    /// # Errors
    /// [`Refusal::Signature`].
    pub fn verify(
        &self,
        network: &NetworkName,
        collect: &CollectKey,
        node: &NodeId,
        method: ProofMethod,
        address: &Address,
    ) -> Result<(), Refusal> {
        keys::verify(&collect.0, &to_sign(network, node, method, address, &self.nonce), &self.signature)
    }
}

fn to_sign(network: &NetworkName, node: &NodeId, method: ProofMethod, address: &Address, nonce: &Nonce) -> Vec<u8> {
    let mut fields = Vec::with_capacity(97);
    fields.extend_from_slice(&node.0);
    fields.push(method.byte());
    fields.extend_from_slice(&address.0);
    fields.extend_from_slice(&nonce.0);
    frame::to_sign(PROOF_DOMAIN, network, &fields)
}
