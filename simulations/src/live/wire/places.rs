//! The network namespaces of a wire's ends: made, named after their maker, and swept when their maker is gone.
//!
//! A namespace that `ip netns` made outlives the process that asked for it, so a run that was killed leaves some behind,
//! with the nodes that ran in them. Each name therefore tells its maker ([`Owner`]), and whoever lays a wire first removes
//! those whose maker is gone.

use std::{
    path::Path,
    sync::atomic::{AtomicU32, Ordering},
};

use super::{
    super::{LiveError, namespace, owner::Owner},
    end::{End, PREFIX},
};

/// How all names begin.
const NAME_PREFIX: &str = "griot-wire-";

/// What follows the owner in a name: the wire and the end.
const NAME_NUMBERS: usize = 2;

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
            let name = owner.name(NAME_PREFIX, &format!("{serial}-{end}"));
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

/// Removes namespaces whose maker is gone, and ends what still runs in them. Says what it removed.
///
/// # Errors
/// `ip` is missing or refused.
pub fn sweep() -> Result<Vec<String>, LiveError> {
    let Ok(entries) = std::fs::read_dir(Path::new(NAMES)) else { return Ok(Vec::new()) };
    let mut names: Vec<String> = entries.filter_map(|entry| entry.ok()?.file_name().into_string().ok()).collect();
    names.retain(|name| Owner::of(NAME_PREFIX, name, NAME_NUMBERS).is_some_and(|owner| !owner.is_alive()));
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
