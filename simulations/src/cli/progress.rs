//! How far a run is: one line on stderr, rewritten on a terminal, and now and then where there is none.

use std::io::{IsTerminal as _, Write as _};

use super::wall::Wall;
use crate::{plan::VirtualMs, report::duration};

/// Seconds between two lines on a terminal.
const EVERY_TERMINAL: f64 = 0.2;

/// Seconds between two lines elsewhere: a log of an hour's run has sixty lines.
const EVERY_LOG: f64 = 60.0;

/// The line.
#[derive(Debug)]
pub struct Line {
    what: String,
    duration_ms: u64,
    began: Wall,
    shown: f64,
    terminal: bool,
    quiet: bool,
}

impl Line {
    /// For a run that lasts so long.
    #[must_use]
    pub fn new(what: impl Into<String>, duration_ms: u64, quiet: bool) -> Self {
        let terminal = std::io::stderr().is_terminal();
        Self { what: what.into(), duration_ms, began: Wall::now(), shown: 0.0, terminal, quiet }
    }

    /// Virtual time got this far.
    pub fn at(&mut self, now: VirtualMs) {
        let seconds = self.began.seconds();
        let every = if self.terminal { EVERY_TERMINAL } else { EVERY_LOG };
        if self.quiet || seconds - self.shown < every {
            return;
        }
        self.shown = seconds;
        let text = words(&self.what, now.0, self.duration_ms, seconds);
        if self.terminal {
            // To the beginning of the line, and what was there is cleared.
            eprint!("\r\x1b[K{text}");
            // A progress line that cannot be written is not worth failing for.
            let _ = std::io::stderr().flush();
        } else {
            eprintln!("{text}");
        }
    }

    /// The line is not needed any more.
    pub fn clear(&self) {
        if self.terminal && !self.quiet && self.shown > 0.0 {
            eprint!("\r\x1b[K");
        }
    }

    /// Seconds since it began.
    #[must_use]
    pub fn seconds(&self) -> f64 {
        self.began.seconds()
    }
}

/// The words of the line.
fn words(what: &str, now_ms: u64, duration_ms: u64, seconds: f64) -> String {
    let done = now_ms as f64 / duration_ms.max(1) as f64;
    let speed = now_ms as f64 / 1000.0 / seconds.max(1e-6);
    let left =
        if done > 0.0 { duration((seconds * (1.0 - done) / done * 1000.0) as u64) } else { "unknown".to_owned() };
    format!(
        "{what}: {} of {} virtual time ({:.0} %), {speed:.0} times real time, {left} left",
        duration(now_ms),
        duration(duration_ms),
        100.0 * done
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_line_says_how_far_how_fast_and_how_long() {
        let text = words("griot", 3_600_000, 36_000_000, 10.0);
        assert_eq!(text, "griot: 60.0 min of 10.0 h virtual time (10 %), 360 times real time, 90.0 s left");
        assert!(words("griot", 0, 1000, 1.0).contains("unknown left"));
    }
}
