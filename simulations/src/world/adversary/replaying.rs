//! Replaying: frames that were seen are sent again, long after they were collected.
//!
//! Each goes out twice: by gossip, where libp2p itself drops what it still remembers and nobody hears of it, and as a push
//! to one neighbour, which must look at it.

use std::collections::{BTreeSet, VecDeque};

use bytes::Bytes;
use griot_node::{
    network::{Command, Event},
    relay::ExchangeId,
};
use griot_protocol::{
    NodeId, RecordId, Shard,
    sync::{SyncFrame, SyncRequest, SyncResponse},
};
use rand::{Rng, RngExt};
use rand_chacha::ChaCha8Rng;

use super::{Adversary, Moment, Outputs, pace::Pace};
use crate::{plan::VirtualMs, world::seeds};

/// Frames remembered: hours of a small network's mail, so that most of them are collected when they come again, and 68 MiB
/// at the very most.
const SEEN_MAX: usize = 1024;

/// Exchanges of ours are told from the node's by this bit: the node counts up from 0 and never gets there.
const OURS: u64 = 1 << 63;

/// A frame that was seen, and on which shard's topic.
#[derive(Clone, Debug)]
struct Seen {
    shard: Shard,
    frame: Bytes,
}

/// One replaying node.
#[derive(Debug)]
pub(super) struct Replayer {
    random: ChaCha8Rng,
    pace: Pace,
    seen: VecDeque<Seen>,
    peers: BTreeSet<NodeId>,
    exchanges: u64,
}

impl Replayer {
    pub fn new(per_second: u32, seed: u64, now: VirtualMs) -> Self {
        let mut random = seeds::rng(seed, "replaying", 0);
        let pace = Pace::new(per_second, random.next_u64(), now);
        Self { random, pace, seen: VecDeque::new(), peers: BTreeSet::new(), exchanges: 0 }
    }

    fn saw(&mut self, shard: Shard, frame: Bytes) {
        if self.seen.len() >= SEEN_MAX {
            self.seen.pop_front();
        }
        self.seen.push_back(Seen { shard, frame });
    }

    fn draw_peer(&mut self) -> Option<NodeId> {
        if self.peers.is_empty() {
            return None;
        }
        let place = self.random.random_range(0..self.peers.len());
        self.peers.iter().nth(place).copied()
    }

    fn replay(&mut self, out: &mut Outputs) {
        if self.seen.is_empty() {
            return;
        }
        let place = self.random.random_range(0..self.seen.len());
        let Some(Seen { shard, frame }) = self.seen.get(place).cloned() else { return };
        // For the swarm's log alone: the frame is what goes out.
        let id = RecordId(*blake3::hash(&frame).as_bytes());
        out.to_network.push(Command::Publish { shard, id, frame: frame.clone() });
        out.did("replayed_by_gossip", None);
        if let Some(peer) = self.draw_peer() {
            let exchange = ExchangeId(OURS | self.exchanges);
            self.exchanges += 1;
            let request = SyncRequest::Push { frames: vec![SyncFrame(frame)] }.encode();
            out.to_network.push(Command::Ask { peer, exchange, request });
            out.did("replayed_by_push", None);
        }
    }
}

impl Adversary for Replayer {
    fn event(&mut self, _now: Moment, event: Event, out: &mut Outputs) {
        match &event {
            Event::PeerUp { peer } => {
                self.peers.insert(*peer);
            }
            Event::PeerDown { peer } => {
                self.peers.remove(peer);
            }
            Event::Gossiped { shard, frame, .. } => self.saw(*shard, frame.clone()),
            Event::Answered { exchange, response, .. } if exchange.0 & OURS != 0 => {
                let response = response.as_deref().and_then(|response| SyncResponse::decode(response).ok());
                if matches!(response, Some(SyncResponse::Pushed { taken: 1.. })) {
                    out.did("replays_looked_at", None);
                }
                return;
            }
            _ => {}
        }
        out.to_driver.push(event);
    }

    fn next(&self) -> Option<VirtualMs> {
        Some(self.pace.next())
    }

    fn act(&mut self, now: Moment, out: &mut Outputs) {
        for _ in 0..self.pace.take(now.at) {
            self.replay(out);
        }
    }
}

#[cfg(test)]
mod tests {
    use griot_node::relay::GossipId;
    use griot_protocol::Timestamp;

    use super::*;

    const PEER: NodeId = NodeId([3; 32]);

    fn at(ms: u64) -> Moment {
        Moment { at: VirtualMs(ms), wall: Timestamp(1_800_000_000) }
    }

    fn gossiped(n: u32) -> Event {
        let frame = Bytes::from(n.to_le_bytes().repeat(100));
        Event::Gossiped { peer: PEER, message: GossipId(1), shard: Shard(0), frame }
    }

    #[test]
    fn what_was_seen_goes_out_again_by_gossip_and_by_push() {
        let mut replayer = Replayer::new(2, 1, VirtualMs(0));
        let mut out = Outputs::default();
        replayer.act(at(10_000), &mut out);
        assert!(out.to_network.is_empty(), "nothing was seen yet");
        replayer.event(at(10_000), Event::PeerUp { peer: PEER }, &mut out);
        replayer.event(at(10_000), gossiped(7), &mut out);
        assert_eq!(out.to_driver.len(), 2, "the node hears of it as well");
        replayer.act(at(11_000), &mut out);
        let [Command::Publish { frame, .. }, Command::Ask { peer: PEER, exchange, request }, ..] = &out.to_network[..]
        else {
            panic!("{out:?}")
        };
        assert_eq!(out.to_network.len(), 4, "two a second, each in both ways");
        let Ok(SyncRequest::Push { frames }) = SyncRequest::decode(request) else { panic!() };
        assert_eq!(frames, [SyncFrame(frame.clone())]);

        let mut heard = Outputs::default();
        let response = Some(SyncResponse::Pushed { taken: 1 }.encode());
        replayer.event(at(11_000), Event::Answered { peer: PEER, exchange: *exchange, response }, &mut heard);
        assert!(heard.to_driver.is_empty(), "the node never asked");
        assert_eq!(heard.deeds.len(), 1);
    }

    #[test]
    fn it_remembers_so_many_and_no_more() {
        let mut replayer = Replayer::new(1, 1, VirtualMs(0));
        for n in 0..2 * SEEN_MAX as u32 {
            replayer.event(at(0), gossiped(n), &mut Outputs::default());
        }
        assert_eq!(replayer.seen.len(), SEEN_MAX);
    }
}
