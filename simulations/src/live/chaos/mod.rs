//! Chaos: real nodes, people who write and read, and everything that goes wrong with machines and networks.
//!
//! ```text
//!  seed ─▶ plan ─▶ network in namespaces ─▶ faults, for minutes ─▶ heal, restart ─▶ all arrived, all gone ─▶ check
//!                  people write and read  ─────────────────────────────────────▶
//!                  └──────────── every answer of every node: the history ──────────────────────────────────▶
//! ```
//!
//! - [`plan`] and [`faults`] draw everything from the seed before the first node starts.
//! - `stage` and `keeper` do to the network what was drawn; [`disk`] and [`clock`] are what they need for it.
//! - `people` write and read through the nodes' API and note each answer in a [`history`]; two `friends` do it with the full
//!   client.
//! - [`check`] decides from the history alone whether the promises of `docs/` were kept.
//!
//! The nodes are real processes, so a seed repeats what is done, and not what follows from it.

pub mod check;
pub mod clock;
pub mod disk;
pub mod faults;
mod friends;
pub mod history;
mod keeper;
mod people;
pub mod plan;
mod settle;
mod stage;
pub mod summary;

use std::{
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use griot_client::home::HomeError;
use tokio::time::Instant;

pub use plan::{ChaosPlan, Options, Topology};
pub use summary::Summary;

use self::{
    check::Frame,
    faults::Fault,
    friends::Friends,
    history::History,
    people::Town,
    settle::Standing,
    stage::{Nodes, Stage},
};
use super::{LiveError, binaries};
use crate::load::LoadError;

/// How often progress is told.
const TELL_EVERY: Duration = Duration::from_secs(10);

/// Why there is no result.
#[derive(Debug, thiserror::Error)]
pub enum ChaosError {
    /// The options make no sense together.
    #[error("{0}")]
    Usage(String),
    /// Something that cannot be went wrong.
    #[error("{0}")]
    Impossible(String),
    /// The wire or a node could not be started.
    #[error(transparent)]
    Live(#[from] LiveError),
    /// A node did not do as it should before anything was done to it.
    #[error(transparent)]
    Home(#[from] HomeError),
    /// A mailbox could not be made.
    #[error(transparent)]
    Load(#[from] LoadError),
    /// A result could not be written.
    #[error("writing {0}: {1}")]
    Write(PathBuf, std::io::Error),
    /// Somebody ended it before it had begun.
    #[error("interrupted before the network had come up")]
    Interrupted,
}

/// Runs, checks, and says what it came to. Progress goes to standard error.
///
/// # Errors
/// [`ChaosError`]. A broken rule is none: the summary has it.
pub async fn run(options: &Options) -> Result<Summary, ChaosError> {
    let mut left_out = Vec::new();
    let disks = disk::SmallDisk::make().map_err(|error| left_out.push(format!("disk full: {error}"))).is_ok();
    let clocks = clock::library().map_err(|error| left_out.push(format!("clock: {error}"))).is_ok();
    let plan = Arc::new(ChaosPlan::draw(options, disks, clocks)?);
    let replay = replay(options, &plan);
    progress(&format!("seed {}; the same again: {replay}", plan.seed));
    for why in &left_out {
        progress(&format!("left out: {why}"));
    }
    if let Some(out) = &options.out {
        std::fs::create_dir_all(out).map_err(|error| ChaosError::Write(out.clone(), error))?;
        save(out, "plan.json", &*plan)?;
    }
    progress(&format!("starting {} nodes ({}) …", plan.nodes, plan.topology));
    let starting = Arc::clone(&plan);
    let nodes = tokio::select! {
        nodes = blocking(move || Nodes::start(&starting)) => nodes?,
        () = interrupted() => return Err(ChaosError::Interrupted),
    };
    let urls = nodes.urls();
    let (meeting, homes) = (Arc::clone(&plan), urls.clone());
    let friends = tokio::select! {
        friends = blocking(move || Friends::meet(&meeting, &homes)) => friends?,
        () = interrupted() => return Err(ChaosError::Interrupted),
    };
    let path = options.out.as_ref().map(|out| out.join("history.jsonl"));
    let history = History::begin(path.as_deref());
    let history = history.map_err(|error| ChaosError::Write(path.clone().unwrap_or_default(), error))?;
    let history = Arc::new(history);
    let town = Town::settle(Arc::clone(&plan), &urls, Arc::clone(&history)).await?;
    let stage = Arc::new(Stage::new(nodes, &plan, &history, options.out.as_deref())?);
    let talking = friends.begin(&plan, &history)?;

    let settled = tokio::select! {
        settled = unfold(options, &plan, &town, &stage, &history) => Some(settled),
        () = interrupted() => None,
    };
    let end_ms = history.now_ms();
    progress("ending the nodes …");
    blocking(move || {
        drop(talking);
        // Whoever else held it was dropped with the run.
        if let Some(mut stage) = Arc::into_inner(stage) {
            stage.end();
        }
        Ok(())
    })
    .await?;
    let frame = Frame { nodes: plan.nodes, end_ms, whole_ms: settled.map(|settled| settled.whole_ms) };
    let summary = summarise(&plan, &history, frame, settled.map(|settled| settled.seconds), left_out, replay)?;
    if let Some(out) = &options.out {
        history.flush().map_err(|error| ChaosError::Write(out.join("history.jsonl"), error))?;
        save(out, "summary.json", &summary)?;
    }
    Ok(summary)
}

/// How a run ended.
#[derive(Clone, Copy, Debug)]
struct Settled {
    /// When the network was whole again, milliseconds since the run began.
    whole_ms: u64,
    /// How long everything took from then on, or until it was given up.
    seconds: u64,
}

/// Faults and messages; then healing, and the time that everything needs to settle.
async fn unfold(
    options: &Options,
    plan: &Arc<ChaosPlan>,
    town: &Arc<Town>,
    stage: &Arc<Stage>,
    history: &Arc<History>,
) -> Settled {
    let (holding, held) = tokio::sync::watch::channel(Vec::new());
    let readers = town.begin_reading();
    let mut writers = town.begin_writing();
    let end = history.begun() + Duration::from_millis(plan.duration_ms);
    tokio::select! {
        () = async { stage.run(&holding).await; tokio::time::sleep_until(end.into()).await } => {}
        () = tell(history, plan.duration_ms, &held) => {}
    }
    progress("healing everything, and starting every node again …");
    let renewing = Arc::clone(stage);
    // Ends by itself; if this fails the checks below say so.
    let _ = tokio::task::spawn_blocking(move || renewing.renew()).await;
    let (healed, whole_ms) = (Instant::now(), history.now_ms());
    let deadline = healed + Duration::from_secs(options.drain_seconds);
    let mut said = Instant::now();
    let mut say = move |text: &str| {
        if said.elapsed() >= TELL_EVERY {
            said = Instant::now();
            progress(text);
        }
    };
    let written = settle::all_written(&mut writers, deadline).await;
    let arrived = settle::all_arrived(history, deadline, &mut say).await;
    let left = settle::all_gone(town, history, plan.nodes, deadline, &mut say).await;
    if !(written && arrived && left == 0) {
        progress(&format!("not everything has settled within {} s", options.drain_seconds));
    }
    // Whatever comes back is seen by asking and reading once more.
    progress("waiting for anything to come back …");
    let settled = Settled { whole_ms, seconds: healed.elapsed().as_secs() };
    tokio::time::sleep(settle::AFTERMATH).await;
    settle::all_gone(town, history, plan.nodes, deadline, &mut say).await;
    let silent = town.read_everything().await;
    if silent > 0 {
        progress(&format!("{silent} mailboxes could not be read to the end"));
    }
    drop((readers, writers));
    settled
}

/// Tells how it goes, for ever.
async fn tell(history: &History, duration_ms: u64, held: &tokio::sync::watch::Receiver<Vec<Fault>>) {
    loop {
        tokio::time::sleep(TELL_EVERY).await;
        let standing = history.with(Standing::of);
        let faults: Vec<String> = held.borrow().iter().map(ToString::to_string).collect();
        progress(&format!(
            "{} of {} s: {} sent, {} accepted, {} delivered, {} acked; {}",
            history.now_ms() / 1000,
            duration_ms / 1000,
            standing.sent.len(),
            standing.accepted.len(),
            standing.delivered.len(),
            standing.acked.len(),
            if faults.is_empty() { "no fault".to_owned() } else { faults.join("; ") }
        ));
    }
}

fn summarise(
    plan: &ChaosPlan,
    history: &History,
    frame: Frame,
    settle_seconds: Option<u64>,
    left_out: Vec<String>,
    replay: String,
) -> Result<Summary, ChaosError> {
    let mut broken = history.with(|events| check::check(events, frame));
    let broken_count = broken.len();
    broken.truncate(summary::BROKEN_MAX);
    Ok(Summary {
        seed: plan.seed,
        replay,
        griotd: binaries::version("griotd")?,
        topology: plan.topology,
        nodes: plan.nodes,
        people: plan.people.len(),
        faults_seconds: plan.duration_ms.min(frame.end_ms) / 1000,
        settle_seconds,
        faults: summary::faults_by_kind(plan, frame.end_ms),
        left_out,
        counts: history.with(|events| summary::Counts::of(events, frame.end_ms)),
        accepted_to_delivered_ms: history.with(summary::accepted_to_delivered_ms),
        interrupted: settle_seconds.is_none(),
        broken_count,
        broken,
    })
}

/// The command that does the same again.
fn replay(options: &Options, plan: &ChaosPlan) -> String {
    format!(
        "griot-sim live --minutes {} --seed {} --nodes {} --topology {} --people {} --rate {} --drain {}",
        options.minutes,
        plan.seed,
        plan.nodes,
        plan.topology,
        plan.people.len(),
        options.rate,
        options.drain_seconds
    )
}

/// Comes back when somebody wants the run to end: Ctrl-C, or SIGTERM.
async fn interrupted() {
    let terminated = async {
        match tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate()) {
            Ok(mut signal) => {
                signal.recv().await;
            }
            Err(_) => std::future::pending().await,
        }
    };
    tokio::select! {
        pressed = tokio::signal::ctrl_c() => if pressed.is_err() { std::future::pending().await },
        () = terminated => {}
    }
}

fn save(out: &Path, name: &str, what: &impl serde::Serialize) -> Result<(), ChaosError> {
    let path = out.join(name);
    let text = serde_json::to_string_pretty(what).map_err(|error| ChaosError::Impossible(error.to_string()))?;
    std::fs::write(&path, text + "\n").map_err(|error| ChaosError::Write(path, error))
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, LiveError> + Send + 'static,
) -> Result<T, ChaosError> {
    Ok(tokio::task::spawn_blocking(work).await.map_err(|error| ChaosError::Impossible(error.to_string()))??)
}

fn progress(text: &str) {
    eprintln!("{text}");
}
