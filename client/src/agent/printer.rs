//! Where a command's lines go: the terminal, or back over the agent's socket to the process that asked.

use std::io::{self, Write};

use serde::{Deserialize, Serialize};
use serde_json::Value;
use tokio::sync::mpsc;

/// Lines that wait for a slow reader before the command itself waits: a screen or two.
const LINES_MAX: usize = 256;

/// One thing that a command shows.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Line {
    /// A line (or several) for stdout.
    Out(String),
    /// A line for stderr.
    Err(String),
    /// "What came before this is done for good; were I to end now, go on from here." Never shown.
    Mark(Value),
}

/// Nobody reads what the command shows: it may as well end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("nobody reads the output any more")]
pub struct Gone;

/// Takes a command's lines.
#[derive(Clone, Debug)]
pub struct Printer {
    lines: mpsc::Sender<Line>,
}

impl Printer {
    /// A printer and the lines it was given.
    #[must_use]
    pub fn channel() -> (Self, mpsc::Receiver<Line>) {
        let (lines, receiver) = mpsc::channel(LINES_MAX);
        (Self { lines }, receiver)
    }

    /// Shows a line on stdout.
    ///
    /// # Errors
    /// [`Gone`].
    pub async fn out(&self, line: impl Into<String>) -> Result<(), Gone> {
        self.line(Line::Out(line.into())).await
    }

    /// Shows a line on stderr.
    ///
    /// # Errors
    /// [`Gone`].
    pub async fn err(&self, line: impl Into<String>) -> Result<(), Gone> {
        self.line(Line::Err(line.into())).await
    }

    /// Marks where to go on, should whoever carries out the command end.
    ///
    /// # Errors
    /// [`Gone`].
    pub async fn mark(&self, mark: Value) -> Result<(), Gone> {
        self.line(Line::Mark(mark)).await
    }

    /// Passes a line on.
    ///
    /// # Errors
    /// [`Gone`].
    pub async fn line(&self, line: Line) -> Result<(), Gone> {
        self.lines.send(line).await.map_err(|_| Gone)
    }

    /// Returns once nobody reads the output any more.
    pub async fn gone(&self) {
        self.lines.closed().await;
    }
}

/// The process's own stdout and stderr.
#[derive(Debug)]
pub struct Terminal {
    thread: std::thread::JoinHandle<()>,
}

impl Terminal {
    /// Begins to print.
    ///
    /// # Errors
    /// No thread can be started.
    pub fn start() -> io::Result<(Self, Printer)> {
        let (printer, mut lines) = Printer::channel();
        // A thread of its own: a pipe that nobody reads must not stop the tasks that serve other commands.
        let thread = std::thread::Builder::new().name("terminal".to_owned()).spawn(move || {
            while let Some(line) = lines.blocking_recv() {
                if print(&line).is_err() {
                    return; // The receiver is dropped: the command hears that the reader has gone.
                }
            }
        })?;
        Ok((Self { thread }, printer))
    }

    /// Waits until all is printed. All printers must have been dropped.
    pub fn finish(self) {
        let _panicked = self.thread.join();
    }
}

fn print(line: &Line) -> io::Result<()> {
    match line {
        Line::Out(text) => {
            let mut out = io::stdout().lock();
            out.write_all(text.as_bytes())?;
            out.write_all(b"\n")?;
            out.flush()
        }
        Line::Err(text) => {
            // Whether anybody hears warnings does not change what the command does.
            let _unheard = writeln!(io::stderr(), "{text}");
            Ok(())
        }
        Line::Mark(_) => Ok(()),
    }
}
