//! Network namespaces: two machines on one wire, as far as their programs can tell. Nothing leaves the real machine.

use std::{ffi::OsStr, io, process::Command};

use super::LiveError;

/// Two namespaces joined by a virtual cable, removed when dropped.
#[derive(Debug)]
pub struct Cable {
    names: [String; 2],
}

impl Cable {
    /// Lays a cable between two new namespaces, with `10.77.0.1` at one end and `10.77.0.2` at the other.
    ///
    /// # Errors
    /// The system refused: not root, no `ip`, or no namespaces. The reason is in the message.
    pub fn lay() -> Result<Self, LiveError> {
        let names = ["a", "b"].map(|end| format!("griot-{}-{end}", std::process::id()));
        // From here on, whatever was made is removed again.
        let cable = Self { names };
        let [a, b] = &cable.names;
        for name in [a, b] {
            ip(&["netns", "add", name])?;
        }
        // The ends are born in their namespaces, so that the real machine never sees them.
        ip(&["-n", a, "link", "add", "wire", "type", "veth", "peer", "name", "wire", "netns", b])?;
        for (name, address) in [(a, "10.77.0.1/24"), (b, "10.77.0.2/24")] {
            ip(&["-n", name, "address", "add", address, "dev", "wire"])?;
            ip(&["-n", name, "link", "set", "wire", "up"])?;
            ip(&["-n", name, "link", "set", "lo", "up"])?;
        }
        Ok(cable)
    }

    /// The namespaces at both ends.
    #[must_use]
    pub fn ends(&self) -> [&str; 2] {
        [&self.names[0], &self.names[1]]
    }

    /// The addresses at both ends.
    #[must_use]
    pub const fn addresses(&self) -> [&'static str; 2] {
        ["10.77.0.1", "10.77.0.2"]
    }
}

impl Drop for Cable {
    fn drop(&mut self) {
        for name in &self.names {
            // One that was never made cannot be removed.
            let _ = ip(&["netns", "del", name]);
        }
    }
}

/// A program to be run in a namespace. It keeps its process id: `ip` becomes the program.
#[must_use]
pub fn command(namespace: &str, program: impl AsRef<OsStr>) -> Command {
    let mut command = Command::new("ip");
    command.args(["netns", "exec", namespace]).arg(program);
    command
}

/// Runs `work` in a namespace, on a thread of its own. What it opens there (sockets, devices) belongs to the namespace and
/// can be used from anywhere afterwards.
///
/// # Errors
/// There is no such namespace, it may not be entered, or `work` failed; `what` says what was being done.
pub fn inside<T: Send>(
    namespace: &str,
    what: &str,
    work: impl FnOnce() -> io::Result<T> + Send,
) -> Result<T, LiveError> {
    let work = move || {
        enter(namespace)?;
        work()
    };
    let panicked = || Err(io::Error::other("it panicked"));
    let done = std::thread::scope(|scope| scope.spawn(work).join().unwrap_or_else(|_| panicked()));
    done.map_err(LiveError::io(format!("{what} in namespace {namespace}")))
}

/// Moves the calling thread into a namespace that `ip` made.
#[cfg(target_os = "linux")]
fn enter(namespace: &str) -> io::Result<()> {
    use std::os::fd::AsFd as _;

    let file = std::fs::File::open(std::path::Path::new("/run/netns").join(namespace))?;
    let kind = rustix::thread::LinkNameSpaceType::Network;
    Ok(rustix::thread::move_into_link_name_space(file.as_fd(), Some(kind))?)
}

#[cfg(not(target_os = "linux"))]
fn enter(_namespace: &str) -> io::Result<()> {
    Err(io::ErrorKind::Unsupported.into())
}

pub(super) fn ip(args: &[&str]) -> Result<(), LiveError> {
    let output = Command::new("ip").args(args).output().map_err(LiveError::io("running ip (package iproute2)"))?;
    if output.status.success() {
        return Ok(());
    }
    let why = String::from_utf8_lossy(&output.stderr);
    Err(LiveError::Missing(format!("ip {}: {}", args.join(" "), why.trim())))
}
