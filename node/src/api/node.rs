//! `/v1/node`, `/v1/peers` and `/v1/report`: who answers, how it stands with its peers, and how it does.

use std::sync::Arc;

use axum::{
    body::Body,
    extract::State,
    http::{Response, StatusCode},
};
use griot_protocol::api::{NodeInfo, NodeReport, PeerInfo, Problem};

use super::{Api, auth::Caller, body, error::ApiError};

/// Who answers, and what a client must know before it makes records for this network.
#[utoipa::path(
    get, path = "/v1/node", tag = "node", operation_id = "node",
    responses(
        (status = 200, body = NodeInfo),
        (status = 401, body = Problem, content_type = "application/problem+json"),
    )
)]
pub(super) async fn info(State(api): State<Arc<Api>>, caller: Caller) -> Result<Response<Body>, ApiError> {
    caller.member()?;
    body::json(StatusCode::OK, &api.handle.info().await?)
}

/// Connected, configured and remembered peers, with how it stands with each. Their addresses are the operator's business: served on the Unix socket only.
#[utoipa::path(
    get, path = "/v1/peers", tag = "node", operation_id = "peers",
    responses(
        (status = 200, body = Vec<PeerInfo>),
        (status = 403, body = Problem, content_type = "application/problem+json"),
    )
)]
pub(super) async fn peers(State(api): State<Arc<Api>>, caller: Caller) -> Result<Response<Body>, ApiError> {
    caller.operator()?;
    body::json(StatusCode::OK, &api.handle.peers().await?)
}

/// How the node does: what waits in its outbox and why, which mailboxes are under-replicated, what was refused, how long
/// the disk will last, and how its clock stands. The operator's business: served on the Unix socket only.
#[utoipa::path(
    get, path = "/v1/report", tag = "node", operation_id = "report",
    responses(
        (status = 200, body = NodeReport),
        (status = 403, body = Problem, content_type = "application/problem+json"),
    )
)]
pub(super) async fn report(State(api): State<Arc<Api>>, caller: Caller) -> Result<Response<Body>, ApiError> {
    caller.operator()?;
    body::json(StatusCode::OK, &api.report().await?)
}
