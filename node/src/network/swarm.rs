//! Putting a node's swarm together, listening, and starting its task.

use std::{
    io,
    net::{IpAddr, SocketAddr, TcpListener, UdpSocket},
    time::Duration,
};

use libp2p::{Multiaddr, Swarm, TransportError, multiaddr::Protocol, swarm};
use prometheus_client::registry::Registry;
use tokio::{sync::mpsc, task::JoinHandle};

use super::{
    Command, Event, NetworkMetrics, address,
    behaviour::Behaviour,
    config::{NetworkConfig, NetworkError, PORT_DEFAULT},
    task::{self, Setup},
    transport::transport,
};
use crate::{identity::Identity, store::RememberedPeer};

/// Commands that may wait for the swarm task: it takes them faster than anyone gives them, except in bursts.
pub const COMMANDS_MAX: usize = 1024;

/// Connections stay open however quiet they are: the next record may come at any time, and ping finds the dead ones.
const IDLE_TIMEOUT: Duration = Duration::from_secs(365 * 24 * 3600);

/// How a swarm that runs [`Behaviour`] is set up. Shared with the simulator, which brings its own transport.
#[must_use]
pub fn swarm_config() -> swarm::Config {
    swarm::Config::with_tokio_executor().with_idle_connection_timeout(IDLE_TIMEOUT)
}

/// Builds a swarm over real sockets. It does not listen yet. Call it inside a tokio runtime.
///
/// # Errors
/// [`NetworkError::Setup`].
pub fn build(config: &NetworkConfig, identity: &Identity) -> Result<Swarm<Behaviour>, NetworkError> {
    let uses_relays = config.nat.is_some_and(|nat| nat.use_relays);
    let (transport, relays) = transport(identity.keypair(), uses_relays)?;
    let behaviour = Behaviour::new(config, identity, relays)?;
    Ok(Swarm::new(transport, behaviour, identity.peer_id(), swarm_config()))
}

/// Builds the swarm, listens, and starts the task. Call it inside a tokio runtime.
///
/// The task ends on [`Command::Shutdown`], or when all senders of commands or the receiver of events are gone.
///
/// # Errors
/// An address cannot be listened on, a `--peer` cannot be dialled, or libp2p refused its configuration.
pub fn start(
    config: NetworkConfig,
    identity: &Identity,
    remembered: Vec<RememberedPeer>,
    events: mpsc::Sender<Event>,
    registry: &mut Registry,
) -> Result<(mpsc::Sender<Command>, JoinHandle<()>), NetworkError> {
    if let Some(address) = config.peers.iter().find(|peer| !address::is_complete(peer)) {
        return Err(NetworkError::Peer { address: address.clone() });
    }
    let mut seed = [0; 8];
    getrandom::fill(&mut seed).map_err(|error| NetworkError::Setup { what: "randomness", why: error.to_string() })?;
    let mut swarm = build(&config, identity)?;
    listen(&mut swarm, &config.listen)?;
    for address in &config.announce {
        swarm.add_external_address(address.clone());
    }
    let metrics = NetworkMetrics::register(registry);
    let (sender, commands) = mpsc::channel(COMMANDS_MAX);
    let setup = Setup { config, remembered, seed: u64::from_le_bytes(seed), metrics };
    let task = tokio::spawn(task::run(swarm, setup, commands, events));
    Ok((sender, task))
}

fn listen(swarm: &mut Swarm<Behaviour>, wanted: &[Multiaddr]) -> Result<(), NetworkError> {
    if wanted.is_empty() {
        return listen_by_default(swarm);
    }
    for address in wanted {
        listen_on(swarm, address).map_err(|source| {
            let cure = match source.kind() {
                io::ErrorKind::AddrInUse => "another process has this port: stop it, or give another --listen",
                io::ErrorKind::AddrNotAvailable => "this machine does not have that address: give another --listen",
                io::ErrorKind::PermissionDenied => "ports below 1024 need privileges: give another --listen",
                _ => "give a --listen such as /ip4/0.0.0.0/tcp/7701 or /ip6/::/udp/7701/quic-v1",
            };
            NetworkError::Listen { address: address.clone(), source, cure }
        })?;
    }
    Ok(())
}

/// IPv4 must work, IPv6 is used where the machine has it.
fn listen_by_default(swarm: &mut Swarm<Behaviour>) -> Result<(), NetworkError> {
    let both = |host: Protocol<'static>| {
        let tcp = Multiaddr::from(host.clone()).with(Protocol::Tcp(PORT_DEFAULT));
        let quic = Multiaddr::from(host).with(Protocol::Udp(PORT_DEFAULT)).with(Protocol::QuicV1);
        [tcp, quic]
    };
    for address in both(Protocol::Ip4([0, 0, 0, 0].into())) {
        listen_on(swarm, &address).map_err(|source| NetworkError::Listen {
            address: address.clone(),
            source,
            cure: "is a node running already? Stop it, or give another --listen, such as /ip4/0.0.0.0/tcp/0",
        })?;
    }
    for address in both(Protocol::Ip6([0; 16].into())) {
        if let Err(error) = listen_on(swarm, &address) {
            tracing::warn!(%address, %error, "not listening on IPv6");
        }
    }
    Ok(())
}

fn listen_on(swarm: &mut Swarm<Behaviour>, address: &Multiaddr) -> io::Result<()> {
    probe(address)?;
    match swarm.listen_on(address.clone()) {
        Ok(_) => Ok(()),
        Err(TransportError::Other(error)) => Err(error),
        Err(TransportError::MultiaddrNotSupported(_)) => {
            Err(io::Error::new(io::ErrorKind::Unsupported, "no transport of this node listens on such an address"))
        }
    }
}

/// Binds once on trial, for two reasons. libp2p binds TCP listeners with `SO_REUSEPORT`, so a second node of the same user
/// would quietly share the port, and every other connection would reach the wrong one. And it wraps the system's answer
/// so deep that no cure can be chosen by it.
///
/// `::` is left out: std would bind it for IPv4 too, and find our own listener there.
fn probe(address: &Multiaddr) -> io::Result<()> {
    let mut parts = address.iter();
    let ip = match parts.next() {
        Some(Protocol::Ip4(ip)) => IpAddr::V4(ip),
        Some(Protocol::Ip6(ip)) if !ip.is_unspecified() => IpAddr::V6(ip),
        _ => return Ok(()),
    };
    match parts.next() {
        Some(Protocol::Tcp(port)) => TcpListener::bind(SocketAddr::new(ip, port)).map(drop),
        Some(Protocol::Udp(port)) => UdpSocket::bind(SocketAddr::new(ip, port)).map(drop),
        _ => Ok(()),
    }
}
