//! The trace: one line for each thing that can be seen from outside, and a hash over all of them.
//!
//! Two runs are the same when their hashes are. Where they are not, write both traces to files (`griot-sim run
//! --trace`) and look for the first line that differs ([`trace_diff`](crate::trace_diff)).

use std::fmt::{self, Write};

use crate::plan::VirtualMs;

/// The running hash, and the lines where somebody wants them.
#[derive(Debug)]
pub(crate) struct Trace {
    hasher: blake3::Hasher,
    line: String,
    kept: Option<Vec<String>>,
}

impl Trace {
    pub(crate) fn new(keep: bool) -> Self {
        Self { hasher: blake3::Hasher::new(), line: String::new(), kept: keep.then(Vec::new) }
    }

    /// Notes something.
    pub(crate) fn note(&mut self, now: VirtualMs, what: fmt::Arguments<'_>) {
        self.line.clear();
        // Writing to a string does not fail.
        let _ = write!(self.line, "{} {what}", now.0);
        self.hasher.update(self.line.as_bytes());
        self.hasher.update(b"\n");
        if let Some(kept) = &mut self.kept {
            kept.push(self.line.clone());
        }
    }

    /// The lines since the last call.
    pub(crate) fn take_lines(&mut self) -> Vec<String> {
        self.kept.as_mut().map(std::mem::take).unwrap_or_default()
    }

    /// The hash over everything so far.
    pub(crate) fn hash(&self) -> String {
        self.hasher.finalize().to_hex().to_string()
    }
}

/// The first eight bytes of an id: enough to tell records apart on a line.
pub(crate) struct Short<'a>(pub &'a [u8; 32]);

impl fmt::Display for Short<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().take(8).try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}
