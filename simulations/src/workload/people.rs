//! Who lives where.

use crate::{
    plan::NodeIndex,
    random::Random,
    scenario::{HomesWithin, PeopleSection},
};

/// The people of a run.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct People {
    /// The homes of each; the first is where the person is.
    pub homes: Vec<Vec<NodeIndex>>,
}

impl People {
    /// How many have their first home on each node.
    #[must_use]
    pub fn on_each(&self, nodes: usize) -> Vec<u32> {
        let mut count = vec![0; nodes];
        for homes in &self.homes {
            if let Some(first) = homes.first() {
                count[first.0 as usize] += 1;
            }
        }
        count
    }
}

/// Settles people on honest nodes.
#[must_use]
pub fn settle(section: &PeopleSection, regions: &[u16], honest: &[bool], random: &mut Random) -> People {
    let nodes: Vec<NodeIndex> =
        (0..regions.len()).filter(|node| honest[*node]).map(|node| NodeIndex(node as u32)).collect();
    let same_region = |node: NodeIndex| -> Vec<NodeIndex> {
        let region = regions[node.0 as usize];
        nodes.iter().copied().filter(|other| regions[other.0 as usize] == region).collect()
    };
    let region_nodes: Vec<Vec<NodeIndex>> = match section.homes_within {
        HomesWithin::Anywhere => Vec::new(),
        HomesWithin::Region => {
            let regions_max = regions.iter().copied().max().unwrap_or(0);
            (0..=regions_max)
                .map(|region| nodes.iter().copied().find(|node| regions[node.0 as usize] == region))
                .map(|first| first.map_or_else(Vec::new, same_region))
                .collect()
        }
    };
    let total = libm::round(section.per_node * nodes.len() as f64) as usize;
    let largest = libm::round(section.largest_share * total as f64) as usize;
    let mut people = People::default();
    for person in 0..total {
        let first = if person < largest || nodes.len() == 1 {
            NodeIndex(0)
        } else {
            // Evenly over the nodes; over those without the largest where that one has its own share.
            let among = if largest > 0 && nodes.len() > 1 { &nodes[1..] } else { &nodes[..] };
            let Some(&node) = among.get((person - largest) % among.len().max(1)) else { continue };
            node
        };
        let among = region_nodes.get(usize::from(regions[first.0 as usize])).unwrap_or(&nodes);
        let wanted = random.weighted(&section.homes).unwrap_or(0);
        let mut homes = vec![first];
        let others: Vec<NodeIndex> = if wanted == 0 { Vec::new() } else { pick_others(among, first, wanted, random) };
        homes.extend(others);
        people.homes.push(homes);
    }
    people
}

/// Up to `wanted` different nodes besides the first one. Few are drawn from many, so chance is asked again instead of copying
/// the list for every person.
fn pick_others(among: &[NodeIndex], first: NodeIndex, wanted: usize, random: &mut Random) -> Vec<NodeIndex> {
    // The first home is one of them: it is honest, and in its own region.
    let wanted = wanted.min(among.len().saturating_sub(1));
    let mut chosen = Vec::with_capacity(wanted);
    while chosen.len() < wanted {
        if let Some(&node) = random.pick(among)
            && node != first
            && !chosen.contains(&node)
        {
            chosen.push(node);
        }
    }
    chosen
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn people_are_spread_and_have_different_homes() {
        let section = PeopleSection { per_node: 3.0, homes: [0.2, 0.5, 0.3], ..PeopleSection::default() };
        let mut honest = vec![true; 20];
        honest[7] = false;
        let people = settle(&section, &[0; 20], &honest, &mut Random::new(1, "t"));
        assert_eq!(people.homes.len(), 57);
        assert!(people.on_each(20).iter().enumerate().all(|(node, count)| *count == if node == 7 { 0 } else { 3 }));
        for homes in &people.homes {
            let mut different = homes.clone();
            different.sort_unstable();
            different.dedup();
            assert_eq!(different.len(), homes.len());
            assert!((1..=3).contains(&homes.len()) && !homes.contains(&NodeIndex(7)));
        }
    }

    #[test]
    fn the_largest_node_has_its_share_and_regions_keep_their_people() {
        let regions: Vec<u16> = (0..20).map(|node| u16::from(node >= 10)).collect();
        let section = PeopleSection {
            per_node: 5.0,
            largest_share: 0.35,
            homes_within: HomesWithin::Region,
            ..PeopleSection::default()
        };
        let people = settle(&section, &regions, &[true; 20], &mut Random::new(1, "t"));
        assert_eq!(people.on_each(20)[0], 35);
        assert!(people.homes.iter().all(|homes| homes.iter().all(|h| (h.0 >= 10) == (homes[0].0 >= 10))));
    }

    #[test]
    fn a_single_node_houses_everybody() {
        let people = settle(&PeopleSection::default(), &[0], &[true], &mut Random::new(1, "t"));
        assert_eq!(people.homes, vec![vec![NodeIndex(0)]; 4]);
    }
}
