//! Nonces: given once, taken back once.
//!
//! A nonce carries the second of its issue and a MAC over that, randomness and the member, under a secret of this
//! process. So issuing costs no memory, and nobody can fill a table with nonces that are never used. Only *used* ones
//! are remembered, until they would have run out anyway; using one takes a valid proof.

use std::{
    collections::BTreeSet,
    sync::{Mutex, PoisonError},
};

use griot_protocol::Nonce;

use super::{auth::secret, error::ApiError, serve::ServeError};
use crate::store::MemberId;

/// Seconds for which a nonce is good: a slow link and a slow phone, not a stolen disk.
pub(super) const VALID_SECONDS: u64 = 300;

/// Nonces in one answer: a client that registers all its mailboxes asks a few times.
pub(super) const PER_CALL_MAX: usize = 64;

/// Used nonces remembered: 4 MiB. A node that is asked for more within five minutes answers "busy".
const USED_MAX: usize = 65_536;

/// Gives nonces and takes them back.
pub(super) struct Nonces {
    key: [u8; 32],
    /// By second of issue, so that the oldest go first.
    used: Mutex<BTreeSet<(u64, Nonce)>>,
}

impl Nonces {
    pub(super) fn new() -> Result<Self, ServeError> {
        Ok(Self { key: secret()?, used: Mutex::default() })
    }

    /// A nonce for `member`, issued at `second`.
    pub(super) fn issue(&self, member: MemberId, second: u64) -> Result<Nonce, ApiError> {
        let mut nonce = [0; 32];
        let (head, mac) = nonce.split_at_mut(16);
        let (time, random) = head.split_at_mut(8);
        time.copy_from_slice(&second.to_le_bytes());
        getrandom::fill(random).map_err(ApiError::internal)?;
        mac.copy_from_slice(&self.mac(member, head));
        Ok(Nonce(nonce))
    }

    /// Whether `nonce` was issued to `member`, still holds at `second`, and was not used.
    pub(super) fn check(&self, member: MemberId, nonce: &Nonce, second: u64) -> Result<(), ApiError> {
        let issued = issued_at(nonce);
        let (head, mac) = nonce.0.split_at(16);
        // Hashes compare in constant time, slices do not.
        let genuine = blake3::keyed_hash(&self.key, mac) == blake3::keyed_hash(&self.key, &self.mac(member, head));
        let fresh = issued <= second && second - issued <= VALID_SECONDS;
        let used = self.used.lock().unwrap_or_else(PoisonError::into_inner);
        if genuine && fresh && !used.contains(&(issued, *nonce)) { Ok(()) } else { Err(stale()) }
    }

    /// Uses up a nonce that [`check`](Self::check) found good and whose proof was valid.
    pub(super) fn spend(&self, nonce: &Nonce, second: u64) -> Result<(), ApiError> {
        let mut used = self.used.lock().unwrap_or_else(PoisonError::into_inner);
        while used.first().is_some_and(|(issued, _)| issued + VALID_SECONDS < second) {
            used.pop_first();
        }
        if used.len() >= USED_MAX {
            return Err(ApiError::busy("too many registrations at once"));
        }
        if used.insert((issued_at(nonce), *nonce)) { Ok(()) } else { Err(stale()) }
    }

    fn mac(&self, member: MemberId, head: &[u8]) -> [u8; 16] {
        let mut hasher = blake3::Hasher::new_keyed(&self.key);
        hasher.update(&member.0).update(head);
        let mut mac = [0; 16];
        hasher.finalize_xof().fill(&mut mac);
        mac
    }
}

fn issued_at(nonce: &Nonce) -> u64 {
    let [a, b, c, d, e, f, g, h, ..] = nonce.0;
    u64::from_le_bytes([a, b, c, d, e, f, g, h])
}

fn stale() -> ApiError {
    ApiError::forbidden("nonce", "the nonce was used, has run out, or is not this node's: get one from POST /v1/nonces")
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALICE: MemberId = MemberId([1; 16]);

    #[test]
    fn a_nonce_is_good_once_for_one_member_and_for_a_while() {
        let nonces = Nonces::new().unwrap();
        let nonce = nonces.issue(ALICE, 1000).unwrap();
        assert!(nonces.check(ALICE, &nonce, 1000 + VALID_SECONDS).is_ok());
        assert!(nonces.check(MemberId([2; 16]), &nonce, 1000).is_err());
        assert!(nonces.check(ALICE, &nonce, 1001 + VALID_SECONDS).is_err());
        assert!(nonces.check(ALICE, &nonce, 999).is_err());
        for byte in 0..32 {
            let mut forged = nonce;
            forged.0[byte] ^= 1;
            assert!(nonces.check(ALICE, &forged, 1000).is_err(), "byte {byte}");
        }
        nonces.spend(&nonce, 1000).unwrap();
        assert!(nonces.check(ALICE, &nonce, 1000).is_err());
        assert!(nonces.spend(&nonce, 1000).is_err());
    }

    #[test]
    fn used_nonces_are_forgotten_when_they_could_not_be_used_anyway() {
        let nonces = Nonces::new().unwrap();
        for second in 0..100 {
            nonces.spend(&nonces.issue(ALICE, second).unwrap(), second).unwrap();
        }
        nonces.spend(&nonces.issue(ALICE, 2000).unwrap(), 2000).unwrap();
        assert_eq!(nonces.used.lock().unwrap().len(), 1);
    }
}
