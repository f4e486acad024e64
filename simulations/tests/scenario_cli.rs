//! The command line for scenarios: what it says, what it refuses, and what it makes of folders that are there.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

use std::{
    fs,
    path::Path,
    process::{Command, Output, Stdio},
};

use griot_simulations::live::binaries;

#[path = "support/hand_made.rs"]
mod hand_made;

fn sim(args: &[&str]) -> Output {
    Command::new(binaries::find("griot-sim").unwrap()).args(args).stdin(Stdio::null()).output().unwrap()
}

fn out(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

fn err(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[test]
fn every_scenario_is_listed_and_shown_with_its_sources() {
    let listed = sim(&["list"]);
    assert!(listed.status.success(), "{}", err(&listed));
    assert_eq!(out(&listed).lines().count(), 13);
    for line in out(&sim(&["list", "--json"])).lines() {
        let line: serde_json::Value = serde_json::from_str(line).unwrap();
        let name = line["name"].as_str().unwrap();
        assert!(!line["sources"].as_array().unwrap().is_empty(), "{name} says where its numbers are from");
        let shown = out(&sim(&["list", "--show", name]));
        assert!(shown.contains(&format!("name = \"{name}\"")));
    }
}

#[test]
fn mistakes_are_said_with_a_cure_and_exit_code_two() {
    for (args, word) in [
        (&["run", "smok"][..], "did you mean `smoke`"),
        (&["run", "smoke", "--nodes", "60000"], "50000"),
        (&["run", "smoke", "--param", "network.nods=3"], "nods"),
        (&["run", "smoke", "--param", "nodes"], "key=value"),
        (&["sweep", "smoke", "--seeds", "9..1"], "1..20"),
        (&["sweep", "smoke", "--seeds", "1..2", "--param", "network.bits=0,99"], "network.bits"),
        (&["run", "/no/such.json"], "/no/such.json"),
        (&["shrink", "/no/such.json"], "/no/such.json"),
    ] {
        let output = sim(args);
        assert_eq!(output.status.code(), Some(2), "{args:?}: {}", err(&output));
        assert!(err(&output).contains(word), "{args:?}: {}", err(&output));
    }
}

#[test]
fn a_sweep_prints_one_command_for_each_run_that_is_missing() {
    let temp = tempfile::tempdir().unwrap();
    let folder = temp.path().to_str().unwrap();
    let args = ["sweep", "smoke", "--seeds", "1..3", "--param", "network.bits=0,4", "--out", folder, "--print"];
    let lines = out(&sim(&args));
    assert_eq!(lines.lines().count(), 6);
    let first = lines.lines().next().unwrap();
    assert!(first.starts_with("griot-sim run smoke --seed 1 --param network.bits=0 "), "{first}");
    assert!(first.ends_with(&format!("--out {folder}/network.bits=0/seed-1")), "{first}");
    hand_made::run(&temp.path().join("network.bits=0/seed-1"), 1);
    assert_eq!(out(&sim(&args)).lines().count(), 5, "what is there is not made again");
}

#[test]
fn a_report_is_one_file_that_needs_nothing_else() {
    let temp = tempfile::tempdir().unwrap();
    let folder = temp.path().join("run");
    hand_made::run(&folder, 1);
    let output = sim(&["report", folder.to_str().unwrap()]);
    assert!(output.status.success(), "{}", err(&output));
    let html = fs::read_to_string(folder.join("report.html")).unwrap();
    assert!(html.matches("<svg").count() >= 7, "all plots are in it");
    for outside in ["http://", "https://"] {
        let links = html.matches(outside).count()
            - html.matches("http://www.w3.org/2000/svg").count() * usize::from(outside == "http://");
        let sources = html.matches(&format!("&quot;{outside}")).count();
        assert!(links <= sources, "nothing is fetched: only the scenario's own text names pages");
    }
    assert!(!html.contains("<script") && !html.contains("NaN"));
    for name in ["delivered", "prompt", "latency", "backlog", "traffic", "bytes-per-node", "topology"] {
        let svg = fs::read_to_string(folder.join(format!("plots/{name}.svg"))).unwrap();
        assert!(svg.starts_with("<svg") && svg.contains("</svg>") && !svg.contains("NaN"), "{name}");
    }
    let svg = fs::read_to_string(folder.join("plots/delivered.svg")).unwrap();
    assert!(
        svg.contains(">outage<") && svg.contains("stroke-dasharray") && svg.contains("(%)"),
        "shade, dashes, units"
    );
}

#[test]
fn sweeps_are_gathered_compared_and_drawn() {
    let temp = tempfile::tempdir().unwrap();
    for seed in 1..=4 {
        hand_made::run(&temp.path().join(format!("a/plain/seed-{seed}")), seed);
        hand_made::run(&temp.path().join(format!("b/plain/seed-{seed}")), seed + 10);
    }
    let (a, b) = (temp.path().join("a"), temp.path().join("b"));
    // A folder becomes a sweep by its tables: those of a sweep that had nothing left to run.
    let args = ["sweep", "smoke", "--seeds", "1..4", "--out", a.to_str().unwrap()];
    let output = sim(&args);
    assert!(output.status.success(), "{}", err(&output));
    assert!(err(&output).contains("4/4") && err(&output).contains("was there"), "{}", err(&output));
    assert!(sim(&["report", a.to_str().unwrap()]).status.success());
    let html = fs::read_to_string(a.join("report.html")).unwrap();
    assert!(html.contains("95 % confidence") && !html.contains("NaN"));
    let over_time = fs::read_to_string(a.join("plots/delivered-over-time-1.svg")).unwrap();
    assert!(over_time.contains(">outage<") && over_time.matches("<polyline").count() == 2, "Griot and the baseline");
    assert_eq!(fs::read_to_string(a.join("sweep.csv")).unwrap().lines().count(), 5);
    let compared = sim(&["compare", a.to_str().unwrap(), b.to_str().unwrap(), "--json"]);
    assert!(compared.status.success(), "{}", err(&compared));
    let names: Vec<String> = out(&compared)
        .lines()
        .map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap()["metric"].as_str().unwrap().to_owned())
        .collect();
    assert!(names.contains(&"delivered_fraction".to_owned()) && names.contains(&"central_latency_p99_ms".to_owned()));
}

#[test]
fn two_traces_are_compared_and_the_exit_code_says_how() {
    let temp = tempfile::tempdir().unwrap();
    let [a, b] = [("a", "1 n0 starts\n2 n1 starts\n"), ("b", "1 n0 starts\n3 n2 starts\n")].map(|(name, text)| {
        let path = temp.path().join(name);
        fs::write(&path, text).unwrap();
        path.to_str().unwrap().to_owned()
    });
    let same = sim(&["trace", "diff", &a, &a]);
    assert_eq!(same.status.code(), Some(0), "{}", err(&same));
    let different = sim(&["trace", "diff", &a, &b, "--json"]);
    assert_eq!(different.status.code(), Some(1), "{}", err(&different));
    let json: serde_json::Value = serde_json::from_str(&out(&different)).unwrap();
    let difference = &json["first_difference"];
    assert_eq!((json["equal"].as_bool(), difference["line"].as_u64()), (Some(false), Some(2)));
    assert_eq!(difference["second"]["virtual_ms"].as_u64(), Some(3));
    assert_eq!(sim(&["trace", "diff", &a, "/no/such"]).status.code(), Some(2));
}

#[test]
fn a_message_is_explained_by_number_or_id() {
    let temp = tempfile::tempdir().unwrap();
    let folder = temp.path().join("run");
    hand_made::run(&folder, 1);
    let explain = |id: &str| sim(&["explain", folder.to_str().unwrap(), id]);
    let text = out(&explain("0"));
    assert!(text.contains("handed in at node") && text.contains("by gossip"), "{text}");
    let record = text.lines().find_map(|line| line.strip_prefix("record ")).unwrap().to_owned();
    assert_eq!(out(&explain(&record)), text);
    let unknown = explain("feedfacefeedface");
    assert_eq!(unknown.status.code(), Some(1));
    assert!(err(&unknown).contains("messages.csv"));
    assert!(!sim(&["explain", temp.path().to_str().unwrap(), "0"]).status.success(), "no run, no explanation");
}

#[test]
fn the_demo_for_looking_at_plots() {
    // Set GRIOT_DEMO_DIR to keep the folders: for looking at the plots after a change to how they are drawn.
    let temp = tempfile::tempdir().unwrap();
    let kept = std::env::var_os("GRIOT_DEMO_DIR").map(std::path::PathBuf::from);
    let root: &Path = kept.as_deref().unwrap_or_else(|| temp.path());
    for seed in 1..=3 {
        hand_made::run(&root.join(format!("plain/seed-{seed}")), seed);
    }
    assert!(sim(&["sweep", "smoke", "--seeds", "1..3", "--out", root.to_str().unwrap()]).status.success());
    assert!(sim(&["report", root.to_str().unwrap()]).status.success());
    assert!(sim(&["report", root.join("plain/seed-1").to_str().unwrap()]).status.success());
}
