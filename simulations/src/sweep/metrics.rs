//! The figures that sweeps average and comparisons set side by side.

use crate::outcome::Figures;

/// One figure.
#[derive(Clone, Copy, Debug)]
pub struct Metric {
    /// Its name: a column of `sweep.csv`; that of the baseline begins with `central_`.
    pub name: &'static str,
    /// Its unit.
    pub unit: &'static str,
    /// What it is, for people.
    pub title: &'static str,
    /// Where it is found; `None` where the run does not have it.
    pub of: fn(&Figures) -> Option<f64>,
}

const fn metric(
    name: &'static str,
    unit: &'static str,
    title: &'static str,
    of: fn(&Figures) -> Option<f64>,
) -> Metric {
    Metric { name, unit, title, of }
}

/// All of them.
pub const METRICS: [Metric; 22] = [
    metric("offered", "pairs", "Offered", |f| Some(f.offered as f64)),
    metric("delivered", "pairs", "Delivered", |f| Some(f.delivered as f64)),
    metric("delivered_fraction", "1", "Delivered, of all offered", |f| Some(f.delivered_fraction)),
    metric("delivered_during_outage_fraction", "1", "Read in the outage, of what was written in it", |f| {
        f.outage.as_ref().filter(|outage| outage.offered > 0).map(|outage| outage.delivered_during_outage_fraction)
    }),
    metric("lost", "pairs", "Lost", |f| Some(f.lost as f64)),
    metric("waiting", "pairs", "Waiting at the end", |f| Some(f.waiting as f64)),
    metric("not_accepted", "pairs", "Never accepted", |f| Some(f.not_accepted as f64)),
    metric("duplicates", "1", "Duplicates dropped", |f| Some(f.duplicates as f64)),
    metric("shown_again", "1", "Shown again", |f| Some(f.shown_again as f64)),
    metric("latency_p50_ms", "ms", "Latency, median", |f| some(f.latency_ms.samples, f.latency_ms.p50)),
    metric("latency_p95_ms", "ms", "Latency, 95 %", |f| some(f.latency_ms.samples, f.latency_ms.p95)),
    metric("latency_p99_ms", "ms", "Latency, 99 %", |f| some(f.latency_ms.samples, f.latency_ms.p99)),
    metric("latency_max_ms", "ms", "Latency, longest", |f| some(f.latency_ms.samples, f.latency_ms.max)),
    metric("outage_latency_p50_ms", "ms", "Latency of what was written in the outage, median", |f| {
        f.outage.as_ref().and_then(|outage| some(outage.latency_ms.samples, outage.latency_ms.p50))
    }),
    metric("outage_latency_p99_ms", "ms", "Latency of what was written in the outage, 99 %", |f| {
        f.outage.as_ref().and_then(|outage| some(outage.latency_ms.samples, outage.latency_ms.p99))
    }),
    metric("time_to_heal_ms", "ms", "Time to heal", |f| f.time_to_heal_ms.map(|ms| ms as f64)),
    metric("hops_mean", "1", "Hops, mean", |f| (f.hops.samples > 0).then_some(f.hops.mean)),
    metric("copies_per_message", "1", "Frames sent for each message", |f| Some(f.copies_per_message)),
    metric("redundancy", "1", "Frames sent for each holder", |f| Some(f.redundancy)),
    metric("sent_bytes_per_node", "B", "Sent by a node, mean", |f| Some(f.sent_bytes_per_node.mean)),
    metric("bytes_per_delivery", "B", "Sent for each delivery", |f| (f.delivered > 0).then_some(f.bytes_per_delivery)),
    metric("stored_bytes_max", "B", "Most held by a node", |f| Some(f.stored_bytes_max as f64)),
];

fn some(samples: u64, value: u64) -> Option<f64> {
    (samples > 0).then_some(value as f64)
}
