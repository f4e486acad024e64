//! Peers that should be here and are not, for whoever asks `griotd peers`.

use std::collections::BTreeSet;

use griot_protocol::{
    Timestamp,
    api::{PeerInfo, PeerState},
};
use libp2p::{Multiaddr, PeerId};

use super::{Reconnect, Retry};

impl Reconnect {
    /// The configured peers that are not up, then the remembered ones, those seen last first. Peers that were only
    /// heard of are nobody's loss, and left out.
    pub(in crate::network) fn absent(&self, now_ms: u64, is_up: impl Fn(&PeerId) -> bool) -> Vec<PeerInfo> {
        let mut listed = BTreeSet::new();
        let mut peers = Vec::new();
        // Addresses that turned out to be this node's own are none.
        for target in self.configured.iter().filter(|target| !target.addresses.is_empty()) {
            if let Some(peer) = target.peer {
                listed.insert(peer);
                if is_up(&peer) {
                    continue;
                }
            }
            let seen_at = target.peer.and_then(|peer| self.known.get(&peer)).and_then(|known| known.seen_at);
            let state = match target.peer {
                Some(peer) => self.state(&peer, target.dial.is_some(), true, now_ms),
                None if target.dial.is_some() => PeerState::Dialling,
                None => PeerState::Waiting,
            };
            let info = self.info(target.peer, &target.addresses, &target.retry, seen_at, state, now_ms);
            peers.push(PeerInfo { configured: true, ..info });
        }
        // Dialled only while fewer are connected than wanted.
        let wants_more = self.policy.discovery && self.connected.len() < self.policy.wanted;
        let mut remembered: Vec<_> = self
            .known
            .iter()
            .filter(|(peer, known)| known.seen_at.is_some() && !listed.contains(*peer) && !is_up(peer))
            .collect();
        remembered.sort_by_key(|(_, known)| std::cmp::Reverse(known.seen_at));
        peers.extend(remembered.into_iter().map(|(peer, known)| {
            let state = self.state(peer, known.dial.is_some(), wants_more, now_ms);
            self.info(Some(*peer), &known.addresses, &known.retry, known.seen_at, state, now_ms)
        }));
        peers
    }

    fn state(&self, peer: &PeerId, is_dialling: bool, is_wanted: bool, now_ms: u64) -> PeerState {
        if self.is_avoided(peer, now_ms) {
            PeerState::Avoided
        } else if is_dialling || self.connected.contains_key(peer) {
            // A connection stands, but the peer has not said yet that it is of this network.
            PeerState::Dialling
        } else if is_wanted {
            PeerState::Waiting
        } else {
            PeerState::Idle
        }
    }

    fn info(
        &self,
        peer: Option<PeerId>,
        addresses: &[Multiaddr],
        retry: &Retry,
        last_seen: Option<Timestamp>,
        state: PeerState,
        now_ms: u64,
    ) -> PeerInfo {
        let avoided_until = peer.and_then(|peer| self.avoided.get(&peer)).copied().unwrap_or(0);
        let at_ms = match state {
            PeerState::Waiting => Some(retry.at_ms),
            PeerState::Avoided => Some(retry.at_ms.max(avoided_until)),
            _ => None,
        };
        PeerInfo {
            peer_id: peer.map(|peer| peer.to_string()).unwrap_or_default(),
            connected: false,
            addresses: addresses.iter().map(ToString::to_string).collect(),
            agent: None,
            rtt_ms: None,
            last_sync: None,
            configured: false,
            state,
            next_try_seconds: at_ms.map(|at| at.saturating_sub(now_ms).div_ceil(1000)),
            failures: retry.failures,
            last_error: retry.error.clone(),
            last_seen,
            relayed: false,
        }
    }
}
