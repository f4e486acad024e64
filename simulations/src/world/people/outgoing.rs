//! Writing: from the plan's message to a record that a home has accepted, and on until it is collected.

use std::sync::Arc;

use bytes::Bytes;
use griot_node::{
    relay::CallError,
    runtime::{Handle, HandleError},
};
use griot_protocol::{Record, RecordId, Timestamp, envelope, padding};
use rand::RngExt;

use crate::{
    plan::{MessageIndex, NodeIndex, PersonIndex, VirtualMs},
    world::{World, member_of, net::mark_of, seeds, time::now, trace::Short},
};

/// How long an author waits for a receipt before another home is tried as well.
const OFFER_AGAIN_MS: u64 = 60_000;

/// A message under way.
#[derive(Clone, Debug)]
pub(crate) struct Outgoing {
    pub id: RecordId,
    pub frame: Bytes,
    pub expires: VirtualMs,
    /// The home that has it, from which news is awaited.
    pub at: Option<NodeIndex>,
    pub offered: VirtualMs,
    pub offers: usize,
    pub stored: bool,
}

/// What became of an offer.
enum Offer {
    Taken(NodeIndex),
    /// Nobody will ever take it.
    Refused,
    /// Nobody is there to take it.
    Nobody,
}

impl World {
    /// A person writes a message.
    pub(crate) fn write(self: &Arc<Self>, message: MessageIndex) {
        let Some(plan) = self.plan.messages.get(message.0 as usize) else { return };
        if self.clients.is_real(message) {
            return self.write_real(message);
        }
        self.people.person(plan.author).to_send.push_back(message);
        self.note(format_args!("p{} writes m{}", plan.author.0, message.0));
        self.send_what_waits(plan.author);
    }

    /// Has a person's task send what waits, if it is on line and does not do so already.
    pub(crate) fn send_what_waits(self: &Arc<Self>, person: PersonIndex) {
        let mut state = self.people.person(person);
        if state.online && state.sending.is_none() && !state.to_send.is_empty() {
            let world = Arc::clone(self);
            let task = tokio::spawn(async move { world.send_all(person).await });
            state.sending = Some(task.abort_handle());
        }
    }

    async fn send_all(self: Arc<Self>, person: PersonIndex) {
        loop {
            let next = self.people.person(person).to_send.front().copied();
            let Some(message) = next else { break };
            let sealed = self.sealed(person, message);
            let offer = match &sealed {
                Some(outgoing) => self.offer(person, outgoing).await,
                None => Offer::Refused,
            };
            match offer {
                Offer::Nobody => break,
                Offer::Refused => self.give_up(person, message),
                Offer::Taken(home) => self.taken(person, message, home),
            }
            self.people.person(person).to_send.pop_front();
        }
        self.people.person(person).sending = None;
    }

    /// Makes the envelope, once: a retry sends the same bytes.
    fn sealed(&self, person: PersonIndex, message: MessageIndex) -> Option<Outgoing> {
        if let Some(outgoing) = self.people.person(person).outgoing.get(&message) {
            return Some(outgoing.clone());
        }
        let (record, expires) = self.seal(message)?;
        let outgoing = Outgoing {
            id: record.id(),
            frame: record.frame().clone(),
            expires,
            at: None,
            offered: now(),
            offers: 0,
            stored: false,
        };
        self.ledger.state().written(message, outgoing.id, expires);
        if let Some(mark) = mark_of(&outgoing.frame) {
            self.net.watch_frame(mark, message.0);
        }
        self.people.person(person).outgoing.insert(message, outgoing.clone());
        Some(outgoing)
    }

    fn seal(&self, message: MessageIndex) -> Option<(Record, VirtualMs)> {
        let plan = self.plan.messages.get(message.0 as usize)?;
        let mailbox = self.people.mailbox(plan.mailbox);
        let bucket = padding::bucket_for(plan.bytes as usize)?;
        let mut payload = vec![0; 1 + bucket];
        seeds::rng(self.plan.seed, "payload", u64::from(message.0)).fill(&mut payload[1..]);
        let created = Timestamp(self.plan.epoch_unix_seconds + plan.at.0 / 1000).floor_minute();
        let expires = created.plus(plan.life_seconds);
        let record = envelope::seal(&self.params, &mailbox.deliver, mailbox.keys, created, expires, payload).ok()?;
        let ends = expires.since(Timestamp(self.plan.epoch_unix_seconds)) * 1000;
        Some((record, VirtualMs(ends)))
    }

    /// Offers a message to the homes in turn, beginning with the one after those that had it before.
    async fn offer(&self, person: PersonIndex, outgoing: &Outgoing) -> Offer {
        let homes = self.people.person(person).homes.clone();
        let count = homes.len();
        for home in homes.iter().cycle().skip(outgoing.offers).take(count).copied() {
            let Some(handle) = self.handle(home).filter(|_| self.has_way(person, home)) else { continue };
            match submit(&handle, person, &outgoing.frame).await {
                Ok(()) => {
                    self.slot(home).acknowledged.push((outgoing.id, outgoing.expires));
                    return Offer::Taken(home);
                }
                Err(HandleError::Call(CallError::Refused(refusal))) => {
                    self.note(format_args!("n{} refuses {}: {}", home.0, Short(&outgoing.id.0), refusal.reason()));
                    self.ledger.state().count(("submit_refused", refusal.reason(), ""), 1);
                    return Offer::Refused;
                }
                // A quota, a full disk, a node that has just gone: another home may take it.
                Err(error) => self.note(format_args!("n{} takes nothing: {error}", home.0)),
            }
        }
        Offer::Nobody
    }

    fn taken(&self, person: PersonIndex, message: MessageIndex, home: NodeIndex) {
        let at = now();
        self.ledger.state().accepted(message, home);
        let mut state = self.people.person(person);
        if let Some(outgoing) = state.outgoing.get_mut(&message) {
            outgoing.at = Some(home);
            outgoing.offered = at;
            outgoing.offers += 1;
        }
        if let Some(session) = state.sessions.get(&home) {
            session.watch(message);
        }
    }

    fn give_up(&self, person: PersonIndex, message: MessageIndex) {
        self.people.person(person).outgoing.remove(&message);
    }

    /// Looks after what is under way: expired messages are forgotten, those without a receipt are offered to another
    /// home, and what waits is tried again.
    pub(crate) fn tend(self: &Arc<Self>, person: PersonIndex) {
        let now = now();
        {
            let mut state = self.people.person(person);
            state.outgoing.retain(|_, outgoing| outgoing.expires > now);
            if !state.online {
                return;
            }
            let late: Vec<MessageIndex> = state
                .outgoing
                .iter()
                .filter(|(_, outgoing)| {
                    !outgoing.stored && outgoing.at.is_some_and(|at| self.is_late(person, outgoing, at, now))
                })
                .map(|(message, _)| *message)
                .collect();
            for message in late {
                if !state.to_send.contains(&message) {
                    state.to_send.push_back(message);
                }
            }
        }
        self.send_what_waits(person);
    }

    fn is_late(&self, person: PersonIndex, outgoing: &Outgoing, at: NodeIndex, now: VirtualMs) -> bool {
        self.handle(at).is_none()
            || !self.has_way(person, at)
            || now.0.saturating_sub(outgoing.offered.0) >= OFFER_AGAIN_MS
    }

    /// A home has news of a message; says whether more is awaited.
    pub(crate) async fn hear(
        &self,
        person: PersonIndex,
        home: NodeIndex,
        handle: &Handle,
        message: MessageIndex,
    ) -> bool {
        let id = match self.people.person(person).outgoing.get(&message) {
            Some(outgoing) => outgoing.id,
            None => return false,
        };
        let Ok(Some(status)) = handle.record_status(&id).await else { return true };
        let stored_on = super::reading::stored_on(&status);
        let collected = !status.acks.is_empty();
        self.ledger.state().heard(person, message, stored_on, collected, format_args!("at n{}", home.0));
        let mut person = self.people.person(person);
        let Some(outgoing) = person.outgoing.get_mut(&message) else { return false };
        outgoing.stored |= stored_on > 0;
        // More receipts may come or not: nothing follows from them any more.
        if collected {
            person.outgoing.remove(&message);
        }
        !collected
    }
}

async fn submit(handle: &Handle, person: PersonIndex, frame: &Bytes) -> Result<(), HandleError> {
    handle.submit(member_of(person), frame.clone()).await.map(drop)
}
