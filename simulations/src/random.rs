//! Randomness that is the same on every machine.
//!
//! Everything that a plan leaves to chance is drawn from ChaCha8 (a stream cipher: the same key gives the same numbers
//! everywhere). Each purpose has a stream of its own, keyed by the seed and the purpose's name, so that drawing one more
//! number for the topology shifts nothing in the workload: two runs that differ in one setting stay comparable in all
//! others. Logarithms, powers and the like come from the crate `libm`, because the platform's own differ in their last bit
//! between machines, and with and without fused multiply-add. What is left (`+ - * /` and square roots) is exact by
//! IEEE 754.

use rand_chacha::{
    ChaCha8Rng,
    rand_core::{Rng as _, SeedableRng as _},
};

/// Separates these streams from every other use of BLAKE3 in the project.
const STREAM_CONTEXT: &str = "griot-sim 2026 random stream v1";

/// 2⁻⁵³: turns 53 random bits into a number in 0 ≤ x < 1 that a double holds exactly.
const UNIT_STEP: f64 = 1.0 / 9_007_199_254_740_992.0;

/// One stream of random numbers.
#[derive(Clone, Debug)]
pub struct Random(ChaCha8Rng);

impl Random {
    /// The stream of one purpose under a seed. The same two give the same stream, everywhere and for ever.
    #[must_use]
    pub fn new(seed: u64, purpose: &str) -> Self {
        let mut hasher = blake3::Hasher::new_derive_key(STREAM_CONTEXT);
        hasher.update(&seed.to_le_bytes());
        hasher.update(purpose.as_bytes());
        Self::keyed(*hasher.finalize().as_bytes())
    }

    /// The stream of a key that somebody else has made of a seed and a purpose.
    #[must_use]
    pub(crate) fn keyed(key: [u8; 32]) -> Self {
        Self(ChaCha8Rng::from_seed(key))
    }

    /// 64 random bits.
    pub fn bits(&mut self) -> u64 {
        self.0.next_u64()
    }

    /// A whole number below `bound`, each as likely as any other; 0 where `bound` is 0 or 1.
    pub fn below(&mut self, bound: u64) -> u64 {
        if bound <= 1 {
            return 0;
        }
        // Lemire's method: multiply, and draw again in the few cases that would favour small numbers.
        let threshold = bound.wrapping_neg() % bound;
        loop {
            let product = u128::from(self.bits()) * u128::from(bound);
            if product as u64 >= threshold {
                return (product >> 64) as u64;
            }
        }
    }

    /// A place in a list of `len`; 0 for an empty one.
    pub fn place(&mut self, len: usize) -> usize {
        self.below(len as u64) as usize
    }

    /// A number in 0 ≤ x < 1.
    pub fn unit(&mut self) -> f64 {
        (self.bits() >> 11) as f64 * UNIT_STEP
    }

    /// Whether something of this probability happens.
    pub fn chance(&mut self, probability: f64) -> bool {
        self.unit() < probability
    }

    /// A waiting time of the exponential law with this mean.
    pub fn exponential(&mut self, mean: f64) -> f64 {
        // 1 − u is in 0 < x ≤ 1, whose logarithm is finite.
        -mean * libm::log(1.0 - self.unit())
    }

    /// A duration of the Weibull law with shape `k` and scale `scale`.
    pub fn weibull(&mut self, k: f64, scale: f64) -> f64 {
        scale * libm::pow(-libm::log(1.0 - self.unit()), 1.0 / k)
    }

    /// A number of the standard normal law (Box–Muller; the second number is thrown away, so that the stream does not
    /// depend on how often this was called before).
    pub fn normal(&mut self) -> f64 {
        let radius = libm::sqrt(-2.0 * libm::log(1.0 - self.unit()));
        radius * libm::cos(core::f64::consts::TAU * self.unit())
    }

    /// One element of a list; `None` for an empty one.
    pub fn pick<'a, T>(&mut self, list: &'a [T]) -> Option<&'a T> {
        list.get(self.place(list.len()))
    }

    /// Puts a list in random order (Fisher–Yates).
    pub fn shuffle<T>(&mut self, list: &mut [T]) {
        for last in (1..list.len()).rev() {
            list.swap(last, self.place(last + 1));
        }
    }

    /// `count` different elements of a list in the list's order, or all where it has fewer.
    pub fn choose<T: Copy>(&mut self, list: &[T], count: usize) -> Vec<T> {
        let mut places: Vec<usize> = (0..list.len()).collect();
        let count = count.min(list.len());
        for first in 0..count {
            let other = first + self.place(places.len() - first);
            places.swap(first, other);
        }
        let mut chosen = places[..count].to_vec();
        chosen.sort_unstable();
        chosen.into_iter().map(|place| list[place]).collect()
    }

    /// `count` different whole numbers below `bound` in order, or all where there are fewer (Floyd's method: the work is by
    /// the count and not by the bound).
    pub fn distinct_below(&mut self, bound: u64, count: u64) -> Vec<u64> {
        let mut chosen = std::collections::BTreeSet::new();
        for last in bound - count.min(bound)..bound {
            let drawn = self.below(last + 1);
            if !chosen.insert(drawn) {
                chosen.insert(last);
            }
        }
        chosen.into_iter().collect()
    }

    /// A place in a list of weights, as likely as its weight says; `None` where no weight is above 0.
    pub fn weighted(&mut self, weights: &[f64]) -> Option<usize> {
        let total: f64 = weights.iter().filter(|weight| **weight > 0.0).sum();
        if total <= 0.0 {
            return None;
        }
        let mut left = self.unit() * total;
        let mut last = None;
        for (place, weight) in weights.iter().enumerate().filter(|(_, weight)| **weight > 0.0) {
            last = Some(place);
            if left < *weight {
                break;
            }
            left -= weight;
        }
        last
    }
}

/// A number of milliseconds as a whole one: rounded, at least 0, and 2⁵³ at most (so that it is exact both ways).
#[must_use]
pub fn whole_ms(ms: f64) -> u64 {
    libm::round(ms).clamp(0.0, 9_007_199_254_740_992.0) as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stream_is_the_same_everywhere() {
        // Were these to change, every published seed would stand for another run.
        let mut random = Random::new(1, "test");
        let drawn = [
            random.bits(),
            random.unit().to_bits(),
            random.exponential(1000.0).to_bits(),
            random.weibull(0.6, 1000.0).to_bits(),
            random.normal().to_bits(),
        ];
        assert_eq!(
            drawn,
            [4160192852785507233, 4603561265366056322, 4652744349205880112, 4637459337527432622, 4605223371511231914]
        );
    }

    #[test]
    fn streams_of_other_seeds_and_purposes_differ() {
        assert_ne!(Random::new(1, "a").bits(), Random::new(2, "a").bits());
        assert_ne!(Random::new(1, "a").bits(), Random::new(1, "b").bits());
    }

    #[test]
    fn laws_have_the_mean_they_claim() {
        let mut random = Random::new(7, "laws");
        let mean = |draw: &mut dyn FnMut() -> f64| (0..20_000).map(|_| draw()).sum::<f64>() / 20_000.0;
        let exponential = mean(&mut || random.exponential(500.0));
        assert!((exponential - 500.0).abs() < 15.0, "{exponential}");
        // Weibull with k = 2 has the mean scale × Γ(1.5) = scale × 0.886.
        let weibull = mean(&mut || random.weibull(2.0, 500.0));
        assert!((weibull - 443.1).abs() < 10.0, "{weibull}");
        let normal = mean(&mut || random.normal());
        assert!(normal.abs() < 0.03, "{normal}");
        let below = mean(&mut || random.below(10) as f64);
        assert!((below - 4.5).abs() < 0.1, "{below}");
    }

    #[test]
    fn choices_are_different_and_in_order() {
        let mut random = Random::new(3, "choose");
        let list: Vec<u32> = (0..100).collect();
        let chosen = random.choose(&list, 20);
        assert_eq!(chosen.len(), 20);
        assert!(chosen.windows(2).all(|pair| pair[0] < pair[1]));
        assert_eq!(random.choose(&list, 200), list);
        assert_eq!(random.choose::<u32>(&[], 3), Vec::<u32>::new());
        let mut hits = [0_u32; 10];
        for _ in 0..5000 {
            let few = random.distinct_below(10, 3);
            assert!(few.len() == 3 && few.windows(2).all(|pair| pair[0] < pair[1]));
            few.iter().for_each(|number| hits[*number as usize] += 1);
        }
        assert!(hits.iter().all(|hit| (1380..1620).contains(hit)), "each as often as any other: {hits:?}");
        assert_eq!(random.distinct_below(3, 9), [0, 1, 2]);
        assert_eq!(random.distinct_below(0, 9), Vec::<u64>::new());
    }

    #[test]
    fn weights_decide() {
        let mut random = Random::new(5, "weights");
        let mut hits = [0; 3];
        for _ in 0..4000 {
            hits[random.weighted(&[1.0, 0.0, 3.0]).unwrap()] += 1;
        }
        assert_eq!(hits[1], 0);
        assert!((2800..3200).contains(&hits[2]), "{hits:?}");
        assert_eq!(random.weighted(&[0.0]), None);
    }
}
