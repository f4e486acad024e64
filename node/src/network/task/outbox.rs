//! The way of events to the relay: bounded, and never waited for.
//!
//! There are two sorts. *Hints* (gossip, and what depends on it) are dropped when there is no room: sync brings what
//! they announced. *Facts* (a peer came or went, an exchange ended) would leave the relay with a wrong picture; they
//! wait in a backlog. A fact in the backlog lets no later hint overtake it.

use std::collections::VecDeque;

use tokio::sync::mpsc;

use super::super::{Event, NetworkMetrics};

/// Facts that may wait. They are bounded by connections and exchanges under way, so this is reached only when the relay
/// has stopped taking events while peers go on coming and going.
const BACKLOG_MAX: usize = 8192;

pub(super) struct Outbox {
    sender: mpsc::Sender<Event>,
    backlog: VecDeque<Event>,
    metrics: NetworkMetrics,
}

impl Outbox {
    pub(super) fn new(sender: mpsc::Sender<Event>, metrics: NetworkMetrics) -> Self {
        Self { sender, backlog: VecDeque::new(), metrics }
    }

    /// Whether nobody listens any more.
    pub(super) fn is_closed(&self) -> bool {
        self.sender.is_closed()
    }

    /// Tells a hint; `false` where it was dropped.
    #[must_use]
    pub(super) fn hint(&mut self, event: Event) -> bool {
        let name = name(&event);
        let told = self.backlog.is_empty() && self.sender.try_send(event).is_ok();
        if !told {
            self.metrics.dropped(name);
        }
        told
    }

    /// Tells a fact.
    pub(super) fn fact(&mut self, event: Event) {
        let event = if self.backlog.is_empty() {
            match self.sender.try_send(event) {
                Ok(()) | Err(mpsc::error::TrySendError::Closed(_)) => return,
                Err(mpsc::error::TrySendError::Full(event)) => event,
            }
        } else {
            event
        };
        if self.backlog.len() >= BACKLOG_MAX {
            self.metrics.dropped(name(&event));
            tracing::error!(event = name(&event), "the relay does not take events: one is lost");
        } else {
            self.backlog.push_back(event);
        }
    }

    /// Moves one fact from the backlog as soon as there is room; never ends where there is none to move. Dropping the
    /// future loses nothing.
    pub(super) async fn drain(&mut self) {
        if self.backlog.is_empty() {
            return std::future::pending().await;
        }
        match self.sender.reserve().await {
            Ok(permit) => {
                if let Some(event) = self.backlog.pop_front() {
                    permit.send(event);
                }
            }
            Err(_) => self.backlog.clear(),
        }
    }
}

fn name(event: &Event) -> &'static str {
    match event {
        Event::Listening { .. } => "listening",
        Event::NotListening { .. } => "not_listening",
        Event::Reachability { .. } => "reachability",
        Event::PeerUp { .. } => "peer_up",
        Event::RoundTrip { .. } => "round_trip",
        Event::PeerDown { .. } => "peer_down",
        Event::Gossiped { .. } => "gossiped",
        Event::Unheard { .. } => "unheard",
        Event::Asked { .. } => "asked",
        Event::Answered { .. } => "answered",
        Event::Carriers { .. } => "carriers",
        Event::ParamsDiffer { .. } => "params_differ",
        Event::Remember { .. } => "remember",
    }
}

#[cfg(test)]
mod tests {
    use griot_protocol::{NodeId, RecordId};

    use super::*;

    fn up(n: u8) -> Event {
        Event::PeerUp { peer: NodeId([n; 32]) }
    }

    fn hint() -> Event {
        Event::Unheard { id: RecordId([0; 32]) }
    }

    #[tokio::test]
    async fn facts_wait_in_order_and_hints_are_dropped_and_counted() {
        let (sender, mut receiver) = mpsc::channel(1);
        let metrics = NetworkMetrics::default();
        let mut outbox = Outbox::new(sender, metrics.clone());
        assert!(outbox.hint(hint()));
        assert!(!outbox.hint(hint()));
        for n in 1..=3 {
            outbox.fact(up(n));
        }
        assert!(matches!(receiver.recv().await, Some(Event::Unheard { .. })));
        assert!(!outbox.hint(hint()), "no hint overtakes a fact");
        for n in 1..=3 {
            outbox.drain().await;
            assert!(matches!(receiver.recv().await, Some(Event::PeerUp { peer }) if peer == NodeId([n; 32])));
        }
        assert!(outbox.hint(hint()));
        assert_eq!(metrics.dropped_count("unheard"), 2);
    }

    #[tokio::test]
    async fn a_relay_that_stopped_costs_bounded_memory() {
        let (sender, receiver) = mpsc::channel(1);
        let metrics = NetworkMetrics::default();
        let mut outbox = Outbox::new(sender, metrics.clone());
        for _ in 0..BACKLOG_MAX + 11 {
            outbox.fact(up(1));
        }
        assert_eq!(metrics.dropped_count("peer_up"), 10);
        drop(receiver);
        outbox.drain().await;
        assert!(outbox.is_closed() && outbox.backlog.is_empty());
    }
}
