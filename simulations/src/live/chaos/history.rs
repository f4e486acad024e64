//! What clients saw, and when: the only thing by which nodes are judged.
//!
//! Everybody who writes, reads or asks notes each answer here. An event is one JSON object, and a run's history is one of
//! them a line, in the order in which they were noted. Times are milliseconds since the run began, by one clock: that of
//! this process, which no fault touches.

use std::{
    fs::File,
    io::{BufWriter, Write as _},
    path::Path,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Instant,
};

use griot_protocol::{Cursor, api::RecordState};
use serde::{Deserialize, Serialize};

/// How a message is known: its record's id, or for messages between full clients their text, which is unique.
pub type Id = String;

/// Something that somebody saw.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Event {
    /// When it was noted, milliseconds since the run began.
    pub at_ms: u64,
    /// What it was.
    #[serde(flatten)]
    pub what: What,
}

/// What can be seen.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "what", rename_all = "snake_case")]
pub enum What {
    /// A message was made, and its writer begins to offer it.
    Sent {
        /// The message.
        id: Id,
        /// Who wrote it.
        writer: usize,
        /// For whom it is.
        reader: usize,
        /// When it expires.
        expires_ms: u64,
    },
    /// A node answered *accepted* to a message.
    Accepted {
        /// The message.
        id: Id,
        /// The node.
        node: usize,
        /// When it was asked.
        asked_ms: u64,
    },
    /// A node did not accept a message: it was silent, away, or refused. The writer tries again, there or elsewhere.
    NotAccepted {
        /// The message.
        id: Id,
        /// The node.
        node: usize,
        /// What it said, or what happened instead.
        why: String,
    },
    /// A node's feed gave a message to a reader.
    Fed {
        /// The reader.
        reader: usize,
        /// The node.
        node: usize,
        /// One reading from one cursor to the next; a reading from the start is another feed.
        feed: u64,
        /// The last cursor before, which the reader had from this feed.
        after: Option<Cursor>,
        /// The cursor that came with it.
        cursor: Cursor,
        /// The message.
        id: Id,
        /// When the page was asked for, or the stream was subscribed to.
        asked_ms: u64,
    },
    /// A reader has a message, after dropping what it had already.
    Delivered {
        /// The message.
        id: Id,
        /// The reader.
        reader: usize,
    },
    /// A node answered *accepted* to a reader's ack.
    AckAccepted {
        /// Who collected.
        reader: usize,
        /// The node.
        node: usize,
        /// What was collected.
        ids: Vec<Id>,
    },
    /// What a node says of a message: noted where it is something new.
    Status {
        /// The node.
        node: usize,
        /// The message.
        id: Id,
        /// Its state there; nothing where the node does not know it.
        state: Option<RecordState>,
        /// When the node was asked.
        asked_ms: u64,
    },
    /// Something was done to the network.
    Fault {
        /// What.
        text: String,
    },
    /// A node ended although nobody ended it, or panicked.
    NodeEnded {
        /// The node.
        node: usize,
        /// How it ended, and the end of its log.
        how: String,
    },
}

/// A history that is being written.
#[derive(Debug)]
pub struct History {
    begun: Instant,
    events: Mutex<Vec<Event>>,
    file: Option<Mutex<BufWriter<File>>>,
}

impl History {
    /// An empty one, which is also written to `path` where there is one.
    ///
    /// # Errors
    /// The file cannot be made.
    pub fn begin(path: Option<&Path>) -> std::io::Result<Self> {
        let file = path.map(|path| File::create(path).map(|file| Mutex::new(BufWriter::new(file)))).transpose()?;
        Ok(Self { begun: Instant::now(), events: Mutex::default(), file })
    }

    /// Milliseconds since the beginning.
    #[must_use]
    pub fn now_ms(&self) -> u64 {
        u64::try_from(self.begun.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    /// When the history began.
    #[must_use]
    pub const fn begun(&self) -> Instant {
        self.begun
    }

    /// Notes something, now.
    pub fn note(&self, what: What) {
        let mut events = lock(&self.events);
        // Under the lock, so that times never go back in the list.
        let event = Event { at_ms: self.now_ms(), what };
        if let Some(file) = &self.file
            && let Ok(line) = serde_json::to_string(&event)
        {
            // What cannot be written is still checked; that the file is short is seen by whoever flushes it.
            let _ = writeln!(lock(file), "{line}");
        }
        events.push(event);
    }

    /// Writes out what is still in memory.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn flush(&self) -> std::io::Result<()> {
        self.file.as_ref().map_or(Ok(()), |file| lock(file).flush())
    }

    /// Looks at what was noted so far.
    pub fn with<T>(&self, look: impl FnOnce(&[Event]) -> T) -> T {
        look(&lock(&self.events))
    }
}

/// Locks; a panic elsewhere leaves these lists in order.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_history_is_read_back_as_it_was_written() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("history.jsonl");
        let history = History::begin(Some(&path)).unwrap();
        let cursor = Cursor { epoch: u64::MAX - 1, position: 3 };
        history.note(What::Sent { id: "a".into(), writer: 0, reader: 1, expires_ms: 9 });
        history.note(What::Fed { reader: 1, node: 2, feed: 7, after: None, cursor, id: "a".into(), asked_ms: 4 });
        history.note(What::Status { node: 2, id: "a".into(), state: Some(RecordState::Acked), asked_ms: 5 });
        history.flush().unwrap();
        let text = std::fs::read_to_string(path).unwrap();
        let read: Vec<Event> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        history.with(|events| assert_eq!(events, read));
        assert_eq!(read.len(), 3);
    }
}
