//! The client's core: every decision, no IO, no clock, no threads.
//!
//! The core is driven in four steps, over and over:
//!
//! 1. a command changes the stored state in one transaction ([`Client::send`], …);
//! 2. [`Client::tick`] does what time asks for: expiry, new fallback keys, reports;
//! 3. [`Client::work`] derives from the stored state what has to be done at the homes now: registrations,
//!    submissions, fetches, questions. Nothing is forgotten by a crash;
//! 4. the caller does it and reports what came of it with [`Client::done`], which changes the stored state
//!    again and returns what a person should hear of ([`Event`]s).
//!
//! Every decision is a method of a transaction (`tx.rs`), grouped by what it is about: `contacts`, `invites`,
//! `mailboxes`, `homes`, `outgoing`, `incoming`, `acks`, `ratchet`, `healing`. The outer seals are in `crypto`, what is inside
//! them in `wire`, what is kept in `rows`.

mod acks;
mod contacts;
mod crypto;
mod drive;
mod error;
mod healing;
mod homes;
mod incoming;
mod invites;
pub mod limits;
mod mailboxes;
mod outgoing;
mod ratchet;
mod rows;
mod tx;
mod types;
mod wire;
mod work;

use griot_protocol::{RecordId, Timestamp};
use rand::CryptoRng;

use crate::store::Store;

pub use error::ClientError;
use rows::{
    AccountRow, ContactRow, HomeRow, InboxRow, InviteRow, MailboxRow, QueuedKind, QueuedRow, RequestRow, SentRow, key,
};
use tx::Tx;
pub use types::*;

/// Whether somebody can be called this.
///
/// # Errors
/// [`ClientError::Name`].
pub fn check_name(name: &str) -> Result<(), ClientError> {
    if wire::is_name(name) { Ok(()) } else { Err(ClientError::Name) }
}

/// A client: one account over one store.
pub struct Client<S: Store> {
    store: S,
    rng: Box<dyn CryptoRng + Send>,
    timers: work::Timers,
    /// When expired rows were last swept out, in this run.
    swept_at: Option<Timestamp>,
}

impl<S: Store> std::fmt::Debug for Client<S> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Client")
    }
}

impl<S: Store> Client<S> {
    /// Makes a new account, called `name`, in an empty store.
    ///
    /// # Errors
    /// [`ClientError::Name`], [`ClientError::AccountExists`], or the store failed.
    pub fn create(store: S, rng: Box<dyn CryptoRng + Send>, now: Timestamp, name: &str) -> Result<Self, ClientError> {
        Self::create_with_homes(store, rng, now, name, &[])
    }

    /// Makes a new account with its homes, in one step: a crash leaves all of it or nothing.
    ///
    /// # Errors
    /// As [`Client::create`] and [`Client::add_home`].
    pub fn create_with_homes(
        store: S,
        rng: Box<dyn CryptoRng + Send>,
        now: Timestamp,
        name: &str,
        homes: &[NewHome],
    ) -> Result<Self, ClientError> {
        check_name(name)?;
        if store.get(key::ACCOUNT)?.is_some() {
            return Err(ClientError::AccountExists);
        }
        let mut client = Self { store, rng, timers: work::Timers::default(), swept_at: None };
        client.transact(now, |tx| {
            tx.put_account(&ratchet::new_account(now, name)?)?;
            homes.iter().try_for_each(|home| tx.add_home(home).map(drop))
        })?;
        Ok(client)
    }

    /// Opens the account in a store.
    ///
    /// # Errors
    /// [`ClientError::NoAccount`], or the store is damaged or of a newer version.
    pub fn open(store: S, rng: Box<dyn CryptoRng + Send>, _now: Timestamp) -> Result<Self, ClientError> {
        let account: AccountRow = rows::load(&store, key::ACCOUNT)?.ok_or(ClientError::NoAccount)?;
        if account.version != rows::ROWS_VERSION {
            return Err(ClientError::Damaged(format!("it has version {}: use a newer program", account.version)));
        }
        Ok(Self { store, rng, timers: work::Timers::default(), swept_at: None })
    }

    /// The same client, over a store of which nothing is known but that it is one.
    pub fn boxed(self) -> Client<Box<dyn Store>>
    where
        S: 'static,
    {
        Client { store: Box::new(self.store), rng: self.rng, timers: self.timers, swept_at: self.swept_at }
    }

    /// Gives the store back.
    pub fn into_store(self) -> S {
        self.store
    }

    /// The store.
    pub const fn store(&self) -> &S {
        &self.store
    }

    /// The store, for planning crashes in tests and simulations.
    pub const fn store_mut(&mut self) -> &mut S {
        &mut self.store
    }

    /// Runs `f` and commits what it changed; nothing where it fails.
    fn transact<T>(
        &mut self,
        now: Timestamp,
        f: impl FnOnce(&mut Tx<'_, S>) -> Result<T, ClientError>,
    ) -> Result<(T, Vec<Event>), ClientError> {
        let mut tx = Tx::new(&self.store, &mut *self.rng, now);
        let value = f(&mut tx)?;
        let (changes, events) = tx.finish();
        if !changes.is_empty() {
            self.store.commit(&changes)?;
        }
        Ok((value, events))
    }

    /// Adds a home. It is greeted, and every mailbox registered there, as [`Client::work`] asks for it.
    ///
    /// # Errors
    /// It is there already, or there are too many.
    pub fn add_home(&mut self, home: &NewHome) -> Result<HomeId, ClientError> {
        Ok(self.transact(Timestamp(0), |tx| tx.add_home(home))?.0)
    }

    /// Leaves a home behind, without asking it.
    ///
    /// # Errors
    /// [`ClientError::NoSuchHome`].
    pub fn remove_home(&mut self, id: HomeId) -> Result<(), ClientError> {
        self.transact(Timestamp(0), |tx| tx.remove_home(id))?;
        self.timers.remove_home(id);
        Ok(())
    }

    /// The homes, in the order in which they were added.
    ///
    /// # Errors
    /// The store failed, as in every reading command.
    pub fn homes(&self) -> Result<Vec<(Home, HomeStatus)>, ClientError> {
        let mailboxes: Vec<MailboxRow> = rows::load_all(&self.store, key::MAILBOXES)?;
        let active: Vec<&MailboxRow> = mailboxes.iter().filter(|mailbox| mailbox.active).collect();
        let show = |row: HomeRow| {
            let (answered_at, error) = self.timers.error_of(row.home.id);
            let registered = active.iter().filter(|mailbox| mailbox.registered.contains_key(&row.home.id.0)).count();
            let status = HomeStatus {
                node_id: row.node.as_ref().map(|node| node.node_id),
                network: row.node.as_ref().map(|node| node.params.name.to_string()),
                answered_at,
                error,
                registered: registered as u64,
                mailboxes: active.len() as u64,
            };
            (row.home, status)
        };
        Ok(rows::homes(&self.store)?.into_iter().map(show).collect())
    }

    /// Makes an invite. The link is in the answer only: the store keeps what reads it, not the link.
    ///
    /// # Errors
    /// No home was ever greeted, a life out of bounds, or too many invites.
    pub fn create_invite(&mut self, now: Timestamp, options: InviteOptions) -> Result<Invite, ClientError> {
        Ok(self.transact(now, |tx| tx.create_invite(options))?.0)
    }

    /// All invites, ended ones too.
    ///
    /// # Errors
    /// The store failed.
    pub fn invites(&self, now: Timestamp) -> Result<Vec<InviteInfo>, ClientError> {
        let rows: Vec<InviteRow> = rows::load_all(&self.store, key::INVITES)?;
        Ok(rows.iter().map(|row| row.show(now)).collect())
    }

    /// Ends an invite: whoever still has the link can reach nobody with it.
    ///
    /// # Errors
    /// [`ClientError::NoSuchInvite`].
    pub fn revoke_invite(&mut self, now: Timestamp, id: &str) -> Result<(), ClientError> {
        self.transact(now, |tx| tx.revoke_invite(id)).map(drop)
    }

    /// Asks the maker of a link for contact: the contact (pending), and the record that carries the request. Asking a
    /// contact again, with another link, is fine and heals what both sides blocked.
    ///
    /// # Errors
    /// The link is damaged, has expired, is one's own, or is for another network; the contact is blocked here.
    pub fn connect(
        &mut self,
        now: Timestamp,
        link: &str,
        message: Option<&str>,
    ) -> Result<(ContactInfo, RecordId), ClientError> {
        Ok(self.transact(now, |tx| tx.connect(link, message))?.0)
    }

    /// Requests that wait for an answer.
    ///
    /// # Errors
    /// The store failed.
    pub fn requests(&self) -> Result<Vec<RequestInfo>, ClientError> {
        let rows: Vec<RequestRow> = rows::load_all(&self.store, key::REQUESTS)?;
        Ok(rows.iter().map(RequestRow::show).collect())
    }

    /// Accepts a request: the contact (connected), and the record that carries the acceptance.
    ///
    /// # Errors
    /// [`ClientError::NoSuchRequest`].
    pub fn accept(&mut self, now: Timestamp, id: &str) -> Result<(ContactInfo, RecordId), ClientError> {
        Ok(self.transact(now, |tx| tx.accept(id))?.0)
    }

    /// Drops a request; the other side is not told.
    ///
    /// # Errors
    /// [`ClientError::NoSuchRequest`].
    pub fn decline(&mut self, now: Timestamp, id: &str) -> Result<(), ClientError> {
        self.transact(now, |tx| tx.decline(id)).map(drop)
    }

    /// All contacts.
    ///
    /// # Errors
    /// The store failed.
    pub fn contacts(&self) -> Result<Vec<ContactInfo>, ClientError> {
        let rows: Vec<ContactRow> = rows::load_all(&self.store, key::CONTACTS)?;
        Ok(rows.iter().map(ContactRow::show).collect())
    }

    fn who(&self, who: &str) -> Result<ContactRow, ClientError> {
        contacts::resolve(rows::load_all(&self.store, key::CONTACTS)?, who)
    }

    /// Withdraws the mailbox that a contact writes to.
    ///
    /// # Errors
    /// No such contact, or an ambiguous name.
    pub fn block(&mut self, now: Timestamp, who: &str) -> Result<ContactInfo, ClientError> {
        Ok(self.transact(now, |tx| tx.block(who))?.0)
    }

    /// Gives a blocked contact a new mailbox to write to, over the other direction.
    ///
    /// # Errors
    /// No such contact, or [`ClientError::NotBlocked`].
    pub fn unblock(&mut self, now: Timestamp, who: &str) -> Result<ContactInfo, ClientError> {
        Ok(self.transact(now, |tx| tx.unblock(who))?.0)
    }

    /// The number that both sides compare.
    ///
    /// # Errors
    /// No such contact, or an ambiguous name.
    pub fn safety(&self, who: &str) -> Result<SafetyNumber, ClientError> {
        let contact = self.who(who)?;
        let account: AccountRow = rows::load(&self.store, key::ACCOUNT)?.ok_or(ClientError::NoAccount)?;
        Ok(contacts::safety_number(&account.identity()?, &(contact.ed25519, contact.curve25519)))
    }

    /// Sends a message: encrypted, queued and durable when this returns.
    ///
    /// # Errors
    /// No such contact, one that is pending or blocked, content without a `type` or too large, a full queue.
    pub fn send(&mut self, now: Timestamp, who: &str, content: serde_json::Value) -> Result<SentMessage, ClientError> {
        let contact = self.who(who)?;
        Ok(self.transact(now, |tx| tx.send(&contact.id, content))?.0)
    }

    /// What was sent, oldest first: to one contact, or to all.
    ///
    /// # Errors
    /// No such contact, or an ambiguous name.
    pub fn sent(&self, who: Option<&str>) -> Result<Vec<SentMessage>, ClientError> {
        let only = who.map(|who| self.who(who)).transpose()?.map(|contact| contact.id);
        let names = self.names()?;
        let rows: Vec<SentRow> = rows::load_all(&self.store, key::SENT)?;
        let wanted = rows.iter().filter(|row| only.as_ref().is_none_or(|only| row.contact == *only));
        Ok(wanted.map(|row| row.show(names.get(&row.contact).map_or("", String::as_str))).collect())
    }

    /// One sent message.
    ///
    /// # Errors
    /// [`ClientError::NoSuchMessage`].
    pub fn sent_one(&self, id: &str) -> Result<SentMessage, ClientError> {
        let number: u64 = rows::load(&self.store, &key::sent_number(id))?.ok_or(ClientError::NoSuchMessage)?;
        let row: SentRow = rows::load(&self.store, &key::sent(number))?.ok_or(ClientError::NoSuchMessage)?;
        let name = rows::load::<S, ContactRow>(&self.store, &key::contact(&row.contact))?.map(|contact| contact.name);
        Ok(row.show(&name.unwrap_or_default()))
    }

    /// What was received, in order of arrival: from one contact or all, behind one message or all.
    ///
    /// # Errors
    /// No such contact, an ambiguous name, or [`ClientError::NoSuchMessage`].
    pub fn inbox(&self, from: Option<&str>, after: Option<&str>) -> Result<Vec<InboxMessage>, ClientError> {
        let only = from.map(|who| self.who(who)).transpose()?.map(|contact| contact.id);
        let after = after.map(|id| self.inbox_number(id, only.as_deref())).transpose()?.unwrap_or(0);
        let names = self.names()?;
        let mut messages = Vec::new();
        let mut cursor = key::inbox(after);
        loop {
            let page = self.store.scan(key::INBOX, Some(&cursor), INBOX_PAGE)?;
            let Some((last, _)) = page.last() else {
                return Ok(messages);
            };
            cursor.clone_from(last);
            for (_, bytes) in &page {
                let row: InboxRow = rows::decode(bytes)?;
                if only.as_ref().is_none_or(|only| row.contact == *only) {
                    messages.push(row.show(names.get(&row.contact).map_or("", String::as_str)));
                }
            }
        }
    }

    fn inbox_number(&self, id: &str, contact: Option<&str>) -> Result<u64, ClientError> {
        let prefix = contact.map_or_else(|| key::inbox_numbers(id), |contact| key::inbox_number(id, contact));
        let found = self.store.scan(&prefix, None, 1)?;
        let (found_key, number) = found.first().ok_or(ClientError::NoSuchMessage)?;
        // A shortened id would also be a prefix.
        let whole = found_key.len() == key::inbox_numbers(id).len() + CONTACT_ID_CHARS;
        if whole { rows::decode(number) } else { Err(ClientError::NoSuchMessage) }
    }

    fn names(&self) -> Result<std::collections::BTreeMap<String, String>, ClientError> {
        let rows: Vec<ContactRow> = rows::load_all(&self.store, key::CONTACTS)?;
        Ok(rows.into_iter().map(|row| (row.id, row.name)).collect())
    }

    /// Whether a home accepted a record that was made here (a request, an acceptance). `None`: it does not wait any
    /// more, because it was delivered, has expired, or was refused by every home.
    ///
    /// # Errors
    /// The store failed.
    pub fn is_accepted(&self, id: RecordId) -> Result<Option<bool>, ClientError> {
        let row: Option<QueuedRow> = rows::load(&self.store, &key::queued(&id))?;
        Ok(row.map(|row| row.offered_at.is_some()))
    }

    /// The account at a glance.
    ///
    /// # Errors
    /// The store failed.
    pub fn status(&self) -> Result<ClientStatus, ClientError> {
        let account: AccountRow = rows::load(&self.store, key::ACCOUNT)?.ok_or(ClientError::NoAccount)?;
        let count = |prefix| rows::load_raw(&self.store, prefix).map(|rows| rows.len() as u64);
        let queue: Vec<QueuedRow> = rows::load_all(&self.store, key::QUEUE)?;
        let (mut queued, mut undelivered) = (0, 0);
        for row in queue.iter().filter(|row| matches!(row.kind, QueuedKind::Message { .. })) {
            *(if row.offered_at.is_none() { &mut queued } else { &mut undelivered }) += 1;
        }
        let connected = self.contacts()?.iter().filter(|contact| contact.state == ContactState::Connected).count();
        Ok(ClientStatus {
            name: account.name,
            network: account.network.map(|network| network.name.to_string()),
            homes: count(key::HOMES)?,
            contacts: connected as u64,
            requests: count(key::REQUESTS)?,
            queued,
            undelivered,
            unreadable: count(key::UNREADABLE)?,
        })
    }
}

/// Inbox rows read at once.
const INBOX_PAGE: usize = 256;

/// The length of a contact's id.
const CONTACT_ID_CHARS: usize = 16;
