//! What comes in: checked, put in order, decrypted, stored, and only then acked.
//!
//! Each envelope is one transaction: the message, the ratchet, the cursor, and the note that it may be acked. Before
//! that commit nothing happened, after it everything did, so an envelope that comes again (from another home, or after
//! a crash) is recognised and shown once.
//!
//! Olm wants messages in order. The chain and number beside each message show a gap: later ones are held, still sealed,
//! until it closes, or until every home that answers has been asked and ten minutes have passed.
//!
//! An envelope that cannot be read is **not acked**: its sender keeps seeing *stored*, never a false *delivered*. The
//! sender is told and says it again (`healing`).

use bytes::Bytes;
use griot_protocol::{Address, Body, Cursor, EnvelopeHeader, RecordId, Unverified, codec};

use super::{
    crypto,
    error::ClientError,
    limits::{CHAINS_MAX, HELD_MAX, HOLD_SECONDS_MAX},
    rows::{
        AckDueRow, ChainRow, ContactRow, GapRow, HeldRow, InboxRow, MailboxRow, Purpose, SeenRow, UnreadableRow, key,
    },
    tx::Tx,
    types::{ContactState, Event, HomeId, InboxMessage},
    wire::{Inner, Said, Utterance},
};
use crate::store::Store;

/// An envelope that was checked.
struct Arrival {
    id: RecordId,
    header: EnvelopeHeader,
    payload: Bytes,
    hash: [u8; 32],
}

impl InboxRow {
    /// As a person sees it.
    pub fn show(&self, name: &str) -> InboxMessage {
        InboxMessage {
            id: self.id.clone(),
            from: name.to_owned(),
            contact: self.contact.clone(),
            at: self.at,
            content: self.content.clone(),
        }
    }
}

impl<S: Store> Tx<'_, S> {
    /// Takes one envelope that a home gave for one of our mailboxes.
    pub fn receive(
        &mut self,
        home: HomeId,
        address: &Address,
        cursor: Cursor,
        frame: Bytes,
    ) -> Result<(), ClientError> {
        let Some(mut mailbox) = self.mailbox(address)?.filter(|mailbox| mailbox.active) else {
            return Ok(());
        };
        mailbox.cursors.insert(home.0, cursor);
        self.put_mailbox(&mailbox)?;
        let Some(arrival) = self.check(address, frame)? else {
            self.warn("a home sent a record that does not belong into this mailbox: it was ignored");
            return Ok(());
        };
        if let Some(seen) = self.get::<SeenRow>(&key::seen(address, &arrival.hash))? {
            return self.seen_again(address, &arrival, &seen);
        }
        match mailbox.purpose.clone() {
            Purpose::Invite(invite) => {
                self.receive_request(&mailbox, &invite, &arrival.payload)?;
                self.may_ack(address, &arrival)
            }
            Purpose::Contact(contact) => self.receive_direct(&mut mailbox, &contact, &arrival),
        }
    }

    /// Checks all that a node should have checked.
    fn check(&self, address: &Address, frame: Bytes) -> Result<Option<Arrival>, ClientError> {
        let network = self.params()?.name;
        let Ok(record) = Unverified::parse(frame).and_then(|unverified| unverified.verify(&network)) else {
            return Ok(None);
        };
        let Body::Envelope(header) = *record.body() else {
            return Ok(None);
        };
        let payload = record.payload();
        let hash = *blake3::hash(&payload).as_bytes();
        Ok((record.address() == *address).then_some(Arrival { id: record.id(), header, payload, hash }))
    }

    /// A home still has what was acked: it missed the ack.
    fn seen_again(&mut self, address: &Address, arrival: &Arrival, seen: &SeenRow) -> Result<(), ClientError> {
        let waiting = match seen.ack {
            Some(ack) => self.raw(&key::queued(&ack))?.is_some(),
            None => false,
        };
        if seen.done && !waiting { self.may_ack(address, arrival) } else { Ok(()) }
    }

    /// Notes that an envelope was dealt with, and is to be acked.
    fn may_ack(&mut self, address: &Address, arrival: &Arrival) -> Result<(), ClientError> {
        self.ack_later(address, arrival.id, arrival.header.created_at, arrival.header.expires_at, arrival.hash)
    }

    /// Notes that a payload was read and stored, and that this record of it is to be acked.
    pub fn ack_later(
        &mut self,
        address: &Address,
        id: RecordId,
        created_at: griot_protocol::Timestamp,
        expires_at: griot_protocol::Timestamp,
        payload: [u8; 32],
    ) -> Result<(), ClientError> {
        self.put(key::seen(address, &payload), &SeenRow { expires_at, done: true, ack: None })?;
        self.put(key::ack_due(address, created_at, &id), &AckDueRow { payload })
    }

    fn receive_direct(
        &mut self,
        mailbox: &mut MailboxRow,
        contact: &str,
        arrival: &Arrival,
    ) -> Result<(), ClientError> {
        let address = mailbox.keys.address();
        let seen = SeenRow { expires_at: arrival.header.expires_at, done: false, ack: None };
        self.put(key::seen(&address, &arrival.hash), &seen)?;
        let opened = crypto::open_direct(&mailbox.seal, &address, &arrival.payload);
        let Some(inner) = opened.and_then(|plain| codec::decode::<Inner>(&plain).ok()) else {
            return self.cannot_read(contact, &address, arrival);
        };
        let index = self.chain_index(mailbox, &inner.chain, contact)?;
        let Some(chain) = mailbox.chains.get_mut(index) else {
            return Ok(());
        };
        if inner.seq < chain.next {
            // It was given up and still came, or its number was used twice. A payload that was read before is known by
            // its hash, so this one was not: Olm may have its key, and otherwise its sender hears of it.
            return self.feed(&address, contact, &inner, arrival);
        }
        if inner.seq > chain.next {
            return self.hold(mailbox, index, contact, &inner, arrival);
        }
        let follows = chain.follows(&inner);
        chain.step(inner.seq, &arrival.hash);
        if !follows {
            self.warn_of_fork(contact)?;
        }
        self.feed(&address, contact, &inner, arrival)?;
        self.drain(mailbox, index, contact)?;
        self.put_mailbox(mailbox)
    }

    /// Where a chain is in the row, put there where it is new; the oldest one makes room, and what it held
    /// is read without waiting any longer.
    fn chain_index(&mut self, mailbox: &mut MailboxRow, chain: &[u8; 16], contact: &str) -> Result<usize, ClientError> {
        if let Some(index) = mailbox.chains.iter().position(|row| row.chain == *chain) {
            return Ok(index);
        }
        if mailbox.chains.len() >= CHAINS_MAX {
            self.give_up(mailbox, 0, contact)?;
            mailbox.chains.remove(0);
        }
        mailbox.chains.push(ChainRow { chain: *chain, next: 0, prev: None, gap: None });
        Ok(mailbox.chains.len() - 1)
    }

    /// Holds a message because one before it is missing.
    fn hold(
        &mut self,
        mailbox: &mut MailboxRow,
        index: usize,
        contact: &str,
        inner: &Inner,
        arrival: &Arrival,
    ) -> Result<(), ClientError> {
        let address = mailbox.keys.address();
        let held_key = key::held(&address, &inner.chain, inner.seq);
        if self.raw(&held_key)?.is_some() {
            // Another payload with the same number: the writer's state is old. It is to be said again.
            return self.cannot_read(contact, &address, arrival);
        }
        let held = HeldRow {
            id: arrival.id,
            created_at: arrival.header.created_at,
            expires_at: arrival.header.expires_at,
            payload: arrival.payload.to_vec(),
        };
        self.put_raw(held_key, codec::encode(&held));
        let held_count = self.all_raw(&key::held_in(&address))?.len();
        let mut missing = None;
        if let Some(chain) = mailbox.chains.get_mut(index).filter(|chain| chain.gap.is_none()) {
            chain.gap = Some(GapRow { asked: Vec::new(), asked_at: None });
            missing = Some(inner.seq - chain.next);
        }
        if let Some(missing) = missing {
            let name = self.contact(contact)?.name;
            let messages = if missing == 1 { "1 message" } else { &format!("{missing} messages") };
            self.warn(format!("{messages} from {name} missing, asking every home"));
        }
        if held_count >= HELD_MAX {
            self.give_up(mailbox, index, contact)?;
        }
        self.put_mailbox(mailbox)
    }

    /// Feeds held messages that are due now.
    fn drain(&mut self, mailbox: &mut MailboxRow, index: usize, contact: &str) -> Result<(), ClientError> {
        let address = mailbox.keys.address();
        while let Some(chain) = mailbox.chains.get_mut(index) {
            let held_key = key::held(&address, &chain.chain, chain.next);
            let Some(bytes) = self.raw(&held_key)? else {
                break;
            };
            self.delete(held_key);
            let seq = chain.next;
            let held: HeldRow =
                codec::decode(&bytes).map_err(|error| ClientError::Damaged(format!("a held message: {error}")))?;
            let hash = *blake3::hash(&held.payload).as_bytes();
            let before = chain.clone();
            chain.step(seq, &hash);
            self.feed_held(mailbox, contact, &before, held, hash)?;
        }
        let waits = match mailbox.chains.get(index) {
            Some(chain) => !self.all_raw(&key::held_chain(&address, &chain.chain))?.is_empty(),
            None => false,
        };
        if let Some(chain) = mailbox.chains.get_mut(index).filter(|_| !waits) {
            chain.gap = None;
        }
        Ok(())
    }

    fn feed_held(
        &mut self,
        mailbox: &MailboxRow,
        contact: &str,
        before: &ChainRow,
        held: HeldRow,
        hash: [u8; 32],
    ) -> Result<(), ClientError> {
        let address = mailbox.keys.address();
        let header = EnvelopeHeader {
            keys: mailbox.keys,
            created_at: held.created_at,
            expires_at: held.expires_at,
            stamp: Default::default(),
        };
        let arrival = Arrival { id: held.id, header, payload: Bytes::from(held.payload), hash };
        let opened = crypto::open_direct(&mailbox.seal, &address, &arrival.payload);
        let Some(inner) = opened.and_then(|plain| codec::decode::<Inner>(&plain).ok()) else {
            return self.cannot_read(contact, &address, &arrival);
        };
        if !before.follows(&inner) {
            self.warn_of_fork(contact)?;
        }
        self.feed(&address, contact, &inner, &arrival)
    }

    /// The sender's history is not the one that was received: a copy of their store may be in use.
    fn warn_of_fork(&mut self, contact: &str) -> Result<(), ClientError> {
        let name = self.contact(contact)?.name;
        self.warn(format!("a message from {name} does not follow the one before it: is their account used twice?"));
        Ok(())
    }

    /// Goes on without what is missing, and says so. Olm keeps keys for the last of what may still come.
    fn give_up(&mut self, mailbox: &mut MailboxRow, index: usize, contact: &str) -> Result<(), ClientError> {
        let address = mailbox.keys.address();
        let mut given_up = 0;
        while let Some(chain) = mailbox.chains.get_mut(index) {
            let held = self.all_raw(&key::held_chain(&address, &chain.chain))?;
            let Some(seq) = held.first().and_then(|(held_key, _)| key::parse_held_seq(held_key)) else {
                break;
            };
            given_up += seq.saturating_sub(chain.next);
            chain.next = seq;
            chain.prev = None;
            self.drain(mailbox, index, contact)?;
        }
        if given_up > 0 {
            let name = self.contact(contact)?.name;
            let messages = if given_up == 1 { "1 message" } else { &format!("{given_up} messages") };
            self.warn(format!("{messages} from {name} did not come; the later ones are shown"));
        }
        Ok(())
    }

    /// A home has given all it has for a mailbox. `reachable`: the homes that answer.
    pub fn asked_for_missing(
        &mut self,
        home: HomeId,
        address: &Address,
        reachable: &[HomeId],
    ) -> Result<(), ClientError> {
        let Some(mut mailbox) = self.mailbox(address)?.filter(|mailbox| mailbox.active) else {
            return Ok(());
        };
        let Purpose::Contact(contact) = mailbox.purpose.clone() else {
            return Ok(());
        };
        let mut changed = false;
        for index in 0..mailbox.chains.len() {
            let now = self.now;
            let Some(gap) = mailbox.chains.get_mut(index).and_then(|chain| chain.gap.as_mut()) else {
                continue;
            };
            if !gap.asked.contains(&home.0) {
                gap.asked.push(home.0);
                changed = true;
            }
            if gap.asked_at.is_none() && reachable.iter().all(|home| gap.asked.contains(&home.0)) {
                gap.asked_at = Some(now);
                changed = true;
            }
            if gap.asked_at.is_some_and(|at| at.plus(HOLD_SECONDS_MAX) <= now) {
                self.give_up(&mut mailbox, index, &contact)?;
                changed = true;
            }
        }
        if changed { self.put_mailbox(&mailbox) } else { Ok(()) }
    }

    /// Decrypts a message whose turn it is, and does what it says.
    fn feed(&mut self, address: &Address, contact: &str, inner: &Inner, arrival: &Arrival) -> Result<(), ClientError> {
        let mut row = self.contact(contact)?;
        if let Some(fallback) = inner.fallback {
            row.fallback = fallback;
            self.put_contact(&row)?;
        }
        let Some(plain) = self.decrypt_from(&row, inner.olm_type, &inner.olm)? else {
            return self.cannot_read(contact, address, arrival);
        };
        self.session_works(&mut row)?;
        self.may_ack(address, arrival)?;
        // A saying that this version does not know was read and understood as far as it can be.
        let Some(Utterance { said, again }) = Utterance::parse(&plain) else {
            self.warn(format!("{} sent something that this version does not understand", row.name));
            return Ok(());
        };
        self.read_at_last(contact, address, &again)?;
        self.hear(row, said)
    }

    fn cannot_read(&mut self, contact: &str, address: &Address, arrival: &Arrival) -> Result<(), ClientError> {
        let row = UnreadableRow {
            contact: contact.to_owned(),
            address: *address,
            created_at: arrival.header.created_at,
            expires_at: arrival.header.expires_at,
            payload: arrival.hash,
        };
        self.unreadable(arrival.id, &row)
    }

    fn hear(&mut self, contact: ContactRow, said: Said) -> Result<(), ClientError> {
        match said {
            Said::Accept { name, mailbox } => self.connected(&contact.id, Some(name), &mailbox),
            _ if contact.state != ContactState::Connected => Ok(()),
            Said::Message { id, at, content } => {
                self.show(&contact, InboxRow { id, contact: contact.id.clone(), at, content })
            }
            Said::Mailbox { mailbox } => self.connected(&contact.id, None, &mailbox),
            Said::Unreadable { records } => {
                for record in &records {
                    self.say_again(&contact, record)?;
                }
                Ok(())
            }
            // Only a link's holder asks, and only the invite's mailbox hears it.
            Said::Request { .. } => Ok(()),
        }
    }

    /// Stores a message and tells of it, unless it is there already.
    fn show(&mut self, contact: &ContactRow, row: InboxRow) -> Result<(), ClientError> {
        let number_key = key::inbox_number(&row.id, &contact.id);
        if self.raw(&number_key)?.is_some() {
            return Ok(());
        }
        let mut account = self.account()?;
        let number = account.next_inbox;
        account.next_inbox += 1;
        self.put_account(&account)?;
        self.put(number_key, &number)?;
        self.put(key::inbox(number), &row)?;
        self.events.push(Event::Message(row.show(&contact.name)));
        Ok(())
    }
}

impl ChainRow {
    /// Whether a message names the one before it, as far as that was seen.
    fn follows(&self, inner: &Inner) -> bool {
        let expected = if inner.seq == 0 { Some([0; 32]) } else { self.prev };
        expected.is_none_or(|expected| expected == inner.prev)
    }

    /// Moves behind message `seq`.
    const fn step(&mut self, seq: u64, hash: &[u8; 32]) {
        self.next = seq.saturating_add(1);
        self.prev = Some(*hash);
    }
}
