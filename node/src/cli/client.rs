//! How commands reach the running node: HTTP over its Unix socket.

use std::{io, path::Path, time::Duration};

use axum::body::Body;
use griot_protocol::api::Problem;
use http_body_util::{BodyExt, Limited};
use hyper::{
    Method, Request, Response, StatusCode,
    body::{Bytes, Incoming},
    client::conn::http1::{self, SendRequest},
    header,
};
use hyper_util::rt::TokioIo;
use serde::de::DeserializeOwned;
use tokio::net::UnixStream;

use super::CliError;
use crate::config::socket_in;

/// How long the node may take to answer a short call.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(30);

/// A JSON answer: 100,000 members fit.
const ANSWER_BYTES_MAX: usize = 64 * 1024 * 1024;

/// A connection to the running node.
pub(super) struct Daemon {
    sender: SendRequest<Body>,
}

impl Daemon {
    /// Connects to the node of `data_dir`; `None` where none runs. Creates nothing.
    pub(super) async fn find(data_dir: &Path) -> Result<Option<Self>, CliError> {
        let path = socket_in(data_dir);
        let stream = match UnixStream::connect(&path).await {
            Ok(stream) => stream,
            Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused) => {
                return Ok(None);
            }
            Err(error) => return Err(CliError::failed(format!("{}: {error}", path.display()))),
        };
        let (sender, connection) = http1::handshake(TokioIo::new(stream)).await.map_err(CliError::failed)?;
        tokio::spawn(connection);
        Ok(Some(Self { sender }))
    }

    /// Connects to the node of `data_dir`, which must run.
    pub(super) async fn need(data_dir: &Path) -> Result<Self, CliError> {
        let missing = || {
            let dir = data_dir.display();
            CliError::failed(format!("no node is running in {dir}: start one with `griotd --data-dir {dir}`"))
        };
        Self::find(data_dir).await?.ok_or_else(missing)
    }

    /// `GET`s JSON.
    pub(super) async fn get<T: DeserializeOwned>(&mut self, path: &str) -> Result<T, CliError> {
        self.json(Method::GET, path, Body::empty()).await
    }

    /// Sends JSON and reads JSON.
    pub(super) async fn json<T: DeserializeOwned>(
        &mut self,
        method: Method,
        path: &str,
        body: Body,
    ) -> Result<T, CliError> {
        let answer = tokio::time::timeout(ANSWER_TIMEOUT, self.send(method, path, "application/json", body)).await;
        let answer = answer.map_err(|_| CliError::failed("the node does not answer"))??;
        read_json(answer).await
    }

    /// `GET`s JSON that a node of an older version does not have.
    pub(super) async fn find_at<T: DeserializeOwned>(&mut self, path: &str) -> Result<Option<T>, CliError> {
        let asked = self.exchange(Method::GET, path, "application/json", Body::empty());
        let answer = tokio::time::timeout(ANSWER_TIMEOUT, asked).await;
        let answer = answer.map_err(|_| CliError::failed("the node does not answer"))??;
        if answer.status() == StatusCode::NOT_FOUND {
            read(answer).await?;
            return Ok(None);
        }
        read_json(accepted(answer).await?).await.map(Some)
    }

    /// `DELETE`s.
    pub(super) async fn delete(&mut self, path: &str) -> Result<(), CliError> {
        self.send(Method::DELETE, path, "application/json", Body::empty()).await.map(drop)
    }

    /// Sends bytes that may take long, and gives back the answer, which may be long.
    pub(super) async fn transfer(
        &mut self,
        method: Method,
        path: &str,
        body: Body,
    ) -> Result<Response<Incoming>, CliError> {
        self.send(method, path, "application/octet-stream", body).await
    }

    async fn send(
        &mut self,
        method: Method,
        path: &str,
        content_type: &str,
        body: Body,
    ) -> Result<Response<Incoming>, CliError> {
        accepted(self.exchange(method, path, content_type, body).await?).await
    }

    async fn exchange(
        &mut self,
        method: Method,
        path: &str,
        content_type: &str,
        body: Body,
    ) -> Result<Response<Incoming>, CliError> {
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header(header::HOST, "localhost")
            .header(header::CONTENT_TYPE, content_type)
            .body(body)
            .map_err(CliError::failed)?;
        self.sender.send_request(request).await.map_err(CliError::failed)
    }
}

/// An answer that is no refusal.
async fn accepted(answer: Response<Incoming>) -> Result<Response<Incoming>, CliError> {
    if answer.status().is_success() {
        return Ok(answer);
    }
    let status = answer.status();
    let bytes = read(answer).await?;
    let detail = serde_json::from_slice::<Problem>(&bytes).map(|problem| problem.detail).unwrap_or_default();
    let detail = if detail.is_empty() { reason(status) } else { detail };
    Err(CliError::failed(format!("the node says: {detail}")))
}

/// Reads a JSON answer.
pub(super) async fn read_json<T: DeserializeOwned>(answer: Response<Incoming>) -> Result<T, CliError> {
    serde_json::from_slice(&read(answer).await?).map_err(|error| {
        CliError::failed(format!("the node's answer cannot be understood (another version?): {error}"))
    })
}

async fn read(answer: Response<Incoming>) -> Result<Bytes, CliError> {
    let body = Limited::new(answer.into_body(), ANSWER_BYTES_MAX).collect().await;
    Ok(body.map_err(CliError::failed)?.to_bytes())
}

fn reason(status: StatusCode) -> String {
    status.canonical_reason().map_or_else(|| status.to_string(), ToOwned::to_owned)
}
