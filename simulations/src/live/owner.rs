//! Names that tell who made a thing, for things that outlive the process that made them.
//!
//! A network namespace and a mount stay when a run is killed. Their names therefore hold the id of their maker and the
//! moment that maker was started (ids are used again, the two together are not), so that a later run can tell what is left
//! over from what is in use.

use super::LiveError;

/// The process that made something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Owner {
    pid: u32,
    /// When it was started, in the kernel's ticks since boot.
    started: u64,
}

impl Owner {
    /// This process.
    pub(super) fn this() -> Result<Self, LiveError> {
        let pid = std::process::id();
        let started = started(pid).ok_or_else(|| LiveError::Missing("no /proc/PID/stat: not Linux".to_owned()))?;
        Ok(Self { pid, started })
    }

    /// A name that begins with `prefix`, tells the owner, and ends with `rest`.
    pub(super) fn name(self, prefix: &str, rest: &str) -> String {
        format!("{prefix}{}-{}-{rest}", self.pid, self.started)
    }

    /// Who made the thing of this name, if it begins with `prefix` and ends with so many numbers.
    pub(super) fn of(prefix: &str, name: &str, rest: usize) -> Option<Self> {
        let mut numbers = name.strip_prefix(prefix)?.split('-');
        let owner = Self { pid: numbers.next()?.parse().ok()?, started: numbers.next()?.parse().ok()? };
        let more: Vec<u32> = numbers.map(str::parse).collect::<Result<_, _>>().ok()?;
        (more.len() == rest).then_some(owner)
    }

    /// Whether it still runs.
    pub(super) fn is_alive(self) -> bool {
        started(self.pid) == Some(self.started)
    }
}

/// When a process was started: field 22 of its `stat`, of which the second is a name that may hold anything.
fn started(pid: u32) -> Option<u64> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let after_name = stat.rsplit_once(')')?.1;
    after_name.split_whitespace().nth(19)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_tells_its_maker_and_other_names_are_left_alone() {
        let owner = Owner { pid: 12, started: 345 };
        assert_eq!(owner.name("griot-wire-", "0-7"), "griot-wire-12-345-0-7");
        assert_eq!(Owner::of("griot-wire-", "griot-wire-12-345-0-7", 2), Some(owner));
        for other in ["griot-12-a", "griot-wire-12-345-0", "griot-wire-12-345-0-7-8", "griot-wire-x-345-0-7", "eth0"] {
            assert_eq!(Owner::of("griot-wire-", other, 2), None, "{other}");
        }
    }

    #[test]
    fn a_process_is_known_by_its_start() {
        let this = Owner::this().unwrap();
        assert!(this.is_alive());
        assert!(!Owner { started: this.started + 1, ..this }.is_alive());
    }
}
