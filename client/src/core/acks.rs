//! Acks of ours, made only after what they name is on the disk; and the proofs that others hold or collected ours.

use bytes::Bytes;
use griot_protocol::{
    Ack, AckItem, Address, Body, CollectSecret, Record, RecordId, Timestamp, Unverified, ack, api::RecordStatus,
    limits::ITEMS_MAX,
};

use super::{
    error::ClientError,
    rows::{AckDueRow, QueuedKind, QueuedRow, SeenRow, SentRow, UnreadableRow, key},
    tx::Tx,
    types::SendState,
};
use crate::store::Store;

/// Nodes remembered as holding a message: more prove nothing more to a person.
const STORED_ON_MAX: usize = 16;

/// Receipts and acks looked at in one answer: more than a recipient has homes, and a bound on a home's nonsense.
const PROOFS_MAX: usize = 64;

impl<S: Store> Tx<'_, S> {
    /// Makes acks of everything that is due.
    pub fn make_acks(&mut self) -> Result<(), ClientError> {
        let due = self.all_raw(key::ACKS_DUE)?;
        let mut rest = due.as_slice();
        while let Some((first, _)) = rest.first() {
            let Some((address, _, _)) = key::parse_ack_due(first) else {
                return Err(ClientError::Damaged("the note of an ack".to_owned()));
            };
            let prefix = key::acks_due(&address);
            let len = rest.iter().take(ITEMS_MAX).take_while(|(row_key, _)| row_key.starts_with(&prefix)).count();
            let (batch, later) = rest.split_at(len.max(1));
            self.make_ack(&address, batch)?;
            rest = later;
        }
        Ok(())
    }

    fn make_ack(&mut self, address: &Address, due: &[(Vec<u8>, Vec<u8>)]) -> Result<(), ClientError> {
        let mut items = Vec::with_capacity(due.len());
        let mut payloads = Vec::with_capacity(due.len());
        for (row_key, bytes) in due {
            self.delete(row_key.clone());
            if let Some((_, created_at, id)) = key::parse_ack_due(row_key) {
                items.push(AckItem { created_at, id });
                payloads.push(super::rows::decode::<AckDueRow>(bytes)?.payload);
            }
        }
        let Some(mailbox) = self.mailbox(address)? else {
            // Withdrawn and forgotten by every home: nobody is left who would understand.
            return Ok(());
        };
        let expires_at = Ack::expiry_of(&items);
        if expires_at <= self.now {
            return Ok(());
        }
        let collect = CollectSecret::from_bytes(&mailbox.collect);
        let record = ack::make(&self.params()?, &collect, mailbox.keys, true, items)?;
        self.enqueue(&record, QueuedKind::Ack, self.now, expires_at, Vec::new())?;
        for payload in payloads {
            let seen_key = key::seen(address, &payload);
            if let Some(mut seen) = self.get::<SeenRow>(&seen_key)? {
                seen.ack = Some(record.id());
                self.put(seen_key, &seen)?;
            }
        }
        Ok(())
    }

    /// A home said what it knows of a record of ours. Only what proves itself counts.
    pub fn told(&mut self, home: u32, id: &RecordId, status: Option<&RecordStatus>) -> Result<(), ClientError> {
        let Some(mut row) = self.get::<QueuedRow>(&key::queued(id))? else {
            return Ok(());
        };
        let Some(status) = status else {
            // It said "accepted" and knows nothing of it now: it is to be offered again.
            if row.accepted.contains(&home) {
                row.accepted.retain(|accepted| *accepted != home);
                self.put(key::queued(id), &row)?;
            }
            return Ok(());
        };
        let proven = |text: &String| self.prove_record(text, &row.address);
        let acks: Vec<Record> = status.acks.iter().take(PROOFS_MAX).filter_map(proven).collect();
        let receipts: Vec<Record> = status.receipts.iter().take(PROOFS_MAX).filter_map(proven).collect();
        for record in receipts {
            if let Body::Custody(custody) = record.body()
                && custody.items.binary_search(id).is_ok()
            {
                row.stored = true;
                self.stored_on(&row.kind, custody.node)?;
            }
        }
        // Last, so that what was stored where is known of a delivered message, too.
        if acks.iter().any(|record| names_item(record, row.created_at, id)) {
            self.dequeue(id);
            return self.advance(&row.kind, SendState::Delivered, None);
        }
        let waiting = status.waiting.clone().filter(|_| !row.stored);
        if waiting.is_some() {
            self.advance(&row.kind, SendState::Accepted, waiting)?;
        }
        self.put(key::queued(id), &row)
    }

    /// Checks a receipt or ack, as raw base64: shape, signature, grant, and that it is about this mailbox.
    fn prove_record(&self, text: &str, address: &Address) -> Option<Record> {
        let bytes = data_encoding::BASE64.decode(text.as_bytes()).ok()?;
        let network = self.params().ok()?.name;
        let unverified = Unverified::parse(Bytes::from(bytes)).ok()?;
        unverified.verify(&network).ok().filter(|record| record.address() == *address)
    }

    fn stored_on(&mut self, kind: &QueuedKind, node: griot_protocol::NodeId) -> Result<(), ClientError> {
        let QueuedKind::Message { number, .. } = kind else {
            return Ok(());
        };
        let Some(mut sent) = self.get::<SentRow>(&key::sent(*number))? else {
            return Ok(());
        };
        if sent.stored_on.contains(&node) || sent.stored_on.len() >= STORED_ON_MAX {
            return Ok(());
        }
        sent.stored_on.push(node);
        if sent.state < SendState::Stored {
            sent.state = SendState::Stored;
            sent.reason = None;
        }
        self.put_sent(*number, &sent)
    }

    /// Forgets payloads and unreadable envelopes that no home can have any more.
    pub fn expire_seen(&mut self, grace_seconds: u64) -> Result<(), ClientError> {
        for (row_key, bytes) in self.all_raw(key::SEEN)? {
            let seen: SeenRow = super::rows::decode(&bytes)?;
            if seen.expires_at.plus(grace_seconds) <= self.now {
                self.delete(row_key);
            }
        }
        for (row_key, bytes) in self.all_raw(key::UNREADABLE)? {
            let row: UnreadableRow = super::rows::decode(&bytes)?;
            if row.expires_at.plus(grace_seconds) <= self.now {
                self.delete(row_key);
            }
        }
        Ok(())
    }
}

/// Whether an ack names this envelope.
fn names_item(record: &Record, created_at: Timestamp, id: &RecordId) -> bool {
    match record.body() {
        Body::Ack(ack) => ack.items.binary_search(&AckItem { created_at, id: *id }).is_ok(),
        Body::Envelope(_) | Body::Custody(_) => false,
    }
}
