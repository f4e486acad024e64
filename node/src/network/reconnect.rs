//! Whom to dial, and when: a state machine without IO or clock.
//!
//! There are two sorts of targets.
//!
//! - **Configured** addresses (`--peer`) are dialled for as long as the node lives and their peer is not connected. The
//!   delay doubles from half a second up to a bound (15 s by default), with jitter, so that a whole village does not
//!   knock at the same moment when the line comes back.
//! - **Known** peers, remembered from before or discovered now, are dialled only while fewer peers are connected than
//!   wanted, a few at a time, those first that failed least. This is how a node finds its network again when every
//!   configured peer is dead.
//!
//! Times are milliseconds of a clock that never goes back. Randomness is given.

use std::{cell::Cell, collections::BTreeMap};

use griot_protocol::Timestamp;
use libp2p::{Multiaddr, PeerId};
use rand::{RngExt, SeedableRng, rngs::StdRng};

use self::retry::{Retry, delay};
use super::address::split_peer;
use crate::store::{PEER_ADDRESSES_MAX, REMEMBERED_PEERS_MAX, RememberedPeer};

mod absent;
mod retry;
#[cfg(test)]
mod tests;

/// A connection that held this long was a success; one that broke earlier counts as a failure.
const STABLE_MS: u64 = 10_000;

/// What is said of one that broke earlier.
const BROKEN_AT_ONCE: &str =
    "the connection broke within ten seconds of being made: the other side may keep this node out";

/// Known peers dialled at a time.
const KNOWN_DIALS_MAX: usize = 4;

/// A discovered peer that was never reached is forgotten after so many failures.
const DISCOVERED_FAILURES_MAX: u32 = 6;

/// Known peers: those remembered, and as many discovered.
const KNOWN_MAX: usize = 2 * REMEMBERED_PEERS_MAX;

/// Peers avoided at a time; when there are more, the first to be forgiven goes.
const AVOIDED_MAX: usize = 1024;

/// A dial of which nothing was heard for so long has failed.
const DIAL_LOST_MS: u64 = 120_000;

/// Names a dial until its outcome is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct DialId(u64);

/// Something to dial now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Dial {
    pub id: DialId,
    /// Who should answer, if that is known.
    pub peer: Option<PeerId>,
    /// Where. Exactly one where `peer` is not known.
    pub addresses: Vec<Multiaddr>,
}

/// Why a dial failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Failure {
    /// Nobody answered, or it was turned away.
    Unreachable,
    /// The address is this node's own.
    Myself,
    /// Another dial to the peer is under way, or it has just connected.
    Underway,
}

/// What is wanted.
#[derive(Clone, Copy, Debug)]
pub(super) struct Policy {
    /// Connected peers beyond which known peers are left alone.
    pub wanted: usize,
    /// The longest delay.
    pub delay_max_ms: u64,
    /// Whether known peers are dialled at all.
    pub discovery: bool,
}

#[derive(Debug)]
struct Configured {
    /// Who lives there: given with the address, or learned.
    peer: Option<PeerId>,
    /// Whether it was given.
    given: bool,
    addresses: Vec<Multiaddr>,
    retry: Retry,
    dial: Option<DialId>,
}

#[derive(Debug)]
struct Known {
    addresses: Vec<Multiaddr>,
    /// When it was last connected; `None` where it was only heard of.
    seen_at: Option<Timestamp>,
    retry: Retry,
    dial: Option<DialId>,
}

#[derive(Clone, Copy, Debug)]
enum Target {
    Configured(usize),
    Known(PeerId),
}

/// See the module.
#[derive(Debug)]
pub(super) struct Reconnect {
    policy: Policy,
    me: PeerId,
    rng: StdRng,
    configured: Vec<Configured>,
    known: BTreeMap<PeerId, Known>,
    /// Since when.
    connected: BTreeMap<PeerId, u64>,
    /// Until when.
    avoided: BTreeMap<PeerId, u64>,
    /// What is being dialled, since when.
    dials: BTreeMap<DialId, (Target, u64)>,
    next_dial: u64,
    /// What [`next_ms`](Self::next_ms) last found, until anything changes. It is asked at every message, and finding it
    /// anew looks at all known peers.
    next: Cell<Option<Option<u64>>>,
}

impl Reconnect {
    pub(super) fn new(
        policy: Policy,
        me: PeerId,
        configured: &[Multiaddr],
        remembered: &[RememberedPeer],
        seed: u64,
    ) -> Self {
        let mut this = Self {
            policy,
            me,
            rng: StdRng::seed_from_u64(seed),
            configured: Vec::new(),
            known: BTreeMap::new(),
            connected: BTreeMap::new(),
            avoided: BTreeMap::new(),
            dials: BTreeMap::new(),
            next_dial: 0,
            next: Cell::new(None),
        };
        for address in configured {
            this.configure(address);
        }
        for peer in remembered.iter().take(REMEMBERED_PEERS_MAX) {
            let addresses = peer.addresses.iter().filter_map(|text| text.parse().ok());
            let addresses: Vec<Multiaddr> = addresses.take(PEER_ADDRESSES_MAX).collect();
            if let Ok(id) = peer.peer_id.parse::<PeerId>()
                && id != me
                && !addresses.is_empty()
            {
                let seen_at = Some(peer.seen_at);
                this.known.insert(id, Known { addresses, seen_at, retry: Retry::default(), dial: None });
            }
        }
        this
    }

    /// Several addresses of one peer are one target.
    fn configure(&mut self, address: &Multiaddr) {
        let (bare, peer) = split_peer(address);
        if peer == Some(self.me) {
            return;
        }
        let same = self.configured.iter_mut().find(|target| target.given && target.peer == peer);
        match same {
            Some(target) if !target.addresses.contains(&bare) => target.addresses.push(bare),
            Some(_) => {}
            None => self.configured.push(Configured {
                peer,
                given: peer.is_some(),
                addresses: vec![bare],
                retry: Retry::default(),
                dial: None,
            }),
        }
    }

    /// Whether the operator asked for this peer.
    pub(super) fn is_configured(&self, peer: &PeerId) -> bool {
        self.configured.iter().any(|target| target.peer.as_ref() == Some(peer))
    }

    pub(super) fn is_avoided(&self, peer: &PeerId, now_ms: u64) -> bool {
        self.avoided.get(peer).is_some_and(|until| *until > now_ms)
    }

    /// What to dial now. Every dial's outcome is to be told.
    pub(super) fn poll(&mut self, now_ms: u64) -> Vec<Dial> {
        if self.next_ms().is_none_or(|at| at > now_ms) {
            return Vec::new();
        }
        self.next.set(None);
        self.avoided.retain(|_, until| *until > now_ms);
        self.give_up_lost_dials(now_ms);
        let mut due = Vec::new();
        for index in 0..self.configured.len() {
            if self.configured_at(index).is_some_and(|at| at <= now_ms) {
                let id = self.dial_id(Target::Configured(index), now_ms);
                let target = &mut self.configured[index];
                target.dial = Some(id);
                // An address without a peer id is dialled for whoever answers there: it may have a new key by now.
                let peer = target.peer.filter(|_| target.given);
                due.push(Dial { id, peer, addresses: target.addresses.clone() });
            }
        }
        while self.has_room_for_known() {
            let Some(peer) = self.pick_known(now_ms) else { break };
            let id = self.dial_id(Target::Known(peer), now_ms);
            let Some(known) = self.known.get_mut(&peer) else { break };
            known.dial = Some(id);
            due.push(Dial { id, peer: Some(peer), addresses: known.addresses.clone() });
        }
        due
    }

    /// When [`poll`](Self::poll) will next have something, if nothing else happens.
    pub(super) fn next_ms(&self) -> Option<u64> {
        let next = self.next.get().unwrap_or_else(|| self.find_next_ms());
        debug_assert_eq!(next, self.find_next_ms(), "a change was not noted");
        self.next.set(Some(next));
        next
    }

    fn find_next_ms(&self) -> Option<u64> {
        let configured = (0..self.configured.len()).filter_map(|index| self.configured_at(index));
        let lost = self.dials.values().map(|(_, since)| since + DIAL_LOST_MS);
        let known = self.has_room_for_known().then(|| self.known_waiting().map(|(_, _, at)| at).min());
        configured.chain(lost).chain(known.flatten()).min()
    }

    /// A dial reached a peer.
    pub(super) fn dialled(&mut self, id: DialId, peer: PeerId) {
        match self.finish(id) {
            Some(Target::Configured(index)) => {
                if let Some(target) = self.configured.get_mut(index)
                    && !target.given
                {
                    target.peer = Some(peer);
                }
            }
            Some(Target::Known(_)) | None => {}
        }
    }

    /// A dial failed, for this reason, in words for a person.
    pub(super) fn failed(&mut self, id: DialId, failure: Failure, error: &str, now_ms: u64) {
        match (self.finish(id), failure) {
            (None, _) => {}
            (Some(Target::Configured(index)), Failure::Myself) => {
                if let Some(target) = self.configured.get_mut(index) {
                    // Never dialled again. The index stays: dials under way refer to it.
                    target.addresses.clear();
                }
            }
            (Some(Target::Known(peer)), Failure::Myself) => {
                self.known.remove(&peer);
            }
            (Some(target), failure) => self.put_off(target, failure, error, now_ms),
        }
    }

    /// The first connection to a peer stands, whoever dialled.
    pub(super) fn connected(&mut self, peer: PeerId, now_ms: u64) {
        self.next.set(None);
        self.connected.entry(peer).or_insert(now_ms);
        for retry in retries(&mut self.configured, &mut self.known, &peer) {
            retry.error = None;
        }
    }

    /// The last connection to a peer is gone.
    pub(super) fn disconnected(&mut self, peer: &PeerId, now_ms: u64) {
        let Some(since) = self.connected.remove(peer) else { return };
        self.next.set(None);
        let stable = now_ms.saturating_sub(since) >= STABLE_MS;
        let delay_max_ms = self.policy.delay_max_ms;
        // Whoever is left alone has the better reason already.
        let note = !stable && !self.is_avoided(peer, now_ms);
        for retry in retries(&mut self.configured, &mut self.known, peer) {
            retry.failures = if stable { 0 } else { retry.failures.saturating_add(1) };
            retry.at_ms = now_ms + delay(&mut self.rng, delay_max_ms, retry.failures);
            if note {
                retry.note(BROKEN_AT_ONCE);
            }
        }
    }

    /// A peer of this network told these addresses of itself.
    pub(super) fn confirmed(&mut self, peer: PeerId, addresses: Vec<Multiaddr>, at: Timestamp) {
        if addresses.is_empty() {
            return;
        }
        self.next.set(None);
        if !self.known.contains_key(&peer) {
            self.make_room();
        }
        let retry = Retry::default();
        let known = self.known.entry(peer).or_insert(Known { addresses: Vec::new(), seen_at: None, retry, dial: None });
        known.seen_at = Some(at);
        known.addresses = addresses;
        known.addresses.truncate(PEER_ADDRESSES_MAX);
    }

    /// Somebody says that a peer is there.
    pub(super) fn discovered(&mut self, peer: PeerId, addresses: Vec<Multiaddr>, now_ms: u64) {
        if peer == self.me || !self.policy.discovery || addresses.is_empty() || self.is_avoided(&peer, now_ms) {
            return;
        }
        self.next.set(None);
        if !self.known.contains_key(&peer) {
            self.make_room();
        }
        let retry = Retry::at(now_ms);
        let known = self.known.entry(peer).or_insert(Known { addresses: Vec::new(), seen_at: None, retry, dial: None });
        for address in addresses {
            let (address, _) = split_peer(&address);
            if !known.addresses.contains(&address) && known.addresses.len() < PEER_ADDRESSES_MAX {
                known.addresses.push(address);
            }
        }
    }

    /// Leaves a peer alone until then, for this reason, in words for a person.
    pub(super) fn avoid(&mut self, peer: PeerId, until_ms: u64, reason: &str) {
        self.next.set(None);
        if self.avoided.len() >= AVOIDED_MAX
            && let Some(first) = self.avoided.iter().min_by_key(|(_, until)| **until).map(|(peer, _)| *peer)
        {
            self.avoided.remove(&first);
        }
        let until = self.avoided.entry(peer).or_insert(until_ms);
        *until = (*until).max(until_ms);
        // Peers of other networks, or bad ones, are not worth remembering.
        self.known.remove(&peer);
        for retry in retries(&mut self.configured, &mut self.known, &peer) {
            retry.note(reason);
        }
    }

    /// What to remember: every peer that was once connected, those connected now as of now.
    pub(super) fn remembered(&self, now: Timestamp) -> Vec<RememberedPeer> {
        let text = |peer: &PeerId, seen_at| {
            let known = self.known.get(peer)?;
            let addresses = known.addresses.iter().map(ToString::to_string).collect();
            Some(RememberedPeer { peer_id: peer.to_string(), addresses, seen_at })
        };
        self.worth_remembering(now).iter().filter_map(|(peer, seen_at)| text(peer, *seen_at)).collect()
    }

    /// Who is to be remembered, those seen last first, and when they were seen. Asked far more often than anything has
    /// changed, so it makes no text.
    pub(super) fn worth_remembering(&self, now: Timestamp) -> Vec<(PeerId, Timestamp)> {
        let seen = |(peer, known): (&PeerId, &Known)| {
            let seen_at = if self.connected.contains_key(peer) { now } else { known.seen_at? };
            Some((*peer, seen_at))
        };
        let mut peers: Vec<_> = self.known.iter().filter_map(seen).collect();
        peers.sort_by_key(|(_, seen_at)| std::cmp::Reverse(*seen_at));
        peers.truncate(REMEMBERED_PEERS_MAX);
        peers
    }

    fn dial_id(&mut self, target: Target, now_ms: u64) -> DialId {
        self.next.set(None);
        let id = DialId(self.next_dial);
        self.next_dial += 1;
        self.dials.insert(id, (target, now_ms));
        id
    }

    /// When a configured target is to be dialled; `None` while it is connected or being dialled.
    fn configured_at(&self, index: usize) -> Option<u64> {
        let target = self.configured.get(index)?;
        if target.dial.is_some() || target.addresses.is_empty() {
            return None;
        }
        match target.peer {
            Some(peer) if self.connected.contains_key(&peer) => None,
            Some(peer) => Some(self.not_before(&peer, &target.retry)),
            None => Some(target.retry.at_ms),
        }
    }

    /// When a peer may be dialled again.
    fn not_before(&self, peer: &PeerId, retry: &Retry) -> u64 {
        retry.at_ms.max(self.avoided.get(peer).copied().unwrap_or(0))
    }

    fn has_room_for_known(&self) -> bool {
        let dialling = self.dials.values().filter(|(target, _)| matches!(target, Target::Known(_))).count();
        self.policy.discovery && dialling < KNOWN_DIALS_MAX && self.connected.len() + dialling < self.policy.wanted
    }

    /// Known peers that could be dialled, and when.
    fn known_waiting(&self) -> impl Iterator<Item = (&PeerId, &Known, u64)> {
        let apart =
            self.known.iter().filter(|(peer, known)| known.dial.is_none() && !self.connected.contains_key(peer));
        apart.map(|(peer, known)| (peer, known, self.not_before(peer, &known.retry)))
    }

    /// One of those that failed least.
    fn pick_known(&mut self, now_ms: u64) -> Option<PeerId> {
        let due = || self.known_waiting().filter(|(_, _, at)| *at <= now_ms);
        let least = due().map(|(_, known, _)| known.retry.failures).min()?;
        let best: Vec<_> =
            due().filter(|(_, known, _)| known.retry.failures == least).map(|(peer, _, _)| *peer).collect();
        best.get(self.rng.random_range(0..best.len())).copied()
    }

    fn finish(&mut self, id: DialId) -> Option<Target> {
        let (target, _) = self.dials.remove(&id)?;
        self.next.set(None);
        match target {
            Target::Configured(index) => {
                if let Some(target) = self.configured.get_mut(index) {
                    target.dial = None;
                }
            }
            Target::Known(peer) => {
                if let Some(known) = self.known.get_mut(&peer) {
                    known.dial = None;
                }
            }
        }
        Some(target)
    }

    fn put_off(&mut self, target: Target, failure: Failure, error: &str, now_ms: u64) {
        let retry = match target {
            Target::Configured(index) => self.configured.get_mut(index).map(|target| &mut target.retry),
            Target::Known(peer) => self.known.get_mut(&peer).map(|known| &mut known.retry),
        };
        let Some(retry) = retry else { return };
        if failure == Failure::Unreachable {
            retry.failures = retry.failures.saturating_add(1);
            retry.note(error);
        }
        retry.at_ms = now_ms + delay(&mut self.rng, self.policy.delay_max_ms, retry.failures.max(1));
        if let Target::Known(peer) = target {
            let hopeless = |known: &Known| known.seen_at.is_none() && known.retry.failures >= DISCOVERED_FAILURES_MAX;
            if self.known.get(&peer).is_some_and(hopeless) {
                self.known.remove(&peer);
            }
        }
    }

    fn give_up_lost_dials(&mut self, now_ms: u64) {
        let lost = self.dials.iter().filter(|(_, (_, since))| since + DIAL_LOST_MS <= now_ms);
        for id in lost.map(|(id, _)| *id).collect::<Vec<_>>() {
            self.failed(id, Failure::Unreachable, "nothing was heard of the dial", now_ms);
        }
    }

    /// Makes room for one more known peer: first go those only heard of, then those not seen for longest.
    fn make_room(&mut self) {
        if self.known.len() < KNOWN_MAX {
            return;
        }
        let spare = self.known.iter().filter(|(peer, _)| !self.connected.contains_key(peer));
        if let Some(peer) = spare.min_by_key(|(_, known)| known.seen_at).map(|(peer, _)| *peer) {
            self.known.remove(&peer);
        }
    }
}

/// When a peer is tried again, by every way in which it is known.
fn retries<'a>(
    configured: &'a mut [Configured],
    known: &'a mut BTreeMap<PeerId, Known>,
    peer: &'a PeerId,
) -> impl Iterator<Item = &'a mut Retry> {
    let configured = configured.iter_mut().filter(move |target| target.peer.as_ref() == Some(peer));
    let known = known.get_mut(peer);
    configured.map(|target| &mut target.retry).chain(known.map(|known| &mut known.retry))
}
