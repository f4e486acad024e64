//! The demo's nodes: child processes in a directory of their own, gone when they are dropped.

use std::{
    fs, io,
    net::TcpListener,
    os::unix::fs::DirBuilderExt,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::Duration,
};

use griot_protocol::api::NodeInfo;
use tokio::time::{Instant, sleep};

use super::story::DemoError;
use crate::home::{HomeClient, HomeUrl, Patience, Target};

/// The network's name: nothing else is on it.
pub(super) const NETWORK: &str = "demo";

/// How long a node may take to answer.
const START_MAX: Duration = Duration::from_secs(20);

/// How often it is asked.
const ASK_EVERY: Duration = Duration::from_millis(50);

/// Lines of a node's log that are shown when it fails.
const LOG_LINES_SHOWN: usize = 8;

/// What a socket in the demo's directory may take of the 107 bytes that the kernel allows.
const DIR_BYTES_MAX: usize = 80;

/// A directory that is removed with all it holds.
#[derive(Debug)]
pub(super) struct TempDir(PathBuf);

impl TempDir {
    pub(super) fn new() -> io::Result<Self> {
        let name = format!("griot-demo-{}-{:08x}", std::process::id(), getrandom::u32().unwrap_or_default());
        let mut base = std::env::temp_dir();
        if base.as_os_str().len() + 1 + name.len() > DIR_BYTES_MAX {
            base = PathBuf::from("/tmp");
        }
        let path = base.join(name);
        fs::DirBuilder::new().mode(0o700).create(&path)?;
        Ok(Self(path))
    }

    pub(super) fn join(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }
}

impl Drop for TempDir {
    fn drop(&mut self) {
        if let Err(error) = fs::remove_dir_all(&self.0) {
            tracing::warn!(%error, dir = %self.0.display(), "not removed");
        }
    }
}

/// A running node.
#[derive(Debug)]
pub(super) struct Node {
    pub(super) name: &'static str,
    pub(super) info: NodeInfo,
    pub(super) url: String,
    child: Child,
    client: HomeClient,
}

impl Drop for Node {
    fn drop(&mut self) {
        self.kill();
    }
}

impl Node {
    /// Starts a node that knows `peers` and nobody else, and waits until it answers.
    pub(super) async fn start(
        griotd: &Path,
        dir: &TempDir,
        name: &'static str,
        peers: &[&Self],
    ) -> Result<Self, DemoError> {
        let data = dir.join(name);
        let log_path = dir.join(&format!("{name}.log"));
        let log = fs::File::create(&log_path)?;
        let api = TcpListener::bind("127.0.0.1:0")?.local_addr()?;
        let mut command = Command::new(griotd);
        command.arg("--data-dir").arg(&data).args(["--network", NETWORK, "--no-discovery"]);
        command.args(["--listen", "/ip4/127.0.0.1/tcp/0", "--api", &api.to_string()]);
        for address in peers.iter().filter_map(|peer| peer.info.listen.first()) {
            command.args(["--peer", address]);
        }
        command.stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log);
        let url = format!("unix:{}", data.join("api.sock").display());
        let parsed: HomeUrl = url.parse().map_err(crate::home::HomeError::from)?;
        let client = HomeClient::new(Target::new(parsed, None, None, false, Patience::COMMAND)?);
        let info = empty_info();
        // Last: from here on dropping the node ends the process.
        let child = command.spawn()?;
        let mut node = Self { name, info, url, child, client };
        node.until_it_answers(&log_path).await?;
        Ok(node)
    }

    async fn until_it_answers(&mut self, log: &Path) -> Result<(), DemoError> {
        let deadline = Instant::now() + START_MAX;
        loop {
            match self.client.greet().await {
                Ok(info) if !info.listen.is_empty() => {
                    self.info = info;
                    return Ok(());
                }
                _ => {}
            }
            let ended = self.child.try_wait()?;
            if ended.is_some() || Instant::now() >= deadline {
                let what = ended.map_or("does not answer".to_owned(), |status| format!("ended ({status})"));
                return Err(DemoError::Node { name: self.name, what, log: last_lines(log) });
            }
            sleep(ASK_EVERY).await;
        }
    }

    /// Waits until it has that many neighbours.
    pub(super) async fn until_connected(&self, peers: u64) -> Result<(), DemoError> {
        let deadline = Instant::now() + START_MAX;
        loop {
            if self.client.greet().await.is_ok_and(|info| info.peers >= peers) {
                return Ok(());
            }
            if Instant::now() >= deadline {
                let what = format!("did not find its {peers} neighbours");
                return Err(DemoError::Node { name: self.name, what, log: String::new() });
            }
            sleep(ASK_EVERY).await;
        }
    }

    /// Its process.
    pub(super) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// SIGKILL: no farewell, nothing flushed.
    pub(super) fn kill(&mut self) {
        // It may have ended by itself.
        let _ended = self.child.kill();
        let _reaped = self.child.wait();
    }
}

/// What is known of a node before it answers.
fn empty_info() -> NodeInfo {
    NodeInfo {
        node_id: griot_protocol::NodeId([0; 32]),
        peer_id: String::new(),
        network: NETWORK.to_owned(),
        bits: 0,
        postage_bits: 0,
        postage_bits_now: 0,
        shards: Vec::new(),
        version: String::new(),
        time: griot_protocol::Timestamp(0),
        listen: Vec::new(),
        peers: 0,
        records: 0,
        bytes: 0,
        mailboxes: 0,
        outbox: 0,
        uptime_seconds: 0,
        warnings: Vec::new(),
        reachability: griot_protocol::api::Reachability::Unknown,
        circuits: Vec::new(),
        relays: false,
    }
}

fn last_lines(log: &Path) -> String {
    let text = fs::read_to_string(log).unwrap_or_default();
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(LOG_LINES_SHOWN)..].join("\n")
}

/// `griotd`, beside this program or on PATH.
pub(super) fn find_griotd() -> Result<PathBuf, DemoError> {
    let beside = std::env::current_exe().ok().and_then(|exe| exe.parent().map(|dir| dir.join("griotd")));
    let path = std::env::var_os("PATH").unwrap_or_default();
    let on_path = std::env::split_paths(&path).map(|dir| dir.join("griotd"));
    beside.into_iter().chain(on_path).find(|candidate| is_program(candidate)).ok_or(DemoError::NoGriotd)
}

fn is_program(path: &Path) -> bool {
    use std::os::unix::fs::PermissionsExt;
    fs::metadata(path).is_ok_and(|meta| meta.is_file() && meta.permissions().mode() & 0o111 != 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_directory_goes_with_its_owner() {
        let dir = TempDir::new().unwrap();
        let path = dir.join("x");
        fs::write(&path, b"x").unwrap();
        drop(dir);
        assert!(!path.parent().unwrap().exists());
    }

    #[tokio::test]
    async fn a_node_that_ends_at_once_is_reported_with_its_last_words() {
        let dir = TempDir::new().unwrap();
        let fake = dir.join("griotd");
        fs::write(&fake, "#!/bin/sh\necho no disk here >&2\nexit 7\n").unwrap();
        fs::set_permissions(&fake, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
        let error = Node::start(&fake, &dir, "A", &[]).await.unwrap_err().to_string();
        assert!(error.contains("ended") && error.contains("no disk here"), "{error}");
    }
}
