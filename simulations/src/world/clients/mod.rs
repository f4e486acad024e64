//! People with a full client: accounts, contacts, encrypted texts, as `griot` makes them.
//!
//! Most people of a run are mailbox owners without a conversation (`people`). Those whom the plan says so of run the
//! production client besides: its core, which makes every decision, and its engine, which carries them out (what is
//! asked of which home at the same time, in which order, when again; streams and polling). Three things are others:
//!
//! | part | in a run |
//! |---|---|
//! | the way to a home | the node's API within the process (`reach`): the checks and answers are real, HTTP is not run |
//! | the store | the client's memory store (`disk`), which a property test of the client holds to the one on disk |
//! | clock and entropy | the virtual host's, as everybody's |
//!
//! ```text
//!  person ─▶ contacts   invite, request, consent          ┐                      ┌─ reach ─▶ node's API
//!   (life)   texts      write, read, hear what became ────┼─▶ Engine ─▶ Client ──┤
//!                                                         ┘  (production)        └─ disk
//! ```
//!
//! **Which messages are theirs.** A message whose author and only reader both have a full client, to a mailbox that is
//! not shared, is a text from one client to the other. All others stay what they are without this: the workload is the
//! same, and so is who reads what.
//!
//! **Contacts.** Before a text can be written, its two people must have met: the one who writes first is given a link
//! by the other (by hand, as people do; that way takes no time), asks with it, and the other says yes. Request and
//! consent go through the network. What is to be written earlier waits, as it would.

mod contacts;
mod disk;
mod life;
mod reach;
mod stream;
mod texts;

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use tokio::{
    sync::{Notify, watch},
    task::JoinHandle,
};

use self::disk::ClientDisk;
use super::World;
use crate::plan::{MessageIndex, MessagePlan, NodeIndex, PersonIndex, Plan};

/// One person's client, and what the person knows.
#[derive(Debug, Default)]
pub(crate) struct FullClient {
    disk: ClientDisk,
    /// Times that the store was opened.
    opens: u64,
    /// The person at the open client, while on line; or what is left of that.
    task: Option<JoinHandle<()>>,
    /// Whether that task is to go on.
    is_open: bool,
    /// There is something to look at.
    wake: Arc<Notify>,
    /// People to ask for contact, and people whose request is welcome.
    asks: BTreeSet<PersonIndex>,
    expects: BTreeSet<PersonIndex>,
    /// Who of both is a contact.
    connected: BTreeSet<PersonIndex>,
    /// Texts to write, in order.
    to_write: VecDeque<MessageIndex>,
    /// The last text that was looked at.
    seen: Option<String>,
    /// Which home first gave the envelope of a text.
    given_by: BTreeMap<MessageIndex, NodeIndex>,
}

/// All of them.
#[derive(Debug)]
pub(crate) struct Clients {
    of: BTreeMap<PersonIndex, Mutex<FullClient>>,
    /// For each message, whether it is a text between two clients.
    real: Vec<bool>,
    /// Links that were handed over.
    links: Mutex<BTreeMap<PersonIndex, String>>,
    /// Texts that were written, by the id that both clients know them by.
    texts: Mutex<BTreeMap<String, MessageIndex>>,
    /// Changes when a cut begins or ends.
    cuts: watch::Sender<u64>,
}

/// What a person calls themself.
fn name_of(person: PersonIndex) -> String {
    format!("p{}", person.0)
}

/// Who is called so.
fn person_called(name: &str) -> Option<PersonIndex> {
    name.strip_prefix('p')?.parse().ok().map(PersonIndex)
}

/// The only reader of a message that is a text between two clients.
fn reader_of_text(plan: &Plan, message: &MessagePlan) -> Option<PersonIndex> {
    let is_full = |person: PersonIndex| plan.people.get(person.0 as usize).is_some_and(|person| person.full_client);
    let mailbox = plan.mailboxes.get(message.mailbox.0 as usize)?;
    let [reader] = mailbox.readers[..] else { return None };
    let both = !mailbox.shared && reader != message.author && is_full(reader) && is_full(message.author);
    both.then_some(reader)
}

impl Clients {
    pub(crate) fn new(plan: &Plan) -> Self {
        let mut of: BTreeMap<PersonIndex, FullClient> = BTreeMap::new();
        for (index, _) in (0..).map(PersonIndex).zip(&plan.people).filter(|(_, person)| person.full_client) {
            of.insert(index, FullClient::default());
        }
        let mut real = Vec::new();
        if !of.is_empty() {
            real.resize(plan.messages.len(), false);
            for (message, is_real) in plan.messages.iter().zip(&mut real) {
                let Some(reader) = reader_of_text(plan, message) else { continue };
                *is_real = true;
                // Whoever writes first asks; messages are in order of time.
                let is_met = of.get(&message.author).is_some_and(|author| author.expects.contains(&reader));
                if !is_met && let Some(author) = of.get_mut(&message.author) {
                    author.asks.insert(reader);
                    if let Some(reader) = of.get_mut(&reader) {
                        reader.expects.insert(message.author);
                    }
                }
            }
        }
        let of = of.into_iter().map(|(person, client)| (person, Mutex::new(client))).collect();
        Self { of, real, links: Mutex::default(), texts: Mutex::default(), cuts: watch::channel(0).0 }
    }

    /// Whether a message is a text between two clients.
    pub(crate) fn is_real(&self, message: MessageIndex) -> bool {
        self.real.get(message.0 as usize).copied().unwrap_or_default()
    }

    /// Everybody with a full client.
    pub(crate) fn people(&self) -> impl Iterator<Item = PersonIndex> {
        self.of.keys().copied()
    }

    /// Somebody's client; nothing where they have none.
    fn of(&self, person: PersonIndex) -> Option<MutexGuard<'_, FullClient>> {
        self.of.get(&person).map(|client| lock(client))
    }

    fn text(&self, id: &str) -> Option<MessageIndex> {
        lock(&self.texts).get(id).copied()
    }

    /// A cut began or ended: whoever listens to a home looks whether the way there is still open.
    pub(crate) fn cuts_changed(&self) {
        self.cuts.send_modify(|version| *version += 1);
    }

    /// Has a person look.
    pub(crate) fn wake(&self, person: PersonIndex) {
        if let Some(client) = self.of(person) {
            client.wake.notify_one();
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl World {
    /// Counts, at the end, what the clients themselves say.
    pub(crate) fn count_clients(&self) {
        let has_account = |person: &PersonIndex| self.clients.of(*person).is_some_and(|client| !client.disk.is_new());
        for person in self.clients.people().filter(has_account) {
            let Some(status) = self.open_account(person).and_then(|client| client.status().ok()) else { continue };
            let mut ledger = self.ledger.state();
            ledger.count(("clients", "accounts", ""), 1);
            ledger.count(("clients", "contacts", ""), status.contacts);
            ledger.count(("clients", "undecryptable", ""), status.unreadable);
        }
    }
}
