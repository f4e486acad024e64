//! The command line of `griot-sim`, but for `load` and `live`.
//!
//! What runs a plan is given from outside ([`World`]), so that everything here is tested without it.

mod interrupt;
mod list;
mod progress;
mod run;
mod shrink;
mod sweep;
mod trace;
mod truth;
mod wall;

use std::{fmt::Display, process::ExitCode};

use clap::{Args, Subcommand};

use crate::{
    explain,
    plan::{Listener, Plan, Recording},
    report,
    sweep::compare,
};

pub use list::ListArgs;
pub use run::RunArgs;
pub use shrink::ShrinkArgs;
pub use sweep::SweepArgs;
pub use trace::TraceArgs;
pub use truth::{CalibrateArgs, PublishedArgs};

/// Exit code of a run that Ctrl-C ended, as shells have it.
const INTERRUPTED: u8 = 130;

/// Exit code for a command that cannot be understood.
const USAGE: u8 = 2;

/// Why a plan could not be run.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct WorldFailure(pub String);

/// What runs plans.
pub trait World {
    /// Runs one from its beginning to its end, or until the listener ends it.
    ///
    /// # Errors
    /// [`WorldFailure`], where the world itself fails (not where a node does: that is in the recording).
    fn run(&self, plan: &Plan, listener: &mut (dyn Listener + Send)) -> Result<Recording, WorldFailure>;
}

impl<F: Fn(&Plan, &mut (dyn Listener + Send)) -> Result<Recording, WorldFailure>> World for F {
    fn run(&self, plan: &Plan, listener: &mut (dyn Listener + Send)) -> Result<Recording, WorldFailure> {
        self(plan, listener)
    }
}

/// The commands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Show the built-in scenarios.
    #[command(after_help = "\
Examples:
  griot-sim list                        names and what they are about
  griot-sim list --show egypt-2011      the whole scenario, with its sources
  griot-sim list --show smoke > my.toml; griot-sim run my.toml")]
    List(ListArgs),
    /// Run a scenario: the production nodes in virtual time, and the central baseline.
    #[command(after_help = "\
Examples:
  griot-sim run smoke                                       ten minutes of a small network
  griot-sim run whatsapp-2021-10-04 --seed 7 --nodes 200    larger, and with other dice
  griot-sim run my.toml --param workload.per_person_per_day=80 --out runs/busy
  griot-sim run egypt-2011 --full-length                    without compressing time
  griot-sim run runs/smoke/seed-1/plan.json                 the same plan again, or an edited one
  griot-sim run smoke --trace a.txt                         every line that is hashed; `trace diff` compares two

Ctrl-C ends the run and writes what there is. Exit codes: 0 done, 1 an invariant is broken or the run failed, 2 usage,
130 interrupted.")]
    Run(RunArgs),
    /// Run a scenario over many seeds and settings, as separate processes.
    #[command(after_help = "\
Examples:
  griot-sim sweep smoke --seeds 1..20                                    20 runs, as many at once as there are cores
  griot-sim sweep flash-crowd --seeds 1..10 --param network.bits=0,4,8   30 runs: every seed with every value
  griot-sim sweep smoke --seeds 1..5 --param nodes=20,40 --param people.homes=[1,0,0],[0,1,0]
  griot-sim sweep smoke --seeds 1..100 --print | parallel                one command a run, for a batch scheduler

A run whose folder is whole is not made again. Folders of several machines merge by copying; `griot-sim report DIR` makes
the tables and plots from what is there.")]
    Sweep(SweepArgs),
    /// Draw the report of a run or a sweep: one HTML file, and the plots as SVG.
    #[command(after_help = "\
Examples:
  griot-sim report runs/smoke/seed-1        report.html and plots/*.svg in that folder
  griot-sim report sweeps/smoke             means over seeds with 95 % confidence intervals")]
    Report(FolderArgs),
    /// Set two runs or two sweeps side by side.
    #[command(after_help = "\
Examples:
  griot-sim compare runs/before runs/after          figure by figure
  griot-sim compare sweeps/before sweeps/after      means, and whether they differ by more than chance (*)")]
    Compare(CompareArgs),
    /// Tell one message's way through the network, hop by hop.
    #[command(after_help = "\
Examples:
  griot-sim explain runs/smoke/seed-1 17            by its number in messages.csv
  griot-sim explain runs/smoke/seed-1 4fe1a09c77    by its record's id, or the beginning of it")]
    Explain(ExplainArgs),
    /// Find the smallest plan that still fails like this one.
    #[command(after_help = "\
Examples:
  griot-sim run smoke --seed 17                              exit code 1: an invariant is broken
  griot-sim shrink runs/smoke/seed-17                        takes away messages, faults, people, nodes, links
  griot-sim shrink runs/smoke/seed-17/plan.json --out small.json --tries 300
  griot-sim run small.json                                   fails in the same way, and is small enough to read")]
    Shrink(ShrinkArgs),
    /// Look at traces: every line that a run hashes.
    Trace(TraceArgs),
    /// Run in virtual time what real nodes did on a wire, and set the two side by side.
    #[command(after_help = "\
Examples:
  griot-sim calibrate simulations/calibration/nodes-12.json          kept from real nodes, 12 of them
  sudo griot-sim live calibrate --out here; griot-sim calibrate here/calibration.json

Exit codes: 0 every figure is as close as it must be, 1 one is not or the run failed, 2 the file is none.")]
    Calibrate(CalibrateArgs),
    /// Run a network that others have simulated, and set the results side by side.
    #[command(after_help = "\
Examples:
  griot-sim published vyzo                     1,000 nodes with some forty neighbours each: minutes, and 3 GB
  griot-sim published waku --nodes 200 --json")]
    Published(PublishedArgs),
}

/// A folder.
#[derive(Debug, Args)]
pub struct FolderArgs {
    /// The folder of a run or of a sweep.
    folder: std::path::PathBuf,
}

/// Two folders.
#[derive(Debug, Args)]
pub struct CompareArgs {
    /// The first: a run or a sweep.
    first: std::path::PathBuf,
    /// The second.
    second: std::path::PathBuf,
    /// Print one JSON object a line instead of a table.
    #[arg(long)]
    json: bool,
}

/// A message.
#[derive(Debug, Args)]
pub struct ExplainArgs {
    /// The folder of a run.
    folder: std::path::PathBuf,
    /// The message: its record's id, the beginning of it, or its number.
    message: String,
}

/// Does what a command says.
pub fn main(command: Command, world: &dyn World) -> ExitCode {
    match command {
        Command::List(args) => list::list(&args),
        Command::Run(args) => run::run(&args, world),
        Command::Sweep(args) => sweep::sweep(&args),
        Command::Shrink(args) => shrink::shrink(&args),
        Command::Trace(args) => trace::trace(&args),
        Command::Calibrate(args) => truth::calibrate(&args, world),
        Command::Published(args) => truth::published(&args, world),
        Command::Report(args) => done(report::report(&args.folder).map(|path| format!("{}\n", path.display()))),
        Command::Explain(args) => done(explain::explain(&args.folder, &args.message)),
        Command::Compare(args) => done(compare::compare(&args.first, &args.second).map(|lines| {
            if !args.json {
                return compare::to_text(&lines);
            }
            lines.iter().filter_map(|line| serde_json::to_string(line).ok()).map(|line| line + "\n").collect()
        })),
    }
}

/// Prints what came out, or why nothing did.
fn done<E: Display>(result: Result<String, E>) -> ExitCode {
    match result {
        Ok(text) => {
            print!("{text}");
            ExitCode::SUCCESS
        }
        Err(error) => fail(&error),
    }
}

/// Says why, and fails.
fn fail(error: &dyn Display) -> ExitCode {
    eprintln!("griot-sim: {error}");
    ExitCode::FAILURE
}

/// An argument as a shell takes it.
fn quoted(argument: &str) -> String {
    let plain = !argument.is_empty() && argument.chars().all(|c| c.is_ascii_alphanumeric() || "-_./=:,+@%".contains(c));
    if plain { argument.to_owned() } else { format!("'{}'", argument.replace('\'', r"'\''")) }
}

/// A command of this program as a shell takes it.
fn shell(args: &[String]) -> String {
    std::iter::once("griot-sim".to_owned()).chain(args.iter().map(|arg| quoted(arg))).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_can_be_pasted_into_a_shell() {
        let args = ["run", "my scenario.toml", "--param", "topology={ kind = 'regular' }"].map(str::to_owned);
        assert_eq!(shell(&args), r"griot-sim run 'my scenario.toml' --param 'topology={ kind = '\''regular'\'' }'");
    }
}
