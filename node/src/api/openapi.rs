//! `/openapi.json`: the API described for programs. A test holds it to the routes that exist.

use std::sync::LazyLock;

use axum::{
    body::{Body, Bytes},
    http::{HeaderValue, Response, header},
};
use utoipa::{
    Modify, OpenApi,
    openapi::{
        Components,
        security::{Http, HttpAuthScheme, SecurityScheme},
    },
};

use super::{body::JSON, bundle, error::ApiError, health, mailboxes, members, node, records, stream};

#[derive(OpenApi)]
#[openapi(
    info(
        title = "Griot local daemon API",
        description = "How clients speak to a Griot node: over its Unix socket, or over TCP with a bearer token. \
                       Records are raw frames; everything else is JSON. Ignore fields that you do not know.",
        license(name = "MIT OR Apache-2.0", identifier = "MIT OR Apache-2.0"),
    ),
    paths(
        records::submit, records::status,
        mailboxes::register, mailboxes::unregister, mailboxes::page, mailboxes::nonces,
        stream::open,
        node::info, node::peers,
        members::list, members::add, members::join, members::revoke,
        bundle::export, bundle::import, bundle::backup, bundle::verify,
        serve,
        health::live, health::ready, health::metrics,
    ),
    components(schemas(griot_protocol::api::StreamRequest, griot_protocol::api::StreamEvent)),
    modifiers(&Tokens),
    security(("token" = [])),
)]
struct Document;

struct Tokens;

impl Modify for Tokens {
    fn modify(&self, document: &mut utoipa::openapi::OpenApi) {
        let components = document.components.get_or_insert_with(Components::new);
        components.add_security_scheme("token", SecurityScheme::Http(Http::new(HttpAuthScheme::Bearer)));
    }
}

/// The OpenAPI document, as JSON text.
#[must_use]
pub fn document() -> String {
    Document::openapi().to_json().unwrap_or_default()
}

static TEXT: LazyLock<Bytes> = LazyLock::new(|| Bytes::from(document()));

/// This document.
#[utoipa::path(get, path = "/openapi.json", tag = "health", operation_id = "openapi",
    responses((status = 200, body = Object, description = "OpenAPI 3.1")))]
pub(super) async fn serve() -> Result<Response<Body>, ApiError> {
    let mut response = Response::new(Body::from(TEXT.clone()));
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(JSON));
    Ok(response)
}
