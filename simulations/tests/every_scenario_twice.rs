//! Every built-in scenario, small and twice, each time in a process of its own: the same trace, the same figures, and
//! no invariant broken.
//!
//! This is the smoke of everything at once, and what holds the promise that a run can be repeated: entropy, time, the
//! order of hash maps and the addresses of memory differ between two processes, and none of them may show. The second
//! process also stands for another machine: the C library's variants for newer processors are switched off in it.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

use std::{
    fs,
    path::Path,
    process::{Child, Command, Stdio},
};

use griot_simulations::{
    outcome::{Figures, Manifest, Summary},
    scenario::builtin,
    trace_diff,
};

/// A scenario at the size of this test.
struct Small {
    name: &'static str,
    nodes: u32,
    /// What makes it short: time more compressed than by itself, fewer messages. Nothing that happens is left out.
    params: &'static [&'static str],
}

const fn small(name: &'static str, nodes: u32, params: &'static [&'static str]) -> Small {
    Small { name, nodes, params }
}

/// All built-in scenarios, each in an hour of virtual time at most.
const SMALL: [Small; 13] = [
    small("smoke", 10, &[]),
    small("whatsapp-2021-10-04", 10, &["compress=12", "workload.per_person_per_day=20"]),
    small("whatsapp-2022-10-25", 10, &["compress=6"]),
    small("west-africa-cables-2024-03-14", 12, &["compress=160", "workload.per_person_per_day=2"]),
    small("egypt-2011", 10, &["compress=200"]),
    small("togo-2020", 10, &["compress=60", "workload.per_person_per_day=4"]),
    small("matrix-org-2025-09-02", 10, &["compress=50", "workload.per_person_per_day=4"]),
    small("rolling-restart", 10, &["workload.per_person_per_day=200"]),
    small("flash-crowd", 10, &[]),
    small("sybil-flood", 10, &["compress=3"]),
    small("eclipse", 10, &[]),
    small("split-brain-30d", 10, &["compress=900"]),
    small("dead-home", 10, &["compress=5", "workload.per_person_per_day=60"]),
];

/// Weaknesses that are known, by the scenario that shows them. Each has its row in `docs/simulation.md#open`, and shows
/// exactly what is written there: neither has it grown unnoticed, nor is it claimed after it is gone.
const OPEN: [&str; 0] = [];

/// The page with the table.
const PAGE: &str = include_str!("../../docs/simulation.md");

/// A scenario's row in the table: seed, nodes, what was read while the load lasted, how long it took, what was lost.
fn row(name: &str, summary: &Summary) -> String {
    let figures = &summary.figures;
    let (read, offered, latency) = figures.outage.as_ref().map_or((0, 0, figures.latency_ms), |outage| {
        (outage.delivered_during_outage, outage.offered, outage.latency_ms)
    });
    let (seed, nodes, lost) = (summary.seed, summary.nodes, figures.lost);
    format!("| `{name}` | {seed} | {nodes} | {read} of {offered} | {} | {} | {lost} |", latency.p50, latency.p99)
}

/// Whether a weakness is as the page says.
fn check_open(name: &str, summary: &Summary) -> Result<(), String> {
    let row = row(name, summary);
    if !OPEN.contains(&name) || PAGE.contains(&row) {
        return Ok(());
    }
    Err(format!("docs/simulation.md#open is not true any more; it must say\n{row}"))
}

/// Has glibc pass over its variants for fused multiply-add and AVX2, whose `exp`, `log`, `sin` and `pow` differ in the last
/// bit from the common ones. Another C library, or another processor, knows nothing of it.
const OLD_PROCESSOR: (&str, &str) = ("GLIBC_TUNABLES", "glibc.cpu.hwcaps=-AVX2,-FMA");

/// Starts one run of it, in a process of its own.
fn start(small: &Small, out: &Path, environment: Option<(&str, &str)>) -> Child {
    let mut command = Command::new(env!("CARGO_BIN_EXE_griot-sim"));
    command.args(["run", small.name, "--nodes", &small.nodes.to_string(), "--no-central", "--quiet", "--json"]);
    for param in small.params {
        command.args(["--param", param]);
    }
    command.arg("--out").arg(out).arg("--trace").arg(out.with_extension("trace"));
    command.envs(environment).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap()
}

/// Waits for it; returns what it said where it did not end well: which invariants broke, and the command that shows it
/// again.
fn finish(child: Child) -> Result<(), String> {
    let output = child.wait_with_output().unwrap();
    if output.status.success() { Ok(()) } else { Err(String::from_utf8_lossy(&output.stderr).into_owned()) }
}

fn read<T: serde::de::DeserializeOwned>(folder: &Path, file: &str) -> T {
    serde_json::from_slice(&fs::read(folder.join(file)).unwrap()).unwrap()
}

/// Runs it twice, at the same time, and says what is wrong with the two runs.
fn twice(small: &Small) -> Result<(), String> {
    let temp = tempfile::tempdir().unwrap();
    let folders = ["a", "b"].map(|name| temp.path().join(name));
    let children = [start(small, &folders[0], None), start(small, &folders[1], Some(OLD_PROCESSOR))];
    // Both are waited for before either is judged, so that nothing is left running.
    let ends = children.map(finish);
    ends.into_iter().collect::<Result<Vec<()>, String>>()?;
    let [a, b]: [Summary; 2] = [&folders[0], &folders[1]].map(|folder| read(folder, "summary.json"));
    if a.trace_hash != b.trace_hash {
        let [a, b] = folders.map(|folder| folder.with_extension("trace"));
        let diff = trace_diff::compare(&a, &b, 3).unwrap();
        return Err(format!("two runs of one plan differ (the second without FMA and AVX2):\n{}", diff.to_text()));
    }
    if a != b {
        return Err(format!("the same trace, and another summary:\n{a:#?}\n{b:#?}"));
    }
    let manifest: Manifest = read(&folders[0], "manifest.json");
    let checks: u64 = a.invariants.iter().map(|invariant| invariant.checks).sum();
    // A broken invariant is exit code 1, and was reported above. What follows is that anything was looked at.
    if a.figures.delivered == 0 || checks == 0 {
        let Figures { delivered, offered, .. } = a.figures;
        return Err(format!(
            "{delivered} of {offered} delivered, {checks} checks; to see it again: {}",
            manifest.replay
        ));
    }
    check_open(small.name, &a)?;
    println!(
        "{}: {} of {} delivered, {checks} checks, trace {}, {:.1} s",
        small.name, a.figures.delivered, a.figures.offered, a.trace_hash, manifest.wall_seconds
    );
    Ok(())
}

/// One scenario after the other, so that there are never more than two processes at once.
#[test]
fn every_scenario_gives_the_same_run_in_two_processes_and_breaks_nothing() {
    let known: Vec<&str> = builtin::ALL.iter().map(|(name, _)| *name).collect();
    assert_eq!(SMALL.map(|small| small.name).as_slice(), known, "this test runs every built-in scenario");
    let mut wrong = String::new();
    for small in &SMALL {
        if let Err(what) = twice(small) {
            wrong += &format!("{}: {what}\n", small.name);
        }
    }
    assert!(wrong.is_empty(), "{wrong}");
}

#[test]
fn the_page_lists_the_weaknesses_that_are_looked_at_and_no_other() {
    let (_, table) = PAGE.split_once("\n## Open\n").expect("a section named Open");
    let table = table.split("\n## ").next().unwrap();
    let listed: Vec<&str> = table.lines().filter_map(|line| line.strip_prefix("| `")?.split('`').next()).collect();
    assert_eq!(listed, OPEN);
}
