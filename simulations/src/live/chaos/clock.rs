//! A wrong clock for one process.
//!
//! A machine has one clock, and it is not ours to set. A small library (`simulations/shims/wrong-clock`) is loaded into a
//! program before everything else and answers when it asks for the time of day. What only measures how long things take is
//! left alone, as on a machine whose clock somebody sets.

use std::path::{Path, PathBuf};

use crate::live::{LiveError, binaries};

/// The library, beside the programs.
const LIBRARY: &str = "libgriot_wrong_clock.so";

/// The library.
///
/// # Errors
/// It is not built.
pub fn library() -> Result<PathBuf, LiveError> {
    binaries::find(LIBRARY)
}

/// The environment of a program whose clock is ahead by so many seconds.
#[must_use]
pub fn env(library: &Path, offset_seconds: i64) -> Vec<(String, String)> {
    vec![
        ("LD_PRELOAD".to_owned(), library.display().to_string()),
        ("GRIOT_WRONG_CLOCK_SECONDS".to_owned(), offset_seconds.to_string()),
    ]
}

#[cfg(test)]
mod tests {
    use std::{
        process::Command,
        time::{SystemTime, UNIX_EPOCH},
    };

    use super::*;

    #[test]
    fn a_program_with_a_wrong_clock_says_a_wrong_time() {
        let library = match library() {
            Ok(library) => library,
            Err(error) => return crate::live::skip(&error.to_string()).unwrap(),
        };
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
        for (offset, expected) in [(7_200, now + 7_200), (-7_200, now - 7_200)] {
            let output = Command::new("date").arg("+%s").envs(env(&library, offset)).output().unwrap();
            let said: u64 = String::from_utf8(output.stdout).unwrap().trim().parse().unwrap();
            assert!((expected..expected + 600).contains(&said), "{said} instead of {expected}");
        }
    }
}
