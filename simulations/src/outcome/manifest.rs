//! What a run was (`manifest.json`) and what came of it (`summary.json`).

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{Figures, checks::check, figures};
use crate::plan::{Invariant, Plan, Recording};

/// The version of the folder's format.
pub const FORMAT: u32 = 1;

/// `manifest.json`: all that is needed to run it again.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Manifest {
    /// The version of the folder's format.
    pub format: u32,
    /// The scenario's name.
    pub scenario: String,
    /// The scenario's text, so that the folder is complete by itself; empty where a plan was run as it is.
    pub scenario_text: String,
    /// BLAKE3 of that text, lower-case hex.
    pub scenario_hash: String,
    /// The seed.
    pub seed: u64,
    /// What the command line changed: `--param` and the like, as arguments.
    pub parameters: Vec<String>,
    /// By how much scenario time is divided.
    pub compress: u64,
    /// The names of the regions, in the order of their numbers in `nodes.csv`.
    #[serde(default)]
    pub regions: Vec<String>,
    /// BLAKE3 of the plan, lower-case hex.
    pub plan_hash: String,
    /// The program's version.
    pub version: String,
    /// The system it ran on, such as `linux-x86_64`.
    pub system: String,
    /// Unix seconds at which it was started.
    pub started_at: u64,
    /// Seconds it took.
    pub wall_seconds: f64,
    /// Virtual seconds for each of them.
    pub speed: f64,
    /// Whether signatures that one node had checked counted as checked for all.
    pub shared_signature_checks: bool,
    /// Whether it was interrupted before its end.
    pub interrupted: bool,
    /// The command that runs it again.
    pub replay: String,
    /// Arrivals that did not fit `arrivals.bin`.
    #[serde(default)]
    pub arrivals_left_out: u64,
}

/// `summary.json`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Summary {
    /// The scenario's name.
    pub scenario: String,
    /// The seed.
    pub seed: u64,
    /// Nodes.
    pub nodes: u64,
    /// People.
    pub people: u64,
    /// How far virtual time got, milliseconds.
    pub virtual_ms: u64,
    /// Whether it was interrupted before its end.
    pub interrupted: bool,
    /// BLAKE3 of the federated run's trace, lower-case hex.
    pub trace_hash: String,
    /// Invariants of both runs that did not hold.
    pub broken_invariants: u64,
    /// The federated run.
    #[serde(flatten)]
    pub figures: Figures,
    /// The same people and messages with one provider; absent where the scenario compares with none.
    pub central: Option<Figures>,
    /// What was checked.
    pub invariants: Vec<Invariant>,
    /// Counters by name, summed over all nodes.
    pub counters: BTreeMap<String, u64>,
}

impl Summary {
    /// Counts and checks a run, and its baseline where there is one.
    #[must_use]
    pub fn of(plan: &Plan, recording: &Recording, central: Option<(&Plan, &Recording)>) -> Self {
        let mut invariants = recording.invariants.clone();
        invariants.extend(check(plan, recording));
        if let Some((plan, recording)) = central {
            let named = recording.invariants.iter().cloned().chain(check(plan, recording));
            invariants
                .extend(named.map(|invariant| Invariant { name: format!("central-{}", invariant.name), ..invariant }));
        }
        Self {
            scenario: plan.scenario.clone(),
            seed: plan.seed,
            nodes: plan.nodes.len() as u64,
            people: plan.people.len() as u64,
            virtual_ms: recording.virtual_ms,
            interrupted: recording.interrupted || central.is_some_and(|(_, recording)| recording.interrupted),
            trace_hash: recording.trace_hash.clone(),
            broken_invariants: invariants.iter().filter(|invariant| invariant.broken > 0).count() as u64,
            figures: figures(plan, recording),
            central: central.map(|(plan, recording)| figures(plan, recording)),
            invariants,
            counters: recording.counters.clone(),
        }
    }

    /// The names of the invariants that did not hold.
    pub fn broken(&self) -> impl Iterator<Item = &Invariant> {
        self.invariants.iter().filter(|invariant| invariant.broken > 0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::outcome::figures::tests::{plan, recording};

    #[test]
    fn a_summary_has_the_figures_at_its_top_and_those_of_the_baseline_below() {
        let mut central = recording();
        central.messages[0].shown_again = 2;
        let summary = Summary::of(&plan(), &recording(), Some((&plan(), &central)));
        let json = serde_json::to_value(&summary).unwrap();
        for key in ["offered", "delivered", "delivered_exactly_once", "lost", "duplicates", "delivered_during_outage"] {
            assert!(json[key].is_u64(), "{key}");
            assert!(json["central"][key].is_u64(), "central {key}");
        }
        for key in ["latency_ms", "hops", "sent_bytes_per_node"] {
            assert!(json[key]["p99"].is_u64(), "{key}");
        }
        assert_eq!(json["outage"]["latency_ms"]["max"], 25_000);
        assert_eq!(json["time_to_heal_ms"], 5000);
        assert_eq!(summary.broken_invariants, 1);
        assert_eq!(summary.broken().next().unwrap().name, "central-shown-once");
        assert_eq!(serde_json::from_value::<Summary>(json).unwrap(), summary);
    }
}
