//! Which addresses are worth dialling.
//!
//! A peer tells all the addresses it listens on, also those that mean something only on its own machine or in its own
//! house. An address is taken only where the connection to its owner shows that it can mean the same thing here: a
//! loopback address from a peer on loopback, a private one from a peer on a private network.

use std::net::{Ipv4Addr, Ipv6Addr};

use libp2p::{Multiaddr, PeerId, multiaddr::Protocol};

/// How far an address reaches.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Scope {
    /// Inside one process: the simulator's.
    Memory,
    /// Inside one machine.
    Loopback,
    /// Inside one house, office or carrier.
    Private,
    /// Everywhere. Names count as such.
    Global,
}

/// How far `address` reaches; `None` where it cannot be dialled by this node at all.
pub(super) fn scope(address: &Multiaddr) -> Option<Scope> {
    let mut parts = address.iter();
    let scope = match parts.next()? {
        Protocol::Memory(_) => Some(Scope::Memory),
        Protocol::Ip4(ip) => scope_v4(ip),
        Protocol::Ip6(ip) => scope_v6(ip),
        Protocol::Dnsaddr(_) => {
            return matches!(parts.next(), None | Some(Protocol::P2p(_))).then_some(Scope::Global);
        }
        Protocol::Dns(_) | Protocol::Dns4(_) | Protocol::Dns6(_) => Some(Scope::Global),
        _ => None,
    }?;
    let spoken = match (scope, parts.next()) {
        (Scope::Memory, rest) => return matches!(rest, None | Some(Protocol::P2p(_))).then_some(scope),
        (_, Some(Protocol::Tcp(port))) => port != 0,
        (_, Some(Protocol::Udp(port))) => port != 0 && parts.next() == Some(Protocol::QuicV1),
        _ => false,
    };
    let ended = match parts.next() {
        None => true,
        Some(Protocol::P2p(_)) => parts.next().is_none(),
        Some(_) => false,
    };
    (spoken && ended).then_some(scope)
}

/// Whether an address that a peer tells of itself is worth keeping, given the address it is connected from.
pub(super) fn is_usable(told: &Multiaddr, connected: &Multiaddr) -> bool {
    let Some(told) = scope(told) else { return false };
    // The port an inbound connection comes from does not matter here, only how far it came.
    let Some(connected) = scope(connected) else { return told == Scope::Global };
    match told {
        Scope::Memory | Scope::Loopback => connected == told,
        Scope::Private => matches!(connected, Scope::Loopback | Scope::Private),
        Scope::Global => connected != Scope::Memory,
    }
}

/// Takes `/p2p/…` off the end.
pub(super) fn split_peer(address: &Multiaddr) -> (Multiaddr, Option<PeerId>) {
    let mut bare = address.clone();
    match bare.pop() {
        Some(Protocol::P2p(peer)) => (bare, Some(peer)),
        _ => (address.clone(), None),
    }
}

fn scope_v4(ip: Ipv4Addr) -> Option<Scope> {
    let [a, b, ..] = ip.octets();
    if ip.is_loopback() {
        Some(Scope::Loopback)
    } else if a == 0 || a >= 224 || ip.is_documentation() {
        None
    } else if ip.is_private() || ip.is_link_local() || (a == 100 && (64..128).contains(&b)) {
        Some(Scope::Private)
    } else {
        Some(Scope::Global)
    }
}

fn scope_v6(ip: Ipv6Addr) -> Option<Scope> {
    if let Some(ip) = ip.to_ipv4_mapped() {
        return scope_v4(ip);
    }
    if ip.is_loopback() {
        Some(Scope::Loopback)
    // Link-local addresses mean nothing without a zone, which is different on every machine.
    } else if ip.is_unspecified() || ip.is_multicast() || ip.is_unicast_link_local() {
        None
    } else if ip.is_unique_local() {
        Some(Scope::Private)
    } else {
        Some(Scope::Global)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Multiaddr {
        text.parse().unwrap()
    }

    #[test]
    fn scopes() {
        for (text, expected) in [
            ("/memory/5", Some(Scope::Memory)),
            ("/ip4/127.0.0.1/tcp/7701", Some(Scope::Loopback)),
            ("/ip6/::1/udp/7701/quic-v1", Some(Scope::Loopback)),
            ("/ip4/192.168.1.2/tcp/7701", Some(Scope::Private)),
            ("/ip4/100.64.0.1/tcp/7701", Some(Scope::Private)),
            ("/ip6/fd00::1/tcp/7701", Some(Scope::Private)),
            ("/ip4/8.8.8.8/tcp/7701", Some(Scope::Global)),
            ("/dns4/example.org/tcp/7701", Some(Scope::Global)),
            ("/dnsaddr/example.org", Some(Scope::Global)),
            ("/ip4/0.0.0.0/tcp/7701", None),
            ("/ip4/224.0.0.1/tcp/7701", None),
            ("/ip6/::/tcp/7701", None),
            ("/ip6/fe80::1/tcp/7701", None),
            ("/ip4/8.8.8.8/tcp/0", None),
            ("/ip4/8.8.8.8/udp/7701", None),
            ("/ip4/8.8.8.8/udp/7701/quic", None),
            ("/ip4/8.8.8.8/tcp/7701/ws", None),
            ("/ip4/8.8.8.8", None),
            ("", None),
        ] {
            assert_eq!(scope(&at(text)), expected, "{text}");
        }
    }

    #[test]
    fn a_peer_is_believed_only_as_far_as_it_came() {
        let told = ["/ip4/127.0.0.1/tcp/1", "/ip4/10.0.0.1/tcp/1", "/ip4/8.8.8.8/tcp/1"].map(at);
        let usable = |connected: &str| told.clone().map(|told| is_usable(&told, &at(connected)));
        assert_eq!(usable("/ip4/127.0.0.1/tcp/9"), [true, true, true]);
        assert_eq!(usable("/ip4/192.168.0.9/tcp/9"), [false, true, true]);
        assert_eq!(usable("/ip4/9.9.9.9/tcp/9"), [false, false, true]);
        assert_eq!(usable("/memory/9"), [false, false, false]);
        assert!(is_usable(&at("/memory/1"), &at("/memory/9")));
    }

    #[test]
    fn the_peer_comes_off_the_end() {
        let peer = PeerId::random();
        let full = at("/ip4/8.8.8.8/tcp/1").with(Protocol::P2p(peer));
        assert_eq!(split_peer(&full), (at("/ip4/8.8.8.8/tcp/1"), Some(peer)));
        assert_eq!(split_peer(&at("/ip4/8.8.8.8/tcp/1")), (at("/ip4/8.8.8.8/tcp/1"), None));
        assert_eq!(scope(&full), Some(Scope::Global));
    }
}
