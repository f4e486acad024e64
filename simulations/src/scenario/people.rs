//! The sections about people and what they write.

use serde::{Deserialize, Serialize};

use super::Span;

/// `[people]`: who lives where.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct PeopleSection {
    /// People for each honest node, on average.
    pub per_node: f64,
    /// The shares of people with one, two and three homes.
    pub homes: [f64; 3],
    /// Where the second and third home are.
    pub homes_within: HomesWithin,
    /// The share of all people whose first home is the largest node (node 0); the others are spread evenly.
    pub largest_share: f64,
    /// The share of people with a full client; never more people than [`limits::FULL_CLIENTS_MAX`](super::limits::FULL_CLIENTS_MAX).
    pub full_clients: f64,
    /// When they are on line.
    pub online: OnlineSection,
}

impl Default for PeopleSection {
    fn default() -> Self {
        Self {
            per_node: 4.0,
            homes: [0.0, 1.0, 0.0],
            homes_within: HomesWithin::default(),
            largest_share: 0.0,
            full_clients: 0.0,
            online: OnlineSection::default(),
        }
    }
}

/// Where a person's other homes are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum HomesWithin {
    /// Anywhere.
    #[default]
    Anywhere,
    /// In the region of the first.
    Region,
}

/// When people are on line.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case", deny_unknown_fields)]
pub enum OnlineSection {
    /// Always.
    #[default]
    Always,
    /// In sessions whose lengths and pauses are exponential.
    Sessions {
        /// The mean length of a session.
        online: Span,
        /// The mean pause between two.
        offline: Span,
        /// The share of people of whom this is true; the others are always on line.
        #[serde(default = "all")]
        share: f64,
    },
    /// By day, each with its own hours.
    Daily {
        /// Since midnight (UTC): when they come on line, on average.
        from: Span,
        /// Since midnight (UTC): when they go off line, on average.
        until: Span,
        /// The standard deviation of either, from person to person.
        spread: Span,
    },
}

const fn all() -> f64 {
    1.0
}

/// `[workload]`: what people write.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct WorkloadSection {
    /// Messages that a person writes in a day, on average (a Poisson process). A message to a group counts once.
    pub per_person_per_day: f64,
    /// How writing is spread over the day.
    pub curve: Curve,
    /// People with whom each person writes direct messages, on average.
    pub contacts: f64,
    /// The share of contacts that live in the same region.
    pub contacts_in_region: f64,
    /// Sizes of messages, with their weights.
    pub sizes: Vec<SizeWeight>,
    /// How long a message lives (30 days at most).
    pub life: Span,
    /// When writing begins: nodes have to find each other first.
    pub from: Span,
    /// When writing ends; the end of the run where this is missing. What is written last has no time to arrive.
    pub until: Option<Span>,
    /// Groups.
    pub groups: GroupsSection,
    /// Channels.
    pub channels: ChannelsSection,
    /// Businesses that answer.
    pub bots: BotsSection,
    /// Times of more (or less) writing than usual.
    pub bursts: Vec<BurstSection>,
}

impl Default for WorkloadSection {
    fn default() -> Self {
        Self {
            per_person_per_day: 40.0,
            curve: Curve::Flat,
            contacts: 5.0,
            contacts_in_region: 0.0,
            sizes: vec![SizeWeight { bytes: 200, weight: 1.0 }],
            life: Span(7 * 86_400_000),
            from: Span(30_000),
            until: None,
            groups: GroupsSection::default(),
            channels: ChannelsSection::default(),
            bots: BotsSection::default(),
            bursts: Vec::new(),
        }
    }
}

/// How writing is spread over the 24 hours of a day (UTC).
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Curve {
    /// Evenly.
    #[default]
    Flat,
    /// As people do: little at night, most in the evening.
    Diurnal,
    /// 24 weights of one's own, from midnight on; only their proportions count.
    Hourly(Vec<f64>),
}

/// A size of messages.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SizeWeight {
    /// Payload bytes, rounded up to a bucket (256, 1 Ki, 4 Ki, 16 Ki, 64 Ki).
    pub bytes: u32,
    /// Its weight among the sizes.
    pub weight: f64,
}

/// `[workload.groups]`: mailboxes that all members read and write.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct GroupsSection {
    /// Groups for each hundred people.
    pub per_hundred_people: f64,
    /// Members of each.
    pub size: u32,
    /// The share of a member's messages that go to its groups.
    pub share: f64,
}

/// `[workload.channels]`: mailboxes that one writes and many read.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ChannelsSection {
    /// Channels for each hundred people.
    pub per_hundred_people: f64,
    /// Followers of each.
    pub readers: u32,
    /// Posts of each in a day.
    pub per_day: f64,
}

/// `[workload.bots]`: businesses that people write to and that answer.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct BotsSection {
    /// Bots for each hundred people.
    pub per_hundred_people: f64,
    /// Questions that a person asks some bot in a day.
    pub asks_per_person_per_day: f64,
    /// How long a bot thinks, at least. The answer's time is drawn beforehand: it does not wait for the question to arrive.
    pub answer_after_min: Span,
    /// … and at most.
    pub answer_after_max: Span,
}

/// One of `[[workload.bursts]]`.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BurstSection {
    /// When it begins.
    pub at: Span,
    /// How long it lasts.
    pub lasts: Span,
    /// How much more is written.
    pub factor: f64,
}
