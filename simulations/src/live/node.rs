//! One real node.

use std::{
    os::unix::process::CommandExt as _,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
};

use griot_protocol::api::{NodeInfo, PeerInfo};
use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

use super::{LiveError, binaries, readings::Readings, wait_for};

/// How a node is started: on loopback only, unless it is told otherwise.
#[derive(Clone, Debug, Default)]
pub struct NodeOptions {
    /// Full multiaddrs to dial.
    pub peers: Vec<String>,
    /// The network's name; the standard one where there is none.
    pub network: Option<String>,
    /// Where to serve the API over TCP; a free port on loopback where there is none.
    pub api: Option<String>,
    /// Whether it may dial nodes that it was not told of.
    pub discovery: bool,
    /// Whether it searches the local network, which needs `discovery`. Only in a network namespace of the test's own:
    /// elsewhere it would meet strangers.
    pub mdns: bool,
    /// The network namespace to run in; the test's own where there is none.
    pub namespace: Option<String>,
    /// Where to listen first; a free port on loopback where nothing is said.
    pub listen: Option<String>,
    /// More command line arguments.
    pub args: Vec<String>,
    /// The folder to keep its data directory in; the temporary one where there is none.
    pub disk: Option<PathBuf>,
    /// Whether signals of the terminal (Ctrl-C) pass it by, because whoever started it ends it.
    pub apart: bool,
}

/// A running `griotd` in a temporary data directory, killed when dropped.
#[derive(Debug)]
pub struct NodeProcess {
    dir: TempDir,
    options: NodeOptions,
    /// Environment variables of its next start.
    env: Vec<(String, String)>,
    child: Option<Child>,
    listen: Vec<String>,
}

impl NodeProcess {
    /// Starts a node on free ports and waits until it answers.
    ///
    /// # Errors
    /// It could not be started, or did not answer in time; its log's end is in the message.
    pub fn start(options: NodeOptions) -> Result<Self, LiveError> {
        let dir = TempDir::with_prefix("griot-node-").map_err(LiveError::io("making a data directory"))?;
        let listen = options.listen.clone().unwrap_or_else(|| "/ip4/127.0.0.1/tcp/0".to_owned());
        let mut node = Self { dir, options, env: Vec::new(), child: None, listen: vec![listen] };
        node.launch()?;
        // From now on it comes back at the same addresses, as a real server does.
        let bare = |address: &String| address.split("/p2p/").next().unwrap_or_default().to_owned();
        node.listen = node.info()?.listen.iter().map(bare).collect();
        Ok(node)
    }

    /// Starts the node again after [`kill`](Self::kill).
    ///
    /// # Errors
    /// As for [`start`](Self::start).
    pub fn launch(&mut self) -> Result<(), LiveError> {
        let log = std::fs::OpenOptions::new()
            .create(true)
            .append(true)
            .open(self.log_path())
            .map_err(LiveError::io("opening the node's log"))?;
        let mut command = self.griotd()?;
        let api = self.options.api.as_deref().unwrap_or("127.0.0.1:0");
        command.arg("--data-dir").arg(self.data_dir()).args(["--api", api]);
        command.env("GRIOT_NO_MDNS", if self.options.mdns { "false" } else { "true" });
        if !self.options.discovery {
            command.arg("--no-discovery");
        }
        for address in &self.listen {
            command.args(["--listen", address]);
        }
        for peer in &self.options.peers {
            command.args(["--peer", peer]);
        }
        if let Some(network) = &self.options.network {
            command.args(["--network", network]);
        }
        command.args(&self.options.args).env_remove("RUST_LOG");
        command.envs(self.env.iter().map(|(name, value)| (name, value)));
        if self.options.apart {
            command.process_group(0);
        }
        let child = command
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .map_err(LiveError::io("starting griotd"))?;
        self.child = Some(child);
        let mut ended = None;
        let answered = wait_for("griotd to answer", || {
            ended = self.ended();
            ended.is_some().then_some(()).or_else(|| self.info().ok().filter(|info| !info.listen.is_empty()).map(drop))
        });
        let why = match (ended, answered) {
            (None, Ok(())) => return Ok(()),
            (Some(how), _) => format!("griotd ended at its start: {how}"),
            (None, Err(error)) => error.to_string(),
        };
        Err(LiveError::Failed(format!("{why}\n{}", self.log_tail())))
    }

    /// `griotd`, in this node's namespace.
    fn griotd(&self) -> Result<Command, LiveError> {
        let griotd = binaries::find("griotd")?;
        Ok(match &self.options.namespace {
            Some(name) => super::namespace::command(name, griotd),
            None => Command::new(griotd),
        })
    }

    /// Sets environment variables for its next starts, instead of those that were set before.
    pub fn set_env(&mut self, env: Vec<(String, String)>) {
        self.env = env;
    }

    /// How it ended, where it was started and has ended by itself; said once.
    pub fn ended(&mut self) -> Option<String> {
        let status = self.child.as_mut()?.try_wait().ok()??;
        self.child = None;
        Some(status.to_string())
    }

    /// Whether it was started and has not been seen to end.
    #[must_use]
    pub const fn is_running(&self) -> bool {
        self.child.is_some()
    }

    /// Stops it in its tracks (SIGSTOP): it keeps its connections and does nothing, as a machine that is suspended.
    pub fn pause(&self) {
        self.signal(Signal::STOP);
    }

    /// Lets it go on after [`pause`](Self::pause).
    pub fn resume(&self) {
        self.signal(Signal::CONT);
    }

    fn signal(&self, signal: Signal) {
        // Not waited for yet, so the id is still its own.
        let pid = self.child.as_ref().and_then(|child| Pid::from_raw(child.id() as i32));
        if let Some(pid) = pid {
            let _ = kill_process(pid, signal);
        }
    }

    /// Kills the node without warning (SIGKILL) and waits until it is gone.
    pub fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }

    /// Asks the node to stop (SIGTERM) and waits until it has.
    ///
    /// # Errors
    /// It did not stop in time, or with an error.
    pub fn stop(&mut self) -> Result<(), LiveError> {
        self.signal(Signal::TERM);
        let Some(mut child) = self.child.take() else { return Ok(()) };
        let ended = wait_for("griotd to stop", || child.try_wait().ok().flatten());
        let status = match ended {
            Ok(status) => status,
            Err(error) => {
                let _ = child.kill();
                let _ = child.wait();
                return Err(error);
            }
        };
        if status.success() { Ok(()) } else { Err(LiveError::Failed(format!("griotd ended with {status}"))) }
    }

    /// Resident memory in bytes.
    ///
    /// # Errors
    /// The node is not running.
    pub fn resident_bytes(&self) -> Result<u64, LiveError> {
        let pid = self.child.as_ref().map(Child::id).ok_or_else(|| LiveError::Failed("not running".to_owned()))?;
        let status = std::fs::read_to_string(format!("/proc/{pid}/status")).map_err(LiveError::io("reading /proc"))?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        let kib = line.and_then(|line| line.split_whitespace().next()).and_then(|number| number.parse::<u64>().ok());
        kib.map(|kib| kib * 1024).ok_or_else(|| LiveError::Failed("no VmRSS in /proc".to_owned()))
    }

    /// Its data directory.
    #[must_use]
    pub fn data_dir(&self) -> PathBuf {
        self.options.disk.as_deref().unwrap_or(self.dir.path()).join("data")
    }

    /// What `griot` takes as `--node`.
    #[must_use]
    pub fn url(&self) -> String {
        format!("unix:{}", self.data_dir().join("api.sock").display())
    }

    /// Its full addresses, with `/p2p/…`.
    ///
    /// # Errors
    /// It does not answer.
    pub fn addresses(&self) -> Result<Vec<String>, LiveError> {
        Ok(self.info()?.listen)
    }

    /// `griotd status --json`.
    ///
    /// # Errors
    /// It does not answer.
    pub fn info(&self) -> Result<NodeInfo, LiveError> {
        let output = self.command(&["status", "--json"])?;
        serde_json::from_str(&output).map_err(|error| LiveError::Failed(format!("status: {error}: {output}")))
    }

    /// What its metrics say now.
    ///
    /// # Errors
    /// It does not answer.
    pub fn metrics(&self) -> Result<Readings, LiveError> {
        Readings::of(&self.data_dir().join("api.sock"))
    }

    /// `griotd peers --json`: connected, configured and remembered ones.
    ///
    /// # Errors
    /// It does not answer.
    pub fn peers(&self) -> Result<Vec<PeerInfo>, LiveError> {
        let output = self.command(&["peers", "--json"])?;
        let parse = |line| serde_json::from_str(line).map_err(|error| LiveError::Failed(format!("peers: {error}")));
        output.lines().map(parse).collect()
    }

    /// Runs `griotd --data-dir … ARGS` and gives its standard output.
    ///
    /// # Errors
    /// It ended with an error, which is in the message.
    pub fn command(&self, args: &[&str]) -> Result<String, LiveError> {
        let output = self
            .griotd()?
            .arg("--data-dir")
            .arg(self.data_dir())
            .args(args)
            .stdin(Stdio::null())
            .output()
            .map_err(LiveError::io("running griotd"))?;
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        if output.status.success() {
            Ok(text(&output.stdout))
        } else {
            Err(LiveError::Failed(format!("griotd {args:?} ended with {}: {}", output.status, text(&output.stderr))))
        }
    }

    /// The last lines of its log.
    #[must_use]
    pub fn log_tail(&self) -> String {
        let log = std::fs::read_to_string(self.log_path()).unwrap_or_default();
        let lines: Vec<&str> = log.lines().collect();
        lines[lines.len().saturating_sub(20)..].join("\n")
    }

    /// Where its log is.
    #[must_use]
    pub fn log_path(&self) -> PathBuf {
        self.dir.path().join("log")
    }

    /// The folder that holds data directory and log, for searching.
    #[must_use]
    pub fn folder(&self) -> &Path {
        self.dir.path()
    }
}

impl Drop for NodeProcess {
    fn drop(&mut self) {
        self.kill();
    }
}

/// Starts `count` nodes in a row: each dials only the one before it.
///
/// # Errors
/// One of them did not start, or a link did not come up.
pub fn row(count: usize, args: &[&str]) -> Result<Vec<NodeProcess>, LiveError> {
    let args = args.iter().map(|arg| (*arg).to_owned()).collect();
    let nodes = chain(count, &NodeOptions { args, ..NodeOptions::default() })?;
    for (place, node) in nodes.iter().enumerate() {
        let neighbours = usize::from(place > 0) + usize::from(place + 1 < count);
        wait_for("the row to be linked", || node.info().ok().filter(|info| info.peers == neighbours as u64))?;
    }
    Ok(nodes)
}

/// Starts `count` nodes, each of which is told of the one before it; with discovery they may find more.
///
/// # Errors
/// One of them did not start.
pub fn chain(count: usize, options: &NodeOptions) -> Result<Vec<NodeProcess>, LiveError> {
    let mut nodes: Vec<NodeProcess> = Vec::new();
    for _ in 0..count {
        let peers = match nodes.last() {
            Some(previous) => previous.addresses()?,
            None => Vec::new(),
        };
        nodes.push(NodeProcess::start(NodeOptions { peers, ..options.clone() })?);
    }
    Ok(nodes)
}
