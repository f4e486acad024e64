//! Partitions and bottlenecks: rules about pairs of nodes, each under a name by which it is ended.

use std::collections::BTreeMap;

use super::line::Line;
use crate::plan::NodeIndex;

/// A set of nodes that answers quickly.
#[derive(Debug)]
struct Nodes(Vec<bool>);

impl Nodes {
    fn new(count: usize, nodes: &[NodeIndex]) -> Self {
        let mut set = vec![false; count];
        for node in nodes {
            if let Some(place) = set.get_mut(node.0 as usize) {
                *place = true;
            }
        }
        Self(set)
    }

    fn contains(&self, node: NodeIndex) -> bool {
        self.0.get(node.0 as usize).copied().unwrap_or_default()
    }
}

#[derive(Debug)]
struct Bottleneck {
    a: Nodes,
    b: Nodes,
    /// One in each direction.
    lines: [Line; 2],
}

/// All rules in force. One name may stand for several.
#[derive(Debug)]
pub(crate) struct Cuts {
    count: usize,
    cuts: BTreeMap<String, Vec<(Nodes, Nodes)>>,
    bottlenecks: BTreeMap<String, Vec<Bottleneck>>,
}

impl Cuts {
    pub(crate) const fn new(count: usize) -> Self {
        Self { count, cuts: BTreeMap::new(), bottlenecks: BTreeMap::new() }
    }

    pub(crate) fn cut(&mut self, name: &str, from: &[NodeIndex], to: &[NodeIndex]) {
        let cut = (Nodes::new(self.count, from), Nodes::new(self.count, to));
        self.cuts.entry(name.to_owned()).or_default().push(cut);
    }

    pub(crate) fn slow(&mut self, name: &str, a: &[NodeIndex], b: &[NodeIndex], bytes_per_second: u64) {
        let (a, b) = (Nodes::new(self.count, a), Nodes::new(self.count, b));
        // None at all is a partition, not a bottleneck, and would take for ever.
        let bytes_per_second = bytes_per_second.max(1);
        let bottleneck = Bottleneck { a, b, lines: [Line::new(bytes_per_second), Line::new(bytes_per_second)] };
        self.bottlenecks.entry(name.to_owned()).or_default().push(bottleneck);
    }

    pub(crate) fn heal(&mut self, name: &str) -> bool {
        let cut = self.cuts.remove(name).is_some();
        self.bottlenecks.remove(name).is_some() || cut
    }

    pub(crate) fn is_whole(&self) -> bool {
        self.cuts.is_empty()
    }

    pub(crate) fn is_cut(&self, from: NodeIndex, to: NodeIndex) -> bool {
        self.cuts.values().flatten().any(|(here, there)| here.contains(from) && there.contains(to))
    }

    /// When the last of so many bytes, which come at `at_us`, is through all bottlenecks.
    pub(crate) fn throttle(&mut self, from: NodeIndex, to: NodeIndex, bytes: u64, now_us: u64, at_us: u64) -> u64 {
        let mut at_us = at_us;
        for bottleneck in self.bottlenecks.values_mut().flatten() {
            let way = if bottleneck.a.contains(from) && bottleneck.b.contains(to) {
                0
            } else if bottleneck.b.contains(from) && bottleneck.a.contains(to) {
                1
            } else {
                continue;
            };
            at_us = bottleneck.lines[way].carry(now_us, at_us, bytes);
        }
        at_us
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cut_has_a_direction_and_a_name() {
        let mut cuts = Cuts::new(4);
        let [a, b, c] = [NodeIndex(0), NodeIndex(1), NodeIndex(2)];
        cuts.cut("one way", &[a], &[b]);
        cuts.cut("both", &[b], &[c]);
        cuts.cut("both", &[c], &[b]);
        assert!(cuts.is_cut(a, b) && !cuts.is_cut(b, a) && !cuts.is_cut(a, c));
        assert!(cuts.is_cut(b, c) && cuts.is_cut(c, b));
        assert!(cuts.heal("both") && !cuts.heal("both"));
        assert!(!cuts.is_cut(b, c) && !cuts.is_cut(c, b) && cuts.is_cut(a, b));
        assert!(!cuts.is_whole());
        assert!(cuts.heal("one way") && cuts.is_whole());
    }

    #[test]
    fn a_bottleneck_is_shared_in_each_direction() {
        let mut cuts = Cuts::new(4);
        let [a, b, c] = [NodeIndex(0), NodeIndex(1), NodeIndex(2)];
        cuts.slow("cable", &[a, c], &[b], 1000);
        assert_eq!(cuts.throttle(a, b, 500, 0, 0), 500_000);
        assert_eq!(cuts.throttle(c, b, 500, 0, 0), 1_000_000, "it waits for the first");
        assert_eq!(cuts.throttle(b, a, 500, 0, 0), 500_000, "the way back is free");
        assert_eq!(cuts.throttle(a, c, 500, 0, 7), 7, "not through the cable");
        assert_eq!(cuts.throttle(a, b, 500, 0, 5_000_000), 5_500_000, "idle time is not saved up");
    }
}
