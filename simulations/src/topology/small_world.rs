//! Small worlds (Watts and Strogatz, "Collective dynamics of 'small-world' networks", Nature 393, 1998): neighbourhoods in a
//! ring, and a few links that lead far away, which make every path short.

use super::Graph;
use crate::random::Random;

/// A small world: each node knows `degree / 2` on either side; each of those links leads anywhere instead with probability
/// `rewire`.
#[must_use]
pub fn small_world(nodes: u32, degree: u32, rewire: f64, random: &mut Random) -> Graph {
    let mut graph = Graph::new(nodes);
    let half = (degree / 2).min(nodes.saturating_sub(1) / 2).max(u32::from(nodes > 1));
    for step in 1..=half {
        for node in 0..nodes {
            graph.add(node, (node + step) % nodes);
        }
    }
    for step in 1..=half {
        for node in 0..nodes {
            let old = (node + step) % nodes;
            if random.chance(rewire) {
                let new = random.below(u64::from(nodes)) as u32;
                // Kept as it was where the new end is taken, so that the number of links stays.
                if graph.has(node, old) && graph.add(node, new) {
                    graph.remove(node, old);
                }
            }
        }
    }
    graph.join_pieces(random);
    graph
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_number_of_links_stays_and_some_lead_far() {
        let ring = small_world(100, 6, 0.0, &mut Random::new(1, "t"));
        let world = small_world(100, 6, 0.1, &mut Random::new(1, "t"));
        assert_eq!(ring.edge_count(), 300);
        assert_eq!(world.edge_count(), 300);
        let far = |graph: &Graph| graph.edges().filter(|(a, b)| (b - a).min(100 - (b - a)) > 3).count();
        assert_eq!(far(&ring), 0);
        assert!((10..60).contains(&far(&world)), "{}", far(&world));
        assert_eq!(world.pieces().len(), 1);
    }
}
