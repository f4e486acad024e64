//! Figures of real nodes and of simulated ones, side by side.

use std::{collections::BTreeMap, fmt::Write as _};

use serde::Serialize;

use super::Simulated;
use crate::{
    live::calibrate::{Calibration, Quantiles, Traffic},
    plan::NodeTraffic,
};

/// How far apart two figures may be before the simulator is taken to be wrong.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Allowed {
    /// Not at all.
    Equal,
    /// By so many milliseconds, because the world knows only whole ones and CPU time is free in it.
    Milliseconds(f64),
    /// By so many percent of the real figure.
    Percent(f64),
    /// It is shown, and nothing follows from it.
    Any,
}

/// One figure.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Line {
    /// What it is.
    pub name: &'static str,
    /// Its unit.
    pub unit: &'static str,
    /// What real nodes did.
    pub real: f64,
    /// What simulated ones did.
    pub simulated: f64,
    /// How far apart the two may be.
    pub allowed: Allowed,
    /// Whether they are no further apart.
    pub holds: bool,
}

/// All of them.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Comparison {
    /// How many nodes.
    pub nodes: usize,
    /// The figures.
    pub lines: Vec<Line>,
    /// What simulated nodes counted over the whole run: `bytes.…` is what they wrote, by what it was for.
    pub counters: BTreeMap<String, u64>,
}

/// Latency: a durable write at two nodes is the same on both sides; on top of it a real message meets two to four
/// processors and sockets, which took it 1 to 3 ms in the median and up to some ten in the worst of 300, while the
/// machine had other things to do. The world is never slower than real nodes by more than the rounding of its clock.
const MEDIAN_MS: Allowed = Allowed::Milliseconds(3.0);
const NINE_OF_TEN_MS: Allowed = Allowed::Milliseconds(5.0);
const TAIL_MS: Allowed = Allowed::Milliseconds(12.0);

/// Records: a measuring run ends with the last push, so the last message gets no ack, and its reader's node a receipt.
const RECORDS: Allowed = Allowed::Percent(1.0);

/// Bytes: the same records go over the same links. What differs is chance: which copy of a record comes first decides
/// over which links it does not go back, and which packets acknowledge others.
const LOADED: Allowed = Allowed::Percent(7.0);

/// Pings and comparisons, of which there are few: when each falls decides what shares a packet.
const QUIET: Allowed = Allowed::Percent(20.0);

impl Comparison {
    /// Sets the figures side by side.
    #[must_use]
    pub fn of(real: &Calibration, simulated: &Simulated) -> Self {
        let mut lines =
            vec![Line::new("delivered", "", real.delivered as f64, simulated.delivered as f64, Allowed::Equal)];
        lines.extend(latencies(real, simulated));
        let nodes = real.plan.nodes as f64;
        let quiet_seconds = real.quiet.seconds.round().max(1.0);
        lines.extend(traffic(Q, &real.quiet, &simulated.quiet, nodes * quiet_seconds, QUIET));
        lines.extend(traffic(L, &real.loaded, &simulated.loaded, nodes * real.loaded.seconds.max(1.0), LOADED));
        lines.extend(per_message(real, simulated));
        lines.extend(records(real, simulated));
        Self { nodes: real.plan.nodes, lines, counters: simulated.counters.clone() }
    }

    /// Whether all figures are as close as they must be.
    #[must_use]
    pub fn holds(&self) -> bool {
        self.lines.iter().all(|line| line.holds)
    }

    /// For people.
    #[must_use]
    pub fn to_text(&self) -> String {
        let mut text =
            format!("{} nodes{:>39} {:>12} {:>10}   allowed\n", self.nodes, "real", "simulated", "difference");
        for line in &self.lines {
            let name =
                if line.unit.is_empty() { line.name.to_owned() } else { format!("{}, {}", line.name, line.unit) };
            let difference = line.simulated - line.real;
            let (difference, allowed) = match line.allowed {
                Allowed::Equal => (format!("{difference:+.0}"), "none".to_owned()),
                Allowed::Milliseconds(ms) => (format!("{difference:+.2}"), format!("{ms} ms")),
                Allowed::Percent(percent) => (format!("{:+.1} %", line.percent()), format!("{percent} %")),
                Allowed::Any => (format!("{:+.1} %", line.percent()), "any".to_owned()),
            };
            let verdict = if line.holds { "" } else { "   NOT WITHIN" };
            let _ = writeln!(
                text,
                "{name:<36} {:>10.2} {:>12.2} {difference:>10}   {allowed}{verdict}",
                line.real, line.simulated
            );
        }
        let _ = writeln!(text, "\nwhat simulated nodes sent over the whole run, by what it was for:");
        for (name, bytes) in self.counters.iter().filter_map(|(name, n)| Some((name.strip_prefix("bytes.")?, n))) {
            let _ = writeln!(text, "{name:<36} {bytes:>10} B");
        }
        text
    }
}

impl Line {
    fn new(name: &'static str, unit: &'static str, real: f64, simulated: f64, allowed: Allowed) -> Self {
        let apart = (simulated - real).abs();
        let holds = match allowed {
            Allowed::Equal => apart == 0.0,
            Allowed::Milliseconds(ms) => apart <= ms,
            Allowed::Percent(percent) => apart <= real.abs() * percent / 100.0,
            Allowed::Any => true,
        };
        Self { name, unit, real, simulated, allowed, holds }
    }

    fn percent(&self) -> f64 {
        if self.real == 0.0 { 0.0 } else { (self.simulated / self.real - 1.0) * 100.0 }
    }
}

fn latencies(real: &Calibration, simulated: &Simulated) -> Vec<Line> {
    type Of = fn(&Quantiles) -> f64;
    let push: [(&'static str, Of, Allowed); 7] = [
        ("submit to push: p05", |q| q.p05, MEDIAN_MS),
        ("submit to push: p25", |q| q.p25, MEDIAN_MS),
        ("submit to push: p50", |q| q.p50, MEDIAN_MS),
        ("submit to push: p90", |q| q.p90, NINE_OF_TEN_MS),
        ("submit to push: p99", |q| q.p99, TAIL_MS),
        ("submit to push: max", |q| q.max, TAIL_MS),
        ("submit to push: mean", |q| q.mean, MEDIAN_MS),
    ];
    let beyond: [(&'static str, Of, Allowed); 3] = [
        ("beyond the shortest way: p50", |q| q.p50, MEDIAN_MS),
        ("beyond the shortest way: p99", |q| q.p99, TAIL_MS),
        ("beyond the shortest way: max", |q| q.max, Allowed::Any),
    ];
    let push =
        push.map(|(name, of, allowed)| Line::new(name, "ms", of(&real.push_ms), of(&simulated.push_ms), allowed));
    let beyond = beyond.map(|(name, of, allowed)| {
        Line::new(name, "ms", of(&real.beyond_shortest_ms), of(&simulated.beyond_shortest_ms), allowed)
    });
    let accept =
        Line::new("of which until accepted: p50", "ms", real.accept_ms.p50, simulated.accept_ms.p50, MEDIAN_MS);
    push.into_iter().chain(beyond).chain([accept]).collect()
}

/// What lines about traffic are called: bytes, packets, TCP payload, and the nodes that sent least and most.
type Names = [&'static str; 5];

const Q: Names = ["quiet: sent by a node", "quiet: packets", "quiet: TCP payload", "quiet: least", "quiet: most"];
const L: Names = ["loaded: sent by a node", "loaded: packets", "loaded: TCP payload", "loaded: least", "loaded: most"];

fn traffic(names: Names, real: &Traffic, simulated: &[NodeTraffic], per: f64, allowed: Allowed) -> Vec<Line> {
    let sent = total(simulated, |node| node.sent_bytes);
    let packets = total(simulated, |node| node.sent_packets);
    let nodes = simulated.len().max(1) as f64;
    let extreme = |of: Option<u64>| of.unwrap_or_default() as f64 * nodes / per;
    let least = [real.sent_bytes.iter().copied().min(), simulated.iter().map(|node| node.sent_bytes).min()];
    let most = [real.sent_bytes.iter().copied().max(), simulated.iter().map(|node| node.sent_bytes).max()];
    let [bytes_name, packets_name, payload_name, least_name, most_name] = names;
    let total = &real.total;
    vec![
        Line::new(bytes_name, "B/s", total.sent_bytes as f64 / per, sent / per, allowed),
        Line::new(packets_name, "1/s", total.sent_packets as f64 / per, packets / per, Allowed::Any),
        Line::new(payload_name, "B/s", total.sent_payload_bytes as f64 / per, payload(sent, packets) / per, allowed),
        Line::new(least_name, "B/s", extreme(least[0]), extreme(least[1]), Allowed::Any),
        Line::new(most_name, "B/s", extreme(most[0]), extreme(most[1]), Allowed::Any),
    ]
}

fn total(nodes: &[NodeTraffic], of: impl Fn(&NodeTraffic) -> u64) -> f64 {
    nodes.iter().map(of).sum::<u64>() as f64
}

/// Every packet has 52 bytes of headers.
fn payload(bytes: f64, packets: f64) -> f64 {
    bytes - packets * 52.0
}

fn per_message(real: &Calibration, simulated: &Simulated) -> Vec<Line> {
    let of = |bytes: f64, delivered: usize| bytes / delivered.max(1) as f64;
    let sent = total(&simulated.loaded, |node| node.sent_bytes);
    let real_sent = real.loaded.total.sent_bytes as f64;
    let (real, simulated) = (of(real_sent, real.delivered), of(sent, simulated.delivered));
    vec![Line::new("sent for each delivered message", "B", real, simulated, LOADED)]
}

/// Records that nodes took from each other, by what real nodes and the world call them.
fn records(real: &Calibration, simulated: &Simulated) -> Vec<Line> {
    let kinds = [
        ("envelopes by gossip", "envelope", Allowed::Equal),
        ("acks by gossip", "ack", RECORDS),
        ("receipts by gossip", "custody", Allowed::Any),
    ];
    let line = |(name, kind, allowed): (&'static str, &str, Allowed)| {
        let series = format!("griot_records_accepted_total{{kind=\"{kind}\",way=\"gossip\"}}");
        let real = real.counters.get(&series).copied().unwrap_or_default();
        let simulated = simulated.counters.get(&format!("accepted.{kind}.gossip")).copied().unwrap_or_default();
        Line::new(name, "", real as f64, simulated as f64, allowed)
    };
    kinds.into_iter().map(line).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_too_far_apart_does_not_hold() {
        let holds = |real, simulated, allowed| Line::new("", "", real, simulated, allowed).holds;
        assert!(holds(300.0, 300.0, Allowed::Equal) && !holds(300.0, 299.0, Allowed::Equal));
        assert!(holds(70.0, 67.5, Allowed::Milliseconds(3.0)) && !holds(70.0, 73.5, Allowed::Milliseconds(3.0)));
        assert!(holds(1000.0, 1050.0, Allowed::Percent(5.0)) && !holds(1000.0, 940.0, Allowed::Percent(5.0)));
    }
}
