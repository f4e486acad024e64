//! `/v1/members`: who may use this node.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
};

use axum::{
    body::Body,
    extract::{Path, Request, State},
    http::{Response, StatusCode},
};
use griot_protocol::api::{MemberInfo, MemberToken, NewMember, Problem};

use super::{
    Api,
    auth::{self, Caller},
    body,
    error::ApiError,
    wall,
};
use crate::{
    config::MembersPolicy,
    runtime::{Handle, HandleError},
    store::{MemberId, MemberRow},
};

/// A label, in bytes: a name and a remark.
const LABEL_BYTES_MAX: usize = 128;

/// Members of one node: the size of a town. More than that is a network of several nodes.
const MEMBERS_MAX: usize = 100_000;

/// Newcomers that an open node takes at once, and then one per [`NEWCOMER_SECONDS`].
const NEWCOMERS_BURST: u64 = 20;

/// Seconds until an open node takes the next newcomer.
const NEWCOMER_SECONDS: u64 = 6;

/// Registrations read at a time when members are listed.
const REGISTRATIONS_STEP: usize = 1024;

/// How many newcomers an open node takes now: a token bucket in seconds of credit.
#[derive(Default)]
pub(super) struct Newcomers(Mutex<u64>);

impl Newcomers {
    /// `Err` says how many seconds to wait. The state is the second up to which credit is used.
    fn take(&self, now: u64) -> Result<(), u64> {
        let mut used_until = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let next = (*used_until).max(now) + NEWCOMER_SECONDS;
        let limit = now + NEWCOMERS_BURST * NEWCOMER_SECONDS;
        if next > limit {
            return Err(next - limit);
        }
        *used_until = next;
        Ok(())
    }
}

/// All members. Served on the Unix socket only.
#[utoipa::path(get, path = "/v1/members", tag = "members", operation_id = "members",
    responses(
        (status = 200, body = Vec<MemberInfo>),
        (status = 403, body = Problem, content_type = "application/problem+json"),
    ))]
pub(super) async fn list(State(api): State<Arc<Api>>, caller: Caller) -> Result<Response<Body>, ApiError> {
    caller.operator()?;
    let handle = api.handle.clone();
    let members = tokio::task::spawn_blocking(move || members(&handle)).await.map_err(ApiError::internal)??;
    body::json(StatusCode::OK, &members)
}

/// Adds a member. Served on the Unix socket only. The token is shown this once.
#[utoipa::path(post, path = "/v1/members", tag = "members", operation_id = "add_member",
    request_body = NewMember,
    responses(
        (status = 201, body = MemberToken),
        (status = "4XX", body = Problem, content_type = "application/problem+json"),
    ))]
pub(super) async fn add(
    State(api): State<Arc<Api>>,
    caller: Caller,
    request: Request,
) -> Result<Response<Body>, ApiError> {
    caller.operator()?;
    enrol(&api, body::read_json(request).await?).await
}

/// Makes the caller a member, where the node's members are `open`. The token is shown this once.
#[utoipa::path(post, path = "/v1/members/self", tag = "members", operation_id = "join",
    request_body = NewMember,
    responses(
        (status = 201, body = MemberToken),
        (status = 403, body = Problem, content_type = "application/problem+json", description = "ask the operator for a token"),
        (status = 429, body = Problem, content_type = "application/problem+json"),
    ))]
pub(super) async fn join(State(api): State<Arc<Api>>, request: Request) -> Result<Response<Body>, ApiError> {
    if api.policy != MembersPolicy::Open {
        return Err(ApiError::forbidden(
            "invite-only",
            "ask the operator of this node for a token (`griotd member add`)",
        ));
    }
    let newcomer = body::read_json(request).await?;
    api.newcomers.take(api.seconds()).map_err(|seconds| {
        let detail = format!("too many newcomers: wait {seconds} s");
        ApiError::new(StatusCode::TOO_MANY_REQUESTS, "rate", detail).retry_after(seconds)
    })?;
    enrol(&api, newcomer).await
}

/// Revokes a member: its token and its registrations end. Served on the Unix socket only.
#[utoipa::path(delete, path = "/v1/members/{id}", tag = "members", operation_id = "revoke_member",
    params(("id" = String, Path, description = "32 lowercase hex digits")),
    responses(
        (status = 204, description = "the revocation is on disk"),
        (status = "4XX", body = Problem, content_type = "application/problem+json"),
    ))]
pub(super) async fn revoke(
    State(api): State<Arc<Api>>,
    caller: Caller,
    Path(id): Path<String>,
) -> Result<Response<Body>, ApiError> {
    caller.operator()?;
    let member = parse_member(&id)?;
    api.handle.revoke_member(member).await?;
    api.tokens.remove(member);
    Ok(body::no_content())
}

async fn enrol(api: &Api, newcomer: NewMember) -> Result<Response<Body>, ApiError> {
    let label = newcomer.label.trim().to_owned();
    if label.len() > LABEL_BYTES_MAX || label.chars().any(char::is_control) {
        let detail = format!("a label is one line of at most {LABEL_BYTES_MAX} bytes");
        return Err(ApiError::bad_request(detail));
    }
    if api.tokens.len() >= MEMBERS_MAX {
        return Err(ApiError::new(
            StatusCode::INSUFFICIENT_STORAGE,
            "quota",
            "this node has all the members it can have",
        ));
    }
    let (member, token) = auth::new_member()?;
    let token_hash = auth::hash(token.as_bytes());
    api.handle.add_member(member, label, token_hash).await?;
    api.tokens.insert(member, token_hash);
    body::json(StatusCode::CREATED, &MemberToken { id: member_text(member), token })
}

fn members(handle: &Handle) -> Result<Vec<MemberInfo>, ApiError> {
    let store = handle.store();
    let mut held: BTreeMap<MemberId, (u64, u64)> = BTreeMap::new();
    let mut after = None;
    loop {
        let rows = store.all_registrations(after, REGISTRATIONS_STEP).map_err(HandleError::from)?;
        for row in &rows {
            let (mailboxes, bytes) = held.entry(row.member).or_default();
            *mailboxes += 1;
            *bytes += store.usage(&row.keys.address()).bytes;
        }
        after = rows.last().map(|row| (row.keys.address(), row.member));
        if rows.len() < REGISTRATIONS_STEP {
            break;
        }
    }
    let mut rows = handle.members()?;
    if held.contains_key(&MemberId::LOCAL) {
        let label = "(whoever opens api.sock)".to_owned();
        rows.insert(0, MemberRow { member: MemberId::LOCAL, label, token_hash: [0; 32], at: wall() });
    }
    let info = |row: MemberRow| {
        let (mailboxes, bytes) = held.get(&row.member).copied().unwrap_or_default();
        MemberInfo { id: member_text(row.member), label: row.label, mailboxes, bytes, added_at: row.at }
    };
    Ok(rows.into_iter().map(info).collect())
}

fn member_text(member: MemberId) -> String {
    data_encoding::HEXLOWER.encode(&member.0)
}

fn parse_member(text: &str) -> Result<MemberId, ApiError> {
    let bytes = data_encoding::HEXLOWER.decode(text.as_bytes()).ok();
    let id = bytes.and_then(|bytes| <[u8; 16]>::try_from(bytes).ok());
    id.map(MemberId).ok_or_else(|| ApiError::bad_request("a member's id is 32 lowercase hex digits"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_open_node_takes_a_burst_and_then_a_trickle() {
        let newcomers = Newcomers::default();
        for _ in 0..NEWCOMERS_BURST {
            newcomers.take(1000).unwrap();
        }
        assert_eq!(newcomers.take(1000), Err(NEWCOMER_SECONDS));
        assert_eq!(newcomers.take(1003), Err(NEWCOMER_SECONDS - 3));
        newcomers.take(1006).unwrap();
        assert!(newcomers.take(1006).is_err());
    }
}
