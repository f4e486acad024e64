//! The simulator against what it did not make itself: real nodes, and the results of others.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

use std::{
    path::Path,
    process::{Command, Output, Stdio},
};

use griot_simulations::live::binaries;

fn sim(args: &[&str]) -> Output {
    Command::new(binaries::find("griot-sim").unwrap()).args(args).stdin(Stdio::null()).output().unwrap()
}

fn kept() -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("calibration/nodes-12.json")
}

/// Each figure says itself how far it may be from the real one, and why (`truth::calibrated`).
#[test]
fn twelve_simulated_nodes_do_what_twelve_real_ones_did() {
    let output = sim(&["calibrate", kept().to_str().unwrap()]);
    println!("{}", String::from_utf8_lossy(&output.stdout));
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

/// The comparison can fail: real nodes that had been twice as slow, or had sent a tenth less, are not these.
#[test]
fn other_real_nodes_would_have_been_told_apart() {
    let temp = tempfile::tempdir().unwrap();
    let mut real: serde_json::Value = serde_json::from_str(&std::fs::read_to_string(kept()).unwrap()).unwrap();
    for name in ["p50", "p90"] {
        let ms = real["push_ms"][name].as_f64().unwrap();
        real["push_ms"][name] = (ms * 2.0).into();
    }
    let bytes = real["loaded"]["total"]["sent_bytes"].as_u64().unwrap();
    real["loaded"]["total"]["sent_bytes"] = (bytes * 9 / 10).into();
    let file = temp.path().join("other.json");
    std::fs::write(&file, real.to_string()).unwrap();
    let output = sim(&["calibrate", file.to_str().unwrap(), "--json"]);
    assert_eq!(output.status.code(), Some(1));
    let found: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let apart = |name: &str| {
        let lines = found["lines"].as_array().unwrap();
        lines.iter().any(|line| line["name"] == name && line["holds"] == false)
    };
    assert!(apart("submit to push: p50") && apart("submit to push: p90") && apart("loaded: sent by a node"));
    assert!(!apart("submit to push: p25") && !apart("delivered"));
    assert_eq!(sim(&["calibrate", "/no/such.json"]).status.code(), Some(2));
    real["plan"]["messages"][0]["to"] = 99_999.into();
    std::fs::write(&file, real.to_string()).unwrap();
    assert_eq!(sim(&["calibrate", file.to_str().unwrap()]).status.code(), Some(2), "nobody reads the first message");
}

/// vyzo's network at a twentieth of its size. What does not depend on the size must be as published: everything arrives, and
/// each message is sent, for each node, about as often as it has neighbours in its mesh less one (six there, four here).
#[test]
fn a_small_network_spreads_messages_as_published_for_a_large_one() {
    let output = sim(&["published", "vyzo", "--nodes", "50", "--json"]);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let found: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let number = |name: &str| found[name].as_f64().unwrap();
    assert_eq!(number("delivered"), 50.0 * 60.0);
    assert!((2.5..4.5).contains(&number("copies_per_delivery")), "{found}");
    // The fastest path takes 11 ms. vyzo's 100 nodes were reached within 300 ms, half of them within 200.
    let latency = &found["latency_ms"];
    let [fastest, median, slowest] = ["min", "p50", "max"].map(|name| latency[name].as_f64().unwrap());
    assert!(fastest >= 11.0 && median < 200.0 && slowest < 400.0, "{found}");
    let histogram: u64 = found["histogram"].as_array().unwrap().iter().map(|count| count.as_u64().unwrap()).sum();
    assert_eq!(histogram, 49 * 60, "everybody but the writer");
    assert_eq!(sim(&["published", "vyzo", "--nodes", "5"]).status.code(), Some(1));
}
