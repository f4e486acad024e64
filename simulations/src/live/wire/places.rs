//! The network namespaces of a wire's ends: made, named after their maker, and swept when their maker is gone.
//!
//! A namespace that `ip netns` made outlives the process that asked for it, so a run that was killed leaves some behind,
//! with the nodes that ran in them. Each name therefore holds the id of its maker and the moment that maker was started
//! (ids are used again, the two together are not). Whoever lays a wire first removes those whose maker is gone.

use std::{
    path::Path,
    sync::atomic::{AtomicU32, Ordering},
};

use super::{
    super::{LiveError, namespace},
    end::{End, PREFIX},
};

/// How all names begin.
const NAME_PREFIX: &str = "griot-wire-";

/// Where `ip` keeps the names.
const NAMES: &str = "/run/netns";

/// What an end calls its device.
pub(super) const DEVICE: &str = "wire";

/// Packets that a device holds until the relay reads them: more than a burst of all nodes, so that the kernel drops
/// nothing that the seed did not.
const DEVICE_QUEUE_PACKETS: &str = "10000";

/// Namespaces of one wire, removed when dropped.
#[derive(Debug)]
pub(super) struct Places {
    names: Vec<String>,
}

impl Places {
    /// Makes the namespaces of so many ends, without devices as yet.
    pub(super) fn make(ends: u16) -> Result<Self, LiveError> {
        static SERIAL: AtomicU32 = AtomicU32::new(0);
        sweep()?;
        let owner = Owner::this()?;
        let serial = SERIAL.fetch_add(1, Ordering::Relaxed);
        let mut places = Self { names: Vec::new() };
        for end in 0..ends {
            let name = format!("{NAME_PREFIX}{}-{}-{serial}-{end}", owner.pid, owner.started);
            // Known before it is made, so that one that is half made is removed too.
            places.names.push(name.clone());
            namespace::ip(&["netns", "add", &name])?;
        }
        Ok(places)
    }

    /// The namespace of an end.
    pub(super) fn name(&self, end: End) -> Option<&str> {
        self.names.get(end.place()).map(String::as_str)
    }

    /// Gives the device of an end its address and its routes, and brings it up.
    pub(super) fn plug_in(&self, end: End) -> Result<(), LiveError> {
        let Some(name) = self.name(end) else { return Ok(()) };
        let address = format!("{}/32", end.address());
        let network = format!("{}.{}.0.0/16", PREFIX[0], PREFIX[1]);
        namespace::ip(&["-n", name, "link", "set", "lo", "up"])?;
        namespace::ip(&["-n", name, "address", "add", &address, "dev", DEVICE])?;
        namespace::ip(&["-n", name, "link", "set", DEVICE, "txqueuelen", DEVICE_QUEUE_PACKETS, "up"])?;
        namespace::ip(&["-n", name, "route", "add", &network, "dev", DEVICE])
    }
}

impl Drop for Places {
    fn drop(&mut self) {
        for name in &self.names {
            // One that was never made cannot be removed.
            let _ = namespace::ip(&["netns", "del", name]);
        }
    }
}

/// The process that made a namespace.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Owner {
    pid: u32,
    /// When it was started, in the kernel's ticks since boot.
    started: u64,
}

impl Owner {
    fn this() -> Result<Self, LiveError> {
        let pid = std::process::id();
        let started = started(pid).ok_or_else(|| LiveError::Missing("no /proc/PID/stat: not Linux".to_owned()))?;
        Ok(Self { pid, started })
    }

    /// Who made the namespace of this name, if it is one of a wire.
    fn of(name: &str) -> Option<Self> {
        let mut numbers = name.strip_prefix(NAME_PREFIX)?.split('-');
        let owner = Self { pid: numbers.next()?.parse().ok()?, started: numbers.next()?.parse().ok()? };
        // The wire and the end; and nothing more.
        let rest: Vec<u32> = numbers.map(str::parse).collect::<Result<_, _>>().ok()?;
        (rest.len() == 2).then_some(owner)
    }

    fn is_alive(self) -> bool {
        started(self.pid) == Some(self.started)
    }
}

/// When a process was started: field 22 of its `stat`, of which the second is a name that may hold anything.
fn started(pid: u32) -> Option<u64> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let after_name = stat.rsplit_once(')')?.1;
    after_name.split_whitespace().nth(19)?.parse().ok()
}

/// Removes namespaces whose maker is gone, and ends what still runs in them. Says what it removed.
///
/// # Errors
/// `ip` is missing or refused.
pub fn sweep() -> Result<Vec<String>, LiveError> {
    let Ok(entries) = std::fs::read_dir(Path::new(NAMES)) else { return Ok(Vec::new()) };
    let mut names: Vec<String> = entries.filter_map(|entry| entry.ok()?.file_name().into_string().ok()).collect();
    names.retain(|name| Owner::of(name).is_some_and(|owner| !owner.is_alive()));
    names.sort();
    for name in &names {
        end_processes(name);
        // Another run may be sweeping too: what it removed first is removed.
        if let Err(error) = namespace::ip(&["netns", "del", name])
            && Path::new(NAMES).join(name).exists()
        {
            return Err(error);
        }
    }
    Ok(names)
}

/// Kills what runs in a namespace that nobody owns any more: nodes of a run that was killed.
fn end_processes(name: &str) {
    let Ok(output) = std::process::Command::new("ip").args(["netns", "pids", name]).output() else { return };
    for pid in String::from_utf8_lossy(&output.stdout).lines().filter_map(|line| line.trim().parse::<i32>().ok()) {
        if let Some(pid) = rustix::process::Pid::from_raw(pid) {
            let _ = rustix::process::kill_process(pid, rustix::process::Signal::KILL);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_tells_its_maker_and_other_names_are_left_alone() {
        let owner = Owner { pid: 12, started: 345 };
        assert_eq!(Owner::of("griot-wire-12-345-0-7"), Some(owner));
        for other in ["griot-12-a", "griot-wire-12-345-0", "griot-wire-12-345-0-7-8", "griot-wire-x-345-0-7", "eth0"] {
            assert_eq!(Owner::of(other), None, "{other}");
        }
    }

    #[test]
    fn a_process_is_known_by_its_start() {
        let this = Owner::this().unwrap();
        assert!(this.is_alive());
        assert!(!Owner { started: this.started + 1, ..this }.is_alive());
    }
}
