//! Where everything random of a live run comes from: one seed, and a name for each use of it.
//!
//! Each use has a stream of its own, keyed by the seed, its name and up to two numbers (a pair of nodes, say), so that one
//! more draw in one place changes nothing in another.

use crate::random::Random;

/// Keeps these draws apart from every other use of BLAKE3 on the same bytes.
const CONTEXT: &str = "griot 2026 simulations live draw v1";

/// The stream of `seed` for the use called `name`, and for the pair of numbers `about` within it.
#[must_use]
pub fn stream(seed: u64, name: &str, about: [u64; 2]) -> Random {
    let mut hasher = blake3::Hasher::new_derive_key(CONTEXT);
    hasher.update(&seed.to_le_bytes());
    for number in about {
        hasher.update(&number.to_le_bytes());
    }
    // The name comes last: it alone has no fixed length.
    hasher.update(name.as_bytes());
    Random::keyed(*hasher.finalize().as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_use_has_a_stream_of_its_own() {
        let first = |seed, name, about| stream(seed, name, about).bits();
        let one = first(7, "loss", [1, 2]);
        assert_eq!(one, first(7, "loss", [1, 2]));
        for other in [first(8, "loss", [1, 2]), first(7, "jitter", [1, 2]), first(7, "loss", [2, 1])] {
            assert_ne!(one, other);
        }
    }

    #[test]
    fn laws_have_the_mean_and_bounds_that_they_say() {
        let mut draw = stream(1, "test", [0, 0]);
        let count = 20_000;
        let mean = |of: &mut dyn FnMut() -> f64| (0..count).map(|_| of()).sum::<f64>() / f64::from(count);
        assert!((mean(&mut || draw.unit()) - 0.5).abs() < 0.02);
        assert!((mean(&mut || draw.exponential(1.0)) - 1.0).abs() < 0.05);
        assert!(mean(&mut || draw.normal()).abs() < 0.05);
        assert!((mean(&mut || draw.normal().powi(2)) - 1.0).abs() < 0.05);
        assert!((0..count).all(|_| draw.below(6) < 6));
        assert_eq!(draw.below(0), 0);
    }
}
