//! What must hold whatever happens to the network, decided from a history alone.
//!
//! | rule | broken by |
//! |---|---|
//! | accepted ⇒ delivered before it expires, where the network was whole long enough for that | [`Broken::Lost`] |
//! | delivered once, after dropping what one has | [`Broken::DeliveredTwice`] |
//! | a feed gives a message once in one epoch, and its cursors grow | [`Broken::FedTwice`], [`Broken::CursorBack`] |
//! | delivered ⇒ was sent, to that reader | [`Broken::Unsent`] |
//! | not delivered long after it expired | [`Broken::Late`] |
//! | accepted ⇒ the node that said so still knows it | [`Broken::Forgotten`] |
//! | acked ⇒ gone everywhere in the end | [`Broken::NotGone`], [`Broken::NotAsked`] |
//! | once a node has the ack, the message never comes back there | [`Broken::Resurrected`] |
//! | no node ends by itself | [`Broken::NodeEnded`] |
//!
//! No IO, no clock: the same history gives the same answer, today and when it is read from a file next year.

use std::collections::{BTreeMap, BTreeSet};

use griot_protocol::{Cursor, api::RecordState};
use serde::{Deserialize, Serialize};

use super::history::{Event, Id, What};

/// How long after its expiry a message may still be handed out: nodes read clocks that may be ten minutes behind, and
/// allow a writer's clock as much (both are the protocol's), and a minute for what was on its way.
pub const LATE_MS_MAX: u64 = (2 * griot_protocol::limits::AHEAD_SECONDS_MAX + 60) * 1000;

/// How long a whole network may take to deliver what it has accepted: connections are made again within 15 seconds, and
/// neighbours compare what they hold at once and then every 30, over several hops. What expires sooner may be lost.
pub const WHOLE_MS_MIN: u64 = 120_000;

/// A rule that did not hold, with what shows it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(tag = "rule", rename_all = "snake_case")]
pub enum Broken {
    /// Accepted, never delivered, and there was time: it has not expired, or did so only when the network had been whole for
    /// [`WHOLE_MS_MIN`].
    Lost {
        /// The message.
        id: Id,
        /// Who waits for it.
        reader: usize,
        /// The nodes that accepted it, and when.
        accepted: Vec<(usize, u64)>,
    },
    /// A reader had it twice.
    DeliveredTwice {
        /// The message.
        id: Id,
        /// The reader.
        reader: usize,
        /// The second time.
        at_ms: u64,
    },
    /// A reader has what nobody sent to it.
    Unsent {
        /// The message.
        id: Id,
        /// The reader.
        reader: usize,
        /// When.
        at_ms: u64,
    },
    /// It came long after it had expired.
    Late {
        /// The message.
        id: Id,
        /// The reader.
        reader: usize,
        /// When it came.
        at_ms: u64,
        /// When it had expired.
        expires_ms: u64,
    },
    /// One feed gave a message twice within one epoch.
    FedTwice {
        /// The message.
        id: Id,
        /// The reader.
        reader: usize,
        /// The node.
        node: usize,
        /// The cursor of the first time.
        first: Cursor,
        /// The cursor of the second.
        second: Cursor,
    },
    /// A feed's cursor did not grow.
    CursorBack {
        /// The message it came with.
        id: Id,
        /// The reader.
        reader: usize,
        /// The node.
        node: usize,
        /// The cursor before.
        after: Cursor,
        /// The cursor given.
        cursor: Cursor,
    },
    /// A node accepted a message and knows nothing of it in the end.
    Forgotten {
        /// The message.
        id: Id,
        /// The node.
        node: usize,
    },
    /// Acked, and a node still holds it in the end.
    NotGone {
        /// The message.
        id: Id,
        /// The node.
        node: usize,
    },
    /// Acked, and a node was never asked about it: the check is not complete.
    NotAsked {
        /// The message.
        id: Id,
        /// The node.
        node: usize,
    },
    /// A node had the ack, and gave or held the message later.
    Resurrected {
        /// The message.
        id: Id,
        /// The node.
        node: usize,
        /// Since when it had the ack.
        acked_ms: u64,
        /// When it was asked for what it should not have had.
        asked_ms: u64,
    },
    /// A node ended by itself.
    NodeEnded {
        /// The node.
        node: usize,
        /// When it was noticed.
        at_ms: u64,
        /// How it ended.
        how: String,
    },
}

/// What is known besides the history.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Frame {
    /// How many nodes there are.
    pub nodes: usize,
    /// When the run ended, milliseconds since its beginning.
    pub end_ms: u64,
    /// Since when the network was whole at the end. Only where it was, and had time, are *in the end* rules checked.
    pub whole_ms: Option<u64>,
}

/// Checks a history. What it gives is in order.
#[must_use]
pub fn check(events: &[Event], frame: Frame) -> Vec<Broken> {
    let mut checker = Checker::default();
    for event in events {
        checker.take(event);
    }
    checker.end(frame)
}

/// What is known of a message.
#[derive(Clone, Debug)]
struct Message {
    reader: usize,
    expires_ms: u64,
}

#[derive(Debug, Default)]
struct Checker {
    sent: BTreeMap<Id, Message>,
    accepted: BTreeMap<Id, BTreeMap<usize, u64>>,
    delivered: BTreeMap<Id, BTreeSet<usize>>,
    /// First cursor of each message in each feed and epoch.
    fed: BTreeMap<(usize, usize, u64, u64), BTreeMap<Id, Cursor>>,
    /// Acked by its reader; for each, since when each node is known to have the ack.
    acked: BTreeMap<Id, BTreeMap<usize, u64>>,
    /// The last word of each node.
    states: BTreeMap<(Id, usize), Option<RecordState>>,
    broken: BTreeSet<Broken>,
}

impl Checker {
    fn take(&mut self, event: &Event) {
        let at_ms = event.at_ms;
        match &event.what {
            What::Sent { id, reader, expires_ms, .. } => {
                self.sent.insert(id.clone(), Message { reader: *reader, expires_ms: *expires_ms });
            }
            What::Accepted { id, node, .. } => {
                self.accepted.entry(id.clone()).or_default().entry(*node).or_insert(at_ms);
            }
            What::Fed { reader, node, feed, after, cursor, id, asked_ms } => {
                self.fed(*reader, *node, *feed, *after, *cursor, id);
                self.not_resurrected(id, *node, *asked_ms);
            }
            What::Delivered { id, reader } => self.delivered(id, *reader, at_ms),
            What::AckAccepted { node, ids, .. } => {
                for id in ids {
                    self.acked.entry(id.clone()).or_default().entry(*node).or_insert(at_ms);
                }
            }
            What::Status { node, id, state, asked_ms } => {
                match state {
                    Some(RecordState::Acked) => {
                        // A node may know of an ack that its reader believes lost: it counts only for that node.
                        self.acked.entry(id.clone()).or_default().entry(*node).or_insert(at_ms);
                    }
                    Some(RecordState::Held) => self.not_resurrected(id, *node, *asked_ms),
                    Some(RecordState::Evicted | RecordState::Expired) | None => {}
                }
                self.states.insert((id.clone(), *node), *state);
            }
            What::NodeEnded { node, how } => {
                self.broken.insert(Broken::NodeEnded { node: *node, at_ms, how: how.clone() });
            }
            What::NotAccepted { .. } | What::Fault { .. } => {}
        }
    }

    fn fed(&mut self, reader: usize, node: usize, feed: u64, after: Option<Cursor>, cursor: Cursor, id: &Id) {
        if let Some(after) = after
            && after.epoch == cursor.epoch
            && cursor.position <= after.position
        {
            self.broken.insert(Broken::CursorBack { id: id.clone(), reader, node, after, cursor });
        }
        let first = self.fed.entry((reader, node, feed, cursor.epoch)).or_default();
        if let Some(first) = first.get(id).copied() {
            self.broken.insert(Broken::FedTwice { id: id.clone(), reader, node, first, second: cursor });
        } else {
            first.insert(id.clone(), cursor);
        }
    }

    fn delivered(&mut self, id: &Id, reader: usize, at_ms: u64) {
        if !self.delivered.entry(id.clone()).or_default().insert(reader) {
            self.broken.insert(Broken::DeliveredTwice { id: id.clone(), reader, at_ms });
        }
        match self.sent.get(id) {
            Some(message) if message.reader == reader => {
                if at_ms > message.expires_ms.saturating_add(LATE_MS_MAX) {
                    let expires_ms = message.expires_ms;
                    self.broken.insert(Broken::Late { id: id.clone(), reader, at_ms, expires_ms });
                }
            }
            Some(_) | None => {
                self.broken.insert(Broken::Unsent { id: id.clone(), reader, at_ms });
            }
        }
    }

    /// The node was asked at `asked_ms` and gave or held the message: it must not have had the ack before.
    fn not_resurrected(&mut self, id: &Id, node: usize, asked_ms: u64) {
        let since = self.acked.get(id).and_then(|nodes| nodes.get(&node)).copied();
        if let Some(acked_ms) = since.filter(|since| *since < asked_ms) {
            self.broken.insert(Broken::Resurrected { id: id.clone(), node, acked_ms, asked_ms });
        }
    }

    fn end(mut self, frame: Frame) -> Vec<Broken> {
        if let Some(whole_ms) = frame.whole_ms {
            self.all_delivered(frame.end_ms.min(whole_ms.saturating_add(WHOLE_MS_MIN)));
            self.none_forgotten(frame.end_ms);
            self.all_gone(frame.nodes);
        }
        self.broken.into_iter().collect()
    }

    /// What lived beyond that moment must have been delivered.
    fn all_delivered(&mut self, moment_ms: u64) {
        for (id, accepted) in &self.accepted {
            let Some(message) = self.sent.get(id).filter(|message| message.expires_ms > moment_ms) else { continue };
            if !self.delivered.get(id).is_some_and(|readers| readers.contains(&message.reader)) {
                let accepted = accepted.iter().map(|(node, at_ms)| (*node, *at_ms)).collect();
                self.broken.insert(Broken::Lost { id: id.clone(), reader: message.reader, accepted });
            }
        }
    }

    fn none_forgotten(&mut self, end_ms: u64) {
        for (id, accepted) in &self.accepted {
            if self.sent.get(id).is_none_or(|message| message.expires_ms <= end_ms) {
                continue;
            }
            for node in accepted.keys() {
                if matches!(self.states.get(&(id.clone(), *node)), Some(None | Some(RecordState::Evicted))) {
                    self.broken.insert(Broken::Forgotten { id: id.clone(), node: *node });
                }
            }
        }
    }

    fn all_gone(&mut self, nodes: usize) {
        for id in self.acked.keys() {
            for node in 0..nodes {
                match self.states.get(&(id.clone(), node)) {
                    Some(Some(RecordState::Held)) => {
                        self.broken.insert(Broken::NotGone { id: id.clone(), node });
                    }
                    Some(_) => {}
                    None => {
                        self.broken.insert(Broken::NotAsked { id: id.clone(), node });
                    }
                }
            }
        }
    }
}

#[cfg(test)]
mod tests;
