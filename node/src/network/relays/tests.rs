use libp2p::identity::Keypair;

use super::*;

const GLOBAL: &str = "/ip4/8.8.8.8/tcp/7701";
const PRIVATE: &str = "/ip4/10.0.0.9/tcp/7701";

fn at(text: &str) -> Multiaddr {
    text.parse().unwrap()
}

fn peer(n: u8) -> PeerId {
    Keypair::ed25519_from_bytes([n; 32]).unwrap().public().to_peer_id()
}

fn circuit(n: usize) -> Multiaddr {
    at(&format!("/ip4/8.8.8.8/tcp/{}/p2p/{}/p2p-circuit/p2p/{}", n + 1, peer(1), peer(99)))
}

/// A node that a test has shown to be hidden.
fn hidden() -> Relays {
    let mut relays = Relays::new(true, 1);
    relays.listens(2);
    relays.failed(&at("/ip4/9.9.9.9/tcp/7701"));
    relays
}

fn offer(relays: &mut Relays, peers: std::ops::RangeInclusive<u8>, address: &str, now_ms: u64) {
    for n in peers {
        relays.offers(peer(n), at(address), false, now_ms);
    }
}

#[test]
fn a_hidden_node_reserves_at_a_few_relays_and_no_more() {
    let mut relays = hidden();
    assert!(relays.poll(0).is_empty(), "nobody relays");
    assert_eq!(relays.reachability(), Reachability::Unreachable);
    offer(&mut relays, 1..=9, GLOBAL, 0);
    let reserved = relays.poll(0);
    assert_eq!(reserved.len(), RELAYS_MAX);
    assert!(relays.poll(1_000_000).is_empty());
    assert!(relays.held(reserved[0].ticket, circuit(0), 5));
    assert_eq!(relays.reachability(), Reachability::Relayed);
    assert_eq!(relays.circuits().into_iter().collect::<Vec<_>>(), [circuit(0)]);
    // One relay is lost, another takes its place; what is heard of the lost one later changes nothing.
    relays.withdrawn(&reserved[0].relay, true);
    let [instead] = <[Reserve; 1]>::try_from(relays.poll(10)).unwrap();
    assert_ne!(instead.relay, reserved[0].relay);
    relays.ended(reserved[0].ticket, 11);
    assert!(relays.poll(1_000_000).is_empty());
    assert_eq!(relays.reachability(), Reachability::Unreachable, "no place is held yet");
}

#[test]
fn whoever_can_be_dialled_reserves_nothing() {
    let mut relays = hidden();
    relays.confirmed(at(GLOBAL));
    offer(&mut relays, 1..=4, GLOBAL, 0);
    assert!(relays.poll(u64::MAX / 2).is_empty());
    assert_eq!(relays.reachability(), Reachability::Public);
    assert!(relays.moved(&[at(GLOBAL)], 0).is_empty(), "the operator vouches for it");
    assert_eq!(relays.moved(&[], 5), [at(GLOBAL)]);
    assert_eq!(relays.reachability(), Reachability::Unknown);
    assert!(relays.poll(5 + PROOF_WITHIN_MS - 1).is_empty(), "it may be reached here as well");
    assert_eq!(relays.poll(5 + PROOF_WITHIN_MS).len(), RELAYS_MAX);
    let mut off = Relays::new(false, 1);
    offer(&mut off, 1..=4, GLOBAL, 0);
    assert!(off.poll(u64::MAX / 2).is_empty(), "the operator does not want relays");
}

#[test]
fn a_relay_is_of_use_only_where_it_reaches_further_than_the_node_itself() {
    let mut relays = hidden();
    relays.failed(&at(PRIVATE));
    offer(&mut relays, 1..=3, PRIVATE, 0);
    assert_eq!(relays.poll(0).len(), 3, "neighbours in other houses may have only this way");
    offer(&mut relays, 4..=9, GLOBAL, 0);
    let far = relays.poll(0);
    assert_eq!(far.len(), RELAYS_MAX, "relays nearby take no place from those that reach further");
    assert!(far.iter().all(|reserve| reserve.address == at(GLOBAL)));

    let mut relays = hidden();
    relays.confirmed(at("/ip4/10.0.0.1/tcp/7701"));
    assert_eq!(relays.reachability(), Reachability::Local);
    offer(&mut relays, 1..=3, PRIVATE, 0);
    assert!(relays.poll(u64::MAX / 2).is_empty());
    offer(&mut relays, 4..=4, GLOBAL, 0);
    assert_eq!(relays.poll(0).len(), 1);
}

#[test]
fn proof_is_waited_for_unless_there_is_nothing_to_prove() {
    let mut relays = Relays::new(true, 1);
    relays.listens(1);
    offer(&mut relays, 1..=1, GLOBAL, 7);
    assert_eq!(relays.reachability(), Reachability::Unknown);
    assert!(relays.poll(7 + PROOF_WITHIN_MS - 1).is_empty());
    assert_eq!(relays.poll(7 + PROOF_WITHIN_MS).len(), 1);

    let mut relays = Relays::new(true, 1);
    offer(&mut relays, 1..=1, GLOBAL, 7);
    assert_eq!(relays.poll(7).len(), 1, "it listens nowhere");
    assert_eq!(relays.reachability(), Reachability::Unreachable);
}

#[test]
fn refused_reservations_are_asked_for_later_each_time_and_a_relay_that_comes_back_at_once() {
    let mut relays = hidden();
    offer(&mut relays, 1..=1, GLOBAL, 0);
    let mut now = 0;
    let mut waits = Vec::new();
    for _ in 0..12 {
        let [reserve] = <[Reserve; 1]>::try_from(relays.poll(now)).unwrap();
        relays.ended(reserve.ticket, now);
        let wait = (0..).map(|step| step * 500).find(|wait| !relays_would_wait(&relays, now + wait)).unwrap();
        waits.push(wait);
        now += wait;
    }
    assert!((RETRY_MS..=2 * RETRY_MS).contains(&waits[0]), "{waits:?}");
    assert!(waits.iter().all(|wait| *wait <= RETRY_MAX_MS + RETRY_MS), "{waits:?}");
    assert!(waits[11] >= RETRY_MAX_MS, "{waits:?}");
    relays.withdrawn(&peer(1), true);
    offer(&mut relays, 1..=1, GLOBAL, now);
    let [reserve] = <[Reserve; 1]>::try_from(relays.poll(now)).unwrap();
    // One that held long enough was a success.
    assert!(relays.held(reserve.ticket, circuit(0), now));
    now += STABLE_MS;
    relays.ended(reserve.ticket, now);
    assert!(relays.circuits().is_empty());
    assert_eq!(relays.poll(now + RETRY_MS / 2).len(), 1);
}

fn relays_would_wait(relays: &Relays, now_ms: u64) -> bool {
    relays.relays.values().all(|relay| matches!(relay.place, Place::Free { at_ms } if at_ms > now_ms))
}

#[test]
fn the_operators_relays_come_first_and_those_that_failed_last() {
    let mut relays = hidden();
    offer(&mut relays, 1..=8, GLOBAL, 0);
    relays.offers(peer(9), at(GLOBAL), true, 0);
    let first = relays.poll(0);
    assert_eq!(first[0].relay, peer(9));
    relays.ended(first[1].ticket, 0);
    let instead = relays.poll(u64::MAX / 2);
    assert_eq!(instead.len(), 1);
    assert_ne!(instead[0].relay, first[1].relay);
    // One that relays no more is not asked again, and keeps what it has given.
    relays.withdrawn(&first[0].relay, false);
    assert_eq!(relays.relay_of(first[0].ticket), Some(peer(9)));
    relays.withdrawn(&first[1].relay, false);
    assert!(!relays.relays.contains_key(&first[1].relay));
}

#[test]
fn a_relay_that_tells_of_too_many_addresses_is_found_out() {
    let mut relays = hidden();
    offer(&mut relays, 1..=1, GLOBAL, 0);
    let ticket = relays.poll(0)[0].ticket;
    for n in 0..CIRCUITS_PER_RELAY_MAX {
        assert!(relays.held(ticket, circuit(n), 0));
        assert!(relays.held(ticket, circuit(n), 0), "telling it again is no harm");
    }
    assert!(!relays.held(ticket, circuit(CIRCUITS_PER_RELAY_MAX), 0));
}
