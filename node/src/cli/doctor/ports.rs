//! Ports: free, where no node runs; bound and answering, where one does.

use std::{
    collections::BTreeSet,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener, UdpSocket},
    time::Duration,
};

use griot_protocol::api::ListeningReport;
use libp2p::{Multiaddr, multiaddr::Protocol};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

use super::Findings;
use crate::config::Config;

/// How long a listener on this machine may take to answer.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(5);

/// Asks whether the process behind a port is a node.
const QUESTION: &[u8] = b"GET /health/live HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n";

/// Without a node: could one start?
pub(super) fn free(found: &mut Findings, config: &Config) {
    found.note("node", "no node is running here", "start one with `griotd`");
    is_free(found, "--api", config.api.listen, TcpListener::bind(config.api.listen).map(drop));
    for address in &config.listen {
        match socket_address(address) {
            Some((socket, true)) => is_free(found, "--listen", socket, TcpListener::bind(socket).map(drop)),
            Some((socket, false)) => is_free(found, "--listen", socket, UdpSocket::bind(socket).map(drop)),
            None => found.note("ports", format_args!("{address} was not tried"), "start the node to see"),
        }
    }
}

fn is_free(found: &mut Findings, option: &str, address: SocketAddr, bound: std::io::Result<()>) {
    match bound {
        Ok(()) => found.good("ports", format_args!("{address} is free ({option})")),
        Err(error) => {
            found.problem("ports", format_args!("{address}: {error}"), format_args!("choose another with {option}"))
        }
    }
}

/// With a node: does it listen where it was told to?
pub(super) fn bound(found: &mut Findings, listen: &[String], told: &ListeningReport) {
    match listen {
        [] => found.problem(
            "ports",
            "it listens nowhere for other nodes",
            "see its log: are the --listen addresses in use?",
        ),
        addresses => found.good("ports", format_args!("listens on {}", addresses.join(", "))),
    }
    let bound: BTreeSet<(bool, u16)> = listen.iter().filter_map(|text| door(text)).collect();
    for address in &told.peers {
        let is_there = match door(address) {
            // Any port will do.
            Some((tcp, 0)) => bound.iter().any(|(other, _)| *other == tcp),
            Some(door) => bound.contains(&door),
            None => true,
        };
        if !is_there && !listen.is_empty() {
            found.problem(
                "ports",
                format_args!("it was told to listen on {address} and does not"),
                "see its log, free the port or choose another with --listen, and restart it",
            );
        }
    }
}

/// With a node: do its listeners answer?
pub(super) async fn answering(found: &mut Findings, told: &ListeningReport) {
    let listeners = [("API", Some(&told.api), told.api_tls), ("metrics", told.metrics.as_ref(), false)];
    for (name, address, tls) in listeners {
        let Some(address) = address.and_then(|text| text.parse::<SocketAddr>().ok()) else { continue };
        let asked = tokio::time::timeout(ANSWER_TIMEOUT, ask(near(address), tls)).await;
        match asked.unwrap_or_else(|_| Err(std::io::ErrorKind::TimedOut.into())) {
            Ok(true) => found.good("ports", format_args!("the {name} answers on {address}")),
            Ok(false) => found.problem(
                "ports",
                format_args!("something else than the node answers for the {name} on {address}"),
                "find it (`ss -tlnp`) and stop it, or choose another port",
            ),
            Err(error) => found.problem(
                "ports",
                format_args!("the {name} does not answer on {address} ({error})"),
                "look whether a firewall on this machine is in the way; else restart the node",
            ),
        }
    }
}

/// Whether a node answers. One that speaks TLS is believed once it takes the connection: whose certificate it is, is
/// for its clients to check.
async fn ask(address: SocketAddr, tls: bool) -> std::io::Result<bool> {
    let mut stream = TcpStream::connect(address).await?;
    if tls {
        return Ok(true);
    }
    stream.write_all(QUESTION).await?;
    let mut answer = Vec::new();
    stream.take(4096).read_to_end(&mut answer).await?;
    let text = String::from_utf8_lossy(&answer);
    Ok(text.starts_with("HTTP/1.1 200") && text.contains("\"live\""))
}

/// The address by which a listener on this machine is reached from this machine.
const fn near(address: SocketAddr) -> SocketAddr {
    let ip = match address.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => IpAddr::V4(Ipv4Addr::LOCALHOST),
        IpAddr::V6(ip) if ip.is_unspecified() => IpAddr::V6(Ipv6Addr::LOCALHOST),
        ip => ip,
    };
    SocketAddr::new(ip, address.port())
}

/// Whether an address is TCP (else UDP), and its port.
fn door(text: &str) -> Option<(bool, u16)> {
    let address: Multiaddr = text.parse().ok()?;
    let (socket, tcp) = socket_address(&address)?;
    Some((tcp, socket.port()))
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

#[cfg(test)]
mod tests {
    use super::{super::Level, *};

    fn levels(found: &Findings) -> Vec<Level> {
        found.0.iter().map(|finding| finding.level).collect()
    }

    #[test]
    fn what_it_was_told_to_listen_on_must_be_bound() {
        let bound = |listen: &[&str], told: &[&str]| {
            let listen: Vec<String> = listen.iter().map(ToString::to_string).collect();
            let told = ListeningReport { peers: told.iter().map(ToString::to_string).collect(), ..Default::default() };
            let mut found = Findings::default();
            bound(&mut found, &listen, &told);
            levels(&found)
        };
        let (tcp, quic) = ("/ip4/10.0.0.1/tcp/7701/p2p-circuit", "/ip4/10.0.0.1/udp/7701/quic-v1");
        assert_eq!(bound(&[tcp, quic], &["/ip4/0.0.0.0/tcp/7701", "/ip4/0.0.0.0/udp/7701/quic-v1"]), [Level::Ok]);
        assert_eq!(bound(&[tcp], &["/ip4/0.0.0.0/tcp/0"]), [Level::Ok], "any port");
        assert_eq!(bound(&[tcp], &["/ip4/0.0.0.0/udp/7701/quic-v1"]), [Level::Ok, Level::Problem]);
        assert_eq!(bound(&[tcp], &["/ip4/0.0.0.0/udp/0/quic-v1"]), [Level::Ok, Level::Problem]);
        assert_eq!(bound(&[tcp], &["/ip4/0.0.0.0/tcp/7702"]), [Level::Ok, Level::Problem]);
        assert_eq!(bound(&[], &["/ip4/0.0.0.0/tcp/7701"]), [Level::Problem], "said once");
    }

    #[tokio::test]
    async fn silent_closed_and_foreign_listeners_are_told_apart_from_a_node() {
        let answers = |text: &'static str| async move {
            let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
            let address = listener.local_addr().unwrap();
            let task = tokio::spawn(async move {
                let (mut stream, _) = listener.accept().await.unwrap();
                let mut head = [0; QUESTION.len()];
                stream.read_exact(&mut head).await.unwrap();
                stream.write_all(text.as_bytes()).await.unwrap();
            });
            let mut found = Findings::default();
            answering(&mut found, &ListeningReport { api: address.to_string(), ..Default::default() }).await;
            task.await.unwrap();
            levels(&found)
        };
        assert_eq!(answers("HTTP/1.1 200 OK\r\n\r\n{\"status\":\"live\"}").await, [Level::Ok]);
        assert_eq!(answers("HTTP/1.1 200 OK\r\n\r\nhello").await, [Level::Problem]);
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let mut found = Findings::default();
        answering(&mut found, &ListeningReport { metrics: Some(port.to_string()), ..Default::default() }).await;
        assert_eq!(levels(&found), [Level::Problem], "nobody listens there");
    }

    #[test]
    fn a_port_that_is_taken_is_a_problem() {
        let taken = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = taken.local_addr().unwrap();
        let mut config = Config::defaults("/nowhere".into());
        config.listen.clear();
        config.api.listen = address;
        let mut found = Findings::default();
        free(&mut found, &config);
        assert_eq!(levels(&found), [Level::Note, Level::Problem]);
        drop(taken);
    }
}
