//! The sections about what goes wrong, and what it is compared with.

use serde::{Deserialize, Serialize};

use super::Span;

/// Which nodes. Without any key: all of them. `regions` and one other may stand together ("half of that region").
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Selector {
    /// Those of these regions; of all where it is empty.
    pub regions: Vec<String>,
    /// This share of them, at random.
    pub share: Option<f64>,
    /// So many of them, at random.
    pub count: Option<u32>,
    /// Exactly these.
    pub list: Option<Vec<u32>>,
    /// So many of those on which most people live.
    pub largest: Option<u32>,
}

/// What goes wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum FaultKind {
    /// Nodes lose power (and what they had not synced); they come back after `lasts`.
    Crash,
    /// Nodes stop in order; they come back after `lasts`.
    Stop,
    /// Nodes and their disks are gone for ever.
    Die,
    /// Nodes stop, lose everything they had stored, and come back empty after `lasts`.
    LoseStore,
    /// Disks are full, for `lasts`.
    DiskFull,
    /// Clocks are `seconds` off, for `lasts`.
    ClockSkew,
    /// Clocks gain `ppm` parts per million (lose, where negative), for `lasts`.
    ClockDrift,
    /// Nothing gets from `nodes` to the others (or to `towards`), nor back unless `one_way`, for `lasts`.
    Partition,
    /// Everything between `nodes` and the others (or `towards`) shares `kib_per_second`, for `lasts`.
    Throttle,
    /// The connections of `nodes` are reset.
    Reset,
    /// One of `nodes` after the other stops for `lasts`, a `gap` after the last one came back.
    Rolling,
    /// `nodes` come and go for ever: `session` and `pause` say how long.
    Churn,
}

/// A law of durations.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "law", rename_all = "kebab-case", deny_unknown_fields)]
pub enum Law {
    /// Exponential: the same chance to end at every moment.
    Exponential {
        /// The mean.
        mean: Span,
    },
    /// Weibull: with `k` below 1 most sessions are short and a few are very long, as measured in peer-to-peer networks.
    Weibull {
        /// The shape.
        k: f64,
        /// The scale: 63 % are shorter.
        scale: Span,
    },
}

/// One of `[[faults]]`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FaultSection {
    /// What.
    pub kind: FaultKind,
    /// When, once. Either this or `every`.
    #[serde(default)]
    pub at: Option<Span>,
    /// Again and again, with exponential gaps of this mean; new nodes are drawn each time.
    #[serde(default)]
    pub every: Option<Span>,
    /// With `every`: from when on.
    #[serde(default)]
    pub from: Option<Span>,
    /// With `every`, and for churn: until when.
    #[serde(default)]
    pub until: Option<Span>,
    /// How long; where it is missing, to the end.
    #[serde(default)]
    pub lasts: Option<Span>,
    /// Whom.
    #[serde(default)]
    pub nodes: Selector,
    /// Partition, throttle: from whom they are parted; everybody else where it is missing.
    #[serde(default)]
    pub towards: Option<Selector>,
    /// Partition: only what `nodes` send is lost.
    #[serde(default)]
    pub one_way: bool,
    /// Clock skew, in seconds.
    #[serde(default)]
    pub seconds: Option<i64>,
    /// Clock drift, in parts per million.
    #[serde(default)]
    pub ppm: Option<i32>,
    /// Throttle, in KiB a second.
    #[serde(default)]
    pub kib_per_second: Option<u64>,
    /// Die: after how long the people who lived there look for another home; never where it is missing.
    #[serde(default)]
    pub rehome_after: Option<Span>,
    /// Rolling: between two nodes.
    #[serde(default)]
    pub gap: Option<Span>,
    /// Churn: how long nodes run.
    #[serde(default)]
    pub session: Option<Law>,
    /// Churn: how long they are away.
    #[serde(default)]
    pub pause: Option<Law>,
    /// Churn and rolling: whether nodes crash rather than stop in order.
    #[serde(default)]
    pub crash: bool,
}

/// How a node that means harm behaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum AdversaryKind {
    /// It takes what it is sent and passes nothing on.
    Withholding,
    /// It sends valid envelopes to mailboxes that nobody reads.
    Flooding,
    /// It sends again what it has seen.
    Replaying,
    /// It claims in sync to hold what it does not, and not to hold what it does.
    LyingInSync,
}

/// One of `[[adversaries]]`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AdversarySection {
    /// What they do.
    pub kind: AdversaryKind,
    /// Their share of all nodes. All adversaries together are 40 % at most.
    pub share: f64,
    /// Flooding, replaying: how many a second, each.
    #[serde(default)]
    pub per_second: Option<u32>,
    /// Honest nodes that each of them dials besides its place in the topology.
    #[serde(default)]
    pub links: u32,
    /// What each of them sends and receives at most; as other nodes where it is missing, 0 is unlimited.
    #[serde(default)]
    pub up_kib_per_second: Option<u64>,
    /// See [`up_kib_per_second`](Self::up_kib_per_second).
    #[serde(default)]
    pub down_kib_per_second: Option<u64>,
    /// When they appear; from the beginning where it is missing.
    #[serde(default)]
    pub from: Option<Span>,
    /// Eclipse: each of them dials all of these.
    #[serde(default)]
    pub around: Option<Selector>,
    /// Eclipse: how many of their own links the victims keep.
    #[serde(default)]
    pub honest_links: Option<u32>,
}

/// `[outage]`: the time that the report is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OutageSection {
    /// When it begins.
    pub at: Span,
    /// How long it lasts.
    pub lasts: Span,
}

/// What happens to the one provider.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum CentralKind {
    /// It is down.
    Down,
    /// The people of `regions` cannot reach it.
    Cut,
    /// Nothing.
    Unharmed,
}

/// `[central]`: the same people and messages with one provider in the middle.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CentralSection {
    /// What happens to it.
    pub kind: CentralKind,
    /// When; with the outage where it is missing.
    #[serde(default)]
    pub at: Option<Span>,
    /// How long; as long as the outage where it is missing.
    #[serde(default)]
    pub lasts: Option<Span>,
    /// Cut: whose people.
    #[serde(default)]
    pub regions: Vec<String>,
    /// Cut: the share of those people; all where it is missing.
    #[serde(default)]
    pub share: Option<f64>,
}
