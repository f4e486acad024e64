//! `griot-sim trace`.

use std::{path::PathBuf, process::ExitCode};

use clap::{Args, Subcommand};

use super::USAGE;
use crate::trace_diff;

/// What to do with traces.
#[derive(Debug, Args)]
pub struct TraceArgs {
    #[command(subcommand)]
    command: TraceCommand,
}

#[derive(Debug, Subcommand)]
enum TraceCommand {
    /// Find the first line in which two traces differ.
    #[command(after_help = "\
Examples:
  griot-sim run smoke --trace a.txt; griot-sim run smoke --seed 2 --trace b.txt
  griot-sim trace diff a.txt b.txt
  griot-sim trace diff a.txt b.txt --context 20 --json

Exit codes: 0 the same, 1 different, 2 a file cannot be read or is no trace.")]
    Diff(DiffArgs),
}

#[derive(Debug, Args)]
struct DiffArgs {
    /// A file that `griot-sim run --trace` wrote.
    first: PathBuf,
    /// Another one.
    second: PathBuf,
    /// Lines to show before and after the difference.
    #[arg(long, default_value_t = 3, value_name = "LINES")]
    context: usize,
    /// Print one JSON object.
    #[arg(long)]
    json: bool,
}

/// Does what the command says.
pub fn trace(args: &TraceArgs) -> ExitCode {
    let TraceCommand::Diff(args) = &args.command;
    let diff = match trace_diff::compare(&args.first, &args.second, args.context) {
        Ok(diff) => diff,
        Err(error) => {
            eprintln!("griot-sim: {error}");
            return ExitCode::from(USAGE);
        }
    };
    if args.json {
        match serde_json::to_string(&diff) {
            Ok(line) => println!("{line}"),
            Err(error) => return super::fail(&error),
        }
    } else {
        print!("{}", diff.to_text());
    }
    if diff.equal { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
