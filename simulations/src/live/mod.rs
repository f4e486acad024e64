//! Real processes: what only they can show, kill -9 above all.
//!
//! [`node::NodeProcess`] is one `griotd` with a data directory of its own; [`person::Person`] is one `--home` of the
//! `griot` command line. Both kill what they started when they are dropped. [`wire::Wire`] joins network namespaces by
//! links whose latency, loss and bandwidth can be set, so that nodes meet on the paths of a real network.

pub mod binaries;
pub mod calibrate;
pub mod chaos;
pub mod cli;
pub mod mesh;
pub mod namespace;
pub mod nat;
pub mod node;
mod owner;
pub mod person;
pub mod readings;
pub mod topology;
pub mod wire;

use std::time::{Duration, Instant};

/// How long tests wait for anything before they call it lost: far more than it takes on a busy two-core machine.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// How often a condition is looked at.
const POLL: Duration = Duration::from_millis(20);

/// Something that did not happen.
#[derive(Debug, thiserror::Error)]
pub enum LiveError {
    /// A binary is missing.
    #[error("{0}")]
    Missing(String),
    /// Starting or reading a process failed.
    #[error("{what}: {source}")]
    Io {
        /// What was being done.
        what: String,
        /// The system's answer.
        source: std::io::Error,
    },
    /// A command answered with an error, or with something that was not expected.
    #[error("{0}")]
    Failed(String),
    /// A condition did not come true in time.
    #[error("timed out after {0:?} waiting for {1}")]
    TimedOut(Duration, String),
}

impl LiveError {
    pub(crate) fn io(what: impl Into<String>) -> impl FnOnce(std::io::Error) -> Self {
        let what = what.into();
        move |source| Self::Io { what, source }
    }
}

/// A test lacks something that it needs. It says so and ends; where nothing may be left out
/// (`GRIOT_TEST_REQUIRE_ALL=1`), that is a failure.
///
/// # Errors
/// [`LiveError::Missing`] where nothing may be left out.
pub fn skip(reason: &str) -> Result<(), LiveError> {
    if std::env::var("GRIOT_TEST_REQUIRE_ALL").is_ok_and(|value| value == "1") {
        return Err(LiveError::Missing(format!("required, and not here: {reason}")));
    }
    println!("SKIPPED: {reason}");
    Ok(())
}

/// Looks at `probe` until it gives something, for at most [`PATIENCE`].
///
/// # Errors
/// [`LiveError::TimedOut`], naming `what` was waited for.
pub fn wait_for<T>(what: &str, mut probe: impl FnMut() -> Option<T>) -> Result<T, LiveError> {
    let begun = Instant::now();
    loop {
        if let Some(found) = probe() {
            return Ok(found);
        }
        if begun.elapsed() > PATIENCE {
            return Err(LiveError::TimedOut(PATIENCE, what.to_owned()));
        }
        std::thread::sleep(POLL);
    }
}
