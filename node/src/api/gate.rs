//! The gate: what every request passes before the router, and every answer on its way out.
//!
//! Browsers are why TCP needs more than a token. A page on any site can make the browser call `127.0.0.1`, and by *DNS
//! rebinding* even read the answer, under the site's own name. So plain HTTP is answered only under loopback names, IP
//! addresses (which cannot be rebound) and names that the operator listed; over TLS the certificate settles that. A
//! request that a page of another origin makes says so in `Origin`, and is refused.

use std::{convert::Infallible, net::IpAddr, sync::Arc, time::Duration};

use axum::{
    Router,
    body::Body,
    http::{HeaderMap, HeaderValue, Request, Response, StatusCode, Uri, header},
    response::IntoResponse,
};
use hyper::body::Incoming;
use tower::Service;

use super::{Api, auth::Caller, error, error::ApiError};
use crate::config::{ApiConfig, MembersPolicy};

/// How long a request may take, its body included: 68 KiB over a 30 kbit/s link fit.
const REQUEST_SECONDS_MAX: u64 = 30;

/// The operator's long calls, which carry the whole store: each step of theirs has its own deadline.
const LONG_PATHS: [&str; 3] = ["/v1/bundle", "/v1/backup", "/v1/verify"];

/// Which way a connection came.
#[derive(Clone, Debug)]
pub(super) enum Door {
    /// The Unix socket.
    Socket,
    /// TCP, with or without TLS.
    Tcp(Arc<Names>),
    /// The metrics listener.
    Metrics,
}

/// Under which names TCP answers.
#[derive(Debug)]
pub(super) struct Names {
    tls: bool,
    loopback_only: bool,
    hosts: Vec<String>,
    origins: Vec<String>,
}

impl Names {
    pub(super) fn new(config: &ApiConfig) -> Self {
        Self {
            tls: config.tls.is_some(),
            loopback_only: config.listen.ip().is_loopback(),
            hosts: config.hosts.iter().map(|host| host.to_ascii_lowercase()).collect(),
            origins: config.origins.iter().map(|origin| origin.to_ascii_lowercase()).collect(),
        }
    }

    fn check(&self, uri: &Uri, headers: &HeaderMap) -> Result<(), ApiError> {
        // HTTP/1.1 sends Host; a request in absolute form carries the authority in its URI too.
        let authorities = headers.get_all(header::HOST).iter().map(HeaderValue::as_bytes);
        let mut named = false;
        for authority in authorities.chain(uri.authority().map(|authority| authority.as_str().as_bytes())) {
            named = true;
            if !self.is_own(authority) {
                return Err(ApiError::new(
                    StatusCode::MISDIRECTED_REQUEST,
                    "host",
                    "this node does not answer under that Host; the operator can add it to api.hosts",
                ));
            }
        }
        if !named {
            return Err(ApiError::bad_request("a Host header is needed"));
        }
        for origin in headers.get_all(header::ORIGIN) {
            if !self.is_friendly(origin.as_bytes()) {
                return Err(ApiError::forbidden(
                    "origin",
                    "web pages of that origin may not call; the operator can add it to api.origins",
                ));
            }
        }
        Ok(())
    }

    fn is_own(&self, authority: &[u8]) -> bool {
        let Some(host) = std::str::from_utf8(authority).ok().and_then(host_of) else { return false };
        if self.tls || is_loopback(&host) || self.hosts.contains(&host) {
            return true;
        }
        !self.loopback_only && ip_of(&host).is_some()
    }

    fn is_friendly(&self, origin: &[u8]) -> bool {
        let Ok(origin) = std::str::from_utf8(origin).map(str::to_ascii_lowercase) else { return false };
        let authority = origin.strip_prefix("http://").or_else(|| origin.strip_prefix("https://"));
        let loopback = authority.and_then(host_of).is_some_and(|host| is_loopback(&host));
        loopback || self.origins.contains(&origin)
    }
}

/// The host of `host[:port]`, lower-case. `None` for what is not of that form.
fn host_of(authority: &str) -> Option<String> {
    let authority: axum::http::uri::Authority = authority.parse().ok()?;
    let bare = !authority.as_str().contains('@') && !authority.host().is_empty();
    bare.then(|| authority.host().to_ascii_lowercase())
}

fn ip_of(host: &str) -> Option<IpAddr> {
    let bare = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
    bare.parse().ok()
}

fn is_loopback(host: &str) -> bool {
    host == "localhost" || ip_of(host).is_some_and(|ip| ip.is_loopback())
}

/// The gate of one connection.
#[derive(Clone)]
pub(super) struct Gate {
    api: Arc<Api>,
    router: Router,
    door: Door,
}

impl Gate {
    pub(super) fn new(api: Arc<Api>, router: Router, door: Door) -> Self {
        Self { api, router, door }
    }

    pub(super) async fn answer(mut self, mut request: Request<Incoming>) -> Result<Response<Body>, Infallible> {
        let response = match self.admit(&request) {
            Ok(caller) => {
                let long = LONG_PATHS.contains(&request.uri().path());
                request.extensions_mut().insert(caller);
                let answer = self.router.call(request);
                if long {
                    answer.await
                } else {
                    match tokio::time::timeout(Duration::from_secs(REQUEST_SECONDS_MAX), answer).await {
                        Ok(answer) => answer,
                        Err(_) => Ok(timed_out()),
                    }
                }
            }
            Err(error) => Ok(error.into_response()),
        };
        let response = match response {
            Ok(response) if response.status().as_u16() >= 400 => error::as_problem(response).await,
            Ok(response) => response,
        };
        self.api.exposition.metrics().responded(response.status().as_u16());
        Ok(response)
    }

    fn admit(&self, request: &Request<Incoming>) -> Result<Caller, ApiError> {
        match &self.door {
            Door::Socket => Ok(Caller::Operator),
            Door::Metrics => Ok(Caller::Anonymous),
            Door::Tcp(names) => {
                names.check(request.uri(), request.headers())?;
                self.caller(request.headers())
            }
        }
    }

    fn caller(&self, headers: &HeaderMap) -> Result<Caller, ApiError> {
        let Some(value) = headers.get(header::AUTHORIZATION) else { return Ok(Caller::Anonymous) };
        let (scheme, token) = value.as_bytes().split_at_checked(7).unwrap_or_default();
        if !scheme.eq_ignore_ascii_case(b"bearer ") {
            return Err(ApiError::unauthorized("send the token as Authorization: Bearer …"));
        }
        if self.api.policy == MembersPolicy::Closed {
            return Err(ApiError::forbidden("closed", "this node serves its Unix socket only"));
        }
        self.api.tokens.member(token.trim_ascii()).map(Caller::Member)
    }
}

fn timed_out() -> Response<Body> {
    let detail = format!("the request took longer than {REQUEST_SECONDS_MAX} s");
    let mut response = ApiError::new(StatusCode::REQUEST_TIMEOUT, "timeout", detail).into_response();
    // Whatever is left of the body is not read: the connection cannot be used again.
    response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(listen: &str, tls: bool) -> Names {
        Names {
            tls,
            loopback_only: listen.parse::<std::net::SocketAddr>().unwrap().ip().is_loopback(),
            hosts: vec!["griot.example.org".to_owned()],
            origins: vec!["https://chat.example.org".to_owned()],
        }
    }

    #[test]
    fn only_names_that_cannot_be_rebound_are_answered() {
        let local = names("127.0.0.1:7700", false);
        for host in ["localhost", "LOCALHOST:7700", "127.0.0.1", "127.9.9.9:1", "[::1]:7700", "griot.example.org:7700"]
        {
            assert!(local.is_own(host.as_bytes()), "{host}");
        }
        for host in [
            "evil.example",
            "localhost.evil.example",
            "192.168.0.1",
            "a@localhost",
            "",
            "127.0.0.1.evil.example",
            "\u{e9}",
        ] {
            assert!(!local.is_own(host.as_bytes()), "{host}");
        }
        let open = names("0.0.0.0:7700", false);
        assert!(open.is_own(b"192.168.0.1:7700"));
        assert!(!open.is_own(b"evil.example"));
        assert!(names("0.0.0.0:7700", true).is_own(b"any.example"));
    }

    #[test]
    fn only_pages_of_this_machine_or_listed_ones_may_call() {
        let names = names("127.0.0.1:7700", true);
        for origin in ["http://localhost:3000", "https://127.0.0.1", "http://[::1]:1", "https://chat.example.org"] {
            assert!(names.is_friendly(origin.as_bytes()), "{origin}");
        }
        for origin in ["null", "https://evil.example", "http://localhost.evil.example", "file://", "localhost"] {
            assert!(!names.is_friendly(origin.as_bytes()), "{origin}");
        }
    }
}
