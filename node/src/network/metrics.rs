//! What the network side counts.

use libp2p::metrics::Metrics as Libp2pMetrics;
use prometheus_client::{
    metrics::{counter::Counter, family::Family, gauge::Gauge},
    registry::Registry,
};

/// One label with a value from a fixed set.
type Label = [(&'static str, &'static str); 1];

/// What became of a gossip message.
#[derive(Clone, Copy, Debug)]
pub(super) enum GossipOutcome {
    /// Handed on by the first neighbour that brought it.
    Received,
    /// On a topic that is no shard of this network.
    OtherTopic,
    /// Given up before the relay had judged it.
    Unjudged,
    /// Good: sent on.
    Accepted,
    /// Of no use here: not sent on.
    Ignored,
    /// Bad: not sent on, and held against who brought it.
    Rejected,
    /// This node's own, told to a neighbour at least.
    Published,
    /// This node's own, told already.
    PublishedBefore,
    /// This node's own, and no neighbour was there to hear it.
    Unheard,
}

impl GossipOutcome {
    /// In the order of their numbers.
    const ALL: [(Self, &'static str); 9] = [
        (Self::Received, "received"),
        (Self::OtherTopic, "other_topic"),
        (Self::Unjudged, "unjudged"),
        (Self::Accepted, "accepted"),
        (Self::Ignored, "ignored"),
        (Self::Rejected, "rejected"),
        (Self::Published, "published"),
        (Self::PublishedBefore, "published_before"),
        (Self::Unheard, "unheard"),
    ];
}

/// One counter for each of them: looking one up by its name would cost every message that passes through.
#[derive(Clone)]
struct GossipCounters {
    family: Family<Label, Counter>,
    each: [Counter; GossipOutcome::ALL.len()],
}

impl Default for GossipCounters {
    fn default() -> Self {
        let family = Family::<Label, Counter>::default();
        let each = GossipOutcome::ALL.map(|(_, name)| family.get_or_create_owned(&[("outcome", name)]));
        Self { family, each }
    }
}

/// Counters of the network side. Cheap to clone; clones count together.
#[derive(Clone, Default)]
pub struct NetworkMetrics {
    pub(super) libp2p: Option<std::sync::Arc<Libp2pMetrics>>,
    pub(super) peers: Gauge,
    dropped: Family<Label, Counter>,
    gossip: GossipCounters,
    refused: Family<Label, Counter>,
    dials: Family<Label, Counter>,
}

impl std::fmt::Debug for NetworkMetrics {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("NetworkMetrics").field("peers", &self.peers.get()).finish_non_exhaustive()
    }
}

impl NetworkMetrics {
    /// Registers them, and libp2p's own, under `registry`. Give a registry with the prefix `griot`.
    pub fn register(registry: &mut Registry) -> Self {
        let metrics = Self { libp2p: Some(Libp2pMetrics::new(registry).into()), ..Self::default() };
        let own = registry.sub_registry_with_prefix("network");
        own.register("peers", "Connected peers of this network", metrics.peers.clone());
        own.register(
            "events_dropped",
            "Events that found no room on their way to the relay; sync brings what they announced",
            metrics.dropped.clone(),
        );
        own.register("gossip", "Gossip messages by what became of them", metrics.gossip.family.clone());
        own.register("refused", "Peers and requests turned away, by reason", metrics.refused.clone());
        own.register("dials", "Dials by outcome", metrics.dials.clone());
        metrics
    }

    pub(super) fn dropped(&self, event: &'static str) {
        self.dropped.get_or_create(&[("event", event)]).inc();
    }

    pub(super) fn gossip(&self, outcome: GossipOutcome) {
        if let Some(counter) = self.gossip.each.get(outcome as usize) {
            counter.inc();
        }
    }

    pub(super) fn refused(&self, reason: &'static str) {
        self.refused.get_or_create(&[("reason", reason)]).inc();
    }

    pub(super) fn dial(&self, outcome: &'static str) {
        self.dials.get_or_create(&[("outcome", outcome)]).inc();
    }

    /// How many events of a sort were dropped.
    #[cfg(test)]
    pub(super) fn dropped_count(&self, event: &'static str) -> u64 {
        self.dropped.get_or_create(&[("event", event)]).get()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_outcome_has_the_counter_of_its_name() {
        let metrics = NetworkMetrics::default();
        for (n, (outcome, name)) in GossipOutcome::ALL.into_iter().enumerate() {
            assert_eq!(outcome as usize, n);
            for _ in 0..=n {
                metrics.gossip(outcome);
            }
            assert_eq!(metrics.gossip.family.get_or_create(&[("outcome", name)]).get(), n as u64 + 1);
        }
    }
}
