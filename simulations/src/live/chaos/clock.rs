//! A wrong clock for one process.
//!
//! A machine has one clock, and it is not ours to set. A small library (`simulations/shims/wrong-clock`) is loaded into a
//! program before everything else and answers when it asks for the time of day. What only measures how long things take is
//! left alone, as on a machine whose clock somebody sets.

use std::path::{Path, PathBuf};

use crate::live::{LiveError, binaries};

/// The library: beside the programs after `cargo build`, among what they are made of after `cargo test`.
const LIBRARY: [&str; 2] = ["libgriot_wrong_clock.so", "deps/libgriot_wrong_clock.so"];

/// The library.
///
/// # Errors
/// It is not built.
pub fn library() -> Result<PathBuf, LiveError> {
    let [built, tested] = LIBRARY;
    binaries::find(tested).or_else(|_| binaries::find(built))
}

/// The environment of a program whose clock is ahead by so many seconds.
#[must_use]
pub fn env(library: &Path, offset_seconds: i64) -> Vec<(String, String)> {
    vec![
        ("LD_PRELOAD".to_owned(), library.display().to_string()),
        ("GRIOT_WRONG_CLOCK_SECONDS".to_owned(), offset_seconds.to_string()),
    ]
}
