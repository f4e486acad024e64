//! Who is linked to whom in a network of real processes, drawn from a seed.

use std::collections::BTreeSet;

use super::wire::draw;

/// How often a drawing is thrown away before it is given up. About one in e^((k²-1)/4) has no doubled link (Bollobás), one
/// in 6,000 for degree 6; each is cheap.
const TRIES_MAX: u64 = 1_000_000;

/// The largest degree that can be drawn in that many tries.
pub const DEGREE_MAX: usize = 6;

/// Links of a random connected graph in which each of `nodes` nodes has `degree` neighbours, as pairs (from, to) with
/// from > to, sorted: a node can dial those that were started before it. `None` where there is no such graph: `degree`
/// is not below `nodes`, is above [`DEGREE_MAX`], or both are odd.
#[must_use]
pub fn random_regular(seed: u64, nodes: usize, degree: usize) -> Option<Vec<(usize, usize)>> {
    if degree == 0 || degree >= nodes || degree > DEGREE_MAX || nodes * degree % 2 == 1 {
        return None;
    }
    (0..TRIES_MAX).find_map(|attempt| pair_up(seed, attempt, nodes, degree)).map(|links| links.into_iter().collect())
}

/// One drawing: every node holds `degree` loose ends, and ends are tied in pairs at random. Nothing, where a node is tied
/// to itself, a pair twice, or the graph falls apart.
fn pair_up(seed: u64, attempt: u64, nodes: usize, degree: usize) -> Option<BTreeSet<(usize, usize)>> {
    let mut draw = draw::stream(seed, "topology", [attempt, 0]);
    let mut loose: Vec<usize> = (0..nodes).flat_map(|node| std::iter::repeat_n(node, degree)).collect();
    let mut links = BTreeSet::new();
    while let Some(one) = loose.pop() {
        let other = loose.swap_remove(draw.below(loose.len() as u64) as usize);
        if one == other || !links.insert((one.max(other), one.min(other))) {
            return None;
        }
    }
    is_connected(nodes, &links).then_some(links)
}

fn is_connected(nodes: usize, links: &BTreeSet<(usize, usize)>) -> bool {
    let mut reached = BTreeSet::from([0]);
    // Each pass reaches at least one more, or there is nothing more to reach.
    loop {
        let before = reached.len();
        for (one, other) in links {
            if reached.contains(one) || reached.contains(other) {
                reached.extend([*one, *other]);
            }
        }
        if reached.len() == before {
            return before == nodes;
        }
    }
}

/// The shortest time in which anything can get from each node to each other over the links (Floyd and Warshall), given
/// the latency of each pair and direction, milliseconds. No message can be faster. `None` where there is no way.
#[must_use]
pub fn shortest_ms(one_way_ms: &[Vec<u32>], links: &[(usize, usize)]) -> Vec<Vec<Option<u32>>> {
    let nodes = one_way_ms.len();
    let mut best = vec![vec![None; nodes]; nodes];
    for (node, row) in best.iter_mut().enumerate() {
        row[node] = Some(0);
    }
    for (one, other) in links {
        best[*one][*other] = Some(one_way_ms[*one][*other]);
        best[*other][*one] = Some(one_way_ms[*other][*one]);
    }
    for via in 0..nodes {
        let onward = best[via].clone();
        for row in &mut best {
            let Some(first) = row[via] else { continue };
            for (known, second) in row.iter_mut().zip(&onward) {
                let through = second.map(|second| first + second);
                // `None` is smaller than any `Some`, and is no way at all.
                if through.is_some() && (known.is_none() || through < *known) {
                    *known = through;
                }
            }
        }
    }
    best
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_node_has_its_neighbours_and_the_seed_decides_which() {
        for (nodes, degree) in [(12, 4), (12, 5), (20, 6), (7, 6)] {
            let links = random_regular(3, nodes, degree).unwrap();
            assert_eq!(links.len(), nodes * degree / 2);
            for node in 0..nodes {
                assert_eq!(links.iter().filter(|(a, b)| *a == node || *b == node).count(), degree);
            }
            assert!(links.iter().all(|(from, to)| from > to));
            assert_eq!(random_regular(3, nodes, degree).unwrap(), links);
        }
        assert_ne!(random_regular(3, 20, 4), random_regular(4, 20, 4));
        for (nodes, degree) in [(5, 3), (4, 4), (12, 0), (20, 7)] {
            assert_eq!(random_regular(3, nodes, degree), None);
        }
    }

    #[test]
    fn the_shortest_way_may_lead_through_others() {
        let one_way_ms = [vec![0, 10, 90, 1], vec![10, 0, 20, 1], vec![90, 30, 0, 1], vec![1, 1, 1, 0]];
        let best = shortest_ms(&one_way_ms, &[(1, 0), (2, 0), (2, 1)]);
        assert_eq!(best[0], [Some(0), Some(10), Some(30), None]);
        assert_eq!(best[2], [Some(40), Some(30), Some(0), None]);
    }
}
