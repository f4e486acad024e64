//! What a run came to.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Write as _,
};

use serde::{Deserialize, Serialize};

use super::{
    check::Broken,
    history::{Event, Id, What},
    plan::{ChaosPlan, Topology},
};

/// Broken rules that are shown; the file has all that were kept.
const SHOWN: usize = 20;

/// Broken rules that are kept: where there are more, one cause breaks them all.
pub const BROKEN_MAX: usize = 1_000;

/// `summary.json`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Summary {
    /// The seed.
    pub seed: u64,
    /// The command that does the same again.
    pub replay: String,
    /// What `griotd --version` says.
    pub griotd: String,
    /// Which kind of network.
    pub topology: Topology,
    /// How many nodes.
    pub nodes: usize,
    /// How many people.
    pub people: usize,
    /// How long faults happened, seconds.
    pub faults_seconds: u64,
    /// How long it took from the healing until all had arrived and was gone, or until that was given up, seconds.
    pub settle_seconds: Option<u64>,
    /// Faults by kind.
    pub faults: BTreeMap<String, u64>,
    /// Faults that could not happen on this machine, and why.
    pub left_out: Vec<String>,
    /// What was counted.
    pub counts: Counts,
    /// From *accepted* to *delivered*, milliseconds: median, 99 of 100, and the longest.
    pub accepted_to_delivered_ms: [u64; 3],
    /// Whether somebody ended the run early: only what must hold at any moment was checked.
    pub interrupted: bool,
    /// How many rules were broken.
    pub broken_count: usize,
    /// The first of them.
    pub broken: Vec<Broken>,
}

/// What happened how often.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counts {
    /// Messages made.
    pub sent: u64,
    /// Messages that a node accepted.
    pub accepted: u64,
    /// Times that a node did not accept one (a few of each message are noted).
    pub not_accepted: u64,
    /// Messages delivered.
    pub delivered: u64,
    /// Accepted messages that expired before they were delivered.
    pub expired: u64,
    /// Envelopes that feeds gave, from all homes and in all readings.
    pub fed: u64,
    /// Messages whose ack a node accepted.
    pub acked: u64,
    /// Answers about the state of a message at a node that were news.
    pub statuses: u64,
}

impl Counts {
    /// Counts a history.
    #[must_use]
    pub fn of(events: &[Event], end_ms: u64) -> Self {
        let mut counts = Self::default();
        let mut expiring: BTreeMap<&Id, u64> = BTreeMap::new();
        let (mut accepted, mut delivered) = (BTreeSet::new(), BTreeSet::new());
        for event in events {
            match &event.what {
                What::Sent { id, expires_ms, .. } => {
                    counts.sent += 1;
                    expiring.insert(id, *expires_ms);
                }
                What::Accepted { id, .. } => counts.accepted += u64::from(accepted.insert(id)),
                What::NotAccepted { .. } => counts.not_accepted += 1,
                What::Fed { .. } => counts.fed += 1,
                What::Delivered { id, .. } => {
                    counts.delivered += 1;
                    delivered.insert(id);
                }
                What::AckAccepted { ids, .. } => counts.acked += ids.len() as u64,
                What::Status { .. } => counts.statuses += 1,
                What::Fault { .. } | What::NodeEnded { .. } => {}
            }
        }
        let has_expired = |id: &&&Id| expiring.get(**id).is_some_and(|expires_ms| *expires_ms <= end_ms);
        counts.expired = accepted.difference(&delivered).filter(has_expired).count() as u64;
        counts
    }
}

/// Median, 99 of 100, and the longest time from a message's first acceptance to its delivery.
#[must_use]
pub fn accepted_to_delivered_ms(events: &[Event]) -> [u64; 3] {
    let mut accepted: BTreeMap<&Id, u64> = BTreeMap::new();
    let mut took = Vec::new();
    for event in events {
        match &event.what {
            What::Accepted { id, .. } => {
                accepted.entry(id).or_insert(event.at_ms);
            }
            What::Delivered { id, .. } => {
                // Some are delivered before the writer has read the answer.
                took.push(accepted.get(id).map_or(0, |at_ms| event.at_ms.saturating_sub(*at_ms)));
            }
            _ => {}
        }
    }
    took.sort_unstable();
    let at = |share: f64| took.get((took.len().saturating_sub(1) as f64 * share) as usize).copied().unwrap_or_default();
    [at(0.5), at(0.99), at(1.0)]
}

/// How often each kind of fault is planned to begin before `end_ms`.
#[must_use]
pub fn faults_by_kind(plan: &ChaosPlan, end_ms: u64) -> BTreeMap<String, u64> {
    let mut kinds = BTreeMap::new();
    for planned in plan.faults.iter().filter(|planned| planned.at_ms <= end_ms) {
        *kinds.entry(planned.fault.kind().to_owned()).or_default() += 1;
    }
    kinds
}

impl Summary {
    /// The summary for a person.
    #[must_use]
    pub fn to_text(&self) -> String {
        let mut text = String::new();
        let Counts { sent, accepted, not_accepted, delivered, expired, fed, acked, .. } = self.counts;
        let faults: Vec<String> = self.faults.iter().map(|(kind, count)| format!("{count} {kind}")).collect();
        let [median, most, longest] = self.accepted_to_delivered_ms;
        let _ = writeln!(
            text,
            "{} nodes ({}), {} people, {} s of faults, seed {}",
            self.nodes, self.topology, self.people, self.faults_seconds, self.seed
        );
        let _ =
            writeln!(text, "faults       {}", if faults.is_empty() { "none".to_owned() } else { faults.join(", ") });
        for why in &self.left_out {
            let _ = writeln!(text, "left out     {why}");
        }
        let _ = writeln!(
            text,
            "messages     {sent} sent, {accepted} accepted, {delivered} delivered, {acked} acked, {expired} expired"
        );
        let _ = writeln!(text, "             {fed} given by feeds; {not_accepted} times not accepted at once");
        let _ = writeln!(text, "to deliver   median {median} ms, 99 of 100 within {most} ms, the longest {longest} ms");
        let settled = match self.settle_seconds {
            Some(seconds) => format!("{seconds} s from the healing until all was settled"),
            None => "interrupted: only what must hold at any moment was checked".to_owned(),
        };
        let _ = writeln!(text, "at the end   {settled}");
        for broken in self.broken.iter().take(SHOWN) {
            let shown = serde_json::to_string(broken).unwrap_or_else(|_| format!("{broken:?}"));
            let _ = writeln!(text, "BROKEN       {shown}");
        }
        if self.broken_count == 0 {
            let _ = writeln!(text, "nothing broken");
        } else {
            let _ = writeln!(text, "{} broken; the same again: {}", self.broken_count, self.replay);
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_history_is_counted() {
        let sent = |id: &str, expires_ms| What::Sent { id: id.into(), writer: 0, reader: 1, expires_ms };
        let accepted = |id: &str, node| What::Accepted { id: id.into(), node, asked_ms: 0 };
        let history = [
            sent("a", 5_000),
            sent("b", 500),
            accepted("a", 0),
            accepted("b", 0),
            accepted("a", 1),
            What::Delivered { id: "a".into(), reader: 1 },
            sent("c", 5_000),
            What::Delivered { id: "c".into(), reader: 1 },
            accepted("c", 1),
            What::AckAccepted { reader: 1, node: 0, ids: vec!["a".into()] },
        ];
        let events: Vec<Event> = (1..).zip(history).map(|(n, what)| Event { at_ms: n * 100, what }).collect();
        let counts = Counts::of(&events, 1_000);
        assert_eq!((counts.sent, counts.accepted, counts.delivered, counts.expired), (3, 3, 2, 1));
        assert_eq!((counts.acked, counts.fed), (1, 0));
        assert_eq!(accepted_to_delivered_ms(&events), [0, 0, 300]);
        assert_eq!(accepted_to_delivered_ms(&[]), [0, 0, 0]);
    }
}
