//! `griot-sim live …`: what it takes on the command line.

use std::path::PathBuf;

use clap::{Args, Subcommand};

use super::{
    calibrate::{self, CalibrateError, Options},
    wire::LatencyLaw,
};

/// Options of `griot-sim live`.
#[derive(Debug, Args)]
pub struct LiveArgs {
    /// What to do.
    #[command(subcommand)]
    pub command: LiveCommand,
}

/// What can be done with real processes.
#[derive(Debug, Subcommand)]
pub enum LiveCommand {
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

/// Options of `griot-sim live calibrate`.
#[derive(Debug, Args)]
pub struct CalibrateArgs {
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

/// Runs a command of `griot-sim live` and gives what it prints.
///
/// # Errors
/// [`CalibrateError`].
pub async fn run(args: LiveArgs) -> Result<String, CalibrateError> {
    let LiveCommand::Calibrate(args) = args.command;
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
    if !args.json {
        return Ok(calibration.to_text());
    }
    let json = serde_json::to_string(&calibration).map_err(|error| CalibrateError::Options(error.to_string()))?;
    Ok(json + "\n")
}
