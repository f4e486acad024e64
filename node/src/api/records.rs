//! `/v1/records`: hand in a record, ask what became of it.

use std::sync::Arc;

use axum::{
    body::Body,
    extract::{Path, Request, State},
    http::{Response, StatusCode},
};
use griot_protocol::{
    RecordId,
    api::{Accepted, Problem, RecordStatus},
    limits::FRAME_BYTES_MAX,
};

use super::{
    Api,
    auth::Caller,
    body::{self, OCTET_STREAM},
    error::ApiError,
};

/// Hands in a record: its raw frame.
///
/// 202 means that the record is on this node's disk.
#[utoipa::path(
    post, path = "/v1/records", tag = "records", operation_id = "submit",
    request_body(content = Vec<u8>, content_type = "application/octet-stream", description = "one frame, at most 68 KiB"),
    responses(
        (status = 202, body = Accepted),
        (status = "4XX", body = Problem, content_type = "application/problem+json"),
        (status = "5XX", body = Problem, content_type = "application/problem+json"),
    )
)]
pub(super) async fn submit(
    State(api): State<Arc<Api>>,
    caller: Caller,
    request: Request,
) -> Result<Response<Body>, ApiError> {
    let member = caller.member()?;
    body::require_type(request.headers(), OCTET_STREAM)?;
    let frame = body::read(request.into_body(), FRAME_BYTES_MAX).await?;
    let accepted = api.handle.submit(member, frame).await?;
    body::json(StatusCode::ACCEPTED, &accepted)
}

/// What this node can show about a record: its state, and the raw receipts and acks that name it.
#[utoipa::path(
    get, path = "/v1/records/{id}", tag = "records", operation_id = "record",
    params(("id" = String, Path, description = "64 lowercase hex digits")),
    responses(
        (status = 200, body = RecordStatus),
        (status = 404, body = Problem, content_type = "application/problem+json", description = "never heard of it"),
    )
)]
pub(super) async fn status(
    State(api): State<Arc<Api>>,
    caller: Caller,
    Path(id): Path<String>,
) -> Result<Response<Body>, ApiError> {
    caller.member()?;
    let id: RecordId = id.parse().map_err(|error| ApiError::bad_request(format!("a record's id: {error}")))?;
    match api.handle.record_status(&id).await? {
        Some(status) => body::json(StatusCode::OK, &status),
        None => Err(ApiError::new(StatusCode::NOT_FOUND, "not-found", "this node knows no such record")),
    }
}
