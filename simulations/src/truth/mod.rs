//! Does the simulator tell the truth? It is held against two things that it did not make itself.
//!
//! - [`calibrated`]: what real nodes did on a wire with known latencies ([`live::calibrate`](crate::live::calibrate)). The
//!   same network and the same messages are run in the world, and every figure is set beside the real one.
//! - [`published`]: what others found with other simulators and other implementations of gossipsub, in networks of a
//!   thousand nodes that nobody here could run for real.

pub mod calibrated;
pub mod published;

use crate::{
    cli::WorldFailure,
    plan::{Arrival, Listener, NodeTraffic, Plan, VirtualMs},
};

/// Why there is nothing to compare.
#[derive(Debug, thiserror::Error)]
pub enum TruthError {
    /// What is to be run contradicts itself.
    #[error("{0}")]
    Plan(String),
    /// The world failed.
    #[error(transparent)]
    World(#[from] WorldFailure),
}

/// Sees what no recording holds: where everything arrived, and what the links carried at given moments.
#[derive(Debug, Default)]
struct Witness {
    arrivals: Vec<Arrival>,
    /// When traffic is wanted, and what it was when virtual time first was there.
    moments: Vec<(VirtualMs, Option<Vec<NodeTraffic>>)>,
}

impl Witness {
    fn at(moments: impl IntoIterator<Item = VirtualMs>) -> Self {
        Self { arrivals: Vec::new(), moments: moments.into_iter().map(|at| (at, None)).collect() }
    }
}

impl Listener for Witness {
    fn arrived(&mut self, arrival: Arrival) {
        self.arrivals.push(arrival);
    }

    fn traced(&mut self, _: &str) {}

    fn wants_trace(&self) -> bool {
        false
    }

    fn wants_traffic(&self) -> bool {
        self.moments.iter().any(|(_, traffic)| traffic.is_none())
    }

    fn traffic(&mut self, now: VirtualMs, nodes: &[NodeTraffic]) {
        for (_, traffic) in self.moments.iter_mut().filter(|(at, traffic)| *at <= now && traffic.is_none()) {
            *traffic = Some(nodes.to_vec());
        }
    }

    fn progress(&mut self, _: VirtualMs) -> bool {
        true
    }
}

/// A plan in which nothing happens yet, from which both kinds begin.
fn bare_plan(scenario: &str, seed: u64) -> Plan {
    Plan {
        scenario: scenario.to_owned(),
        seed,
        epoch_unix_seconds: 1_800_000_000,
        duration_ms: 0,
        bits: 0,
        postage_bits: 2,
        fsync_ms: 0,
        discovery: false,
        shared_signature_checks: true,
        nodes: Vec::new(),
        links: Vec::new(),
        latency: crate::plan::LatencyPlan::Everywhere(crate::plan::LatencyLaw::Constant { ms: 1 }),
        people: Vec::new(),
        mailboxes: Vec::new(),
        messages: Vec::new(),
        events: Vec::new(),
        outage: None,
    }
}
