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
fn every_id_that_was_acknowledged_is_readable_after_kill_nine() {
    let report = load(&["--count", "2000", "--in-flight", "32", "--verify-after-kill"]);
    assert_eq!(report["accepted"], 2000);
    assert_eq!(report["failed"], 0);
    // 500 submitted one by one before the 2,000.
    assert_eq!(report["verified_after_kill"], 2500);
    assert!(report["submit_to_push"]["samples"].as_u64().unwrap() > 0);
    assert!(report["fdatasync"]["samples"].as_u64().unwrap() > 0);
}
