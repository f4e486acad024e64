//! The program `griot`, as scripts see it: exit codes, stdout, stderr. What needs a node is tested with real ones in
//! `simulations/tests`.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")] // A test that cannot go on has failed.

use std::{
    path::Path,
    process::{Command, Output, Stdio},
};

fn griot(home: &Path, args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_griot"))
        .arg("--home")
        .arg(home)
        .args(args)
        .env_remove("GRIOT_PASSPHRASE")
        .env_remove("GRIOT_TOKEN")
        .env_remove("GRIOT_LOG")
        .stdin(Stdio::null())
        .output()
        .unwrap()
}

fn code(output: &Output) -> i32 {
    output.status.code().unwrap()
}

fn err(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

#[test]
fn usage_errors_exit_2_and_print_nothing_on_stdout() {
    let dir = tempfile::tempdir().unwrap();
    for args in [
        &["nonsense"][..],
        &[],
        &["send", "Kofi"],
        &["send", "Kofi", ""],
        &["init", "--name", "Awa", "--node", "ftp://x"],
        &["init", "--name", "Awa", "--node", "http://192.0.2.1:7700"],
        &["init", "--name", "Awa", "--node", "unix:/x", "--token", "t"],
        &["init", "--name", "Awa", "--node", "https://x", "--fingerprint", "zz"],
        &["home", "add", "nowhere"],
    ] {
        let output = griot(dir.path(), args);
        assert_eq!(code(&output), 2, "{args:?}: {}", err(&output));
        assert!(output.stdout.is_empty(), "{args:?}");
        assert!(!output.stderr.is_empty(), "{args:?}");
    }
    assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0, "a usage error leaves nothing behind");
}

#[test]
fn help_and_version_go_to_stdout_and_exit_0() {
    let dir = tempfile::tempdir().unwrap();
    for (args, word) in [
        (&["--help"][..], "griot demo"),
        (&["send", "--help"], "stored"),
        (&["init", "--help"], "https://"),
        (&["--version"], "griot"),
    ] {
        let output = griot(dir.path(), args);
        assert_eq!(code(&output), 0);
        assert!(String::from_utf8(output.stdout).unwrap().contains(word), "{args:?}");
    }
}

#[test]
fn without_an_account_every_command_says_how_to_make_one_and_exits_1() {
    let dir = tempfile::tempdir().unwrap();
    let home = dir.path().join("none");
    for args in [&["status", "--json"][..], &["inbox"], &["send", "Kofi", "x"], &["invite"], &["home", "list"]] {
        let output = griot(&home, args);
        assert_eq!(code(&output), 1, "{args:?}");
        assert!(err(&output).contains("griot init"), "{args:?}: {}", err(&output));
        assert!(output.stdout.is_empty(), "{args:?}");
    }
    assert!(!home.exists(), "looking makes nothing");
}

#[test]
fn the_demo_says_how_to_build_griotd_where_it_is_missing() {
    let dir = tempfile::tempdir().unwrap();
    // Alone in a directory: nothing beside it, and nothing on PATH.
    let alone = dir.path().join("griot");
    std::fs::copy(env!("CARGO_BIN_EXE_griot"), &alone).unwrap();
    let output = Command::new(&alone).arg("demo").env("PATH", dir.path()).stdin(Stdio::null()).output().unwrap();
    assert_eq!(code(&output), 1);
    assert!(err(&output).contains("cargo build"), "{}", err(&output));
}
