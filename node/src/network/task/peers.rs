//! Who is connected, and whether they are ours.

use std::collections::BTreeMap;

use griot_protocol::{
    NodeId,
    api::{PeerInfo, PeerState},
};
use libp2p::{Multiaddr, PeerId, swarm::ConnectionId};

use super::super::Event;

/// Bytes that peers may have us hold until identify has told who they are.
const HELD_BYTES_MAX: usize = 16 * 1024 * 1024;

/// Events held for one such peer.
const HELD_EVENTS_MAX: usize = 64;

/// What a peer may call itself.
const AGENT_CHARS_MAX: usize = 128;

/// One connection with a peer.
pub(super) struct Connection {
    pub id: ConnectionId,
    /// The address at the other end.
    pub address: Multiaddr,
    /// Whether we dialled.
    pub dialled: bool,
    pub relayed: bool,
    pub since_ms: u64,
    /// When the other side last answered a ping on it.
    pub answered_ms: Option<u64>,
}

/// One connected peer.
pub(super) struct Peer {
    pub node: NodeId,
    pub since_ms: u64,
    /// The oldest first.
    pub connections: Vec<Connection>,
    /// Whether identify has confirmed that it is of this network.
    pub up: bool,
    /// Whether we are parting from it: nothing it says counts any more.
    pub parting: bool,
    pub agent: Option<String>,
    pub rtt_ms: Option<u64>,
    /// Our address as it sees it.
    pub sees_us_at: Option<Multiaddr>,
    held: Vec<Event>,
    held_bytes: usize,
}

impl Peer {
    fn new(node: NodeId, since_ms: u64) -> Self {
        Self {
            node,
            since_ms,
            connections: Vec::new(),
            up: false,
            parting: false,
            agent: None,
            rtt_ms: None,
            sees_us_at: None,
            held: Vec::new(),
            held_bytes: 0,
        }
    }

    pub(super) fn connection(&self, id: ConnectionId) -> Option<&Connection> {
        self.connections.iter().find(|connection| connection.id == id)
    }

    pub(super) fn answered(&mut self, id: ConnectionId, now_ms: u64) {
        if let Some(connection) = self.connections.iter_mut().find(|connection| connection.id == id) {
            connection.answered_ms = Some(now_ms);
        }
    }

    /// One of several connections is gone. Whether those that are left are surely with the process that had it, and not
    /// with one that has taken its place: an older one is left, which would be dead too; or it was relayed, is not
    /// needed since there is a direct one, and has answered since.
    pub(super) fn lost(&mut self, id: ConnectionId) -> bool {
        let Some(at) = self.connections.iter().position(|connection| connection.id == id) else { return true };
        let gone = self.connections.remove(at);
        let oldest_left = self.connections.first().map_or(0, |left| left.since_ms);
        at > 0 || (gone.relayed && gone.answered_ms.is_some_and(|answered| answered > oldest_left))
    }

    /// A relayed connection that can go, since there is a direct one that has stood for `stable_ms`, and both sides know
    /// by now that they are the same (see [`lost`](Self::lost)).
    pub(super) fn superseded(&self, now_ms: u64, stable_ms: u64) -> Option<ConnectionId> {
        let direct = self.connections.iter().find(|connection| !connection.relayed)?;
        let stable_at = direct.since_ms + stable_ms;
        let is_spare = |spare: &&Connection| spare.relayed && spare.answered_ms > Some(direct.since_ms);
        self.connections.iter().filter(|_| stable_at <= now_ms).find(is_spare).map(|spare| spare.id)
    }

    /// Whether there is no other way to it than through a relay.
    pub(super) fn is_relayed(&self) -> bool {
        self.connections.iter().all(|connection| connection.relayed)
    }
}

/// All connected peers.
#[derive(Default)]
pub(super) struct Peers {
    peers: BTreeMap<PeerId, Peer>,
    held_bytes: usize,
}

impl Peers {
    pub(super) fn get(&self, peer: &PeerId) -> Option<&Peer> {
        self.peers.get(peer)
    }

    pub(super) fn get_mut(&mut self, peer: &PeerId) -> Option<&mut Peer> {
        self.peers.get_mut(peer)
    }

    pub(super) fn entry(&mut self, peer: PeerId, node: NodeId, now_ms: u64) -> &mut Peer {
        self.peers.entry(peer).or_insert_with(|| Peer::new(node, now_ms))
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (&PeerId, &Peer)> {
        self.peers.iter()
    }

    /// Whether a peer is one of ours and stays.
    pub(super) fn is_up(&self, peer: &PeerId) -> bool {
        self.get(peer).is_some_and(|peer| peer.up && !peer.parting)
    }

    pub(super) fn up_count(&self) -> usize {
        self.peers.values().filter(|peer| peer.up).count()
    }

    pub(super) fn remove(&mut self, peer: &PeerId) -> Option<Peer> {
        let removed = self.peers.remove(peer)?;
        self.held_bytes -= removed.held_bytes;
        Some(removed)
    }

    /// Keeps what a peer sent before identify told who it is; gives it back where there is no room.
    pub(super) fn hold(&mut self, peer: &PeerId, event: Event) -> Result<(), Event> {
        let bytes = match &event {
            Event::Gossiped { frame, .. } => frame.len(),
            Event::Asked { request, .. } => request.len(),
            _ => 0,
        };
        match self.peers.get_mut(peer) {
            Some(peer)
                if !peer.parting && peer.held.len() < HELD_EVENTS_MAX && self.held_bytes + bytes <= HELD_BYTES_MAX =>
            {
                peer.held.push(event);
                peer.held_bytes += bytes;
                self.held_bytes += bytes;
                Ok(())
            }
            _ => Err(event),
        }
    }

    /// Takes what was held.
    pub(super) fn release(&mut self, peer: &PeerId) -> Vec<Event> {
        let Some(peer) = self.peers.get_mut(peer) else { return Vec::new() };
        self.held_bytes -= std::mem::take(&mut peer.held_bytes);
        std::mem::take(&mut peer.held)
    }

    /// Those connected and of this network.
    pub(super) fn infos(&self, is_configured: impl Fn(&PeerId) -> bool) -> Vec<PeerInfo> {
        let ups = self.peers.iter().filter(|(_, peer)| peer.up && !peer.parting);
        ups.map(|(id, peer)| PeerInfo {
            peer_id: id.to_string(),
            connected: true,
            addresses: peer.connections.iter().map(|connection| connection.address.to_string()).collect(),
            agent: peer.agent.clone(),
            rtt_ms: peer.rtt_ms,
            dialled_us: peer.connections.iter().any(|connection| !connection.dialled && !connection.relayed),
            sees_us_at: peer.sees_us_at.as_ref().map(ToString::to_string),
            configured: is_configured(id),
            state: PeerState::Connected,
            relayed: peer.is_relayed(),
            // When they last synced is the relay's to say.
            ..PeerInfo::default()
        })
        .collect()
    }
}

/// What a peer calls itself, made fit for a log or a terminal.
pub(super) fn readable(agent: &str) -> String {
    agent.chars().filter(|c| !c.is_control()).take(AGENT_CHARS_MAX).collect()
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use griot_protocol::Shard;

    use super::*;
    use crate::relay::GossipId;

    fn gossip(bytes: usize) -> Event {
        let frame = Bytes::from(vec![0; bytes]);
        Event::Gossiped { peer: NodeId([1; 32]), message: GossipId(0), shard: Shard(0), frame }
    }

    #[test]
    fn what_strangers_make_us_hold_is_bounded() {
        let mut peers = Peers::default();
        let (one, two) = (PeerId::random(), PeerId::random());
        assert!(peers.hold(&one, gossip(1)).is_err(), "not connected");
        for peer in [one, two] {
            peers.entry(peer, NodeId([1; 32]), 0);
        }
        assert!(peers.hold(&one, gossip(HELD_BYTES_MAX)).is_ok());
        assert!(peers.hold(&two, gossip(1)).is_err(), "all peers share the bytes");
        peers.remove(&one);
        for _ in 0..HELD_EVENTS_MAX {
            assert!(peers.hold(&two, gossip(1)).is_ok());
        }
        assert!(peers.hold(&two, gossip(1)).is_err());
        assert_eq!(peers.release(&two).len(), HELD_EVENTS_MAX);
        assert!(peers.hold(&two, gossip(HELD_BYTES_MAX)).is_ok(), "what was released is free again");
    }

    #[test]
    fn names_cannot_write_to_a_terminal() {
        assert_eq!(readable("griotd/1\u{1b}[2J\n"), "griotd/1[2J");
        assert_eq!(readable(&"x".repeat(1000)).len(), AGENT_CHARS_MAX);
    }

    fn connected(connections: &[(usize, bool, u64, Option<u64>)]) -> Peer {
        let mut peer = Peer::new(NodeId([1; 32]), 0);
        for (id, relayed, since_ms, answered_ms) in connections.iter().copied() {
            peer.connections.push(Connection {
                id: ConnectionId::new_unchecked(id),
                address: "/memory/1".parse().unwrap(),
                dialled: true,
                relayed,
                since_ms,
                answered_ms,
            });
        }
        peer
    }

    #[test]
    fn whoever_loses_an_old_connection_may_be_talking_to_a_newborn() {
        let lost = |connections: &[(usize, bool, u64, Option<u64>)], id| {
            let mut peer = connected(connections);
            let surely = peer.lost(ConnectionId::new_unchecked(id));
            assert_eq!(peer.connections.len(), connections.len() - 1);
            surely
        };
        assert!(!lost(&[(7, false, 0, Some(90)), (5, false, 50, Some(90))], 7));
        assert!(lost(&[(7, false, 0, Some(90)), (5, false, 50, Some(90))], 5), "the older one is left");
        let upgraded = |answered| [(1, true, 0, answered), (2, false, 50, None)];
        assert!(lost(&upgraded(Some(51)), 1));
        assert!(!lost(&upgraded(Some(50)), 1), "it may have died before the other was made");
        assert!(!lost(&upgraded(None), 1));
    }

    #[test]
    fn a_relayed_connection_goes_when_a_direct_one_has_proven_itself() {
        let superseded = |connections: &[_], now| connected(connections).superseded(now, 30).is_some();
        let upgraded = |answered| [(1, true, 0, answered), (2, false, 50, None)];
        assert!(superseded(&upgraded(Some(60)), 80));
        assert!(!superseded(&upgraded(Some(60)), 79), "the direct one is young");
        assert!(!superseded(&upgraded(Some(40)), 80), "nothing was heard on it since");
        assert!(!superseded(&[(1, true, 0, Some(60))], 80) && connected(&[(1, true, 0, None)]).is_relayed());
        assert!(!connected(&upgraded(None)).is_relayed());
    }
}
