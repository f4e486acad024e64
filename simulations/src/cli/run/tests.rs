//! `run` with worlds made for the tests: what it writes, and how it ends.

use std::{collections::BTreeMap, fs};

use clap::Parser;

use super::*;
use crate::{
    cli::{Command, WorldFailure, main},
    outcome::{arrivals, files},
    plan::{Invariant, MessageFate, MessageIndex, NodeFate, NodeIndex, Way},
};

#[derive(Parser)]
struct Line {
    #[command(subcommand)]
    command: Command,
}

/// A recording of the right shape in which nothing happened until `virtual_ms`.
fn nothing(plan: &Plan, virtual_ms: u64, interrupted: bool) -> Recording {
    Recording {
        trace_hash: "00".into(),
        virtual_ms,
        interrupted,
        messages: vec![MessageFate::default(); plan.messages.len()],
        nodes: vec![NodeFate::default(); plan.nodes.len()],
        timeline: Vec::new(),
        invariants: Vec::new(),
        counters: BTreeMap::new(),
    }
}

/// Runs a command line with a world, and says how it ended.
fn exit(args: &[&str], world: &dyn World) -> String {
    let line = Line::try_parse_from(["griot-sim"].iter().chain(args)).unwrap();
    format!("{:?}", main(line.command, world))
}

fn code(code: u8) -> String {
    format!("{:?}", ExitCode::from(code))
}

#[test]
fn a_run_and_its_baseline_are_written_with_what_the_listener_heard() {
    let temp = tempfile::tempdir().unwrap();
    let (out, trace) = (temp.path().join("run"), temp.path().join("trace.txt"));
    let world = |plan: &Plan, listener: &mut (dyn Listener + Send)| {
        let submitted = Arrival {
            at: VirtualMs(7),
            message: MessageIndex(0),
            node: NodeIndex(0),
            from: NodeIndex(0),
            way: Way::Submitted,
        };
        listener.arrived(submitted);
        if listener.wants_trace() {
            listener.traced("7 submitted");
        }
        assert!(listener.progress(VirtualMs(1000)));
        Ok(nothing(plan, plan.duration_ms, false))
    };
    let args = ["run", "smoke", "--seed", "3", "--nodes", "12", "-q", "--out", out.to_str().unwrap(), "--trace"];
    assert_eq!(exit(&[&args[..], &[trace.to_str().unwrap()]].concat(), &world), code(0));
    let (manifest, summary) = files::read_run(&out).unwrap();
    assert_eq!((manifest.seed, summary.nodes, summary.figures.delivered), (3, 12, 0));
    assert_eq!(manifest.replay, "griot-sim run smoke --seed 3 --nodes 12");
    assert_eq!(summary.central.unwrap().offered, summary.figures.offered);
    let heard = arrivals::read(files::open(&out, ARRIVALS).unwrap(), |_| true).unwrap();
    assert_eq!((heard.len(), heard[0].at), (1, VirtualMs(7)));
    assert_eq!(fs::read_to_string(&trace).unwrap(), "7 submitted\n");
    // The plan that was kept is run again as it is.
    let again = temp.path().join("again");
    let kept = out.join(files::PLAN);
    assert_eq!(exit(&["run", kept.to_str().unwrap(), "-q", "--out", again.to_str().unwrap()], &world), code(0));
    assert_eq!(files::read_run(&again).unwrap().0.plan_hash, manifest.plan_hash);
}

#[test]
fn a_broken_invariant_is_exit_code_one_and_an_interruption_is_written_down() {
    let temp = tempfile::tempdir().unwrap();
    let out = temp.path().join("run");
    let args = ["run", "smoke", "-q", "--no-central", "--out", out.to_str().unwrap()];
    let broken = |plan: &Plan, _: &mut (dyn Listener + Send)| {
        let mut recording = nothing(plan, plan.duration_ms, false);
        let invariant = Invariant { name: "x".into(), checks: 9, broken: 1, examples: vec!["here".into()] };
        recording.invariants.push(invariant);
        Ok(recording)
    };
    assert_eq!(exit(&args, &broken), code(1));
    assert_eq!(files::read_run(&out).unwrap().1.broken_invariants, 1);
    let interrupted = |plan: &Plan, _: &mut (dyn Listener + Send)| Ok(nothing(plan, 60_000, true));
    assert_eq!(exit(&args, &interrupted), code(INTERRUPTED));
    let (manifest, summary) = files::read_run(&out).unwrap();
    assert!(manifest.interrupted && summary.interrupted && summary.virtual_ms == 60_000);
    // A world that fails leaves what was there before.
    let fails = |_: &Plan, _: &mut (dyn Listener + Send)| Err(WorldFailure("no memory".into()));
    assert_eq!(exit(&args, &fails), code(1));
    assert_eq!(files::read_run(&out).unwrap().0, manifest);
}
