//! `/v1/bundle`, `/v1/backup`, `/v1/verify`: the operator's long calls. Served on the Unix socket only.
//!
//! What is read streams out through a channel of a few pieces; what comes in is imported as it arrives, a window of
//! frames at a time. Neither ever holds the file.

use std::{io, sync::Arc, time::Duration};

use axum::{
    body::{Body, Bytes},
    extract::{Request, State},
    http::{HeaderValue, Response, StatusCode, header},
};
use futures::{StreamExt, stream::FuturesUnordered};
use griot_protocol::{
    api::Problem,
    bundle::{BundleItem, BundleReader},
};
use tokio::sync::mpsc;

use super::{
    Api,
    auth::Caller,
    body::{self, OCTET_STREAM},
    error::ApiError,
    transfer::{self, ImportSummary, TransferError, VerifySummary},
    wall,
};
use crate::{
    relay::CallError,
    runtime::{Handle, HandleError},
};

/// Pieces under way to a reader.
const PIECES_MAX: usize = 8;

/// Bytes of one piece.
const PIECE_BYTES: usize = 128 * 1024;

/// Frames being imported at once: enough to fill a commit, few enough to leave room for members.
const WINDOW: usize = 64;

/// How long the sender of a bundle may be silent.
const SILENCE_MAX: Duration = Duration::from_secs(60);

/// How long to wait before a frame that found the node busy is tried again.
const BUSY_PAUSE: Duration = Duration::from_millis(50);

/// Tries of a frame that found the node busy: ten minutes.
const BUSY_TRIES_MAX: u32 = 12_000;

/// Everything this node holds, as a bundle (courier file).
#[utoipa::path(get, path = "/v1/bundle", tag = "operator", operation_id = "export_bundle",
    responses(
        (status = 200, body = Vec<u8>, content_type = "application/octet-stream"),
        (status = 403, body = Problem, content_type = "application/problem+json"),
    ))]
pub(super) async fn export(State(api): State<Arc<Api>>, caller: Caller) -> Result<Response<Body>, ApiError> {
    caller.operator()?;
    Ok(stream_out(api.handle.clone(), |handle, out| {
        transfer::write_bundle(&**handle.store(), &handle.params().name, wall(), out)
    }))
}

/// Everything of this node but its key: members, registrations, outbox, records. `griotd backup` adds the key.
#[utoipa::path(get, path = "/v1/backup", tag = "operator", operation_id = "backup",
    responses(
        (status = 200, body = Vec<u8>, content_type = "application/octet-stream"),
        (status = 403, body = Problem, content_type = "application/problem+json"),
    ))]
pub(super) async fn backup(State(api): State<Arc<Api>>, caller: Caller) -> Result<Response<Body>, ApiError> {
    caller.operator()?;
    Ok(stream_out(api.handle.clone(), |handle, out| transfer::write_backup(&**handle.store(), out)))
}

/// Reads and checks every record held: checksum, id, signature.
#[utoipa::path(post, path = "/v1/verify", tag = "operator", operation_id = "verify",
    responses(
        (status = 200, body = VerifySummary),
        (status = 403, body = Problem, content_type = "application/problem+json"),
    ))]
pub(super) async fn verify(State(api): State<Arc<Api>>, caller: Caller) -> Result<Response<Body>, ApiError> {
    caller.operator()?;
    let handle = api.handle.clone();
    let checked = tokio::task::spawn_blocking(move || transfer::verify(&**handle.store(), &handle.params().name));
    let summary = checked.await.map_err(ApiError::internal)?.map_err(HandleError::from)?;
    body::json(StatusCode::OK, &summary)
}

/// Imports a bundle. Importing twice is fine.
#[utoipa::path(post, path = "/v1/bundle", tag = "operator", operation_id = "import_bundle",
    request_body(content = Vec<u8>, content_type = "application/octet-stream", description = "a bundle of any size"),
    responses(
        (status = 200, body = ImportSummary),
        (status = "4XX", body = Problem, content_type = "application/problem+json"),
        (status = 507, body = Problem, content_type = "application/problem+json", description = "no room; what was read before is kept"),
    ))]
pub(super) async fn import(
    State(api): State<Arc<Api>>,
    caller: Caller,
    request: Request,
) -> Result<Response<Body>, ApiError> {
    caller.operator()?;
    body::require_type(request.headers(), OCTET_STREAM)?;
    let mut pieces = request.into_body().into_data_stream();
    let mut reader = BundleReader::new();
    let mut import = Import { handle: &api.handle, window: FuturesUnordered::new(), summary: ImportSummary::default() };
    loop {
        let piece = tokio::time::timeout(SILENCE_MAX, pieces.next()).await;
        let piece = piece.map_err(|_| {
            ApiError::new(StatusCode::REQUEST_TIMEOUT, "timeout", "the bundle stopped coming; what was read is kept")
        })?;
        let Some(piece) = piece else { break };
        let piece = piece.map_err(|_| ApiError::bad_request("the body ended early; what was read is kept"))?;
        let mut rest = &piece[..];
        while !rest.is_empty() {
            let taken = reader.push(rest);
            rest = rest.get(taken..).unwrap_or_default();
            import.take(&mut reader).await?;
        }
    }
    while !import.window.is_empty() {
        import.settle_one().await?;
    }
    let mut summary = import.summary;
    match reader.finish() {
        Ok(_) => {}
        Err(error) => return Err(ApiError::bad_request(format!("{error} ({} records were imported)", summary.new))),
    }
    summary.complete = true;
    body::json(StatusCode::OK, &summary)
}

type Importing<'a> = futures::future::BoxFuture<'a, Result<griot_protocol::api::Accepted, HandleError>>;

struct Import<'a> {
    handle: &'a Handle,
    window: FuturesUnordered<Importing<'a>>,
    summary: ImportSummary,
}

impl Import<'_> {
    /// Takes what the reader has. Waits while the window is full.
    async fn take(&mut self, reader: &mut BundleReader) -> Result<(), ApiError> {
        while let Some(item) = reader.next_item().map_err(|error| ApiError::bad_request(error.to_string()))? {
            match item {
                BundleItem::Header(header) => {
                    let own = &self.handle.params().name;
                    if header.network != *own {
                        let detail = format!("the bundle is of network {}, this node of {own}", header.network);
                        return Err(ApiError::new(StatusCode::UNPROCESSABLE_ENTITY, "network", detail));
                    }
                }
                BundleItem::Frame(frame) => {
                    if self.window.len() >= WINDOW {
                        self.settle_one().await?;
                    }
                    self.window.push(Box::pin(import_patiently(self.handle, frame)));
                }
                BundleItem::Damaged => self.summary.damaged += 1,
                BundleItem::End => {}
            }
        }
        Ok(())
    }

    async fn settle_one(&mut self) -> Result<(), ApiError> {
        match self.window.next().await {
            Some(Ok(accepted)) if accepted.duplicate => self.summary.known += 1,
            Some(Ok(_)) => self.summary.new += 1,
            Some(Err(HandleError::Call(CallError::Refused(refusal)))) => {
                *self.summary.refused.entry(refusal.reason().to_owned()).or_default() += 1;
            }
            Some(Err(error)) => return Err(error.into()),
            None => {}
        }
        Ok(())
    }
}

/// Imports one frame, waiting while the node is busy: a bundle is in no hurry.
async fn import_patiently(handle: &Handle, frame: Bytes) -> Result<griot_protocol::api::Accepted, HandleError> {
    for _ in 0..BUSY_TRIES_MAX {
        match handle.import(frame.clone()).await {
            Err(HandleError::Call(CallError::Busy | CallError::Rate(_))) => tokio::time::sleep(BUSY_PAUSE).await,
            answer => return answer,
        }
    }
    Err(CallError::Busy.into())
}

/// Streams what `write` writes, on a thread of its own. A failure cuts the answer short, and the reader, who finds no
/// end marker, knows.
fn stream_out(
    handle: Handle,
    write: impl FnOnce(&Handle, &mut dyn io::Write) -> Result<u64, TransferError> + Send + 'static,
) -> Response<Body> {
    let (sender, receiver) = mpsc::channel(PIECES_MAX);
    tokio::task::spawn_blocking(move || {
        let mut out = io::BufWriter::with_capacity(PIECE_BYTES, Pieces(sender.clone()));
        let written = write(&handle, &mut out).and_then(|_| io::Write::flush(&mut out).map_err(TransferError::from));
        if let Err(error) = written {
            tracing::warn!(%error, "an export was cut short");
            let _ = sender.blocking_send(Err(io::Error::other(error)));
        }
    });
    let pieces = futures::stream::unfold(receiver, |mut receiver| async move {
        receiver.recv().await.map(|piece| (piece, receiver))
    });
    let mut response = Response::new(Body::from_stream(pieces));
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(OCTET_STREAM));
    response
}

struct Pieces(mpsc::Sender<io::Result<Bytes>>);

impl io::Write for Pieces {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let sent = self.0.blocking_send(Ok(Bytes::copy_from_slice(bytes)));
        sent.map_err(|_| io::Error::new(io::ErrorKind::BrokenPipe, "the reader left"))?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
