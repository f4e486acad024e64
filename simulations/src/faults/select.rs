//! Which nodes a fault is about.

use crate::{plan::NodeIndex, random::Random, scenario::Selector};

/// The nodes of a run, as faults choose among them.
#[derive(Clone, Debug)]
pub struct Crowd {
    /// The region of each node.
    pub regions: Vec<u16>,
    /// The names of the regions.
    pub region_names: Vec<String>,
    /// How many people have their first home on each node.
    pub people: Vec<u32>,
    /// Whether it is an honest node: faults befall only those (adversaries have their own schedule).
    pub honest: Vec<bool>,
}

impl Crowd {
    /// The nodes that a selector means, in order.
    #[must_use]
    pub fn select(&self, selector: &Selector, random: &mut Random) -> Vec<NodeIndex> {
        let named = |region: u16| {
            self.region_names.get(usize::from(region)).is_some_and(|name| selector.regions.contains(name))
        };
        let among: Vec<NodeIndex> = (0..self.regions.len())
            .filter(|node| self.honest[*node])
            .filter(|node| selector.regions.is_empty() || named(self.regions[*node]))
            .map(|node| NodeIndex(node as u32))
            .collect();
        if let Some(share) = selector.share {
            // At least one where a share is asked for at all: a fault that befalls nobody is no fault.
            let count = libm::round(share * among.len() as f64).max(f64::from(u8::from(share > 0.0)));
            return random.choose(&among, count as usize);
        }
        if let Some(count) = selector.count {
            return random.choose(&among, count as usize);
        }
        if let Some(list) = &selector.list {
            return among.into_iter().filter(|node| list.contains(&node.0)).collect();
        }
        if let Some(largest) = selector.largest {
            let mut by_size = among;
            by_size.sort_by_key(|node| (std::cmp::Reverse(self.people[node.0 as usize]), node.0));
            by_size.truncate(largest as usize);
            by_size.sort_unstable();
            return by_size;
        }
        among
    }

    /// Everybody but these: adversaries too, because a cut does not ask who means well.
    #[must_use]
    pub fn others(&self, nodes: &[NodeIndex]) -> Vec<NodeIndex> {
        (0..self.regions.len() as u32).map(NodeIndex).filter(|node| nodes.binary_search(node).is_err()).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn crowd() -> Crowd {
        Crowd {
            regions: vec![0, 0, 0, 0, 1, 1, 1, 1],
            region_names: vec!["a".into(), "b".into()],
            people: vec![1, 9, 1, 1, 1, 5, 1, 1],
            honest: vec![true, true, true, true, true, true, true, false],
        }
    }

    fn select(selector: Selector) -> Vec<u32> {
        crowd().select(&selector, &mut Random::new(1, "t")).into_iter().map(|node| node.0).collect()
    }

    #[test]
    fn each_way_of_choosing() {
        assert_eq!(select(Selector::default()), [0, 1, 2, 3, 4, 5, 6]);
        assert_eq!(select(Selector { regions: vec!["b".into()], ..Selector::default() }), [4, 5, 6]);
        let half = select(Selector { regions: vec!["a".into()], share: Some(0.5), ..Selector::default() });
        assert!(half.len() == 2 && half.iter().all(|node| *node < 4));
        assert_eq!(select(Selector { share: Some(0.01), ..Selector::default() }).len(), 1);
        assert_eq!(select(Selector { count: Some(3), ..Selector::default() }).len(), 3);
        assert_eq!(select(Selector { largest: Some(2), ..Selector::default() }), [1, 5]);
        assert_eq!(select(Selector { list: Some(vec![6, 2, 7]), ..Selector::default() }), [2, 6]);
        assert_eq!(crowd().others(&[NodeIndex(0), NodeIndex(5)]).len(), 6);
    }
}
