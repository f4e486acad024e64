//! A home's WebSocket, `GET /v1/stream`: envelopes as they come.
//!
//! The node begins with a nonce, the reader answers with a proof for each mailbox, and envelopes follow from the
//! reader's cursor on. What the stream brings is only ever *earlier* than fetching: whoever loses the connection
//! subscribes again from the last cursor and misses nothing.

use std::time::Duration;

use bytes::Bytes;
use futures::{SinkExt, StreamExt};
use griot_protocol::{
    Address, Cursor, NodeId, Nonce,
    api::{StreamEvent, StreamRequest},
    feed,
    limits::FRAME_BYTES_MAX,
};
use hyper::http::Uri;
use tokio::time::{Instant, timeout};
use tokio_tungstenite::{
    WebSocketStream, client_async_with_config,
    tungstenite::{self, ClientRequestBuilder, Message, protocol::WebSocketConfig},
};

use super::{
    dial::{Socket, Target},
    error::HomeError,
    problem,
};

/// The largest message: an envelope with address and cursor in front. JSON messages are far smaller.
const MESSAGE_BYTES_MAX: usize = FRAME_BYTES_MAX + 4096;

/// After this much silence the home is asked for a sign of life.
const PING_AFTER: Duration = Duration::from_secs(20);

/// After this much silence the connection counts as broken.
const DEAD_AFTER: Duration = Duration::from_secs(50);

/// What a stream brings.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StreamItem {
    /// An envelope, with the cursor after it.
    Envelope {
        /// The mailbox.
        address: Address,
        /// Where reading goes on.
        cursor: Cursor,
        /// Its frame.
        frame: Bytes,
    },
    /// Anything else the node says.
    Event(StreamEvent),
}

/// An open stream.
#[derive(Debug)]
pub struct HomeStream {
    socket: WebSocketStream<Socket>,
    node: NodeId,
    nonce: Nonce,
    heard: Instant,
}

impl HomeStream {
    /// Opens a stream and waits for the node's first word.
    ///
    /// # Errors
    /// [`HomeError`].
    pub async fn open(target: &Target) -> Result<Self, HomeError> {
        let silence = target.patience.silence;
        timeout(silence, Self::open_patiently(target)).await.map_err(|_| HomeError::Silent(silence))?
    }

    async fn open_patiently(target: &Target) -> Result<Self, HomeError> {
        let socket = target.dial().await?;
        let uri: Uri = format!("ws://{}/v1/stream", target.url.authority())
            .parse()
            .map_err(|_| HomeError::Unreachable("its address cannot stand in a request".to_owned()))?;
        let mut request = ClientRequestBuilder::new(uri);
        if let Some(token) = target.authorization.as_ref().and_then(|token| token.to_str().ok()) {
            request = request.with_header("Authorization", token);
        }
        let config = WebSocketConfig::default()
            .max_message_size(Some(MESSAGE_BYTES_MAX))
            .max_frame_size(Some(MESSAGE_BYTES_MAX));
        let (socket, _response) =
            client_async_with_config(request, socket, Some(config)).await.map_err(|e| words(&e))?;
        let (node, nonce) = (NodeId([0; 32]), Nonce([0; 32]));
        let mut stream = Self { socket, node, nonce, heard: Instant::now() };
        loop {
            match stream.next().await? {
                StreamItem::Event(StreamEvent::Hello { node_id, nonce }) => {
                    (stream.node, stream.nonce) = (node_id, nonce);
                    return Ok(stream);
                }
                StreamItem::Event(_) => {}
                StreamItem::Envelope { .. } => {
                    return Err(HomeError::NotANode("it sends mail that nobody subscribed to".to_owned()));
                }
            }
        }
    }

    /// The node that answered.
    #[must_use]
    pub const fn node(&self) -> NodeId {
        self.node
    }

    /// What every subscription on this stream signs.
    #[must_use]
    pub const fn nonce(&self) -> Nonce {
        self.nonce
    }

    /// Says something.
    ///
    /// # Errors
    /// [`HomeError`]: the stream is over.
    pub async fn send(&mut self, request: &StreamRequest) -> Result<(), HomeError> {
        let text = serde_json::to_string(request).map_err(|e| HomeError::Unreachable(e.to_string()))?;
        self.say(Message::text(text)).await
    }

    async fn say(&mut self, message: Message) -> Result<(), HomeError> {
        // A home that stopped reading must not stop the reader.
        timeout(PING_AFTER, self.socket.send(message))
            .await
            .map_err(|_| HomeError::Silent(PING_AFTER))?
            .map_err(|e| words(&e))
    }

    /// Waits for the next item. Messages that this version does not know are passed over. May be given up and called
    /// again without loss.
    ///
    /// # Errors
    /// [`HomeError`]: the stream is over.
    pub async fn next(&mut self) -> Result<StreamItem, HomeError> {
        loop {
            let silent = self.heard.elapsed();
            if silent >= DEAD_AFTER {
                return Err(HomeError::Silent(DEAD_AFTER));
            }
            let wait = if silent < PING_AFTER { PING_AFTER - silent } else { DEAD_AFTER - silent };
            let message = match timeout(wait, self.socket.next()).await {
                Err(_) if silent < PING_AFTER => {
                    self.say(Message::Ping(Bytes::new())).await?;
                    continue;
                }
                Err(_) => continue,
                Ok(None) => return Err(closed()),
                Ok(Some(message)) => message.map_err(|e| words(&e))?,
            };
            self.heard = Instant::now();
            if let Some(item) = read(message)? {
                return Ok(item);
            }
        }
    }
}

fn read(message: Message) -> Result<Option<StreamItem>, HomeError> {
    match message {
        Message::Binary(bytes) => {
            let (address, cursor, frame) =
                feed::read_stream_message(&bytes).map_err(|e| HomeError::NotANode(e.to_string()))?;
            Ok(Some(StreamItem::Envelope { address, cursor, frame: bytes.slice_ref(frame) }))
        }
        Message::Text(text) => Ok(serde_json::from_str(&text).ok().map(StreamItem::Event)),
        Message::Close(_) => Err(closed()),
        Message::Ping(_) | Message::Pong(_) | Message::Frame(_) => Ok(None),
    }
}

fn closed() -> HomeError {
    HomeError::Unreachable("the home closed the stream".to_owned())
}

fn words(e: &tungstenite::Error) -> HomeError {
    match e {
        tungstenite::Error::Http(response) => {
            let kind = response.headers().get("content-type").and_then(|v| v.to_str().ok());
            let body = response.body().as_deref().unwrap_or_default();
            HomeError::Refused(problem::read(response.status(), kind, body))
        }
        tungstenite::Error::Capacity(_) => HomeError::TooLarge { limit: MESSAGE_BYTES_MAX },
        tungstenite::Error::Protocol(_) | tungstenite::Error::Utf8(_) => HomeError::NotANode(e.to_string()),
        tungstenite::Error::ConnectionClosed | tungstenite::Error::AlreadyClosed => closed(),
        _ => HomeError::Unreachable(format!("the stream broke: {e}")),
    }
}
