//! Who calls: bearer tokens to members.
//!
//! The node keeps only BLAKE3 hashes of tokens. They are looked up under a second hash, keyed with a secret of this
//! process: how long a look-up takes then depends on a number that no caller can know or steer, so timing tells nothing
//! about the tokens that exist.

use std::{
    collections::BTreeMap,
    sync::{PoisonError, RwLock},
};

use axum::{
    extract::FromRequestParts,
    http::{StatusCode, request::Parts},
};

use super::{error::ApiError, serve::ServeError};
use crate::store::{MemberId, MemberRow};

/// What every token begins with, so that people and secret scanners know one when they see it.
const TOKEN_PREFIX: &str = "grt_";

/// Secret bytes in a token.
const TOKEN_BYTES: usize = 32;

/// A token is longer than this in no version: what is longer is not hashed.
const TOKEN_CHARS_MAX: usize = 256;

/// Who calls, as the gate found out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Caller {
    /// Whoever can open the Unix socket: a member and the operator.
    Operator,
    /// A member, by token.
    Member(MemberId),
    /// Nobody in particular.
    Anonymous,
}

impl Caller {
    /// The member who calls.
    pub(super) fn member(self) -> Result<MemberId, ApiError> {
        match self {
            Self::Operator => Ok(MemberId::LOCAL),
            Self::Member(member) => Ok(member),
            Self::Anonymous => Err(ApiError::unauthorized(
                "this needs a member's token (Authorization: Bearer …); the operator makes one with `griotd member add`",
            )),
        }
    }

    /// Refuses everybody but the operator.
    pub(super) fn operator(self) -> Result<(), ApiError> {
        match self {
            Self::Operator => Ok(()),
            Self::Member(_) | Self::Anonymous => {
                Err(ApiError::forbidden("operator-only", "this is served on the node's Unix socket only"))
            }
        }
    }
}

impl<S: Sync> FromRequestParts<S> for Caller {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, ApiError> {
        // The gate puts it there; a request that came round it is nobody's.
        Ok(parts.extensions.get().copied().unwrap_or(Self::Anonymous))
    }
}

/// The members' tokens.
pub(super) struct Tokens {
    key: [u8; 32],
    members: RwLock<Members>,
}

#[derive(Default)]
struct Members {
    by_hash: BTreeMap<[u8; 32], MemberId>,
    by_member: BTreeMap<MemberId, [u8; 32]>,
}

impl Tokens {
    pub(super) fn new(members: &[MemberRow]) -> Result<Self, ServeError> {
        let tokens = Self { key: secret()?, members: RwLock::default() };
        for row in members {
            tokens.insert(row.member, row.token_hash);
        }
        Ok(tokens)
    }

    /// The member that holds `token`.
    pub(super) fn member(&self, token: &[u8]) -> Result<MemberId, ApiError> {
        let known = (token.len() <= TOKEN_CHARS_MAX).then(|| self.place(&hash(token)));
        let members = self.members.read().unwrap_or_else(PoisonError::into_inner);
        known
            .and_then(|place| members.by_hash.get(&place).copied())
            .ok_or_else(|| ApiError::unauthorized("the token is not valid on this node, or was revoked"))
    }

    pub(super) fn insert(&self, member: MemberId, token_hash: [u8; 32]) {
        let place = self.place(&token_hash);
        let mut members = self.members.write().unwrap_or_else(PoisonError::into_inner);
        members.by_hash.insert(place, member);
        members.by_member.insert(member, place);
    }

    pub(super) fn remove(&self, member: MemberId) {
        let mut members = self.members.write().unwrap_or_else(PoisonError::into_inner);
        if let Some(place) = members.by_member.remove(&member) {
            members.by_hash.remove(&place);
        }
    }

    /// Whether the member may still call.
    pub(super) fn holds(&self, member: MemberId) -> bool {
        let members = self.members.read().unwrap_or_else(PoisonError::into_inner);
        member == MemberId::LOCAL || members.by_member.contains_key(&member)
    }

    pub(super) fn len(&self) -> usize {
        self.members.read().unwrap_or_else(PoisonError::into_inner).by_member.len()
    }

    fn place(&self, token_hash: &[u8; 32]) -> [u8; 32] {
        *blake3::keyed_hash(&self.key, token_hash).as_bytes()
    }
}

/// A new member's id and token.
pub(super) fn new_member() -> Result<(MemberId, String), ApiError> {
    let (mut id, mut token) = ([0; 16], [0; TOKEN_BYTES]);
    let drawn = getrandom::fill(&mut id).and_then(|()| getrandom::fill(&mut token));
    drawn.map_err(|error| ApiError::new(StatusCode::SERVICE_UNAVAILABLE, "random", error.to_string()))?;
    let text = data_encoding::BASE32_NOPAD.encode(&token).to_ascii_lowercase();
    Ok((MemberId(id), format!("{TOKEN_PREFIX}{text}")))
}

/// What the node keeps of a token.
pub(super) fn hash(token: &[u8]) -> [u8; 32] {
    *blake3::hash(token).as_bytes()
}

/// A secret of this process.
pub(super) fn secret() -> Result<[u8; 32], ServeError> {
    let mut key = [0; 32];
    getrandom::fill(&mut key).map_err(|error| ServeError::Start(format!("the system gives no randomness: {error}")))?;
    Ok(key)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_names_its_member_until_it_is_revoked() {
        let (alice, token) = new_member().unwrap();
        let (bob, other) = new_member().unwrap();
        assert!(token.starts_with("grt_") && token.len() == 56 && token != other);
        let tokens = Tokens::new(&[]).unwrap();
        tokens.insert(alice, hash(token.as_bytes()));
        assert_eq!(tokens.member(token.as_bytes()).unwrap(), alice);
        assert!(tokens.member(other.as_bytes()).is_err());
        assert!(tokens.member(b"").is_err());
        assert!(tokens.member(&[b'a'; 10_000]).is_err());
        assert!(tokens.holds(alice) && !tokens.holds(bob));
        tokens.remove(alice);
        assert!(tokens.member(token.as_bytes()).is_err() && !tokens.holds(alice));
    }
}
