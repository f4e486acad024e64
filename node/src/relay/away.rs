//! Records for other nodes to carry.
//!
//! What a member submits into a shard that this node does not carry is published to whoever subscribes to it, and also
//! handed over to a few *carriers*, found by the network. The envelope stays in the outbox: carriers are asked about it,
//! first every few seconds, then ever more seldom, until an ack comes or it expires. A carrier that turns out not to
//! know it gets it again.
//!
//! The other use of a push: a publication that no mesh peer took is *offered* to the next neighbour at once.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use bytes::Bytes;
use griot_protocol::{
    NodeId, RecordId, Shard, Timestamp,
    sync::{ABOUT_IDS_MAX, FrameBudget, SyncRequest, SyncResponse},
};
use rand::seq::IndexedRandom;

use super::{
    Relay,
    limits::{
        ABOUT_FIRST_MS, ABOUT_FRESH_MAX_MS, ABOUT_FRESH_TRIES, ABOUT_OLD_MAX_MS, AWAY_PER_TICK, CARRIERS_MAX,
        ERRAND_TIMEOUT_MS, ERRANDS_MAX, FIND_CARRIERS_EVERY_MS, HAND_OVER_TO, OFFER_PEERS, OFFERS_WAITING_MAX,
        PARCELS_MAX,
    },
    neighbours::Then,
    outbox::Away,
    turn::Turn,
    types::{ExchangeId, Output, Tally},
};

/// How long envelopes wait when no carrier is connected.
const NO_CARRIER_RETRY_MS: u64 = 1_000;

/// Shards whose carriers are remembered; beyond that, those nobody writes to are forgotten.
const CARRIER_SHARDS_MAX: usize = 1024;

/// What a request of the relay's own is for.
#[derive(Debug)]
pub(super) enum Errand {
    /// Envelopes of the outbox, or parcels, to a carrier.
    HandOver(Vec<RecordId>),
    /// What became of them?
    About(Vec<RecordId>),
    /// So many records that gossip did not take.
    Offer(u32),
    /// Bodies that there was no room for before.
    Reclaim,
    /// Ids of large records in a shard.
    Tell(Shard),
    /// Large records that the neighbour told of.
    Told(Vec<RecordId>),
}

/// A request that pushes records.
#[derive(Debug)]
struct Push {
    request: Bytes,
    /// What of it is records.
    frame_bytes: u64,
}

#[derive(Debug)]
struct Carriers {
    peers: Vec<NodeId>,
    asked_ms: Option<u64>,
}

/// A record without custody here (an ack, an import) that carriers should have.
#[derive(Clone, Copy, Debug)]
struct Parcel {
    shard: Shard,
    expires_at: Timestamp,
    next_ms: u64,
}

/// Everything on its way to other nodes.
#[derive(Debug, Default)]
pub(super) struct Dispatch {
    errands: BTreeMap<ExchangeId, (u64, Errand)>,
    carriers: BTreeMap<Shard, Carriers>,
    parcels: BTreeMap<RecordId, Parcel>,
    offers: VecDeque<RecordId>,
}

/// How long to wait before carriers are asked again.
fn about_wait_ms(asked: u32) -> u64 {
    let doubled = |times: u32, max: u64| ABOUT_FIRST_MS.saturating_mul(1 << times.min(20)).min(max);
    if asked < ABOUT_FRESH_TRIES {
        doubled(asked, ABOUT_FRESH_MAX_MS)
    } else {
        doubled(asked - ABOUT_FRESH_TRIES + 4, ABOUT_OLD_MAX_MS)
    }
}

/// How many, in a message that has room for few.
fn count<T>(items: &[T]) -> u32 {
    u32::try_from(items.len()).unwrap_or(u32::MAX)
}

impl Relay {
    /// A durable record belongs to a shard that is not carried here.
    pub(super) fn send_away(&mut self, turn: &Turn<'_>, id: RecordId, shard: Shard, expires_at: Timestamp) {
        if self.outbox.contains(&id) {
            self.outbox.set_away(&id, Some(Away::due_at(shard, turn.mono_ms)));
        } else if self.dispatch.parcels.len() < PARCELS_MAX {
            self.dispatch.parcels.insert(id, Parcel { shard, expires_at, next_ms: turn.mono_ms });
        }
    }

    /// The network found carriers.
    pub(super) fn carriers_found(&mut self, turn: &Turn<'_>, shard: Shard, mut peers: Vec<NodeId>) {
        peers.retain(|peer| *peer != self.config.node);
        peers.truncate(CARRIERS_MAX);
        if peers.is_empty() {
            return;
        }
        let carriers = self.dispatch.carriers.entry(shard).or_insert(Carriers { peers: Vec::new(), asked_ms: None });
        carriers.peers = peers;
        for id in self.outbox.away_in(shard) {
            if let Some(mut away) = self.outbox.get(&id).and_then(|item| item.away).filter(|away| away.handed == 0) {
                away.next_ms = turn.mono_ms;
                self.outbox.set_away(&id, Some(away));
            }
        }
        for parcel in self.dispatch.parcels.values_mut().filter(|parcel| parcel.shard == shard) {
            parcel.next_ms = turn.mono_ms;
        }
    }

    /// Whether anything is due to be handed over or asked about.
    pub(super) fn has_dispatch_due(&self, now_ms: u64) -> bool {
        self.outbox.has_due(now_ms) || self.dispatch.parcels.values().any(|parcel| parcel.next_ms <= now_ms)
    }

    /// Hands over and asks about what is due.
    pub(super) fn dispatch_due(&mut self, turn: &mut Turn<'_>) {
        let mut shards: BTreeMap<Shard, (Vec<RecordId>, Vec<RecordId>)> = BTreeMap::new();
        for id in self.outbox.due(turn.mono_ms, AWAY_PER_TICK) {
            let Some(away) = self.outbox.get(&id).and_then(|item| item.away) else { continue };
            let (push, ask) = shards.entry(away.shard).or_default();
            if away.handed == 0 { push.push(id) } else { ask.push(id) }
        }
        for (id, parcel) in self.dispatch.parcels.iter().filter(|(_, parcel)| parcel.next_ms <= turn.mono_ms) {
            shards.entry(parcel.shard).or_default().0.push(*id);
        }
        for (shard, (push, ask)) in shards {
            let carriers = self.connected_carriers(turn, shard);
            if carriers.is_empty() {
                self.put_off(turn, &push, NO_CARRIER_RETRY_MS);
                self.put_off(turn, &ask, NO_CARRIER_RETRY_MS);
                continue;
            }
            self.hand_over(turn, &carriers, push);
            for ids in ask.chunks(ABOUT_IDS_MAX) {
                self.ask_about(turn, &carriers, ids);
            }
        }
    }

    fn connected_carriers(&mut self, turn: &mut Turn<'_>, shard: Shard) -> Vec<NodeId> {
        if self.dispatch.carriers.len() >= CARRIER_SHARDS_MAX {
            self.dispatch.carriers.retain(|other, _| *other == shard);
        }
        let carriers = self.dispatch.carriers.entry(shard).or_insert(Carriers { peers: Vec::new(), asked_ms: None });
        let connected: Vec<NodeId> = carriers.peers.iter().copied().filter(|peer| self.peers.contains(peer)).collect();
        let is_old = carriers.asked_ms.is_none_or(|at| turn.mono_ms.saturating_sub(at) >= FIND_CARRIERS_EVERY_MS);
        if connected.len() < HAND_OVER_TO && is_old {
            carriers.asked_ms = Some(turn.mono_ms);
            turn.emit(Output::FindCarriers { shard });
        }
        connected
    }

    /// Whether a node that carries a shard is known and connected.
    pub(super) fn has_connected_carrier(&self, shard: Shard) -> bool {
        let carriers = self.dispatch.carriers.get(&shard);
        carriers.is_some_and(|carriers| carriers.peers.iter().any(|peer| self.peers.contains(peer)))
    }

    /// Moves the next look at these envelopes.
    fn put_off(&mut self, turn: &Turn<'_>, ids: &[RecordId], wait_ms: u64) {
        let next_ms = turn.mono_ms.saturating_add(wait_ms);
        for id in ids {
            if let Some(away) = self.outbox.get(id).and_then(|item| item.away) {
                self.outbox.set_away(id, Some(Away { next_ms, ..away }));
            } else if let Some(parcel) = self.dispatch.parcels.get_mut(id) {
                parcel.next_ms = next_ms;
            }
        }
    }

    fn hand_over(&mut self, turn: &mut Turn<'_>, carriers: &[NodeId], mut ids: Vec<RecordId>) {
        while !ids.is_empty() {
            let (request, pushed) = self.push_request(turn, &mut ids);
            let Some(request) = request else { continue };
            let chosen: Vec<NodeId> = carriers.sample(&mut self.rng, HAND_OVER_TO).copied().collect();
            for peer in chosen {
                self.push(turn, peer, &request, Errand::HandOver(pushed.clone()));
            }
            self.put_off(turn, &pushed, ABOUT_FIRST_MS);
        }
    }

    /// A push of as many of `ids` as fit, which are taken from the list together with those that are gone.
    fn push_request(&mut self, turn: &mut Turn<'_>, ids: &mut Vec<RecordId>) -> (Option<Push>, Vec<RecordId>) {
        let (mut budget, mut pushed, mut rest) = (FrameBudget::default(), Vec::new(), Vec::new());
        for id in ids.drain(..) {
            if !rest.is_empty() {
                rest.push(id);
                continue;
            }
            let frame = turn.store.frame(&id);
            match turn.read(frame) {
                Ok(Some(frame)) if budget.add(frame.clone()).is_ok() => pushed.push(id),
                Ok(Some(_)) => rest.push(id),
                Ok(None) | Err(_) => {
                    self.dispatch.parcels.remove(&id);
                    self.put_off(turn, &[id], ABOUT_OLD_MAX_MS);
                }
            }
        }
        *ids = rest;
        let frame_bytes = budget.bytes() as u64;
        let request = (!budget.is_empty()).then(|| SyncRequest::Push { frames: budget.into_frames() }.encode());
        (request.map(|request| Push { request, frame_bytes }), pushed)
    }

    fn push(&mut self, turn: &mut Turn<'_>, peer: NodeId, push: &Push, errand: Errand) {
        if self.send(turn, peer, &push.request, errand) {
            turn.count(Tally::SyncFrameBytesOut(push.frame_bytes));
        }
    }

    fn ask_about(&mut self, turn: &mut Turn<'_>, carriers: &[NodeId], ids: &[RecordId]) {
        let Some(peer) = carriers.choose(&mut self.rng).copied() else { return };
        let request = SyncRequest::About { ids: ids.to_vec() }.encode();
        self.send(turn, peer, &request, Errand::About(ids.to_vec()));
        for id in ids {
            let Some(away) = self.outbox.get(id).and_then(|item| item.away) else { continue };
            let next_ms = turn.mono_ms.saturating_add(about_wait_ms(away.asked));
            self.outbox.set_away(id, Some(Away { next_ms, asked: away.asked.saturating_add(1), ..away }));
        }
    }

    /// Sends a request of the relay's own. Where too many are under way it is dropped: all of them are tried again.
    /// Says whether it was sent.
    pub(super) fn send(&mut self, turn: &mut Turn<'_>, peer: NodeId, request: &Bytes, errand: Errand) -> bool {
        if self.dispatch.errands.len() >= ERRANDS_MAX {
            return false;
        }
        let exchange = self.exchange();
        self.dispatch.errands.insert(exchange, (turn.mono_ms.saturating_add(ERRAND_TIMEOUT_MS), errand));
        turn.count(Tally::SyncBytesOut(request.len() as u64));
        turn.emit(Output::Ask { peer, exchange, request: request.clone() });
        true
    }

    /// An answer to a request of the relay's own.
    pub(super) fn errand_answered(
        &mut self,
        turn: &mut Turn<'_>,
        peer: NodeId,
        exchange: ExchangeId,
        response: Option<&Bytes>,
    ) {
        let Some((_, errand)) = self.dispatch.errands.remove(&exchange) else { return };
        let response = response.and_then(|bytes| {
            turn.count(Tally::SyncBytesIn(bytes.len() as u64));
            SyncResponse::decode(bytes).ok()
        });
        match (errand, response) {
            (Errand::HandOver(ids), Some(SyncResponse::Pushed { taken })) => {
                self.sync.moved_aside(peer, 0, taken.min(count(&ids)));
                self.handed_over(&ids, taken);
            }
            (Errand::Offer(offered), Some(SyncResponse::Pushed { taken })) => {
                self.sync.moved_aside(peer, 0, taken.min(offered));
            }
            (Errand::About(ids), Some(SyncResponse::News { frames, unknown })) => {
                self.sync.moved_aside(peer, count(&frames), 0);
                let asked: BTreeSet<RecordId> = ids.into_iter().collect();
                self.admit_batch(turn, peer, frames.into_iter().map(|frame| frame.0).collect(), Then::Nothing);
                for id in unknown.iter().filter(|id| asked.contains(*id)) {
                    if let Some(away) = self.outbox.get(id).and_then(|item| item.away) {
                        self.outbox.set_away(id, Some(Away { handed: 0, ..away }));
                    }
                }
            }
            (Errand::Reclaim, Some(SyncResponse::Frames { frames, .. })) => {
                self.sync.moved_aside(peer, count(&frames), 0);
                self.admit_batch(turn, peer, frames.into_iter().map(|frame| frame.0).collect(), Then::Nothing);
            }
            (Errand::Tell(shard), response) => self.offer_answered(turn, peer, shard, response.as_ref()),
            (Errand::Told(ids), response) => self.told_answered(turn, peer, &ids, response),
            _ => {}
        }
    }

    fn handed_over(&mut self, ids: &[RecordId], taken: u32) {
        for id in ids.iter().take(taken as usize) {
            self.dispatch.parcels.remove(id);
            if let Some(away) = self.outbox.get(id).and_then(|item| item.away) {
                self.outbox.set_away(id, Some(Away { handed: away.handed.saturating_add(1), ..away }));
            }
        }
    }

    /// Gossip found nobody for a record: the next neighbour gets it at once.
    pub(super) fn unheard(&mut self, turn: &mut Turn<'_>, id: RecordId) {
        if self.outbox.get(&id).is_some_and(|item| item.away.is_some()) || self.dispatch.parcels.contains_key(&id) {
            return;
        }
        if self.dispatch.offers.len() < OFFERS_WAITING_MAX && !self.dispatch.offers.contains(&id) {
            self.dispatch.offers.push_back(id);
        }
        let peers: Vec<NodeId> = self.peers.iter().copied().collect();
        let chosen: Vec<NodeId> = peers.sample(&mut self.rng, OFFER_PEERS).copied().collect();
        self.offer_to(turn, &chosen);
    }

    /// Offers what waits to these neighbours.
    pub(super) fn offer_to(&mut self, turn: &mut Turn<'_>, peers: &[NodeId]) {
        if peers.is_empty() {
            return;
        }
        let mut ids: Vec<RecordId> = self.dispatch.offers.drain(..).collect();
        while !ids.is_empty() {
            let (request, pushed) = self.push_request(turn, &mut ids);
            let Some(request) = request else { continue };
            for peer in peers {
                self.push(turn, *peer, &request, Errand::Offer(count(&pushed)));
            }
        }
    }

    /// Asks some neighbour for bodies that there was no room for before.
    pub(super) fn fetch(&mut self, turn: &mut Turn<'_>, ids: Vec<RecordId>) {
        let peers: Vec<NodeId> = self.peers.iter().copied().collect();
        let Some(peer) = peers.choose(&mut self.rng).copied() else { return };
        let request = SyncRequest::Fetch { ids }.encode();
        self.send(turn, peer, &request, Errand::Reclaim);
    }

    /// Forgets errands whose answers never came, and parcels that nobody needs any more.
    pub(super) fn expire_errands(&mut self, wall: Timestamp, now_ms: u64) {
        self.dispatch.parcels.retain(|_, parcel| parcel.expires_at > wall);
        self.dispatch.errands.retain(|_, (until_ms, _)| *until_ms > now_ms);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn custody_is_asked_for_within_a_minute_and_old_mail_seldom() {
        let first: u64 = (0..4).map(about_wait_ms).sum();
        assert!(first < 60_000);
        assert!((0..ABOUT_FRESH_TRIES).all(|asked| about_wait_ms(asked) <= ABOUT_FRESH_MAX_MS));
        assert_eq!(about_wait_ms(u32::MAX), ABOUT_OLD_MAX_MS);
    }
}
