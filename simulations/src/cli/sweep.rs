//! `griot-sim sweep`.

use std::{path::PathBuf, process::ExitCode};

use clap::Args;

use super::{INTERRUPTED, USAGE, interrupt, shell};
use crate::{
    outcome::OutcomeError,
    scenario::{Overrides, draw::draw, load, parse},
    sweep::{Job, Progress, Seeds, Setting, command_line, gather, jobs, run_all, write},
};

/// What to sweep.
#[derive(Debug, Args)]
pub struct SweepArgs {
    /// A built-in scenario or a scenario file.
    scenario: String,
    /// The seeds, both included.
    #[arg(long, value_name = "A..B")]
    seeds: Seeds,
    /// A key and the values it takes. May be repeated: every combination is run. The key `nodes` is `--nodes`.
    #[arg(long = "param", value_name = "KEY=V,V,…")]
    params: Vec<Setting>,
    /// Runs at the same time. Default: as many as there are cores.
    #[arg(long, value_name = "N")]
    jobs: Option<usize>,
    /// The sweep's folder. Default: `sweeps/SCENARIO`.
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// Do not compress time.
    #[arg(long)]
    full_length: bool,
    /// Leave the central baseline out.
    #[arg(long)]
    no_central: bool,
    /// Keep where every message went in every run.
    #[arg(long)]
    arrivals: bool,
    /// Run nothing: print the command of each run that is not there yet, one a line.
    #[arg(long)]
    print: bool,
}

/// Sweeps.
pub fn sweep(args: &SweepArgs) -> ExitCode {
    let (folder, jobs) = match prepare(args) {
        Ok(prepared) => prepared,
        Err(error) => {
            eprintln!("griot-sim: {error}");
            return ExitCode::from(USAGE);
        }
    };
    let more = more(args);
    if args.print {
        for job in jobs.iter().filter(|job| !crate::sweep::is_whole(job)) {
            println!("{}", shell(&command_line(&args.scenario, job, &more)));
        }
        return ExitCode::SUCCESS;
    }
    let program = match std::env::current_exe() {
        Ok(program) => program,
        Err(error) => return super::fail(&error),
    };
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let stop = interrupt::flag();
    let failed = run_all(&program, &args.scenario, &jobs, &more, args.jobs.unwrap_or(cores), &stop, &show);
    let written: Result<_, OutcomeError> = gather(&folder).and_then(|runs| Ok((runs.len(), write(&folder, &runs)?)));
    match written {
        Ok((runs, sweep)) => {
            let broken: u64 = sweep.groups.iter().map(|group| group.broken).sum();
            println!("{runs} runs in {0}; `griot-sim report {0}` draws them", folder.display());
            if broken > 0 {
                eprintln!("griot-sim: in {broken} runs an invariant is broken: see broken_invariants in sweep.csv");
            }
            if stop.load(std::sync::atomic::Ordering::Relaxed) {
                return ExitCode::from(INTERRUPTED);
            }
            if failed > 0 || broken > 0 { ExitCode::FAILURE } else { ExitCode::SUCCESS }
        }
        Err(error) => super::fail(&error),
    }
}

/// Reads the scenario with every combination once, so that a mistake is said before the first run and not in each.
fn prepare(args: &SweepArgs) -> Result<(PathBuf, Vec<Job>), Box<dyn std::error::Error>> {
    let source = load(&args.scenario)?;
    let name = parse(&source, &Overrides::default())?.name;
    let folder = args.out.clone().unwrap_or_else(|| PathBuf::from("sweeps").join(name));
    let jobs = jobs(&folder, args.seeds, &args.params)?;
    for job in jobs.iter().filter(|job| job.seed == args.seeds.from) {
        let nodes = job.params.iter().find(|(key, _)| key == "nodes").map(|(_, value)| value.parse()).transpose()?;
        let params = job.params.iter().filter(|(key, _)| key != "nodes").cloned().collect();
        let scenario = parse(&source, &Overrides { nodes, full_length: args.full_length, params })?;
        draw(&scenario, job.seed)?;
    }
    Ok((folder, jobs))
}

fn more(args: &SweepArgs) -> Vec<String> {
    let flags = [
        (args.full_length, "--full-length"),
        (args.no_central, "--no-central"),
        (!args.arrivals, "--no-arrivals"),
        (true, "--quiet"),
    ];
    flags.into_iter().filter(|(on, _)| *on).map(|(_, flag)| flag.to_owned()).collect()
}

fn show(progress: Progress<'_>) {
    let how = match progress.ended {
        Ok(None) => "was there".to_owned(),
        Ok(Some(0)) => "done".to_owned(),
        Ok(Some(_)) => "done; an invariant is broken".to_owned(),
        Err(what) => format!("FAILED: {what}"),
    };
    eprintln!("{}/{} {} {how}", progress.done, progress.of, progress.job.out.display());
}
