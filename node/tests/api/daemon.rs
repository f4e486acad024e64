//! A real node on a store in memory, with its API on real sockets.

use std::{
    sync::Arc,
    time::{SystemTime, UNIX_EPOCH},
};

use axum::body::Body;
use griot_node::{
    api::Server,
    config::Config,
    metrics::{Exposition, Metrics},
    runtime::Node,
    store::MemoryStore,
};
use griot_protocol::{
    Address, CollectSecret, DeliverSecret, Grant, MailboxKeys, MailboxKind, NetworkParams, NodeId, Nonce, Proof,
    ProofMethod, Record, Timestamp,
    api::{Nonces, Problem, Registration},
    envelope,
};
use http_body_util::BodyExt;
use hyper::{HeaderMap, Method, Request, StatusCode, body::Bytes, client::conn::http1};
use hyper_util::rt::TokioIo;
use prometheus_client::registry::Registry;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpStream, UnixStream},
};

pub struct Daemon {
    /// Lives as long as the node does.
    _dir: tempfile::TempDir,
    pub node: Node,
    pub server: Server,
}

impl Daemon {
    pub async fn start(adjust: impl FnOnce(&mut Config)) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let mut config = Config::defaults(dir.path().to_owned());
        config.listen = vec!["/ip4/127.0.0.1/tcp/0".parse().unwrap()];
        config.discovery = false;
        config.api.listen = "127.0.0.1:0".parse().unwrap();
        adjust(&mut config);
        let mut registry = Registry::default();
        let metrics = Metrics::new(&mut registry);
        let store = Arc::new(MemoryStore::new(config.network.bits));
        let node = Node::start(&config, store, Vec::new(), &metrics, &mut registry).unwrap();
        let exposition = Exposition::new(Arc::new(registry), metrics, config.data_dir.clone());
        let server = Server::start(&config, node.handle(), exposition).await.unwrap();
        Self { _dir: dir, node, server }
    }

    pub async fn stop(self) {
        self.server.shutdown().await;
        self.node.shutdown().await;
    }

    /// Its first full address for other nodes, once it has one.
    pub async fn listens_on(&self) -> String {
        let deadline = tokio::time::Instant::now() + std::time::Duration::from_secs(60);
        loop {
            if let Some(address) = self.node.handle().info().await.unwrap().listen.first() {
                return address.clone();
            }
            assert!(tokio::time::Instant::now() < deadline, "it listens nowhere");
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
    }

    pub async fn socket(&self) -> UnixStream {
        UnixStream::connect(self.server.socket()).await.unwrap()
    }

    pub async fn tcp(&self) -> TcpStream {
        TcpStream::connect(self.server.tcp()).await.unwrap()
    }

    /// One request over the Unix socket.
    pub async fn ask(&self, method: Method, path: &str, kind: &str, body: impl Into<Body>) -> Answer {
        let request =
            Request::builder().method(method).uri(path).header("host", "localhost").header("content-type", kind);
        exchange(self.socket().await, request.body(body.into()).unwrap()).await
    }

    pub async fn get(&self, path: &str) -> Answer {
        self.ask(Method::GET, path, "application/json", Body::empty()).await
    }

    /// One request over TCP, with these headers.
    pub async fn ask_tcp(&self, method: Method, path: &str, headers: &[(&str, &str)], body: impl Into<Body>) -> Answer {
        let mut request = Request::builder().method(method).uri(path);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        exchange(self.tcp().await, request.body(body.into()).unwrap()).await
    }

    pub async fn nonce(&self) -> Nonce {
        let nonces: Nonces = self.ask(Method::POST, "/v1/nonces?count=1", "application/json", "").await.json();
        nonces.nonces[0]
    }

    pub async fn register(&self, mailbox: &Mailbox) -> Answer {
        let registration = mailbox.registration(self.node.handle().node_id(), self.nonce().await);
        let path = format!("/v1/mailboxes/{}", mailbox.address());
        self.ask(Method::PUT, &path, "application/json", serde_json::to_vec(&registration).unwrap()).await
    }

    pub async fn submit(&self, frame: Bytes) -> Answer {
        self.ask(Method::POST, "/v1/records", "application/octet-stream", frame).await
    }
}

#[derive(Debug)]
pub struct Answer {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub body: Bytes,
}

impl Answer {
    #[track_caller]
    pub fn json<T: serde::de::DeserializeOwned>(&self) -> T {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    /// That this is a problem of this status, and its reason.
    #[track_caller]
    pub fn problem(&self, status: u16) -> String {
        assert_eq!(self.status.as_u16(), status, "{self:?}");
        assert_eq!(self.headers["content-type"], "application/problem+json", "{self:?}");
        let problem: Problem = self.json();
        assert_eq!(problem.status, status);
        assert!(!problem.title.is_empty() && !problem.detail.is_empty(), "{problem:?}");
        problem.reason().unwrap().to_owned()
    }
}

pub async fn exchange<IO: AsyncRead + AsyncWrite + Unpin + Send + 'static>(io: IO, request: Request<Body>) -> Answer {
    let (mut sender, connection) = http1::handshake(TokioIo::new(io)).await.unwrap();
    let connection = tokio::spawn(connection);
    let response = sender.send_request(request).await.unwrap();
    let (parts, body) = response.into_parts();
    let body = body.collect().await.unwrap().to_bytes();
    drop(sender);
    connection.abort();
    Answer { status: parts.status, headers: parts.headers, body }
}

pub fn now() -> Timestamp {
    Timestamp(SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs())
}

pub struct Mailbox {
    pub deliver: DeliverSecret,
    pub collect: CollectSecret,
    pub keys: MailboxKeys,
    pub params: NetworkParams,
}

impl Mailbox {
    pub fn new(seed: u8) -> Self {
        let (deliver, collect) = (DeliverSecret::from_bytes(&[seed; 32]), CollectSecret::from_bytes(&[!seed; 32]));
        let keys =
            MailboxKeys { kind: MailboxKind::Direct, deliver: deliver.public(), collect: collect.public(), nonce: 0 };
        Self { deliver, collect, keys, params: NetworkParams::standard(griot_protocol::NetworkName::standard()) }
    }

    pub fn address(&self) -> Address {
        self.keys.address()
    }

    pub fn proof(&self, node: NodeId, method: ProofMethod, nonce: Nonce) -> Proof {
        Proof::make(&self.params.name, &self.collect, &node, method, &self.address(), nonce)
    }

    pub fn grant(&self, node: NodeId, until: Timestamp) -> Grant {
        Grant::issue(&self.params.name, &self.collect, &self.address(), &node, until)
    }

    pub fn registration(&self, node: NodeId, nonce: Nonce) -> Registration {
        Registration {
            keys: self.keys,
            grant: self.grant(node, now().plus(86_400)),
            proof: self.proof(node, ProofMethod::Register, nonce),
        }
    }

    /// A fresh envelope: `n` makes it different from the others.
    pub fn envelope(&self, n: u8) -> Record {
        self.envelope_of(n, 256)
    }

    /// The same with a payload that fills a bucket of so many bytes.
    pub fn envelope_of(&self, n: u8, bucket_bytes: usize) -> Record {
        self.envelope_for(n, bucket_bytes, 86_400)
    }

    /// The same, living for so many seconds from now on.
    pub fn envelope_for(&self, n: u8, bucket_bytes: usize, seconds: u64) -> Record {
        let mut payload = vec![n; 1 + bucket_bytes];
        payload[0] = 1;
        let created_at = now().floor_minute();
        let expires_at = now().plus(seconds);
        envelope::seal(&self.params, &self.deliver, self.keys, created_at, expires_at, payload).unwrap()
    }
}
