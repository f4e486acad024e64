//! `griot-sim live`: a short run with every kind of fault keeps every promise, its files say what happened, and what it
//! concludes can be concluded again from them.

use std::{
    path::Path,
    process::{Command, Output, Stdio},
};

use griot_simulations::live::{
    binaries,
    chaos::{
        ChaosPlan, Options, Summary, Topology,
        check::{self, Frame},
        clock,
        disk::SmallDisk,
        faults::Fault,
        history::{Event, What},
    },
    skip,
    wire::Wire,
};

/// How long faults happen: with starting, healing, and waiting for what may come back, the test takes about 80 seconds.
const MINUTES: f64 = 0.4;

const NODES: usize = 4;

/// Faults that the run has to have.
const KINDS: [&str; 4] = ["kill", "pause", "disk full", "clock"];

fn options(seed: u64) -> Options {
    Options {
        minutes: MINUTES,
        seed,
        nodes: NODES,
        topology: Some(Topology::Ring),
        people: None,
        rate: 2.0,
        drain_seconds: 300,
        out: None,
    }
}

/// A clock that is hours ahead makes a node drop for good what expires in those hours: `docs/simulation-live.md` says more.
fn is_hours_ahead(fault: &Fault) -> bool {
    matches!(fault, Fault::Clock { offset_seconds, .. } if (600..86_400).contains(offset_seconds))
}

/// The first seed whose few seconds have all of those, and a cut besides.
fn eventful() -> ChaosPlan {
    let has_all = |plan: &ChaosPlan| {
        let kinds: Vec<&str> = plan.faults.iter().map(|planned| planned.fault.kind()).collect();
        KINDS.iter().all(|kind| kinds.contains(kind))
            && kinds.iter().any(|kind| kind.starts_with("partition"))
            && !plan.faults.iter().any(|planned| is_hours_ahead(&planned.fault))
    };
    (1..).map(|seed| ChaosPlan::draw(&options(seed), true, true).unwrap()).find(has_all).unwrap()
}

fn live(args: &[&str]) -> Output {
    Command::new(binaries::find("griot-sim").unwrap()).arg("live").args(args).stdin(Stdio::null()).output().unwrap()
}

fn read_history(out: &Path) -> Vec<Event> {
    let text = std::fs::read_to_string(out.join("history.jsonl")).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// What this machine lacks.
fn missing() -> Option<String> {
    if let Err(error) = Wire::lay(1, 1) {
        return Some(format!("network namespaces with TUN devices ({error})"));
    }
    if let Err(error) = SmallDisk::make() {
        return Some(format!("mounting a tmpfs ({error})"));
    }
    clock::library().err().map(|error| error.to_string())
}

#[test]
fn a_short_run_keeps_every_promise_and_its_files_show_it() {
    if let Some(reason) = missing() {
        return skip(&reason).unwrap();
    }
    let out = tempfile::tempdir().unwrap();
    let folder = out.path().to_str().unwrap();
    let plan = eventful();
    let (minutes, seed, nodes) = (MINUTES.to_string(), plan.seed.to_string(), NODES.to_string());
    let what = ["--minutes", &minutes, "--seed", &seed, "--nodes", &nodes, "--topology", "ring"];
    let output = live(&[&what[..], &["--out", folder, "--json"]].concat());
    let said = String::from_utf8_lossy(&output.stderr);
    let summary: Summary = serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{error}: {said}"));
    assert_eq!(summary.broken, [], "{said}");
    assert!(output.status.success(), "{said}");

    // It did what the seed says, and all of it.
    let written = std::fs::read_to_string(out.path().join("plan.json")).unwrap();
    assert_eq!(serde_json::from_str::<ChaosPlan>(&written).unwrap(), plan);
    let history = read_history(out.path());
    for planned in &plan.faults {
        for edge in ["begins:", "ends:"] {
            let text = format!("{edge} {}", planned.fault);
            assert!(history.iter().any(|event| event.what == What::Fault { text: text.clone() }), "{text}");
        }
    }
    assert!(KINDS.iter().all(|kind| summary.faults[*kind] > 0), "{:?}", summary.faults);

    // Something was sent, and all that was accepted came.
    // The friends' messages come on top of those that were planned.
    let is_planned = |event: &&Event| matches!(event.what, What::Sent { writer, .. } if writer < plan.people.len());
    assert_eq!(history.iter().filter(is_planned).count(), plan.messages.len());
    assert!(summary.counts.delivered >= summary.counts.accepted - summary.counts.expired);
    assert!(summary.counts.delivered > summary.counts.sent / 2, "{:?}", summary.counts);
    assert_eq!(summary.left_out, Vec::<String>::new());
    assert!(summary.replay.contains(&format!("--seed {seed} ")), "{}", summary.replay);

    // The files alone give the same answer, and another one where they show that a message was lost.
    let frame = Frame { nodes: NODES, end_ms: history.last().unwrap().at_ms, whole_ms: Some(plan.duration_ms) };
    assert_eq!(check::check(&history, frame), []);
    let lost = history.iter().find_map(|event| match &event.what {
        What::Delivered { id, .. } => Some(id.clone()),
        _ => None,
    });
    let lost = lost.unwrap();
    let without: Vec<Event> =
        history.into_iter().filter(|event| !matches!(&event.what, What::Delivered { id, .. } if *id == lost)).collect();
    let broken = check::check(&without, frame);
    assert!(broken.iter().any(|broken| matches!(broken, check::Broken::Lost { id, .. } if *id == lost)), "{broken:?}");
}

#[test]
fn options_that_make_no_sense_are_refused_before_anything_is_started() {
    for (args, word) in [
        (&["--minutes", "0"][..], "--minutes"),
        (&["--nodes", "1"], "--nodes"),
        (&["--people", "1"], "--people"),
        (&["--minutes", "1", "calibrate"], "calibrate"),
    ] {
        let output = live(args);
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(2), "{args:?}: {said}");
        assert!(said.contains(word), "{args:?}: {said}");
    }
}
