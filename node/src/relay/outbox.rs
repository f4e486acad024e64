//! The outbox, custody class 2: what members submitted here and nobody has collected yet.
//!
//! An envelope leaves it when it is acked or expires; one for a `Shared` mailbox, which knows no acks, at its first
//! valid custody receipt. The store holds the truth; this table answers quickly who uses how much, and what is *away*:
//! in shards that this node does not carry (see [`away`](super::away)).

use std::collections::{BTreeMap, BTreeSet};

use griot_protocol::{Address, Record, RecordId, Shard, Timestamp};

use crate::store::{MemberId, Row};

/// An envelope in the outbox.
#[derive(Clone, Copy, Debug)]
pub(super) struct Item {
    pub member: MemberId,
    pub address: Address,
    pub bytes: u64,
    pub created_at: Timestamp,
    pub expires_at: Timestamp,
    /// Set by [`Outbox::set_away`] alone.
    pub away: Option<Away>,
}

impl Item {
    /// An envelope that has just been submitted by `member`, or was at some time.
    pub(super) fn of(record: &Record, member: MemberId) -> Self {
        Self {
            member,
            address: record.address(),
            bytes: record.frame().len() as u64,
            created_at: record.body().created_at(),
            expires_at: record.expires_at(),
            away: None,
        }
    }

    /// The same for one that the store knows.
    pub(super) fn of_row(row: &Row, member: MemberId) -> Self {
        Self {
            member,
            address: row.address,
            bytes: u64::from(row.frame_bytes),
            created_at: row.created_at,
            expires_at: row.expires_at,
            away: None,
        }
    }
}

/// Where an envelope stands that other nodes carry.
#[derive(Clone, Copy, Debug)]
pub(super) struct Away {
    pub shard: Shard,
    /// When to act on it next.
    pub next_ms: u64,
    /// How often carriers were asked about it.
    pub asked: u32,
    /// Carriers that took it.
    pub handed: u32,
}

impl Away {
    /// Nothing done yet, to be done at that moment.
    pub(super) const fn due_at(shard: Shard, next_ms: u64) -> Self {
        Self { shard, next_ms, asked: 0, handed: 0 }
    }
}

/// What a member has in the outbox.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct OutboxUse {
    pub envelopes: u64,
    pub bytes: u64,
}

/// The table.
#[derive(Debug, Default)]
pub(super) struct Outbox {
    items: BTreeMap<RecordId, Item>,
    /// The same by age, for whoever asks what has waited longest.
    by_age: BTreeSet<(Timestamp, RecordId)>,
    usage: BTreeMap<MemberId, OutboxUse>,
    due: BTreeSet<(u64, RecordId)>,
    swept: Option<RecordId>,
}

impl Outbox {
    pub(super) fn contains(&self, id: &RecordId) -> bool {
        self.items.contains_key(id)
    }

    pub(super) fn get(&self, id: &RecordId) -> Option<&Item> {
        self.items.get(id)
    }

    pub(super) fn usage(&self, member: MemberId) -> OutboxUse {
        self.usage.get(&member).copied().unwrap_or_default()
    }

    /// Counts an envelope against its member. Where it is there already, nothing changes.
    pub(super) fn insert(&mut self, id: RecordId, item: Item) {
        if self.items.contains_key(&id) {
            return;
        }
        let used = self.usage.entry(item.member).or_default();
        used.envelopes += 1;
        used.bytes += item.bytes;
        self.by_age.insert((item.created_at, id));
        self.items.insert(id, item);
    }

    pub(super) fn remove(&mut self, id: &RecordId) {
        let Some(item) = self.items.remove(id) else { return };
        self.by_age.remove(&(item.created_at, *id));
        if let Some(away) = item.away {
            self.due.remove(&(away.next_ms, *id));
        }
        if let Some(used) = self.usage.get_mut(&item.member) {
            used.envelopes = used.envelopes.saturating_sub(1);
            used.bytes = used.bytes.saturating_sub(item.bytes);
            if used.envelopes == 0 {
                self.usage.remove(&item.member);
            }
        }
    }

    /// Sets where an envelope stands that others carry; `None` where this node carries its shard.
    pub(super) fn set_away(&mut self, id: &RecordId, away: Option<Away>) {
        let Some(item) = self.items.get_mut(id) else { return };
        if let Some(before) = item.away.take() {
            self.due.remove(&(before.next_ms, *id));
        }
        if let Some(away) = away {
            self.due.insert((away.next_ms, *id));
        }
        item.away = away;
    }

    /// Whether there are envelopes to act on now.
    pub(super) fn has_due(&self, now_ms: u64) -> bool {
        self.due.first().is_some_and(|(at, _)| *at <= now_ms)
    }

    /// The envelopes to act on now, longest due first.
    pub(super) fn due(&self, now_ms: u64, max: usize) -> Vec<RecordId> {
        self.due.iter().take_while(|(at, _)| *at <= now_ms).take(max).map(|(_, id)| *id).collect()
    }

    /// Those away in `shard`.
    pub(super) fn away_in(&self, shard: Shard) -> Vec<RecordId> {
        let is_there =
            |id: &RecordId| self.items.get(id).and_then(|item| item.away).is_some_and(|away| away.shard == shard);
        self.due.iter().map(|(_, id)| *id).filter(is_there).collect()
    }

    /// The next `max` envelopes in turn that have expired.
    pub(super) fn sweep(&mut self, now: Timestamp, max: usize) -> Vec<RecordId> {
        let from = match self.swept {
            Some(id) => (std::ops::Bound::Excluded(id), std::ops::Bound::Unbounded),
            None => (std::ops::Bound::Unbounded, std::ops::Bound::Unbounded),
        };
        let (mut seen, mut last, mut expired) = (0, None, Vec::new());
        for (id, item) in self.items.range(from).take(max) {
            seen += 1;
            last = Some(*id);
            if item.expires_at <= now {
                expired.push(*id);
            }
        }
        self.swept = if seen < max { None } else { last };
        expired
    }

    /// What all members have in it.
    pub(super) fn total(&self) -> OutboxUse {
        let bytes = self.usage.values().map(|used| used.bytes).sum();
        OutboxUse { envelopes: self.items.len() as u64, bytes }
    }

    /// Those that have waited longest, by the times that their authors wrote on them.
    pub(super) fn oldest(&self) -> impl Iterator<Item = (RecordId, &Item)> {
        self.by_age.iter().filter_map(|(_, id)| Some((*id, self.items.get(id)?)))
    }

    /// The ids, in order.
    pub(super) fn ids(&self) -> impl Iterator<Item = RecordId> {
        self.items.keys().copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ANA: MemberId = MemberId([1; 16]);

    fn id(n: u8) -> RecordId {
        RecordId([n; 32])
    }

    /// The one that was made last expires first.
    fn item(n: u8) -> Item {
        let (created_at, expires_at) = (Timestamp(100 - u64::from(n)), Timestamp(u64::from(n)));
        Item { member: ANA, address: Address([n; 32]), bytes: 10, created_at, expires_at, away: None }
    }

    fn filled() -> Outbox {
        let mut outbox = Outbox::default();
        for n in 0..5 {
            outbox.insert(id(n), item(n));
        }
        outbox
    }

    #[test]
    fn usage_follows_what_is_in_it() {
        let mut outbox = filled();
        outbox.insert(id(0), item(0));
        assert_eq!(outbox.usage(ANA), OutboxUse { envelopes: 5, bytes: 50 });
        outbox.remove(&id(0));
        outbox.remove(&id(0));
        assert_eq!(outbox.usage(ANA), OutboxUse { envelopes: 4, bytes: 40 });
        outbox.insert(id(9), Item { member: MemberId([2; 16]), ..item(9) });
        assert_eq!(outbox.total(), OutboxUse { envelopes: 5, bytes: 50 });
    }

    #[test]
    fn what_has_waited_longest_comes_first() {
        let mut outbox = filled();
        outbox.remove(&id(3));
        let oldest: Vec<RecordId> = outbox.oldest().map(|(id, _)| id).collect();
        assert_eq!(oldest, [id(4), id(2), id(1), id(0)]);
    }

    #[test]
    fn sweeping_finds_what_expired_in_turns() {
        let mut outbox = filled();
        let mut expired = Vec::new();
        for _ in 0..3 {
            expired.extend(outbox.sweep(Timestamp(3), 2));
        }
        assert_eq!(expired, [id(0), id(1), id(2), id(3)]);
    }

    #[test]
    fn what_is_away_comes_up_when_due() {
        let mut outbox = filled();
        let away = |next_ms| Some(Away { shard: Shard(1), next_ms, asked: 0, handed: 0 });
        outbox.set_away(&id(1), away(20));
        outbox.set_away(&id(2), away(10));
        assert_eq!(outbox.due(20, 9), [id(2), id(1)]);
        outbox.set_away(&id(2), away(30));
        assert_eq!(outbox.due(20, 9), [id(1)]);
        assert_eq!(outbox.away_in(Shard(1)).len(), 2);
        outbox.remove(&id(1));
        outbox.set_away(&id(2), None);
        assert!(outbox.due(u64::MAX, 9).is_empty());
    }
}
