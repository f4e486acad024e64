//! Communities: well linked inside, joined by a few gateways. How Griot is meant to grow: an association, a town, a country.

use super::{Graph, regular};
use crate::random::Random;

/// Joins communities, each a random regular graph of `degree`; `gateways` nodes of each link to `gateway_links` gateways of
/// others.
#[must_use]
pub fn communities(members: &[Vec<u32>], degree: u32, gateways: u32, gateway_links: u32, random: &mut Random) -> Graph {
    let nodes: usize = members.iter().map(Vec::len).sum();
    let mut graph = Graph::new(nodes as u32);
    for community in members {
        let inside = regular(community.len() as u32, degree, random);
        for (a, b) in inside.edges() {
            graph.add(community[a as usize], community[b as usize]);
        }
    }
    let doors: Vec<Vec<u32>> = members.iter().map(|community| random.choose(community, gateways as usize)).collect();
    for (place, own) in doors.iter().enumerate() {
        let others: Vec<u32> = doors
            .iter()
            .enumerate()
            .filter(|(other, _)| *other != place)
            .flat_map(|(_, doors)| doors.iter().copied())
            .collect();
        for &gateway in own {
            for other in random.choose(&others, gateway_links as usize) {
                graph.add(gateway, other);
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
    fn few_links_cross() {
        let members: Vec<Vec<u32>> = (0..5).map(|c| (c * 20..c * 20 + 20).collect()).collect();
        let graph = communities(&members, 6, 2, 2, &mut Random::new(1, "t"));
        let crossing = graph.edges().filter(|(a, b)| a / 20 != b / 20).count();
        assert!((10..=20).contains(&crossing), "{crossing}");
        assert_eq!(graph.edge_count() - crossing, 5 * 60);
        assert_eq!(graph.pieces().len(), 1);
        // Without gateways to others there is still one piece.
        assert_eq!(communities(&[vec![0], vec![1]], 6, 1, 1, &mut Random::new(1, "t")).pieces().len(), 1);
    }
}
