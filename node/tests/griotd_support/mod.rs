//! A real `griotd` in a process of its own, and a client that speaks to its socket.

#![allow(dead_code, clippy::unwrap_used, clippy::expect_used, reason = "each test file uses a part, and may panic")]

use std::{
    fs::{self, OpenOptions},
    path::{Path, PathBuf},
    process::{Child, Command, Output, Stdio},
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use axum::body::Body;
use griot_protocol::{
    CollectSecret, DeliverSecret, MailboxKeys, MailboxKind, NetworkName, NetworkParams, Record, Timestamp,
    api::NodeInfo, envelope,
};
use http_body_util::BodyExt;
use hyper::{Method, Request, StatusCode, body::Bytes, client::conn::http1};
use hyper_util::rt::TokioIo;
use tokio::net::UnixStream;

/// How long anything may take on a busy machine.
pub const PATIENCE: Duration = Duration::from_secs(60);

const POLL: Duration = Duration::from_millis(10);

pub fn now() -> Timestamp {
    Timestamp(SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs())
}

pub fn mailbox(number: u64) -> (DeliverSecret, CollectSecret, MailboxKeys) {
    let mut seed = [9; 32];
    seed[..8].copy_from_slice(&number.to_le_bytes());
    let (deliver, collect) = (DeliverSecret::from_bytes(&seed), CollectSecret::from_bytes(&seed));
    let keys =
        MailboxKeys { kind: MailboxKind::Direct, deliver: deliver.public(), collect: collect.public(), nonce: 0 };
    (deliver, collect, keys)
}

/// A letter to one of five mailboxes, different for each `number`.
pub fn letter(number: u64) -> Record {
    let (deliver, _, keys) = mailbox(number % 5);
    let mut payload = vec![1; 257];
    payload[1..9].copy_from_slice(&number.to_le_bytes());
    let params = NetworkParams::standard(NetworkName::standard());
    envelope::seal(&params, &deliver, keys, now().floor_minute(), now().plus(86_400), payload).unwrap()
}

/// A node: its data directory, its log beside it, and its process while it runs.
pub struct Griotd {
    pub data: PathBuf,
    log: PathBuf,
    args: Vec<String>,
    child: Option<Child>,
}

impl Griotd {
    /// A node that listens at this port of loopback and dials these addresses. It does not run yet.
    pub fn new(data: PathBuf, log: PathBuf, port: u16, peers: &[String]) -> Self {
        let mut args = vec!["--listen".to_owned(), format!("/ip4/127.0.0.1/tcp/{port}")];
        args.extend(["--no-discovery", "--api", "127.0.0.1:0"].map(str::to_owned));
        args.extend(peers.iter().flat_map(|peer| ["--peer".to_owned(), peer.clone()]));
        Self { data, log, args, child: None }
    }

    fn command(&self) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_griotd"));
        let home = self.log.parent().unwrap();
        command.env_clear().env("HOME", home).arg("--data-dir").arg(&self.data).stdin(Stdio::null());
        command
    }

    /// Starts its process.
    pub fn spawn(&mut self) {
        let log = OpenOptions::new().create(true).append(true).open(&self.log).unwrap();
        let child = self.command().args(&self.args).stdout(Stdio::null()).stderr(log).spawn().unwrap();
        self.child = Some(child);
    }

    /// Waits until it answers; `None` where it ended, or `given_up` says so, before that.
    pub async fn answers_unless(&mut self, given_up: impl Fn() -> bool) -> Option<NodeInfo> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            if let Some(info) = self.info().await {
                return Some(info);
            }
            if given_up() || self.child.as_mut().unwrap().try_wait().unwrap().is_some() {
                return None;
            }
            assert!(Instant::now() < deadline, "griotd does not answer: {}", self.log());
            tokio::time::sleep(POLL).await;
        }
    }

    /// Starts it and waits until it answers.
    pub async fn start(&mut self) -> NodeInfo {
        self.spawn();
        let info = self.answers_unless(|| false).await;
        info.unwrap_or_else(|| panic!("griotd did not start: {}", self.log()))
    }

    /// Waits until what it says of itself is as wanted.
    pub async fn wait_for(&self, what: &str, wanted: impl Fn(&NodeInfo) -> bool) {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let info = self.info().await;
            if info.as_ref().is_some_and(&wanted) {
                return;
            }
            assert!(Instant::now() < deadline, "waited in vain for {what}: {info:?}\n{}", self.log());
            tokio::time::sleep(POLL).await;
        }
    }

    pub async fn info(&self) -> Option<NodeInfo> {
        let (status, body) = self.ask(Method::GET, "/v1/node", Bytes::new()).await?;
        (status == StatusCode::OK).then(|| serde_json::from_slice(&body).unwrap())
    }

    /// Asks it over a connection of its own; `None` where no answer came.
    pub async fn ask(&self, method: Method, path: &str, body: Bytes) -> Option<(StatusCode, Bytes)> {
        Line::open(&self.data).await?.ask(method, path, body).await
    }

    /// Kills its process, if there is one, and waits until it is gone.
    pub fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }

    /// Ends its process as an operator does.
    pub fn stop(&mut self) {
        let mut child = self.child.take().unwrap();
        rustix::process::kill_process(rustix::process::Pid::from_child(&child), rustix::process::Signal::TERM).unwrap();
        assert!(child.wait().unwrap().success(), "{}", self.log());
    }

    /// Runs a command of `griotd` on its data directory.
    pub fn run(&self, args: &[&str]) -> Output {
        self.command().args(args).output().unwrap()
    }

    pub fn log(&self) -> String {
        fs::read_to_string(&self.log).unwrap()
    }
}

impl Drop for Griotd {
    fn drop(&mut self) {
        self.kill();
    }
}

/// A connection to a node's socket.
pub struct Line(http1::SendRequest<Body>);

impl Line {
    pub async fn open(data: &Path) -> Option<Self> {
        let socket = UnixStream::connect(data.join("api.sock")).await.ok()?;
        let (sender, connection) = http1::handshake(TokioIo::new(socket)).await.ok()?;
        tokio::spawn(connection);
        Some(Self(sender))
    }

    pub async fn ask(&mut self, method: Method, path: &str, body: Bytes) -> Option<(StatusCode, Bytes)> {
        let kind = if path == "/v1/records" { "application/octet-stream" } else { "application/json" };
        let request = Request::builder().method(method).uri(path).header("host", "localhost");
        let request = request.header("content-type", kind).body(Body::from(body)).unwrap();
        let answer = async {
            self.0.ready().await.ok()?;
            let response = self.0.send_request(request).await.ok()?;
            let status = response.status();
            Some((status, response.into_body().collect().await.ok()?.to_bytes()))
        };
        tokio::time::timeout(PATIENCE, answer).await.expect("griotd neither answers nor ends")
    }

    /// Hands in a record; whether it was answered with 202.
    pub async fn submit(&mut self, record: &Record) -> bool {
        let answer = self.ask(Method::POST, "/v1/records", record.frame().clone()).await;
        answer.is_some_and(|(status, _)| status == StatusCode::ACCEPTED)
    }

    /// Whether the node knows a record.
    pub async fn knows(&mut self, record: &Record) -> bool {
        let answer = self.ask(Method::GET, &format!("/v1/records/{}", record.id()), Bytes::new()).await;
        answer.is_some_and(|(status, _)| status == StatusCode::OK)
    }
}
