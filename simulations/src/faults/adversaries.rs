//! Nodes that mean harm: who they are, whom they dial, and whom they surround.

use super::Crowd;
use crate::{
    plan::{Conduct, NodeIndex},
    random::Random,
    scenario::{AdversaryKind, AdversarySection},
    topology::Graph,
};

/// Who plays which part.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Roles {
    /// How each node behaves.
    pub conduct: Vec<Conduct>,
    /// The entry of `[[adversaries]]` that each belongs to.
    pub section: Vec<Option<usize>>,
}

impl Roles {
    /// Which nodes are honest.
    #[must_use]
    pub fn honest(&self) -> Vec<bool> {
        self.section.iter().map(Option::is_none).collect()
    }
}

/// Draws which nodes mean harm. Node 0 never does: it is the largest node where a scenario has one.
#[must_use]
pub fn cast(sections: &[AdversarySection], nodes: u32, random: &mut Random) -> Roles {
    let mut roles = Roles { conduct: vec![Conduct::Honest; nodes as usize], section: vec![None; nodes as usize] };
    let mut free: Vec<u32> = (1..nodes).collect();
    random.shuffle(&mut free);
    for (place, section) in sections.iter().enumerate() {
        let count = libm::round(section.share * f64::from(nodes)) as usize;
        let per_second = section.per_second.unwrap_or(1);
        for node in free.split_off(free.len().saturating_sub(count)) {
            roles.section[node as usize] = Some(place);
            roles.conduct[node as usize] = match section.kind {
                AdversaryKind::Withholding => Conduct::Withholding,
                AdversaryKind::Flooding => Conduct::Flooding { per_second },
                AdversaryKind::Replaying => Conduct::Replaying { per_second },
                AdversaryKind::LyingInSync => Conduct::LyingInSync,
            };
        }
    }
    roles
}

/// Gives adversaries their extra links, surrounds the victims of an eclipse, and takes from the victims the links that they
/// are to lose. Returns the victims.
pub fn close_in(
    sections: &[AdversarySection],
    roles: &Roles,
    crowd: &Crowd,
    graph: &mut Graph,
    random: &mut Random,
) -> Vec<NodeIndex> {
    let honest: Vec<u32> = (0..graph.nodes()).filter(|node| roles.section[*node as usize].is_none()).collect();
    let mut all_victims = Vec::new();
    for (place, section) in sections.iter().enumerate() {
        let own: Vec<u32> = (0..graph.nodes()).filter(|node| roles.section[*node as usize] == Some(place)).collect();
        for &node in &own {
            for place in random.distinct_below(honest.len() as u64, u64::from(section.links)) {
                graph.add(node, honest[place as usize]);
            }
        }
        let Some(around) = &section.around else { continue };
        let victims = crowd.select(around, random);
        for victim in &victims {
            let kept = section.honest_links.unwrap_or(u32::MAX) as usize;
            let neighbours = &graph.neighbours()[victim.0 as usize];
            let friends: Vec<u32> =
                neighbours.iter().copied().filter(|node| roles.section[*node as usize].is_none()).collect();
            let keep = random.choose(&friends, kept);
            for friend in friends.iter().filter(|friend| !keep.contains(friend)) {
                graph.remove(victim.0, *friend);
            }
            for &node in &own {
                graph.add(node, victim.0);
            }
        }
        all_victims.extend(victims);
    }
    all_victims.sort_unstable();
    all_victims.dedup();
    all_victims
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{scenario::Selector, topology::regular};

    fn section(share: f64) -> AdversarySection {
        AdversarySection {
            kind: AdversaryKind::Withholding,
            share,
            per_second: None,
            links: 5,
            up_kib_per_second: None,
            down_kib_per_second: None,
            from: None,
            around: Some(Selector { list: Some(vec![0]), ..Selector::default() }),
            honest_links: Some(1),
        }
    }

    #[test]
    fn a_victim_is_surrounded_and_keeps_one_friend() {
        let sections = [section(0.3)];
        let mut random = Random::new(1, "t");
        let roles = cast(&sections, 50, &mut random);
        assert_eq!(roles.section.iter().flatten().count(), 15);
        let crowd = Crowd { regions: vec![0; 50], region_names: vec![], people: vec![1; 50], honest: roles.honest() };
        let mut graph = regular(50, 8, &mut random);
        assert_eq!(close_in(&sections, &roles, &crowd, &mut graph, &mut random), [NodeIndex(0)]);
        let neighbours = &graph.neighbours()[0];
        let honest = neighbours.iter().filter(|node| roles.section[**node as usize].is_none()).count();
        assert_eq!((honest, neighbours.len() - honest), (1, 15));
    }
}
