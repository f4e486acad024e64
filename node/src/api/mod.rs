//! The local daemon API: HTTP and WebSocket for clients, over a Unix socket and TCP.
//!
//! ```text
//!  api.sock ──────────────┐
//!  TCP ── (TLS) ── stall ─┼─▶ serve: one task per connection ─▶ gate: host, origin, token, deadline ─▶ router
//!  metrics listener ──────┘                                      every error leaves as problem+json      │
//!                                                                                                        ▼
//!                        records · mailboxes · nonces · stream · node · members · bundle · health ─▶ Handle
//! ```
//!
//! | who | comes by | is |
//! |---|---|---|
//! | whoever can open the socket (mode 0600) | `<data-dir>/api.sock` | [`MemberId::LOCAL`](crate::store::MemberId::LOCAL), and the operator |
//! | a member | TCP with a bearer token | that member |
//! | anyone | TCP without one | may ask for health, the OpenAPI document and, where members are `open`, a token |
//!
//! The rim checks what needs no state of the relay: sizes, types, tokens, nonces, proofs, a grant's signature. What a
//! record is worth is the [relay](crate::relay)'s to say.

mod auth;
mod backup;
mod body;
mod bundle;
mod error;
mod gate;
mod health;
mod inside;
mod mailboxes;
mod members;
mod node;
mod nonces;
mod openapi;
mod records;
mod serve;
mod stall;
mod stream;
mod tls;
mod transfer;

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
    time::{Instant, SystemTime, UNIX_EPOCH},
};

use axum::{
    Router,
    routing::{MethodRouter, delete, get, post, put},
};
use griot_protocol::{
    Timestamp,
    api::{ListeningReport, NodeReport},
};
use tokio::sync::watch;

pub use backup::{BackupError, BackupHead, BackupItem, BackupReader, head as backup_head};
pub use inside::{Inside, InsideEnd, InsideItem, InsideStream};
pub use openapi::document as openapi_document;
pub use serve::{ServeError, Server};
pub use transfer::{ImportSummary, TransferError, VerifySummary, verify as verify_records, write_backup, write_bundle};

use crate::{
    config::MembersPolicy,
    metrics::Exposition,
    runtime::{Handle, HandleError},
    store::MemberId,
};
use auth::Tokens;
use nonces::Nonces;

/// Streams open at once, over all members: each holds a task and a buffer.
const STREAMS_MAX: u32 = 2048;

/// Streams of one member: a person's devices, with reconnects that the node has not noticed yet.
const STREAMS_PER_MEMBER_MAX: u32 = 32;

/// Whether the API serves, and until when.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Phase {
    /// As usual.
    Serving,
    /// No new requests; those under way are answered.
    Draining,
    /// Whatever is left is cut.
    Over,
}

impl Phase {
    /// Waits until `phases` has come to this one. A sender that is gone counts as the end.
    async fn reached(self, phases: &mut watch::Receiver<Self>) {
        let _ = phases.wait_for(|phase| *phase >= self).await;
    }
}

/// What all requests share.
struct Api {
    handle: Handle,
    exposition: Exposition,
    policy: MembersPolicy,
    tokens: Tokens,
    nonces: Nonces,
    newcomers: members::Newcomers,
    streams: Mutex<BTreeMap<MemberId, u32>>,
    phase: watch::Receiver<Phase>,
    started: Instant,
    /// Where it listens; not known within a process.
    listening: ListeningReport,
    /// Held while a report is made: one at a time, however many ask.
    reporting: tokio::sync::Mutex<()>,
}

impl Api {
    fn new(
        handle: Handle,
        exposition: Exposition,
        policy: MembersPolicy,
        phase: watch::Receiver<Phase>,
    ) -> Result<Self, ServeError> {
        let tokens =
            Tokens::new(&handle.members().map_err(|error: HandleError| ServeError::Start(error.to_string()))?)?;
        Ok(Self {
            handle,
            exposition,
            policy,
            tokens,
            nonces: Nonces::new()?,
            newcomers: members::Newcomers::default(),
            streams: Mutex::default(),
            phase,
            started: Instant::now(),
            listening: ListeningReport::default(),
            reporting: tokio::sync::Mutex::default(),
        })
    }

    /// Seconds since the API started, by a clock that never goes back.
    fn seconds(&self) -> u64 {
        self.started.elapsed().as_secs()
    }

    fn render_metrics(&self) -> String {
        self.exposition.render(&**self.handle.store(), wall())
    }

    /// How the node does, with what only the rim knows: the disk's free space, and where it listens.
    async fn report(&self) -> Result<NodeReport, HandleError> {
        let _alone = self.reporting.lock().await;
        let mut report = self.handle.report().await?;
        self.exposition.look_at_disk(&mut report.disk);
        report.listening.clone_from(&self.listening);
        Ok(report)
    }

    /// Room for one more stream of `member`, given back on drop.
    fn stream_slot(self: &Arc<Self>, member: MemberId) -> Option<StreamSlot> {
        let mut streams = self.streams.lock().unwrap_or_else(PoisonError::into_inner);
        let all: u32 = streams.values().sum();
        let own = streams.get(&member).copied().unwrap_or(0);
        let own_max = if member == MemberId::LOCAL { STREAMS_MAX } else { STREAMS_PER_MEMBER_MAX };
        if all >= STREAMS_MAX || own >= own_max {
            return None;
        }
        streams.insert(member, own + 1);
        self.exposition.metrics().stream_opened();
        Some(StreamSlot { api: Arc::clone(self), member })
    }

    fn open_streams(&self) -> u32 {
        self.streams.lock().unwrap_or_else(PoisonError::into_inner).values().sum()
    }
}

/// One open stream's place.
struct StreamSlot {
    api: Arc<Api>,
    member: MemberId,
}

impl Drop for StreamSlot {
    fn drop(&mut self) {
        let mut streams = self.api.streams.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = streams.get_mut(&self.member) {
            *count = count.saturating_sub(1);
            if *count == 0 {
                streams.remove(&self.member);
            }
        }
        self.api.exposition.metrics().stream_closed();
    }
}

/// The wall clock, as clients' grants are judged by.
fn wall() -> Timestamp {
    Timestamp(SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs()))
}

/// Every path with its methods. The OpenAPI document is tested against this table.
fn routes() -> Vec<(&'static str, MethodRouter<Arc<Api>>)> {
    vec![
        ("/v1/records", post(records::submit)),
        ("/v1/records/{id}", get(records::status)),
        ("/v1/mailboxes/{address}", put(mailboxes::register).delete(mailboxes::unregister)),
        ("/v1/mailboxes/{address}/records", get(mailboxes::page)),
        ("/v1/nonces", post(mailboxes::nonces)),
        ("/v1/stream", get(stream::open)),
        ("/v1/node", get(node::info)),
        ("/v1/peers", get(node::peers)),
        ("/v1/report", get(node::report)),
        ("/v1/members", get(members::list).post(members::add)),
        ("/v1/members/self", post(members::join)),
        ("/v1/members/{id}", delete(members::revoke)),
        ("/v1/bundle", get(bundle::export).post(bundle::import)),
        ("/v1/backup", get(bundle::backup)),
        ("/v1/verify", post(bundle::verify)),
        ("/openapi.json", get(openapi::serve)),
        ("/health/live", get(health::live)),
        ("/health/ready", get(health::ready)),
        ("/metrics", get(health::metrics)),
    ]
}

fn router(api: Arc<Api>) -> Router {
    let empty = Router::new();
    routes().into_iter().fold(empty, |router, (path, methods)| router.route(path, methods)).with_state(api)
}

/// What the metrics listener answers.
fn metrics_router(api: Arc<Api>) -> Router {
    Router::new()
        .route("/metrics", get(health::metrics))
        .route("/health/live", get(health::live))
        .route("/health/ready", get(health::ready))
        .with_state(api)
}
