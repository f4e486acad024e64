//! At which peers to reserve a place, so that nodes that cannot dial this one reach it: a state machine without IO or clock.
//!
//! A node behind NAT dials others, and nobody can dial it. A peer that *relays* passes connections on to it: the node
//! reserves a place there and tells its address as `<relay>/p2p-circuit/p2p/<node>`. Three things decide.
//!
//! - **How far this node is reached already**: addresses of its own that others have dialled, or tested, or that the
//!   operator vouches for. A relay is of use only where it reaches further: in a local network in which everybody can
//!   dial everybody nothing is reserved among neighbours, and a node with a public address reserves nothing at all.
//! - **Whether it is hidden**: it listens nowhere, a test of an address failed, or nothing was proven for a while.
//! - **Which peers relay**: they say so. A few are enough: two may fail, and the third carries on.
//!
//! A reservation that is refused or ends is asked for again, later each time, at another relay if there is one. A relay
//! that was lost and comes back is asked at once.
//!
//! A reservation is never given back while the connection stands, also where the node has become reachable: libp2p 0.57
//! panics where a listener is closed while its reservation is being renewed. It ends with the connection.

use std::collections::{BTreeMap, BTreeSet};

use griot_protocol::api::Reachability;
use libp2p::{Multiaddr, PeerId};
use rand::{RngExt, SeedableRng, rngs::StdRng};

use super::address::{Scope, scope};

#[cfg(test)]
mod tests;

/// Relays at which a place is reserved at a time. Two may fail, and each further one makes the addresses that this node
/// tells longer.
pub(super) const RELAYS_MAX: usize = 3;

/// How long a node waits for proof that it can be dialled before it takes itself for hidden. Tests of its addresses begin
/// after [`PROBE_INTERVAL`](super::reach::PROBE_INTERVAL) and take some seconds.
const PROOF_WITHIN_MS: u64 = 40_000;

/// The delay after a reservation was refused or ended; it doubles with each failure.
const RETRY_MS: u64 = 5_000;

/// The longest delay. A relay with room for nobody is asked as seldom as this.
const RETRY_MAX_MS: u64 = 10 * 60 * 1000;

/// A reservation that held this long was a success, and its end is no failure.
const STABLE_MS: u64 = 60_000;

/// Addresses of its own that a relay may tell. An address through a relay takes a hundred bytes, and what a node tells of
/// itself must fit the 4 KiB that others read (identify): six relays at most, near and far ones, with five such addresses
/// each leave room for the rest.
pub(super) const CIRCUITS_PER_RELAY_MAX: usize = 4;

/// Addresses of its own that a node keeps account of.
const OWN_MAX: usize = 64;

/// Names one attempt at a reservation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Ticket(u64);

/// A place to reserve now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Reserve {
    pub ticket: Ticket,
    pub relay: PeerId,
    /// Where others reach the relay, without `/p2p/…`.
    pub address: Multiaddr,
}

#[derive(Debug)]
enum Place {
    /// To be asked for at this time, if it is of use.
    Free { at_ms: u64 },
    /// Asked for, or held since `held_ms`, with the addresses that lead through it.
    Taken { ticket: Ticket, held_ms: Option<u64>, circuits: BTreeSet<Multiaddr> },
}

/// A connected peer that relays.
#[derive(Debug)]
struct Relay {
    address: Multiaddr,
    scope: Scope,
    configured: bool,
    failures: u32,
    place: Place,
}

/// See the module.
#[derive(Debug)]
pub(super) struct Relays {
    /// Whether places are reserved at all; if not, only reachability is kept account of.
    reserves: bool,
    rng: StdRng,
    /// Addresses listened on, but for those through relays.
    listens: usize,
    /// Addresses under which others reach this node directly.
    own: BTreeSet<Multiaddr>,
    /// How far those addresses would have reached that others found unreachable.
    failed: BTreeSet<Scope>,
    /// When the first relay was heard of: from then on, proof is waited for.
    waiting_since_ms: Option<u64>,
    relays: BTreeMap<PeerId, Relay>,
    next_ticket: u64,
}

impl Relays {
    pub(super) fn new(reserves: bool, seed: u64) -> Self {
        Self {
            reserves,
            rng: StdRng::seed_from_u64(seed),
            listens: 0,
            own: BTreeSet::new(),
            failed: BTreeSet::new(),
            waiting_since_ms: None,
            relays: BTreeMap::new(),
            next_ticket: 0,
        }
    }

    /// This node listens on so many addresses of its own.
    pub(super) fn listens(&mut self, addresses: usize) {
        self.listens = addresses;
    }

    /// Others reach this node under this address.
    /// Whether that is news.
    pub(super) fn confirmed(&mut self, address: Multiaddr) -> bool {
        scope(&address).is_some() && self.own.len() < OWN_MAX && self.own.insert(address)
    }

    /// This machine may be in another network by now: nothing is known of how it is reached, but for what the operator
    /// vouches for. Returns the addresses that no longer count.
    pub(super) fn moved(&mut self, vouched: &[Multiaddr], now_ms: u64) -> Vec<Multiaddr> {
        self.failed.clear();
        self.waiting_since_ms = self.waiting_since_ms.map(|_| now_ms);
        let own = std::mem::take(&mut self.own);
        let (kept, doubtful): (Vec<_>, Vec<_>) = own.into_iter().partition(|own| vouched.contains(own));
        self.own.extend(kept);
        doubtful
    }

    /// Somebody tried to reach this node under this address, and could not.
    pub(super) fn failed(&mut self, address: &Multiaddr) {
        self.failed.extend(scope(address));
    }

    /// A connected peer relays, and others reach it there.
    pub(super) fn offers(&mut self, peer: PeerId, address: Multiaddr, configured: bool, now_ms: u64) {
        let Some(scope) = scope(&address) else { return };
        self.waiting_since_ms.get_or_insert(now_ms);
        if let Some(relay) = self.relays.get_mut(&peer) {
            (relay.address, relay.scope, relay.configured) = (address, scope, configured);
        } else {
            let place = Place::Free { at_ms: now_ms };
            self.relays.insert(peer, Relay { address, scope, configured, failures: 0, place });
        }
    }

    /// A peer relays no more, or is gone. What it holds for this node ends with the connection.
    pub(super) fn withdrawn(&mut self, peer: &PeerId, is_gone: bool) {
        if is_gone || self.relays.get(peer).is_some_and(|relay| matches!(relay.place, Place::Free { .. })) {
            self.relays.remove(peer);
        }
    }

    /// A place is held: others reach this node at `circuit`. `false` where the relay tells of too many addresses.
    pub(super) fn held(&mut self, ticket: Ticket, circuit: Multiaddr, now_ms: u64) -> bool {
        let Some((_, relay)) = self.by_ticket(ticket) else { return true };
        let Place::Taken { held_ms, circuits, .. } = &mut relay.place else { return true };
        held_ms.get_or_insert(now_ms);
        circuits.insert(circuit);
        circuits.len() <= CIRCUITS_PER_RELAY_MAX
    }

    /// A place was refused, or is held no more.
    pub(super) fn ended(&mut self, ticket: Ticket, now_ms: u64) {
        let jitter = self.rng.random_range(0..=RETRY_MS / 2);
        let Some((_, relay)) = self.by_ticket(ticket) else { return };
        let Place::Taken { held_ms, .. } = relay.place else { return };
        let stable = held_ms.is_some_and(|since| now_ms.saturating_sub(since) >= STABLE_MS);
        relay.failures = if stable { 0 } else { relay.failures.saturating_add(1) };
        let delay = if stable { 0 } else { RETRY_MS << relay.failures.saturating_sub(1).min(16) };
        relay.place = Place::Free { at_ms: now_ms + delay.min(RETRY_MAX_MS) + jitter };
    }

    /// At whom the place of this ticket is.
    pub(super) fn relay_of(&self, ticket: Ticket) -> Option<PeerId> {
        let is_it = |relay: &Relay| matches!(relay.place, Place::Taken { ticket: taken, .. } if taken == ticket);
        self.relays.iter().find(|(_, relay)| is_it(relay)).map(|(peer, _)| *peer)
    }

    /// What to reserve now. The outcome of each is to be told.
    pub(super) fn poll(&mut self, now_ms: u64) -> Vec<Reserve> {
        let mut reserve = Vec::new();
        while let Some(peer) = self.pick(now_ms) {
            let ticket = Ticket(self.next_ticket);
            self.next_ticket += 1;
            let Some(relay) = self.relays.get_mut(&peer) else { break };
            relay.place = Place::Taken { ticket, held_ms: None, circuits: BTreeSet::new() };
            reserve.push(Reserve { ticket, relay: peer, address: relay.address.clone() });
        }
        reserve
    }

    /// Addresses through relays.
    pub(super) fn circuits(&self) -> BTreeSet<Multiaddr> {
        let circuits = self.relays.values().filter_map(|relay| match &relay.place {
            Place::Taken { circuits, .. } => Some(circuits),
            Place::Free { .. } => None,
        });
        circuits.flatten().cloned().collect()
    }

    /// Whether somebody is known to reach this node directly, however near.
    pub(super) fn is_reached(&self) -> bool {
        !self.own.is_empty()
    }

    /// How others reach this node, as far as it knows.
    pub(super) fn reachability(&self) -> Reachability {
        match self.own_scope() {
            Some(Scope::Global) => Reachability::Public,
            _ if !self.circuits().is_empty() => Reachability::Relayed,
            Some(_) => Reachability::Local,
            None if self.listens == 0 || !self.failed.is_empty() => Reachability::Unreachable,
            None => Reachability::Unknown,
        }
    }

    fn own_scope(&self) -> Option<Scope> {
        self.own.iter().filter_map(scope).max()
    }

    fn by_ticket(&mut self, ticket: Ticket) -> Option<(PeerId, &mut Relay)> {
        let peer = self.relay_of(ticket)?;
        self.relays.get_mut(&peer).map(|relay| (peer, relay))
    }

    /// Whether nodes as far away as `wanted` cannot dial this one, as far as it can tell.
    fn is_hidden_from(&self, wanted: Scope, now_ms: u64) -> bool {
        let waited = self.waiting_since_ms.is_some_and(|since| since + PROOF_WITHIN_MS <= now_ms);
        self.own_scope() < Some(wanted) && (self.listens == 0 || self.failed.contains(&wanted) || waited)
    }

    /// One of the relays that reach furthest; among those the operator's first, then those that failed least. By lot
    /// otherwise, so that not all nodes crowd at one relay.
    fn pick(&mut self, now_ms: u64) -> Option<PeerId> {
        if !self.reserves {
            return None;
        }
        let is_due = |relay: &Relay| matches!(relay.place, Place::Free { at_ms } if at_ms <= now_ms);
        let worth = |relay: &Relay| (relay.scope, relay.configured, std::cmp::Reverse(relay.failures));
        let due = || self.relays.iter().filter(|(_, relay)| is_due(relay) && self.is_of_use(relay, now_ms));
        let best = due().map(|(_, relay)| worth(relay)).max()?;
        let equal: Vec<_> = due().filter(|(_, relay)| worth(relay) == best).map(|(peer, _)| *peer).collect();
        equal.get(self.rng.random_range(0..equal.len())).copied()
    }

    /// Relays that reach less far take no place from those that reach further.
    fn is_of_use(&self, relay: &Relay, now_ms: u64) -> bool {
        let taken = |other: &&Relay| matches!(other.place, Place::Taken { .. }) && other.scope >= relay.scope;
        self.is_hidden_from(relay.scope, now_ms) && self.relays.values().filter(taken).count() < RELAYS_MAX
    }
}
