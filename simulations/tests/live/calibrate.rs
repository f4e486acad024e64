//! `griot-sim live calibrate`: what it writes down can be run again, and no message was faster than its path.

use std::{
    path::Path,
    process::{Command, Stdio},
};

use griot_simulations::live::{
    binaries,
    calibrate::{Calibration, CalibrationPlan, FORMAT},
    skip, topology,
    wire::Wire,
};

#[test]
fn a_small_network_delivers_everything_and_nothing_is_faster_than_its_path() {
    if let Err(error) = Wire::lay(1, 1) {
        return skip(&format!("network namespaces with TUN devices ({error})")).unwrap();
    }
    let out = tempfile::tempdir().unwrap();
    let size = ["--nodes", "4", "--degree", "2", "--messages", "20", "--rate", "10", "--latency", "uniform:20:60"];
    let output = Command::new(binaries::find("griot-sim").unwrap())
        .args(["live", "calibrate", "--warm-up", "5", "--quiet", "2", "--json", "--out"])
        .arg(out.path())
        .args(size)
        .stdin(Stdio::null())
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let calibration: Calibration = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(calibration, read(&out.path().join("calibration.json")));
    check(&calibration);
    assert_eq!(calibration.delivered, 20);
    assert!(calibration.loaded.total.sent_bytes > 20 * calibration.frame_bytes as u64);
    assert!(calibration.relay.packets > 0);

    let csv = std::fs::read_to_string(out.path().join("latencies.csv")).unwrap();
    let mut lines = csv.lines();
    let columns: Vec<&str> = lines.next().unwrap().split(',').collect();
    let place = |name| columns.iter().position(|column| *column == name).unwrap();
    let (shortest, pushed) = (place("shortest_ms"), place("pushed_ms"));
    assert_eq!(lines.clone().count(), 20);
    for line in lines {
        let fields: Vec<f64> = line.split(',').map(|field| field.parse().unwrap()).collect();
        assert!(fields[pushed] >= fields[shortest], "{line}");
    }
}

#[test]
fn what_was_measured_once_can_still_be_read_and_drawn_again() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("calibration");
    let mut files: Vec<_> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    assert!(!files.is_empty());
    for file in files {
        let calibration = read(&file);
        check(&calibration);
        assert_eq!(calibration.delivered, calibration.plan.messages.len(), "{}", file.display());
    }
}

fn read(path: &Path) -> Calibration {
    serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
}

/// The seed gives the same network today, and the figures fit it.
fn check(calibration: &Calibration) {
    let CalibrationPlan { seed, nodes, degree, latency, links, one_way_ms, messages, .. } = &calibration.plan;
    assert_eq!(calibration.format, FORMAT);
    assert_eq!(topology::random_regular(*seed, *nodes, *degree).unwrap(), *links);
    assert_eq!(latency.matrix(*seed, *nodes), *one_way_ms);
    assert!(messages.iter().all(|message| message.from != message.to && message.from.max(message.to) < *nodes));
    assert_eq!(calibration.push_ms.count, calibration.delivered);
    assert!(calibration.beyond_shortest_ms.min >= 0.0);
    assert_eq!(calibration.device_errors, 0);
}
