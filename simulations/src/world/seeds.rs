//! Everything random in a run comes from one seed, by name: a stream that is added later changes none of the others.

use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;

/// What a stream is for, and a number within it.
pub(crate) fn bytes(seed: u64, name: &str, number: u64) -> [u8; 32] {
    let mut hasher = blake3::Hasher::new_derive_key("griot 2026 simulation streams v1");
    hasher.update(&seed.to_le_bytes());
    hasher.update(&number.to_le_bytes());
    hasher.update(name.as_bytes());
    *hasher.finalize().as_bytes()
}

/// A number of a stream.
pub(crate) fn number(seed: u64, name: &str, number: u64) -> u64 {
    let mut first = [0; 8];
    first.copy_from_slice(&bytes(seed, name, number)[..8]);
    u64::from_le_bytes(first)
}

/// A generator of its own.
pub(crate) fn rng(seed: u64, name: &str, number: u64) -> ChaCha8Rng {
    ChaCha8Rng::from_seed(bytes(seed, name, number))
}

/// A number in [0, 1) of a stream: 53 bits, which is all that a float holds exactly.
pub(crate) fn unit(seed: u64, name: &str, number: u64) -> f64 {
    (self::number(seed, name, number) >> 11) as f64 / (1u64 << 53) as f64
}
