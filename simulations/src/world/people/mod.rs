//! The people: who writes, who reads, and through which homes.
//!
//! Some have a full client (`clients`), for what they write to each other. For everything else, and for everybody else,
//! a person is a mailbox owner without a conversation: real keys, real envelopes, real acks, the node's own
//! [`Handle`](griot_node::runtime::Handle), and random bytes where the ciphertext would be. What the client library does
//! is done here as it does it:
//!
//! - every mailbox is registered on every home, each home is read, and what was read before is dropped;
//! - a message is offered to the first home that answers, and to another one while no receipt has come;
//! - what was read is acked once, with release, at the home where it was read first, or at another where that one is gone.
//!
//! A person and their homes are in one place: the way between them takes no time.

mod mailboxes;
mod outgoing;
mod reading;
mod session;

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    sync::{Mutex, MutexGuard, PoisonError},
};

use griot_protocol::{Cursor, NetworkParams, ack::AckItem};
use tokio::task::AbortHandle;

pub(crate) use mailboxes::Mailbox;
pub(crate) use outgoing::Outgoing;
use session::Session;

use crate::{
    plan::{MailboxIndex, MessageIndex, NodeIndex, PersonIndex, Plan},
    world::clients::Clients,
};

/// What one person knows and does.
#[derive(Debug, Default)]
pub(crate) struct Person {
    pub homes: Vec<NodeIndex>,
    pub online: bool,
    /// The mailboxes that this person reads.
    pub reads: Vec<MailboxIndex>,
    /// Messages that no home has taken yet, or that are to be offered to another one.
    pub to_send: VecDeque<MessageIndex>,
    /// Messages that are neither collected nor expired.
    pub outgoing: BTreeMap<MessageIndex, Outgoing>,
    /// The task that sends, while there is anything to send.
    pub sending: Option<AbortHandle>,
    /// Homes that hold a registration.
    pub registered: BTreeSet<(NodeIndex, MailboxIndex)>,
    /// How far each mailbox was read at each home.
    pub cursors: BTreeMap<(NodeIndex, MailboxIndex), Cursor>,
    /// Read, and no home has taken the ack yet.
    pub to_ack: BTreeMap<MailboxIndex, BTreeSet<AckItem>>,
    pub sessions: BTreeMap<NodeIndex, Session>,
}

/// Mailboxes into which nothing comes, because all that the plan sends there are texts between full clients, which
/// have mailboxes of their own.
fn left_to_clients(plan: &Plan, clients: &Clients) -> BTreeSet<MailboxIndex> {
    let (mut left, mut used) = (BTreeSet::new(), BTreeSet::new());
    for (index, message) in (0..).map(MessageIndex).zip(&plan.messages) {
        (if clients.is_real(index) { &mut left } else { &mut used }).insert(message.mailbox);
    }
    &left - &used
}

/// All of them.
#[derive(Debug)]
pub(crate) struct People {
    pub mailboxes: Vec<Mailbox>,
    persons: Vec<Mutex<Person>>,
}

impl People {
    /// Everybody, with their keys. `None` where a mailbox finds no nonce for its shard, which does not happen.
    pub(crate) fn new(plan: &Plan, params: &NetworkParams, clients: &Clients) -> Option<Self> {
        let left_to_clients = left_to_clients(plan, clients);
        let mut persons: Vec<Person> = plan
            .people
            .iter()
            .map(|person| Person { homes: person.homes.clone(), online: person.starts_online, ..Person::default() })
            .collect();
        let mut mailboxes = Vec::with_capacity(plan.mailboxes.len());
        for (index, mailbox) in (0..).map(MailboxIndex).zip(&plan.mailboxes) {
            mailboxes.push(Mailbox::new(plan, params, index)?);
            if left_to_clients.contains(&index) {
                continue;
            }
            for reader in &mailbox.readers {
                if let Some(person) = persons.get_mut(reader.0 as usize) {
                    person.reads.push(index);
                }
            }
        }
        Some(Self { mailboxes, persons: persons.into_iter().map(Mutex::new).collect() })
    }

    pub(crate) fn person(&self, index: PersonIndex) -> MutexGuard<'_, Person> {
        self.persons[index.0 as usize].lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn mailbox(&self, index: MailboxIndex) -> &Mailbox {
        &self.mailboxes[index.0 as usize]
    }

    pub(crate) fn all(&self) -> impl Iterator<Item = PersonIndex> {
        (0..self.persons.len() as u32).map(PersonIndex)
    }
}
