//! `GET /v1/stream`: envelopes as they come, over a WebSocket.
//!
//! Nothing is queued for a reader. A subscription is a cursor into the mailbox; when there is something after it and
//! the connection takes more, a small page is read from the store and sent. A slow reader therefore costs a cursor, not
//! memory, and loses nothing: it is told that it lags ([`StreamEvent::Lag`]) and gets the rest when it reads on. After a
//! break it resumes from the last cursor it saw, on this connection or any other.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::Arc,
    time::Duration,
};

use axum::{
    body::Body,
    extract::{
        State,
        ws::{CloseFrame, Message, Utf8Bytes, WebSocketUpgrade, close_code, rejection::WebSocketUpgradeRejection},
    },
    http::Response,
};
use futures::{Sink, SinkExt, Stream, StreamExt, future::BoxFuture, stream::FuturesUnordered};
use griot_protocol::{
    Address, Cursor, MailboxKeys, Nonce, Proof, ProofMethod, RecordId,
    api::{Problem, StreamEvent, StreamRequest},
    feed,
    limits::FRAME_BYTES_MAX,
};
use tokio::{
    sync::watch,
    time::{Instant, MissedTickBehavior, interval, timeout},
};

use super::{Api, Phase, StreamSlot, auth::Caller, error::ApiError};
use crate::store::{MemberId, Position};

/// One request: a subscription has about 900 bytes.
const REQUEST_BYTES_MAX: usize = 8 * 1024;

/// Mailboxes in one stream: a person's whole address book.
const SUBSCRIPTIONS_MAX: usize = 10_000;

/// Watched envelopes in one stream. The oldest makes room, with a last [`StreamEvent::Status`].
const WATCHES_MAX: usize = 4096;

/// Envelopes read at a time: mailboxes take turns, and nobody's page holds much memory.
const PAGE_ENTRIES: usize = 16;

/// What may wait in the socket's own buffer: one page.
const BUFFER_BYTES_MAX: usize = PAGE_ENTRIES * (FRAME_BYTES_MAX + 64) + 64 * 1024;

/// How long one page may take to leave.
const WRITE_TIMEOUT: Duration = Duration::from_secs(30);

/// How often the node asks whether the reader still lives, and whether the member still may read.
const PING_EVERY: Duration = Duration::from_secs(30);

/// Silence after which the reader counts as gone: two pings unanswered, and some.
const IDLE_MAX: Duration = Duration::from_secs(75);

/// Refused requests after which the stream is closed: that client does not learn.
const REFUSALS_MAX: u32 = 64;

/// A lag is counted up to this: beyond it the number helps nobody, and counting costs.
const LAG_COUNT_MAX: usize = 1000;

/// Opens a stream. The client sends `StreamRequest`s as JSON text; the node sends `StreamEvent`s as JSON text, and
/// envelopes as binary messages `[address 32][epoch u64 LE][position u64 LE][frame]`.
#[utoipa::path(
    get, path = "/v1/stream", tag = "stream", operation_id = "stream",
    responses(
        (status = 101, description = "a WebSocket: the node's first message is a hello with a nonce", body = StreamEvent),
        (status = "4XX", body = Problem, content_type = "application/problem+json"),
        (status = 503, body = Problem, content_type = "application/problem+json", description = "too many streams"),
    )
)]
pub(super) async fn open(
    State(api): State<Arc<Api>>,
    caller: Caller,
    upgrade: Result<WebSocketUpgrade, WebSocketUpgradeRejection>,
) -> Result<Response<Body>, ApiError> {
    let member = caller.member()?;
    let upgrade = upgrade.map_err(|rejection| ApiError::new(rejection.status(), "websocket", rejection.body_text()))?;
    let opening = Opening::new(&api, member)?;
    Ok(upgrade
        .max_message_size(REQUEST_BYTES_MAX)
        .max_frame_size(REQUEST_BYTES_MAX)
        .max_write_buffer_size(BUFFER_BYTES_MAX)
        .on_upgrade(move |socket| opening.run(socket)))
}

/// Whatever carries a stream's messages: a WebSocket, or two queues within a process.
pub(super) trait Socket:
    Stream<Item = Result<Message, axum::Error>> + Sink<Message, Error = axum::Error> + Unpin + Send
{
}

impl<S: Stream<Item = Result<Message, axum::Error>> + Sink<Message, Error = axum::Error> + Unpin + Send> Socket for S {}

/// A stream that was granted and has no socket yet.
pub(super) struct Opening {
    api: Arc<Api>,
    slot: StreamSlot,
    member: MemberId,
    nonce: Nonce,
}

impl Opening {
    pub(super) fn new(api: &Arc<Api>, member: MemberId) -> Result<Self, ApiError> {
        let slot = api.stream_slot(member).ok_or_else(|| ApiError::busy("too many streams are open"))?;
        let mut nonce = Nonce([0; 32]);
        getrandom::fill(&mut nonce.0).map_err(ApiError::internal)?;
        Ok(Self { api: Arc::clone(api), slot, member, nonce })
    }

    /// Streams until it ends.
    pub(super) async fn run<S: Socket>(self, socket: S) {
        Session::new(self, socket).run().await;
    }
}

/// Why a stream ends.
enum End {
    /// The reader left, or the connection broke.
    Gone,
    /// The node ends it, and says why.
    Closed(u16, &'static str),
}

impl From<axum::Error> for End {
    fn from(_: axum::Error) -> Self {
        Self::Gone
    }
}

/// Something a sleeper waited for.
enum Woken {
    Mailbox(Address, u64),
    Record(RecordId, watch::Receiver<u64>),
    /// The watch was given up meanwhile, or the node ends.
    Nothing,
}

struct Subscription {
    /// Tells a subscription from an earlier one of the same mailbox.
    generation: u64,
    cursor: Option<Cursor>,
    news: watch::Receiver<u64>,
    /// Whether everything was sent and the reader told so.
    live: bool,
    /// Whether the reader was told that it lags.
    lagging: bool,
    /// Ends the sleeper.
    sleeper: Option<futures::future::AbortHandle>,
}

struct Session<S> {
    api: Arc<Api>,
    _slot: StreamSlot,
    member: MemberId,
    nonce: Nonce,
    socket: S,
    subscriptions: BTreeMap<Address, Subscription>,
    /// Mailboxes that may have something to send, in turn.
    ready: VecDeque<(Address, u64)>,
    watches: BTreeMap<RecordId, futures::future::AbortHandle>,
    watch_order: VecDeque<RecordId>,
    sleepers: FuturesUnordered<BoxFuture<'static, Woken>>,
    generation: u64,
    refusals: u32,
    heard: Instant,
}

impl<S: Socket> Session<S> {
    fn new(opening: Opening, socket: S) -> Self {
        let Opening { api, slot, member, nonce } = opening;
        Self {
            api,
            _slot: slot,
            member,
            nonce,
            socket,
            subscriptions: BTreeMap::new(),
            ready: VecDeque::new(),
            watches: BTreeMap::new(),
            watch_order: VecDeque::new(),
            sleepers: FuturesUnordered::new(),
            generation: 0,
            refusals: 0,
            heard: Instant::now(),
        }
    }

    async fn run(mut self) {
        if let Err(End::Closed(code, reason)) = self.converse().await {
            let frame = CloseFrame { code, reason: Utf8Bytes::from_static(reason) };
            let _ = timeout(Duration::from_secs(1), SinkExt::send(&mut self.socket, Message::Close(Some(frame)))).await;
        }
    }

    async fn converse(&mut self) -> Result<(), End> {
        let mut phase = self.api.phase.clone();
        let mut pings = interval(PING_EVERY);
        pings.set_missed_tick_behavior(MissedTickBehavior::Delay);
        pings.reset();
        let hello = StreamEvent::Hello { node_id: self.api.handle.node_id(), nonce: self.nonce };
        self.say(&hello).await?;
        loop {
            tokio::select! {
                // In this order: the end, then the reader's wishes, then news, and pages when nothing else is to do.
                biased;
                () = Phase::Draining.reached(&mut phase) => {
                    return Err(End::Closed(close_code::AWAY, "the node is shutting down"));
                }
                message = self.socket.next() => self.hear(message).await?,
                _ = pings.tick() => self.keep_alive().await?,
                Some(woken) = self.sleepers.next(), if !self.sleepers.is_empty() => self.wake(woken).await?,
                () = std::future::ready(()), if !self.ready.is_empty() => self.send_page().await?,
            }
        }
    }

    async fn hear(&mut self, message: Option<Result<Message, axum::Error>>) -> Result<(), End> {
        self.heard = Instant::now();
        match message.ok_or(End::Gone)?? {
            Message::Text(text) => match serde_json::from_str(&text) {
                Ok(request) => self.serve(request).await,
                // Unknown requests of newer clients land here too: refused, never a reason to hang up at once.
                Err(error) => self.refuse(format!("not a request this node knows: {error}"), None).await,
            },
            Message::Binary(_) => self.refuse("requests are JSON text".to_owned(), None).await,
            Message::Close(_) => Err(End::Gone),
            // Pings are answered by the socket itself.
            Message::Ping(_) | Message::Pong(_) => Ok(()),
        }
    }

    async fn serve(&mut self, request: StreamRequest) -> Result<(), End> {
        match request {
            StreamRequest::Subscribe { keys, proof, after } => self.subscribe(&keys, &proof, after).await,
            StreamRequest::Unsubscribe { address } => {
                self.forget(&address);
                Ok(())
            }
            StreamRequest::Watch { id } => self.watch(id).await,
        }
    }

    async fn subscribe(&mut self, keys: &MailboxKeys, proof: &Proof, after: Option<Cursor>) -> Result<(), End> {
        let address = keys.address();
        let (network, node) = (&self.api.handle.params().name, self.api.handle.node_id());
        let proven = proof.nonce == self.nonce
            && proof.verify(network, &keys.collect, &node, ProofMethod::Subscribe, &address).is_ok();
        if !proven {
            let detail = "the proof was not signed by the mailbox's collect key over this connection's nonce";
            return self.refuse(detail.to_owned(), Some(address)).await;
        }
        if self.subscriptions.len() >= SUBSCRIPTIONS_MAX && !self.subscriptions.contains_key(&address) {
            return self.refuse("too many mailboxes in one stream".to_owned(), Some(address)).await;
        }
        self.forget(&address);
        self.generation += 1;
        let generation = self.generation;
        let news = self.api.handle.watch_mailbox(address);
        let subscription = Subscription { generation, cursor: after, news, live: false, lagging: false, sleeper: None };
        self.subscriptions.insert(address, subscription);
        self.ready.push_back((address, generation));
        self.say(&StreamEvent::Subscribed { address }).await
    }

    fn forget(&mut self, address: &Address) {
        if let Some(Subscription { sleeper: Some(sleeper), .. }) = self.subscriptions.remove(address) {
            sleeper.abort();
        }
    }

    async fn watch(&mut self, id: RecordId) -> Result<(), End> {
        if self.watches.contains_key(&id) {
            return Ok(());
        }
        let receiver = self.api.handle.watch_record(id);
        self.sleep_for_record(id, receiver);
        self.watch_order.push_back(id);
        if self.watches.len() <= WATCHES_MAX {
            return Ok(());
        }
        let Some(oldest) = self.watch_order.pop_front() else { return Ok(()) };
        if let Some(sleeper) = self.watches.remove(&oldest) {
            sleeper.abort();
        }
        self.say(&StreamEvent::Status { id: oldest }).await
    }

    fn sleep_for_record(&mut self, id: RecordId, mut receiver: watch::Receiver<u64>) {
        let (sleeper, handle) = futures::future::abortable(async move {
            let changed = receiver.changed().await;
            changed.map(|()| receiver)
        });
        self.watches.insert(id, handle);
        self.sleepers.push(Box::pin(async move {
            match sleeper.await {
                Ok(Ok(receiver)) => Woken::Record(id, receiver),
                _ => Woken::Nothing,
            }
        }));
    }

    async fn wake(&mut self, woken: Woken) -> Result<(), End> {
        match woken {
            Woken::Mailbox(address, generation) => {
                self.ready.push_back((address, generation));
                Ok(())
            }
            Woken::Record(id, receiver) if self.watches.contains_key(&id) => {
                self.sleep_for_record(id, receiver);
                self.say(&StreamEvent::Status { id }).await
            }
            Woken::Record(..) | Woken::Nothing => Ok(()),
        }
    }

    /// Sends the next mailbox's next page, and puts the mailbox back in the queue, or to sleep.
    async fn send_page(&mut self) -> Result<(), End> {
        let Some((address, generation)) = self.ready.pop_front() else { return Ok(()) };
        let Some(subscription) = self.subscriptions.get_mut(&address) else { return Ok(()) };
        if subscription.generation != generation {
            return Ok(());
        }
        // Before the page is read, so that what comes meanwhile wakes the sleeper.
        subscription.news.mark_unchanged();
        let page = self.api.handle.page(&address, subscription.cursor, PAGE_ENTRIES).map_err(|error| {
            tracing::error!(%error, "a stream cannot read its mailbox");
            End::Closed(close_code::ERROR, "the node cannot read its store")
        })?;
        if let Some((last, ..)) = page.entries.last() {
            subscription.cursor = Some(*last);
        }
        let mut news = Vec::new();
        if page.more {
            self.ready.push_back((address, generation));
            if subscription.live && !subscription.lagging {
                (subscription.live, subscription.lagging) = (false, true);
                let position = subscription.cursor.map_or(Position(0), |cursor| Position(cursor.position));
                let waiting = self.api.handle.store().mailbox(&address, position, LAG_COUNT_MAX);
                let behind = waiting.map_or(0, |rows| rows.len() as u64);
                news.push(StreamEvent::Lag { address, behind });
            }
        } else {
            if !subscription.live {
                (subscription.live, subscription.lagging) = (true, false);
                news.push(StreamEvent::Live { address });
            }
            let mut receiver = subscription.news.clone();
            let (sleeper, handle) = futures::future::abortable(async move { receiver.changed().await });
            subscription.sleeper = Some(handle);
            self.sleepers.push(Box::pin(async move {
                match sleeper.await {
                    Ok(Ok(())) => Woken::Mailbox(address, generation),
                    _ => Woken::Nothing,
                }
            }));
        }
        let frames = page
            .entries
            .iter()
            .map(|(cursor, _, frame)| Message::Binary(feed::stream_message(&address, *cursor, frame).into()));
        let events = news.iter().filter_map(text);
        let messages: Vec<Message> = frames.chain(events).collect();
        self.send(messages).await
    }

    async fn keep_alive(&mut self) -> Result<(), End> {
        if self.heard.elapsed() > IDLE_MAX {
            return Err(End::Gone);
        }
        if !self.api.tokens.holds(self.member) {
            return Err(End::Closed(close_code::POLICY, "the member was revoked"));
        }
        self.send(vec![Message::Ping(axum::body::Bytes::new())]).await
    }

    async fn refuse(&mut self, detail: String, address: Option<Address>) -> Result<(), End> {
        self.refusals += 1;
        if self.refusals > REFUSALS_MAX {
            return Err(End::Closed(close_code::POLICY, "too many refused requests"));
        }
        self.say(&StreamEvent::Refused { detail, address }).await
    }

    async fn say(&mut self, event: &StreamEvent) -> Result<(), End> {
        self.send(text(event).into_iter().collect()).await
    }

    /// Sends messages in one go. The reader must take them within [`WRITE_TIMEOUT`].
    async fn send(&mut self, messages: Vec<Message>) -> Result<(), End> {
        let socket = &mut self.socket;
        let written = async {
            for message in messages {
                socket.feed(message).await?;
            }
            socket.flush().await
        };
        match timeout(WRITE_TIMEOUT, written).await {
            Ok(written) => Ok(written?),
            Err(_) => Err(End::Gone),
        }
    }
}

fn text(event: &StreamEvent) -> Option<Message> {
    serde_json::to_string(event).ok().map(|text| Message::Text(text.into()))
}
