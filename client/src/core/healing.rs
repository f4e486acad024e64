//! Healing: what happens to a message that cannot be read.
//!
//! A session goes out of step when one side's state is lost or old, when a message comes after Olm has dropped its key
//! (more than 40 were skipped), or behind a gap wider than 2,000. Both sides then do their part:
//!
//! - the **reader** keeps a note of every such envelope, does not ack it, begins a new session from the writer's current
//!   fallback key, and reports the envelopes over it, in the order in which they were written;
//! - the **writer** says each of them again over that session, with the ids under which it was said before, so that the
//!   reader can strike the notes and ack what is left at the homes. After [`RESENDS_MAX`] times it gives up, and the
//!   message is shown as *refused*.
//!
//! New sessions are made at a bounded rate. Once something came in over the new one, what else turns up unreadable (it
//! was under way meanwhile) is reported over that session soon after.

use griot_protocol::{Address, RecordId};

use super::{
    error::ClientError,
    limits::{REPORT_EVERY_SECONDS, REPORTS_MAX, RESENDS_MAX, RESET_EVERY_SECONDS, UNREADABLE_MAX},
    ratchet,
    rows::{ContactRow, QueuedKind, QueuedRow, SentRow, UnreadableRow, key},
    tx::Tx,
    types::SendState,
    wire::Said,
};
use crate::store::Store;

impl<S: Store> Tx<'_, S> {
    /// Notes an envelope that cannot be read. It is reported at the next tick, together with others of the same page.
    pub fn unreadable(&mut self, id: RecordId, row: &UnreadableRow) -> Result<(), ClientError> {
        self.put(key::unreadable(&id), row)?;
        let mut contact = self.contact(&row.contact)?;
        if self.all_raw(&key::reports(&contact.id))?.len() >= REPORTS_MAX {
            self.warn(format!(
                "more messages from {} cannot be read than can be asked for again: connect again with a new invite",
                contact.name
            ));
            return Ok(());
        }
        self.put_raw(key::report(&contact.id, contact.healing.next_report), id.as_bytes().to_vec());
        contact.healing.next_report += 1;
        self.put_contact(&contact)?;
        let name = &contact.name;
        self.warn(if contact.out.is_some() {
            format!("a message from {name} cannot be read; they are asked to send it again")
        } else {
            format!("a message from {name} cannot be read, and there is no way to tell them: connect with a new invite")
        });
        Ok(())
    }

    /// Reports what could not be read; over a new session, unless the last new one has proven itself.
    pub fn heal_if_needed(&mut self, id: &str) -> Result<(), ClientError> {
        let waiting = self.all_raw(&key::reports(id))?;
        if waiting.is_empty() {
            return Ok(());
        }
        let mut contact = self.contact(id)?;
        let healing = contact.healing.clone();
        let is_recent = healing.reset_at.0 != 0 && self.now < healing.reset_at.plus(RESET_EVERY_SECONDS);
        let too_soon = is_recent && (!healing.is_proven || self.now < healing.reported_at.plus(REPORT_EVERY_SECONDS));
        if contact.out.is_none() || too_soon {
            return Ok(());
        }
        if !is_recent {
            contact.healing.reset_at = self.now;
            contact.healing.is_proven = false;
            // They may have missed the last change, and need ours should this report be unreadable in turn.
            contact.fallback_told = [0; 32];
        }
        contact.healing.reported_at = self.now;
        self.put_contact(&contact)?;
        if !is_recent {
            // Their key may be nonsense; then the notes stay, and the next attempt may have a better one.
            let Ok(session) = ratchet::begin(&self.account()?.olm()?, &contact.curve25519, &contact.fallback) else {
                return Ok(());
            };
            self.add_session(id, &session)?;
        }
        let mut records = Vec::new();
        for (row_key, bytes) in waiting.into_iter().take(UNREADABLE_MAX) {
            self.delete(row_key);
            records.extend(<[u8; 32]>::try_from(bytes).ok().map(RecordId));
        }
        self.say_control(id, &Said::Unreadable { records })?;
        Ok(())
    }

    /// Something of theirs was opened: the session made last, or one that never broke, works.
    pub fn session_works(&mut self, contact: &mut ContactRow) -> Result<(), ClientError> {
        if contact.healing.is_proven || contact.healing.reset_at.0 == 0 {
            return Ok(());
        }
        contact.healing.is_proven = true;
        self.put_contact(contact)
    }

    /// What could not be read under these ids has now been read: strikes the notes, and lets the homes drop it.
    pub fn read_at_last(&mut self, contact: &str, address: &Address, again: &[RecordId]) -> Result<(), ClientError> {
        for id in again {
            let note: Option<UnreadableRow> = self.get(&key::unreadable(id))?;
            let Some(note) = note.filter(|note| note.contact == contact) else {
                continue;
            };
            self.delete(key::unreadable(id));
            for (row_key, bytes) in self.all_raw(&key::reports(contact))? {
                if bytes == id.as_bytes() {
                    self.delete(row_key);
                }
            }
            if note.address == *address {
                self.ack_later(address, *id, note.created_at, note.expires_at, note.payload)?;
            }
        }
        Ok(())
    }

    /// Says again what a contact could not read, a bounded number of times.
    pub fn say_again(&mut self, contact: &ContactRow, id: &RecordId) -> Result<(), ClientError> {
        let Some(row) = self.get::<QueuedRow>(&key::queued(id))? else {
            return Ok(());
        };
        let said = match &row.kind {
            QueuedKind::Message { contact: of, number } if *of == contact.id => {
                let Some(sent) = self.get::<SentRow>(&key::sent(*number))? else {
                    return Ok(());
                };
                Said::Message { id: sent.id, at: sent.at, content: sent.content }
            }
            QueuedKind::Control { contact: of, said } if *of == contact.id => {
                let bytes = super::rows::encode(said)?;
                Said::parse(&bytes).ok_or_else(|| ClientError::Damaged("a queued record".to_owned()))?
            }
            // A contact may only ask again for what was sent to them.
            _ => return Ok(()),
        };
        self.dequeue(id);
        let name = &contact.name;
        if row.again.len() >= RESENDS_MAX {
            self.warn(format!(
                "{name} could not read something that was sent {} times: connect with a new invite of theirs",
                RESENDS_MAX + 1
            ));
            let reason = format!("{name} could not read it: connect with a new invite of theirs, then send it again");
            return self.advance(&row.kind, SendState::Refused, Some(reason));
        }
        // No state is behind this one, so that only the reason changes.
        self.advance(&row.kind, SendState::Queued, Some(format!("{name} could not read it; it was sent again")))?;
        let again = row.again.into_iter().chain([*id]).collect();
        self.say(&contact.id, &said, row.kind, again)?;
        Ok(())
    }

    /// Drops the notes about a contact who is to be heard no more.
    pub fn forget_reports(&mut self, contact: &str) -> Result<(), ClientError> {
        for (row_key, _) in self.all_raw(&key::reports(contact))? {
            self.delete(row_key);
        }
        Ok(())
    }
}
