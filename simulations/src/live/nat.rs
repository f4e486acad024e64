//! Two homes behind routers that translate addresses (NAT), and the internet between them, in network namespaces. Nothing
//! leaves the real machine.
//!
//! ```text
//!   home 0 ── router 0 ──┐                 ┌── router 1 ── home 1
//!   10.77.0.2            ├── the internet ─┤               10.77.1.2
//!             198.18.1.2 ┘    198.18.0.1   └ 198.18.2.2
//! ```
//!
//! The routers are Linux's own: `nft` masquerades what goes out, and lets in only what belongs to it. The addresses outside
//! are those set aside for measuring networks (RFC 2544), so that to a node they look like any of the internet's.

use std::{
    io::Write,
    process::{Command, Stdio},
};

use super::{
    LiveError,
    namespace::{command, inside, ip},
};

/// Where whoever is on the internet is reached.
pub const INTERNET: &str = "198.18.0.1";

/// How a router chooses the port that stands for one inside.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ports {
    /// The same, where it is free: whoever knows the port inside knows the one outside, and two homes that send to each
    /// other at the same moment get through.
    Kept,
    /// Another for every connection: nobody gets in.
    Shuffled,
}

/// Five namespaces, removed when dropped.
#[derive(Debug)]
pub struct Homes {
    internet: String,
    routers: [String; 2],
    homes: [String; 2],
}

impl Homes {
    /// Builds them.
    ///
    /// # Errors
    /// The system refused: not root, no `ip` or `nft`, no namespaces. The reason is in the message.
    pub fn build(ports: Ports) -> Result<Self, LiveError> {
        let name = |part: &str| {
            format!("griot-{}-{}-{part}", std::process::id(), if ports == Ports::Kept { "k" } else { "s" })
        };
        // From here on, whatever was made is removed again.
        let this = Self {
            internet: name("internet"),
            routers: [name("router0"), name("router1")],
            homes: [name("home0"), name("home1")],
        };
        for namespace in this.all() {
            ip(&["netns", "add", namespace])?;
            ip(&["-n", namespace, "link", "set", "lo", "up"])?;
        }
        ip(&["-n", &this.internet, "address", "add", &format!("{INTERNET}/32"), "dev", "lo"])?;
        forward(&this.internet)?;
        for (number, (router, home)) in this.routers.iter().zip(&this.homes).enumerate() {
            let (inner, outer) = (format!("10.77.{number}"), format!("198.18.{}", number + 1));
            wire((home, "wire", &format!("{inner}.2/24")), (router, "in", &format!("{inner}.1/24")))?;
            wire(
                (router, "out", &format!("{outer}.2/24")),
                (&this.internet, &format!("home{number}"), &format!("{outer}.1/24")),
            )?;
            ip(&["-n", home, "route", "add", "default", "via", &format!("{inner}.1")])?;
            ip(&["-n", router, "route", "add", "default", "via", &format!("{outer}.1")])?;
            forward(router)?;
            filter(router, ports)?;
        }
        Ok(this)
    }

    /// The namespace of whoever is on the internet.
    #[must_use]
    pub fn internet(&self) -> &str {
        &self.internet
    }

    /// The namespace of a home, 0 or 1.
    #[must_use]
    pub fn home(&self, number: usize) -> &str {
        &self.homes[number]
    }

    /// The address of a home in its own network, which means nothing elsewhere.
    #[must_use]
    pub fn address(number: usize) -> String {
        format!("10.77.{number}.2")
    }

    fn all(&self) -> impl Iterator<Item = &String> {
        std::iter::once(&self.internet).chain(&self.routers).chain(&self.homes)
    }
}

impl Drop for Homes {
    fn drop(&mut self) {
        for namespace in self.all() {
            // One that was never made cannot be removed.
            let _ = ip(&["netns", "del", namespace]);
        }
    }
}

/// A cable between two namespaces, each end with its name and address. It is born in them, so that the real machine never
/// sees it.
fn wire(one: (&str, &str, &str), other: (&str, &str, &str)) -> Result<(), LiveError> {
    ip(&["-n", one.0, "link", "add", one.1, "type", "veth", "peer", "name", other.1, "netns", other.0])?;
    for (namespace, end, address) in [one, other] {
        ip(&["-n", namespace, "address", "add", address, "dev", end])?;
        ip(&["-n", namespace, "link", "set", end, "up"])?;
    }
    Ok(())
}

/// Lets a namespace pass on what is for others.
fn forward(namespace: &str) -> Result<(), LiveError> {
    inside(namespace, "switching forwarding on", || std::fs::write("/proc/sys/net/ipv4/ip_forward", "1"))
}

/// Makes a namespace a router as people have at home.
fn filter(namespace: &str, ports: Ports) -> Result<(), LiveError> {
    let how = match ports {
        Ports::Kept => "masquerade",
        Ports::Shuffled => "masquerade fully-random",
    };
    nft(
        namespace,
        &format!(
            "table ip griot {{
                chain translate {{ type nat hook postrouting priority 100; policy accept; oifname \"out\" {how}; }}
                chain here {{ type filter hook input priority 0; policy drop; ct state established,related accept; iifname \"in\" accept; }}
                chain through {{ type filter hook forward priority 0; policy drop; ct state established,related accept; iifname \"in\" accept; }}
            }}"
        ),
    )
}

fn nft(namespace: &str, rules: &str) -> Result<(), LiveError> {
    let mut command: Command = command(namespace, "nft");
    let running = LiveError::io("running nft (package nftables)");
    let mut child = match command.args(["-f", "-"]).stdin(Stdio::piped()).stderr(Stdio::piped()).spawn() {
        Ok(child) => child,
        Err(error) => return Err(running(error)),
    };
    let written = child.stdin.take().map(|mut stdin| stdin.write_all(rules.as_bytes()));
    let output = child.wait_with_output().map_err(running)?;
    if output.status.success() && matches!(written, Some(Ok(()))) {
        return Ok(());
    }
    let why = String::from_utf8_lossy(&output.stderr);
    Err(LiveError::Missing(format!("nft (package nftables): {}", why.trim())))
}
