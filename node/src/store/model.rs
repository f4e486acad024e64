//! What entries mean, as plainly as it can be written: the model that the disk store is held to.
//!
//! A few maps, changed one entry at a time. The disk store shares none of this code, so that the property test that
//! compares the two can fail.
//!
//! The life of an envelope's row:
//!
//! ```text
//!                 Record               releasing ack
//!   (nothing) ───────────▶ Held ─────────────────────────▶ Killed     Held and Marked are in the sync set;
//!       │                 ▲    │ Evicted                    ▲ ▲       every row goes when the hour of its
//!       │ Marked   Record │    ▼                            │ │       expiry is dropped
//!       └───────────────▶ Marked ───────────────────────────┘ │
//!       └── Record or Marked after the releasing ack ─────────┘
//! ```

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use griot_protocol::{
    Address, Body, Hour, Record, RecordId, RecordKind, Shard, ShardBits, Timestamp, postage::bits_of,
};

use super::{
    ABOUT_MAX, Digest, Entry, Holding, Local, MemberId, MemberRow, Outcome, Position, RegistrationRow, RememberedPeer,
    Row, SyncSet, Totals, Usage,
};

/// Names an envelope as an ack does.
type Name = (Address, RecordId, Timestamp);

/// Envelopes by postage, then age, with their sizes.
type Evictable = BTreeSet<(u8, Position, RecordId, u32)>;

#[derive(Clone, Debug)]
struct Kept {
    row: Row,
    record: Option<Record>,
}

/// The model.
#[derive(Clone, Debug)]
pub(super) struct Model {
    bits: ShardBits,
    /// The batch that the next commit will be.
    batch: u64,
    /// The first hour of expiry that is not closed, to all but acks.
    floor: Hour,
    /// The same for acks; never goes back.
    ack_floor: Hour,
    rows: BTreeMap<RecordId, Kept>,
    mailbox: BTreeMap<(Address, Position), RecordId>,
    /// Envelopes named by acks, whether one of them releases, and until when.
    named: BTreeMap<Name, (bool, Timestamp)>,
    /// Which records name an envelope: (envelope, their mailbox, their kind, record).
    about: BTreeSet<(RecordId, Address, u8, RecordId)>,
    by_hour: BTreeMap<Hour, BTreeSet<RecordId>>,
    buckets: BTreeMap<(SyncSet, Shard, Hour), BTreeSet<(Timestamp, RecordId)>>,
    digests: BTreeMap<(SyncSet, Shard, Hour), Digest>,
    registrations: BTreeMap<(Address, MemberId), RegistrationRow>,
    pub(super) members: BTreeMap<MemberId, MemberRow>,
    usage: BTreeMap<Address, Usage>,
    totals: Totals,
    pub(super) peers: Vec<RememberedPeer>,
}

fn sync_set(row: &Row) -> Option<SyncSet> {
    match (row.kind, row.holding) {
        (_, Holding::Killed) => None,
        (RecordKind::Ack, _) => Some(SyncSet::Acks),
        (RecordKind::Envelope | RecordKind::Custody, _) => Some(SyncSet::Rest),
    }
}

impl Model {
    pub(super) fn new(bits: ShardBits) -> Self {
        Self {
            bits,
            batch: 1,
            floor: Hour(0),
            ack_floor: Hour(0),
            rows: BTreeMap::new(),
            mailbox: BTreeMap::new(),
            named: BTreeMap::new(),
            about: BTreeSet::new(),
            by_hour: BTreeMap::new(),
            buckets: BTreeMap::new(),
            digests: BTreeMap::new(),
            registrations: BTreeMap::new(),
            members: BTreeMap::new(),
            usage: BTreeMap::new(),
            totals: Totals::default(),
            peers: Vec::new(),
        }
    }

    pub(super) fn commit(&mut self, entries: &[Entry]) -> Vec<Outcome> {
        let mut outcomes = Vec::new();
        for (index, entry) in entries.iter().enumerate() {
            match entry {
                Entry::Record(record) => {
                    outcomes.push(self.insert(record, Position(self.batch << 20 | index as u64)));
                }
                Entry::Local(local) => self.apply(local),
            }
        }
        self.batch += u64::from(!entries.is_empty());
        outcomes
    }

    fn insert(&mut self, record: &Record, position: Position) -> Outcome {
        if self.is_closed(record.kind(), record.expires_at()) {
            return Outcome::Present;
        }
        if self.rows.get(&record.id()).is_some_and(|kept| kept.row.holding != Holding::Marked) {
            return Outcome::Present;
        }
        self.take(&record.id());
        let mut row = Row {
            id: record.id(),
            kind: record.kind(),
            address: record.address(),
            created_at: record.body().created_at(),
            expires_at: record.expires_at(),
            frame_bytes: record.frame().len() as u32,
            holding: Holding::Held,
            acked: false,
            outbox: None,
            position: (record.kind() == RecordKind::Envelope).then_some(position),
        };
        let released = self.judge(&mut row);
        let outcome = if released { Outcome::Buried } else { Outcome::Inserted(row.position) };
        self.put(Kept { row, record: (!released).then(|| record.clone()) });
        self.spread(record);
        outcome
    }

    /// Sets what the acks held say about an envelope; returns whether one of them released it.
    fn judge(&self, row: &mut Row) -> bool {
        if row.kind != RecordKind::Envelope {
            return false;
        }
        let named = self.named.get(&(row.address, row.id, row.created_at));
        row.acked = named.is_some();
        let released = named.is_some_and(|(release, _)| *release);
        if row.acked {
            row.outbox = None;
        }
        if released {
            row.holding = Holding::Killed;
            row.position = None;
        }
        released
    }

    /// What a record does to the envelopes that it names.
    fn spread(&mut self, record: &Record) {
        let (kind, by) = (record.kind().byte(), record.id());
        match record.body() {
            Body::Envelope(_) => {}
            Body::Custody(custody) => {
                for id in &custody.items {
                    self.about.insert((*id, record.address(), kind, by));
                }
            }
            Body::Ack(ack) => {
                for item in &ack.items {
                    self.about.insert((item.id, record.address(), kind, by));
                    let name = (record.address(), item.id, item.created_at);
                    let (release, until) = self.named.entry(name).or_default();
                    *release |= ack.release;
                    *until = ack.expires_at.max(*until);
                    self.change(&item.id, |_| {});
                }
            }
        }
    }

    fn apply(&mut self, local: &Local) {
        match local {
            Local::Registered { member, keys, grant, at } => {
                let row = RegistrationRow { member: *member, keys: *keys, grant: *grant, at: *at };
                let address = keys.address();
                if !self.is_registered(&address) {
                    self.totals.mailboxes += 1;
                    self.totals.best_effort_bytes -= self.unpaid_bytes(&address);
                }
                self.registrations.insert((address, *member), row);
            }
            Local::Unregistered { member, address } => self.unregister(address, *member),
            Local::MemberAdded { member, label, token_hash, at } => {
                let row = MemberRow { member: *member, label: label.clone(), token_hash: *token_hash, at: *at };
                self.members.insert(*member, row);
            }
            Local::MemberRevoked { member } => {
                self.members.remove(member);
                let theirs: Vec<_> = self.registrations.keys().filter(|(_, of)| of == member).copied().collect();
                for (address, member) in theirs {
                    self.unregister(&address, member);
                }
            }
            Local::Submitted { id, member } => self.change(id, |kept| {
                if kept.row.kind == RecordKind::Envelope && kept.row.holding == Holding::Held && !kept.row.acked {
                    kept.row.outbox = Some(*member);
                }
            }),
            Local::Discharged { id } => self.change(id, |kept| kept.row.outbox = None),
            Local::Evicted { id } => self.change(id, |kept| {
                let row = &mut kept.row;
                if row.kind == RecordKind::Envelope && row.holding == Holding::Held && row.outbox.is_none() {
                    (row.holding, row.position, kept.record) = (Holding::Marked, None, None);
                }
            }),
            Local::Marked { id, kind, address, created_at, expires_at } => {
                if self.rows.contains_key(id) || self.is_closed(*kind, *expires_at) {
                    return;
                }
                let mut row = Row {
                    id: *id,
                    kind: *kind,
                    address: *address,
                    created_at: *created_at,
                    expires_at: *expires_at,
                    frame_bytes: 0,
                    holding: Holding::Marked,
                    acked: false,
                    outbox: None,
                    position: None,
                };
                self.judge(&mut row);
                self.put(Kept { row, record: None });
            }
        }
    }

    fn unregister(&mut self, address: &Address, member: MemberId) {
        if self.registrations.remove(&(*address, member)).is_some() && !self.is_registered(address) {
            self.totals.mailboxes -= 1;
            self.totals.best_effort_bytes += self.unpaid_bytes(address);
        }
    }

    /// Bytes in a mailbox that nobody submitted here.
    fn unpaid_bytes(&self, address: &Address) -> u64 {
        let (from, to) = ((*address, Position(0)), (*address, Position(u64::MAX)));
        let rows = self.mailbox.range(from..=to).filter_map(|(_, id)| self.rows.get(id)).map(|kept| &kept.row);
        rows.filter(|row| row.outbox.is_none()).map(|row| u64::from(row.frame_bytes)).sum()
    }

    /// Changes a row and everything that follows from it.
    fn change(&mut self, id: &RecordId, change: impl FnOnce(&mut Kept)) {
        if let Some(mut kept) = self.take(id) {
            change(&mut kept);
            self.judge(&mut kept.row);
            if kept.row.holding != Holding::Held {
                kept.record = None;
            }
            self.put(kept);
        }
    }

    fn put(&mut self, kept: Kept) {
        let row = &kept.row;
        let hour = row.expires_at.hour();
        if let Some(set) = sync_set(row) {
            let key = (set, row.address.shard(self.bits), hour);
            self.buckets.entry(key).or_default().insert((row.expires_at, row.id));
            self.digests.entry(key).or_default().add(&row.id);
        }
        self.totals = self.totals_with(row, |total, more| total + more);
        if let Some(position) = row.position {
            self.mailbox.insert((row.address, position), row.id);
            let usage = self.usage.entry(row.address).or_default();
            usage.envelopes += 1;
            usage.bytes += u64::from(row.frame_bytes);
        }
        self.by_hour.entry(hour).or_default().insert(row.id);
        self.rows.insert(row.id, kept);
    }

    /// The totals when a row comes or goes.
    fn totals_with(&self, row: &Row, apply: impl Fn(u64, u64) -> u64) -> Totals {
        let bytes = u64::from(row.frame_bytes);
        let held = u64::from(row.holding == Holding::Held);
        let unpaid = row.position.is_some() && row.outbox.is_none() && !self.is_registered(&row.address);
        Totals {
            records: apply(self.totals.records, held),
            bytes: apply(self.totals.bytes, held * bytes),
            best_effort_bytes: apply(self.totals.best_effort_bytes, u64::from(unpaid) * bytes),
            mailboxes: self.totals.mailboxes,
            outbox: apply(self.totals.outbox, u64::from(row.outbox.is_some())),
            marks: apply(self.totals.marks, u64::from(row.holding == Holding::Marked)),
        }
    }

    fn take(&mut self, id: &RecordId) -> Option<Kept> {
        let kept = self.rows.remove(id)?;
        let row = &kept.row;
        let hour = row.expires_at.hour();
        if let Some(set) = sync_set(row) {
            let key = (set, row.address.shard(self.bits), hour);
            if let Some(bucket) = self.buckets.get_mut(&key) {
                bucket.remove(&(row.expires_at, row.id));
                if bucket.is_empty() {
                    self.buckets.remove(&key);
                    self.digests.remove(&key);
                } else if let Some(digest) = self.digests.get_mut(&key) {
                    digest.remove(&row.id);
                }
            }
        }
        self.totals = self.totals_with(row, |total, less| total - less);
        if let Some(position) = row.position {
            self.mailbox.remove(&(row.address, position));
            if let Some(usage) = self.usage.get_mut(&row.address) {
                usage.envelopes -= 1;
                usage.bytes -= u64::from(row.frame_bytes);
                if usage.envelopes == 0 {
                    self.usage.remove(&row.address);
                }
            }
        }
        if let Some(ids) = self.by_hour.get_mut(&hour) {
            ids.remove(id);
            if ids.is_empty() {
                self.by_hour.remove(&hour);
            }
        }
        Some(kept)
    }

    pub(super) fn expire(&mut self, now: Timestamp, max: usize) -> usize {
        let hour = now.hour().0;
        let goes_back = self.floor.0 > hour;
        if hour > self.floor.0 {
            self.floor = Hour(hour - 1);
            self.close_acks(Hour(hour.saturating_sub(1 + 24)));
        }
        let is_doomed =
            |id: &&RecordId| self.rows.get(*id).is_some_and(|kept| self.is_closed(kept.row.kind, kept.row.expires_at));
        let ids = self.by_hour.range(..self.floor).flat_map(|(_, ids)| ids);
        let doomed: Vec<RecordId> = ids.filter(is_doomed).take(max).copied().collect();
        for id in &doomed {
            if let Some(record) = self.take(id).and_then(|kept| kept.record) {
                self.forget_names(&record);
            }
        }
        if goes_back && doomed.len() < max {
            self.floor = self.ack_floor.max(Hour(hour.saturating_sub(1)));
        }
        doomed.len()
    }

    /// Closes the hours before `hour` to acks, as far as there are any to drop.
    fn close_acks(&mut self, hour: Hour) {
        let is_ack = |id: &RecordId| self.rows.get(id).is_some_and(|kept| kept.row.kind == RecordKind::Ack);
        let mut hours = self.by_hour.range(..hour).filter(|(_, ids)| ids.iter().any(is_ack));
        if let Some((Hour(last), _)) = hours.next_back() {
            self.ack_floor = self.ack_floor.max(Hour(last + 1));
        }
    }

    fn is_closed(&self, kind: RecordKind, expires_at: Timestamp) -> bool {
        let floor = if kind == RecordKind::Ack { self.ack_floor } else { self.floor };
        expires_at.hour() < floor
    }

    pub(super) const fn floor(&self) -> Hour {
        self.floor
    }

    fn forget_names(&mut self, record: &Record) {
        let items: Vec<(RecordId, Option<Timestamp>)> = match record.body() {
            Body::Envelope(_) => return,
            Body::Custody(custody) => custody.items.iter().map(|id| (*id, None)).collect(),
            Body::Ack(ack) => ack.items.iter().map(|item| (item.id, Some(item.created_at))).collect(),
        };
        for (id, created_at) in items {
            self.about.remove(&(id, record.address(), record.kind().byte(), record.id()));
            if let Some(created_at) = created_at {
                let name = (record.address(), id, created_at);
                if self.named.get(&name).is_some_and(|(_, until)| until.hour() < self.ack_floor) {
                    self.named.remove(&name);
                }
            }
        }
    }

    pub(super) fn row(&self, id: &RecordId) -> Option<Row> {
        self.rows.get(id).map(|kept| kept.row.clone())
    }

    pub(super) fn frame(&self, id: &RecordId) -> Option<Bytes> {
        self.rows.get(id)?.record.as_ref().map(|record| record.frame().clone())
    }

    pub(super) fn held(&self, after: Option<RecordId>, max: usize) -> Vec<RecordId> {
        let all = self.rows.values().filter(|kept| kept.row.holding == Holding::Held).map(|kept| kept.row.id);
        all.filter(|id| after.is_none_or(|after| *id > after)).take(max).collect()
    }

    pub(super) fn mailbox(&self, address: &Address, after: Position, max: usize) -> Vec<(Position, RecordId)> {
        let from = (*address, Position(after.0.saturating_add(1)));
        let to = (*address, Position(u64::MAX));
        self.mailbox.range(from..=to).take(max).map(|((_, position), id)| (*position, *id)).collect()
    }

    pub(super) fn usage(&self, address: &Address) -> Usage {
        self.usage.get(address).copied().unwrap_or_default()
    }

    /// Where the envelope is known, only what its own mailbox's keys vouch for.
    pub(super) fn about(&self, id: &RecordId) -> Vec<RecordId> {
        let address = self.rows.get(id).map(|kept| kept.row.address);
        let (least, most) = (address.unwrap_or(Address([0; 32])), address.unwrap_or(Address([255; 32])));
        let from = (*id, least, 0, RecordId([0; 32]));
        let to = (*id, most, u8::MAX, RecordId([255; 32]));
        let mut found = Vec::new();
        for kind in [RecordKind::Ack, RecordKind::Custody] {
            let all = self.about.range(from..=to).filter(|(_, _, byte, _)| *byte == kind.byte());
            found.extend(all.map(|(_, _, _, by)| *by).take(ABOUT_MAX));
        }
        found
    }

    pub(super) fn registrations(&self, address: &Address) -> Vec<RegistrationRow> {
        let (from, to) = ((*address, MemberId([0; 16])), (*address, MemberId([255; 16])));
        self.registrations.range(from..=to).map(|(_, row)| row.clone()).collect()
    }

    pub(super) fn all_registrations(&self, after: Option<(Address, MemberId)>, max: usize) -> Vec<RegistrationRow> {
        let all = self.registrations.iter().filter(|(key, _)| after.is_none_or(|after| **key > after));
        all.take(max).map(|(_, row)| row.clone()).collect()
    }

    pub(super) fn outbox(&self, after: Option<RecordId>, max: usize) -> Vec<(RecordId, MemberId)> {
        let all = self.rows.values().filter_map(|kept| kept.row.outbox.map(|member| (kept.row.id, member)));
        all.filter(|(id, _)| after.is_none_or(|after| *id > after)).take(max).collect()
    }

    pub(super) fn digests(&self, set: SyncSet, shard: Shard, first: Hour) -> Vec<(Hour, Digest)> {
        let range = (set, shard, first)..=(set, shard, Hour(u32::MAX));
        self.digests.range(range).map(|((_, _, hour), digest)| (*hour, *digest)).collect()
    }

    pub(super) fn bucket(&self, set: SyncSet, shard: Shard, hour: Hour) -> Vec<(Timestamp, RecordId)> {
        self.buckets.get(&(set, shard, hour)).map(|bucket| bucket.iter().copied().collect()).unwrap_or_default()
    }

    fn is_registered(&self, address: &Address) -> bool {
        let (from, to) = ((*address, MemberId([0; 16])), (*address, MemberId([255; 16])));
        self.registrations.range(from..=to).next().is_some()
    }

    fn best_effort(&self) -> impl Iterator<Item = &Row> {
        self.rows
            .values()
            .map(|kept| &kept.row)
            .filter(|row| row.position.is_some() && row.outbox.is_none() && !self.is_registered(&row.address))
    }

    /// One at a time: the mailbox that holds most (the first of equals), its lowest postage (the oldest of equals).
    pub(super) fn eviction_candidates(&self, bytes: u64, max: usize) -> Vec<RecordId> {
        let mut holding: BTreeMap<Address, (u64, Evictable)> = BTreeMap::new();
        for row in self.best_effort() {
            let (bytes, rows) = holding.entry(row.address).or_default();
            *bytes += u64::from(row.frame_bytes);
            rows.insert((bits_of(&row.id), row.position.unwrap_or_default(), row.id, row.frame_bytes));
        }
        let (mut freed, mut chosen) = (0, Vec::new());
        while freed < bytes && chosen.len() < max {
            let most = holding.iter_mut().rev().max_by_key(|(_, (bytes, _))| *bytes);
            let Some((_, (held, rows))) = most else { break };
            let Some((_, _, id, frame_bytes)) = rows.pop_first() else { break };
            *held -= u64::from(frame_bytes);
            freed += u64::from(frame_bytes);
            chosen.push(id);
        }
        chosen
    }

    pub(super) const fn totals(&self) -> Totals {
        self.totals
    }

    pub(super) fn oldest_uncollected(&self) -> Option<Timestamp> {
        let rows = self.rows.values().map(|kept| &kept.row).filter(|row| row.position.is_some() && !row.acked);
        rows.filter(|row| self.is_registered(&row.address)).map(|row| row.created_at).min()
    }
}
