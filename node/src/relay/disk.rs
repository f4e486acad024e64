//! Whether the disk takes anything.
//!
//! When it is full, new records are refused for some seconds and then tried again; acks are always tried, because they
//! are what makes room. That an ack was taken is therefore no sign that there is room for anything else.

use griot_protocol::RecordKind;

use super::{
    limits::FULL_RETRY_MS,
    types::{CallError, PersistError},
};

/// How the last commit went.
#[derive(Debug, Default)]
pub(super) struct Disk {
    full_until_ms: Option<u64>,
    failed: Option<String>,
}

impl Disk {
    /// Whether to try a record of this kind now.
    pub(super) fn takes(&self, kind: RecordKind, now_ms: u64) -> bool {
        kind == RecordKind::Ack || self.full_until_ms.is_none_or(|until| now_ms >= until)
    }

    /// A commit succeeded, and it was of a sort that a full disk does not take. Returns whether that is news.
    pub(super) fn recovered(&mut self) -> bool {
        let was_full = self.has_room();
        self.failed.take().is_some() || was_full
    }

    /// There is room for new records. Returns whether that is news.
    pub(super) const fn has_room(&mut self) -> bool {
        self.full_until_ms.take().is_some()
    }

    /// A commit failed. Returns whether that is news.
    pub(super) fn failed(&mut self, error: &PersistError, now_ms: u64) -> bool {
        match error {
            PersistError::Full => self.full_until_ms.replace(now_ms.saturating_add(FULL_RETRY_MS)).is_none(),
            PersistError::Failed(text) => self.failed.replace(text.clone()).as_ref() != Some(text),
        }
    }

    /// Whether the last commit failed for want of room.
    pub(super) const fn is_full(&self) -> bool {
        self.full_until_ms.is_some()
    }
}

/// What a caller is told of a failed commit.
pub(super) fn storage_error(error: &PersistError) -> CallError {
    CallError::Storage(match error {
        PersistError::Full => "the node's disk is full: try again later, or use another node".to_owned(),
        PersistError::Failed(text) => format!("the node could not write to its disk: {text}"),
    })
}

/// What a caller is told when the store cannot be read.
pub(super) fn unreadable() -> CallError {
    CallError::Storage("the node could not read from its disk: try again later, or use another node".to_owned())
}
