//! Which addresses are worth dialling.
//!
//! A peer tells all the addresses it listens on, also those that mean something only on its own machine or in its own
//! house. An address is taken only where the connection to its owner shows that it can mean the same thing here: a
//! loopback address from a peer on loopback, a private one from a peer on a private network.
//!
//! An address may lead through a relay: `<the relay's address>/p2p/RELAY/p2p-circuit/p2p/PEER`. It reaches as far as the
//! relay's does.

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
    let (scope, named) = match parts.next()? {
        Protocol::Memory(_) => (Scope::Memory, true),
        Protocol::Ip4(ip) => (scope_v4(ip)?, false),
        Protocol::Ip6(ip) => (scope_v6(ip)?, false),
        // The port is where the name leads.
        Protocol::Dnsaddr(_) => (Scope::Global, true),
        Protocol::Dns(_) | Protocol::Dns4(_) | Protocol::Dns6(_) => (Scope::Global, false),
        _ => return None,
    };
    let spoken = named
        || match parts.next() {
            Some(Protocol::Tcp(port)) => port != 0,
            Some(Protocol::Udp(port)) => port != 0 && parts.next() == Some(Protocol::QuicV1),
            _ => false,
        };
    (spoken && ends_well(parts)).then_some(scope)
}

/// What may follow: nothing, or who answers there, and whom it reaches for others.
fn ends_well<'a>(mut parts: impl Iterator<Item = Protocol<'a>>) -> bool {
    match (parts.next(), parts.next()) {
        (None, _) | (Some(Protocol::P2p(_)), None) => true,
        (Some(Protocol::P2p(_)), Some(Protocol::P2pCircuit)) => {
            matches!(parts.next(), None | Some(Protocol::P2p(_))) && parts.next().is_none()
        }
        _ => false,
    }
}

/// Whether the operator can mean it: it can be dialled, and where it leads through a relay it says to whom.
pub(super) fn is_complete(address: &Multiaddr) -> bool {
    scope(address).is_some() && address.iter().last() != Some(Protocol::P2pCircuit)
}

/// Whether it leads through a relay.
pub(super) fn is_relayed(address: &Multiaddr) -> bool {
    address.iter().any(|part| part == Protocol::P2pCircuit)
}

/// Whether an address that a peer tells of itself is worth keeping, given the address it is connected from.
pub(super) fn is_usable(told: &Multiaddr, connected: &Multiaddr) -> bool {
    let through_relay = is_relayed(told);
    let Some(told) = scope(told) else { return false };
    // Whoever comes through a relay may be in another house than the relay.
    if is_relayed(connected) && !through_relay {
        return told == Scope::Global;
    }
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
            ("/dnsaddr/example.org/tcp/1", None),
            ("/p2p-circuit", None),
            ("/ip4/8.8.8.8/tcp/7701/p2p-circuit", None),
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

    #[test]
    fn an_address_through_a_relay_reaches_as_far_as_the_relay() {
        let [relay, peer] = [PeerId::random(), PeerId::random()];
        let through = |relay_at: &str| at(&format!("{relay_at}/p2p/{relay}/p2p-circuit"));
        for (relay_at, expected) in [
            ("/ip4/8.8.8.8/tcp/1", Some(Scope::Global)),
            ("/dns4/example.org/udp/1/quic-v1", Some(Scope::Global)),
            ("/ip4/10.0.0.1/tcp/1", Some(Scope::Private)),
            ("/memory/1", Some(Scope::Memory)),
            ("/ip4/0.0.0.0/tcp/1", None),
        ] {
            let bare = through(relay_at);
            let full = bare.clone().with(Protocol::P2p(peer));
            assert_eq!((scope(&bare), scope(&full)), (expected, expected), "{relay_at}");
            assert_eq!((is_complete(&bare), is_complete(&full)), (false, expected.is_some()));
            assert!(is_relayed(&bare) && !is_relayed(&at(relay_at)));
            assert_eq!(split_peer(&full), (bare, Some(peer)));
        }
        // One relay, not two.
        let twice = through("/ip4/8.8.8.8/tcp/1").with(Protocol::P2p(peer)).with(Protocol::P2pCircuit);
        assert_eq!(scope(&twice), None);
    }

    #[test]
    fn whoever_comes_through_a_relay_may_live_in_another_house() {
        let relay = PeerId::random();
        let connected = at(&format!("/ip4/10.0.0.1/tcp/1/p2p/{relay}/p2p-circuit"));
        assert!(!is_usable(&at("/ip4/10.0.0.7/tcp/1"), &connected));
        assert!(is_usable(&at("/ip4/8.8.8.8/tcp/1"), &connected));
        assert!(is_usable(&at(&format!("/ip4/10.0.0.2/tcp/1/p2p/{relay}/p2p-circuit")), &connected));
        assert!(!is_usable(&at(&format!("/ip4/127.0.0.1/tcp/1/p2p/{relay}/p2p-circuit")), &connected));
    }
}
