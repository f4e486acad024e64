//! Custody receipts: a node that the recipient chose says "these are on my disk".
//!
//! The choice is proven by a [`Grant`], made when the recipient registered the mailbox on that node. Without it any
//! node could claim *stored*.

use bincode::{Decode, Encode};
use bytes::Bytes;

use crate::{
    codec,
    frame::{self, RecordKind},
    id::{Address, NodeId, RecordId},
    keys::{self, CollectKey, CollectSecret, NodeSecret, Signature},
    limits::{GRANT_SECONDS_MAX, ITEMS_MAX},
    mailbox::MailboxKeys,
    network::{NetworkName, NetworkParams},
    postage::Stamp,
    record::{self, Body, Record},
    refusal::Refusal,
    time::Timestamp,
};

/// The domain tag under which grants are signed.
pub const GRANT_DOMAIN: &str = "griot 1 grant";

/// "Until then, this node may say *stored* for my mailbox", signed by the mailbox's collect key over
/// `"griot 1 grant" ‖ 0x00 ‖ len(network) ‖ network ‖ address ‖ node ‖ until u64 LE`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode, serde::Serialize, serde::Deserialize)]
pub struct Grant {
    /// The last second in which the node may issue receipts.
    pub until: Timestamp,
    /// The collect key's signature.
    pub signature: Signature,
}

impl Grant {
    /// Grants `node` custody of the mailbox at `address`.
    #[must_use]
    pub fn issue(
        network: &NetworkName,
        secret: &CollectSecret,
        address: &Address,
        node: &NodeId,
        until: Timestamp,
    ) -> Self {
        let signature = secret.sign(&Self::to_sign(network, address, node, until));
        Self { until, signature }
    }

    /// Checks that the holder of `collect` granted this.
    ///
    /// # Errors
    /// [`Refusal::Grant`].
    pub fn verify(
        &self,
        network: &NetworkName,
        collect: &CollectKey,
        address: &Address,
        node: &NodeId,
    ) -> Result<(), Refusal> {
        keys::verify(&collect.0, &Self::to_sign(network, address, node, self.until), &self.signature)
            .map_err(|_| Refusal::Grant)
    }

    /// Whether `until` lies no further ahead of `now` than a grant may run.
    #[must_use]
    pub fn is_bounded(&self, now: Timestamp) -> bool {
        self.until.since(now) <= GRANT_SECONDS_MAX
    }

    fn to_sign(network: &NetworkName, address: &Address, node: &NodeId, until: Timestamp) -> Vec<u8> {
        let mut fields = Vec::with_capacity(72);
        fields.extend_from_slice(&address.0);
        fields.extend_from_slice(&node.0);
        fields.extend_from_slice(&until.0.to_le_bytes());
        frame::to_sign(GRANT_DOMAIN, network, &fields)
    }
}

/// A custody receipt's body.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct Custody {
    /// The mailbox.
    pub keys: MailboxKeys,
    /// The node that holds the envelopes, and signs.
    pub node: NodeId,
    /// The recipient's word that this node may say so.
    pub grant: Grant,
    /// Envelopes on its disk: 1 to 256 ids, strictly ascending.
    pub items: Vec<RecordId>,
    /// When it had synced them.
    pub stored_at: Timestamp,
    /// When the receipt may be dropped.
    pub expires_at: Timestamp,
    /// Postage.
    pub stamp: Stamp,
}

impl Custody {
    pub(crate) fn check_shape(&self) -> Result<(), Refusal> {
        if !record::is_ascending(&self.items, ITEMS_MAX) {
            return Err(Refusal::Items);
        }
        if self.stored_at > self.grant.until {
            return Err(Refusal::Grant);
        }
        record::check_life(self.stored_at, self.expires_at)
    }
}

/// Makes, stamps and signs a receipt for `items`, in any order and with duplicates.
///
/// # Errors
/// The [`Refusal`] that every node would answer: [`Refusal::Items`], [`Refusal::Grant`] where the grant has run out,
/// [`Refusal::Backwards`], [`Refusal::LifeTooLong`], or [`Refusal::Postage`] where nobody could pay it. The grant's signature was checked at registration.
pub fn make(
    params: &NetworkParams,
    secret: &NodeSecret,
    keys: MailboxKeys,
    grant: Grant,
    mut items: Vec<RecordId>,
    stored_at: Timestamp,
    expires_at: Timestamp,
) -> Result<Record, Refusal> {
    params.check_affordable()?;
    items.sort_unstable();
    items.dedup();
    let node = secret.public();
    let mut custody = Custody { keys, node, grant, items, stored_at, expires_at, stamp: Stamp::default() };
    custody.check_shape()?;
    let (stamp, id) = record::grind(RecordKind::Custody, &codec::encode(&custody), &[], params.postage_bits);
    custody.stamp = stamp;
    let mut frame = frame::unsigned(RecordKind::Custody, &codec::encode(&custody));
    let signature = secret.sign(&frame::to_sign(RecordKind::Custody.domain(), &params.name, &frame));
    frame.extend_from_slice(&signature.0);
    Ok(Record::trusted(Bytes::from(frame), id, Body::Custody(custody), 0))
}
