//! Bodies: read no more than may come, and only what says it is the right thing.

use axum::{
    body::{Body, Bytes},
    extract::Request,
    http::{HeaderMap, HeaderValue, Response, StatusCode, header},
};
use http_body_util::{BodyExt, LengthLimitError, Limited};
use serde::{Serialize, de::DeserializeOwned};

use super::error::ApiError;

pub(super) const OCTET_STREAM: &str = "application/octet-stream";
pub(super) const JSON: &str = "application/json";

/// A JSON request: the largest, a registration, has about 800 bytes; newer clients may say more.
pub(super) const JSON_BYTES_MAX: usize = 16 * 1024;

/// Refuses a body that is not declared to be `wanted`. A web page cannot declare either type across origins without
/// the browser asking first, which is one more lock against forged requests.
pub(super) fn require_type(headers: &HeaderMap, wanted: &'static str) -> Result<(), ApiError> {
    let given = headers.get(header::CONTENT_TYPE).map(HeaderValue::as_bytes).unwrap_or_default();
    let media_type = given.split(|byte| *byte == b';').next().unwrap_or_default().trim_ascii();
    if media_type.eq_ignore_ascii_case(wanted.as_bytes()) {
        return Ok(());
    }
    let detail = format!("send the body as Content-Type: {wanted}");
    Err(ApiError::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "unsupported-media-type", detail))
}

/// The whole body, at most `max` bytes. Costs no copy where the body came in one piece.
pub(super) async fn read(body: Body, max: usize) -> Result<Bytes, ApiError> {
    match Limited::new(body, max).collect().await {
        Ok(collected) => Ok(collected.to_bytes()),
        Err(error) if error.is::<LengthLimitError>() => {
            let detail = format!("the body may have at most {max} bytes");
            Err(ApiError::new(StatusCode::PAYLOAD_TOO_LARGE, "oversized", detail))
        }
        Err(_) => Err(ApiError::bad_request("the body ended early")),
    }
}

/// A JSON body. Unknown fields are ignored.
pub(super) async fn read_json<T: DeserializeOwned>(request: Request) -> Result<T, ApiError> {
    require_type(request.headers(), JSON)?;
    let bytes = read(request.into_body(), JSON_BYTES_MAX).await?;
    serde_json::from_slice(&bytes)
        .map_err(|error| ApiError::bad_request(format!("the body is not as it should be: {error}")))
}

/// A JSON answer.
pub(super) fn json<T: Serialize>(status: StatusCode, value: &T) -> Result<Response<Body>, ApiError> {
    let bytes = serde_json::to_vec(value).map_err(ApiError::internal)?;
    let mut response = Response::new(Body::from(bytes));
    *response.status_mut() = status;
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(JSON));
    Ok(response)
}

/// An answer without a body.
pub(super) fn no_content() -> Response<Body> {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = StatusCode::NO_CONTENT;
    response
}
