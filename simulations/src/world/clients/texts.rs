//! Texts: what is written, what the reader's client shows, what the author's client knows of it.

use std::{
    collections::{VecDeque, btree_map::Entry},
    sync::Arc,
};

use bytes::Bytes;
use griot_client::{
    agent,
    core::{Client, ClientError, InboxMessage, SendState, SentMessage},
    store::Store,
};
use griot_protocol::{Body, RecordId, Timestamp, Unverified};
use rand::RngExt;
use serde_json::{Value, json};

use super::{lock, name_of, reader_of_text};
use crate::{
    plan::{MessageIndex, NodeIndex, PersonIndex, VirtualMs},
    world::{World, net::mark_of, seeds, trace::Short},
};

/// The longest text: what encryption and padding add fits the largest bucket beside it.
const TEXT_BYTES_MAX: usize = 60_000;

/// What texts are made of: one to four bytes each, and nothing that JSON writes longer than it is.
const LETTERS: [char; 16] = ['a', 'e', 'i', 'n', 'r', 't', ' ', '.', '7', 'ɛ', 'ŋ', 'é', '语', 'ߒ', '🪘', 'w'];

/// An envelope or ack that a client hands to a home.
pub(super) enum Handed {
    /// An envelope, and the message in it where it is a text.
    Envelope { id: RecordId, expires: VirtualMs, message: Option<MessageIndex> },
    /// An ack of these.
    Ack(Vec<RecordId>),
    /// Nothing that the ledger keeps.
    Other,
}

impl World {
    /// The text that a message stands for: as long as the plan says, drawn from the seed.
    fn text_of(&self, message: MessageIndex) -> String {
        let bytes = self.plan.messages.get(message.0 as usize).map_or(0, |plan| plan.bytes as usize);
        let mut rng = seeds::rng(self.plan.seed, "text", u64::from(message.0));
        let mut text = String::new();
        while text.len() < bytes.min(TEXT_BYTES_MAX) {
            let letter = LETTERS[rng.random_range(0..LETTERS.len())];
            let fits = text.len() + letter.len_utf8() <= bytes.min(TEXT_BYTES_MAX);
            text.push(if fits { letter } else { 'x' });
        }
        text
    }

    fn content_of(&self, message: MessageIndex) -> Value {
        json!({ "type": "text", "text": self.text_of(message) })
    }

    /// A person with a client writes a text.
    pub(crate) fn write_real(self: &Arc<Self>, message: MessageIndex) {
        let Some(author) = self.plan.messages.get(message.0 as usize).map(|plan| plan.author) else { return };
        self.note(format_args!("p{} writes m{}", author.0, message.0));
        let Some(mut client) = self.clients.of(author) else { return };
        client.to_write.push_back(message);
        let (is_open, is_new) = (client.is_open, client.disk.is_new());
        client.wake.notify_one();
        drop(client);
        // Off line, as `griot send` does it. Whoever was never on line has no account and no contact yet.
        if !is_open
            && !is_new
            && let Some(mut account) = self.open_account(author)
        {
            self.write_texts(author, &mut account);
        }
    }

    /// Writes what waits to be written, to whom it can be. Says whether there was anything.
    pub(super) fn write_texts<S: Store>(&self, person: PersonIndex, account: &mut Client<S>) -> bool {
        let waiting = match self.clients.of(person) {
            Some(mut client) => std::mem::take(&mut client.to_write),
            None => return false,
        };
        let mut left = VecDeque::new();
        let mut did = false;
        for message in waiting {
            match self.write_text(person, message, account) {
                Ok(()) => did = true,
                Err(ClientError::NoSuchContact(_) | ClientError::Pending(_)) => left.push_back(message),
                Err(error) => {
                    self.client_failed(person, &error);
                    left.push_back(message);
                }
            }
        }
        if let Some(mut client) = self.clients.of(person) {
            left.append(&mut client.to_write);
            client.to_write = left;
        }
        did
    }

    fn write_text<S: Store>(
        &self,
        person: PersonIndex,
        message: MessageIndex,
        account: &mut Client<S>,
    ) -> Result<(), ClientError> {
        let plan = self.plan.messages.get(message.0 as usize);
        let Some(reader) = plan.and_then(|plan| reader_of_text(&self.plan, plan)) else { return Ok(()) };
        let sent = account.send(agent::now(), &name_of(reader), self.content_of(message))?;
        lock(&self.clients.texts).insert(sent.id.clone(), message);
        self.ledger.state().count(("clients", "messages", ""), 1);
        self.note(format_args!("p{}'s client has m{} as {}", person.0, message.0, sent.id));
        Ok(())
    }

    /// Reads what the client shows that was not looked at yet.
    pub(super) fn read_texts<S: Store>(&self, person: PersonIndex, account: &Client<S>) {
        let Some(seen) = self.clients.of(person).map(|client| client.seen.clone()) else { return };
        let fresh = match account.inbox(None, seen.as_deref()) {
            Ok(fresh) => fresh,
            Err(error) => return self.client_failed(person, &error),
        };
        for shown in &fresh {
            self.read_text(person, shown);
            if let Some(mut client) = self.clients.of(person) {
                client.seen = Some(shown.id.clone());
            }
        }
    }

    fn read_text(&self, person: PersonIndex, shown: &InboxMessage) {
        let message = self.clients.text(&shown.id);
        let plan = message.and_then(|message| self.plan.messages.get(message.0 as usize));
        // To whom, from whom, and every byte of it.
        let is_to_us = plan.and_then(|plan| reader_of_text(&self.plan, plan)) == Some(person);
        let is_theirs = plan.is_some_and(|plan| name_of(plan.author) == shown.from);
        let is_same = message.is_some_and(|message| self.content_of(message) == shown.content);
        let home = {
            let given = self.clients.of(person).and_then(|client| client.given_by.get(&message?).copied());
            given.or_else(|| self.people.person(person).homes.first().copied()).unwrap_or(NodeIndex(0))
        };
        let as_written = message.filter(|_| is_to_us && is_theirs && is_same);
        self.ledger.state().shown(person, home, &shown.id, as_written);
    }

    /// What an author's client knows of all its texts.
    pub(super) fn hear_of_all<S: Store>(&self, person: PersonIndex, account: &Client<S>) {
        match account.sent(None) {
            Ok(all) => all.iter().for_each(|sent| self.hear_of_text(person, sent)),
            Err(error) => self.client_failed(person, &error),
        }
    }

    /// What an author's client knows of a text.
    pub(super) fn hear_of_text(&self, person: PersonIndex, sent: &SentMessage) {
        let Some(message) = self.clients.text(&sent.id) else { return };
        let stored_on = u32::try_from(sent.stored_on.len()).unwrap_or(u32::MAX);
        let is_collected = sent.state == SendState::Delivered;
        self.ledger.state().heard(person, message, stored_on, is_collected, format_args!("by its client"));
    }

    /// A client is about to hand a frame to a home: from here on the ledger knows the record.
    pub(super) fn hands_over(&self, person: PersonIndex, frame: &Bytes) -> Handed {
        let Ok(record) = Unverified::parse(frame.clone()) else { return Handed::Other };
        let record = record.claimed();
        match record.body() {
            Body::Ack(ack) => Handed::Ack(ack.items.iter().map(|item| item.id).collect()),
            Body::Custody(_) => Handed::Other,
            Body::Envelope(header) => {
                let since = header.expires_at.since(Timestamp(self.plan.epoch_unix_seconds));
                let expires = VirtualMs(since.saturating_mul(1000));
                let id = record.id();
                let message = self.ledger.state().message_of(&id);
                let message = message.or_else(|| self.new_record_of_text(person, id, expires, frame));
                Handed::Envelope { id, expires, message }
            }
        }
    }

    fn new_record_of_text(
        &self,
        person: PersonIndex,
        id: RecordId,
        expires: VirtualMs,
        frame: &Bytes,
    ) -> Option<MessageIndex> {
        let text = self.open_account(person)?.message_in(&id).ok()??;
        let message = self.clients.text(&text)?;
        self.note(format_args!("p{}'s client puts m{} into {}", person.0, message.0, Short(&id.0)));
        let mut ledger = self.ledger.state();
        let is_again = ledger.fates.get(message.0 as usize).is_some_and(|fate| !fate.record.is_empty());
        ledger.count(("clients", "said_again", ""), u64::from(is_again));
        ledger.written(message, id, expires);
        drop(ledger);
        if let Some(mark) = mark_of(frame) {
            self.net.watch_frame(mark, message.0);
        }
        Some(message)
    }

    /// A home has taken it.
    pub(super) fn handed_over(&self, home: NodeIndex, handed: Handed) {
        match handed {
            Handed::Envelope { id, expires, message } => {
                self.slot(home).acknowledged.push((id, expires));
                if let Some(message) = message {
                    self.ledger.state().accepted(message, home);
                }
            }
            Handed::Ack(ids) if self.is_honest(home) => self.acked(ids.into_iter()),
            Handed::Ack(_) | Handed::Other => {}
        }
    }

    /// A home gives a client an envelope.
    pub(super) fn gave(&self, person: PersonIndex, home: NodeIndex, frame: &Bytes) {
        let Ok(record) = Unverified::parse(frame.clone()) else { return };
        let mut ledger = self.ledger.state();
        let Some(message) = ledger.message_of(&record.claimed().id()) else { return };
        let Some(mut client) = self.clients.of(person) else { return };
        match client.given_by.entry(message) {
            Entry::Vacant(first) => {
                first.insert(home);
            }
            Entry::Occupied(_) => {
                if let Some(fate) = ledger.fates.get_mut(message.0 as usize) {
                    fate.duplicates += 1;
                }
            }
        }
    }
}
