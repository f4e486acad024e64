//! `/v1/mailboxes` and `/v1/nonces`: register a mailbox, read it, give it up.

use std::sync::Arc;

use axum::{
    body::Body,
    extract::{Path, Query, Request, State},
    http::{HeaderValue, Response, StatusCode, header},
};
use griot_protocol::{
    Address, Cursor, MailboxKeys, Proof, ProofMethod,
    api::{Nonces, Problem, Registered, Registration, Unregistration},
    feed,
};
use serde::Deserialize;

use super::{
    Api,
    auth::Caller,
    body::{self, OCTET_STREAM},
    error::ApiError,
    nonces::{PER_CALL_MAX, VALID_SECONDS},
    wall,
};
use crate::{
    runtime::{Handle, PAGE_ENTRIES_MAX, Page},
    store::MemberId,
};

/// Says whether a page is not the last.
const MORE_HEADER: &str = "griot-more";

/// Nonces in one answer unless asked otherwise.
const NONCES_DEFAULT: usize = 8;

/// What `POST /v1/nonces` may be asked.
#[derive(Deserialize)]
pub(super) struct NoncesQuery {
    count: Option<usize>,
}

/// What a page may be asked.
#[derive(Deserialize)]
pub(super) struct PageQuery {
    after: Option<Cursor>,
    max: Option<usize>,
}

/// Nonces for proofs: each is good once, for this member, for five minutes.
#[utoipa::path(
    post, path = "/v1/nonces", tag = "mailboxes", operation_id = "nonces",
    params(("count" = Option<usize>, Query, description = "how many, 1 to 64; 8 unless told")),
    responses(
        (status = 201, body = Nonces),
        (status = 401, body = Problem, content_type = "application/problem+json"),
    )
)]
pub(super) async fn nonces(
    State(api): State<Arc<Api>>,
    caller: Caller,
    Query(query): Query<NoncesQuery>,
) -> Result<Response<Body>, ApiError> {
    let answer = nonces_for(&api, caller.member()?, query.count)?;
    body::json(StatusCode::CREATED, &answer)
}

/// As [`nonces`], whichever way the member came.
pub(super) fn nonces_for(api: &Api, member: MemberId, count: Option<usize>) -> Result<Nonces, ApiError> {
    let count = count.unwrap_or(NONCES_DEFAULT).clamp(1, PER_CALL_MAX);
    let second = api.seconds();
    let nonces = (0..count).map(|_| api.nonces.issue(member, second)).collect::<Result<_, _>>()?;
    Ok(Nonces { node_id: api.handle.node_id(), nonces, valid_seconds: VALID_SECONDS })
}

/// Registers a mailbox: from then on the node keeps its mail for the member, and vouches for it with receipts.
///
/// Registering again renews the grant.
#[utoipa::path(
    put, path = "/v1/mailboxes/{address}", tag = "mailboxes", operation_id = "register",
    params(("address" = String, Path, description = "64 lowercase hex digits")),
    request_body = Registration,
    responses(
        (status = 200, body = Registered),
        (status = "4XX", body = Problem, content_type = "application/problem+json"),
        (status = 507, body = Problem, content_type = "application/problem+json", description = "a quota is used up"),
    )
)]
pub(super) async fn register(
    State(api): State<Arc<Api>>,
    caller: Caller,
    Path(address): Path<String>,
    request: Request,
) -> Result<Response<Body>, ApiError> {
    let member = caller.member()?;
    let address = parse_address(&address)?;
    let registered = register_for(&api, member, address, body::read_json(request).await?).await?;
    body::json(StatusCode::OK, &registered)
}

/// As [`register`], whichever way the member came.
pub(super) async fn register_for(
    api: &Api,
    member: MemberId,
    address: Address,
    body: Registration,
) -> Result<Registered, ApiError> {
    let Registration { keys, grant, proof } = body;
    let claim = Claim { api, member, address, keys: &keys, proof: &proof };
    claim.check(ProofMethod::Register, || {
        let now = wall();
        grant.verify(&api.handle.params().name, &keys.collect, &address, &api.handle.node_id())?;
        if grant.until <= now {
            return Err(ApiError::new(StatusCode::UNPROCESSABLE_ENTITY, "grant", "the grant has run out"));
        }
        if !grant.is_bounded(now) {
            let detail = "the grant runs for longer than 400 days";
            return Err(ApiError::new(StatusCode::UNPROCESSABLE_ENTITY, "grant", detail));
        }
        Ok(())
    })?;
    api.handle.register(member, keys, grant).await?;
    let cursor = Cursor { epoch: api.handle.store().epoch(), position: 0 };
    Ok(Registered { address, cursor })
}

/// Ends the member's registration of a mailbox.
#[utoipa::path(
    delete, path = "/v1/mailboxes/{address}", tag = "mailboxes", operation_id = "unregister",
    params(("address" = String, Path, description = "64 lowercase hex digits")),
    request_body = Unregistration,
    responses(
        (status = 204, description = "the end of the registration is on disk"),
        (status = "4XX", body = Problem, content_type = "application/problem+json"),
    )
)]
pub(super) async fn unregister(
    State(api): State<Arc<Api>>,
    caller: Caller,
    Path(address): Path<String>,
    request: Request,
) -> Result<Response<Body>, ApiError> {
    let member = caller.member()?;
    let address = parse_address(&address)?;
    unregister_for(&api, member, address, body::read_json(request).await?).await?;
    Ok(body::no_content())
}

/// As [`unregister`], whichever way the member came.
pub(super) async fn unregister_for(
    api: &Api,
    member: MemberId,
    address: Address,
    body: Unregistration,
) -> Result<(), ApiError> {
    let Unregistration { keys, proof } = body;
    let claim = Claim { api, member, address, keys: &keys, proof: &proof };
    claim.check(ProofMethod::Unregister, || Ok(()))?;
    Ok(api.handle.unregister(member, address).await?)
}

/// A page of a mailbox's envelopes, after a cursor. Only for a member that has registered it.
///
/// The answer is a sequence of `[epoch u64 LE][position u64 LE][len u32 LE][frame]`; the header `griot-more` says
/// whether more wait.
#[utoipa::path(
    get, path = "/v1/mailboxes/{address}/records", tag = "mailboxes", operation_id = "page",
    params(
        ("address" = String, Path, description = "64 lowercase hex digits"),
        ("after" = Option<String>, Query, description = "the last cursor seen; none reads from the start"),
        ("max" = Option<usize>, Query, description = "envelopes at most, up to 1000; a page also ends at 1 MiB"),
    ),
    responses(
        (status = 200, body = Vec<u8>, content_type = "application/octet-stream",
         headers(("griot-more" = bool, description = "whether more wait"))),
        (status = 403, body = Problem, content_type = "application/problem+json", description = "not registered by this member"),
    )
)]
pub(super) async fn page(
    State(api): State<Arc<Api>>,
    caller: Caller,
    Path(address): Path<String>,
    Query(query): Query<PageQuery>,
) -> Result<Response<Body>, ApiError> {
    let member = caller.member()?;
    let address = parse_address(&address)?;
    let max = query.max.unwrap_or(PAGE_ENTRIES_MAX).clamp(1, PAGE_ENTRIES_MAX);
    let handle = api.handle.clone();
    // Up to a MiB from disk: not on a thread that answers others.
    let read = tokio::task::spawn_blocking(move || read_page(&handle, member, &address, query.after, max));
    let (bytes, more) = read.await.map_err(ApiError::internal)??;
    let mut response = Response::new(Body::from(bytes));
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(OCTET_STREAM));
    headers.insert(MORE_HEADER, HeaderValue::from_static(if more { "true" } else { "false" }));
    Ok(response)
}

fn read_page(
    handle: &Handle,
    member: MemberId,
    address: &Address,
    after: Option<Cursor>,
    max: usize,
) -> Result<(Vec<u8>, bool), ApiError> {
    let page = page_for(handle, member, address, after, max)?;
    let bytes = page.entries.iter().map(|(_, _, frame)| frame.len() + 20).sum();
    let mut feed = Vec::with_capacity(bytes);
    for (cursor, _, frame) in &page.entries {
        feed::push_to_page(&mut feed, *cursor, frame);
    }
    Ok((feed, page.more))
}

/// A page of a mailbox, for a member that has registered it.
pub(super) fn page_for(
    handle: &Handle,
    member: MemberId,
    address: &Address,
    after: Option<Cursor>,
    max: usize,
) -> Result<Page, ApiError> {
    let registered = handle.store().registrations(address).map_err(crate::runtime::HandleError::from)?;
    if !registered.iter().any(|row| row.member == member) {
        return Err(ApiError::forbidden("not-registered", "register the mailbox first: PUT /v1/mailboxes/{address}"));
    }
    Ok(handle.page(address, after, max)?)
}

/// That `member` holds the collect secret of the mailbox at `address`.
struct Claim<'a> {
    api: &'a Api,
    member: MemberId,
    address: Address,
    keys: &'a MailboxKeys,
    proof: &'a Proof,
}

impl Claim<'_> {
    /// Checks the claim, then what else the call asks, and uses up the nonce only then: a mistake costs no nonce, and
    /// a success can never be repeated.
    fn check(&self, method: ProofMethod, also: impl FnOnce() -> Result<(), ApiError>) -> Result<(), ApiError> {
        let api = self.api;
        if self.keys.address() != self.address {
            return Err(ApiError::bad_request("the mailbox's keys do not have the address in the path"));
        }
        let second = api.seconds();
        api.nonces.check(self.member, &self.proof.nonce, second)?;
        let (network, node) = (&api.handle.params().name, api.handle.node_id());
        self.proof.verify(network, &self.keys.collect, &node, method, &self.address).map_err(|_| {
            ApiError::forbidden("proof", "the proof was not signed by the mailbox's collect key for this node and call")
        })?;
        also()?;
        api.nonces.spend(&self.proof.nonce, second)
    }
}

fn parse_address(text: &str) -> Result<Address, ApiError> {
    text.parse().map_err(|error| ApiError::bad_request(format!("a mailbox's address: {error}")))
}
