//! What our nodes did in a network that others have simulated.

use std::fmt::Write as _;

use serde::Serialize;

use super::{Expected, Study};
use crate::{
    live::calibrate::Quantiles,
    plan::{Arrival, Plan, Recording},
};

/// What our nodes did in that network.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Found {
    /// The study.
    pub study: &'static str,
    /// How many nodes.
    pub nodes: u32,
    /// Messages.
    pub messages: u32,
    /// Pairs of a message and a node that came to hold it, its writer's included.
    pub delivered: u64,
    /// How often messages were sent from node to node, for each such pair.
    pub copies_per_delivery: f64,
    /// From writing to holding, at all nodes but the writer's, milliseconds.
    pub latency_ms: Quantiles,
    /// How many of them in each tenth of a second.
    pub histogram: Vec<u64>,
    /// The most hops of any.
    pub hops_max: u32,
    /// The mean number of hops.
    pub hops_mean: f64,
    /// Bytes that a node sent in the mean, from the beginning to the end.
    pub sent_bytes_per_node: f64,
    /// What the model expects of the network as it was published: meshes drawn at random, and flooding where there was.
    pub model_of_theirs: Expected,
    /// What it expects of ours: meshes of those who came first, and none.
    pub model_of_ours: Expected,
    /// What was published, by name.
    pub published: Vec<(&'static str, f64)>,
    /// Where.
    pub source: &'static str,
}

impl Found {
    /// Counts.
    pub(super) fn of(
        study: &Study,
        plan: &Plan,
        recording: &Recording,
        arrivals: &[Arrival],
        models: [Expected; 2],
    ) -> Self {
        let [model_of_theirs, model_of_ours] = models;
        let mut latencies = Vec::new();
        let mut histogram = Vec::new();
        let mut hops = vec![vec![0u32; plan.nodes.len()]; plan.messages.len()];
        let mut came_over = Vec::new();
        for arrival in arrivals.iter().filter(|arrival| arrival.node != arrival.from) {
            let message = arrival.message.0 as usize;
            let ms = arrival.at.0.saturating_sub(plan.messages[message].at.0) + study.before_ms;
            latencies.push(ms as f64);
            let tenth = (ms / 100) as usize;
            if histogram.len() <= tenth {
                histogram.resize(tenth + 1, 0);
            }
            histogram[tenth] += 1;
            let over = hops[message][arrival.from.0 as usize] + 1;
            hops[message][arrival.node.0 as usize] = over;
            came_over.push(over);
        }
        let delivered: u64 = recording.messages.iter().map(|fate| u64::from(fate.holders)).sum();
        let copies: u64 = recording.messages.iter().map(|fate| u64::from(fate.copies)).sum();
        let sent: u64 = recording.nodes.iter().map(|node| node.sent_bytes).sum();
        Self {
            study: study.name,
            nodes: plan.nodes.len() as u32,
            messages: plan.messages.len() as u32,
            delivered,
            copies_per_delivery: copies as f64 / delivered.max(1) as f64,
            latency_ms: Quantiles::of(latencies),
            histogram,
            hops_max: came_over.iter().copied().max().unwrap_or_default(),
            hops_mean: came_over.iter().copied().map(f64::from).sum::<f64>() / came_over.len().max(1) as f64,
            sent_bytes_per_node: sent as f64 / plan.nodes.len().max(1) as f64,
            model_of_theirs,
            model_of_ours,
            published: study.published.to_vec(),
            source: study.source,
        }
    }

    /// For people: theirs, then ours.
    #[must_use]
    pub fn to_text(&self) -> String {
        let mut text = format!("{}: {}\n\npublished\n", self.study, self.source);
        for (name, value) in &self.published {
            let _ = writeln!(text, "  {name:<28} {value:>10}");
        }
        let of = &self.latency_ms;
        let _ = writeln!(text, "\nhere, {} nodes, {} messages", self.nodes, self.messages);
        let mut line = |name: &str, value: String| {
            let _ = writeln!(text, "  {name:<28} {value:>10}");
        };
        line("delivered", self.delivered.to_string());
        line("delivered to others", of.count.to_string());
        line("copies for each delivery", format!("{:.2}", self.copies_per_delivery));
        for (name, value) in [
            ("mean, ms", of.mean),
            ("fastest, ms", of.min),
            ("p50, ms", of.p50),
            ("p95, ms", of.p95),
            ("p99, ms", of.p99),
            ("slowest, ms", of.max),
        ] {
            line(name, format!("{value:.0}"));
        }
        for (tenth, count) in self.histogram.iter().enumerate() {
            line(&format!("{} to {} ms", tenth * 100, (tenth + 1) * 100), count.to_string());
        }
        line("hops: mean, most", format!("{:.2}, {}", self.hops_mean, self.hops_max));
        line("sent by a node, kB", format!("{:.0}", self.sent_bytes_per_node / 1000.0));
        let _ = writeln!(text, "\nshortest ways through a mesh (no node runs): mean, longest, copies, hops");
        let names = ["drawn, as published", "who came first, as here"];
        for (name, of) in names.into_iter().zip([&self.model_of_theirs, &self.model_of_ours]) {
            let _ = writeln!(
                text,
                "  {name:<28} {:>6.0} ms {:>6.0} ms {:>6.2} {:>6.2}",
                of.mean_ms, of.max_ms, of.copies_per_delivery, of.hops_mean
            );
        }
        text
    }
}
