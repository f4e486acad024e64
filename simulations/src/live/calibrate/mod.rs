//! A measuring run of real nodes, to hold the simulator against.
//!
//! Ten or twenty real `griotd`, each in a network namespace of its own, linked by a [`Wire`] with latencies from a seed;
//! messages at Poisson times from a writer at one node to a mailbox at another; the time from submission to push, and the
//! bytes on the wire. Everything that the simulator needs to run the same network is written down beside the results:
//! topology, latencies, times, writers, readers.
//!
//! ```text
//!  lay the wire, start nodes, wait for links ─▶ warm up ─▶ quiet window ─▶ messages ─▶ last push, settle ─▶ report
//!                                                          bytes: quiet    bytes: loaded, latencies
//! ```
//!
//! Messages are envelopes with random payload over the nodes' Unix sockets: what is measured is the nodes, not a client.

mod counters;
mod measure;
mod plan;
mod report;

use std::{
    fmt::Write as _,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use griot_client::home::HomeError;

pub use plan::{CalibrationPlan, MESSAGES_MAX, PlannedMessage, RATE_MAX};
pub use report::{Calibration, FORMAT, Machine, Quantiles, Traffic};

use self::{
    counters::Counters,
    measure::{Measure, Sample},
};
use super::{
    LiveError, binaries, mesh,
    node::{NodeOptions, NodeProcess},
    topology,
    wire::{LatencyLaw, Wire},
};
use crate::load::LoadError;

/// How long bytes are still counted after the last push: its receipts and acks travel for that long.
const SETTLE: Duration = Duration::from_secs(3);

/// What to measure.
#[derive(Clone, Debug, PartialEq)]
pub struct Options {
    /// Nodes.
    pub nodes: usize,
    /// Neighbours of each.
    pub degree: usize,
    /// Messages.
    pub messages: usize,
    /// Messages a second, on average.
    pub rate: f64,
    /// Payload bytes of a message; rounded up to a bucket.
    pub size: usize,
    /// From which everything is drawn.
    pub seed: u64,
    /// Law of the one-way latency of each pair and direction.
    pub latency: LatencyLaw,
    /// Readers send no acks.
    pub no_acks: bool,
    /// Seconds to let gossip meshes form.
    pub warm_up_seconds: u64,
    /// Seconds to count bytes while nothing is sent.
    pub quiet_seconds: u64,
    /// Where to write `calibration.json` and `latencies.csv`.
    pub out: Option<PathBuf>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            nodes: 12,
            degree: 4,
            messages: 300,
            rate: 4.0,
            size: 1024,
            seed: 1,
            latency: LatencyLaw::LogNormal { median_ms: 40.0, sigma: 0.5 },
            no_acks: false,
            warm_up_seconds: 15,
            // Two rounds of sync.
            quiet_seconds: 60,
            out: None,
        }
    }
}

/// Why there is no result.
#[derive(Debug, thiserror::Error)]
pub enum CalibrateError {
    /// The options make no sense together, or something that cannot be went wrong.
    #[error("{0}")]
    Options(String),
    /// The wire or a node could not be started.
    #[error(transparent)]
    Live(#[from] LiveError),
    /// A node did not do as it should.
    #[error(transparent)]
    Home(#[from] HomeError),
    /// A mailbox or a record could not be made.
    #[error(transparent)]
    Load(#[from] LoadError),
    /// A result could not be written.
    #[error("writing {0}: {1}")]
    Write(PathBuf, std::io::Error),
}

/// Runs and reports. Progress goes to standard error.
///
/// # Errors
/// [`CalibrateError`]. That a message was not pushed is none: the report says how many were.
pub async fn run(options: &Options) -> Result<Calibration, CalibrateError> {
    let plan = CalibrationPlan::draw(options)?;
    let load_before = load_average();
    progress(format_args!("starting {} nodes …", plan.nodes));
    // The nodes go before the wire they are on.
    let (network, calibration, samples) = {
        let network = blocking(Network::start(&plan)).await?;
        let (calibration, samples) = measure(&plan, &network, load_before).await?;
        (network, calibration, samples)
    };
    if let Some(out) = &options.out {
        write(out, &calibration, &samples)?;
    }
    blocking(move || {
        drop(network);
        Ok(())
    })
    .await?;
    Ok(calibration)
}

/// Nodes on a wire. Fields are dropped in order: first what runs in the namespaces.
struct Network {
    nodes: Vec<NodeProcess>,
    wire: Wire,
}

impl Network {
    fn start(plan: &CalibrationPlan) -> impl FnOnce() -> Result<Self, CalibrateError> + Send + use<> {
        let plan = plan.clone();
        move || {
            let ends = u16::try_from(plan.nodes).map_err(|error| CalibrateError::Options(error.to_string()))?;
            let wire = Wire::lay(ends, plan.seed)?;
            wire.set_latencies(&plan.one_way_ms);
            let nodes = mesh::start(&wire, &plan.links, &NodeOptions::default())?;
            Ok(Self { nodes, wire })
        }
    }

    fn counters(&self) -> Result<Counters, LiveError> {
        let mut counters = Counters::new();
        for node in &self.nodes {
            counters::add(&mut counters, &node.data_dir())?;
        }
        Ok(counters)
    }
}

async fn measure(
    plan: &CalibrationPlan,
    network: &Network,
    load_before: f64,
) -> Result<(Calibration, Vec<Sample>), CalibrateError> {
    let wire = &network.wire;
    let measure = Measure::prepare(plan, network.nodes.iter().map(NodeProcess::url).collect()).await?;
    let frame_bytes = measure.frame_bytes();
    tokio::time::sleep(Duration::from_secs(plan.warm_up_seconds)).await;

    progress(format_args!("{} s of quiet …", plan.quiet_seconds));
    let (begun, at_first) = (Instant::now(), wire.all_counts());
    tokio::time::sleep(Duration::from_secs(plan.quiet_seconds)).await;
    let quiet_seconds = begun.elapsed().as_secs_f64();
    let counted_before = network.counters()?;

    progress(format_args!("{} messages …", plan.messages.len()));
    wire.forget_precision();
    let (begun, in_between) = (Instant::now(), wire.all_counts());
    let samples = measure.run(plan).await?;
    tokio::time::sleep(SETTLE).await;
    let (loaded_seconds, at_last) = (begun.elapsed().as_secs_f64(), wire.all_counts());

    let shortest = shortest_of_messages(plan);
    let pushed: Vec<Option<f64>> = samples.iter().map(|sample| sample.pushed.map(ms)).collect();
    let beyond = pushed.iter().zip(&shortest).filter_map(|(pushed, shortest)| Some((*pushed)? - f64::from(*shortest)));
    let calibration = Calibration {
        format: FORMAT,
        plan: plan.clone(),
        machine: Machine {
            cores: std::thread::available_parallelism().map_or(1, usize::from),
            load_before,
            load_after: load_average(),
            griotd: binaries::version("griotd")?,
        },
        frame_bytes,
        delivered: pushed.iter().flatten().count(),
        push_ms: Quantiles::of(pushed.iter().flatten().copied()),
        accept_ms: Quantiles::of(samples.iter().map(|sample| ms(sample.accepted))),
        beyond_shortest_ms: Quantiles::of(beyond),
        quiet: Traffic::between(&at_first, &in_between, quiet_seconds),
        loaded: Traffic::between(&in_between, &at_last, loaded_seconds),
        counters: counters::between(&counted_before, network.counters()?),
        relay: wire.precision(),
        device_errors: wire.device_errors()?,
    };
    Ok((calibration, samples))
}

fn shortest_of_messages(plan: &CalibrationPlan) -> Vec<u32> {
    let shortest = topology::shortest_ms(&plan.one_way_ms, &plan.links);
    // The drawing gave a connected graph, so there always is a way.
    plan.messages.iter().map(|message| shortest[message.from][message.to].unwrap_or_default()).collect()
}

fn write(out: &Path, calibration: &Calibration, samples: &[Sample]) -> Result<(), CalibrateError> {
    std::fs::create_dir_all(out).map_err(|error| CalibrateError::Write(out.to_owned(), error))?;
    let save = |name: &str, text: String| {
        let path = out.join(name);
        std::fs::write(&path, text).map_err(|error| CalibrateError::Write(path, error))
    };
    let json = serde_json::to_string(calibration).map_err(|error| CalibrateError::Options(error.to_string()))?;
    save("calibration.json", json + "\n")?;
    save("latencies.csv", to_csv(&calibration.plan, samples))
}

/// One line for each message. Times in milliseconds; `pushed_ms` is empty where there was no push.
fn to_csv(plan: &CalibrationPlan, samples: &[Sample]) -> String {
    let mut csv = "message,at_ms,behind_ms,from,to,direct_ms,shortest_ms,accepted_ms,pushed_ms\n".to_owned();
    let rows = plan.messages.iter().zip(samples).zip(shortest_of_messages(plan));
    for (number, ((message, sample), shortest)) in rows.enumerate() {
        let (from, to) = (message.from, message.to);
        let direct = plan.one_way_ms[from][to];
        let (behind, accepted) = (ms(sample.behind), ms(sample.accepted));
        let pushed = sample.pushed.map_or_else(String::new, |pushed| format!("{:.3}", ms(pushed)));
        let _ = writeln!(
            csv,
            "{number},{},{behind:.3},{from},{to},{direct},{shortest},{accepted:.3},{pushed}",
            message.at_ms
        );
    }
    csv
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, CalibrateError> + Send + 'static,
) -> Result<T, CalibrateError> {
    tokio::task::spawn_blocking(work).await.map_err(|error| CalibrateError::Options(error.to_string()))?
}

/// The load average of the last minute; 0 where it cannot be known.
fn load_average() -> f64 {
    let text = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
    text.split_whitespace().next().and_then(|first| first.parse().ok()).unwrap_or_default()
}

fn ms(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1000.0
}

fn progress(text: std::fmt::Arguments<'_>) {
    eprintln!("{text}");
}
