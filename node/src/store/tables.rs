//! The part of the index that is kept in memory: sums over rows, counted again from the rows at every start, and
//! the node's own registrations and members, of which there are few.

use std::collections::BTreeMap;

use griot_protocol::{Address, Hour, RecordKind, Shard, ShardBits, Timestamp};

use super::{
    Digest, Holding, MemberId, MemberRow, RegistrationRow, Row, SyncSet, Totals, Usage, floors::Floors, index::Stored,
    log::Location,
};

/// What a row without a body counts for when a segment's live bytes are summed: about what it takes to write it again.
const BODILESS_BYTES: u64 = 200;

/// What a mailbox holds.
#[derive(Debug, Default)]
struct Tally {
    usage: Usage,
    outbox_bytes: u64,
    /// How many held, unacked envelopes were created when.
    uncollected: BTreeMap<Timestamp, u32>,
}

/// The sums.
#[derive(Debug)]
pub(super) struct Tables {
    bits: ShardBits,
    pub floors: Floors,
    digests: BTreeMap<(SyncSet, Shard, Hour), Digest>,
    mailboxes: BTreeMap<Address, Tally>,
    pub registrations: BTreeMap<(Address, MemberId), (RegistrationRow, Location)>,
    pub members: BTreeMap<MemberId, (MemberRow, Location)>,
    totals: Totals,
    live: BTreeMap<u32, u64>,
}

/// The sync set a row belongs to.
pub(super) fn sync_set(row: &Row) -> Option<SyncSet> {
    match (row.holding, row.kind) {
        (Holding::Killed, _) => None,
        (_, RecordKind::Ack) => Some(SyncSet::Acks),
        (_, RecordKind::Envelope | RecordKind::Custody) => Some(SyncSet::Rest),
    }
}

fn add(sum: &mut u64, value: u64, sign: bool) {
    *sum = if sign { sum.saturating_add(value) } else { sum.saturating_sub(value) };
}

impl Tables {
    pub(super) fn new(bits: ShardBits) -> Self {
        Self {
            bits,
            floors: Floors::default(),
            digests: BTreeMap::new(),
            mailboxes: BTreeMap::new(),
            registrations: BTreeMap::new(),
            members: BTreeMap::new(),
            totals: Totals::default(),
            live: BTreeMap::new(),
        }
    }

    /// Counts a row in (`sign`) or out.
    pub(super) fn count(&mut self, stored: &Stored, sign: bool) {
        let row = &stored.row;
        if let Some(set) = sync_set(row) {
            let key = (set, row.address.shard(self.bits), row.expires_at.hour());
            let digest = self.digests.entry(key).or_default();
            if sign {
                digest.add(&row.id)
            } else {
                digest.remove(&row.id)
            }
            if digest.count == 0 {
                self.digests.remove(&key);
            }
        }
        let bytes = u64::from(row.frame_bytes);
        let held = row.holding == Holding::Held;
        if held {
            add(&mut self.totals.records, 1, sign);
            add(&mut self.totals.bytes, bytes, sign);
        }
        add(&mut self.totals.marks, u64::from(row.holding == Holding::Marked), sign);
        add(&mut self.totals.outbox, u64::from(row.outbox.is_some()), sign);
        let weight = if held { u64::from(stored.location.bytes) } else { BODILESS_BYTES };
        self.count_live(stored.location, weight, sign);
        if held && row.kind == RecordKind::Envelope {
            self.count_envelope(row, sign);
        }
    }

    fn count_envelope(&mut self, row: &Row, sign: bool) {
        let before = self.best_effort_of(&row.address);
        let tally = self.mailboxes.entry(row.address).or_default();
        add(&mut tally.usage.envelopes, 1, sign);
        add(&mut tally.usage.bytes, u64::from(row.frame_bytes), sign);
        if row.outbox.is_some() {
            add(&mut tally.outbox_bytes, u64::from(row.frame_bytes), sign);
        }
        if !row.acked {
            let count = tally.uncollected.entry(row.created_at).or_default();
            *count = if sign { count.saturating_add(1) } else { count.saturating_sub(1) };
            if *count == 0 {
                tally.uncollected.remove(&row.created_at);
            }
        }
        if tally.usage == Usage::default() {
            self.mailboxes.remove(&row.address);
        }
        self.adjust_best_effort(&row.address, before);
    }

    fn count_live(&mut self, location: Location, weight: u64, sign: bool) {
        let live = self.live.entry(location.segment).or_default();
        add(live, weight, sign);
        if *live == 0 {
            self.live.remove(&location.segment);
        }
    }

    /// Bytes of entries in a segment that are still needed there.
    pub(super) fn live(&self, segment: u32) -> u64 {
        self.live.get(&segment).copied().unwrap_or(0)
    }

    /// Segments with entries that are still needed there.
    pub(super) fn live_segments(&self) -> impl Iterator<Item = u32> {
        self.live.keys().copied()
    }

    /// Bytes of entries that are still needed, over all segments.
    pub(super) fn live_total(&self) -> u64 {
        self.live.values().sum()
    }

    fn best_effort_of(&self, address: &Address) -> u64 {
        if self.is_registered(address) {
            return 0;
        }
        self.mailboxes.get(address).map_or(0, |tally| tally.usage.bytes.saturating_sub(tally.outbox_bytes))
    }

    fn adjust_best_effort(&mut self, address: &Address, before: u64) {
        let after = self.best_effort_of(address);
        let sum = &mut self.totals.best_effort_bytes;
        *sum = sum.saturating_sub(before).saturating_add(after);
    }

    pub(super) fn is_registered(&self, address: &Address) -> bool {
        self.registrations_of(address).next().is_some()
    }

    pub(super) fn registrations_of(&self, address: &Address) -> impl Iterator<Item = &RegistrationRow> {
        let (from, to) = ((*address, MemberId([0; 16])), (*address, MemberId([255; 16])));
        self.registrations.range(from..=to).map(|(_, (row, _))| row)
    }

    /// Sets or removes a registration.
    pub(super) fn set_registration(&mut self, key: (Address, MemberId), to: Option<(RegistrationRow, Location)>) {
        let before = self.best_effort_of(&key.0);
        let was = self.is_registered(&key.0);
        let (new, old) = match to {
            Some((row, location)) => (Some(location), self.registrations.insert(key, (row, location))),
            None => (None, self.registrations.remove(&key)),
        };
        self.replace_live(old.map(|(_, location)| location), new);
        let is = self.is_registered(&key.0);
        self.totals.mailboxes = self.totals.mailboxes.saturating_add(u64::from(is)).saturating_sub(u64::from(was));
        self.adjust_best_effort(&key.0, before);
    }

    /// Sets or removes a member.
    pub(super) fn set_member(&mut self, member: MemberId, to: Option<(MemberRow, Location)>) {
        let (new, old) = match to {
            Some((row, location)) => (Some(location), self.members.insert(member, (row, location))),
            None => (None, self.members.remove(&member)),
        };
        self.replace_live(old.map(|(_, location)| location), new);
    }

    fn replace_live(&mut self, old: Option<Location>, new: Option<Location>) {
        for (location, sign) in [(old, false), (new, true)] {
            if let Some(location) = location {
                self.count_live(location, u64::from(location.bytes), sign);
            }
        }
    }

    pub(super) fn usage(&self, address: &Address) -> Usage {
        self.mailboxes.get(address).map(|tally| tally.usage).unwrap_or_default()
    }

    pub(super) fn digests(&self, set: SyncSet, shard: Shard, first: Hour) -> Vec<(Hour, Digest)> {
        let range = (set, shard, first)..=(set, shard, Hour(u32::MAX));
        self.digests.range(range).map(|((_, _, hour), digest)| (*hour, *digest)).collect()
    }

    /// The last hour before `hour` in which an ack expires that is here.
    pub(super) fn newest_ack(&self, hour: Hour) -> Option<Hour> {
        let acks = (SyncSet::Acks, Shard(0), Hour(0))..(SyncSet::Rest, Shard(0), Hour(0));
        self.digests.range(acks).map(|((_, _, expires), _)| *expires).filter(|expires| *expires < hour).max()
    }

    /// Mailboxes with best-effort bytes, and how many.
    pub(super) fn best_effort(&self) -> impl Iterator<Item = (u64, Address)> {
        self.mailboxes.keys().map(|address| (self.best_effort_of(address), *address)).filter(|(bytes, _)| *bytes > 0)
    }

    pub(super) const fn totals(&self) -> Totals {
        self.totals
    }

    pub(super) fn oldest_uncollected(&self) -> Option<Timestamp> {
        let registered = self.registrations.keys().filter_map(|(address, _)| self.mailboxes.get(address));
        registered.filter_map(|tally| tally.uncollected.keys().next().copied()).min()
    }
}
