//! Withholding: takes everything, passes nothing on.
//!
//! It is the quietest way to cut somebody off: its neighbours see a node that is up, subscribed, takes what it is pushed,
//! and says in sync that both hold the same. To gossip it says *ignore*, for which nobody loses standing.

use griot_node::{
    network::{Command, Event},
    relay::Verdict,
};
use griot_protocol::sync::{Opened, SyncRequest, SyncResponse};

use super::{Adversary, Moment, Outputs, View};

/// One withholding node.
#[derive(Debug)]
pub(super) struct Withholder {
    view: View,
}

impl Withholder {
    pub fn new(view: View) -> Self {
        Self { view }
    }

    /// What it answers itself; a push it lets its node take.
    fn answer(&self, request: SyncRequest, now: Moment) -> Option<SyncResponse> {
        match request {
            SyncRequest::Push { .. } => None,
            SyncRequest::Open(open) => Some(SyncResponse::Opened(Opened {
                postage_bits: self.view.params.postage_bits,
                time: now.wall,
                first: open.first.max(now.wall.hour()),
                digests: None,
            })),
            // Nobody asks after it was told that nothing differs.
            SyncRequest::Reconcile { .. } => Some(SyncResponse::Busy),
            SyncRequest::Fetch { ids } => Some(SyncResponse::Frames { frames: Vec::new(), not_held: ids }),
            // Knows of nothing, and wants nothing pushed.
            SyncRequest::About { .. } => Some(SyncResponse::News { frames: Vec::new(), unknown: Vec::new() }),
            // It takes what it is told of, as it takes everything.
            SyncRequest::Offer { .. } => None,
        }
    }
}

impl Adversary for Withholder {
    fn command(&mut self, _now: Moment, command: Command, out: &mut Outputs) {
        match command {
            Command::Publish { id, .. } => out.did("withheld_publications", Some(id)),
            Command::Judge { peer, message, verdict: Verdict::Accept } => {
                out.did("withheld_gossip", None);
                out.to_network.push(Command::Judge { peer, message, verdict: Verdict::Ignore });
            }
            Command::Ask { peer, exchange, request } => match SyncRequest::decode(&request) {
                Ok(SyncRequest::Push { frames }) => {
                    out.did("withheld_pushes", None);
                    let taken = u32::try_from(frames.len()).unwrap_or(u32::MAX);
                    let response = Some(SyncResponse::Pushed { taken }.encode());
                    out.to_driver.push(Event::Answered { peer, exchange, response });
                }
                Ok(SyncRequest::Offer { .. }) => {
                    out.did("withheld_offers", None);
                    out.to_driver.push(Event::Answered {
                        peer,
                        exchange,
                        response: Some(SyncResponse::Noted.encode()),
                    });
                }
                _ => out.to_network.push(Command::Ask { peer, exchange, request }),
            },
            other => out.to_network.push(other),
        }
    }

    fn event(&mut self, now: Moment, event: Event, out: &mut Outputs) {
        let answer = match &event {
            Event::Asked { inbound, request, .. } => {
                let request = SyncRequest::decode(request).ok();
                request.and_then(|request| self.answer(request, now)).map(|response| (*inbound, response))
            }
            _ => None,
        };
        match answer {
            Some((inbound, response)) => {
                out.did("withheld_in_sync", None);
                out.to_network.push(Command::Answer { inbound, response: response.encode() });
            }
            None => out.to_driver.push(event),
        }
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use griot_node::relay::{ExchangeId, GossipId, InboundId};
    use griot_protocol::{
        NodeId, RecordId, Shard, Timestamp,
        sync::{Open, Set, SyncFrame},
    };

    use super::*;
    use crate::plan::VirtualMs;

    const PEER: NodeId = NodeId([3; 32]);

    fn now() -> Moment {
        Moment { at: VirtualMs(0), wall: Timestamp(1_800_000_000) }
    }

    fn command(command: Command) -> Outputs {
        let mut out = Outputs::default();
        Withholder::new(View::for_tests()).command(now(), command, &mut out);
        out
    }

    fn asked(request: &SyncRequest) -> Outputs {
        let mut out = Outputs::default();
        let asked = Event::Asked { peer: PEER, inbound: InboundId(1), request: request.encode() };
        Withholder::new(View::for_tests()).event(now(), asked, &mut out);
        out
    }

    fn answer(out: &Outputs) -> SyncResponse {
        let [Command::Answer { inbound: InboundId(1), response }] = &out.to_network[..] else { panic!("{out:?}") };
        SyncResponse::decode(response).unwrap()
    }

    #[test]
    fn nothing_is_published_forwarded_or_pushed() {
        let publish = command(Command::Publish { shard: Shard(0), id: RecordId([1; 32]), frame: Bytes::new() });
        assert!(publish.to_network.is_empty() && publish.deeds.len() == 1);
        let judge = command(Command::Judge { peer: PEER, message: GossipId(1), verdict: Verdict::Accept });
        assert!(matches!(judge.to_network[..], [Command::Judge { verdict: Verdict::Ignore, .. }]));
        let request = SyncRequest::Push { frames: vec![SyncFrame(Bytes::from(vec![0; 300])); 2] }.encode();
        let push = command(Command::Ask { peer: PEER, exchange: ExchangeId(9), request });
        assert!(push.to_network.is_empty());
        let [Event::Answered { exchange: ExchangeId(9), response: Some(response), .. }] = &push.to_driver[..] else {
            panic!("{push:?}")
        };
        assert_eq!(SyncResponse::decode(response).unwrap(), SyncResponse::Pushed { taken: 2 });
    }

    #[test]
    fn it_asks_and_takes_what_is_pushed() {
        let request = SyncRequest::Fetch { ids: vec![RecordId([1; 32])] }.encode();
        assert_eq!(command(Command::Ask { peer: PEER, exchange: ExchangeId(9), request }).to_network.len(), 1);
        let push = asked(&SyncRequest::Push { frames: vec![SyncFrame(Bytes::from(vec![0; 300]))] });
        assert!(push.to_network.is_empty() && push.to_driver.len() == 1);
    }

    #[test]
    fn in_sync_nothing_differs_and_nothing_is_held() {
        let (bits, postage_bits) = (View::for_tests().params.bits, 2);
        let (time, first) = (now().wall, now().wall.hour());
        let open = Open { bits, postage_bits, shard: Shard(0), set: Set::Rest, time, first, root: [5; 32] };
        let out = asked(&SyncRequest::Open(open));
        assert!(matches!(answer(&out), SyncResponse::Opened(Opened { digests: None, .. })));
        let ids = vec![RecordId([1; 32]), RecordId([2; 32])];
        let out = asked(&SyncRequest::Fetch { ids: ids.clone() });
        assert_eq!(answer(&out), SyncResponse::Frames { frames: Vec::new(), not_held: ids });
    }
}
