//! `griot-sim calibrate` and `griot-sim published`: is what the simulator says true?

use std::{path::PathBuf, process::ExitCode};

use clap::{Args, ValueEnum};

use super::{USAGE, World};
use crate::{
    live::calibrate::Calibration,
    outcome::files::read_json,
    truth::{TruthError, calibrated, published},
};

/// What real nodes did.
#[derive(Debug, Args)]
pub struct CalibrateArgs {
    /// A `calibration.json` that `griot-sim live calibrate --out` wrote.
    file: PathBuf,
    /// Print one JSON object.
    #[arg(long)]
    json: bool,
}

/// What others did.
#[derive(Debug, Args)]
pub struct PublishedArgs {
    /// Which study.
    study: StudyName,
    /// Run it with another number of nodes.
    #[arg(long)]
    nodes: Option<u32>,
    /// From which neighbours, latencies and writers are drawn.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Print one JSON object.
    #[arg(long)]
    json: bool,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum StudyName {
    /// vyzo's gossipsub simulator: 60 messages in 1,000 nodes.
    Vyzo,
    /// Waku's: 10 messages of 10 kB in 1,000 nodes, every path 100 ms.
    Waku,
}

/// Sets real and simulated nodes side by side.
pub fn calibrate(args: &CalibrateArgs, world: &dyn World) -> ExitCode {
    let real: Calibration = match read_json(&args.file) {
        Ok(real) => real,
        Err(error) => {
            eprintln!("griot-sim: {error}");
            return ExitCode::from(USAGE);
        }
    };
    match calibrated::compare(&real, world) {
        Ok(comparison) => {
            if let Err(error) = print(args.json, &comparison, || comparison.to_text()) {
                return super::fail(&error);
            }
            if comparison.holds() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
        }
        // A file that contradicts itself is as good as none.
        Err(error @ TruthError::Plan(_)) => {
            eprintln!("griot-sim: {}: {error}", args.file.display());
            ExitCode::from(USAGE)
        }
        Err(error) => super::fail(&error),
    }
}

/// Runs what others have published.
pub fn published(args: &PublishedArgs, world: &dyn World) -> ExitCode {
    let [vyzo, waku] = &published::STUDIES;
    let study = match args.study {
        StudyName::Vyzo => vyzo,
        StudyName::Waku => waku,
    };
    let printed = match published::run(study, args.nodes, args.seed, world) {
        Ok(found) => print(args.json, &found, || found.to_text()),
        Err(error) => return super::fail(&error),
    };
    match printed {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => super::fail(&error),
    }
}

fn print(json: bool, what: &impl serde::Serialize, text: impl FnOnce() -> String) -> Result<(), serde_json::Error> {
    if json {
        println!("{}", serde_json::to_string(what)?);
    } else {
        print!("{}", text());
    }
    Ok(())
}
