//! The first line in which two traces differ.
//!
//! Two runs of one plan must give the same trace. Where they do not, everything after the first difference follows from
//! it, so that line, with what came before, is all there is to look at. Both files are read side by side, a line at a
//! time: traces of long runs are larger than memory.

use std::{
    collections::VecDeque,
    fmt::Write as _,
    fs::File,
    io::{self, BufRead, BufReader, Read as _},
    path::{Path, PathBuf},
};

use serde::Serialize;

/// The longest line that is read. The world writes lines of some hundred bytes; what is longer is no trace.
pub const LINE_BYTES_MAX: u64 = 64 * 1024;

/// The most lines of context on each side.
pub const CONTEXT_MAX: usize = 1000;

/// Why two traces cannot be compared.
#[derive(Debug, thiserror::Error)]
pub enum TraceError {
    /// A file cannot be read.
    #[error("{0}: {1}")]
    Read(PathBuf, io::Error),
    /// A file is something else.
    #[error(
        "{path}: line {line} is longer than {LINE_BYTES_MAX} bytes: this is no trace (`griot-sim run --trace FILE`)"
    )]
    NoTrace {
        /// Which file.
        path: PathBuf,
        /// Which line.
        line: u64,
    },
}

/// What comparing two traces gave.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct TraceDiff {
    /// Whether they are the same, to the last byte.
    pub equal: bool,
    /// Lines that are the same, from the beginning.
    pub equal_lines: u64,
    /// Where they are equal: the trace hash, as the run that wrote it gives it.
    pub trace_hash: Option<String>,
    /// Where they differ.
    pub first_difference: Option<Difference>,
}

/// Where two traces part.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Difference {
    /// The number of the line, from 1.
    pub line: u64,
    /// What comes before it in both.
    pub before: Vec<String>,
    /// The first file from there on.
    pub first: Side,
    /// The second file from there on.
    pub second: Side,
}

/// One side of a difference.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Side {
    /// Virtual milliseconds at that line; nothing, where the file ends there or the line does not begin with a time.
    pub virtual_ms: Option<u64>,
    /// That line and a few after it; none where the file ends.
    pub lines: Vec<String>,
}

/// Compares two traces, with at most `context` lines around the difference.
///
/// # Errors
/// [`TraceError`].
pub fn compare(first: &Path, second: &Path, context: usize) -> Result<TraceDiff, TraceError> {
    let context = context.min(CONTEXT_MAX);
    let (mut first, mut second) = (Lines::open(first)?, Lines::open(second)?);
    let mut before: VecDeque<Vec<u8>> = VecDeque::with_capacity(context + 1);
    let mut hasher = blake3::Hasher::new();
    loop {
        let (one, other) = (first.next()?, second.next()?);
        let line = match (one, other) {
            (Some(one), Some(other)) if one == other => one,
            (None, None) => {
                let trace_hash = Some(hasher.finalize().to_hex().to_string());
                return Ok(TraceDiff { equal: true, equal_lines: first.read, trace_hash, first_difference: None });
            }
            (one, other) => {
                let line = first.read.max(second.read);
                let difference = Difference {
                    line,
                    before: before.iter().map(|line| text(line)).collect(),
                    first: side(&mut first, one, context)?,
                    second: side(&mut second, other, context)?,
                };
                let equal_lines = line - 1;
                return Ok(TraceDiff {
                    equal: false,
                    equal_lines,
                    trace_hash: None,
                    first_difference: Some(difference),
                });
            }
        };
        hasher.update(&line);
        before.push_back(line);
        if before.len() > context {
            before.pop_front();
        }
    }
}

fn side(lines: &mut Lines, at: Option<Vec<u8>>, context: usize) -> Result<Side, TraceError> {
    let Some(at) = at else { return Ok(Side { virtual_ms: None, lines: Vec::new() }) };
    let first = text(&at);
    let virtual_ms = first.split(' ').next().and_then(|time| time.parse().ok());
    let mut all = vec![first];
    while all.len() <= context
        && let Some(line) = lines.next()?
    {
        all.push(text(&line));
    }
    Ok(Side { virtual_ms, lines: all })
}

/// A line for people: without its end, and with control characters written out. What is compared may be any file, and a
/// terminal obeys them.
fn text(line: &[u8]) -> String {
    let line = String::from_utf8_lossy(line.strip_suffix(b"\n").unwrap_or(line));
    let mut text = String::with_capacity(line.len());
    for character in line.chars() {
        if character.is_control() {
            text.extend(character.escape_default());
        } else {
            text.push(character);
        }
    }
    text
}

/// The lines of a file, each with its end.
struct Lines {
    path: PathBuf,
    file: BufReader<File>,
    read: u64,
}

impl Lines {
    fn open(path: &Path) -> Result<Self, TraceError> {
        let file = File::open(path).map_err(|error| TraceError::Read(path.to_owned(), error))?;
        Ok(Self { path: path.to_owned(), file: BufReader::new(file), read: 0 })
    }

    fn next(&mut self) -> Result<Option<Vec<u8>>, TraceError> {
        let mut line = Vec::new();
        let taken = (&mut self.file).take(LINE_BYTES_MAX).read_until(b'\n', &mut line);
        taken.map_err(|error| TraceError::Read(self.path.clone(), error))?;
        if line.is_empty() {
            return Ok(None);
        }
        self.read += 1;
        if line.len() as u64 == LINE_BYTES_MAX && !line.ends_with(b"\n") {
            return Err(TraceError::NoTrace { path: self.path.clone(), line: self.read });
        }
        Ok(Some(line))
    }
}

impl TraceDiff {
    /// For people.
    #[must_use]
    pub fn to_text(&self) -> String {
        let Some(difference) = &self.first_difference else {
            let hash = self.trace_hash.as_deref().unwrap_or_default();
            return format!("the same: {} lines, trace {hash}\n", self.equal_lines);
        };
        let mut text = format!("line {} is the first that differs\n", difference.line);
        for line in &difference.before {
            let _ = writeln!(text, "    {line}");
        }
        for (sign, side) in [('<', &difference.first), ('>', &difference.second)] {
            let when = match (side.virtual_ms, side.lines.is_empty()) {
                (Some(ms), _) => format!("at {ms} ms of virtual time"),
                (None, true) => "the trace ends".to_owned(),
                (None, false) => "no time".to_owned(),
            };
            let _ = writeln!(text, "{sign}   ({when})");
            for line in &side.lines {
                let _ = writeln!(text, "{sign}   {line}");
            }
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn what_a_terminal_would_obey_is_written_out() {
        assert_eq!(text(b"17 n1 \x1b[2J\ttaken \xc3\xa9\n"), "17 n1 \\u{1b}[2J\\ttaken \u{e9}");
    }

    fn compared(first: &str, second: &str, context: usize) -> Result<TraceDiff, TraceError> {
        let temp = tempfile::tempdir().unwrap();
        let files = [("a", first), ("b", second)].map(|(name, text)| {
            let path = temp.path().join(name);
            fs::write(&path, text).unwrap();
            path
        });
        compare(&files[0], &files[1], context)
    }

    #[test]
    fn the_first_line_that_differs_is_found_with_what_is_around_it() {
        let first = "1 a\n2 b\n3 c\n4 n1 starts\n9 e\n";
        let diff = compared(first, "1 a\n2 b\n3 c\n5 n2 starts\n6 f\n7 g\n8 h\n", 2).unwrap();
        let difference = diff.first_difference.as_ref().unwrap();
        assert_eq!((diff.equal, diff.equal_lines, difference.line), (false, 3, 4));
        assert_eq!(difference.before, ["2 b", "3 c"]);
        assert_eq!(difference.first, Side { virtual_ms: Some(4), lines: vec!["4 n1 starts".into(), "9 e".into()] });
        assert_eq!(difference.second.virtual_ms, Some(5));
        assert_eq!(difference.second.lines, ["5 n2 starts", "6 f", "7 g"]);
        let text = diff.to_text();
        assert!(text.starts_with("line 4 is the first that differs\n    2 b\n    3 c\n<   (at 4 ms"), "{text}");
    }

    #[test]
    fn equal_traces_give_the_hash_of_their_run() {
        let diff = compared("1 a\n2 b\n", "1 a\n2 b\n", 3).unwrap();
        assert_eq!(diff.trace_hash.unwrap(), blake3::hash(b"1 a\n2 b\n").to_hex().to_string());
        assert_eq!((diff.equal, diff.equal_lines), (true, 2));
        assert!(compared("", "", 3).unwrap().equal);
    }

    #[test]
    fn a_trace_that_ends_early_differs_there() {
        for (first, second) in [("1 a\n2 b\n", "1 a\n"), ("1 a\n2 b\n", "1 a\n2 b")] {
            let diff = compared(first, second, 0).unwrap();
            assert_eq!(diff.first_difference.as_ref().unwrap().line, 2);
        }
        assert!(compared("1 a\n", "", 1).unwrap().to_text().contains("the trace ends"));
    }

    #[test]
    fn what_is_no_trace_takes_no_memory() {
        let endless = "x".repeat(LINE_BYTES_MAX as usize + 1);
        assert!(matches!(compared(&endless, &endless, 3), Err(TraceError::NoTrace { line: 1, .. })));
        assert!(matches!(compare(Path::new("/no/such"), Path::new("/no/such"), 3), Err(TraceError::Read(..))));
    }
}
