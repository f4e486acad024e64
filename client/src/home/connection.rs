//! One kept-alive HTTP/1.1 connection to a home.

use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use http_body_util::{BodyExt, Full};
use hyper::{
    HeaderMap, Method, Request, Response,
    body::Incoming,
    client::conn::http1::{self, SendRequest},
    header::{self, HeaderValue},
};
use hyper_util::rt::TokioIo;
use tokio::{task::JoinHandle, time::timeout};

use super::{dial::Target, error::HomeError, problem};

/// Bytes of an answer's head: a node sends a handful of short headers.
const HEAD_BYTES_MAX: usize = 32 * 1024;

/// Bytes of an error's body.
const PROBLEM_BYTES_MAX: usize = 16 * 1024;

/// Characters of a redirect's target that are shown.
const LOCATION_CHARS_MAX: usize = 200;

/// A connection to a home that is opened when it is needed, kept, and opened again when it broke. One call at a time:
/// for several in flight, use several connections. The typed calls ([`Connection::submit`], …) are in `calls`.
#[derive(Debug)]
pub struct Connection {
    target: Arc<Target>,
    open: Option<Open>,
}

#[derive(Debug)]
struct Open {
    sender: SendRequest<Full<Bytes>>,
    /// Moves the bytes; ended with the connection.
    driver: JoinHandle<()>,
}

impl Drop for Open {
    fn drop(&mut self) {
        self.driver.abort();
    }
}

/// A request, in a form that can be sent twice.
pub(super) struct Ask<'a> {
    pub method: Method,
    pub path: &'a str,
    pub content_type: Option<&'static str>,
    pub body: Bytes,
    /// Bytes that a good answer may have.
    pub answer_bytes_max: usize,
}

/// A good answer (status 2xx).
pub(super) struct Answer {
    pub headers: HeaderMap,
    pub body: Bytes,
}

impl Connection {
    /// A connection to `target`, opened by its first call.
    #[must_use]
    pub const fn new(target: Arc<Target>) -> Self {
        Self { target, open: None }
    }

    /// Where it leads.
    #[must_use]
    pub fn target(&self) -> &Target {
        &self.target
    }

    /// Asks, and reads the whole answer.
    pub(super) async fn ask(&mut self, ask: Ask<'_>) -> Result<Answer, HomeError> {
        let whole = self.target.patience.call;
        match timeout(whole, self.ask_patiently(&ask)).await {
            Ok(result) => {
                // After a refusal the connection is in order; after anything else nobody knows where it stands.
                if matches!(&result, Err(e) if !e.is_refusal()) {
                    self.open = None;
                }
                result
            }
            Err(_) => {
                self.open = None;
                Err(HomeError::Silent(whole))
            }
        }
    }

    async fn ask_patiently(&mut self, ask: &Ask<'_>) -> Result<Answer, HomeError> {
        let reused = self.open.is_some();
        let response = match self.send(ask).await {
            // A home closes connections that were idle. Every call may be made twice, so try once on a fresh one.
            Err(HomeError::Unreachable(_)) if reused => {
                self.open = None;
                self.send(ask).await?
            }
            other => other?,
        };
        self.read(response, ask.answer_bytes_max).await
    }

    async fn send(&mut self, ask: &Ask<'_>) -> Result<Response<Incoming>, HomeError> {
        let silence = self.target.patience.silence;
        let request = self.request(ask)?;
        let sender = self.sender().await?;
        let exchange = async {
            sender.ready().await?;
            sender.send_request(request).await
        };
        let answered = timeout(silence, exchange).await.map_err(|_| HomeError::Silent(silence))?;
        answered.map_err(|e| broken(&e))
    }

    fn request(&self, ask: &Ask<'_>) -> Result<Request<Full<Bytes>>, HomeError> {
        let mut request =
            Request::builder().method(ask.method.clone()).uri(ask.path).header(header::HOST, self.target.host.clone());
        if let Some(token) = &self.target.authorization {
            request = request.header(header::AUTHORIZATION, token.clone());
        }
        if let Some(kind) = ask.content_type {
            request = request.header(header::CONTENT_TYPE, HeaderValue::from_static(kind));
        }
        request.body(Full::new(ask.body.clone())).map_err(|e| HomeError::Unreachable(e.to_string()))
    }

    async fn sender(&mut self) -> Result<&mut SendRequest<Full<Bytes>>, HomeError> {
        if self.open.as_ref().is_some_and(|open| open.sender.is_closed()) {
            self.open = None;
        }
        let open = match self.open.take() {
            Some(open) => open,
            None => self.open().await?,
        };
        Ok(&mut self.open.insert(open).sender)
    }

    async fn open(&self) -> Result<Open, HomeError> {
        let socket = self.target.dial().await?;
        let (sender, connection) = http1::Builder::new()
            .max_buf_size(HEAD_BYTES_MAX)
            .handshake(TokioIo::new(socket))
            .await
            .map_err(|e| broken(&e))?;
        let driver = tokio::spawn(async move {
            // What ends the connection is told to whoever waits on it.
            let _ended = connection.await;
        });
        Ok(Open { sender, driver })
    }

    async fn read(&self, response: Response<Incoming>, bytes_max: usize) -> Result<Answer, HomeError> {
        let (head, body) = response.into_parts();
        if head.status.is_redirection() {
            return Err(HomeError::Redirect(location(&head.headers)));
        }
        if head.status.is_success() {
            let body = self.read_body(body, bytes_max).await?;
            return Ok(Answer { headers: head.headers, body });
        }
        if !head.status.is_client_error() && !head.status.is_server_error() {
            return Err(HomeError::NotANode(format!("it answered with status {}", head.status.as_u16())));
        }
        let body = self.read_body(body, PROBLEM_BYTES_MAX).await?;
        let kind = head.headers.get(header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok());
        Err(HomeError::Refused(problem::read(head.status, kind, &body)))
    }

    /// Reads a body of at most `limit` bytes, of which each piece comes before the patience for silence ends.
    async fn read_body(&self, mut body: Incoming, limit: usize) -> Result<Bytes, HomeError> {
        let silence = self.target.patience.silence;
        let announced = hyper::body::Body::size_hint(&body).lower();
        if announced > limit as u64 {
            return Err(HomeError::TooLarge { limit });
        }
        let mut first = Bytes::new();
        let mut all = BytesMut::new();
        loop {
            let next = timeout(silence, body.frame()).await.map_err(|_| HomeError::Silent(silence))?;
            let Some(frame) = next else { break };
            let Ok(data) = frame.map_err(|e| broken(&e))?.into_data() else { continue };
            if first.len() + all.len() + data.len() > limit {
                return Err(HomeError::TooLarge { limit });
            }
            // Most answers come in one piece, which then is not copied.
            if first.is_empty() && all.is_empty() {
                first = data;
            } else {
                if all.is_empty() {
                    all.extend_from_slice(&std::mem::take(&mut first));
                }
                all.extend_from_slice(&data);
            }
        }
        Ok(if all.is_empty() { first } else { all.freeze() })
    }
}

fn location(headers: &HeaderMap) -> String {
    let text = headers.get(header::LOCATION).and_then(|v| v.to_str().ok()).unwrap_or("another address");
    text.chars().take(LOCATION_CHARS_MAX).collect()
}

fn broken(e: &hyper::Error) -> HomeError {
    if e.is_parse() || e.is_parse_too_large() || e.is_parse_status() {
        return HomeError::NotANode(e.to_string());
    }
    let source = std::error::Error::source(e);
    HomeError::Unreachable(match source {
        Some(source) => format!("the connection broke: {source}"),
        None => format!("the connection broke: {e}"),
    })
}
