//! The program `griot`, as scripts see it: exit codes, stdout, stderr. What needs a node is tested with real ones in
//! `simulations/tests`.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")] // A test that cannot go on has failed.

use std::{
    ffi::OsStr,
    os::unix::ffi::OsStrExt,
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
        &["init", "--name", "", "--node", "unix:/x"],
        &[
            "init",
            "--name",
            "a name that is much longer than the sixty-four bytes that names may have",
            "--node",
            "unix:/x",
        ],
        &["init", "--name", "Awa", "--node", "unix:/x", "--node", "unix:///x"],
        &["invite", "--expires", "0"],
        &["invite", "--expires", "61"],
        &["send", "Kofi", "x", "--wait", "soon"],
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
fn every_commands_help_shows_how_it_is_used_and_fits_a_terminal() {
    let dir = tempfile::tempdir().unwrap();
    for command in [
        "init", "invite", "connect", "requests", "accept", "decline", "contacts", "block", "unblock", "safety", "send",
        "sent", "inbox", "home", "status",
    ] {
        let output = griot(dir.path(), &[command, "--help"]);
        let help = String::from_utf8(output.stdout).unwrap();
        let (_, examples) = help.split_once("Examples:").unwrap_or_else(|| panic!("{command}: {help}"));
        assert!(examples.contains(&format!("griot {command}")), "{command}: {help}");
        assert!(examples.lines().all(|line| line.chars().count() <= 80), "{command}: {help}");
    }
}

/// An account whose only home is not there.
fn lonely(home: &Path) -> String {
    let url = format!("unix:{}", home.join("no.sock").display());
    assert_eq!(code(&griot(home, &["init", "--name", "Awa", "--node", &url])), 0, "a home may come later");
    url
}

#[test]
fn with_a_dead_home_or_none_at_all_reading_works_and_stderr_says_what_to_do() {
    let dir = tempfile::tempdir().unwrap();
    let home = dir.path().join("home");
    let url = lonely(&home);
    let reading: [&[&str]; 6] = [
        &["inbox", "--json"],
        &["sent", "--json"],
        &["requests", "--json"],
        &["contacts", "--json"],
        &["invite", "list", "--json"],
        &["inbox"],
    ];
    for args in reading {
        let output = griot(&home, args);
        assert_eq!(code(&output), 0, "{args:?}: {}", err(&output));
        assert!(output.stdout.is_empty(), "{args:?}");
        assert!(err(&output).contains(&format!("warning: home {url}")), "{args:?}: {}", err(&output));
    }
    let status = griot(&home, &["status", "--json"]);
    let object: serde_json::Value = serde_json::from_slice(&status.stdout).unwrap();
    assert_eq!((&object["homes_living"], &object["homes_advised"]), (&0.into(), &2.into()), "{object}");
    let advice = object["advice"].to_string();
    assert!(advice.contains(&format!("{url} does not answer")) && advice.contains("griot home add URL"), "{advice}");
    let status = String::from_utf8(griot(&home, &["status"]).stdout).unwrap();
    assert!(status.contains("Homes          0 of 1 answer") && status.contains("griot home add URL"), "{status}");
    assert_eq!(code(&griot(&home, &["invite"])), 1, "the network is not known yet");
    assert!(err(&griot(&home, &["home", "remove", &url])).contains("griot home add"));
    for args in reading {
        let output = griot(&home, args);
        assert_eq!(code(&output), 0, "{args:?}: {}", err(&output));
        assert!(err(&output).contains("no home: nothing comes or goes. `griot home add URL`"), "{args:?}");
    }
    let status = griot(&home, &["status", "--json"]);
    let object: serde_json::Value = serde_json::from_slice(&status.stdout).unwrap();
    assert_eq!((&object["name"], &object["homes"]), (&"Awa".into(), &serde_json::json!([])));
}

#[test]
fn a_passphrase_locks_the_account_and_every_way_to_get_it_wrong_says_what_to_do() {
    let dir = tempfile::tempdir().unwrap();
    let home = dir.path().join("home");
    let with = |passphrase: Option<&OsStr>, args: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_griot"));
        command.arg("--home").arg(&home).args(args).stdin(Stdio::null()).env_remove("GRIOT_PASSPHRASE");
        command.envs(passphrase.map(|passphrase| ("GRIOT_PASSPHRASE", passphrase)));
        command.output().unwrap()
    };
    let init = ["init", "--name", "Awa", "--node", "unix:/nonexistent/api.sock"];
    // Never taken for none: the account would lie there without a lock.
    let unreadable = with(Some(OsStr::from_bytes(b"\xff\xfe")), &init);
    assert_eq!(code(&unreadable), 2);
    assert!(err(&unreadable).contains("GRIOT_PASSPHRASE"));
    assert!(!home.join("key").exists() && !home.join("vault.json").exists());

    let right = OsStr::new("the well is open");
    assert_eq!(code(&with(Some(right), &init)), 0);
    assert!(!home.join("key").exists());
    assert_eq!(code(&with(Some(right), &["status"])), 0);
    for passphrase in [None, Some(OsStr::new("")), Some(OsStr::new("the well is shut"))] {
        let output = with(passphrase, &["status", "--json"]);
        assert_eq!(code(&output), 1, "{passphrase:?}");
        assert!(output.stdout.is_empty() && err(&output).contains("GRIOT_PASSPHRASE"), "{}", err(&output));
    }
    let again = with(Some(right), &init);
    assert_eq!(code(&again), 1);
    assert!(err(&again).contains("account here already: use it, or choose another place with --home"));
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
