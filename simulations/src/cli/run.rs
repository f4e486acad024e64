//! `griot-sim run`.

use std::{
    fs::File,
    io::{BufWriter, Write as _},
    path::{Path, PathBuf},
    process::ExitCode,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use clap::Args;

use super::{INTERRUPTED, USAGE, World, interrupt, progress::Line, shell, wall};
use crate::{
    outcome::{Manifest, Outcome, RunFolder, Summary, arrivals::ArrivalWriter, files::ARRIVALS, manifest::FORMAT},
    plan::{Arrival, Listener, Plan, Recording, VirtualMs},
    report::{bytes, duration},
    scenario::{
        Overrides,
        draw::{draw, plan_hash},
        load, parse,
        plan_file::read_plan,
    },
};

/// What to run.
#[derive(Debug, Args)]
pub struct RunArgs {
    /// A built-in scenario, a scenario file, or a plan (`….json`).
    scenario: String,
    /// The seed. Everything random comes from it.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// How many nodes; everything that the scenario says in shares grows with them.
    #[arg(long)]
    nodes: Option<u32>,
    /// Change a value of the scenario: a key's path and a TOML value. May be repeated.
    #[arg(long = "param", value_name = "KEY=VALUE")]
    params: Vec<String>,
    /// Do not compress time.
    #[arg(long)]
    full_length: bool,
    /// The folder for what comes out. An earlier run there is replaced. Default: `runs/SCENARIO/seed-N`.
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// Leave the central baseline out.
    #[arg(long)]
    no_central: bool,
    /// Do not keep where every message went (`explain` then knows no ways).
    #[arg(long)]
    no_arrivals: bool,
    /// Do not keep the plan (`shrink` and the picture of the network then have nothing to go by).
    #[arg(long)]
    no_plan: bool,
    /// Write every line of the trace to a file.
    #[arg(long, value_name = "FILE")]
    trace: Option<PathBuf>,
    /// Print the summary as one JSON object.
    #[arg(long)]
    json: bool,
    /// No progress line.
    #[arg(long, short)]
    quiet: bool,
}

/// A plan and what it was made from.
struct Job {
    plan: Plan,
    central: Option<Plan>,
    text: String,
    hash: String,
    parameters: Vec<String>,
    compress: u64,
    regions: Vec<String>,
    replay: Vec<String>,
}

/// Runs a scenario.
pub fn run(args: &RunArgs, world: &dyn World) -> ExitCode {
    let job = match prepare(args) {
        Ok(job) => job,
        Err(error) => {
            eprintln!("griot-sim: {error}");
            return ExitCode::from(USAGE);
        }
    };
    match execute(args, &job, world) {
        Ok(summary) => conclude(args, &job, &summary),
        Err(error) => super::fail(&error),
    }
}

type Failure = Box<dyn std::error::Error>;

fn prepare(args: &RunArgs) -> Result<Job, Failure> {
    if Path::new(&args.scenario).extension().is_some_and(|ending| ending == "json") {
        if args.nodes.is_some() || !args.params.is_empty() || args.full_length {
            return Err("a plan is run as it is: --nodes, --param and --full-length are for scenarios".into());
        }
        let plan = read_plan(Path::new(&args.scenario))?;
        return Ok(Job {
            central: None,
            text: String::new(),
            hash: String::new(),
            parameters: Vec::new(),
            compress: 1,
            regions: Vec::new(),
            replay: vec!["run".into(), args.scenario.clone()],
            plan,
        });
    }
    let pair = |param: &String| param.split_once('=').map(|(key, value)| (key.to_owned(), value.to_owned()));
    let params = args.params.iter().map(|param| pair(param).ok_or_else(|| format!("--param {param}: write key=value")));
    let overrides =
        Overrides { nodes: args.nodes, full_length: args.full_length, params: params.collect::<Result<_, _>>()? };
    let source = load(&args.scenario)?;
    let scenario = parse(&source, &overrides)?;
    let drawn = draw(&scenario, args.seed)?;
    let mut replay = vec!["run".to_owned(), args.scenario.clone(), "--seed".into(), args.seed.to_string()];
    replay.extend(overrides.to_args());
    Ok(Job {
        plan: drawn.plan,
        central: drawn.central.filter(|_| !args.no_central),
        hash: source.hash(),
        text: source.text,
        parameters: overrides.to_args(),
        compress: scenario.compress,
        regions: scenario.regions.iter().map(|region| region.name.clone()).collect(),
        replay,
    })
}

/// The folder for a run where none is named.
fn default_folder(plan: &Plan) -> PathBuf {
    Path::new("runs").join(&plan.scenario).join(format!("seed-{}", plan.seed))
}

fn execute(args: &RunArgs, job: &Job, world: &dyn World) -> Result<Summary, Failure> {
    let folder = RunFolder::begin(&args.out.clone().unwrap_or_else(|| default_folder(&job.plan)))?;
    let stop = interrupt::flag();
    let started_at = wall::unix_seconds();
    let mut listener = Watcher {
        line: Line::new(job.plan.scenario.clone(), job.plan.duration_ms, args.quiet),
        arrivals: match args.no_arrivals {
            true => None,
            false => Some(ArrivalWriter::new(folder.create(ARRIVALS)?, job.plan.nodes.len() as u32)?),
        },
        trace: args.trace.as_ref().map(File::create).transpose()?.map(BufWriter::new),
        stop: Arc::clone(&stop),
        failed: None,
    };
    let recording = world.run(&job.plan, &mut listener)?;
    let wall_seconds = listener.line.seconds();
    let arrivals_left_out = listener.finish()?;
    let central: Option<(&Plan, Recording)> = match job.central.as_ref().filter(|_| !recording.interrupted) {
        Some(plan) => Some((plan, run_central(args, plan, &stop, world)?)),
        None => None,
    };
    let central = central.as_ref().map(|(plan, recording)| (*plan, recording));
    let summary = Summary::of(&job.plan, &recording, central);
    let manifest = Manifest {
        format: FORMAT,
        scenario: job.plan.scenario.clone(),
        scenario_text: job.text.clone(),
        scenario_hash: job.hash.clone(),
        seed: job.plan.seed,
        parameters: job.parameters.clone(),
        compress: job.compress,
        regions: job.regions.clone(),
        plan_hash: plan_hash(&job.plan)?,
        version: env!("CARGO_PKG_VERSION").to_owned(),
        system: format!("{}-{}", std::env::consts::OS, std::env::consts::ARCH),
        started_at,
        wall_seconds,
        speed: recording.virtual_ms as f64 / 1000.0 / wall_seconds.max(1e-6),
        shared_signature_checks: job.plan.shared_signature_checks,
        interrupted: summary.interrupted,
        replay: shell(&job.replay),
        arrivals_left_out,
    };
    folder.finish(&Outcome {
        plan: &job.plan,
        recording: &recording,
        central,
        manifest: &manifest,
        summary: &summary,
        with_plan: !args.no_plan,
    })?;
    Ok(summary)
}

fn run_central(args: &RunArgs, plan: &Plan, stop: &Arc<AtomicBool>, world: &dyn World) -> Result<Recording, Failure> {
    let mut listener = Watcher {
        line: Line::new(plan.scenario.clone(), plan.duration_ms, args.quiet),
        arrivals: None,
        trace: None,
        stop: Arc::clone(stop),
        failed: None,
    };
    let recording = world.run(plan, &mut listener)?;
    listener.finish()?;
    Ok(recording)
}

/// Watches a run: shows how far it is, and keeps where messages went.
struct Watcher {
    line: Line,
    arrivals: Option<ArrivalWriter<BufWriter<File>>>,
    trace: Option<BufWriter<File>>,
    stop: Arc<AtomicBool>,
    /// What went wrong while writing: the run is ended and the error told, because the world cannot take it.
    failed: Option<std::io::Error>,
}

impl Watcher {
    fn note(&mut self, written: std::io::Result<()>) {
        if let Err(error) = written {
            self.failed.get_or_insert(error);
        }
    }

    /// Ends; returns how many arrivals were left out.
    fn finish(self) -> std::io::Result<u64> {
        self.line.clear();
        if let Some(error) = self.failed {
            return Err(error);
        }
        if let Some(mut trace) = self.trace {
            trace.flush()?;
        }
        self.arrivals.map_or(Ok(0), |arrivals| arrivals.finish().map(|(_, left_out)| left_out))
    }
}

impl Listener for Watcher {
    fn arrived(&mut self, arrival: Arrival) {
        let written = self.arrivals.as_mut().map_or(Ok(()), |arrivals| arrivals.push(&arrival));
        self.note(written);
    }

    fn traced(&mut self, line: &str) {
        let written = self.trace.as_mut().map_or(Ok(()), |trace| writeln!(trace, "{line}"));
        self.note(written);
    }

    fn wants_trace(&self) -> bool {
        self.trace.is_some()
    }

    fn progress(&mut self, now: VirtualMs) -> bool {
        self.line.at(now);
        self.failed.is_none() && !self.stop.load(Ordering::Relaxed)
    }
}

fn conclude(args: &RunArgs, job: &Job, summary: &Summary) -> ExitCode {
    if args.json {
        match serde_json::to_string(summary) {
            Ok(line) => println!("{line}"),
            Err(error) => return super::fail(&error),
        }
    } else {
        let folder = args.out.clone().unwrap_or_else(|| default_folder(&job.plan));
        print!("{}", to_text(summary));
        println!("\nwritten to {0}; `griot-sim report {0}` draws it", folder.display());
    }
    for invariant in summary.broken() {
        eprintln!("griot-sim: {} did not hold {} of {} times", invariant.name, invariant.broken, invariant.checks);
        for example in invariant.examples.iter().take(3) {
            eprintln!("    {example}");
        }
    }
    if summary.broken_invariants > 0 {
        eprintln!("griot-sim: seed {}; to see it again: {}", summary.seed, shell(&job.replay));
        return ExitCode::FAILURE;
    }
    if summary.interrupted { ExitCode::from(INTERRUPTED) } else { ExitCode::SUCCESS }
}

/// The summary for people.
fn to_text(summary: &Summary) -> String {
    let central = summary.central.as_ref();
    let mut rows: Vec<(&str, String, Option<String>)> = Vec::new();
    let mut row = |name, of: &dyn Fn(&crate::outcome::Figures) -> String| {
        rows.push((name, of(&summary.figures), central.map(of)));
    };
    let percent = |part: u64, whole: u64| if whole == 0 { 0.0 } else { 100.0 * part as f64 / whole as f64 };
    row("offered", &|f| f.offered.to_string());
    row("delivered", &|f| format!("{} ({:.2} %)", f.delivered, percent(f.delivered, f.offered)));
    row("lost · waiting · not accepted", &|f| format!("{} · {} · {}", f.lost, f.waiting, f.not_accepted));
    row("written and read in the outage", &|f| {
        f.outage.as_ref().map_or_else(
            || "–".to_owned(),
            |o| {
                format!(
                    "{} of {} ({:.2} %)",
                    o.delivered_during_outage,
                    o.offered,
                    percent(o.delivered_during_outage, o.offered)
                )
            },
        )
    });
    row("time to heal", &|f| f.time_to_heal_ms.map_or_else(|| "–".into(), duration));
    row("latency p50 · p99", &|f| format!("{} · {}", duration(f.latency_ms.p50), duration(f.latency_ms.p99)));
    row("sent by a node, mean", &|f| bytes(f.sent_bytes_per_node.mean));
    row("sent for each delivery", &|f| bytes(f.bytes_per_delivery));
    let mut text = format!(
        "{}, seed {}: {} nodes, {} people, {} of virtual time{}\n\n{:<32} {:>26}",
        summary.scenario,
        summary.seed,
        summary.nodes,
        summary.people,
        duration(summary.virtual_ms),
        if summary.interrupted { " (interrupted)" } else { "" },
        "",
        "Griot"
    );
    text += &if central.is_some() { format!(" {:>26}\n", "one central provider") } else { "\n".to_owned() };
    for (name, griot, central) in rows {
        text += &format!("{name:<32} {griot:>26}");
        text += &central.map_or_else(|| "\n".to_owned(), |central| format!(" {central:>26}\n"));
    }
    let checks: u64 = summary.invariants.iter().map(|invariant| invariant.checks).sum();
    text + &format!(
        "\n{} invariants, {checks} checks, {} broken; trace {}\n",
        summary.invariants.len(),
        summary.broken_invariants,
        summary.trace_hash
    )
}

#[cfg(test)]
mod tests;
