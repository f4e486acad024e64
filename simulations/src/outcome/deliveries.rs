//! Pairs of a message and one of its readers: the unit in which everything is counted.
//!
//! A message to one person is one pair; a message to a group of eight is seven, because its author is no reader of it. So a
//! network that delivers to half of a group has delivered half.

use crate::plan::{Delivery, MailboxPlan, MessageFate, MessagePlan, NodeIndex, PersonIndex, Plan, Recording};

/// What became of one message for one of its readers.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Pair<'a> {
    /// The message's place in the plan.
    pub number: usize,
    /// The message.
    pub message: &'a MessagePlan,
    /// What became of it.
    pub fate: &'a MessageFate,
    /// Its mailbox.
    pub mailbox: &'a MailboxPlan,
    /// Who should read it.
    pub reader: PersonIndex,
    /// When it was read, from which home, and over how many hops it had come there.
    pub delivery: Option<(u64, NodeIndex, Option<u16>)>,
}

impl Pair<'_> {
    /// From writing to reading, milliseconds.
    #[must_use]
    pub fn latency_ms(&self) -> Option<u64> {
        self.delivery.map(|(at, ..)| at.saturating_sub(self.message.at.0))
    }

    /// Where the pair stands at the end of the run.
    #[must_use]
    pub fn state(&self, end_ms: u64) -> State {
        if self.delivery.is_some() {
            State::Delivered
        } else if self.fate.accepted.is_none() {
            State::NotAccepted
        } else if self.fate.expires.is_some_and(|expires| expires.0 <= end_ms) {
            State::Lost
        } else {
            State::Waiting
        }
    }
}

/// Where a pair stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum State {
    /// It was read.
    Delivered,
    /// A node had accepted it, and it expired unread.
    Lost,
    /// A node had accepted it; it still waits.
    Waiting,
    /// No node ever accepted it: its author could reach none.
    NotAccepted,
}

impl State {
    /// Its name in tables.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Delivered => "delivered",
            Self::Lost => "lost",
            Self::Waiting => "waiting",
            Self::NotAccepted => "not-accepted",
        }
    }
}

/// All pairs of a run, in order of the messages. Messages that were to be written after the run ended are left out.
pub fn pairs<'a>(plan: &'a Plan, recording: &'a Recording) -> impl Iterator<Item = Pair<'a>> {
    let end = recording.virtual_ms;
    plan.messages
        .iter()
        .zip(&recording.messages)
        .enumerate()
        .filter(move |(_, (message, _))| message.at.0 < end)
        .filter_map(|(number, (message, fate))| {
            plan.mailboxes.get(message.mailbox.0 as usize).map(|mailbox| (number, message, fate, mailbox))
        })
        .flat_map(|(number, message, fate, mailbox)| {
            // By reader, the first reading first: a channel has thousands of readers, each looked up once.
            let mut first: Vec<&Delivery> = fate.deliveries.iter().collect();
            first.sort_by_key(|delivery| (delivery.reader, delivery.at));
            first.dedup_by_key(|delivery| delivery.reader);
            mailbox.readers.iter().filter(move |reader| **reader != message.author).map(move |reader| {
                let found = first.binary_search_by_key(reader, |delivery| delivery.reader).ok();
                let delivery = found.map(|place| (first[place].at.0, first[place].home, first[place].hops));
                Pair { number, message, fate, mailbox, reader: *reader, delivery }
            })
        })
}
