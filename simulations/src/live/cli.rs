//! `griot-sim live …`: what it takes on the command line.

use std::path::PathBuf;

use clap::{Args, Subcommand};

use super::{
    calibrate::{self, CalibrateError, Options},
    chaos::{self, ChaosError, Topology},
    wire::LatencyLaw,
};

/// Options of `griot-sim live`.
#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true)]
pub struct LiveArgs {
    /// What to do; chaos, where nothing is said.
    #[command(subcommand)]
    command: Option<LiveCommand>,
    #[command(flatten)]
    chaos: ChaosArgs,
}

/// What can be done with real processes.
#[derive(Debug, Subcommand)]
enum LiveCommand {
    /// Break a network of real nodes in every way for some minutes, and check that no message was lost.
    #[command(after_help = CHAOS_HELP)]
    Chaos(ChaosArgs),
    /// Measure a small network of real nodes, to hold the simulator against.
    #[command(after_help = "\
Examples:
  griot-sim live calibrate                                    12 nodes, 300 messages, log-normal latencies
  griot-sim live calibrate --nodes 20 --latency uniform:10:80 --out results
  griot-sim live calibrate --seed 7 --json

It takes Linux, root, and `ip` (Debian's iproute2). The nodes run in network namespaces that are made for the run and
removed after it; nothing leaves the machine. A run takes the time of its messages (--messages / --rate), and about two
minutes more.")]
    Calibrate(CalibrateArgs),
}

/// What `griot-sim live --help` ends with.
pub const CHAOS_HELP: &str = "\
Examples:
  griot-sim live --minutes 10                       seven nodes, and a seed that is printed
  griot-sim live --minutes 10 --seed 42 --out chaos    the same faults again; what happened is written to chaos/
  griot-sim live --minutes 2 --nodes 5 --topology line --json
  griot-sim live calibrate --help                   measure instead

It takes Linux, root and `ip` (Debian's iproute2). The nodes run in network namespaces that are made for the run and
removed after it; nothing leaves the machine. Ctrl-C ends it early, cleans up, and writes what there is. Exit code 1: a
promise was broken, and which one is printed.";

/// Options of `griot-sim live`.
#[derive(Debug, Args)]
struct ChaosArgs {
    /// How long messages are sent and faults happen. Then everything is healed and has to settle.
    #[arg(long, default_value_t = 5.0)]
    minutes: f64,
    /// From which topology, people, messages and faults are drawn; a random one, where nothing is said.
    #[arg(long)]
    seed: Option<u64>,
    /// Nodes.
    #[arg(long, default_value_t = 7)]
    nodes: usize,
    /// Who is linked to whom; drawn, where nothing is said.
    #[arg(long)]
    topology: Option<Topology>,
    /// People who write to each other, each with one to three homes; two for each node, where nothing is said.
    #[arg(long)]
    people: Option<usize>,
    /// Messages a second, on average.
    #[arg(long, default_value_t = 2.0)]
    rate: f64,
    /// How long everything may take to arrive once the network is whole again.
    #[arg(long, default_value_t = 300, value_name = "SECONDS")]
    drain: u64,
    /// Write plan.json, history.jsonl, summary.json and the nodes' logs here.
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// Print one JSON object instead of a summary for people.
    #[arg(long)]
    json: bool,
}

/// Options of `griot-sim live calibrate`.
#[derive(Debug, Args)]
struct CalibrateArgs {
    /// Nodes.
    #[arg(long, default_value_t = 12)]
    nodes: usize,
    /// Neighbours of each node, 1 to 6.
    #[arg(long, default_value_t = 4)]
    degree: usize,
    /// Messages to send.
    #[arg(long, default_value_t = 300)]
    messages: usize,
    /// Messages a second, on average.
    #[arg(long, default_value_t = 4.0)]
    rate: f64,
    /// Payload bytes of a message, rounded up to a bucket (256, 1024, 4096, 16384, 65536).
    #[arg(long, default_value_t = 1024, value_name = "BYTES")]
    size: usize,
    /// From which topology, latencies, writers, readers and times are drawn.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// One-way latency of each pair of nodes and direction: constant:MS, uniform:MIN:MAX or log-normal:MEDIAN:SIGMA.
    #[arg(long, default_value = "log-normal:40:0.5", value_name = "LAW")]
    latency: LatencyLaw,
    /// Readers send no acks.
    #[arg(long)]
    no_acks: bool,
    /// Seconds to wait until gossip meshes have formed.
    #[arg(long, default_value_t = 15, value_name = "SECONDS")]
    warm_up: u64,
    /// Seconds for which bytes are counted while nothing is sent.
    #[arg(long, default_value_t = 60, value_name = "SECONDS")]
    quiet: u64,
    /// Write calibration.json and latencies.csv here.
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// Print one JSON object instead of a table.
    #[arg(long)]
    json: bool,
}

/// What a command has to say, and whether all was well.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Said {
    /// For standard output.
    pub text: String,
    /// Whether nothing was broken.
    pub well: bool,
}

/// Why a command has nothing to say.
#[derive(Debug, thiserror::Error)]
pub enum CliError {
    /// Measuring failed.
    #[error(transparent)]
    Calibrate(#[from] CalibrateError),
    /// Chaos could not begin.
    #[error(transparent)]
    Chaos(#[from] ChaosError),
    /// No seed, or no JSON.
    #[error("{0}")]
    Other(String),
}

impl CliError {
    /// Whether the options make no sense, and nothing was done.
    #[must_use]
    pub const fn is_usage(&self) -> bool {
        matches!(self, Self::Chaos(ChaosError::Usage(_)))
    }
}

/// Runs a command of `griot-sim live` and gives what it prints.
///
/// # Errors
/// [`CliError`].
pub async fn run(args: LiveArgs) -> Result<Said, CliError> {
    match args.command {
        None => chaos(args.chaos).await,
        Some(LiveCommand::Chaos(args)) => chaos(args).await,
        Some(LiveCommand::Calibrate(args)) => calibrate(args).await,
    }
}

async fn chaos(args: ChaosArgs) -> Result<Said, CliError> {
    let options = chaos::Options {
        minutes: args.minutes,
        seed: args.seed.map_or_else(random_seed, Ok)?,
        nodes: args.nodes,
        topology: args.topology,
        people: args.people,
        rate: args.rate,
        drain_seconds: args.drain,
        out: args.out,
    };
    let summary = chaos::run(&options).await?;
    let text = if args.json { json(&summary)? } else { summary.to_text() };
    Ok(Said { text, well: summary.broken_count == 0 })
}

/// A seed that is easy to type.
fn random_seed() -> Result<u64, CliError> {
    let mut bytes = [0; 4];
    getrandom::fill(&mut bytes).map_err(|error| CliError::Other(error.to_string()))?;
    Ok(u32::from_le_bytes(bytes).into())
}

async fn calibrate(args: CalibrateArgs) -> Result<Said, CliError> {
    let options = Options {
        nodes: args.nodes,
        degree: args.degree,
        messages: args.messages,
        rate: args.rate,
        size: args.size,
        seed: args.seed,
        latency: args.latency,
        no_acks: args.no_acks,
        warm_up_seconds: args.warm_up,
        quiet_seconds: args.quiet,
        out: args.out,
    };
    let calibration = calibrate::run(&options).await?;
    let text = if args.json { json(&calibration)? } else { calibration.to_text() };
    Ok(Said { text, well: true })
}

fn json(what: &impl serde::Serialize) -> Result<String, CliError> {
    let json = serde_json::to_string(what).map_err(|error| CliError::Other(error.to_string()))?;
    Ok(json + "\n")
}
