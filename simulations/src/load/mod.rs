//! Load: what a node can durably accept, and how fast.
//!
//! Records are made before the clock starts, and only distinct ids that were answered 202 count. Beside every figure
//! stands what the disk under the node takes for one `fdatasync`, because no durable answer can be faster. With
//! `--verify-after-kill` the node is killed (SIGKILL) at the end of the run, started again, and asked for every id it had
//! acknowledged.

mod accept;
mod disk;
mod latency;
pub(crate) mod push;
pub(crate) mod records;
pub mod sync;

use std::path::{Path, PathBuf};

use griot_client::{
    core::{Home, HomeId},
    home::{HomeError, Patience, Target},
};
use griot_protocol::NetworkParams;
use serde::Serialize;

pub use latency::Latency;

use crate::live::{
    self, LiveError,
    node::{NodeOptions, NodeProcess},
};

/// The most records one run makes: at 64 KiB each they still fit the memory of a small server.
pub const COUNT_MAX: usize = 1_000_000;

/// The most requests in flight: one connection each.
pub const IN_FLIGHT_MAX: usize = 1024;

/// Submissions one after the other, from which the unloaded latency is taken.
const SINGLES: usize = 500;

/// Messages timed from submit to push.
const PUSHES: usize = 300;

/// What to measure.
#[derive(Clone, Debug)]
pub struct Options {
    /// The node to load; two nodes of our own in a row where there is none.
    pub node: Option<String>,
    /// A second node of the same network, on which pushes are awaited.
    pub reader: Option<String>,
    /// Bearer token for either.
    pub token: Option<String>,
    /// Records.
    pub count: usize,
    /// Requests in flight.
    pub in_flight: usize,
    /// Payload bytes; rounded up to a bucket.
    pub size: usize,
    /// Kill our own node at the end and read everything back.
    pub verify_after_kill: bool,
}

/// Why there is no result.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// The options make no sense together.
    #[error("{0}")]
    Options(String),
    /// A node did not do as it should.
    #[error(transparent)]
    Home(#[from] HomeError),
    /// A process could not be started.
    #[error(transparent)]
    Live(#[from] LiveError),
    /// A file could not be read or written.
    #[error("measuring the disk, or writing records to it: {0}")]
    Disk(#[from] std::io::Error),
    /// An acknowledged record is gone: the one thing that must never happen.
    #[error("{lost} of {checked} acknowledged records were not there after kill -9; the first is {first}")]
    Lost {
        /// How many were asked for.
        checked: usize,
        /// How many were gone.
        lost: usize,
        /// One of them.
        first: String,
    },
}

/// What was measured.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    /// Distinct ids answered 202.
    pub accepted: usize,
    /// Requests that failed.
    pub failed: usize,
    /// Requests in flight.
    pub in_flight: usize,
    /// Bytes of one frame.
    pub frame_bytes: usize,
    /// Durable accepts per second.
    pub accepts_per_second: f64,
    /// Accept latency at `in_flight`, microseconds.
    pub accept_loaded: Latency,
    /// Accept latency with one in flight, microseconds.
    pub accept_single: Latency,
    /// Submit at one node → push at another, microseconds; absent where there was only one node.
    pub submit_to_push: Option<Latency>,
    /// One fdatasync on the disk under the node (or under the temporary folder), microseconds.
    pub fdatasync: Latency,
    /// Where that was measured.
    pub fdatasync_in: String,
    /// Resident bytes of our own node before the load.
    pub idle_resident_bytes: Option<u64>,
    /// Ids found readable after kill -9.
    pub verified_after_kill: Option<usize>,
}

/// Runs the load and reports.
///
/// # Errors
/// [`LoadError`].
pub async fn run(options: Options) -> Result<Report, LoadError> {
    check(&options)?;
    let mut own = match &options.node {
        Some(_) => Vec::new(),
        None => vec![start(NodeOptions::default()).await?],
    };
    let node = target(&options, options.node.clone().or_else(|| own.first().map(NodeProcess::url)))?;
    let idle_resident_bytes = own.first().map(NodeProcess::resident_bytes).transpose()?;
    let params = records::params(&node).await?;

    progress(format_args!("making {} records …", options.count));
    let singles = records::make(&params, SINGLES.min(options.count), options.size).await?;
    let frames = records::make(&params, options.count, options.size).await?;
    let frame_bytes = frames.first().map_or(0, |record| record.frame().len());
    let (fdatasync, fdatasync_in) = disk::fdatasync(&disk_of(&options, &own))?;

    progress(format_args!("one in flight …"));
    let single = accept::run(&node, singles, 1).await?;
    progress(format_args!("{} in flight …", options.in_flight));
    let loaded = accept::run(&node, frames, options.in_flight).await?;
    let submit_to_push = submit_to_push(&options, &mut own, &node, &params).await?;
    let verified_after_kill = if options.verify_after_kill {
        progress(format_args!("kill -9, restart, reading everything back …"));
        let mut ids = single.ids.clone();
        ids.extend_from_slice(&loaded.ids);
        Some(verify_after_kill(&mut own, &node, ids).await?)
    } else {
        None
    };
    Ok(Report {
        accepted: loaded.ids.len(),
        failed: loaded.failed + single.failed,
        in_flight: options.in_flight,
        frame_bytes,
        accepts_per_second: loaded.ids.len() as f64 / loaded.seconds,
        accept_loaded: loaded.latency,
        accept_single: single.latency,
        submit_to_push,
        fdatasync,
        fdatasync_in,
        idle_resident_bytes,
        verified_after_kill,
    })
}

/// Starts a node of our own.
async fn start(options: NodeOptions) -> Result<NodeProcess, LoadError> {
    let started = tokio::task::spawn_blocking(|| NodeProcess::start(options)).await;
    Ok(started.map_err(|error| LoadError::Options(error.to_string()))??)
}

/// Times pushes at the reader's node. A second node of our own starts only now: it would have stored every record of the
/// load, too, on the same cores and disk.
async fn submit_to_push(
    options: &Options,
    own: &mut Vec<NodeProcess>,
    node: &Target,
    params: &NetworkParams,
) -> Result<Option<Latency>, LoadError> {
    if let Some(first) = own.first() {
        let peers = first.addresses()?;
        let held = first.info()?.records;
        let second = start(NodeOptions { peers, ..NodeOptions::default() }).await?;
        progress(format_args!("a second node catches up …"));
        let caught_up = tokio::task::spawn_blocking(move || {
            live::wait_for("the second node to catch up", || (second.info().ok()?.records >= held).then_some(()))?;
            Ok::<_, LiveError>(second)
        });
        own.push(caught_up.await.map_err(|error| LoadError::Options(error.to_string()))??);
    }
    let Some(url) = options.reader.clone().or_else(|| own.get(1).map(NodeProcess::url)) else { return Ok(None) };
    progress(format_args!("submit → push …"));
    push::run(node, &target(options, Some(url))?, params, PUSHES, options.size).await.map(Some)
}

fn check(options: &Options) -> Result<(), LoadError> {
    let refuse = |text: &str| Err(LoadError::Options(text.to_owned()));
    if options.count == 0 || options.count > COUNT_MAX {
        return refuse("--count must be 1 to 1000000");
    }
    if options.in_flight == 0 || options.in_flight > IN_FLIGHT_MAX {
        return refuse("--in-flight must be 1 to 1024");
    }
    if griot_protocol::padding::bucket_for(options.size).is_none() {
        return refuse("--size must be at most 65536");
    }
    if options.verify_after_kill && options.node.is_some() {
        return refuse("--verify-after-kill kills the node, so it only works on one of our own: leave --node out");
    }
    Ok(())
}

fn target(options: &Options, url: Option<String>) -> Result<Target, LoadError> {
    let url = url.ok_or_else(|| LoadError::Options("no node to load".to_owned()))?;
    target_at(url, options.token.clone())
}

fn target_at(url: String, token: Option<String>) -> Result<Target, LoadError> {
    let home = Home { id: HomeId(0), url, token, fingerprint: None, insecure_http: false };
    Ok(Target::of(&home, Patience::default())?)
}

/// The folder whose disk the node writes to, as far as it can be known.
fn disk_of(options: &Options, own: &[NodeProcess]) -> PathBuf {
    if let Some(node) = own.first() {
        return node.data_dir();
    }
    let socket = options.node.as_deref().and_then(|url| url.strip_prefix("unix:")).map(Path::new);
    socket.and_then(Path::parent).map_or_else(std::env::temp_dir, Path::to_path_buf)
}

async fn verify_after_kill(
    own: &mut [NodeProcess],
    target: &Target,
    ids: Vec<griot_protocol::RecordId>,
) -> Result<usize, LoadError> {
    if let Some(node) = own.first_mut() {
        node.kill();
        node.launch()?;
    }
    let lost = accept::missing(target, &ids).await?;
    match lost.first() {
        None => Ok(ids.len()),
        Some(first) => Err(LoadError::Lost { checked: ids.len(), lost: lost.len(), first: first.to_string() }),
    }
}

fn progress(text: std::fmt::Arguments<'_>) {
    eprintln!("{text}");
}

impl Report {
    /// The report for a person.
    #[must_use]
    pub fn to_text(&self) -> String {
        let line = |name: &str, latency: &Latency| format!("{name:<28} {latency}\n");
        let mut text = format!(
            "durable accepts              {:>8.0} /s   ({} of {} bytes, {} in flight, {} failed)\n",
            self.accepts_per_second, self.accepted, self.frame_bytes, self.in_flight, self.failed
        );
        text += &line("accept, under load", &self.accept_loaded);
        text += &line("accept, one in flight", &self.accept_single);
        if let Some(push) = &self.submit_to_push {
            text += &line("submit → push, two nodes", push);
        }
        text += &line("one fdatasync of this disk", &self.fdatasync);
        if let Some(bytes) = self.idle_resident_bytes {
            text += &format!("idle node, resident          {:>8.1} MB\n", bytes as f64 / 1e6);
        }
        if let Some(count) = self.verified_after_kill {
            text += &format!("readable after kill -9       {count:>8} of {count} acknowledged\n");
        }
        text
    }
}
