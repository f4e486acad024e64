//! Two nodes that were apart meet: how long it takes until both have everything, what it costs beyond the records, and
//! who has to wait meanwhile.
//!
//! Both are real nodes on loopback. Each imports a bundle of what they share and one of its own while it knows nobody.
//! Then the second starts again with the first as its peer, and the clock starts with it. A client of the first submits
//! one record after the other, before and during the meeting: what it has to wait longer is what the meeting takes from
//! others. Once they agree, the next comparisons show what it costs that nothing differs.
//!
//! Records expire evenly over the twenty-nine days to come, which is the dearest case: no hour is equal on both sides.

mod meeting;
mod stock;

use griot_protocol::{NetworkName, NetworkParams};
use serde::Serialize;
use tempfile::TempDir;

use super::{LoadError, latency::Latency, progress};
use crate::live::{
    LiveError,
    node::{NodeOptions, NodeProcess},
};

/// The most records of one kind: two stores and two bundles of them are some gigabytes at the smallest size.
pub const RECORDS_MAX: usize = 2_000_000;

/// The network of such runs, so that no other node takes part.
const NETWORK: &str = "griot-load-sync";

/// What to measure.
#[derive(Clone, Copy, Debug)]
pub struct SyncOptions {
    /// Records that both nodes hold.
    pub shared: usize,
    /// Records that each node holds and the other lacks.
    pub each: usize,
    /// Payload bytes; rounded up to a bucket.
    pub size: usize,
}

/// What was measured.
#[derive(Clone, Debug, Serialize)]
pub struct SyncReport {
    /// Records that both held.
    pub shared: usize,
    /// Records that each held and the other lacked.
    pub each: usize,
    /// Bytes of one frame.
    pub frame_bytes: usize,
    /// From the second node's start with a peer until both had everything.
    pub seconds: f64,
    /// Records that sync brought to either node.
    pub transferred: u64,
    /// Bytes of sync messages between the nodes, both ways, requests and answers, before transport encryption.
    pub sync_bytes: u64,
    /// The same, less the records among them.
    pub overhead_bytes: u64,
    /// Syncs that ended well until both had everything, and those that failed.
    pub syncs: [u64; 2],
    /// Bytes of one comparison, both ways, of stores that are equal.
    pub equal_bytes: u64,
    /// How long a client waited for *accepted* before the meeting.
    pub accept_before: Latency,
    /// … and during it.
    pub accept_during: Latency,
    /// Resident bytes of the first and the second node before they met.
    pub resident_before: [u64; 2],
    /// The most that was seen until both had everything.
    pub resident_most: [u64; 2],
}

/// Runs the measurement and reports.
///
/// # Errors
/// [`LoadError`].
pub async fn run(options: SyncOptions) -> Result<SyncReport, LoadError> {
    check(options)?;
    let runtime = tokio::runtime::Handle::current();
    // Processes are waited for, files written and bundles sent, and nothing else goes on in this program.
    let measured = tokio::task::spawn_blocking(move || measure(options, &runtime)).await;
    measured.map_err(|error| LoadError::Options(error.to_string()))?
}

fn check(options: SyncOptions) -> Result<(), LoadError> {
    let refuse = |text: &str| Err(LoadError::Options(text.to_owned()));
    if options.shared > RECORDS_MAX || options.each > RECORDS_MAX {
        return refuse("--shared and --each must be 2000000 at most");
    }
    if options.shared + options.each == 0 {
        return refuse("--shared or --each must be more than 0");
    }
    if griot_protocol::padding::bucket_for(options.size).is_none() {
        return refuse("--size must be at most 65536");
    }
    Ok(())
}

fn measure(options: SyncOptions, runtime: &tokio::runtime::Handle) -> Result<SyncReport, LoadError> {
    let name = NetworkName::try_from(NETWORK.to_owned()).map_err(|error| LoadError::Options(error.to_string()))?;
    // Sync does not look at postage, and a million stamps would take minutes.
    let params = NetworkParams { postage_bits: 0, ..NetworkParams::standard(name) };
    let disks = TempDir::with_prefix("griot-load-sync-")?;
    let folder = disks.path();
    progress(format_args!("making {} records …", options.shared + 2 * options.each));
    let file = |name: &str| folder.join(name);
    let size = options.size;
    let frame_bytes = stock::write(&file("shared"), &params, options.shared, size)?;
    let frame_bytes = stock::write(&file("first"), &params, options.each, size)?.or(frame_bytes).unwrap_or(0);
    stock::write(&file("second"), &params, options.each, size)?;

    let start = |name: &str, peers: Vec<String>| {
        let disk = file(&format!("node-{name}"));
        std::fs::create_dir_all(&disk)?;
        let args = vec!["--postage-bits".to_owned(), "0".to_owned()];
        let network = Some(NETWORK.to_owned());
        Ok::<_, LoadError>(NodeProcess::start(NodeOptions {
            peers,
            network,
            args,
            disk: Some(disk),
            ..NodeOptions::default()
        })?)
    };
    let (first, mut second) = (start("first", Vec::new())?, start("second", Vec::new())?);
    progress(format_args!("each node imports {} records …", options.shared + options.each));
    let import = |node: &NodeProcess, own: &str| {
        for bundle in ["shared", own] {
            let path = file(bundle);
            node.command(&["bundle", "import", path.to_str().unwrap_or_default()])?;
        }
        Ok::<_, LiveError>(())
    };
    std::thread::scope(|scope| {
        let other = scope.spawn(|| import(&second, "second"));
        import(&first, "first")?;
        other.join().unwrap_or_else(|_| Err(LiveError::Failed("an import panicked".to_owned())))
    })?;
    second.stop()?;
    drop(second);
    let join = || start("second", first.addresses()?);
    meeting::run(options, &params, frame_bytes, &first, join, runtime)
}

impl SyncReport {
    /// The report for a person.
    #[must_use]
    pub fn to_text(&self) -> String {
        let latency = |name: &str, latency: &Latency| format!("{name:<34} {latency}\n");
        let megabytes = |bytes: u64| bytes as f64 / 1e6;
        let mut text = format!(
            "shared, and on each side alone     {} and {} records of {} bytes\n",
            self.shared, self.each, self.frame_bytes
        );
        text += &format!("until both had everything          {:>8.1} s\n", self.seconds);
        text += &format!("records brought by sync            {:>8}\n", self.transferred);
        text += &format!("bytes of sync, both ways           {:>8.3} MB\n", megabytes(self.sync_bytes));
        text += &format!("… beyond the records themselves    {:>8.3} MB\n", megabytes(self.overhead_bytes));
        text += &format!("syncs that ended well, that failed {:>8}, {}\n", self.syncs[0], self.syncs[1]);
        text += &format!("comparing equal stores             {:>8} bytes\n", self.equal_bytes);
        text += &latency("accept, before they met", &self.accept_before);
        text += &latency("accept, while they synced", &self.accept_during);
        for (name, place) in [("first", 0), ("second", 1)] {
            text += &format!(
                "{name:<6} node, resident              {:>8.1} MB before, {:.1} MB at most\n",
                megabytes(self.resident_before[place]),
                megabytes(self.resident_most[place])
            );
        }
        text
    }
}
