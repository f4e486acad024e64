//! Scale-free graphs (Barabási and Albert, "Emergence of scaling in random networks", Science 286, 1999): who has links gets
//! more, so a few nodes have very many. This is how networks look that nobody planned.

use super::Graph;
use crate::random::Random;

/// A scale-free graph in which each new node brings `links` links.
#[must_use]
pub fn scale_free(nodes: u32, links: u32, random: &mut Random) -> Graph {
    let mut graph = Graph::new(nodes);
    let first = (links + 1).min(nodes);
    // Every end of every link once: a random one of them is a node as likely as its degree says.
    let mut ends = Vec::new();
    for a in 0..first {
        for b in a + 1..first {
            graph.add(a, b);
            ends.extend([a, b]);
        }
    }
    for node in first..nodes {
        let mut chosen: Vec<u32> = Vec::new();
        while chosen.len() < links as usize {
            if let Some(&other) = random.pick(&ends)
                && !chosen.contains(&other)
            {
                chosen.push(other);
            }
        }
        for other in chosen {
            graph.add(node, other);
            ends.extend([node, other]);
        }
    }
    graph
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_few_nodes_have_very_many_links() {
        let graph = scale_free(1000, 3, &mut Random::new(1, "t"));
        assert_eq!(graph.edge_count(), 6 + 996 * 3);
        assert_eq!(graph.pieces().len(), 1);
        let mut degrees: Vec<usize> = graph.neighbours().iter().map(Vec::len).collect();
        degrees.sort_unstable();
        assert!(degrees[0] >= 3);
        assert!(degrees[500] <= 6, "the middle one has {}", degrees[500]);
        assert!(degrees[999] >= 40, "the largest has {}", degrees[999]);
    }
}
