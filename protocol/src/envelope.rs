//! Envelopes: sealed bytes for a mailbox.
//!
//! Body: [`EnvelopeHeader`], then the payload as a length and its bytes. The payload is opaque to everyone but the
//! recipient; its length is one of the [buckets](crate::padding).

use bincode::{Decode, Encode};
use bytes::Bytes;

use crate::{
    codec,
    frame::{self, RecordKind},
    keys::DeliverSecret,
    mailbox::MailboxKeys,
    network::NetworkParams,
    padding,
    postage::Stamp,
    record::{self, Body, Record},
    refusal::Refusal,
    time::Timestamp,
};

/// Everything of an envelope but its payload.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
pub struct EnvelopeHeader {
    /// The mailbox it is for.
    pub keys: MailboxKeys,
    /// When it was made, rounded down to the minute by honest clients.
    pub created_at: Timestamp,
    /// When every node may drop it.
    pub expires_at: Timestamp,
    /// Postage.
    pub stamp: Stamp,
}

/// Header and payload, as they are encoded.
#[derive(Encode, Decode)]
pub(crate) struct EnvelopeBody {
    pub header: EnvelopeHeader,
    pub payload: Vec<u8>,
}

/// Makes, stamps and signs an envelope.
///
/// `payload` is the suite byte and a ciphertext that fills a bucket. Grinding takes 2^`postage_bits` hashes on average.
///
/// # Errors
/// The [`Refusal`] that every node would answer: [`Refusal::Bucket`], [`Refusal::Backwards`],
/// [`Refusal::LifeTooLong`], [`Refusal::Signature`] where `secret` is not the mailbox's, or [`Refusal::Postage`] where
/// the network asks for more than [`POSTAGE_BITS_MAX`](crate::limits::POSTAGE_BITS_MAX).
pub fn seal(
    params: &NetworkParams,
    secret: &DeliverSecret,
    keys: MailboxKeys,
    created_at: Timestamp,
    expires_at: Timestamp,
    payload: Vec<u8>,
) -> Result<Record, Refusal> {
    if secret.public() != keys.deliver {
        return Err(Refusal::Signature);
    }
    params.check_affordable()?;
    padding::check(&payload)?;
    record::check_life(created_at, expires_at)?;
    let mut header = EnvelopeHeader { keys, created_at, expires_at, stamp: Stamp::default() };
    let (stamp, id) = record::grind(RecordKind::Envelope, &codec::encode(&header), &payload, params.postage_bits);
    header.stamp = stamp;
    let payload_len = payload.len();
    let body = codec::encode(&EnvelopeBody { header, payload });
    let mut frame = frame::unsigned(RecordKind::Envelope, &body);
    let signature = secret.sign(&frame::to_sign(RecordKind::Envelope.domain(), &params.name, &frame));
    frame.extend_from_slice(&signature.0);
    Ok(Record::trusted(Bytes::from(frame), id, Body::Envelope(header), payload_len))
}
