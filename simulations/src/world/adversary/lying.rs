//! Lying in sync: answers from a set of ids that is not the node's.
//!
//! Of what the node holds, the liar denies half, and in every hour it claims a few ids that no record has. Which, depends on
//! its seed and on nothing else, so its lies agree with each other: digests, reconciliation and fetches tell one story, and
//! nobody finds out by asking twice. What it is pushed it says it took, and drops; what it is asked for and denies, it does
//! not hold; in the place of an id that it invented it sometimes hands over another record.

use std::{collections::BTreeSet, sync::Arc};

use bytes::Bytes;
use griot_node::{
    network::{Command, Event},
    store::{Digest, Store, SyncSet},
};
use griot_protocol::{
    Hour, NetworkParams, RecordId, Shard, Timestamp,
    sync::{
        BucketDigest, BucketMessage, DIGESTS_MAX, FrameBudget, Open, Opened, RECONCILE_BUCKETS_MAX,
        RECONCILE_BYTES_MAX, Set, SyncRequest, SyncResponse,
    },
};
use negentropy::{Id, Negentropy, NegentropyStorageVector};

use super::{Adversary, Moment, Outputs};
use crate::world::seeds;

/// Ids invented in every hour of every set: enough that each session asks in vain, and few enough that they do not hide
/// the true ones.
const INVENTED_PER_HOUR: u64 = 8;

/// Hours ahead in which nothing need be held for ids to be claimed there.
const CLAIMED_AHEAD: [u32; 2] = [1, 24];

/// What an adversary knows of its own node.
#[derive(Clone)]
pub(crate) struct View {
    pub params: NetworkParams,
    pub store: Arc<dyn Store>,
}

impl std::fmt::Debug for View {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("View").field("params", &self.params).finish_non_exhaustive()
    }
}

/// One liar.
#[derive(Debug)]
pub(super) struct Liar {
    view: View,
    seed: u64,
    /// The last frame that it was asked for and holds: given where another was asked for.
    decoy: Option<Bytes>,
}

impl Liar {
    pub fn new(view: View, seed: u64) -> Self {
        Self { view, seed, decoy: None }
    }

    fn is_denied(&self, id: &RecordId) -> bool {
        (u64::from(id.0[0]) ^ self.seed) & 1 == 0
    }

    fn invented(&self, shard: Shard, set: Set, hour: Hour) -> impl Iterator<Item = (Timestamp, RecordId)> + use<> {
        let of_set = u64::from(set == Set::Acks);
        let place = u64::from(hour.0) << 32 | u64::from(shard.0) << 1 | of_set;
        let own = seeds::number(self.seed, "invented bucket", place);
        (0..INVENTED_PER_HOUR).map(move |n| {
            (hour.start().plus(n * 3600 / INVENTED_PER_HOUR), RecordId(seeds::bytes(own, "invented id", n)))
        })
    }

    /// What it claims to hold in one bucket.
    fn claimed(&self, shard: Shard, set: Set, hour: Hour) -> BTreeSet<(Timestamp, RecordId)> {
        let held = self.view.store.bucket(store_set(set), shard, hour).unwrap_or_default();
        let admitted = held.into_iter().filter(|(_, id)| !self.is_denied(id));
        admitted.chain(self.invented(shard, set, hour)).collect()
    }

    fn open(&self, open: &Open, now: Moment) -> SyncResponse {
        let first = open.first.max(now.wall.hour());
        let held = self.view.store.digests(store_set(open.set), open.shard, first);
        let ahead = CLAIMED_AHEAD.into_iter().map(|hours| Hour(first.0.saturating_add(hours)));
        let hours: BTreeSet<Hour> = held.into_iter().map(|(hour, _)| hour).chain(ahead).collect();
        let digests = hours.into_iter().take(DIGESTS_MAX).map(|hour| {
            let mut digest = Digest::default();
            self.claimed(open.shard, open.set, hour).iter().for_each(|(_, id)| digest.add(id));
            BucketDigest { hour, count: digest.count, sum: digest.sum }
        });
        SyncResponse::Opened(Opened {
            postage_bits: self.view.params.postage_bits,
            time: now.wall,
            first,
            digests: Some(digests.collect()),
        })
    }

    fn reconcile(&self, shard: Shard, set: Set, buckets: &[BucketMessage]) -> Option<SyncResponse> {
        let limit = (RECONCILE_BYTES_MAX / buckets.len().clamp(1, RECONCILE_BUCKETS_MAX)) as u64;
        let mut answers = Vec::with_capacity(buckets.len());
        for bucket in buckets {
            let mut storage = NegentropyStorageVector::new();
            for (expires, id) in self.claimed(shard, set, bucket.hour) {
                storage.insert(expires.0, Id::from_byte_array(id.0)).ok()?;
            }
            storage.seal().ok()?;
            let message = Negentropy::owned(storage, limit).ok()?.reconcile(&bucket.message).ok()?;
            answers.push(BucketMessage { hour: bucket.hour, message });
        }
        Some(SyncResponse::Reconciled { buckets: answers })
    }

    fn fetch(&mut self, ids: &[RecordId]) -> SyncResponse {
        let mut frames = FrameBudget::default();
        let mut not_held = Vec::new();
        for id in ids {
            let held = self.view.store.frame(id).ok().flatten();
            self.decoy = held.clone().or_else(|| self.decoy.take());
            let given = match held {
                Some(_) if self.is_denied(id) => None,
                Some(frame) => Some(frame),
                None if self.is_denied(id) => None,
                None => self.decoy.clone(),
            };
            match given.map(|frame| frames.add(frame)) {
                Some(Ok(())) => {}
                Some(Err(_)) => break,
                None => not_held.push(*id),
            }
        }
        SyncResponse::Frames { frames: frames.into_frames(), not_held }
    }

    /// What it answers; nothing where its node may answer, because the request makes no sense.
    fn answer(&mut self, request: SyncRequest, now: Moment) -> Option<SyncResponse> {
        match request {
            SyncRequest::Open(open) if open.bits == self.view.params.bits => Some(self.open(&open, now)),
            SyncRequest::Open(_) => None,
            SyncRequest::Reconcile { shard, set, buckets } => self.reconcile(shard, set, &buckets),
            SyncRequest::Fetch { ids } => Some(self.fetch(&ids)),
            SyncRequest::Push { frames } => {
                Some(SyncResponse::Pushed { taken: u32::try_from(frames.len()).unwrap_or(u32::MAX) })
            }
            // It knows of all of them, and of no receipt and no ack.
            SyncRequest::About { .. } => Some(SyncResponse::News { frames: Vec::new(), unknown: Vec::new() }),
            SyncRequest::Offer { .. } => Some(SyncResponse::Noted),
        }
    }
}

fn store_set(set: Set) -> SyncSet {
    match set {
        Set::Acks => SyncSet::Acks,
        Set::Rest => SyncSet::Rest,
    }
}

const fn name_of(request: &SyncRequest) -> &'static str {
    match request {
        SyncRequest::Open(_) => "lied_to_open",
        SyncRequest::Reconcile { .. } => "lied_to_reconcile",
        SyncRequest::Fetch { .. } => "lied_to_fetch",
        SyncRequest::Push { .. } => "lied_to_push",
        SyncRequest::About { .. } => "lied_to_about",
        SyncRequest::Offer { .. } => "lied_to_offer",
    }
}

impl Adversary for Liar {
    fn event(&mut self, now: Moment, event: Event, out: &mut Outputs) {
        if let Event::Asked { inbound, request, .. } = &event
            && let Ok(request) = SyncRequest::decode(request)
        {
            let name = name_of(&request);
            if let Some(response) = self.answer(request, now) {
                out.did(name, None);
                out.to_network.push(Command::Answer { inbound: *inbound, response: response.encode() });
                return;
            }
        }
        out.to_driver.push(event);
    }
}

#[cfg(test)]
impl View {
    /// An empty store in a network of little postage.
    pub(super) fn for_tests() -> Self {
        let params = NetworkParams {
            name: "simulated".parse().unwrap(),
            bits: griot_protocol::ShardBits::ZERO,
            postage_bits: 2,
        };
        Self { store: Arc::new(griot_node::store::MemoryStore::new(params.bits)), params }
    }
}

#[cfg(test)]
mod tests {
    use griot_node::relay::InboundId;
    use griot_protocol::NodeId;

    use super::*;
    use crate::plan::VirtualMs;

    fn now() -> Moment {
        Moment { at: VirtualMs(0), wall: Timestamp(1_800_000_000) }
    }

    fn ask(liar: &mut Liar, request: &SyncRequest) -> SyncResponse {
        let mut out = Outputs::default();
        let asked = Event::Asked { peer: NodeId([3; 32]), inbound: InboundId(1), request: request.encode() };
        liar.event(now(), asked, &mut out);
        assert_eq!((out.deeds.len(), out.to_driver.len()), (1, 0));
        let [Command::Answer { response, .. }] = &out.to_network[..] else { panic!("{out:?}") };
        // Decoding checks all bounds of the wire format: a lie that is refused would not be one.
        SyncResponse::decode(response).unwrap()
    }

    fn open(liar: &mut Liar) -> Opened {
        let (time, first) = (now().wall, now().wall.hour());
        let (bits, postage_bits) = (liar.view.params.bits, 2);
        let open = Open { bits, postage_bits, shard: Shard(0), set: Set::Rest, time, first, root: [5; 32] };
        let SyncResponse::Opened(opened) = ask(liar, &SyncRequest::Open(open)) else { panic!() };
        opened
    }

    /// What an honest node with an empty store learns in reconciling one hour.
    fn needed(liar: &mut Liar, hour: Hour) -> BTreeSet<RecordId> {
        let mut storage = NegentropyStorageVector::new();
        storage.seal().unwrap();
        let mut honest = Negentropy::owned(storage, 100_000).unwrap();
        let buckets = vec![BucketMessage { hour, message: honest.initiate().unwrap() }];
        let request = SyncRequest::Reconcile { shard: Shard(0), set: Set::Rest, buckets };
        let SyncResponse::Reconciled { buckets } = ask(liar, &request) else { panic!() };
        let (mut have, mut need) = (Vec::new(), Vec::new());
        honest.reconcile_with_ids(&buckets[0].message, &mut have, &mut need).unwrap();
        need.into_iter().map(|id| RecordId(id.to_bytes())).collect()
    }

    #[test]
    fn an_empty_liar_claims_ids_and_its_digests_agree_with_them() {
        let mut liar = Liar::new(View::for_tests(), 1);
        let opened = open(&mut liar);
        let digests = opened.digests.unwrap();
        assert_eq!(digests.len(), CLAIMED_AHEAD.len());
        for claimed in &digests {
            let need = needed(&mut liar, claimed.hour);
            let mut digest = Digest::default();
            need.iter().for_each(|id| digest.add(id));
            assert_eq!((digest.count, digest.sum), (claimed.count, claimed.sum));
            assert_eq!(need, needed(&mut liar, claimed.hour), "asking twice shows nothing");
        }
    }

    #[test]
    fn what_it_invented_it_does_not_give_and_what_it_is_pushed_it_says_it_took() {
        let mut liar = Liar::new(View::for_tests(), 1);
        let hour = Hour(now().wall.hour().0 + 1);
        let ids: Vec<RecordId> = needed(&mut liar, hour).into_iter().collect();
        let fetched = ask(&mut liar, &SyncRequest::Fetch { ids: ids.clone() });
        assert_eq!(fetched, SyncResponse::Frames { frames: Vec::new(), not_held: ids });
        let frames = vec![griot_protocol::sync::SyncFrame(Bytes::from(vec![0; 300])); 3];
        assert_eq!(ask(&mut liar, &SyncRequest::Push { frames }), SyncResponse::Pushed { taken: 3 });
        assert_eq!(liar.view.store.totals().records, 0);
    }

    #[test]
    fn about_half_of_all_ids_are_denied() {
        let liar = Liar::new(View::for_tests(), 1);
        let denied = (0..1000).filter(|n| liar.is_denied(&RecordId(seeds::bytes(7, "id", *n)))).count();
        assert!((400..600).contains(&denied), "{denied}");
    }
}
