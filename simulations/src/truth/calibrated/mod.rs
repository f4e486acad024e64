//! The same network twice: real nodes on a wire, and the world.
//!
//! ```text
//!  calibration.json ─┬─ plan ───▶ the world ─▶ simulated ─┐
//!                    └─ results ─▶ real ──────────────────┴─▶ table, each line with how far apart it may be
//! ```
//!
//! Topology, latency of every path, writers, readers, times and sizes are those of the real run. What is not known of it
//! is how long its disk took: [`FSYNC_MS`] stands for that.

mod plan;
mod table;

use std::collections::BTreeMap;

pub use plan::{FSYNC_MS, Windows, plan_of};
pub use table::{Comparison, Line};

use super::{TruthError, Witness};
use crate::{
    cli::World,
    live::{
        calibrate::{Calibration, Quantiles},
        topology,
    },
    plan::{NodeTraffic, Plan, Recording},
};

/// What the world made of a calibration's plan.
#[derive(Clone, Debug, PartialEq)]
pub struct Simulated {
    /// Messages that reached their reader.
    pub delivered: usize,
    /// Submit → read, milliseconds.
    pub push_ms: Quantiles,
    /// Submit → accepted, milliseconds.
    pub accept_ms: Quantiles,
    /// Submit → read less the shortest way over the links, milliseconds.
    pub beyond_shortest_ms: Quantiles,
    /// What was carried while nothing was written, by node.
    pub quiet: Vec<NodeTraffic>,
    /// What was carried from the first message to the end, by node.
    pub loaded: Vec<NodeTraffic>,
    /// What was counted.
    pub counters: BTreeMap<String, u64>,
}

/// Runs a calibration's network in the world and sets the two side by side.
///
/// # Errors
/// [`TruthError`].
pub fn compare(real: &Calibration, world: &dyn World) -> Result<Comparison, TruthError> {
    let (plan, windows) = plan_of(real)?;
    let mut witness = Witness::at([windows.quiet_from, windows.messages_from, windows.end]);
    let recording = world.run(&plan, &mut witness)?;
    let mut traffic = witness.moments.into_iter().filter_map(|(_, traffic)| traffic);
    let (Some(at_first), Some(in_between), Some(at_last)) = (traffic.next(), traffic.next(), traffic.next()) else {
        return Err(TruthError::Plan("the run ended before its windows did".to_owned()));
    };
    let simulated = simulated(real, &plan, &recording, [&at_first, &in_between, &at_last]);
    Ok(Comparison::of(real, &simulated))
}

fn simulated(
    real: &Calibration,
    plan: &Plan,
    recording: &Recording,
    [at_first, in_between, at_last]: [&[NodeTraffic]; 3],
) -> Simulated {
    let shortest = topology::shortest_ms(&real.plan.one_way_ms, &real.plan.links);
    let (mut push, mut accept, mut beyond) = (Vec::new(), Vec::new(), Vec::new());
    for ((message, fate), planned) in plan.messages.iter().zip(&recording.messages).zip(&real.plan.messages) {
        let since = |at: u64| at.saturating_sub(message.at.0) as f64;
        accept.extend(fate.accepted.map(|(at, _)| since(at.0)));
        if let Some(delivery) = fate.deliveries.first() {
            push.push(since(delivery.at.0));
            let way = shortest[planned.from][planned.to].unwrap_or_default();
            beyond.push(since(delivery.at.0) - f64::from(way));
        }
    }
    Simulated {
        delivered: push.len(),
        push_ms: Quantiles::of(push),
        accept_ms: Quantiles::of(accept),
        beyond_shortest_ms: Quantiles::of(beyond),
        quiet: between(at_first, in_between),
        loaded: between(in_between, at_last),
        counters: recording.counters.clone(),
    }
}

fn between(before: &[NodeTraffic], after: &[NodeTraffic]) -> Vec<NodeTraffic> {
    let node = |(before, after): (&NodeTraffic, &NodeTraffic)| NodeTraffic {
        sent_bytes: after.sent_bytes - before.sent_bytes,
        sent_packets: after.sent_packets - before.sent_packets,
        received_bytes: after.received_bytes - before.received_bytes,
    };
    before.iter().zip(after).map(node).collect()
}
