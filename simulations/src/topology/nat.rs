//! Nodes behind NAT: they dial, and cannot be dialled.

use super::Graph;
use crate::{plan::LinkPlan, plan::NodeIndex, random::Random};

/// Gives each link of a graph a direction. A node behind NAT dials; a link between two of them cannot be, so one end moves to
/// a random node that can be dialled (or the link is left out where there is none).
#[must_use]
pub fn behind_nat(graph: &Graph, nat: &[bool], random: &mut Random) -> Vec<LinkPlan> {
    let open: Vec<u32> = (0..graph.nodes()).filter(|node| !nat[*node as usize]).collect();
    let mut linked = graph.clone();
    let mut links = Vec::with_capacity(graph.edge_count());
    for (a, b) in graph.edges() {
        let coin = random.chance(0.5);
        let pair = match (nat[a as usize], nat[b as usize]) {
            (false, false) if coin => Some((b, a)),
            (false, true) => Some((b, a)),
            (false, false) | (true, false) => Some((a, b)),
            (true, true) => {
                let dialler = if coin { a } else { b };
                random.pick(&open).copied().filter(|other| linked.add(dialler, *other)).map(|other| (dialler, other))
            }
        };
        links.extend(pair.map(|(from, to)| LinkPlan { from: NodeIndex(from), to: NodeIndex(to) }));
    }
    links
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::topology::regular;

    #[test]
    fn nobody_dials_a_node_behind_nat() {
        let graph = regular(60, 6, &mut Random::new(1, "t"));
        let nat: Vec<bool> = (0..60).map(|node| node % 3 == 0).collect();
        let links = behind_nat(&graph, &nat, &mut Random::new(1, "t"));
        assert!(links.iter().all(|link| !nat[link.to.0 as usize]));
        assert!(links.len() >= graph.edge_count() - 5, "{} of {}", links.len(), graph.edge_count());
        let mut pairs: Vec<_> = links.iter().map(|l| (l.from.min(l.to), l.from.max(l.to))).collect();
        pairs.sort_unstable();
        pairs.dedup();
        assert_eq!(pairs.len(), links.len(), "a pair is linked once");
        assert_eq!(behind_nat(&graph, &[true; 60], &mut Random::new(1, "t")), Vec::new());
    }
}
