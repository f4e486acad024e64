//! What the network side counts.

use libp2p::metrics::Metrics as Libp2pMetrics;
use prometheus_client::{
    metrics::{counter::Counter, family::Family, gauge::Gauge},
    registry::Registry,
};

/// One label with a value from a fixed set.
type Label = [(&'static str, &'static str); 1];

/// Counters of the network side. Cheap to clone; clones count together.
#[derive(Clone, Default)]
pub struct NetworkMetrics {
    pub(super) libp2p: Option<std::sync::Arc<Libp2pMetrics>>,
    pub(super) peers: Gauge,
    dropped: Family<Label, Counter>,
    gossip: Family<Label, Counter>,
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
        own.register("gossip", "Gossip messages by what became of them", metrics.gossip.clone());
        own.register("refused", "Peers and requests turned away, by reason", metrics.refused.clone());
        own.register("dials", "Dials by outcome", metrics.dials.clone());
        metrics
    }

    pub(super) fn dropped(&self, event: &'static str) {
        self.dropped.get_or_create(&[("event", event)]).inc();
    }

    pub(super) fn gossip(&self, outcome: &'static str) {
        self.gossip.get_or_create(&[("outcome", outcome)]).inc();
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
