//! Errors as [RFC 9457](https://www.rfc-editor.org/rfc/rfc9457) problems, each with a stable reason.

use std::borrow::Cow;

use axum::{
    body::Body,
    http::{HeaderValue, Response, StatusCode, header},
    response::IntoResponse,
};
use griot_protocol::{
    Class, Refusal,
    api::{PROBLEM_PREFIX, Problem},
};

use crate::{relay::CallError, runtime::HandleError, store::StoreError};

/// The media type of problems.
pub(super) const PROBLEM_JSON: &str = "application/problem+json";

/// Of a foreign error's text, this much becomes a problem's `detail`.
const DETAIL_BYTES_MAX: usize = 4096;

/// Why a request is not answered as asked.
#[derive(Debug)]
pub(super) struct ApiError {
    status: StatusCode,
    reason: &'static str,
    detail: Cow<'static, str>,
    retry_after_seconds: Option<u64>,
}

impl ApiError {
    pub(super) fn new(status: StatusCode, reason: &'static str, detail: impl Into<Cow<'static, str>>) -> Self {
        Self { status, reason, detail: detail.into(), retry_after_seconds: None }
    }

    pub(super) fn bad_request(detail: impl Into<Cow<'static, str>>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "bad-request", detail)
    }

    pub(super) fn unauthorized(detail: impl Into<Cow<'static, str>>) -> Self {
        Self::new(StatusCode::UNAUTHORIZED, "unauthorized", detail)
    }

    pub(super) fn forbidden(reason: &'static str, detail: impl Into<Cow<'static, str>>) -> Self {
        Self::new(StatusCode::FORBIDDEN, reason, detail)
    }

    pub(super) fn busy(detail: impl Into<Cow<'static, str>>) -> Self {
        Self::new(StatusCode::SERVICE_UNAVAILABLE, "busy", detail).retry_after(1)
    }

    /// Reads and acks go on, and nothing helps but room.
    pub(super) fn full() -> Self {
        let detail = "the disk is full: new records are refused until there is room";
        Self::new(StatusCode::SERVICE_UNAVAILABLE, "disk-full", detail).retry_after(10)
    }

    pub(super) fn internal(detail: impl std::fmt::Display) -> Self {
        tracing::error!(%detail, "a request failed");
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, "internal", detail.to_string())
    }

    pub(super) fn retry_after(mut self, seconds: u64) -> Self {
        self.retry_after_seconds = Some(seconds);
        self
    }
}

impl From<Refusal> for ApiError {
    fn from(refusal: Refusal) -> Self {
        let status = match refusal {
            Refusal::Oversized => StatusCode::PAYLOAD_TOO_LARGE,
            // What cannot be read as a record at all, and what can but breaks a rule.
            Refusal::Truncated | Refusal::Length | Refusal::Malformed | Refusal::Trailing | Refusal::NotCanonical => {
                StatusCode::BAD_REQUEST
            }
            _ => StatusCode::UNPROCESSABLE_ENTITY,
        };
        let hint = match refusal.class() {
            Class::Time => "; compare this machine's clock with GET /v1/node",
            Class::Unknown => "; the node may be older than the client",
            Class::Unwanted => "; GET /v1/node says what is wanted now",
            Class::Invalid => "",
        };
        Self::new(status, refusal.reason(), format!("{refusal}{hint}"))
    }
}

impl From<CallError> for ApiError {
    fn from(error: CallError) -> Self {
        let detail = error.to_string();
        match error {
            CallError::Refused(refusal) => refusal.into(),
            CallError::Quota(_) => Self::new(StatusCode::INSUFFICIENT_STORAGE, "quota", detail),
            CallError::Rate(seconds) => {
                Self::new(StatusCode::TOO_MANY_REQUESTS, "rate", detail).retry_after(seconds.max(1))
            }
            CallError::Storage(_) => Self::new(StatusCode::INSUFFICIENT_STORAGE, "storage", detail),
            CallError::Busy => Self::busy(detail),
            CallError::NotFound => Self::new(StatusCode::NOT_FOUND, "not-found", detail),
        }
    }
}

impl From<HandleError> for ApiError {
    fn from(error: HandleError) -> Self {
        match error {
            HandleError::Call(error) => error.into(),
            HandleError::Store(error @ (StoreError::Full | StoreError::Stopped(_))) => {
                Self::new(StatusCode::INSUFFICIENT_STORAGE, "storage", error.to_string())
            }
            HandleError::Store(error) => Self::internal(error),
            HandleError::Closed => {
                Self::new(StatusCode::SERVICE_UNAVAILABLE, "shutting-down", error.to_string()).retry_after(5)
            }
        }
    }
}

impl From<ApiError> for Problem {
    fn from(error: ApiError) -> Self {
        problem(error.status, format!("{PROBLEM_PREFIX}{}", error.reason), error.detail.into_owned())
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> axum::response::Response {
        let kind = format!("{PROBLEM_PREFIX}{}", self.reason);
        let mut response = respond(self.status, &problem(self.status, kind, self.detail.into_owned()));
        if let Some(seconds) = self.retry_after_seconds {
            response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        if self.status == StatusCode::UNAUTHORIZED {
            response.headers_mut().insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer realm=\"griot\""));
        }
        response
    }
}

fn problem(status: StatusCode, kind: String, detail: String) -> Problem {
    let title = status.canonical_reason().unwrap_or("Error").to_owned();
    Problem { kind, title, status: status.as_u16(), detail }
}

fn respond(status: StatusCode, problem: &Problem) -> Response<Body> {
    let mut response = Response::new(Body::from(serde_json::to_vec(problem).unwrap_or_default()));
    *response.status_mut() = status;
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(PROBLEM_JSON));
    response
}

/// Makes a problem of an error that the framework worded: its text becomes the detail, its other headers stay.
pub(super) async fn as_problem(response: Response<Body>) -> Response<Body> {
    let status = response.status();
    let is_problem = response.headers().get(header::CONTENT_TYPE).is_some_and(|kind| kind == PROBLEM_JSON);
    if !(status.is_client_error() || status.is_server_error()) || is_problem {
        return response;
    }
    let (parts, body) = response.into_parts();
    let text = axum::body::to_bytes(body, DETAIL_BYTES_MAX).await.unwrap_or_default();
    let (reason, fallback) = match status {
        StatusCode::NOT_FOUND => ("not-found", "there is nothing at this path; see /openapi.json"),
        StatusCode::METHOD_NOT_ALLOWED => ("method-not-allowed", "see the Allow header and /openapi.json"),
        StatusCode::PAYLOAD_TOO_LARGE => ("oversized", "the body is too large"),
        _ if status.is_client_error() => ("bad-request", "the request cannot be understood"),
        _ => ("internal", "the node failed to answer; its log says more"),
    };
    let detail = if text.is_empty() { fallback.to_owned() } else { String::from_utf8_lossy(&text).into_owned() };
    let mut response = respond(status, &problem(status, format!("{PROBLEM_PREFIX}{reason}"), detail));
    for (name, value) in &parts.headers {
        if name != header::CONTENT_TYPE && name != header::CONTENT_LENGTH {
            response.headers_mut().insert(name, value.clone());
        }
    }
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_error_has_its_status() {
        let status = |error: CallError| ApiError::from(HandleError::from(error)).into_response().status().as_u16();
        assert_eq!(status(CallError::Refused(Refusal::Truncated)), 400);
        assert_eq!(status(CallError::Refused(Refusal::Oversized)), 413);
        assert_eq!(status(CallError::Refused(Refusal::Signature)), 422);
        assert_eq!(status(CallError::Refused(Refusal::Expired)), 422);
        assert_eq!(status(CallError::Quota("full".into())), 507);
        assert_eq!(status(CallError::Storage("full".into())), 507);
        assert_eq!(status(CallError::NotFound), 404);
        let rate = ApiError::from(CallError::Rate(0)).into_response();
        assert_eq!(rate.status(), 429);
        assert_eq!(rate.headers()[header::RETRY_AFTER], "1");
        let busy = ApiError::from(CallError::Busy).into_response();
        assert_eq!(busy.status(), 503);
        assert_eq!(busy.headers()[header::RETRY_AFTER], "1");
        assert_eq!(ApiError::from(HandleError::Closed).into_response().status(), 503);
    }
}
