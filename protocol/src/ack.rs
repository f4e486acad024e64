//! Acks: the recipient says "collected", and with `release` "drop the bodies".
//!
//! An item acts only on an envelope of the same mailbox with the same id *and* `created_at`, so nobody can bury mail
//! of a mailbox whose collect secret they do not hold, not even mail that has not arrived yet.

use bincode::{Decode, Encode};
use bytes::Bytes;

use crate::{
    codec,
    frame::{self, RecordKind},
    id::RecordId,
    keys::CollectSecret,
    limits::{ITEMS_MAX, LIFE_SECONDS_MAX},
    mailbox::{MailboxKeys, MailboxKind},
    network::NetworkParams,
    postage::Stamp,
    record::{self, Body, Record},
    refusal::Refusal,
    time::Timestamp,
};

/// One collected envelope.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Encode, Decode)]
pub struct AckItem {
    /// The envelope's `created_at`.
    pub created_at: Timestamp,
    /// The envelope's id.
    pub id: RecordId,
}

/// An ack's body.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct Ack {
    /// The mailbox.
    pub keys: MailboxKeys,
    /// Whether nodes may drop the envelopes' bodies. A person with one device always sets it.
    pub release: bool,
    /// What was collected: 1 to 256 items, strictly ascending.
    pub items: Vec<AckItem>,
    /// The latest item's `created_at` + 30 days: no envelope it acts on can live longer.
    pub expires_at: Timestamp,
    /// Postage.
    pub stamp: Stamp,
}

impl Ack {
    /// The `expires_at` that an ack of these items must have.
    #[must_use]
    pub fn expiry_of(items: &[AckItem]) -> Timestamp {
        let latest = items.iter().map(|item| item.created_at).max().unwrap_or_default();
        latest.plus(LIFE_SECONDS_MAX)
    }

    pub(crate) fn check_shape(&self) -> Result<(), Refusal> {
        if self.keys.kind == MailboxKind::Shared {
            return Err(Refusal::AckOfShared);
        }
        if !record::is_ascending(&self.items, ITEMS_MAX) {
            return Err(Refusal::Items);
        }
        if self.expires_at != Self::expiry_of(&self.items) {
            return Err(Refusal::AckExpiry);
        }
        Ok(())
    }
}

/// Makes, stamps and signs an ack of `items`, in any order and with duplicates.
///
/// # Errors
/// The [`Refusal`] that every node would answer: [`Refusal::Items`] for none or too many, [`Refusal::AckOfShared`],
/// [`Refusal::Signature`] where `secret` is not the mailbox's, or [`Refusal::Postage`] where nobody could pay it.
pub fn make(
    params: &NetworkParams,
    secret: &CollectSecret,
    keys: MailboxKeys,
    release: bool,
    mut items: Vec<AckItem>,
) -> Result<Record, Refusal> {
    if secret.public() != keys.collect {
        return Err(Refusal::Signature);
    }
    params.check_affordable()?;
    items.sort_unstable();
    items.dedup();
    let expires_at = Ack::expiry_of(&items);
    let mut ack = Ack { keys, release, items, expires_at, stamp: Stamp::default() };
    ack.check_shape()?;
    let (stamp, id) = record::grind(RecordKind::Ack, &codec::encode(&ack), &[], params.postage_bits);
    ack.stamp = stamp;
    let mut frame = frame::unsigned(RecordKind::Ack, &codec::encode(&ack));
    let signature = secret.sign(&frame::to_sign(RecordKind::Ack.domain(), &params.name, &frame));
    frame.extend_from_slice(&signature.0);
    Ok(Record::trusted(Bytes::from(frame), id, Body::Ack(ack), 0))
}
