//! What waits for the relay's word: gossip to be judged, requests to be answered.

use std::collections::BTreeMap;

use bytes::Bytes;
use griot_protocol::NodeId;
use libp2p::{
    PeerId,
    gossipsub::MessageId,
    request_response::{InboundRequestId, OutboundRequestId, ResponseChannel},
};

use crate::relay::{ExchangeId, GossipId, InboundId};

/// Gossip messages that may wait to be judged. gossipsub forgets them after ten seconds anyway.
const UNJUDGED_MAX: usize = 4096;

/// Requests of peers that may wait to be answered.
const UNANSWERED_MAX: usize = 512;

/// Requests to peers that may be under way.
const ASKED_MAX: usize = 1024;

/// Gossip messages that wait to be judged.
#[derive(Default)]
pub(super) struct Unjudged {
    next: u64,
    waiting: BTreeMap<GossipId, (MessageId, PeerId)>,
}

impl Unjudged {
    /// Names a message. Where too many wait, the oldest is given up and returned.
    pub(super) fn insert(&mut self, message: MessageId, source: PeerId) -> (GossipId, Option<(MessageId, PeerId)>) {
        let oldest = (self.waiting.len() >= UNJUDGED_MAX).then(|| self.waiting.pop_first()).flatten();
        let id = GossipId(self.next);
        self.next += 1;
        self.waiting.insert(id, (message, source));
        (id, oldest.map(|(_, waiting)| waiting))
    }

    pub(super) fn take(&mut self, id: GossipId) -> Option<(MessageId, PeerId)> {
        self.waiting.remove(&id)
    }
}

struct Unanswered {
    request: InboundRequestId,
    channel: ResponseChannel<Bytes>,
}

/// Exchanges on the sync protocol.
#[derive(Default)]
pub(super) struct Exchanges {
    next: u64,
    inbound: BTreeMap<InboundId, Unanswered>,
    outbound: BTreeMap<OutboundRequestId, (ExchangeId, NodeId)>,
}

impl Exchanges {
    /// Names a peer's request; `None` where too many wait.
    pub(super) fn asked(&mut self, request: InboundRequestId, channel: ResponseChannel<Bytes>) -> Option<InboundId> {
        if self.inbound.len() >= UNANSWERED_MAX {
            return None;
        }
        let id = InboundId(self.next);
        self.next += 1;
        self.inbound.insert(id, Unanswered { request, channel });
        Some(id)
    }

    /// Takes the way back to whoever asked. Dropping it tells the peer that there is no answer.
    pub(super) fn answer(&mut self, id: InboundId) -> Option<ResponseChannel<Bytes>> {
        self.inbound.remove(&id).map(|waiting| waiting.channel)
    }

    /// The peer gave up, or is gone.
    pub(super) fn inbound_failed(&mut self, request: InboundRequestId) {
        self.inbound.retain(|_, waiting| waiting.request != request);
    }

    pub(super) fn has_room_to_ask(&self) -> bool {
        self.outbound.len() < ASKED_MAX
    }

    pub(super) fn ask(&mut self, request: OutboundRequestId, exchange: ExchangeId, peer: NodeId) {
        self.outbound.insert(request, (exchange, peer));
    }

    pub(super) fn answered(&mut self, request: OutboundRequestId) -> Option<(ExchangeId, NodeId)> {
        self.outbound.remove(&request)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_unjudged_message_is_given_up() {
        let mut unjudged = Unjudged::default();
        let peer = PeerId::random();
        let message = |n: usize| MessageId::from(n.to_le_bytes().to_vec());
        let (first, _) = unjudged.insert(message(0), peer);
        for n in 1..UNJUDGED_MAX {
            assert!(unjudged.insert(message(n), peer).1.is_none());
        }
        let (last, given_up) = unjudged.insert(message(UNJUDGED_MAX), peer);
        assert_eq!(given_up, Some((message(0), peer)));
        assert_eq!(unjudged.take(first), None);
        assert_eq!(unjudged.take(last), Some((message(UNJUDGED_MAX), peer)));
        assert_eq!(unjudged.take(last), None, "a message is judged once");
    }
}
