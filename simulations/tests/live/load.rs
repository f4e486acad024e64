//! `griot-sim load`: what it counts is durable.

use std::process::{Command, Stdio};

use griot_simulations::live::binaries;

fn load(args: &[&str]) -> serde_json::Value {
    let output = Command::new(binaries::find("griot-sim").unwrap())
        .arg("load")
        .args(args)
        .arg("--json")
        .stdin(Stdio::null())
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

#[test]
fn two_nodes_that_were_apart_end_with_the_same_for_little_more_than_what_differs() {
    let report = load(&["sync", "--shared", "2000", "--each", "300"]);
    let number = |name: &str| report[name].as_u64().unwrap();
    assert!(number("transferred") >= 600, "{report}");
    assert!(number("sync_bytes") - number("overhead_bytes") >= 600 * number("frame_bytes"), "{report}");
    // Nearly every hour of the month differs, in one or two of three records: their ids, and a little for each hour.
    assert!(number("overhead_bytes") < 250_000, "{report}");
    assert!(number("equal_bytes") < 300, "{report}");
    assert_eq!(report["syncs"][1], 0, "{report}");
    assert!(report["accept_during"]["samples"].as_u64().unwrap() > 0);
}

#[test]
fn every_id_that_was_acknowledged_is_readable_after_kill_nine() {
    let report = load(&["--count", "2000", "--in-flight", "32", "--verify-after-kill"]);
    assert_eq!(report["accepted"], 2000);
    assert_eq!(report["failed"], 0);
    // 500 submitted one by one before the 2,000.
    assert_eq!(report["verified_after_kill"], 2500);
    assert!(report["submit_to_push"]["samples"].as_u64().unwrap() > 0);
    assert!(report["fdatasync"]["samples"].as_u64().unwrap() > 0);
}
