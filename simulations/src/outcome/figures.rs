//! The figures of one network: what is in `summary.json`, for Griot and for the central baseline alike.

use serde::{Deserialize, Serialize};

use super::deliveries::{Pair, State, pairs};
use crate::plan::{Plan, Recording};

/// Figures of one network. Counts of messages are of pairs (message, reader) unless they say otherwise.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Figures {
    /// Messages written.
    pub messages: u64,
    /// Pairs of a message and a reader.
    pub offered: u64,
    /// Read.
    pub delivered: u64,
    /// Read, and shown to its reader once.
    pub delivered_exactly_once: u64,
    /// Accepted by a node, and expired unread.
    pub lost: u64,
    /// Accepted by a node, and still waiting at the end.
    pub waiting: u64,
    /// Never accepted by any node.
    pub not_accepted: u64,
    /// `delivered / offered`; 0 where nothing was offered.
    pub delivered_fraction: f64,
    /// Times that a reader's client met a message again and dropped it.
    pub duplicates: u64,
    /// Times that a reader was *shown* a message again: must be none.
    pub shown_again: u64,
    /// Pairs written in the outage that were read before it ended (the same as in `outage`; 0 where there is none).
    pub delivered_during_outage: u64,
    /// From the end of the outage until the last of the backlog was read, milliseconds (the same as in `outage`).
    pub time_to_heal_ms: Option<u64>,
    /// The outage, where the scenario has one.
    pub outage: Option<OutageFigures>,
    /// From writing to reading, milliseconds.
    pub latency_ms: Percentiles,
    /// From writing to the first valid custody receipt that the author saw, milliseconds, once for each message.
    pub stored_ms: Percentiles,
    /// Messages whose author saw a valid ack.
    pub acked: u64,
    /// Nodes from where it was handed in to where it was read.
    pub hops: Percentiles,
    /// Frames sent from node to node for each message.
    pub copies_per_message: f64,
    /// Frames sent for each node that came to hold the message (the one it was handed in at left out): 1 is the least
    /// possible.
    pub redundancy: f64,
    /// Bytes that a node sent, over the nodes.
    pub sent_bytes_per_node: Percentiles,
    /// Bytes sent by all nodes, for each pair delivered.
    pub bytes_per_delivery: f64,
    /// The most bytes of records that any node held at any time.
    pub stored_bytes_max: u64,
    /// The most records that any node held at any time.
    pub records_max: u64,
    /// Crashes, of all nodes.
    pub crashes: u64,
    /// The share of the nodes' time that they were up.
    pub up_fraction: f64,
}

/// Figures about the outage.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct OutageFigures {
    /// When it began, milliseconds since the run began.
    pub from_ms: u64,
    /// When it ended.
    pub until_ms: u64,
    /// Pairs written in it.
    pub offered: u64,
    /// Those of them that were read before it ended.
    pub delivered_during_outage: u64,
    /// Those of them that were read at all.
    pub delivered: u64,
    /// `delivered_during_outage / offered`; 0 where nothing was offered.
    pub delivered_during_outage_fraction: f64,
    /// From writing to reading for what was written in it, milliseconds.
    pub latency_ms: Percentiles,
    /// Pairs written before the end of the outage that were read after it: the backlog.
    pub backlog: u64,
    /// From the end of the outage until the last of the backlog was read, milliseconds; absent where there was none.
    pub time_to_heal_ms: Option<u64>,
    /// … until 99 % of it were.
    pub time_to_heal_p99_ms: Option<u64>,
    /// Backlog that never was read in the run.
    pub backlog_left: u64,
}

/// Percentiles of samples (nearest rank: each is a sample that occurred). All 0 where there is no sample.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Percentiles {
    /// How many samples.
    pub samples: u64,
    /// Their mean.
    pub mean: f64,
    /// Half are at most this.
    pub p50: u64,
    /// 95 % are.
    pub p95: u64,
    /// 99 % are.
    pub p99: u64,
    /// All are.
    pub max: u64,
}

impl Percentiles {
    /// Of these samples.
    #[must_use]
    pub fn of(mut samples: Vec<u64>) -> Self {
        samples.sort_unstable();
        let Some(&max) = samples.last() else { return Self::default() };
        let count = samples.len();
        // A sum of u64 in u128 and one division: the same in whatever order the samples came.
        let sum: u128 = samples.iter().map(|sample| u128::from(*sample)).sum();
        let rank = |percent: usize| samples[(count * percent).div_ceil(100).clamp(1, count) - 1];
        Self {
            samples: count as u64,
            mean: sum as f64 / count as f64,
            p50: rank(50),
            p95: rank(95),
            p99: rank(99),
            max,
        }
    }
}

fn fraction(part: u64, whole: u64) -> f64 {
    if whole == 0 { 0.0 } else { part as f64 / whole as f64 }
}

/// Counts everything.
#[must_use]
pub fn figures(plan: &Plan, recording: &Recording) -> Figures {
    let end = recording.virtual_ms;
    let mut figures = Figures::default();
    let mut latencies = Vec::new();
    let mut hops = Vec::new();
    let mut outage = plan.outage.map(|(from, until)| OutageCount::new(from.0, until.0));
    for pair in pairs(plan, recording) {
        figures.offered += 1;
        match pair.state(end) {
            State::Delivered => figures.delivered += 1,
            State::Lost => figures.lost += 1,
            State::Waiting => figures.waiting += 1,
            State::NotAccepted => figures.not_accepted += 1,
        }
        latencies.extend(pair.latency_ms());
        hops.extend(pair.delivery.and_then(|(_, _, hops)| hops).map(u64::from));
        if let Some(outage) = &mut outage {
            outage.count(&pair);
        }
    }
    let mut copies = 0;
    let mut spread = 0;
    let mut stored = Vec::new();
    for (message, fate) in plan.messages.iter().zip(&recording.messages).filter(|(message, _)| message.at.0 < end) {
        figures.messages += 1;
        figures.duplicates += u64::from(fate.duplicates);
        figures.shown_again += u64::from(fate.shown_again);
        figures.acked += u64::from(fate.acked.is_some());
        copies += u64::from(fate.copies);
        spread += u64::from(fate.holders.saturating_sub(1));
        stored.extend(fate.stored.map(|at| at.0.saturating_sub(message.at.0)));
        // Which reader was shown it again is not recorded; each time counts against one of them.
        figures.delivered_exactly_once += (fate.deliveries.len() as u64).saturating_sub(u64::from(fate.shown_again));
    }
    let sent: u64 = recording.nodes.iter().map(|node| node.sent_bytes).sum();
    figures.delivered_fraction = fraction(figures.delivered, figures.offered);
    figures.outage = outage.map(OutageCount::finish);
    if let Some(outage) = &figures.outage {
        figures.delivered_during_outage = outage.delivered_during_outage;
        figures.time_to_heal_ms = outage.time_to_heal_ms;
    }
    figures.latency_ms = Percentiles::of(latencies);
    figures.stored_ms = Percentiles::of(stored);
    figures.hops = Percentiles::of(hops);
    figures.copies_per_message = fraction(copies, figures.messages);
    figures.redundancy = fraction(copies, spread);
    figures.sent_bytes_per_node = Percentiles::of(recording.nodes.iter().map(|node| node.sent_bytes).collect());
    figures.bytes_per_delivery = fraction(sent, figures.delivered);
    figures.stored_bytes_max = recording.nodes.iter().map(|node| node.stored_bytes_max).max().unwrap_or(0);
    figures.records_max = recording.nodes.iter().map(|node| node.records_max).max().unwrap_or(0);
    figures.crashes = recording.nodes.iter().map(|node| u64::from(node.crashes)).sum();
    let up: u64 = recording.nodes.iter().map(|node| node.up_ms).sum();
    figures.up_fraction = fraction(up, end.saturating_mul(recording.nodes.len() as u64));
    figures
}

struct OutageCount {
    figures: OutageFigures,
    latencies: Vec<u64>,
    /// How long after the end each of the backlog was read.
    healed: Vec<u64>,
}

impl OutageCount {
    fn new(from_ms: u64, until_ms: u64) -> Self {
        let figures = OutageFigures { from_ms, until_ms, ..OutageFigures::default() };
        Self { figures, latencies: Vec::new(), healed: Vec::new() }
    }

    fn count(&mut self, pair: &Pair<'_>) {
        let (from, until) = (self.figures.from_ms, self.figures.until_ms);
        let written = pair.message.at.0;
        let read = pair.delivery.map(|(at, ..)| at);
        if (from..until).contains(&written) {
            self.figures.offered += 1;
            self.figures.delivered += u64::from(read.is_some());
            self.figures.delivered_during_outage += u64::from(read.is_some_and(|at| at < until));
            self.latencies.extend(pair.latency_ms());
        }
        if written < until {
            match read {
                Some(at) if at >= until => self.healed.push(at - until),
                Some(_) => {}
                None => self.figures.backlog_left += 1,
            }
        }
    }

    fn finish(self) -> OutageFigures {
        let mut figures = self.figures;
        figures.delivered_during_outage_fraction = fraction(figures.delivered_during_outage, figures.offered);
        figures.latency_ms = Percentiles::of(self.latencies);
        let healed = Percentiles::of(self.healed);
        figures.backlog = healed.samples;
        if healed.samples > 0 {
            figures.time_to_heal_ms = Some(healed.max);
            figures.time_to_heal_p99_ms = Some(healed.p99);
        }
        figures
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::plan::{
        Conduct, Delivery, LatencyLaw, LatencyPlan, LinkPlan, MailboxIndex, MailboxPlan, MessageFate, MessagePlan,
        NodeFate, NodeIndex, NodePlan, PersonIndex, PersonPlan, VirtualMs,
    };

    /// Two nodes, three people: a direct mailbox of person 1 (messages 0, 1, 3) and a group of all (message 2).
    pub(crate) fn plan() -> Plan {
        let node = NodePlan {
            region: 0,
            up_bytes_per_second: 0,
            down_bytes_per_second: 0,
            behind_nat: false,
            starts_up: true,
            conduct: Conduct::Honest,
        };
        let person = |home| PersonPlan { homes: vec![NodeIndex(home)], starts_online: true, full_client: false };
        let message = |at, author, mailbox| MessagePlan {
            at: VirtualMs(at),
            author: PersonIndex(author),
            mailbox: MailboxIndex(mailbox),
            bytes: 200,
            life_seconds: 60,
        };
        Plan {
            scenario: "hand-made".into(),
            seed: 1,
            epoch_unix_seconds: 1_600_000_000,
            duration_ms: 100_000,
            bits: 0,
            postage_bits: 0,
            fsync_ms: 1,
            discovery: false,
            shared_signature_checks: true,
            nodes: vec![node.clone(), node],
            links: vec![LinkPlan { from: NodeIndex(0), to: NodeIndex(1) }],
            latency: LatencyPlan::Everywhere(LatencyLaw::Constant { ms: 10 }),
            people: vec![person(0), person(1), person(1)],
            mailboxes: vec![
                MailboxPlan { shared: false, readers: vec![PersonIndex(1)] },
                MailboxPlan { shared: true, readers: vec![PersonIndex(0), PersonIndex(1), PersonIndex(2)] },
            ],
            messages: vec![message(1000, 0, 0), message(20_000, 0, 0), message(30_000, 1, 1), message(90_000, 0, 0)],
            events: Vec::new(),
            outage: Some((VirtualMs(10_000), VirtualMs(40_000))),
        }
    }

    pub(crate) fn delivery(reader: u32, at: u64, hops: u16) -> Delivery {
        Delivery { reader: PersonIndex(reader), at: VirtualMs(at), home: NodeIndex(1), hops: Some(hops) }
    }

    pub(crate) fn fate(deliveries: Vec<Delivery>) -> MessageFate {
        MessageFate {
            record: "00".repeat(32),
            accepted: Some((VirtualMs(1001), NodeIndex(0))),
            deliveries,
            copies: 3,
            holders: 2,
            expires: Some(VirtualMs(1_000_000)),
            ..MessageFate::default()
        }
    }

    /// Message 0 arrives; 1 only after the outage; 2 reaches one of two; 3 was never accepted.
    pub(crate) fn recording() -> Recording {
        let never = MessageFate::default();
        Recording {
            trace_hash: "ab".into(),
            virtual_ms: 100_000,
            interrupted: false,
            messages: vec![
                MessageFate {
                    stored: Some(VirtualMs(1300)),
                    acked: Some(VirtualMs(1500)),
                    ..fate(vec![delivery(1, 1200, 1)])
                },
                MessageFate { duplicates: 2, ..fate(vec![delivery(1, 45_000, 1)]) },
                fate(vec![delivery(2, 30_050, 0)]),
                never,
            ],
            nodes: vec![
                NodeFate {
                    sent_bytes: 3000,
                    stored_bytes_max: 70,
                    records_max: 3,
                    up_ms: 100_000,
                    ..NodeFate::default()
                },
                NodeFate {
                    sent_bytes: 1000,
                    stored_bytes_max: 90,
                    records_max: 2,
                    up_ms: 50_000,
                    crashes: 1,
                    ..NodeFate::default()
                },
            ],
            timeline: Vec::new(),
            invariants: Vec::new(),
            counters: BTreeMap::new(),
        }
    }

    #[test]
    fn pairs_are_counted_and_add_up() {
        let figures = figures(&plan(), &recording());
        assert_eq!((figures.messages, figures.offered, figures.delivered), (4, 5, 3));
        assert_eq!((figures.lost, figures.waiting, figures.not_accepted), (0, 1, 1));
        assert_eq!(figures.delivered_exactly_once, 3);
        assert!((figures.delivered_fraction - 0.6).abs() < 1e-12);
        assert_eq!((figures.duplicates, figures.acked), (2, 1));
        assert_eq!((figures.latency_ms.p50, figures.latency_ms.max), (200, 25_000));
        assert_eq!((figures.stored_ms.samples, figures.stored_ms.max), (1, 300));
        assert_eq!((figures.hops.p50, figures.hops.max), (1, 1));
    }

    #[test]
    fn costs_are_per_node_and_per_delivery() {
        let figures = figures(&plan(), &recording());
        assert!((figures.copies_per_message - 9.0 / 4.0).abs() < 1e-12);
        assert!((figures.redundancy - 3.0).abs() < 1e-12, "nine frames for three holders besides the first");
        assert_eq!(figures.sent_bytes_per_node.max, 3000);
        assert!((figures.bytes_per_delivery - 4000.0 / 3.0).abs() < 1e-9);
        assert_eq!((figures.stored_bytes_max, figures.records_max, figures.crashes), (90, 3, 1));
        assert!((figures.up_fraction - 0.75).abs() < 1e-12);
    }

    #[test]
    fn the_outage_has_figures_of_its_own() {
        let outage = figures(&plan(), &recording()).outage.unwrap();
        // Written in it: message 1 and message 2 for two readers.
        assert_eq!((outage.offered, outage.delivered, outage.delivered_during_outage), (3, 2, 1));
        assert_eq!((outage.backlog, outage.backlog_left), (1, 1));
        assert_eq!((outage.time_to_heal_ms, outage.latency_ms.max), (Some(5000), 25_000));
    }

    #[test]
    fn expired_unread_is_lost_and_shown_twice_is_not_once() {
        let (plan, mut recording) = (plan(), recording());
        recording.messages[2].expires = Some(VirtualMs(99_000));
        recording.messages[0].shown_again = 1;
        let figures = figures(&plan, &recording);
        assert_eq!((figures.lost, figures.waiting, figures.delivered_exactly_once), (1, 0, 2));
    }

    #[test]
    fn an_interrupted_run_counts_what_was_written_until_then() {
        let (plan, mut recording) = (plan(), recording());
        recording.virtual_ms = 25_000;
        recording.messages[1].deliveries.clear();
        recording.messages[2] = MessageFate::default();
        assert_eq!(figures(&plan, &recording).offered, 2);
    }

    #[test]
    fn percentiles_are_samples() {
        let percentiles = Percentiles::of((1..=200).rev().collect());
        assert_eq!((percentiles.p50, percentiles.p95, percentiles.p99, percentiles.max), (100, 190, 198, 200));
        assert!((percentiles.mean - 100.5).abs() < 1e-12);
        assert_eq!(Percentiles::of(vec![7]).p99, 7);
        assert_eq!(Percentiles::of(Vec::new()), Percentiles::default());
    }
}
