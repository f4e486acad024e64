//! Where everything random comes from: one seed, and a name for each use of it.
//!
//! Each use has a generator of its own, keyed by the seed, its name and up to two numbers, so that one more draw in one
//! place changes nothing in another. The functions on top of a generator are written out here, because a library may
//! change how it makes a float or a range of the same bits, and a seed that was printed once must keep its meaning.

use rand_chacha::{
    ChaCha8Rng,
    rand_core::{Rng as _, SeedableRng as _},
};

/// Keeps these draws apart from every other use of BLAKE3 on the same bytes.
const CONTEXT: &str = "griot 2026 simulations live draw v1";

/// A generator for one use.
#[derive(Clone, Debug)]
pub struct Draw(ChaCha8Rng);

impl Draw {
    /// The generator of `seed` for the use called `name`, and for the pair of numbers `about` within it.
    #[must_use]
    pub fn new(seed: u64, name: &str, about: [u64; 2]) -> Self {
        let mut hasher = blake3::Hasher::new_derive_key(CONTEXT);
        hasher.update(&seed.to_le_bytes());
        for number in about {
            hasher.update(&number.to_le_bytes());
        }
        // The name comes last: it alone has no fixed length.
        hasher.update(name.as_bytes());
        Self(ChaCha8Rng::from_seed(*hasher.finalize().as_bytes()))
    }

    /// All 64 bits.
    pub fn bits(&mut self) -> u64 {
        self.0.next_u64()
    }

    /// A number below `end`; 0 where `end` is 0. Its bias is below `end` in 2^64.
    pub fn below(&mut self, end: u64) -> u64 {
        ((u128::from(self.bits()) * u128::from(end)) >> 64) as u64
    }

    /// A number in [0, 1).
    pub fn unit(&mut self) -> f64 {
        // 53 bits: all that a double holds exactly.
        (self.bits() >> 11) as f64 / (1u64 << 53) as f64
    }

    /// From the exponential law with mean 1.
    pub fn exponential(&mut self) -> f64 {
        -libm::log(1.0 - self.unit())
    }

    /// From the normal law with mean 0 and deviation 1 (Box and Muller; the second value is not used).
    pub fn normal(&mut self) -> f64 {
        let radius = libm::sqrt(2.0 * self.exponential());
        radius * libm::cos(2.0 * std::f64::consts::PI * self.unit())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_use_has_a_stream_of_its_own() {
        let first = |seed, name, about| Draw::new(seed, name, about).bits();
        let one = first(7, "loss", [1, 2]);
        assert_eq!(one, first(7, "loss", [1, 2]));
        for other in [first(8, "loss", [1, 2]), first(7, "jitter", [1, 2]), first(7, "loss", [2, 1])] {
            assert_ne!(one, other);
        }
    }

    #[test]
    fn laws_have_the_mean_and_bounds_that_they_say() {
        let mut draw = Draw::new(1, "test", [0, 0]);
        let count = 20_000;
        let mean = |of: &mut dyn FnMut() -> f64| (0..count).map(|_| of()).sum::<f64>() / f64::from(count);
        assert!((mean(&mut || draw.unit()) - 0.5).abs() < 0.02);
        assert!((mean(&mut || draw.exponential()) - 1.0).abs() < 0.05);
        assert!(mean(&mut || draw.normal()).abs() < 0.05);
        assert!((mean(&mut || draw.normal().powi(2)) - 1.0).abs() < 0.05);
        assert!((0..count).all(|_| draw.below(6) < 6));
        assert_eq!(draw.below(0), 0);
    }
}
