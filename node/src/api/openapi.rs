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
        node::info, node::peers, node::report,
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

#[cfg(test)]
mod tests {
    use std::{
        collections::BTreeSet,
        path::{Path, PathBuf},
        sync::Arc,
    };

    use axum::{body::Body, http::Request};
    use griot_protocol::{NetworkName, NetworkParams, NodeId, ShardBits};
    use prometheus_client::registry::Registry;
    use tokio::sync::{mpsc, watch};
    use tower::ServiceExt;

    use super::*;
    use crate::{
        api::{Api, Phase, router, routes},
        config::MembersPolicy,
        metrics::{Exposition, Metrics},
        runtime::{Handle, Inner, Machine},
        store::MemoryStore,
    };

    /// An API before a node that has ended: enough to ask its router which methods a path has.
    fn api() -> Arc<Api> {
        let mut registry = Registry::default();
        let metrics = Metrics::new(&mut registry);
        let handle = Handle::new(Inner {
            calls: mpsc::channel(1).0,
            store: Arc::new(MemoryStore::new(ShardBits::ZERO)),
            params: NetworkParams::standard(NetworkName::standard()),
            node_id: NodeId([0; 32]),
            hub: Arc::default(),
            host: Arc::new(Machine::new(Path::new("."))),
        });
        let exposition = Exposition::new(Arc::new(registry), metrics, PathBuf::from("."));
        Arc::new(Api::new(handle, exposition, MembersPolicy::Open, watch::channel(Phase::Serving).1).unwrap())
    }

    #[tokio::test]
    async fn the_document_has_every_route_and_no_other() {
        let router = router(api());
        let mut real = BTreeSet::new();
        for (path, _) in routes() {
            // A method that nothing serves: the answer lists those that are served.
            let request =
                Request::builder().method("BREW").uri(path.replace(['{', '}'], "")).body(Body::empty()).unwrap();
            let answer = router.clone().oneshot(request).await.unwrap();
            assert_eq!(answer.status(), 405, "{path}");
            let allowed = answer.headers()[header::ALLOW].to_str().unwrap().to_owned();
            // HEAD comes with every GET.
            let methods = allowed.split(',').filter(|method| *method != "HEAD");
            real.extend(methods.map(|method| (path.to_owned(), method.to_lowercase())));
        }
        let document: serde_json::Value = serde_json::from_str(&document()).unwrap();
        let mut described = BTreeSet::new();
        for (path, methods) in document["paths"].as_object().unwrap() {
            for (method, operation) in methods.as_object().unwrap() {
                assert!(operation["responses"].as_object().is_some_and(|answers| !answers.is_empty()), "{path}");
                assert!(operation["operationId"].is_string() && operation["summary"].is_string(), "{path} {method}");
                described.insert((path.clone(), method.clone()));
            }
        }
        assert_eq!(real, described);
    }

    #[test]
    fn every_schema_that_is_referred_to_is_there() {
        let text = document();
        let document: serde_json::Value = serde_json::from_str(&text).unwrap();
        let schemas = document["components"]["schemas"].as_object().unwrap();
        let mut referred = 0;
        for reference in text.split("#/components/schemas/").skip(1) {
            let name = reference.split('"').next().unwrap();
            assert!(schemas.contains_key(name), "{name}");
            referred += 1;
        }
        assert!(referred > 10);
    }
}
