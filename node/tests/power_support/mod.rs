//! A disk that loses power, for tests that run real programs on it.

#![allow(dead_code, clippy::unwrap_used, reason = "each test binary uses a part, and a test that fails may panic")]

pub mod image;
pub mod mount;

/// Whether a disk can be mounted here. Where not, the test says why and ends; where nothing may be left out
/// (`GRIOT_TEST_REQUIRE_ALL=1`), that is a failure.
pub fn can_mount() -> bool {
    let why = match std::fs::OpenOptions::new().read(true).write(true).open("/dev/fuse") {
        Err(error) => format!("/dev/fuse: {error}"),
        Ok(_) if !rustix::process::geteuid().is_root() => "mounting takes root".to_owned(),
        Ok(_) => return true,
    };
    assert!(std::env::var_os("GRIOT_TEST_REQUIRE_ALL").is_none_or(|v| v != "1"), "required, and not here: {why}");
    println!("SKIPPED: {why}");
    false
}

/// A number from the environment, or the usual one.
pub fn number_from_env(name: &str, usual: u64) -> u64 {
    std::env::var(name).ok().and_then(|number| number.parse().ok()).unwrap_or(usual)
}
