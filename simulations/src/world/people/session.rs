//! A session: a person who is on line, at one home that is up. It registers what is not registered there, reads every
//! mailbox, and then sleeps until the home has news.

use std::{future::Future, pin::Pin, sync::Arc};

use futures::{StreamExt, stream::FuturesUnordered};
use griot_node::runtime::Handle;
use griot_protocol::Timestamp;
use tokio::{
    sync::{
        mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel},
        watch,
    },
    task::AbortHandle,
};

use crate::{
    plan::{MailboxIndex, MessageIndex, NodeIndex, PersonIndex},
    world::{World, member_of, time::now},
};

/// The way to a session.
#[derive(Debug)]
pub(crate) struct Session {
    task: AbortHandle,
    messages: UnboundedSender<MessageIndex>,
}

impl Session {
    /// News of this message is awaited.
    pub(crate) fn watch(&self, message: MessageIndex) {
        // The session may just have ended; the next one asks for everything under way.
        let _ = self.messages.send(message);
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Something slept for.
enum News {
    Mailbox(MailboxIndex, watch::Receiver<u64>),
    Message(MessageIndex, watch::Receiver<u64>),
    /// The node is gone.
    Gone,
}

type Sleeper = Pin<Box<dyn Future<Output = News> + Send>>;

fn sleep_for_mailbox(mailbox: MailboxIndex, mut receiver: watch::Receiver<u64>) -> Sleeper {
    Box::pin(async move {
        match receiver.changed().await {
            Ok(()) => News::Mailbox(mailbox, receiver),
            Err(_) => News::Gone,
        }
    })
}

fn sleep_for_message(message: MessageIndex, mut receiver: watch::Receiver<u64>) -> Sleeper {
    Box::pin(async move {
        match receiver.changed().await {
            Ok(()) => News::Message(message, receiver),
            Err(_) => News::Gone,
        }
    })
}

impl World {
    /// Whether a person has a way to a home. People are where their first home is, and a cut between that place and
    /// another home cuts them from it too. Their own machine's line is not simulated.
    pub(crate) fn has_way(&self, person: PersonIndex, home: NodeIndex) -> bool {
        let place = self.plan.people.get(person.0 as usize).and_then(|person| person.homes.first());
        place.is_none_or(|place| !self.net.is_cut(*place, home) && !self.net.is_cut(home, *place))
    }

    /// A cut began or ended: sessions over it end, and begin again when the way is open.
    pub(crate) fn ways_changed(self: &Arc<Self>) {
        for person in self.people.all() {
            let homes = self.people.person(person).homes.clone();
            for home in homes {
                if self.has_way(person, home) {
                    self.open_session(person, home);
                } else {
                    self.close_session(person, home);
                }
            }
        }
        self.clients.cuts_changed();
    }

    /// Opens a person's session at a home, if the person is on line, the home is theirs, up and within reach, and none is
    /// open.
    pub(crate) fn open_session(self: &Arc<Self>, person: PersonIndex, home: NodeIndex) {
        let Some(handle) = self.handle(home).filter(|_| self.has_way(person, home)) else { return };
        let mut state = self.people.person(person);
        if !state.online || !state.homes.contains(&home) || state.sessions.contains_key(&home) {
            return;
        }
        let (messages, receiver) = unbounded_channel();
        let world = Arc::clone(self);
        let task = tokio::spawn(async move { world.run_session(person, home, handle, receiver).await });
        state.sessions.insert(home, Session { task: task.abort_handle(), messages });
    }

    /// Ends a person's session at a home.
    pub(crate) fn close_session(&self, person: PersonIndex, home: NodeIndex) {
        drop(self.people.person(person).sessions.remove(&home));
    }

    async fn run_session(
        self: Arc<Self>,
        person: PersonIndex,
        home: NodeIndex,
        handle: Handle,
        mut messages: UnboundedReceiver<MessageIndex>,
    ) {
        self.register_all(person, home, &handle).await;
        self.send_what_waits(person);
        let mut sleepers: FuturesUnordered<Sleeper> = FuturesUnordered::new();
        let (reads, under_way) = {
            let state = self.people.person(person);
            let there = |outgoing: &super::Outgoing| outgoing.at == Some(home);
            let under_way = state.outgoing.iter().filter(|(_, outgoing)| there(outgoing)).map(|(message, _)| *message);
            (state.reads.clone(), under_way.collect::<Vec<_>>())
        };
        for mailbox in reads {
            // Subscribe first, read then, so that nothing falls between.
            sleepers.push(sleep_for_mailbox(mailbox, handle.watch_mailbox(self.people.mailbox(mailbox).address)));
            self.read_mailbox(person, home, &handle, mailbox);
        }
        self.ack_what_was_read(person, home, &handle).await;
        for message in under_way {
            self.watch_message(person, home, &handle, message, &mut sleepers).await;
        }
        loop {
            tokio::select! {
                biased;
                message = messages.recv() => match message {
                    Some(message) => self.watch_message(person, home, &handle, message, &mut sleepers).await,
                    None => return,
                },
                Some(news) = sleepers.next() => match news {
                    News::Mailbox(mailbox, receiver) => {
                        self.read_mailbox(person, home, &handle, mailbox);
                        sleepers.push(sleep_for_mailbox(mailbox, receiver));
                        self.ack_what_was_read(person, home, &handle).await;
                    }
                    News::Message(message, receiver) => {
                        if self.hear(person, home, &handle, message).await {
                            sleepers.push(sleep_for_message(message, receiver));
                        }
                    }
                    News::Gone => return,
                },
            }
        }
    }

    async fn watch_message(
        &self,
        person: PersonIndex,
        home: NodeIndex,
        handle: &Handle,
        message: MessageIndex,
        sleepers: &mut FuturesUnordered<Sleeper>,
    ) {
        let id = self.people.person(person).outgoing.get(&message).map(|outgoing| outgoing.id);
        let Some(id) = id else { return };
        let receiver = handle.watch_record(id);
        if self.hear(person, home, handle, message).await {
            sleepers.push(sleep_for_message(message, receiver));
        }
    }

    async fn register_all(&self, person: PersonIndex, home: NodeIndex, handle: &Handle) {
        let reads = self.people.person(person).reads.clone();
        for mailbox in reads {
            if self.people.person(person).registered.contains(&(home, mailbox)) {
                continue;
            }
            let keys = self.people.mailbox(mailbox);
            let time = Timestamp(self.plan.epoch_unix_seconds + now().0 / 1000);
            let grant = keys.grant(&self.params, &handle.node_id(), time);
            match handle.register(member_of(person), keys.keys, grant).await {
                Ok(()) => {
                    self.people.person(person).registered.insert((home, mailbox));
                    self.note(format_args!("n{} registers b{} for p{}", home.0, mailbox.0, person.0));
                }
                Err(error) => self.note(format_args!("n{} does not register b{}: {error}", home.0, mailbox.0)),
            }
        }
    }

    /// Leaves a home: ends what is registered there, if it answers.
    pub(crate) fn leave_home(self: &Arc<Self>, person: PersonIndex, home: NodeIndex) {
        self.close_session(person, home);
        let mailboxes: Vec<MailboxIndex> = {
            let mut state = self.people.person(person);
            let there: Vec<_> =
                state.registered.iter().filter(|(at, _)| *at == home).map(|(_, mailbox)| *mailbox).collect();
            state.registered.retain(|(at, _)| *at != home);
            state.cursors.retain(|(at, _), _| *at != home);
            there
        };
        let Some(handle) = self.handle(home).filter(|_| self.has_way(person, home)) else { return };
        let world = Arc::clone(self);
        tokio::spawn(async move {
            for mailbox in mailboxes {
                // A home that goes meanwhile is left behind without asking it.
                let _ = handle.unregister(member_of(person), world.people.mailbox(mailbox).address).await;
            }
        });
    }
}
