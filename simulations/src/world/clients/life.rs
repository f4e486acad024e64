//! A person at an open client: comes on line, looks when there is news, goes off line.
//!
//! Off line nothing runs and the store stays, as on a phone that is switched off. Who writes then does so as `griot
//! send` does without a network: the store is opened, the text encrypted and queued, and the store closed again.

use std::{sync::Arc, time::Duration};

use futures::{StreamExt, stream::FuturesUnordered};
use griot_client::{
    agent::{self, Engine},
    core::{Client, ClientError, Event, NewHome},
    store::Store,
};
use tokio::sync::broadcast::error::{RecvError, TryRecvError};

use super::{disk::ClientDisk, name_of, reach::Within};
use crate::{
    plan::{NodeIndex, PersonIndex},
    world::{World, seeds, time::now},
};

/// How often a person looks without being told that there is something: whoever waits for a contact does.
const LOOK_EVERY: Duration = Duration::from_secs(5);

/// The clients of the beginning are opened within this time of each other, once the first nodes run.
const OPEN_WITHIN_MS: u64 = 1_000;

/// Pushes under way. What one finds done already costs nothing, and the engine looks by itself twice a second.
const PUSHES_MAX: usize = 4;

/// A home's address: its node.
fn url_of(home: NodeIndex) -> String {
    format!("node:{}", home.0)
}

/// Which node an address is.
pub(super) fn node_at(url: &str) -> Option<NodeIndex> {
    url.strip_prefix("node:")?.parse().ok().map(NodeIndex)
}

fn new_home(home: NodeIndex) -> NewHome {
    NewHome { url: url_of(home), ..NewHome::default() }
}

impl World {
    /// Opens the clients of those who are on line when the run begins.
    pub(crate) fn open_first_clients(self: &Arc<Self>) {
        for person in self.clients.people() {
            let is_online = self.people.person(person).online;
            if is_online {
                let draw = seeds::number(self.plan.seed, "client opens", u64::from(person.0));
                self.open_client(person, Duration::from_millis(OPEN_WITHIN_MS + draw % OPEN_WITHIN_MS));
            }
        }
    }

    /// A person with a client comes on line.
    pub(crate) fn open_client(self: &Arc<Self>, person: PersonIndex, after: Duration) {
        let Some(mut client) = self.clients.of(person) else { return };
        if client.is_open {
            return;
        }
        client.is_open = true;
        let before = client.task.take();
        let world = Arc::clone(self);
        client.task = Some(tokio::spawn(async move {
            // A store has one owner: what was before has ended by then.
            if let Some(before) = before {
                let _aborted = before.await;
            }
            tokio::time::sleep(after).await;
            world.live_with_client(person).await;
        }));
    }

    /// A person with a client goes off line.
    pub(crate) fn close_client(&self, person: PersonIndex) {
        let Some(mut client) = self.clients.of(person) else { return };
        client.is_open = false;
        if let Some(task) = &client.task {
            task.abort();
        }
    }

    /// The account in a person's store, made where there is none yet.
    pub(super) fn open_account(&self, person: PersonIndex) -> Option<Client<ClientDisk>> {
        let (disk, opens) = {
            let mut client = self.clients.of(person)?;
            client.opens += 1;
            (client.disk.clone(), client.opens)
        };
        let rng = Box::new(seeds::rng(self.plan.seed, "client", u64::from(person.0) << 32 | opens));
        let opened = if disk.is_new() {
            let homes: Vec<NewHome> = self.people.person(person).homes.iter().copied().map(new_home).collect();
            Client::create_with_homes(disk, rng, agent::now(), &name_of(person), &homes)
        } else {
            Client::open(disk, rng, agent::now())
        };
        opened.inspect_err(|error| self.client_failed(person, error)).ok()
    }

    /// Whatever a client refuses is seen: it is in the trace, and counted.
    pub(super) fn client_failed(&self, person: PersonIndex, error: &ClientError) {
        let mut ledger = self.ledger.state();
        ledger.trace.note(now(), format_args!("p{}'s client refuses: {error}", person.0));
        ledger.count(("clients", "refusals", ""), 1);
    }

    async fn live_with_client(self: Arc<Self>, person: PersonIndex) {
        let Some(account) = self.open_account(person) else { return };
        let Some(wake) = self.clients.of(person).map(|client| Arc::clone(&client.wake)) else { return };
        let engine = Engine::start_with(account, Arc::new(Within::new(&self, person)));
        let mut events = engine.events();
        engine.go_live();
        let mut pushes = FuturesUnordered::new();
        let mut look = tokio::time::interval(LOOK_EVERY);
        // What became of the texts while nobody listened.
        let mut missed = true;
        loop {
            tokio::select! {
                biased;
                event = events.recv() => match event {
                    Ok(event) => self.hear_event(person, &event),
                    Err(RecvError::Lagged(_)) => missed = true,
                    Err(RecvError::Closed) => return,
                },
                () = wake.notified() => {}
                Some(_done) = pushes.next(), if !pushes.is_empty() => continue,
                _ = look.tick() => {}
            }
            loop {
                match events.try_recv() {
                    Ok(event) => self.hear_event(person, &event),
                    Err(TryRecvError::Lagged(_)) => missed = true,
                    Err(TryRecvError::Empty | TryRecvError::Closed) => break,
                }
            }
            let is_work = engine.with(|account| {
                if std::mem::take(&mut missed) {
                    self.hear_of_all(person, account);
                }
                self.attend(person, account)
            });
            if is_work && pushes.len() < PUSHES_MAX {
                pushes.push(engine.push());
            }
        }
    }

    fn hear_event(&self, person: PersonIndex, event: &Event) {
        match event {
            Event::Sent(sent) => self.hear_of_text(person, sent),
            Event::Warning(text) => self.note(format_args!("p{}'s client warns: {text}", person.0)),
            // Looked at in the store, where they are.
            Event::Message(_) | Event::Request(_) | Event::Contact(_) => {}
        }
    }

    /// Looks at everything; says whether there is something to send.
    pub(super) fn attend<S: Store>(&self, person: PersonIndex, account: &mut Client<S>) -> bool {
        self.read_texts(person, account);
        let moved = self.move_home(person, account);
        let met = self.make_contacts(person, account);
        let wrote = self.write_texts(person, account);
        moved | met | wrote
    }

    /// Adds and removes homes as the person has decided.
    fn move_home<S: Store>(&self, person: PersonIndex, account: &mut Client<S>) -> bool {
        let wanted = self.people.person(person).homes.clone();
        let homes = match account.homes() {
            Ok(homes) => homes,
            Err(error) => {
                self.client_failed(person, &error);
                return false;
            }
        };
        let known: Vec<_> = homes.into_iter().filter_map(|(home, _)| Some((node_at(&home.url)?, home.id))).collect();
        let mut results = Vec::new();
        for (node, id) in known.iter().filter(|(node, _)| !wanted.contains(node)) {
            self.note(format_args!("p{}'s client leaves n{}", person.0, node.0));
            results.push(account.remove_home(*id));
        }
        for node in wanted.iter().filter(|node| !known.iter().any(|(known, _)| known == *node)) {
            self.note(format_args!("p{}'s client goes to n{}", person.0, node.0));
            results.push(account.add_home(&new_home(*node)).map(drop));
        }
        for error in results.iter().filter_map(|result| result.as_ref().err()) {
            self.client_failed(person, error);
        }
        !results.is_empty()
    }
}
