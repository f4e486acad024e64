//! Scenarios: what a run is about, in a file that people can read.
//!
//! A scenario says how many nodes there are, how they are linked, who lives on them, what they write to each other, and
//! what befalls them. Together with a seed it is turned into a [`Plan`](crate::plan::Plan), in which every link, message
//! and fault stands with its time ([`draw`]). `docs/scenarios.md` is the reference of the format; the built-in scenarios
//! ([`builtin`]) are its examples.
//!
//! Two ideas are behind the format:
//! - *Shares, not numbers*, wherever it can be said that way, so that `--nodes` makes the same scenario larger or smaller.
//! - *Real time, stated once.* Times are written as they were in the world. Where a scenario is longer than half a day,
//!   `compress` divides everything that people do and that befalls them, while the protocol keeps its own pace (see
//!   [`clock`]).

pub mod builtin;
pub mod central;
mod check;
pub mod clock;
pub mod draw;
mod faults;
pub mod limits;
mod network;
mod parse;
mod people;
pub mod plan_file;
mod span;

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

pub use check::check;
pub use faults::{
    AdversaryKind, AdversarySection, CentralKind, CentralSection, FaultKind, FaultSection, Law, OutageSection, Selector,
};
pub use network::{
    BandwidthSection, CommunitiesBy, JitterSection, LatencySection, NatSection, NetworkSection, RegionSection,
    TopologySection,
};
pub use parse::{Overrides, Problem, ScenarioError, Source, load, parse};
pub use people::{
    BotsSection, BurstSection, ChannelsSection, Curve, GroupsSection, HomesWithin, OnlineSection, PeopleSection,
    SizeWeight, WorkloadSection,
};
pub use span::{Span, parse_moment};

/// A scenario, as its file has it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Scenario {
    /// Its name, in kebab case; the folder of its runs is named after it.
    pub name: String,
    /// What it is about, in one sentence.
    pub about: String,
    /// Where its dates, durations and shares come from: addresses of pages, or `assumed: …`.
    #[serde(default)]
    pub sources: Vec<String>,
    /// How long it lasts, in real time (before `compress`).
    pub duration: Span,
    /// The moment at which it begins, in UTC: `2021-10-04T13:00:00Z`. It decides when it is night.
    #[serde(default = "default_starts_at")]
    pub starts_at: String,
    /// By how much everything but the protocol's own intervals is divided. 1: not at all.
    #[serde(default = "one")]
    pub compress: u64,
    /// The network.
    #[serde(default)]
    pub network: NetworkSection,
    /// Who is linked to whom.
    #[serde(default)]
    pub topology: TopologySection,
    /// Parts of the world, for latencies and partitions.
    #[serde(default)]
    pub regions: Vec<RegionSection>,
    /// How long bytes travel.
    #[serde(default)]
    pub latency: LatencySection,
    /// How many bytes a second a node can send and receive.
    #[serde(default)]
    pub bandwidth: BandwidthSection,
    /// Nodes that others cannot dial.
    #[serde(default)]
    pub nat: NatSection,
    /// Who lives where.
    #[serde(default)]
    pub people: PeopleSection,
    /// What they write.
    #[serde(default)]
    pub workload: WorkloadSection,
    /// What goes wrong.
    #[serde(default)]
    pub faults: Vec<FaultSection>,
    /// Nodes that mean harm.
    #[serde(default)]
    pub adversaries: Vec<AdversarySection>,
    /// The time that the report is about.
    #[serde(default)]
    pub outage: Option<OutageSection>,
    /// The same people and messages with one provider in the middle, to compare with.
    #[serde(default)]
    pub central: Option<CentralSection>,
    /// The folder of the file, against which the paths in it are read; `None` for built-in ones.
    #[serde(skip)]
    pub folder: Option<PathBuf>,
}

fn default_starts_at() -> String {
    "2026-01-05T00:00:00Z".to_owned()
}

const fn one() -> u64 {
    1
}
