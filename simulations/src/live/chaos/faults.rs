//! What is done to a network, drawn from a seed before the first node starts.
//!
//! Each fault has a beginning and an end, and is undone at its end. Bounds keep the network a network: a node suffers one
//! thing at a time, at most half of the nodes suffer anything, and at most [`LINK_FAULTS_MAX`] faults of links hold at
//! once. What a link is like follows from the faults that hold ([`link_now`]), so they may overlap.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::super::wire::{Link, draw};
use crate::random::Random;

/// Faults of links, partitions among them, that hold at once.
pub const LINK_FAULTS_MAX: usize = 3;

/// The mean time between two faults' beginnings in a network of one node: more nodes see more.
const GAP_MS_PER_NODE: f64 = 40_000.0;

/// Faults never begin closer than this on average, however many nodes there are.
const GAP_MS_MIN: f64 = 4_000.0;

/// The shortest fault.
const LASTS_MS_MIN: u64 = 1_000;

/// The longest one: a connection that is cut for this long is given up (35 s) and made again.
const LASTS_MS_MAX: u64 = 45_000;

/// The first fault begins after this: gossip meshes take as long to form.
const WARM_UP_MS: u64 = 3_000;

/// The most that a fault adds to a latency.
const EXTRA_MS_MAX: u64 = 1_500;

/// The most packets of a million that a fault loses.
const LOSS_PPM_MAX: u64 = 300_000;

/// Clocks are off by seconds to minutes (which the rules of time allow), by hours, or by weeks.
const OFFSETS_SECONDS: [(i64, i64); 3] = [(5, 540), (3_600, 6 * 3_600), (2 * 86_400, 40 * 86_400)];

/// One thing that is done to the network.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Fault {
    /// Nothing gets from one side to the other.
    Partition {
        /// One side.
        from: Vec<usize>,
        /// The other.
        to: Vec<usize>,
        /// Whether nothing gets back either.
        both_ways: bool,
    },
    /// The path between two nodes becomes long.
    Slow {
        /// From here.
        from: usize,
        /// To here, and back.
        to: usize,
        /// So much longer.
        extra_ms: u64,
        /// Up to so much more for each packet.
        jitter_ms: u64,
    },
    /// The path between two nodes loses packets, both ways.
    Lossy {
        /// One node.
        from: usize,
        /// The other.
        to: usize,
        /// Packets of a million.
        loss_ppm: u32,
    },
    /// kill -9, and started again at the end.
    Kill {
        /// The node.
        node: usize,
    },
    /// Stopped in its tracks (SIGSTOP), and let go on at the end.
    Pause {
        /// The node.
        node: usize,
    },
    /// Its file system is full, until the end.
    Full {
        /// The node.
        node: usize,
        /// Whether it is also killed and started again on the full disk.
        restart: bool,
    },
    /// kill -9, and started again with a wrong clock; at the end the same with the right one.
    Clock {
        /// The node.
        node: usize,
        /// How far its clock is ahead.
        offset_seconds: i64,
    },
}

impl Fault {
    /// The node that suffers it, where it is one node.
    #[must_use]
    pub const fn node(&self) -> Option<usize> {
        match self {
            Self::Kill { node } | Self::Pause { node } | Self::Full { node, .. } | Self::Clock { node, .. } => {
                Some(*node)
            }
            Self::Partition { .. } | Self::Slow { .. } | Self::Lossy { .. } => None,
        }
    }

    /// Its kind, as it is counted.
    #[must_use]
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::Partition { both_ways: true, .. } => "partition",
            Self::Partition { both_ways: false, .. } => "partition one way",
            Self::Slow { .. } => "slow",
            Self::Lossy { .. } => "lossy",
            Self::Kill { .. } => "kill",
            Self::Pause { .. } => "pause",
            Self::Full { .. } => "disk full",
            Self::Clock { .. } => "clock",
        }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Partition { from, to, .. } => write!(f, "{} {from:?} | {to:?}", self.kind()),
            Self::Slow { from, to, extra_ms, jitter_ms } => write!(f, "slow {from}-{to} +{extra_ms}±{jitter_ms} ms"),
            Self::Lossy { from, to, loss_ppm } => write!(f, "lossy {from}-{to} {} %", loss_ppm / 10_000),
            Self::Kill { node } | Self::Pause { node } => write!(f, "{} {node}", self.kind()),
            Self::Full { node, restart } => write!(f, "disk full {node}{}", if *restart { ", restarted" } else { "" }),
            Self::Clock { node, offset_seconds } => write!(f, "clock {node} {offset_seconds:+} s"),
        }
    }
}

/// A fault and its time.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PlannedFault {
    /// When it begins, milliseconds since the run began.
    pub at_ms: u64,
    /// When it ends.
    pub until_ms: u64,
    /// What it is.
    #[serde(flatten)]
    pub fault: Fault,
}

/// What can be done to this network.
#[derive(Clone, Debug)]
pub struct Ground<'a> {
    /// How many nodes.
    pub nodes: usize,
    /// Who is linked to whom.
    pub links: &'a [(usize, usize)],
    /// Nodes whose file system is small enough to be filled.
    pub small_disks: &'a [usize],
    /// Whether clocks can be set wrong.
    pub clocks: bool,
}

/// Draws the faults of a run, in order of their beginnings.
#[must_use]
pub fn draw(seed: u64, duration_ms: u64, ground: &Ground<'_>) -> Vec<PlannedFault> {
    let mut draw = draw::stream(seed, "chaos faults", [0, 0]);
    let mean = (GAP_MS_PER_NODE / ground.nodes.max(1) as f64).max(GAP_MS_MIN);
    let mut planned: Vec<PlannedFault> = Vec::new();
    let mut at_ms = WARM_UP_MS;
    loop {
        at_ms += draw.exponential(mean) as u64 + 1;
        if at_ms + LASTS_MS_MIN >= duration_ms {
            return planned;
        }
        let longest = LASTS_MS_MAX.min(duration_ms - at_ms);
        // Short ones are as interesting as long ones, so the logarithm is uniform.
        let ratio = longest as f64 / LASTS_MS_MIN as f64;
        let lasts = LASTS_MS_MIN as f64 * libm::pow(ratio, draw.unit());
        let fault = one(&mut draw, ground);
        let holding = || planned.iter().filter(|other| other.until_ms + LASTS_MS_MIN > at_ms);
        let suffering: Vec<usize> = holding().filter_map(|other| other.fault.node()).collect();
        let fits = match fault.node() {
            Some(node) => !suffering.contains(&node) && suffering.len() < ground.nodes.div_ceil(2),
            None => holding().filter(|other| other.fault.node().is_none()).count() < LINK_FAULTS_MAX,
        };
        if fits {
            planned.push(PlannedFault { at_ms, until_ms: at_ms + lasts as u64, fault });
        }
    }
}

fn one(draw: &mut Random, ground: &Ground<'_>) -> Fault {
    let any = |draw: &mut Random| draw.place(ground.nodes);
    let (from, to) = draw.pick(ground.links).copied().unwrap_or_default();
    let disks = if ground.small_disks.is_empty() { 0.0 } else { 1.5 };
    let clocks = if ground.clocks { 1.5 } else { 0.0 };
    match draw.weighted(&[2.0, 1.0, 1.5, 1.5, 3.0, 2.0, disks, clocks]) {
        Some(0) => partition(draw, ground.nodes),
        Some(1) => Fault::Partition { from: vec![from], to: vec![to], both_ways: draw.chance(0.5) },
        Some(2) => {
            let (extra_ms, jitter_ms) = (1 + draw.below(EXTRA_MS_MAX), draw.below(EXTRA_MS_MAX / 2));
            Fault::Slow { from, to, extra_ms, jitter_ms }
        }
        Some(3) => Fault::Lossy { from, to, loss_ppm: 10_000 + draw.below(LOSS_PPM_MAX) as u32 },
        Some(5) => Fault::Pause { node: any(draw) },
        Some(6) => {
            let node = draw.pick(ground.small_disks).copied().unwrap_or_default();
            Fault::Full { node, restart: draw.chance(0.5) }
        }
        Some(7) => {
            let (least, most) = draw.pick(&OFFSETS_SECONDS).copied().unwrap_or_default();
            let size = least + draw.below(most.abs_diff(least)) as i64;
            let offset_seconds = if draw.chance(0.5) { size } else { -size };
            Fault::Clock { node: any(draw), offset_seconds }
        }
        Some(4 | _) | None => Fault::Kill { node: any(draw) },
    }
}

/// Two sides, neither of them empty, whatever the links are.
fn partition(draw: &mut Random, nodes: usize) -> Fault {
    let mut all: Vec<usize> = (0..nodes).collect();
    draw.shuffle(&mut all);
    let mut to = all.split_off(1 + draw.place(nodes.saturating_sub(1)));
    all.sort_unstable();
    to.sort_unstable();
    Fault::Partition { from: all, to, both_ways: draw.chance(0.7) }
}

/// What the link from one node to another is like while these faults hold.
#[must_use]
pub fn link_now<'a>(base: Link, from: usize, to: usize, holding: impl Iterator<Item = &'a Fault>) -> Link {
    let mut link = base;
    for fault in holding {
        match fault {
            Fault::Partition { from: one, to: other, both_ways } => {
                let forth = one.contains(&from) && other.contains(&to);
                let back = one.contains(&to) && other.contains(&from);
                link.cut |= forth || (*both_ways && back);
            }
            Fault::Slow { from: one, to: other, extra_ms, jitter_ms } if is_between(from, to, *one, *other) => {
                link.latency_us += extra_ms * 1000;
                link.jitter_us_max += jitter_ms * 1000;
            }
            Fault::Lossy { from: one, to: other, loss_ppm } if is_between(from, to, *one, *other) => {
                link.loss_ppm = link.loss_ppm.max(*loss_ppm);
            }
            _ => {}
        }
    }
    link
}

fn is_between(from: usize, to: usize, one: usize, other: usize) -> bool {
    (from, to) == (one, other) || (to, from) == (one, other)
}

#[cfg(test)]
mod tests {
    use super::*;

    const LINKS: [(usize, usize); 4] = [(1, 0), (2, 1), (3, 2), (4, 3)];

    fn ground() -> Ground<'static> {
        Ground { nodes: 5, links: &LINKS, small_disks: &[2, 4], clocks: true }
    }

    #[test]
    fn a_seed_gives_one_schedule_and_every_kind_comes() {
        let hour = draw(3, 3_600_000, &ground());
        assert_eq!(hour, draw(3, 3_600_000, &ground()));
        assert_ne!(hour, draw(4, 3_600_000, &ground()));
        for kind in ["partition", "partition one way", "slow", "lossy", "kill", "pause", "disk full", "clock"] {
            assert!(hour.iter().any(|planned| planned.fault.kind() == kind), "{kind}");
        }
        let bare = draw(3, 3_600_000, &Ground { small_disks: &[], clocks: false, ..ground() });
        assert!(bare.iter().all(|planned| !matches!(planned.fault, Fault::Full { .. } | Fault::Clock { .. })));
    }

    #[test]
    fn the_network_stays_one() {
        let planned = draw(9, 3_600_000, &ground());
        assert!(planned.is_sorted_by_key(|planned| planned.at_ms));
        for (place, one) in planned.iter().enumerate() {
            assert!(one.at_ms < one.until_ms && one.until_ms <= 3_600_000, "{one:?}");
            let holding: Vec<&Fault> =
                planned[..place].iter().filter(|other| other.until_ms >= one.at_ms).map(|other| &other.fault).collect();
            let nodes: Vec<usize> = holding.iter().filter_map(|fault| fault.node()).collect();
            assert!(nodes.len() <= 3 && holding.len() - nodes.len() <= LINK_FAULTS_MAX);
            assert!(one.fault.node().is_none_or(|node| !nodes.contains(&node)));
            match &one.fault {
                Fault::Partition { from, to, .. } => {
                    assert!(!from.is_empty() && !to.is_empty() && from.iter().all(|node| !to.contains(node)));
                }
                Fault::Full { node, .. } => assert!([2, 4].contains(node)),
                _ => {}
            }
        }
    }

    #[test]
    fn links_follow_from_what_holds() {
        let base = Link::with_latency_ms(10);
        let one_way = Fault::Partition { from: vec![0, 1], to: vec![2], both_ways: false };
        let slow = Fault::Slow { from: 1, to: 2, extra_ms: 30, jitter_ms: 4 };
        let lossy = Fault::Lossy { from: 2, to: 1, loss_ppm: 9 };
        let all = [&one_way, &slow, &lossy];
        let forth = link_now(base, 1, 2, all.into_iter());
        assert_eq!((forth.cut, forth.latency_us, forth.jitter_us_max, forth.loss_ppm), (true, 40_000, 4_000, 9));
        let back = link_now(base, 2, 1, all.into_iter());
        assert_eq!((back.cut, back.latency_us, back.loss_ppm), (false, 40_000, 9));
        assert_eq!(link_now(base, 0, 1, all.into_iter()), base);
        let both = Fault::Partition { from: vec![0], to: vec![1], both_ways: true };
        assert!(link_now(base, 1, 0, [&both].into_iter()).cut);
    }
}
