//! What a chaos run is going to do: all of it drawn from the seed before the first node starts, and written down.

use std::{fmt, path::PathBuf};

use clap::ValueEnum;
use griot_protocol::padding;
use serde::{Deserialize, Serialize};

use super::{
    ChaosError,
    faults::{self, Ground, PlannedFault},
};
use crate::{
    live::{
        topology,
        wire::{LatencyLaw, draw},
    },
    random::Random,
    topology::communities,
};

/// Nodes: fewer cannot carry for each other, and more are too many processes for one machine.
pub const NODES: (usize, usize) = (2, 64);

/// The longest run: a week.
pub const MINUTES_MAX: f64 = 7.0 * 24.0 * 60.0;

/// The most messages of one run: their histories are held in memory.
pub const MESSAGES_MAX: f64 = 500_000.0;

/// The most people: each keeps a stream to each home.
pub const PEOPLE_MAX: usize = 200;

/// The law of latencies: from one town to one country.
const LATENCY: LatencyLaw = LatencyLaw::Uniform { min_ms: 5, max_ms: 80 };

/// Homes of one person at most.
const HOMES_MAX: u64 = 3;

/// Neighbours of each node in a random regular graph: three, or where that does not come out even, four or two.
const DEGREES: [usize; 4] = [3, 4, 2, 1];

/// Members of one community, about.
const COMMUNITY: usize = 4;

/// How long most messages live: longer than any run, and than the clocks of most faults are ahead.
const LIFE_SECONDS: u64 = 28 * 86_400;

/// How long the others live: some are not delivered in that time, and must then stay away.
const SHORT_LIFE_SECONDS: (u64, u64) = (60, 400);

/// Who is linked to whom.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ValueEnum)]
#[serde(rename_all = "snake_case")]
pub enum Topology {
    /// Each to the one before it: every link is the only way.
    Line,
    /// A line whose ends meet.
    Ring,
    /// Each to three others, drawn at random.
    Regular,
    /// Well linked communities, joined by gateways.
    Communities,
}

impl Topology {
    /// All there are.
    pub const ALL: [Self; 4] = [Self::Line, Self::Ring, Self::Regular, Self::Communities];

    /// Its links, as pairs (from, to) with from > to: a node dials those that were started before it.
    fn links(self, seed: u64, nodes: usize) -> Vec<(usize, usize)> {
        let line = (1..nodes).map(|node| (node, node - 1));
        let mut links: Vec<(usize, usize)> = match self {
            Self::Line => line.collect(),
            Self::Ring => line.chain((nodes > 2).then_some((nodes - 1, 0))).collect(),
            Self::Regular => {
                let drawn = DEGREES.iter().find_map(|degree| topology::random_regular(seed, nodes, *degree));
                drawn.unwrap_or_else(|| line.collect())
            }
            Self::Communities => {
                let count = (nodes / COMMUNITY).max(2) as u32;
                let members: Vec<Vec<u32>> = (0..count)
                    .map(|community| (0..nodes as u32).filter(|node| node % count == community).collect())
                    .collect();
                let mut random = draw::stream(seed, "chaos communities", [0, 0]);
                let graph = communities(&members, 2, 1, 1, &mut random);
                graph.edges().map(|(low, high)| (high as usize, low as usize)).collect()
            }
        };
        links.sort_unstable();
        links
    }
}

impl fmt::Display for Topology {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let value = self.to_possible_value();
        f.write_str(value.as_ref().map_or("", |value| value.get_name()))
    }
}

/// What to run.
#[derive(Clone, Debug, PartialEq)]
pub struct Options {
    /// How long faults happen and messages are sent, minutes.
    pub minutes: f64,
    /// From which everything is drawn.
    pub seed: u64,
    /// Nodes.
    pub nodes: usize,
    /// Who is linked to whom; drawn, where nothing is said.
    pub topology: Option<Topology>,
    /// People; two for each node, where nothing is said.
    pub people: Option<usize>,
    /// Messages a second, on average.
    pub rate: f64,
    /// How long everything may take to arrive, once the network is whole again, seconds.
    pub drain_seconds: u64,
    /// Where to write what happened.
    pub out: Option<PathBuf>,
}

/// One message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PlannedMessage {
    /// When it is made, milliseconds since the run began.
    pub at_ms: u64,
    /// Who writes it.
    pub writer: usize,
    /// For whom: another person.
    pub reader: usize,
    /// Bytes of its payload, a bucket.
    pub payload_bytes: usize,
    /// How long it lives.
    pub life_seconds: u64,
    /// Whether it is given to all homes of its writer, although one is enough.
    pub to_all_homes: bool,
}

/// A run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ChaosPlan {
    /// From which everything is drawn.
    pub seed: u64,
    /// How long faults happen and messages are sent.
    pub duration_ms: u64,
    /// Which kind of network.
    pub topology: Topology,
    /// How many nodes.
    pub nodes: usize,
    /// (from, to): node `from` dials node `to`. They find nobody else.
    pub links: Vec<(usize, usize)>,
    /// One-way latency of IP packets, milliseconds: row from, column to.
    pub one_way_ms: Vec<Vec<u32>>,
    /// Nodes with a small file system of their own.
    pub small_disks: Vec<usize>,
    /// The homes of each person.
    pub people: Vec<Vec<usize>>,
    /// What is done to the network, in order of beginnings.
    pub faults: Vec<PlannedFault>,
    /// Messages, in order of time.
    pub messages: Vec<PlannedMessage>,
}

impl ChaosPlan {
    /// Draws a plan. `disks` and `clocks` say whether file systems can be made and clocks be set wrong here.
    ///
    /// # Errors
    /// The options make no sense together.
    pub fn draw(options: &Options, disks: bool, clocks: bool) -> Result<Self, ChaosError> {
        let refuse = |text: String| Err(ChaosError::Usage(text));
        let Options { nodes, seed, minutes, rate, .. } = *options;
        if !(NODES.0..=NODES.1).contains(&nodes) {
            return refuse(format!("--nodes must be {} to {}", NODES.0, NODES.1));
        }
        if !(minutes > 0.0 && minutes <= MINUTES_MAX) {
            return refuse(format!("--minutes must be above 0 and at most {MINUTES_MAX}"));
        }
        if !(rate > 0.0 && rate * minutes * 60.0 <= MESSAGES_MAX) {
            return refuse(format!("--rate must be above 0, and with --minutes give at most {MESSAGES_MAX} messages"));
        }
        let people = options.people.unwrap_or(2 * nodes);
        if !(2..=PEOPLE_MAX).contains(&people) {
            return refuse(format!("--people must be 2 to {PEOPLE_MAX}"));
        }
        let duration_ms = (minutes * 60_000.0) as u64;
        let topology = options.topology.unwrap_or_else(|| draw_topology(seed));
        let links = topology.links(seed, nodes);
        let mut draw = draw::stream(seed, "chaos disks", [0, 0]);
        let small_disks =
            if disks { draw.choose(&(0..nodes).collect::<Vec<_>>(), nodes.div_ceil(3)) } else { Vec::new() };
        let ground = Ground { nodes, links: &links, small_disks: &small_disks, clocks };
        let faults = faults::draw(seed, duration_ms, &ground);
        Ok(Self {
            seed,
            duration_ms,
            topology,
            nodes,
            one_way_ms: LATENCY.matrix(seed, nodes),
            small_disks,
            people: draw_homes(seed, people, nodes),
            faults,
            messages: draw_messages(seed, people, duration_ms, rate),
            links,
        })
    }
}

fn draw_topology(seed: u64) -> Topology {
    let mut draw = draw::stream(seed, "chaos topology", [0, 0]);
    draw.pick(&Topology::ALL).copied().unwrap_or(Topology::Ring)
}

fn draw_homes(seed: u64, people: usize, nodes: usize) -> Vec<Vec<usize>> {
    let mut draw = draw::stream(seed, "chaos homes", [0, 0]);
    let mut one = |_| {
        let mut all: Vec<usize> = (0..nodes).collect();
        draw.shuffle(&mut all);
        all.truncate(1 + draw.below(HOMES_MAX) as usize);
        all
    };
    (0..people).map(&mut one).collect()
}

/// A Poisson process of messages from anybody to anybody else.
fn draw_messages(seed: u64, people: usize, duration_ms: u64, rate: f64) -> Vec<PlannedMessage> {
    let mut draw = draw::stream(seed, "chaos messages", [0, 0]);
    let mut messages = Vec::new();
    let mut at_ms = 0.0;
    loop {
        at_ms += draw.exponential(1000.0 / rate);
        if at_ms >= duration_ms as f64 {
            return messages;
        }
        messages.push(draw_message(&mut draw, at_ms as u64, people));
    }
}

fn draw_message(draw: &mut Random, at_ms: u64, people: usize) -> PlannedMessage {
    let writer = draw.place(people);
    let reader = (writer + 1 + draw.place(people - 1)) % people;
    // Most messages are short; the few long ones fill disks.
    let size = *draw.pick(&[200, 200, 200, 1_000, 1_000, 4_000, 16_000, 60_000]).unwrap_or(&200);
    let (least, most) = SHORT_LIFE_SECONDS;
    let is_short = draw.chance(0.1);
    PlannedMessage {
        at_ms,
        writer,
        reader,
        payload_bytes: padding::bucket_for(size).unwrap_or(size),
        life_seconds: if is_short { least + draw.below(most - least) } else { LIFE_SECONDS },
        to_all_homes: draw.chance(0.2),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn options() -> Options {
        Options {
            minutes: 30.0,
            seed: 5,
            nodes: 7,
            topology: None,
            people: None,
            rate: 2.0,
            drain_seconds: 60,
            out: None,
        }
    }

    #[test]
    fn a_seed_gives_one_plan() {
        let plan = ChaosPlan::draw(&options(), true, true).unwrap();
        assert_eq!(plan, ChaosPlan::draw(&options(), true, true).unwrap());
        assert_ne!(plan, ChaosPlan::draw(&Options { seed: 6, ..options() }, true, true).unwrap());
        let text = serde_json::to_string(&plan).unwrap();
        assert_eq!(serde_json::from_str::<ChaosPlan>(&text).unwrap(), plan);
        assert!((3_000..4_200).contains(&plan.messages.len()), "{}", plan.messages.len());
        assert!(plan.messages.iter().all(|message| message.writer != message.reader));
        assert!(plan.people.iter().all(|homes| (1..=3).contains(&homes.len())));
        assert_eq!((plan.people.len(), plan.small_disks.len()), (14, 3));
    }

    #[test]
    fn every_topology_is_in_one_piece_at_every_size() {
        for topology in Topology::ALL {
            for nodes in [2, 3, 4, 5, 8, 13] {
                let links = topology.links(1, nodes);
                assert!(links.iter().all(|(from, to)| from > to && *from < nodes), "{topology} {nodes}: {links:?}");
                let mut reached = vec![0];
                for _ in 0..nodes {
                    for (from, to) in &links {
                        match (reached.contains(from), reached.contains(to)) {
                            (true, false) => reached.push(*to),
                            (false, true) => reached.push(*from),
                            _ => {}
                        }
                    }
                }
                assert_eq!(reached.len(), nodes, "{topology} {nodes}: {links:?}");
            }
        }
    }

    #[test]
    fn options_that_make_no_sense_are_refused() {
        for wrong in [
            Options { nodes: 1, ..options() },
            Options { minutes: 0.0, ..options() },
            Options { minutes: f64::NAN, ..options() },
            Options { rate: 0.0, ..options() },
            Options { rate: 1e9, ..options() },
            Options { people: Some(1), ..options() },
        ] {
            assert!(ChaosPlan::draw(&wrong, true, true).is_err(), "{wrong:?}");
        }
    }
}
