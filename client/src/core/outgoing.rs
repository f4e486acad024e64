//! What goes out: encrypted once, kept until it is delivered or its time has run out.
//!
//! Ratchet, finished frame and queue row are written in one transaction, before a byte leaves. A retry sends the frame
//! that is stored; nothing is encrypted twice.

use griot_protocol::{DeliverSecret, Record, RecordId, Timestamp, codec, envelope};

use super::{
    crypto,
    error::ClientError,
    limits::{MESSAGE_LIFE_SECONDS, QUEUE_MAX},
    rows::{ContactRow, QueuedKind, QueuedRow, SentRow, key},
    tx::Tx,
    types::{ContactState, Event, SendState, SentMessage},
    wire::{Inner, Said, Utterance},
};
use crate::store::Store;

impl SentRow {
    /// As a person sees it.
    pub fn show(&self, name: &str) -> SentMessage {
        SentMessage {
            id: self.id.clone(),
            to: self.contact.clone(),
            name: name.to_owned(),
            at: self.at,
            state: self.state,
            stored_on: self.stored_on.iter().map(ToString::to_string).collect(),
            reason: self.reason.clone(),
            content: self.content.clone(),
        }
    }
}

impl<S: Store> Tx<'_, S> {
    /// Sends a message to a contact.
    pub fn send(&mut self, contact: &str, content: serde_json::Value) -> Result<SentMessage, ClientError> {
        if content.get("type").and_then(serde_json::Value::as_str).is_none() {
            return Err(ClientError::Content);
        }
        let contact: ContactRow = self.contact(contact)?;
        match contact.state {
            ContactState::Connected => {}
            ContactState::Pending => return Err(ClientError::Pending(contact.name)),
            ContactState::Blocked => return Err(ClientError::Blocked(contact.name)),
        }
        if self.all_raw(key::QUEUE)?.len() >= QUEUE_MAX {
            return Err(ClientError::QueueFull);
        }
        let mut account = self.account()?;
        let number = account.next_sent;
        account.next_sent += 1;
        self.put_account(&account)?;
        let id = data_encoding::HEXLOWER.encode(&self.random::<16>());
        let said = Said::Message { id: id.clone(), at: self.now, content: content.clone() };
        let kind = QueuedKind::Message { contact: contact.id.clone(), number };
        self.say(&contact.id, &said, kind, Vec::new())?;
        let sent = SentRow {
            id: id.clone(),
            contact: contact.id.clone(),
            at: self.now,
            content,
            state: SendState::Queued,
            stored_on: Vec::new(),
            reason: None,
        };
        self.put(key::sent(number), &sent)?;
        self.put(key::sent_number(&id), &number)?;
        Ok(sent.show(&contact.name))
    }

    /// Says something that is not shown: an acceptance, a new mailbox, a report.
    pub fn say_control(&mut self, contact: &str, said: &Said) -> Result<RecordId, ClientError> {
        let value = serde_json::to_value(said).map_err(|error| ClientError::Damaged(error.to_string()))?;
        let kind = QueuedKind::Control { contact: contact.to_owned(), said: value };
        self.say(contact, said, kind, Vec::new())
    }

    /// Encrypts, seals and queues. `again`: the records in which the same was said before, and could not be read.
    pub fn say(
        &mut self,
        contact: &str,
        said: &Said,
        kind: QueuedKind,
        again: Vec<RecordId>,
    ) -> Result<RecordId, ClientError> {
        let mut contact = self.contact(contact)?;
        let mut out = contact.out.take().ok_or_else(|| ClientError::Pending(contact.name.clone()))?;
        let plain = super::rows::encode(&Utterance { said: said.clone(), again: again.clone() })?;
        let (olm_type, olm) = self.encrypt_for(&contact, &plain)?;
        let ours = self.account()?.fallback;
        let fallback = (ours != contact.fallback_told).then_some(ours);
        let inner = Inner { chain: out.chain, seq: out.seq, prev: out.prev, olm_type, olm, fallback };
        let payload = crypto::seal_direct(self.rng, &out.seal, &out.keys.address(), &codec::encode(&inner))?;
        out.seq += 1;
        out.prev = *blake3::hash(&payload).as_bytes();
        let created_at = self.now.floor_minute();
        let expires_at = created_at.plus(MESSAGE_LIFE_SECONDS);
        let secret = DeliverSecret::from_bytes(&out.deliver);
        let record = envelope::seal(&self.params_now()?, &secret, out.keys, created_at, expires_at, payload)?;
        contact.out = Some(out);
        contact.fallback_told = ours;
        self.put_contact(&contact)?;
        self.enqueue(&record, kind, created_at, expires_at, again)?;
        Ok(record.id())
    }

    /// Queues a record of ours.
    pub fn enqueue(
        &mut self,
        record: &Record,
        kind: QueuedKind,
        created_at: Timestamp,
        expires_at: Timestamp,
        again: Vec<RecordId>,
    ) -> Result<(), ClientError> {
        let mut account = self.account()?;
        let number = account.next_queued;
        account.next_queued += 1;
        self.put_account(&account)?;
        let row = QueuedRow {
            number,
            kind,
            address: record.address(),
            created_at,
            expires_at,
            accepted: Vec::new(),
            offered_at: None,
            refused: Default::default(),
            stored: false,
            again,
        };
        self.put(key::queued(&record.id()), &row)?;
        self.put_raw(key::frame(&record.id()), record.frame().to_vec());
        Ok(())
    }

    /// Drops a record that need not be sent any more.
    pub fn dequeue(&mut self, id: &RecordId) {
        self.delete(key::queued(id));
        self.delete(key::frame(id));
    }

    /// Moves a message's state forward, never back, and tells. Other records have no state to show.
    pub fn advance(&mut self, kind: &QueuedKind, state: SendState, reason: Option<String>) -> Result<(), ClientError> {
        let QueuedKind::Message { number, .. } = kind else {
            return Ok(());
        };
        let Some(mut sent) = self.get::<SentRow>(&key::sent(*number))? else {
            return Ok(());
        };
        let forward = state > sent.state && sent.state < SendState::Delivered;
        if !forward && (reason.is_none() || reason == sent.reason || sent.state >= SendState::Delivered) {
            return Ok(());
        }
        if forward {
            sent.state = state;
        }
        sent.reason = reason;
        self.put_sent(*number, &sent)
    }

    /// Writes a sent message and tells of it.
    pub fn put_sent(&mut self, number: u64, sent: &SentRow) -> Result<(), ClientError> {
        self.put(key::sent(number), sent)?;
        let name = self.get::<ContactRow>(&key::contact(&sent.contact))?.map(|row| row.name).unwrap_or_default();
        self.events.push(Event::Sent(sent.show(&name)));
        Ok(())
    }

    /// A home has it on its disk.
    pub fn accepted(&mut self, home: u32, id: &RecordId) -> Result<(), ClientError> {
        let Some(mut row) = self.get::<QueuedRow>(&key::queued(id))? else {
            return Ok(());
        };
        if !row.accepted.contains(&home) {
            row.accepted.push(home);
        }
        row.refused.remove(&home);
        row.offered_at = Some(self.now);
        self.advance(&row.kind, SendState::Accepted, None)?;
        if row.kind == QueuedKind::Ack && self.every_home_answered(&row)? {
            self.dequeue(id);
            return Ok(());
        }
        self.put(key::queued(id), &row)
    }

    /// A home will never take it. When all say so, it is over.
    pub fn refused(&mut self, home: u32, id: &RecordId, reason: String) -> Result<(), ClientError> {
        let Some(mut row) = self.get::<QueuedRow>(&key::queued(id))? else {
            return Ok(());
        };
        row.refused.insert(home, reason.clone());
        if !self.every_home_answered(&row)? {
            return self.put(key::queued(id), &row);
        }
        if row.accepted.is_empty() {
            self.advance(&row.kind, SendState::Refused, Some(reason.clone()))?;
            if row.kind != QueuedKind::Ack && !matches!(row.kind, QueuedKind::Message { .. }) {
                self.warn(format!("every home refused a record: {reason}"));
            }
        } else if row.kind != QueuedKind::Ack {
            return self.put(key::queued(id), &row);
        }
        self.dequeue(id);
        Ok(())
    }

    /// Whether every home either has it or will never take it.
    fn every_home_answered(&self, row: &QueuedRow) -> Result<bool, ClientError> {
        let answered = |home: u32| row.accepted.contains(&home) || row.refused.contains_key(&home);
        Ok(self.homes()?.iter().all(|row| answered(row.home.id.0)))
    }

    /// Drops what has expired.
    pub fn expire_queue(&mut self) -> Result<(), ClientError> {
        for (row_key, bytes) in self.all_raw(key::QUEUE)? {
            let row: QueuedRow = super::rows::decode(&bytes)?;
            if row.expires_at > self.now {
                continue;
            }
            if let Some(id) = key::parse_record(&row_key) {
                self.dequeue(&id);
                self.advance(&row.kind, SendState::Expired, Some("its time ran out before it was delivered".into()))?;
            }
        }
        Ok(())
    }
}
