//! Payload buckets: what a relay can learn from a payload's length is one of five sizes.
//!
//! A payload is one *suite* byte, which says how to open the rest, and a ciphertext of exactly 256 B, 1, 4, 16 or
//! 64 KiB. The padding is inside the ciphertext, so this module only knows the sizes.

use crate::refusal::Refusal;

/// Ciphertext lengths in bytes.
pub const BUCKETS: [usize; 5] = [256, 1024, 4 * 1024, 16 * 1024, 64 * 1024];

/// The smallest bucket that holds `bytes`, or `None` where they need splitting.
#[must_use]
pub fn bucket_for(bytes: usize) -> Option<usize> {
    BUCKETS.into_iter().find(|bucket| bytes <= *bucket)
}

/// Checks a payload's length.
///
/// # Errors
/// [`Refusal::Bucket`]: it is not 1 + one of [`BUCKETS`].
pub fn check(payload: &[u8]) -> Result<(), Refusal> {
    if BUCKETS.iter().any(|bucket| payload.len() == 1 + bucket) { Ok(()) } else { Err(Refusal::Bucket) }
}
