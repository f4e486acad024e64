//! Random regular graphs: every node has the same number of neighbours.

use super::Graph;
use crate::random::Random;

/// Swaps for each edge. Ten mix a graph of any size used here: what was a ring then has the path lengths of a random graph.
const SWAPS_PER_EDGE: usize = 10;

/// A random graph in which every node has `degree` neighbours (as many as there are, where there are fewer; where nodes and
/// degree are both odd, one node has one fewer).
///
/// It begins as a ring in which everybody knows the next few on either side, and exchanges the ends of two random edges
/// again and again, which keeps every degree as it is.
#[must_use]
pub fn regular(nodes: u32, degree: u32, random: &mut Random) -> Graph {
    let mut graph = Graph::new(nodes);
    let degree = degree.min(nodes.saturating_sub(1));
    for step in 1..=degree / 2 {
        for node in 0..nodes {
            graph.add(node, (node + step) % nodes);
        }
    }
    if degree % 2 == 1 {
        // An odd degree: each node also knows the one across the ring.
        for node in 0..nodes / 2 {
            graph.add(node, node + nodes / 2);
        }
    }
    let mut edges: Vec<(u32, u32)> = graph.edges().collect();
    for _ in 0..edges.len().saturating_mul(SWAPS_PER_EDGE) {
        let (first, second) = (random.place(edges.len()), random.place(edges.len()));
        let (a, b) = edges[first];
        let (mut c, mut d) = edges[second];
        if random.chance(0.5) {
            (c, d) = (d, c);
        }
        if first == second || a == d || c == b || graph.has(a, d) || graph.has(c, b) {
            continue;
        }
        graph.remove(a, b);
        graph.remove(c, d);
        graph.add(a, d);
        graph.add(c, b);
        edges[first] = (a, d);
        edges[second] = (c, b);
    }
    graph.join_pieces(random);
    graph
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_node_has_the_degree() {
        for (nodes, degree) in [(100, 8), (100, 7), (50, 3), (6, 20), (2, 1)] {
            let graph = regular(nodes, degree, &mut Random::new(1, "t"));
            let expected = degree.min(nodes - 1) as usize;
            assert!(graph.neighbours().iter().all(|n| n.len() == expected), "{nodes} {degree}");
            assert_eq!(graph.pieces().len(), 1);
        }
        // Both odd: one node has one fewer.
        let degrees: usize = regular(9, 3, &mut Random::new(1, "t")).neighbours().iter().map(Vec::len).sum();
        assert!((26..=28).contains(&degrees), "{degrees}");
    }

    #[test]
    fn it_is_no_ring_any_more() {
        let graph = regular(200, 6, &mut Random::new(1, "t"));
        let near = graph.edges().filter(|(a, b)| (b - a).min(200 - (b - a)) <= 3).count();
        assert!(near < 60, "{near} of {} edges are still those of the ring", graph.edge_count());
    }
}
