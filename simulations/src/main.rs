//! `griot-sim`: find out what real Griot nodes do.

use std::{convert::Infallible, process::ExitCode};

use clap::{Args, Parser, Subcommand};
use griot_simulations::{
    allocator,
    cli::{self, WorldFailure},
    live::cli::{CHAOS_HELP, LiveArgs},
    load::{
        self,
        sync::{SyncOptions, SyncReport},
    },
    plan::{Listener, Plan, Recording},
};

/// The exit code of options that make no sense.
const EXIT_USAGE: u8 = 2;

/// What happens to messages if…? Real Griot nodes, measured, or thousands of them in virtual time.
#[derive(Debug, Parser)]
#[command(
    name = "griot-sim",
    version,
    about,
    propagate_version = true,
    after_help = "\
Start here:
  griot-sim list                        the scenarios there are
  griot-sim run smoke                   run one; the same seed gives the same run, to the bit
  griot-sim report runs/smoke/seed-1    draw it
  griot-sim COMMAND --help              every command has examples"
)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    #[command(flatten)]
    Scenarios(cli::Command),
    /// Measure how many records a node durably accepts, and how fast it answers and pushes.
    #[command(after_help = "\
Examples:
  griot-sim load                              two nodes of its own, in a row, on loopback
  griot-sim load --verify-after-kill          … then kill -9 and read every acknowledged record back
  griot-sim load --node unix:/srv/griot/api.sock --count 50000 --in-flight 64 --json
  griot-sim load sync --each 100000           two nodes that were apart meet

Only load nodes that are yours. Records live for an hour and are for mailboxes nobody reads.")]
    Load(LoadArgs),
    /// Run real nodes on a wire of our making, break them in every way, and check that no message is lost.
    #[command(after_help = CHAOS_HELP)]
    Live(LiveArgs),
}

#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true)]
struct LoadArgs {
    #[command(subcommand)]
    command: Option<LoadCommand>,
    /// The node to load: `unix:PATH`, `http://…` or `https://…`. Without it two nodes are started for the run.
    #[arg(long, value_name = "URL")]
    node: Option<String>,
    /// A second node of the same network, on which pushes are awaited.
    #[arg(long, value_name = "URL", requires = "node")]
    reader: Option<String>,
    /// Bearer token for the nodes.
    #[arg(long, env = "GRIOT_TOKEN", hide_env_values = true)]
    token: Option<String>,
    /// Records to submit.
    #[arg(long, default_value_t = 20_000)]
    count: usize,
    /// Requests in flight, one connection each.
    #[arg(long, default_value_t = 64)]
    in_flight: usize,
    /// Payload bytes of a record, rounded up to a bucket (256, 1024, 4096, 16384, 65536).
    #[arg(long, default_value_t = 1024, value_name = "BYTES")]
    size: usize,
    /// Print one JSON object instead of a table.
    #[arg(long)]
    json: bool,
    /// At the end kill -9 the node, start it again, and ask it for every id it had acknowledged.
    #[arg(long)]
    verify_after_kill: bool,
}

#[derive(Debug, Subcommand)]
enum LoadCommand {
    /// Let two nodes meet that were apart: how long it takes, what it costs, who waits meanwhile.
    #[command(after_help = "\
Examples:
  griot-sim load sync --shared 1000000 --each 500      a million records, of which a thousand differ
  griot-sim load sync --each 100000                    nothing in common, and a month of mail on each side

Records expire evenly over a month. A million at the smallest size take some 2 GB of the temporary folder (TMPDIR).")]
    Sync(SyncArgs),
}

#[derive(Debug, Args)]
struct SyncArgs {
    /// Records that both nodes hold before they meet.
    #[arg(long, default_value_t = 0)]
    shared: usize,
    /// Records that each node holds and the other lacks.
    #[arg(long, default_value_t = 1000)]
    each: usize,
    /// Payload bytes of a record, rounded up to a bucket (256, 1024, 4096, 16384, 65536).
    #[arg(long, default_value_t = 256, value_name = "BYTES")]
    size: usize,
    /// Print one JSON object instead of a table.
    #[arg(long)]
    json: bool,
}

fn main() -> ExitCode {
    let command = Cli::parse().command;
    use cli::Command::{Calibrate, Published, Run};
    if matches!(command, Command::Scenarios(Run(_) | Calibrate(_) | Published(_))) {
        allocator::keep_freed_memory();
    }
    match command {
        Command::Scenarios(command) => cli::main(command, &world),
        Command::Load(args) => load(args),
        Command::Live(args) => live(args),
    }
}

/// Runs a plan.
fn world(plan: &Plan, listener: &mut (dyn Listener + Send)) -> Result<Recording, WorldFailure> {
    griot_simulations::world::run(plan, listener).map_err(|error| WorldFailure(error.to_string()))
}

/// A runtime in real time. A world makes one of its own, and before it none may be made: they draw from one stream.
fn in_real_time<T>(main: impl Future<Output = Result<T, impl std::error::Error>>) -> Result<T, String> {
    let runtime =
        tokio::runtime::Builder::new_multi_thread().enable_all().build().map_err(|error| error.to_string())?;
    runtime.block_on(main).map_err(|error| error.to_string())
}

fn live(args: LiveArgs) -> ExitCode {
    match in_real_time(async { Ok::<_, Infallible>(griot_simulations::live::cli::run(args).await) }) {
        Ok(Ok(said)) => {
            print!("{}", said.text);
            if said.well { ExitCode::SUCCESS } else { ExitCode::FAILURE }
        }
        Ok(Err(error)) if error.is_usage() => {
            fail(&error);
            ExitCode::from(EXIT_USAGE)
        }
        Ok(Err(error)) => fail(&error),
        Err(error) => fail(&error),
    }
}

fn load(args: LoadArgs) -> ExitCode {
    if let Some(LoadCommand::Sync(args)) = args.command {
        let options = SyncOptions { shared: args.shared, each: args.each, size: args.size };
        return report(in_real_time(load::sync::run(options)), args.json, SyncReport::to_text);
    }
    let options = load::Options {
        node: args.node,
        reader: args.reader,
        token: args.token,
        count: args.count,
        in_flight: args.in_flight,
        size: args.size,
        verify_after_kill: args.verify_after_kill,
    };
    report(in_real_time(load::run(options)), args.json, load::Report::to_text)
}

/// Prints what was measured.
fn report<R: serde::Serialize>(measured: Result<R, String>, json: bool, to_text: impl Fn(&R) -> String) -> ExitCode {
    let report = match measured {
        Ok(report) => report,
        Err(error) => return fail(&error),
    };
    if !json {
        print!("{}", to_text(&report));
        return ExitCode::SUCCESS;
    }
    match serde_json::to_string(&report) {
        Ok(line) => {
            println!("{line}");
            ExitCode::SUCCESS
        }
        Err(error) => fail(&error),
    }
}

fn fail(error: &dyn std::fmt::Display) -> ExitCode {
    eprintln!("griot-sim: {error}");
    ExitCode::FAILURE
}
