//! The sections about nodes, links and the bytes between them.

use serde::{Deserialize, Serialize};

use super::Span;

/// `[network]`: how many nodes, and with which parameters.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct NetworkSection {
    /// Nodes, adversaries included. `--nodes` replaces it.
    pub nodes: u32,
    /// Shard bits: the network has 2^bits shards.
    pub bits: u8,
    /// Postage in bits. Low, because every record is ground for real.
    pub postage_bits: u8,
    /// What one fdatasync takes.
    pub fsync: Span,
    /// Whether nodes also look for peers by themselves (kad), or keep to their links.
    pub discovery: bool,
    /// Whether a signature that one node checked counts as checked for all: the same trace with less work.
    pub shared_signature_checks: bool,
}

impl Default for NetworkSection {
    fn default() -> Self {
        // 1 ms is an ordinary SSD that honours flushes; 4 bits of postage are 16 hashes, which cost nothing.
        Self { nodes: 50, bits: 0, postage_bits: 4, fsync: Span(1), discovery: false, shared_signature_checks: true }
    }
}

/// `[topology]`: who is told to dial whom.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case", deny_unknown_fields)]
pub enum TopologySection {
    /// Every node has the same number of neighbours, otherwise at random.
    Regular {
        /// Neighbours of each.
        degree: u32,
    },
    /// A ring of neighbourhoods in which some links lead far away (Watts and Strogatz 1998).
    SmallWorld {
        /// Neighbours of each in the ring; even.
        degree: u32,
        /// The share of links that lead anywhere instead.
        rewire: f64,
    },
    /// Each new node links to nodes that already have many links (Barabási and Albert 1999).
    ScaleFree {
        /// Links that each new node brings.
        links: u32,
    },
    /// Communities that are well linked inside and joined by a few gateways.
    Communities {
        /// What a community is.
        #[serde(default)]
        by: CommunitiesBy,
        /// Nodes of a community, where they are made by size.
        #[serde(default = "default_community")]
        size: u32,
        /// Neighbours of each node inside its community.
        degree: u32,
        /// Nodes of each community that also link to others.
        gateways: u32,
        /// Links of each gateway to gateways of other communities.
        gateway_links: u32,
    },
    /// From a file: GraphML (`.graphml`, `.xml`) or an edge list (two names a line, `#` begins a comment).
    File {
        /// The file, relative to the scenario's folder.
        path: String,
    },
}

const fn default_community() -> u32 {
    10
}

impl Default for TopologySection {
    fn default() -> Self {
        // gossipsub's mesh has 6 neighbours; two more leave it a choice.
        Self::Regular { degree: 8 }
    }
}

/// What makes nodes one community.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum CommunitiesBy {
    /// Every `size` nodes are one.
    #[default]
    Size,
    /// Every region is one.
    Region,
}

/// One of `[[regions]]`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RegionSection {
    /// Its name, by which faults name it.
    pub name: String,
    /// Its share of the nodes. The shares of all regions add up to 1.
    pub share: f64,
    /// Its row of the latency matrix; its own name where this is missing.
    #[serde(default)]
    pub place: Option<String>,
}

impl RegionSection {
    /// Its row of the latency matrix.
    #[must_use]
    pub fn place(&self) -> &str {
        self.place.as_deref().unwrap_or(&self.name)
    }
}

/// A law of latency, one way. Drawn once for each pair of nodes and direction.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case", deny_unknown_fields)]
pub enum JitterSection {
    /// Always the same.
    Constant {
        /// Milliseconds.
        ms: u32,
    },
    /// Uniform between two bounds.
    Uniform {
        /// Milliseconds at least.
        min_ms: u32,
        /// Milliseconds at most.
        max_ms: u32,
    },
    /// Log-normal.
    LogNormal {
        /// The median, milliseconds.
        median_ms: f64,
        /// The standard deviation of the logarithm.
        sigma: f64,
    },
}

/// `[latency]`: how long bytes travel, one way.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case", deny_unknown_fields)]
pub enum LatencySection {
    /// Always the same.
    Constant {
        /// Milliseconds.
        ms: u32,
    },
    /// Uniform between two bounds.
    Uniform {
        /// Milliseconds at least.
        min_ms: u32,
        /// Milliseconds at most.
        max_ms: u32,
    },
    /// Log-normal.
    LogNormal {
        /// The median, milliseconds.
        median_ms: f64,
        /// The standard deviation of the logarithm.
        sigma: f64,
    },
    /// By region: half of a published round-trip time for each pair of regions, and a law for the last mile.
    Regions {
        /// Round-trip times as CSV, relative to the scenario's folder; the built-in matrix where this is missing.
        #[serde(default)]
        matrix: Option<String>,
        /// What comes on top.
        #[serde(default = "default_jitter")]
        jitter: JitterSection,
    },
}

const fn default_jitter() -> JitterSection {
    JitterSection::Uniform { min_ms: 1, max_ms: 10 }
}

impl Default for LatencySection {
    fn default() -> Self {
        Self::LogNormal { median_ms: 40.0, sigma: 0.5 }
    }
}

/// `[bandwidth]`: 0 means unlimited.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct BandwidthSection {
    /// KiB a second that a node can send.
    pub up_kib_per_second: u64,
    /// KiB a second that a node can receive.
    pub down_kib_per_second: u64,
    /// The share of nodes that are slow.
    pub slow_share: f64,
    /// KiB a second that a slow node can send.
    pub slow_up_kib_per_second: u64,
    /// KiB a second that a slow node can receive.
    pub slow_down_kib_per_second: u64,
}

/// `[nat]`: nodes that can dial and cannot be dialled.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct NatSection {
    /// Their share of the nodes.
    pub share: f64,
}
