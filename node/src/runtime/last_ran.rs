//! When this node last ran, so that the relay can tell a clock that jumped from a node that was off.
//!
//! Not synced: after a power loss it may be a little old, which only makes the jump look longer than it was.

use std::path::{Path, PathBuf};

use griot_protocol::Timestamp;

/// The file in the data directory.
const FILE_NAME: &str = "last-ran";

/// The file that says when this node last ran.
#[derive(Clone, Debug)]
pub(crate) struct LastRan(PathBuf);

impl LastRan {
    pub(crate) fn new(data_dir: &Path) -> Self {
        Self(data_dir.join(FILE_NAME))
    }

    /// What the file says; nothing at the first start, or where it is damaged.
    pub(crate) fn read(&self) -> Option<Timestamp> {
        std::fs::read_to_string(&self.0).ok()?.trim().parse().ok().map(Timestamp)
    }

    /// Says that the node runs now. Failing is harmless, and a full disk is reported by those it hurts.
    pub(crate) fn write(&self, now: Timestamp) {
        if let Err(error) = std::fs::write(&self.0, format!("{}\n", now.0)) {
            tracing::debug!(%error, "could not note the time of the last run");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn damage_reads_as_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let file = LastRan::new(dir.path());
        assert_eq!(file.read(), None);
        file.write(Timestamp(12));
        assert_eq!(file.read(), Some(Timestamp(12)));
        std::fs::write(dir.path().join(FILE_NAME), b"\xff\xfe").unwrap();
        assert_eq!(file.read(), None);
    }
}
