//! The notebook of the quick start runs from its first cell to its last, over a sweep's folder.
//!
//! Needs Python with pandas and matplotlib (and runs it as Jupyter does where `nbclient` and `ipykernel` are there too).
//! Without them it says so and skips; with `GRIOT_TEST_REQUIRE_ALL=1` a skip is a failure. `GRIOT_NOTEBOOK_PYTHON` names the
//! interpreter; by default that of `target/notebook` (which `.ci/run` makes), else `python3`.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

use std::{
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use griot_simulations::sweep::{gather, write};

#[path = "support/hand_made.rs"]
mod hand_made;

fn python() -> PathBuf {
    let own = Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/notebook/bin/python3");
    let named = std::env::var_os("GRIOT_NOTEBOOK_PYTHON").map(PathBuf::from);
    named.unwrap_or_else(|| if own.exists() { own } else { PathBuf::from("python3") })
}

#[test]
fn the_quick_start_runs_and_draws_its_figure() {
    let temp = tempfile::tempdir().unwrap();
    for seed in 1..=3 {
        hand_made::run(&temp.path().join(format!("plain/seed-{seed}")), seed);
    }
    write(temp.path(), &gather(temp.path()).unwrap()).unwrap();
    let notebooks = Path::new(env!("CARGO_MANIFEST_DIR")).join("notebooks");
    let output = Command::new(python())
        .arg(notebooks.join("check.py"))
        .arg(notebooks.join("quickstart.ipynb"))
        .env("GRIOT_SWEEP", temp.path())
        .current_dir(temp.path())
        .stdin(Stdio::null())
        .output();
    let skip = match &output {
        Err(error) => Some(format!("there is no Python: {error}")),
        Ok(output) if output.status.code() == Some(3) => {
            Some(String::from_utf8_lossy(&output.stdout).trim().to_owned())
        }
        Ok(_) => None,
    };
    if let Some(why) = skip {
        assert!(std::env::var_os("GRIOT_TEST_REQUIRE_ALL").is_none(), "the notebook cannot be checked: {why}");
        println!("skipped: {why}");
        return;
    }
    let output = output.unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let figure = std::fs::read_to_string(temp.path().join("latency-redrawn.svg")).unwrap();
    assert!(figure.contains("<svg"));
}
