//! How long bytes travel between two nodes, one way.
//!
//! A path's latency is drawn once for each pair of nodes and direction, from the seed and the two names alone, so that
//! it is the same whoever asks first. All mathematics beyond the four operations is `libm`'s: the platform's differs with
//! and without fused multiply-add.

use crate::{
    plan::{LatencyLaw, LatencyPlan, NodeIndex},
    world::seeds,
};

/// No path is quicker: bytes that arrive at the moment they are sent would make the order of events a matter of luck.
const MS_MIN: u32 = 1;

/// No path is slower than a minute: TCP would have given up.
const MS_MAX: u32 = 60_000;

/// The paths of a network.
#[derive(Debug)]
pub(crate) struct Latency {
    seed: u64,
    plan: LatencyPlan,
    regions: Vec<u16>,
}

impl Latency {
    pub(crate) fn new(seed: u64, plan: LatencyPlan, regions: Vec<u16>) -> Self {
        Self { seed, plan, regions }
    }

    /// Milliseconds from one node to another.
    pub(crate) fn one_way_ms(&self, from: NodeIndex, to: NodeIndex) -> u32 {
        let ms = match &self.plan {
            LatencyPlan::Everywhere(law) => self.draw(law, from, to),
            LatencyPlan::Regions { one_way_ms, jitter } => {
                let region =
                    |node: NodeIndex| usize::from(self.regions.get(node.0 as usize).copied().unwrap_or_default());
                let base =
                    one_way_ms.get(region(from)).and_then(|row| row.get(region(to))).copied().unwrap_or_default();
                base.saturating_add(self.draw(jitter, from, to))
            }
        };
        ms.clamp(MS_MIN, MS_MAX)
    }

    fn draw(&self, law: &LatencyLaw, from: NodeIndex, to: NodeIndex) -> u32 {
        let path = u64::from(from.0) << 32 | u64::from(to.0);
        match *law {
            LatencyLaw::Constant { ms } => ms,
            LatencyLaw::Uniform { min_ms, max_ms } => {
                let span = u64::from(max_ms.saturating_sub(min_ms)) + 1;
                let offset = seeds::number(self.seed, "latency", path) % span;
                min_ms.saturating_add(u32::try_from(offset).unwrap_or_default())
            }
            LatencyLaw::LogNormal { median_ms, sigma } => {
                let ms = median_ms * libm::exp(sigma * self.normal(path));
                if ms.is_finite() { libm::round(ms).clamp(0.0, f64::from(MS_MAX)) as u32 } else { MS_MAX }
            }
        }
    }

    /// Box and Muller's: a standard normal number for a path.
    fn normal(&self, path: u64) -> f64 {
        let radius = 1.0 - seeds::unit(self.seed, "latency radius", path);
        let angle = seeds::unit(self.seed, "latency angle", path);
        libm::sqrt(-2.0 * libm::log(radius)) * libm::cos(2.0 * std::f64::consts::PI * angle)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(law: LatencyLaw, count: u32) -> Vec<u32> {
        let latency = Latency::new(3, LatencyPlan::Everywhere(law), Vec::new());
        (0..count).map(|n| latency.one_way_ms(NodeIndex(n), NodeIndex(n + 1))).collect()
    }

    #[test]
    fn laws_give_what_they_say() {
        assert!(all(LatencyLaw::Constant { ms: 7 }, 9).iter().all(|ms| *ms == 7));
        assert!(all(LatencyLaw::Constant { ms: 0 }, 9).iter().all(|ms| *ms == MS_MIN));
        let uniform = all(LatencyLaw::Uniform { min_ms: 10, max_ms: 19 }, 2000);
        assert_eq!((uniform.iter().min(), uniform.iter().max()), (Some(&10), Some(&19)));
        let mut normal = all(LatencyLaw::LogNormal { median_ms: 80.0, sigma: 0.5 }, 4001);
        normal.sort_unstable();
        assert!((76..=84).contains(&normal[2000]), "the median is {}", normal[2000]);
        // One sigma: e^0.5 = 1.65 times the median has 84.1 % below it.
        let below = normal.iter().filter(|ms| **ms <= 132).count();
        assert!((3285..=3445).contains(&below), "{below} of 4001 within one sigma");
    }

    #[test]
    fn a_path_has_one_latency_and_its_way_back_another() {
        let law = LatencyLaw::Uniform { min_ms: 1, max_ms: 10_000 };
        let latency = Latency::new(3, LatencyPlan::Everywhere(law), Vec::new());
        let (a, b) = (NodeIndex(4), NodeIndex(9));
        assert_eq!(latency.one_way_ms(a, b), latency.one_way_ms(a, b));
        assert_ne!(latency.one_way_ms(a, b), latency.one_way_ms(b, a));
    }

    #[test]
    fn regions_add_to_the_law() {
        let jitter = LatencyLaw::Constant { ms: 5 };
        let plan = LatencyPlan::Regions { one_way_ms: vec![vec![2, 70], vec![80, 3]], jitter };
        let latency = Latency::new(3, plan, vec![0, 1]);
        let ms = |from, to| latency.one_way_ms(NodeIndex(from), NodeIndex(to));
        assert_eq!([ms(0, 0), ms(0, 1), ms(1, 0), ms(1, 1)], [7, 75, 85, 8]);
    }
}
