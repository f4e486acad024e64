//! How the core is driven: time, work, outcomes.

use griot_protocol::{
    Address, Cursor, NodeId, Nonce, ProofMethod, RecordId, Timestamp,
    api::{self, Problem},
    limits::LIFE_SECONDS_MAX,
};

use super::{
    Client, ClientError, Event, HomeId, Outcome, Work,
    rows::{self, ContactRow, HomeRow, MailboxRow, QueuedKind, QueuedRow, SentRow, key},
    work,
};
use crate::store::Store;

/// How often expired rows are swept out.
const SWEEP_EVERY_SECONDS: u64 = 3600;

/// How long a payload is remembered after it expired: homes' clocks may be off, by more than a day at worst.
const SEEN_GRACE_SECONDS: u64 = LIFE_SECONDS_MAX;

impl<S: Store> Client<S> {
    /// Does what time asks for: expiry, a new fallback key, reports that waited. Call it before [`Client::work`].
    ///
    /// # Errors
    /// The store failed.
    pub fn tick(&mut self, now: Timestamp) -> Result<Vec<Event>, ClientError> {
        let sweep = self.swept_at.is_none_or(|at| at.plus(SWEEP_EVERY_SECONDS) <= now);
        let ((), events) = self.transact(now, |tx| {
            tx.make_acks()?;
            tx.expire_queue()?;
            tx.expire_invites()?;
            tx.rotate_fallback()?;
            for contact in tx.all::<ContactRow>(key::CONTACTS)? {
                tx.heal_if_needed(&contact.id)?;
            }
            if sweep { tx.expire_seen(SEEN_GRACE_SECONDS) } else { Ok(()) }
        })?;
        if sweep {
            self.swept_at = Some(now);
        }
        Ok(events)
    }

    /// What is to be done at the homes now, most urgent first. What was handed out is not handed out again until
    /// [`Client::done`] was called for it, or a minute has passed.
    ///
    /// # Errors
    /// The store failed.
    pub fn work(&mut self, now: Timestamp) -> Result<Vec<Work>, ClientError> {
        work::work(&self.store, &mut self.timers, now)
    }

    /// Forgets when mailboxes were last read, records asked about, and silent homes tried: [`Client::work`] offers all
    /// of it again.
    pub fn refresh(&mut self) {
        self.timers.refresh();
    }

    /// Takes what came of any work, whether [`Client::work`] handed it out or not. A stream's envelope is a
    /// [`Work::Fetch`] with a page of one entry and `more: true`; its end (`live`) an empty page with `more: false`.
    ///
    /// # Errors
    /// The store failed, or [`ClientError::Mismatch`]. Where the store failed, nothing was done, and the work will
    /// come again.
    pub fn done(&mut self, now: Timestamp, work: Work, outcome: Outcome) -> Result<Vec<Event>, ClientError> {
        if let Outcome::Unreachable(error) = &outcome {
            let news = self.timers.unreachable(&work, now, error);
            let url = self.home_url(work.home())?.filter(|_| news);
            return Ok(url.map(|url| Event::Warning(format!("{url} does not answer: {error}"))).into_iter().collect());
        }
        self.timers.answered(&work, now);
        if let Outcome::Refused(problem) = outcome {
            return self.refused(now, &work, &problem);
        }
        self.answered(now, work, outcome)
    }

    fn answered(&mut self, now: Timestamp, work: Work, outcome: Outcome) -> Result<Vec<Event>, ClientError> {
        match (&work, outcome) {
            (Work::Greet { home }, Outcome::Greeted(info)) => {
                // A home of a foreign network is not stored as greeted: it must not be asked without a pause.
                self.timers.pause(&work, now);
                Ok(self.transact(now, |tx| tx.greeted(*home, &info))?.1)
            }
            (Work::Register { home, address }, Outcome::Registered(_)) => {
                self.timers.clear(&work);
                self.timers.clear(&Work::Fetch { home: *home, address: *address, after: None });
                Ok(self.transact(now, |tx| tx.registered(*home, address))?.1)
            }
            (Work::Unregister { home, address }, Outcome::Unregistered) => {
                Ok(self.transact(now, |tx| tx.unregistered(*home, address))?.1)
            }
            (Work::Submit { home, id, .. }, Outcome::Accepted(accepted)) => {
                if accepted.id != *id {
                    return Err(ClientError::Mismatch);
                }
                self.timers.clear(&Work::Ask { home: *home, id: *id });
                Ok(self.transact(now, |tx| tx.accepted(home.0, id))?.1)
            }
            (Work::Fetch { home, address, .. }, Outcome::Page { entries, more }) => {
                self.timers.pause_for(&work, now, work::fetch_pause(more));
                self.page(now, *home, *address, entries, more)
            }
            (Work::Ask { home, id }, Outcome::Status(status)) => {
                self.timers.pause(&work, now);
                Ok(self.transact(now, |tx| tx.told(home.0, id, status.as_ref()))?.1)
            }
            _ => Err(ClientError::Mismatch),
        }
    }

    /// Takes a page: one transaction for each envelope, and one for the acks of all.
    fn page(
        &mut self,
        now: Timestamp,
        home: HomeId,
        address: Address,
        entries: Vec<(Cursor, bytes::Bytes)>,
        more: bool,
    ) -> Result<Vec<Event>, ClientError> {
        let mut events = Vec::new();
        for (cursor, frame) in entries {
            events.extend(self.transact(now, |tx| tx.receive(home, &address, cursor, frame))?.1);
        }
        let homes = rows::homes(&self.store)?.into_iter().map(|row| row.home.id);
        let reachable: Vec<HomeId> = homes.filter(|home| self.timers.is_reachable(*home)).collect();
        let ((), told) = self.transact(now, |tx| {
            if !more {
                tx.asked_for_missing(home, &address, &reachable)?;
            }
            tx.make_acks()
        })?;
        events.extend(told);
        Ok(events)
    }

    /// Where a home is; `None` once it was removed.
    fn home_url(&self, id: HomeId) -> Result<Option<String>, ClientError> {
        Ok(rows::load::<S, HomeRow>(&self.store, &key::home(id.0))?.map(|row| row.home.url))
    }

    /// A home answered with an error.
    fn refused(&mut self, now: Timestamp, work: &Work, problem: &Problem) -> Result<Vec<Event>, ClientError> {
        self.timers.pause(work, now);
        let text = if problem.detail.is_empty() { problem.title.clone() } else { problem.detail.clone() };
        match work {
            Work::Submit { home, id, .. } if is_permanent(problem) => {
                Ok(self.transact(now, |tx| tx.refused(home.0, id, text))?.1)
            }
            // The home has forgotten the mailbox: register it again.
            Work::Fetch { home, address, .. } if matches!(problem.status, 403 | 404) => {
                Ok(self.transact(now, |tx| tx.unregistered(*home, address))?.1)
            }
            Work::Unregister { home, address } if matches!(problem.status, 403 | 404) => {
                Ok(self.transact(now, |tx| tx.unregistered(*home, address))?.1)
            }
            Work::Ask { home, id } if problem.status == 404 => {
                Ok(self.transact(now, |tx| tx.told(home.0, id, None))?.1)
            }
            _ => {
                // One that does not know us is no home to rely on, although it answers.
                if matches!(work, Work::Greet { .. } | Work::Register { .. }) {
                    self.timers.refused(work.home(), &text);
                }
                let url = self.home_url(work.home())?;
                Ok(url.map(|url| Event::Warning(format!("{url}: {text}"))).into_iter().collect())
            }
        }
    }

    /// What registers a mailbox at the node that was greeted as this home.
    ///
    /// # Errors
    /// [`ClientError::HomeChanged`] where another node answers, [`ClientError::NoSuchMailbox`] where it was withdrawn.
    pub fn registration(
        &mut self,
        now: Timestamp,
        home: HomeId,
        address: Address,
        node_id: NodeId,
        nonce: Nonce,
    ) -> Result<api::Registration, ClientError> {
        Ok(self.transact(now, |tx| tx.registration(home, &address, &node_id, nonce))?.0)
    }

    /// What ends a registration.
    ///
    /// # Errors
    /// As [`Client::registration`].
    pub fn unregistration(
        &mut self,
        home: HomeId,
        address: Address,
        node_id: NodeId,
        nonce: Nonce,
    ) -> Result<api::Unregistration, ClientError> {
        let prove = |tx: &mut super::Tx<'_, S>| tx.prove(home, &address, &node_id, nonce, ProofMethod::Unregister);
        let (mailbox, proof) = self.transact(Timestamp(0), prove)?.0;
        Ok(api::Unregistration { keys: mailbox.keys, proof })
    }

    /// The mailboxes to stream from a home: the active ones that are registered there.
    ///
    /// # Errors
    /// The store failed.
    pub fn subscriptions(&self, home: HomeId) -> Result<Vec<Address>, ClientError> {
        let mailboxes: Vec<MailboxRow> = rows::load_all(&self.store, key::MAILBOXES)?;
        let there = |mailbox: &&MailboxRow| mailbox.active && mailbox.registered.contains_key(&home.0);
        Ok(mailboxes.iter().filter(there).map(|mailbox| mailbox.keys.address()).collect())
    }

    /// What subscribes to a mailbox on a home's stream, from where reading it stopped.
    ///
    /// # Errors
    /// As [`Client::registration`].
    pub fn subscribe(
        &mut self,
        home: HomeId,
        address: Address,
        node_id: NodeId,
        nonce: Nonce,
    ) -> Result<api::StreamRequest, ClientError> {
        let prove = |tx: &mut super::Tx<'_, S>| tx.prove(home, &address, &node_id, nonce, ProofMethod::Subscribe);
        let (mailbox, proof) = self.transact(Timestamp(0), prove)?.0;
        let after = mailbox.cursors.get(&home.0).copied();
        Ok(api::StreamRequest::Subscribe { keys: mailbox.keys, proof, after })
    }

    /// The message that a record of ours carries, by its id, while the record is under way. A message that could not be
    /// read is said again, and then has another record.
    ///
    /// # Errors
    /// The store failed.
    pub fn message_in(&self, record: &RecordId) -> Result<Option<String>, ClientError> {
        let row: Option<QueuedRow> = rows::load(&self.store, &key::queued(record))?;
        let Some(QueuedKind::Message { number, .. }) = row.map(|row| row.kind) else { return Ok(None) };
        Ok(rows::load::<S, SentRow>(&self.store, &key::sent(number))?.map(|sent| sent.id))
    }

    /// Records to watch on a home's stream: accepted there, and not delivered.
    ///
    /// # Errors
    /// The store failed.
    pub fn watches(&self, home: HomeId) -> Result<Vec<RecordId>, ClientError> {
        let mut ids = Vec::new();
        for (row_key, bytes) in rows::load_raw(&self.store, key::QUEUE)? {
            let row: QueuedRow = rows::decode(&bytes)?;
            if row.kind != QueuedKind::Ack && row.accepted.contains(&home.0) {
                ids.extend(key::parse_record(&row_key));
            }
        }
        Ok(ids)
    }
}

/// Whether asking again cannot help: the request itself is wrong, not the time, the token or the room.
const fn is_permanent(problem: &Problem) -> bool {
    matches!(problem.status, 400 | 409 | 410 | 413 | 415 | 422)
}
