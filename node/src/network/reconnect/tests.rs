//! Stories of reconnecting, in virtual time.

use super::{retry::FIRST_DELAY_MS, *};

const CAP_MS: u64 = 15_000;

fn policy() -> Policy {
    Policy { wanted: 4, delay_max_ms: CAP_MS, discovery: true }
}

fn peer(n: u8) -> PeerId {
    crate::identity::Identity::from_bytes(&[n; 32]).unwrap().peer_id()
}

fn at(n: u8) -> Multiaddr {
    format!("/ip4/10.0.0.{n}/tcp/7701").parse().unwrap()
}

fn full(n: u8) -> Multiaddr {
    at(n).with_p2p(peer(n)).unwrap()
}

fn seen(n: u8, seen_at: u64) -> RememberedPeer {
    RememberedPeer { peer_id: peer(n).to_string(), addresses: vec![at(n).to_string()], seen_at: Timestamp(seen_at) }
}

fn reconnect(configured: &[Multiaddr], remembered: &[RememberedPeer]) -> Reconnect {
    Reconnect::new(policy(), peer(0), configured, remembered, 7)
}

fn only(mut dials: Vec<Dial>) -> Dial {
    assert_eq!(dials.len(), 1, "{dials:?}");
    dials.remove(0)
}

#[test]
fn a_dead_configured_peer_is_dialled_for_ever_and_never_later_than_the_cap() {
    let mut state = reconnect(&[full(1)], &[]);
    let (mut now, mut waits) = (0, Vec::new());
    for _ in 0..200 {
        let dial = only(state.poll(now));
        assert_eq!((dial.peer, &dial.addresses), (Some(peer(1)), &vec![at(1)]));
        assert!(state.poll(now).is_empty(), "one dial at a time");
        state.failed(dial.id, Failure::Unreachable, "no answer", now);
        let next = state.next_ms().unwrap();
        assert!(state.poll(next - 1).is_empty());
        waits.push(next - now);
        now = next;
    }
    assert!(waits[0] <= 500);
    assert!(waits.iter().all(|wait| *wait <= CAP_MS));
    let late = &waits[10..];
    assert!(late.iter().all(|wait| *wait >= CAP_MS / 2));
    assert!(late.iter().min() != late.iter().max(), "there is jitter");
}

#[test]
fn success_resets_the_delay_but_a_flapping_connection_does_not() {
    let mut state = reconnect(&[full(1)], &[]);
    let mut now = 0;
    for _ in 0..8 {
        let dial = only(state.poll(now));
        state.failed(dial.id, Failure::Unreachable, "no answer", now);
        now = state.next_ms().unwrap();
    }
    let dial = only(state.poll(now));
    state.dialled(dial.id, peer(1));
    state.connected(peer(1), now);
    assert_eq!(state.next_ms(), None);
    assert!(state.poll(now + 3_600_000).is_empty(), "connected is satisfied");

    state.disconnected(&peer(1), now + STABLE_MS - 1);
    let flapped = state.next_ms().unwrap() - (now + STABLE_MS - 1);
    assert!(flapped >= CAP_MS / 2);

    now = state.next_ms().unwrap();
    let dial = only(state.poll(now));
    state.dialled(dial.id, peer(1));
    state.connected(peer(1), now);
    now += STABLE_MS;
    state.disconnected(&peer(1), now);
    assert!(state.next_ms().unwrap() - now <= FIRST_DELAY_MS);
}

#[test]
fn an_address_without_a_peer_id_learns_it_and_accepts_a_new_one() {
    let mut state = reconnect(&[at(1)], &[]);
    assert!(!state.is_configured(&peer(1)));
    let dial = only(state.poll(0));
    assert_eq!(dial.peer, None);
    state.dialled(dial.id, peer(1));
    state.connected(peer(1), 0);
    assert!(state.is_configured(&peer(1)));
    assert!(state.poll(60_000).is_empty());
    state.disconnected(&peer(1), 60_000);
    let dial = only(state.poll(state.next_ms().unwrap()));
    assert_eq!(dial.peer, None, "whoever answers there now");
    state.dialled(dial.id, peer(2));
    state.connected(peer(2), 61_000);
    assert!(state.is_configured(&peer(2)));
    assert!(state.poll(90_000).is_empty());
}

#[test]
fn several_addresses_of_one_peer_are_one_target() {
    let other: Multiaddr = format!("/ip4/10.0.0.9/udp/7701/quic-v1/p2p/{}", peer(1)).parse().unwrap();
    let mut state = reconnect(&[full(1), other.clone(), full(1)], &[]);
    let dial = only(state.poll(0));
    assert_eq!(dial.addresses, [at(1), split_peer(&other).0]);
}

#[test]
fn oneself_is_never_dialled_twice() {
    // By the peer id in the address, at once; by what the dial meets, after the first.
    let mut state = reconnect(&[full(0)], &[seen(0, 1)]);
    assert!(state.poll(0).is_empty());
    let mut state = reconnect(&[at(5)], &[]);
    let dial = only(state.poll(0));
    state.failed(dial.id, Failure::Myself, "no answer", 0);
    assert_eq!(state.next_ms(), None);
    assert!(state.poll(3_600_000).is_empty());
    state.discovered(peer(0), vec![at(0)], 0);
    assert!(state.poll(3_600_000).is_empty());
}

#[test]
fn remembered_peers_stand_in_for_a_dead_bootstrap() {
    let mut state = reconnect(&[full(1)], &[seen(2, 20), seen(3, 30)]);
    let dials = state.poll(0);
    let peers: Vec<_> = dials.iter().map(|dial| dial.peer).collect();
    assert_eq!(peers[0], Some(peer(1)));
    assert!(peers.contains(&Some(peer(2))) && peers.contains(&Some(peer(3))));
    state.failed(dials[0].id, Failure::Unreachable, "no answer", 1_000);
    for dial in &dials[1..] {
        state.dialled(dial.id, dial.peer.unwrap());
        state.connected(dial.peer.unwrap(), 1_000);
    }
    assert_eq!(only(state.poll(state.next_ms().unwrap())).peer, Some(peer(1)), "and it is still tried");
}

#[test]
fn known_peers_are_dialled_only_up_to_what_is_wanted() {
    let remembered: Vec<_> = (1..=20).map(|n| seen(n, u64::from(n))).collect();
    let mut state = reconnect(&[], &remembered);
    let dials = state.poll(0);
    assert_eq!(dials.len(), 4, "wanted, and dials at a time");
    assert_eq!(state.next_ms(), Some(DIAL_LOST_MS), "nothing more until these are settled");
    for dial in &dials[..3] {
        state.dialled(dial.id, dial.peer.unwrap());
        state.connected(dial.peer.unwrap(), 0);
    }
    state.failed(dials[3].id, Failure::Unreachable, "no answer", 0);
    let dial = only(state.poll(0));
    assert!(dials.iter().all(|tried| tried.peer != dial.peer), "an untried one comes before one that failed");
    state.dialled(dial.id, dial.peer.unwrap());
    state.connected(dial.peer.unwrap(), 0);
    assert_eq!(state.next_ms(), None);
}

#[test]
fn without_discovery_only_configured_peers_are_dialled() {
    let policy = Policy { discovery: false, ..policy() };
    let mut state = Reconnect::new(policy, peer(0), &[full(1)], &[seen(2, 1)], 7);
    state.discovered(peer(3), vec![at(3)], 0);
    assert_eq!(only(state.poll(0)).peer, Some(peer(1)));
    assert!(state.poll(60_000).is_empty());
    // It does not forget what it knew, for the day discovery is switched on again.
    assert_eq!(state.remembered(Timestamp(9)).len(), 1);
}

#[test]
fn avoided_peers_are_left_alone_for_a_while() {
    let mut state = reconnect(&[full(1)], &[seen(2, 1)]);
    state.avoid(peer(1), 60_000, "test");
    state.avoid(peer(2), 60_000, "test");
    state.discovered(peer(2), vec![at(2)], 0);
    assert!(state.poll(59_999).is_empty());
    assert_eq!(state.next_ms(), Some(60_000));
    assert_eq!(only(state.poll(60_000)).peer, Some(peer(1)));
    assert!(!state.is_avoided(&peer(1), 60_000));
}

#[test]
fn discovered_peers_that_never_answer_are_forgotten() {
    let mut state = reconnect(&[], &[]);
    state.discovered(peer(1), vec![full(1)], 0);
    let mut now = 0;
    for _ in 0..DISCOVERED_FAILURES_MAX {
        let dial = only(state.poll(now));
        assert_eq!(dial.addresses, [at(1)]);
        state.failed(dial.id, Failure::Unreachable, "no answer", now);
        now = state.next_ms().unwrap_or(now);
    }
    assert_eq!(state.next_ms(), None);
    assert!(state.remembered(Timestamp(1)).is_empty());
}

#[test]
fn what_is_remembered_is_what_was_once_connected_newest_first() {
    let mut state = reconnect(&[], &[seen(1, 10)]);
    state.discovered(peer(2), vec![at(2)], 0);
    state.connected(peer(3), 0);
    state.confirmed(peer(3), vec![at(3)], Timestamp(40));
    let peers = state.remembered(Timestamp(50));
    let expected = [(peer(3), 50), (peer(1), 10)].map(|(peer, at)| (peer.to_string(), Timestamp(at)));
    assert_eq!(peers.into_iter().map(|peer| (peer.peer_id, peer.seen_at)).collect::<Vec<_>>(), expected);
}

#[test]
fn everything_is_bounded() {
    let mut state = reconnect(&[], &[]);
    for n in 0..3 * KNOWN_MAX as u32 {
        let mut bytes = [1; 32];
        bytes[..4].copy_from_slice(&n.to_le_bytes());
        let peer = crate::identity::Identity::from_bytes(&bytes).unwrap().peer_id();
        state.discovered(peer, (0..20).map(at).collect(), 0);
        state.avoid(PeerId::random(), u64::from(n) + 1, "test");
    }
    assert_eq!(state.known.len(), KNOWN_MAX);
    assert!(state.known.values().all(|known| known.addresses.len() <= PEER_ADDRESSES_MAX));
    assert!(state.avoided.len() <= AVOIDED_MAX);
}

#[test]
fn a_dial_of_which_nothing_is_heard_is_given_up() {
    let mut state = reconnect(&[full(1)], &[]);
    let first = only(state.poll(0));
    assert_eq!(state.next_ms(), Some(DIAL_LOST_MS));
    state.poll(DIAL_LOST_MS);
    let second = only(state.poll(state.next_ms().unwrap()));
    assert_ne!(first.id, second.id);
    state.failed(first.id, Failure::Unreachable, "no answer", DIAL_LOST_MS);
    assert_eq!(state.configured[0].dial, Some(second.id), "a late answer to a lost dial changes nothing");
}

#[test]
fn those_that_should_be_here_and_are_not_are_listed_with_what_is_known() {
    use griot_protocol::api::PeerState;

    let by_address: Multiaddr = at(9);
    let mut state = reconnect(&[full(1), full(2), by_address, full(0)], &[seen(3, 30), seen(4, 40), seen(1, 5)]);
    let list = |state: &Reconnect, now| {
        let peers = state.absent(now, |peer| state.connected.contains_key(peer) && *peer != self::peer(5));
        let short = |info: griot_protocol::api::PeerInfo| {
            assert!(!info.connected && !info.addresses.is_empty());
            (info.peer_id.parse::<PeerId>().ok(), info.configured, info.state, info.next_try_seconds)
        };
        peers.into_iter().map(short).collect::<Vec<_>>()
    };
    let waits = |seconds| (PeerState::Waiting, Some(seconds));
    let line = |n: u8, configured, (state, next): (PeerState, Option<u64>)| (Some(peer(n)), configured, state, next);
    let nobody = (None, true, PeerState::Waiting, Some(0));
    // Oneself is no peer; whoever is configured is not listed as remembered too; the last seen comes first.
    let all = [line(1, true, waits(0)), line(2, true, waits(0)), nobody];
    assert_eq!(list(&state, 0), [&all[..], &[line(4, false, waits(0)), line(3, false, waits(0))]].concat());
    assert_eq!(state.absent(0, |_| false)[0].last_seen, Some(Timestamp(5)));

    let dials = state.poll(0);
    assert!(list(&state, 0).iter().all(|line| line.2 == PeerState::Dialling && line.3.is_none()));
    let dial = |n: u8| dials.iter().find(|dial| dial.peer == Some(peer(n))).unwrap().id;
    state.failed(dial(1), Failure::Unreachable, "refused\u{1b}[2J", 0);
    let info = &state.absent(0, |_| false)[0];
    assert_eq!((info.state, info.next_try_seconds, info.failures), (PeerState::Waiting, Some(1), 1));
    assert_eq!(info.last_error.as_deref(), Some("refused[2J"), "nothing that could steer a terminal");

    // Connected, it is not missing; gone again, it is, and what went wrong before is forgotten.
    state.connected(peer(1), 0);
    assert!(list(&state, 0).iter().all(|line| line.0 != Some(peer(1))));
    state.disconnected(&peer(1), 60_000);
    let info = &state.absent(60_000, |_| false)[0];
    assert_eq!((info.state, info.failures, &info.last_error), (PeerState::Waiting, 0, &None));
    // A connection that the other side closes at once is a failure too.
    state.connected(peer(1), 60_000);
    state.disconnected(&peer(1), 60_100);
    let info = &state.absent(60_100, |_| false)[0];
    assert_eq!((info.failures, info.last_error.as_deref()), (1, Some(BROKEN_AT_ONCE)));

    // Left alone, with the reason. A remembered one that is avoided is remembered no more.
    state.connected(peer(2), 60_000);
    state.avoid(peer(2), 90_500, "it is of another network");
    state.disconnected(&peer(2), 60_000);
    state.avoid(peer(3), 90_500, "it is of another network");
    let info = &state.absent(60_000, |_| false)[1];
    assert_eq!((info.state, info.next_try_seconds), (PeerState::Avoided, Some(31)));
    assert_eq!(info.last_error.as_deref(), Some("it is of another network"));
    assert!(list(&state, 60_000).iter().all(|line| line.0 != Some(peer(3))));

    // With as many as are wanted, remembered ones are left in peace.
    state.failed(dial(4), Failure::Unreachable, "refused", 60_000);
    for n in 10..14 {
        state.connected(peer(n), 60_000);
    }
    assert_eq!(list(&state, 60_000).last(), Some(&(Some(peer(4)), false, PeerState::Idle, None)));
    // A connection whose other end has not said who it is counts as being dialled.
    let mut state = reconnect(&[full(5)], &[]);
    state.connected(peer(5), 0);
    assert_eq!(list(&state, 0), [line(5, true, (PeerState::Dialling, None))]);
}

#[test]
fn a_peer_that_is_left_alone_for_a_while_is_dialled_when_the_while_is_over() {
    const WHILE_MS: u64 = 60_000;
    let mut state = reconnect(&[], &[]);
    state.avoid(peer(1), WHILE_MS, "it was silent");
    // It came by itself, said where it lives, and went again.
    state.connected(peer(1), 0);
    state.confirmed(peer(1), vec![at(1)], Timestamp(1));
    state.disconnected(&peer(1), STABLE_MS);
    assert_eq!(state.next_ms(), Some(WHILE_MS));
    assert!(state.poll(WHILE_MS - 1).is_empty());
    assert_eq!(only(state.poll(WHILE_MS)).peer, Some(peer(1)));
}
