//! A program that loads the library says a wrong time, by exactly as much as it is told.
//!
//! A folder of tests is also what makes `cargo test --workspace` build the library, which no program links.

#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::{
    process::Command,
    time::{SystemTime, UNIX_EPOCH},
};

/// What `date` says with the library, seconds.
fn said(offset: Option<&str>) -> u64 {
    let me = std::env::current_exe().unwrap();
    let library = me.parent().unwrap().join("libgriot_wrong_clock.so");
    assert!(library.is_file(), "{} is built with this test", library.display());
    let mut date = Command::new("date");
    date.arg("+%s").env("LD_PRELOAD", library).env_remove("GRIOT_WRONG_CLOCK_SECONDS");
    date.envs(offset.map(|offset| ("GRIOT_WRONG_CLOCK_SECONDS", offset)));
    String::from_utf8(date.output().unwrap().stdout).unwrap().trim().parse().unwrap()
}

#[test]
fn the_time_is_wrong_by_as_much_as_was_said_and_right_without() {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
    for (offset, expected) in
        [(Some("7200"), now + 7_200), (Some("-7200"), now - 7_200), (Some("soon"), now), (None, now)]
    {
        let said = said(offset);
        assert!((expected..expected + 600).contains(&said), "{offset:?}: {said} instead of {expected}");
    }
}
