//! Large records: neighbours are told of them, and fetch them.
//!
//! Gossip hands a record to several neighbours whole, and each gets more than three copies of it. For a text that is the
//! price of never waiting. A picture of 64 KiB is as much as a hundred texts, and on a narrow line everybody's texts wait
//! behind its copies. So a record above [`LARGE_BYTES`] goes another way, *lazy push* (Leitão, Pereira and Rodrigues,
//! "Epidemic Broadcast Trees", SRDS 2007): whoever has it on disk tells its neighbours the id, each fetches it once, from
//! whoever told first, and tells its own neighbours in turn. It takes a round trip more for each hop, and one copy for each
//! node.
//!
//! Who told first is mostly the one with the best line. Where it does not deliver in [`TOLD_FETCH_MS`] the next one is
//! asked. Like gossip this is a hint: what it loses, sync brings.

use std::collections::{BTreeMap, BTreeSet};

use griot_protocol::{
    NodeId, Record, RecordId, Shard,
    sync::{SyncRequest, SyncResponse},
};
use rand::seq::IndexedRandom;

use super::{
    Relay,
    away::Errand,
    limits::{
        ERRAND_TIMEOUT_MS, LARGE_BYTES, TELL_PEERS_MAX, TELLERS_MAX, TELLING_MAX, TOLD_BY_ONE_MAX, TOLD_FETCH_MAX,
        TOLD_FETCH_MS, TOLD_MAX,
    },
    neighbours::Then,
    turn::Turn,
};

/// Whether neighbours are told of a record instead of being handed it.
pub(super) fn is_large(record: &Record) -> bool {
    record.frame().len() > LARGE_BYTES
}

/// A record that is not here, and who has it.
#[derive(Debug)]
struct Wanted {
    /// Who has it, in the order in which they told. It counts against the first of them.
    tellers: Vec<NodeId>,
    /// Who was asked for it, and until when nobody else is.
    asked: Option<(NodeId, u64)>,
}

/// Ids on their way to one neighbour.
#[derive(Debug, Default)]
struct Telling {
    ids: Vec<RecordId>,
    /// An offer is under way until then at most.
    busy_until_ms: Option<u64>,
}

/// What this node was told of, and what it tells.
#[derive(Debug, Default)]
pub(super) struct Told {
    wanted: BTreeMap<RecordId, Wanted>,
    /// Neighbours that are fetched from just now, and until when at most.
    fetching: BTreeMap<NodeId, u64>,
    telling: BTreeMap<(NodeId, Shard), Telling>,
}

impl Told {
    /// How many more records may count against this neighbour.
    fn room_of(&self, teller: &NodeId) -> usize {
        let told_by_it = self.wanted.values().filter(|wanted| wanted.tellers.first() == Some(teller)).count();
        TOLD_BY_ONE_MAX.saturating_sub(told_by_it).min(TOLD_MAX.saturating_sub(self.wanted.len()))
    }

    /// A neighbour has records that are not here.
    fn note(&mut self, teller: NodeId, ids: impl IntoIterator<Item = RecordId>) {
        let mut room = self.room_of(&teller);
        for id in ids {
            let is_known = self.wanted.contains_key(&id);
            if is_known || room > 0 {
                room -= usize::from(!is_known);
                self.note_one(id, teller);
            }
        }
    }

    fn note_one(&mut self, id: RecordId, teller: NodeId) {
        let wanted = self.wanted.entry(id).or_insert(Wanted { tellers: Vec::new(), asked: None });
        if wanted.tellers.len() < TELLERS_MAX && !wanted.tellers.contains(&teller) {
            wanted.tellers.push(teller);
        }
    }

    /// Who told of a record that is on its way to the disk here, or was.
    fn tellers(&self, id: &RecordId) -> &[NodeId] {
        self.wanted.get(id).map_or(&[], |wanted| &wanted.tellers)
    }

    /// A record is here.
    pub(super) fn arrived(&mut self, id: &RecordId) {
        self.wanted.remove(id);
    }

    /// A neighbour is gone, and with it what only it had.
    pub(super) fn peer_down(&mut self, peer: &NodeId) {
        self.fetching.remove(peer);
        self.telling.retain(|(other, _), _| other != peer);
        self.wanted.retain(|_, wanted| wanted.without(peer));
    }

    /// What to ask of whom now: of each neighbour that nothing is asked of yet, a few of those that it told of.
    fn plan(&self) -> BTreeMap<NodeId, Vec<RecordId>> {
        let mut plan: BTreeMap<NodeId, Vec<RecordId>> = BTreeMap::new();
        for (id, wanted) in self.wanted.iter().filter(|(_, wanted)| wanted.asked.is_none()) {
            let has_time = |teller: &&NodeId| {
                !self.fetching.contains_key(*teller) && plan.get(*teller).is_none_or(|ids| ids.len() < TOLD_FETCH_MAX)
            };
            if let Some(teller) = wanted.tellers.iter().find(has_time).copied() {
                plan.entry(teller).or_default().push(*id);
            }
        }
        plan
    }

    /// A neighbour was asked for these.
    fn asked(&mut self, peer: NodeId, ids: &[RecordId], now_ms: u64) {
        self.fetching.insert(peer, now_ms.saturating_add(ERRAND_TIMEOUT_MS));
        for id in ids {
            if let Some(wanted) = self.wanted.get_mut(id) {
                wanted.asked = Some((peer, now_ms.saturating_add(TOLD_FETCH_MS)));
            }
        }
    }

    /// A neighbour has not got these, or does not hand them over.
    fn in_vain<'a>(&mut self, peer: &NodeId, ids: impl IntoIterator<Item = &'a RecordId>) {
        for id in ids {
            if self.wanted.get_mut(id).is_some_and(|wanted| !wanted.without(peer)) {
                self.wanted.remove(id);
            }
        }
    }

    /// A neighbour had no room for these in its answer.
    fn not_yet<'a>(&mut self, peer: &NodeId, ids: impl IntoIterator<Item = &'a RecordId>) {
        for id in ids {
            if let Some(wanted) = self.wanted.get_mut(id)
                && wanted.asked.is_some_and(|(asked, _)| asked == *peer)
            {
                wanted.asked = None;
            }
        }
    }

    /// Gives up waiting for those that are late.
    fn give_up_late(&mut self, now_ms: u64) {
        self.fetching.retain(|_, until_ms| *until_ms > now_ms);
        self.wanted.retain(|_, wanted| match wanted.asked {
            Some((peer, until_ms)) if until_ms <= now_ms => wanted.without(&peer),
            _ => true,
        });
    }

    /// Adds an id to what a neighbour will be told.
    fn tell(&mut self, peer: NodeId, shard: Shard, id: RecordId) {
        let telling = self.telling.entry((peer, shard)).or_default();
        if telling.ids.len() < TELLING_MAX {
            telling.ids.push(id);
        }
    }

    /// What to tell it now: nothing while it has not answered.
    fn take_telling(&mut self, peer: NodeId, shard: Shard, now_ms: u64) -> Vec<RecordId> {
        let Some(telling) = self.telling.get_mut(&(peer, shard)) else { return Vec::new() };
        if telling.ids.is_empty() || telling.busy_until_ms.is_some_and(|until_ms| until_ms > now_ms) {
            return Vec::new();
        }
        telling.busy_until_ms = Some(now_ms.saturating_add(ERRAND_TIMEOUT_MS));
        std::mem::take(&mut telling.ids)
    }

    /// It answered. Says whether there is more to tell.
    fn told(&mut self, peer: NodeId, shard: Shard) -> bool {
        let Some(telling) = self.telling.get_mut(&(peer, shard)) else { return false };
        telling.busy_until_ms = None;
        let has_more = !telling.ids.is_empty();
        if !has_more {
            self.telling.remove(&(peer, shard));
        }
        has_more
    }
}

impl Wanted {
    /// Counts on this neighbour no more. Says whether anybody else has it.
    fn without(&mut self, peer: &NodeId) -> bool {
        self.tellers.retain(|teller| teller != peer);
        if self.asked.is_some_and(|(asked, _)| asked == *peer) {
            self.asked = None;
        }
        !self.tellers.is_empty()
    }
}

impl Relay {
    /// Tells neighbours of a large record that is on disk here; those that told of it know.
    pub(super) fn tell_of(&mut self, turn: &mut Turn<'_>, id: RecordId, shard: Shard) {
        let mut peers = self.sync.carriers(turn.now(), shard);
        let tellers = self.told.tellers(&id);
        peers.retain(|peer| !tellers.contains(peer));
        if peers.len() > TELL_PEERS_MAX {
            peers = peers.sample(&mut self.rng, TELL_PEERS_MAX).copied().collect();
        }
        for peer in peers {
            self.told.tell(peer, shard, id);
            self.offer(turn, peer, shard);
        }
    }

    fn offer(&mut self, turn: &mut Turn<'_>, peer: NodeId, shard: Shard) {
        let ids = self.told.take_telling(peer, shard, turn.mono_ms);
        if ids.is_empty() {
            return;
        }
        let request = SyncRequest::Offer { bits: self.config.params.bits, shard, ids }.encode();
        if !self.send(turn, peer, &request, Errand::Tell(shard)) {
            // Too much is under way: sync will bring them.
            self.told.told(peer, shard);
        }
    }

    /// A neighbour answered an offer, or will not.
    pub(super) fn offer_answered(
        &mut self,
        turn: &mut Turn<'_>,
        peer: NodeId,
        shard: Shard,
        response: Option<&SyncResponse>,
    ) {
        if matches!(response, Some(SyncResponse::NotCarried { .. })) {
            self.sync.carries_not(turn.now(), peer, shard);
        }
        if self.told.told(peer, shard) {
            self.offer(turn, peer, shard);
        }
    }

    /// A neighbour has these.
    pub(super) fn told_of(&mut self, turn: &mut Turn<'_>, peer: NodeId, ids: Vec<RecordId>) {
        let mut lacking = Vec::new();
        for id in ids {
            let row = turn.store.row(&id);
            // A mark is known too: its body is asked for once there is room. Where the disk cannot be read nothing is wanted.
            if let Ok(None) = turn.read(row)
                && self.pending.saving(&id).is_none()
            {
                lacking.push(id);
            }
        }
        self.told.note(peer, lacking);
        self.fetch_told(turn);
    }

    fn fetch_told(&mut self, turn: &mut Turn<'_>) {
        for (peer, ids) in self.told.plan() {
            let request = SyncRequest::Fetch { ids: ids.clone() }.encode();
            if self.send(turn, peer, &request, Errand::Told(ids.clone())) {
                self.told.asked(peer, &ids, turn.mono_ms);
            }
        }
    }

    /// A neighbour that was asked for what it told of answered, or will not.
    pub(super) fn told_answered(
        &mut self,
        turn: &mut Turn<'_>,
        peer: NodeId,
        ids: &[RecordId],
        response: Option<SyncResponse>,
    ) {
        self.told.fetching.remove(&peer);
        match response {
            Some(SyncResponse::Frames { frames, not_held }) if frames.len() + not_held.len() <= ids.len() => {
                let (_, left) = ids.split_at(frames.len() + not_held.len());
                self.told.not_yet(&peer, left);
                let asked: BTreeSet<&RecordId> = ids.iter().collect();
                self.told.in_vain(&peer, not_held.iter().filter(|id| asked.contains(*id)));
                self.admit_batch(turn, peer, frames.into_iter().map(|frame| frame.0).collect(), Then::Told);
            }
            _ => self.told.in_vain(&peer, ids),
        }
        self.fetch_told(turn);
    }

    /// Asks others for what did not come in time.
    pub(super) fn told_late(&mut self, turn: &mut Turn<'_>) {
        if self.told.wanted.is_empty() && self.told.fetching.is_empty() {
            return;
        }
        self.told.give_up_late(turn.mono_ms);
        self.fetch_told(turn);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ANA: NodeId = NodeId([1; 32]);
    const BEN: NodeId = NodeId([2; 32]);

    fn id(n: u16) -> RecordId {
        let mut id = [0; 32];
        id[..2].copy_from_slice(&n.to_be_bytes());
        RecordId(id)
    }

    fn plan(told: &Told) -> Vec<(NodeId, usize)> {
        told.plan().into_iter().map(|(peer, ids)| (peer, ids.len())).collect()
    }

    #[test]
    fn a_record_is_asked_of_one_neighbour_and_of_the_next_where_it_does_not_come() {
        let mut told = Told::default();
        told.note(ANA, [id(1)]);
        told.note(BEN, [id(1)]);
        assert_eq!(plan(&told), [(ANA, 1)]);
        told.asked(ANA, &[id(1)], 0);
        assert_eq!(plan(&told), []);
        told.give_up_late(TOLD_FETCH_MS - 1);
        assert_eq!(plan(&told), []);
        told.give_up_late(TOLD_FETCH_MS);
        assert_eq!(plan(&told), [(BEN, 1)]);
        told.asked(BEN, &[id(1)], TOLD_FETCH_MS);
        told.in_vain(&BEN, &[id(1)]);
        assert!(told.wanted.is_empty(), "sync will bring it");
    }

    #[test]
    fn a_neighbour_is_asked_for_a_few_at_a_time() {
        let mut told = Told::default();
        told.note(ANA, (0..10).map(id));
        told.note(BEN, [id(9)]);
        assert_eq!(plan(&told), [(ANA, TOLD_FETCH_MAX), (BEN, 1)]);
        let first = told.plan()[&ANA].clone();
        told.asked(ANA, &first, 0);
        assert_eq!(plan(&told), [(BEN, 1)]);
        told.fetching.remove(&ANA);
        told.not_yet(&ANA, &first[1..]);
        told.arrived(&first[0]);
        assert_eq!(plan(&told), [(ANA, TOLD_FETCH_MAX), (BEN, 1)]);
        assert!(told.plan()[&ANA].contains(&first[1]));
    }

    #[test]
    fn what_one_neighbour_tells_is_bounded_and_others_still_have_room() {
        let mut told = Told::default();
        told.note(ANA, (0..1000).map(id));
        assert_eq!(told.wanted.len(), TOLD_BY_ONE_MAX);
        told.note(BEN, [id(2000)]);
        assert_eq!(told.wanted.len(), TOLD_BY_ONE_MAX + 1);
        told.peer_down(&ANA);
        assert_eq!(told.wanted.len(), 1);
    }

    #[test]
    fn a_burst_shares_offers() {
        let mut told = Told::default();
        let shard = Shard(0);
        told.tell(ANA, shard, id(1));
        assert_eq!(told.take_telling(ANA, shard, 0), [id(1)]);
        told.tell(ANA, shard, id(2));
        told.tell(ANA, shard, id(3));
        assert!(told.take_telling(ANA, shard, 0).is_empty(), "the first offer is not answered yet");
        assert!(told.told(ANA, shard));
        assert_eq!(told.take_telling(ANA, shard, 0), [id(2), id(3)]);
        assert!(!told.told(ANA, shard));
        assert!(told.telling.is_empty());
    }
}
