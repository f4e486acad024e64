//! What came of a measuring run.

use std::{collections::BTreeMap, fmt::Write as _};

use serde::{Deserialize, Serialize};

use super::{
    super::wire::{Counts, Precision},
    plan::CalibrationPlan,
};

/// The version of `calibration.json`: to be raised when a field changes its meaning.
pub const FORMAT: u32 = 1;

/// `calibration.json`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Calibration {
    /// [`FORMAT`].
    pub format: u32,
    /// What was run.
    pub plan: CalibrationPlan,
    /// On what.
    pub machine: Machine,
    /// Bytes of one message's frame.
    pub frame_bytes: usize,
    /// Messages that were pushed to their reader.
    pub delivered: usize,
    /// Submit → push, milliseconds.
    pub push_ms: Quantiles,
    /// Submit → accepted (durable at the writer's node), milliseconds: part of the former.
    pub accept_ms: Quantiles,
    /// Submit → push less the shortest way over the links, milliseconds: what is not the paths' doing.
    pub beyond_shortest_ms: Quantiles,
    /// While nothing was sent.
    pub quiet: Traffic,
    /// From the first submission until the last push, and a little longer.
    pub loaded: Traffic,
    /// What the nodes counted from the first submission to the end, summed over all: by series, without those that stood
    /// still.
    pub counters: BTreeMap<String, u64>,
    /// How late the relay was in the loaded window.
    pub relay: Precision,
    /// Packets that a device refused; they are lost like others, but not by the seed's will.
    pub device_errors: u64,
}

/// The machine and how busy it was with other things.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Machine {
    /// Processor cores.
    pub cores: usize,
    /// Load average of the last minute before the nodes started.
    pub load_before: f64,
    /// And at the end, the nodes' own included.
    pub load_after: f64,
    /// What `griotd --version` says.
    pub griotd: String,
}

/// Quantiles of a sample, by nearest rank.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[expect(missing_docs, reason = "the names say it")]
pub struct Quantiles {
    pub count: usize,
    pub mean: f64,
    pub min: f64,
    pub p05: f64,
    pub p25: f64,
    pub p50: f64,
    pub p75: f64,
    pub p90: f64,
    pub p95: f64,
    pub p99: f64,
    pub max: f64,
}

impl Quantiles {
    /// Of these values.
    #[must_use]
    pub fn of(values: impl IntoIterator<Item = f64>) -> Self {
        let mut sorted: Vec<f64> = values.into_iter().collect();
        sorted.sort_by(f64::total_cmp);
        let (Some(first), Some(last)) = (sorted.first(), sorted.last()) else { return Self::default() };
        let at = |of: f64| {
            let rank = (of * sorted.len() as f64).ceil() as usize;
            rounded(sorted[rank.clamp(1, sorted.len()) - 1])
        };
        Self {
            count: sorted.len(),
            mean: rounded(sorted.iter().sum::<f64>() / sorted.len() as f64),
            min: rounded(*first),
            p05: at(0.05),
            p25: at(0.25),
            p50: at(0.5),
            p75: at(0.75),
            p90: at(0.9),
            p95: at(0.95),
            p99: at(0.99),
            max: rounded(*last),
        }
    }
}

/// To microseconds: the clock's last digits are noise.
fn rounded(ms: f64) -> f64 {
    libm::round(ms * 1000.0) / 1000.0
}

/// What crossed the wire in a window.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Traffic {
    /// How long it was.
    pub seconds: f64,
    /// All nodes together.
    pub total: Counts,
    /// Bytes of IP packets sent, by node.
    pub sent_bytes: Vec<u64>,
    /// Bytes of IP packets received, by node.
    pub received_bytes: Vec<u64>,
}

impl Traffic {
    /// What happened between two readings of all counters.
    #[must_use]
    pub fn between(before: &[Vec<Counts>], after: &[Vec<Counts>], seconds: f64) -> Self {
        let nodes = after.len();
        let mut traffic = Self {
            seconds: rounded(seconds),
            total: Counts::default(),
            sent_bytes: vec![0; nodes],
            received_bytes: vec![0; nodes],
        };
        for from in 0..nodes {
            for to in 0..nodes {
                let counts = after[from][to].since(&before[from][to]);
                traffic.total += counts;
                traffic.sent_bytes[from] += counts.sent_bytes;
                traffic.received_bytes[to] += counts.delivered_bytes;
            }
        }
        traffic
    }
}

impl Calibration {
    /// TCP payload of the loaded window beyond what the quiet one would have had in the same time, for each byte that the
    /// nodes other than its origin put into their logs. About the copies of each record (messages, acks, receipts) that
    /// were sent to each node, and above it by what gossip and encryption put around them. 0 where nothing was written.
    #[must_use]
    pub fn bytes_sent_per_byte_kept(&self) -> f64 {
        let quiet_per_second = self.quiet.total.sent_payload_bytes as f64 / self.quiet.seconds.max(f64::MIN_POSITIVE);
        let extra = self.loaded.total.sent_payload_bytes as f64 - quiet_per_second * self.loaded.seconds;
        let written = self.counters.get("griot_log_written_bytes_total").copied().unwrap_or_default() as f64;
        // Every record has one node that did not get it from another.
        let nodes = self.plan.nodes as f64;
        let elsewhere = written * (nodes - 1.0) / nodes;
        if elsewhere > 0.0 { extra / elsewhere } else { 0.0 }
    }

    /// The report for a person.
    #[must_use]
    pub fn to_text(&self) -> String {
        let plan = &self.plan;
        let mut text = format!(
            "{} nodes of degree {}, latency {}, seed {}; {} messages of {} bytes, {} delivered\n",
            plan.nodes,
            plan.degree,
            plan.latency,
            plan.seed,
            plan.messages.len(),
            self.frame_bytes,
            self.delivered
        );
        let rows = [
            ("submit → push", &self.push_ms),
            ("  of which until accepted", &self.accept_ms),
            ("  beyond the shortest way", &self.beyond_shortest_ms),
        ];
        for (name, of) in rows {
            let _ = writeln!(
                text,
                "{name:<26} min {:>8.2}  p50 {:>8.2}  p95 {:>8.2}  p99 {:>8.2}  max {:>8.2} ms",
                of.min, of.p50, of.p95, of.p99, of.max
            );
        }
        for (name, traffic) in [("quiet", &self.quiet), ("loaded", &self.loaded)] {
            let per_second = |bytes: u64| bytes as f64 / traffic.seconds.max(f64::MIN_POSITIVE) / plan.nodes as f64;
            let _ = writeln!(
                text,
                "{name:<26} {:>9.0} bytes/s sent by each node ({:.0} of TCP payload), {:.1} s",
                per_second(traffic.total.sent_bytes),
                per_second(traffic.total.sent_payload_bytes),
                traffic.seconds
            );
        }
        let per_message = self.loaded.total.sent_bytes as f64 / self.delivered.max(1) as f64;
        let _ = writeln!(text, "for each delivered message {per_message:>9.0} bytes on the wire");
        let _ = writeln!(text, "bytes sent per byte kept   {:>9.2}", self.bytes_sent_per_byte_kept());
        let _ = writeln!(
            text,
            "the relay was late by      p50 {:.3}  p99 {:.3}  max {:.3} ms over {} packets; {} device errors",
            self.relay.late_us_p50 / 1e3,
            self.relay.late_us_p99 / 1e3,
            self.relay.late_us_max / 1e3,
            self.relay.packets,
            self.device_errors
        );
        let machine = &self.machine;
        let _ = writeln!(
            text,
            "{}; {} cores, load {:.2} before, {:.2} at the end",
            machine.griotd, machine.cores, machine.load_before, machine.load_after
        );
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_by_nearest_rank() {
        let of = Quantiles::of((1..=100).rev().map(f64::from));
        assert_eq!((of.count, of.min, of.p50, of.p99, of.max), (100, 1.0, 50.0, 99.0, 100.0));
        assert!((of.mean - 50.5).abs() < 1e-9);
        assert_eq!(Quantiles::of([7.0]).p05, 7.0);
        assert_eq!(Quantiles::of([]), Quantiles::default());
    }

    #[test]
    fn traffic_is_what_came_between() {
        let counts = |bytes| Counts { sent_bytes: bytes, delivered_bytes: bytes, ..Counts::default() };
        let before = vec![vec![counts(0), counts(5)], vec![counts(7), counts(0)]];
        let after = vec![vec![counts(0), counts(15)], vec![counts(27), counts(0)]];
        let traffic = Traffic::between(&before, &after, 2.0);
        assert_eq!(traffic.total.sent_bytes, 30);
        assert_eq!((traffic.sent_bytes, traffic.received_bytes), (vec![10, 20], vec![20, 10]));
    }
}
