//! `/health` and `/metrics`: for whoever watches over the node. No token, no secrets.

use std::{sync::Arc, time::Duration};

use axum::{
    body::Body,
    extract::State,
    http::{HeaderValue, Response, StatusCode, header},
};
use griot_protocol::api::Problem;
use serde::Serialize;
use utoipa::ToSchema;

use super::{Api, Phase, auth::Caller, body, error::ApiError};

/// How long the node may take to answer for itself before it counts as not ready.
const READY_TIMEOUT: Duration = Duration::from_secs(2);

/// The media type of OpenMetrics text.
const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// How the node is.
#[derive(Serialize, ToSchema)]
pub(super) struct Health {
    /// `live` or `ready`.
    status: &'static str,
}

/// Whether the process runs and answers.
#[utoipa::path(get, path = "/health/live", tag = "health", operation_id = "live",
    responses((status = 200, body = Health)))]
pub(super) async fn live() -> Result<Response<Body>, ApiError> {
    body::json(StatusCode::OK, &Health { status: "live" })
}

/// Whether the node takes records: its relay answers, it is not shutting down, and its disk is not full.
#[utoipa::path(get, path = "/health/ready", tag = "health", operation_id = "ready",
    responses(
        (status = 200, body = Health),
        (status = 503, body = Problem, content_type = "application/problem+json"),
    ))]
pub(super) async fn ready(State(api): State<Arc<Api>>) -> Result<Response<Body>, ApiError> {
    if *api.phase.borrow() != Phase::Serving {
        return Err(crate::runtime::HandleError::Closed.into());
    }
    match tokio::time::timeout(READY_TIMEOUT, api.handle.is_full()).await {
        Ok(Ok(false)) => {}
        Ok(Ok(true)) => return Err(ApiError::full()),
        Ok(Err(error)) => return Err(error.into()),
        Err(_) => return Err(ApiError::busy("the node does not answer for itself")),
    }
    body::json(StatusCode::OK, &Health { status: "ready" })
}

/// Prometheus metrics: on the Unix socket, and on the metrics listener where there is one.
#[utoipa::path(get, path = "/metrics", tag = "health", operation_id = "metrics",
    responses(
        (status = 200, body = String, content_type = "application/openmetrics-text"),
        (status = 403, body = Problem, content_type = "application/problem+json"),
    ))]
pub(super) async fn metrics(State(api): State<Arc<Api>>, scraper: Scraper) -> Result<Response<Body>, ApiError> {
    let Scraper = scraper;
    // A node that does not answer for itself still shows its counters.
    if let Ok(Ok(report)) = tokio::time::timeout(READY_TIMEOUT, api.report()).await {
        api.exposition.metrics().reported().show(&report);
    }
    if let Ok(Ok(peers)) = tokio::time::timeout(READY_TIMEOUT, api.handle.peers()).await {
        api.exposition.metrics().reported().show_peers(&peers);
    }
    let mut response = Response::new(Body::from(api.render_metrics()));
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(OPEN_METRICS));
    Ok(response)
}

/// Whoever may read metrics: the operator, and whoever reaches the metrics listener.
pub(super) struct Scraper;

/// The metrics listener puts this into its requests.
#[derive(Clone, Copy)]
pub(super) struct MetricsDoor;

impl<S: Sync> axum::extract::FromRequestParts<S> for Scraper {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut axum::http::request::Parts, state: &S) -> Result<Self, ApiError> {
        if parts.extensions.get::<MetricsDoor>().is_none() {
            Caller::from_request_parts(parts, state).await?.operator()?;
        }
        Ok(Self)
    }
}
