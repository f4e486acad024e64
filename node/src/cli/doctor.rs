//! `griotd doctor`: looks for what may be wrong, and says what to do.

use std::{
    net::{SocketAddr, TcpListener, UdpSocket},
    os::unix::fs::PermissionsExt,
    path::Path,
    time::{SystemTime, UNIX_EPOCH},
};

use griot_protocol::api::{NodeInfo, PeerInfo, Reachability};
use libp2p::{Multiaddr, multiaddr::Protocol};

use super::{
    CliError,
    client::Daemon,
    inspect::{line, peer_state, printable, reached},
};
use crate::{config::Config, identity::Identity, metrics::disk_free_bytes};

/// No honest clock is before this: 2026-01-01. Machines without a battery start in 1970.
const CLOCK_MIN: u64 = 1_767_225_600;

/// What was found.
#[derive(Default)]
struct Findings {
    problems: u32,
}

impl Findings {
    fn good(&self, text: impl std::fmt::Display) -> Result<(), CliError> {
        line(&format_args!("ok       {text}"))
    }

    fn note(&self, text: impl std::fmt::Display) -> Result<(), CliError> {
        line(&format_args!("note     {text}"))
    }

    fn problem(&mut self, text: impl std::fmt::Display) -> Result<(), CliError> {
        self.problems += 1;
        line(&format_args!("PROBLEM  {text}"))
    }
}

/// Examines the machine, the data directory, and the node where one runs.
pub(super) async fn examine(config: &Config) -> Result<(), CliError> {
    let mut found = Findings::default();
    found.good(format_args!("griotd {}", env!("CARGO_PKG_VERSION")))?;
    clock(&mut found)?;
    data_dir(&mut found, config)?;
    match Daemon::find(&config.data_dir).await {
        Ok(Some(daemon)) => running(&mut found, daemon).await?,
        Ok(None) => stopped(&mut found, config)?,
        Err(error) => {
            found.problem(format_args!("the node's socket: {error}; run this as the user who runs the node"))?
        }
    }
    match found.problems {
        0 => Ok(()),
        count => Err(CliError::failed(format!("{count} problem(s)"))),
    }
}

fn clock(found: &mut Findings) -> Result<(), CliError> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
    if now < CLOCK_MIN {
        return found.problem("the clock is years behind: set it (NTP), or every record seems to come from the future");
    }
    found.good("the clock is plausible")
}

fn data_dir(found: &mut Findings, config: &Config) -> Result<(), CliError> {
    let dir = &config.data_dir;
    let Ok(metadata) = std::fs::metadata(dir) else {
        return found.note(format_args!("{} does not exist yet: the first start makes it", dir.display()));
    };
    if !metadata.is_dir() {
        return found.problem(format_args!("{} is no directory: choose another --data-dir", dir.display()));
    }
    let mode = metadata.permissions().mode() & 0o777;
    if mode & 0o022 != 0 {
        found.problem(format_args!("others may write in {}: chmod 700 {0}", dir.display()))?;
    } else {
        found.good(format_args!("{} (mode {mode:03o})", dir.display()))?;
    }
    match Identity::load(dir) {
        Ok(Some(identity)) => found.good(format_args!("peer id {}", identity.peer_id()))?,
        Ok(None) => found.note("no identity yet: the first start makes one")?,
        Err(error) => found.problem(error)?,
    }
    disk(found, dir, config.limits.disk_reserve_bytes)
}

fn disk(found: &mut Findings, dir: &Path, reserve: u64) -> Result<(), CliError> {
    match disk_free_bytes(dir) {
        Ok(free) if free <= reserve => found.problem(format_args!(
            "{} MiB are free and {} MiB are kept in reserve: the node takes nothing; free space or lower limits.disk_reserve_bytes",
            free >> 20,
            reserve >> 20
        )),
        Ok(free) => found.good(format_args!("{} MiB of disk are free", free >> 20)),
        Err(error) => found.problem(format_args!("the disk cannot be asked for free space: {error}")),
    }
}

/// With a node running: does it answer, is it connected?
async fn running(found: &mut Findings, mut daemon: Daemon) -> Result<(), CliError> {
    let info: NodeInfo = match daemon.get("/v1/node").await {
        Ok(info) => info,
        Err(error) => return found.problem(format_args!("the node runs but does not answer ({error}): restart it")),
    };
    found.good(format_args!("a node runs: version {}, network {}", info.version, info.network))?;
    if info.version != env!("CARGO_PKG_VERSION") {
        found.note("it is another version than this command: restart it to use the new one")?;
    }
    match info.listen.as_slice() {
        [] => found.problem("it listens nowhere: see its log; are the --listen addresses in use?")?,
        addresses => found.good(format_args!("listens on {}", addresses.join(", ")))?,
    }
    reach(found, &info)?;
    for warning in &info.warnings {
        found.problem(warning)?;
    }
    let peers: Vec<PeerInfo> = daemon.get("/v1/peers").await?;
    let connected = peers.iter().filter(|peer| peer.connected).count();
    if connected == 0 {
        found.note("connected to nobody: start another node, or give this one a --peer")?;
    } else {
        found.good(format_args!("connected to {connected} peer(s)"))?;
    }
    for peer in peers.iter().filter(|peer| peer.configured && !peer.connected) {
        let error = peer.last_error.as_deref().map(|error| format!(" ({})", printable(error))).unwrap_or_default();
        found.problem(format_args!(
            "the configured peer {} is {}{error}: is it up, is its address right?",
            printable(&peer.addresses.join(" ")),
            peer_state(peer)
        ))?;
    }
    Ok(())
}

/// Whether others reach it. Not to be reached is no fault: most machines at home are not.
fn reach(found: &Findings, info: &NodeInfo) -> Result<(), CliError> {
    let how = format!("it is reached {}", reached(info));
    match info.reachability {
        Reachability::Public | Reachability::Relayed | Reachability::Local => found.good(how)?,
        Reachability::Unknown => found.note(format_args!("{how}: peers that it dials test that within a minute"))?,
        Reachability::Unreachable => found.note(format_args!(
            "{how}. To be reached, connect it to a node that relays, or open its port (TCP and UDP) in the router and firewall"
        ))?,
    }
    for circuit in &info.circuits {
        found.good(format_args!("reached at {circuit}"))?;
    }
    Ok(())
}

/// Without a node: could one start?
fn stopped(found: &mut Findings, config: &Config) -> Result<(), CliError> {
    found.note("no node is running here")?;
    check_port(found, "--api", config.api.listen, TcpListener::bind(config.api.listen).map(drop))?;
    for address in &config.listen {
        match socket_address(address) {
            Some((socket, true)) => check_port(found, "--listen", socket, TcpListener::bind(socket).map(drop))?,
            Some((socket, false)) => check_port(found, "--listen", socket, UdpSocket::bind(socket).map(drop))?,
            None => found.note(format_args!("{address} was not tried"))?,
        }
    }
    Ok(())
}

fn check_port(
    found: &mut Findings,
    option: &str,
    address: SocketAddr,
    bound: std::io::Result<()>,
) -> Result<(), CliError> {
    match bound {
        Ok(()) => found.good(format_args!("{address} is free ({option})")),
        Err(error) => found.problem(format_args!("{address}: {error}; choose another with {option}")),
    }
}

/// Where a multiaddr listens, and whether by TCP (else UDP).
fn socket_address(address: &Multiaddr) -> Option<(SocketAddr, bool)> {
    let mut parts = address.iter();
    let ip = match parts.next()? {
        Protocol::Ip4(ip) => ip.into(),
        Protocol::Ip6(ip) => ip.into(),
        _ => return None,
    };
    match parts.next()? {
        Protocol::Tcp(port) => Some((SocketAddr::new(ip, port), true)),
        Protocol::Udp(port) => Some((SocketAddr::new(ip, port), false)),
        _ => None,
    }
}
