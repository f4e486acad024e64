//! Where nodes are drawn: a force-directed layout (Fruchterman and Reingold 1991), which puts what is linked near each other.

use crate::random::Random;

/// Rounds: enough for a few hundred nodes to settle.
const ROUNDS: u32 = 120;

/// Places for nodes with these links, each between 0 and 1. The same links give the same picture.
#[must_use]
pub fn places(nodes: usize, links: &[(usize, usize)]) -> Vec<(f64, f64)> {
    let mut random = Random::new(0, "layout");
    let mut places: Vec<(f64, f64)> = (0..nodes).map(|_| (random.unit(), random.unit())).collect();
    if nodes < 2 {
        return vec![(0.5, 0.5); nodes];
    }
    let ideal = libm::sqrt(1.0 / nodes as f64);
    for round in 0..ROUNDS {
        let reach = 0.1 * (1.0 - f64::from(round) / f64::from(ROUNDS)) + 0.001;
        let mut pull = vec![(0.0, 0.0); nodes];
        for a in 0..nodes {
            for b in a + 1..nodes {
                let (dx, dy) = (places[a].0 - places[b].0, places[a].1 - places[b].1);
                let square = (dx * dx + dy * dy).max(1e-9);
                let push = ideal * ideal / square;
                pull[a].0 += dx * push;
                pull[a].1 += dy * push;
                pull[b].0 -= dx * push;
                pull[b].1 -= dy * push;
            }
        }
        for &(a, b) in links {
            let (dx, dy) = (places[a].0 - places[b].0, places[a].1 - places[b].1);
            let force = libm::sqrt(dx * dx + dy * dy) / ideal;
            pull[a].0 -= dx * force;
            pull[a].1 -= dy * force;
            pull[b].0 += dx * force;
            pull[b].1 += dy * force;
        }
        for (place, pull) in places.iter_mut().zip(&pull) {
            let length = libm::sqrt(pull.0 * pull.0 + pull.1 * pull.1).max(1e-9);
            let moved = length.min(reach);
            place.0 += pull.0 / length * moved;
            place.1 += pull.1 / length * moved;
        }
    }
    spread(&mut places);
    places
}

/// Scales places so that they fill 0 to 1 both ways.
fn spread(places: &mut [(f64, f64)]) {
    for axis in [0, 1] {
        let get = |place: &(f64, f64)| if axis == 0 { place.0 } else { place.1 };
        let (low, high) = places.iter().map(get).fold((f64::MAX, f64::MIN), |(low, high), v| (low.min(v), high.max(v)));
        let range = (high - low).max(1e-9);
        for place in places.iter_mut() {
            let value = if axis == 0 { &mut place.0 } else { &mut place.1 };
            *value = (*value - low) / range;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_linked_is_near() {
        // Two cliques joined by one link.
        let mut links = Vec::new();
        for group in [0, 8] {
            for a in 0..8 {
                links.extend((a + 1..8).map(|b| (group + a, group + b)));
            }
        }
        links.push((0, 8));
        let places = places(16, &links);
        let distance = |a: usize, b: usize| libm::hypot(places[a].0 - places[b].0, places[a].1 - places[b].1);
        let inside: f64 = (1..8).map(|b| distance(0, b)).sum::<f64>() / 7.0;
        let across: f64 = (9..16).map(|b| distance(1, b)).sum::<f64>() / 7.0;
        assert!(inside * 2.0 < across, "{inside} {across}");
        assert!(places.iter().all(|(x, y)| (0.0..=1.0).contains(x) && (0.0..=1.0).contains(y)));
    }
}
