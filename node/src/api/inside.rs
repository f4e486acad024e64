//! The API from inside: for a program that runs a node within itself, and whose clients are within it too.
//!
//! The simulator is one. What a member may ask is answered here by the same functions as over HTTP, with the same
//! checks (proofs, nonces, registrations, quotas), the same problems for answers, and the same streams. Missing is what
//! belongs to a socket: bytes, headers, time-outs, and the token, because whoever holds an [`Inside`] says who calls.
//!
//! It serves while it lives. When it is dropped, its streams end, as those of a node do that is no more.

use std::{
    path::PathBuf,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use axum::extract::ws::Message;
use bytes::Bytes;
use futures::{
    Sink, SinkExt, Stream, StreamExt,
    channel::mpsc::{Receiver, Sender, channel},
};
use griot_protocol::{
    Address, Cursor, RecordId,
    api::{
        Accepted, NodeInfo, Nonces, Problem, RecordStatus, Registered, Registration, StreamEvent, StreamRequest,
        Unregistration,
    },
    feed,
};
use prometheus_client::registry::Registry;
use tokio::{sync::watch, task::AbortHandle};

use super::{Api, Phase, auth, error::ApiError, mailboxes, serve::ServeError, stream::Opening};
use crate::{
    config::MembersPolicy,
    metrics::{Exposition, Metrics},
    runtime::{Handle, HandleError, PAGE_ENTRIES_MAX, Page},
    store::MemberId,
};

/// Messages that wait on either way of a stream: about one page, as in a socket's buffer. Whoever writes more waits.
const STREAM_MESSAGES_MAX: usize = 16;

/// A node's API within the process.
pub struct Inside {
    api: Arc<Api>,
    /// Its end is the end of the streams.
    _phase: watch::Sender<Phase>,
}

impl std::fmt::Debug for Inside {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Inside").field(&self.api.handle.node_id()).finish()
    }
}

impl Inside {
    /// Opens the API of a running node.
    ///
    /// # Errors
    /// The node's members cannot be read, or the system gives no randomness.
    pub fn new(handle: Handle, metrics: Metrics) -> Result<Self, ServeError> {
        let (phase, phases) = watch::channel(Phase::Serving);
        let exposition = Exposition::new(Arc::new(Registry::default()), metrics, PathBuf::new());
        let api = Api::new(handle, exposition, MembersPolicy::Closed, phases)?;
        Ok(Self { api: Arc::new(api), _phase: phase })
    }

    /// Lets a member in. No token is made: the caller vouches.
    pub fn admit(&self, member: MemberId) {
        if !self.api.tokens.holds(member) {
            self.api.tokens.insert(member, auth::hash(&member.0));
        }
    }

    /// `GET /v1/node`.
    ///
    /// # Errors
    /// As over HTTP, in this and all calls.
    pub async fn info(&self) -> Result<NodeInfo, Problem> {
        self.api.handle.info().await.map_err(problem)
    }

    /// `POST /v1/nonces`.
    ///
    /// # Errors
    /// As over HTTP.
    pub fn nonces(&self, member: MemberId, count: usize) -> Result<Nonces, Problem> {
        Ok(mailboxes::nonces_for(&self.api, member, Some(count))?)
    }

    /// `PUT /v1/mailboxes/{address}`.
    ///
    /// # Errors
    /// As over HTTP.
    pub async fn register(
        &self,
        member: MemberId,
        address: Address,
        body: Registration,
    ) -> Result<Registered, Problem> {
        Ok(mailboxes::register_for(&self.api, member, address, body).await?)
    }

    /// `DELETE /v1/mailboxes/{address}`.
    ///
    /// # Errors
    /// As over HTTP.
    pub async fn unregister(&self, member: MemberId, address: Address, body: Unregistration) -> Result<(), Problem> {
        Ok(mailboxes::unregister_for(&self.api, member, address, body).await?)
    }

    /// `GET /v1/mailboxes/{address}/records`.
    ///
    /// # Errors
    /// As over HTTP.
    pub fn page(&self, member: MemberId, address: &Address, after: Option<Cursor>) -> Result<Page, Problem> {
        Ok(mailboxes::page_for(&self.api.handle, member, address, after, PAGE_ENTRIES_MAX)?)
    }

    /// `POST /v1/records`.
    ///
    /// # Errors
    /// As over HTTP.
    pub async fn submit(&self, member: MemberId, frame: Bytes) -> Result<Accepted, Problem> {
        self.api.handle.submit(member, frame).await.map_err(problem)
    }

    /// `GET /v1/records/{id}`; `None` where HTTP says 404.
    ///
    /// # Errors
    /// As over HTTP.
    pub async fn status(&self, id: &RecordId) -> Result<Option<RecordStatus>, Problem> {
        self.api.handle.record_status(id).await.map_err(problem)
    }

    /// `GET /v1/stream`. Must be called within a tokio runtime.
    ///
    /// # Errors
    /// As over HTTP.
    pub fn stream(&self, member: MemberId) -> Result<InsideStream, Problem> {
        let opening = Opening::new(&self.api, member)?;
        let (to_node, from_client) = channel(STREAM_MESSAGES_MAX);
        let (to_client, from_node) = channel(STREAM_MESSAGES_MAX);
        let task = tokio::spawn(opening.run(Queues { incoming: from_client, outgoing: to_client }));
        Ok(InsideStream { to_node, from_node, task: task.abort_handle() })
    }
}

fn problem(error: HandleError) -> Problem {
    ApiError::from(error).into()
}

/// The node's end of a stream: two queues that look like a socket.
struct Queues {
    incoming: Receiver<Message>,
    outgoing: Sender<Message>,
}

impl Stream for Queues {
    type Item = Result<Message, axum::Error>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.incoming.poll_next_unpin(context).map(|message| message.map(Ok))
    }
}

impl Sink<Message> for Queues {
    type Error = axum::Error;

    fn poll_ready(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Result<(), axum::Error>> {
        self.outgoing.poll_ready_unpin(context).map_err(axum::Error::new)
    }

    fn start_send(mut self: Pin<&mut Self>, message: Message) -> Result<(), axum::Error> {
        self.outgoing.start_send_unpin(message).map_err(axum::Error::new)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Result<(), axum::Error>> {
        self.outgoing.poll_flush_unpin(context).map_err(axum::Error::new)
    }

    fn poll_close(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Result<(), axum::Error>> {
        self.outgoing.poll_close_unpin(context).map_err(axum::Error::new)
    }
}

/// What a stream brings.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum InsideItem {
    /// An envelope, with the cursor after it.
    Envelope(Address, Cursor, Bytes),
    /// Anything else that the node says.
    Event(StreamEvent),
}

/// The stream is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the node closed the stream")]
pub struct InsideEnd;

/// A client's end of a stream. When it is dropped, the node's end goes too.
#[derive(Debug)]
pub struct InsideStream {
    to_node: Sender<Message>,
    from_node: Receiver<Message>,
    task: AbortHandle,
}

impl Drop for InsideStream {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl InsideStream {
    /// Says something.
    ///
    /// # Errors
    /// [`InsideEnd`].
    pub async fn send(&mut self, request: &StreamRequest) -> Result<(), InsideEnd> {
        let text = serde_json::to_string(request).map_err(|_| InsideEnd)?;
        self.to_node.send(Message::Text(text.into())).await.map_err(|_| InsideEnd)
    }

    /// Waits for the next item, and answers the node's pings meanwhile. May be given up and called again without loss.
    ///
    /// # Errors
    /// [`InsideEnd`].
    pub async fn next(&mut self) -> Result<InsideItem, InsideEnd> {
        loop {
            match self.from_node.next().await.ok_or(InsideEnd)? {
                Message::Binary(bytes) => {
                    let (address, cursor, frame) = feed::read_stream_message(&bytes).map_err(|_| InsideEnd)?;
                    return Ok(InsideItem::Envelope(address, cursor, bytes.slice_ref(frame)));
                }
                Message::Text(text) => {
                    if let Ok(event) = serde_json::from_str(&text) {
                        return Ok(InsideItem::Event(event));
                    }
                }
                // Where there is no room for the answer, what fills the queue is a sign of life, too.
                Message::Ping(bytes) => drop(self.to_node.try_send(Message::Pong(bytes))),
                Message::Pong(_) => {}
                Message::Close(_) => return Err(InsideEnd),
            }
        }
    }
}
