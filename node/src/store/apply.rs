//! What entries do to the index.
//!
//! [`Changes`] collects what a group of entries does, reading through to the tables, and writes it at
//! once. A row's derived keys (mailbox, hour, outbox) and sums follow from comparing what it was with what it became,
//! in one place, so that they cannot drift from it.

use std::collections::BTreeMap;

use super::{
    Holding, Local, MemberId, MemberRow, Outcome, Position, RegistrationRow, Row, StoreError, SyncSet,
    floors::Floors,
    index::{
        Index, Name, Stored, about_key, broken, encode_stored, hour_key, mailbox_key, name_key, set_byte, trailing_id,
    },
    local::Fact,
    log::{Location, Log},
    table::{Part, Writes},
    tables::Tables,
};
use griot_protocol::{Address, Body, Grant, MailboxKeys, Record, RecordId, RecordKind, Timestamp, codec};

/// A row before and after.
struct Change {
    before: Option<Stored>,
    now: Option<Stored>,
}

/// What a group of entries does.
pub(super) struct Changes<'a> {
    index: &'a Index,
    tables: &'a mut Tables,
    floors_before: Floors,
    rows: BTreeMap<RecordId, Change>,
    named: BTreeMap<Name, Option<(bool, Timestamp)>>,
    writes: Writes,
}

impl<'a> Changes<'a> {
    pub(super) fn new(index: &'a Index, tables: &'a mut Tables) -> Self {
        let floors_before = tables.floors;
        Self { index, tables, floors_before, rows: BTreeMap::new(), named: BTreeMap::new(), writes: Writes::default() }
    }

    fn row(&mut self, id: &RecordId) -> Result<&mut Option<Stored>, StoreError> {
        use std::collections::btree_map::Entry;
        Ok(&mut match self.rows.entry(*id) {
            Entry::Occupied(entry) => entry.into_mut(),
            Entry::Vacant(entry) => {
                let before = self.index.stored(id)?;
                entry.insert(Change { now: before.clone(), before })
            }
        }
        .now)
    }

    fn named(&mut self, name: Name) -> Result<&mut Option<(bool, Timestamp)>, StoreError> {
        use std::collections::btree_map::Entry;
        Ok(match self.named.entry(name) {
            Entry::Occupied(entry) => entry.into_mut(),
            Entry::Vacant(entry) => entry.insert(self.index.named(&name)?),
        })
    }

    /// Applies one entry.
    pub(super) fn apply(
        &mut self,
        fact: &Fact,
        place: Position,
        location: Location,
    ) -> Result<Option<Outcome>, StoreError> {
        match fact {
            Fact::Record(record) => return self.insert(record, place, location).map(Some),
            Fact::Local(local) => self.local(local, place, location)?,
            Fact::Moved(row, record) => {
                self.set(row.clone(), place, location)?;
                self.spread(record)?;
            }
            Fact::Row(row) => self.set(row.clone(), place, location)?,
            // Where this goes back, whoever replays has dropped what was below ([`super::opening`]).
            Fact::Floors(floors) => {
                let acks = floors.acks.max(self.tables.floors.acks);
                self.tables.floors = Floors { acks, ..*floors };
            }
        }
        Ok(None)
    }

    /// Whether an entry opens hours that are closed.
    pub(super) fn goes_back(&self, fact: &Fact) -> bool {
        matches!(fact, Fact::Floors(floors) if floors.rows < self.tables.floors.rows)
    }

    fn insert(&mut self, record: &Record, place: Position, location: Location) -> Result<Outcome, StoreError> {
        if record.expires_at().hour() < self.tables.floors.of(record.kind()) {
            return Ok(Outcome::Present);
        }
        let known = self.row(&record.id())?.as_ref();
        if known.is_some_and(|stored| stored.row.holding != Holding::Marked || stored.place >= place) {
            // Where the log is replayed, the row may be there and what it does to others not yet.
            self.spread(record)?;
            return Ok(Outcome::Present);
        }
        let is_envelope = record.kind() == RecordKind::Envelope;
        let row = Row {
            id: record.id(),
            kind: record.kind(),
            address: record.address(),
            created_at: record.body().created_at(),
            expires_at: record.expires_at(),
            frame_bytes: record.frame().len() as u32,
            holding: Holding::Held,
            acked: false,
            outbox: None,
            position: is_envelope.then_some(place),
        };
        self.set(row, place, location)?;
        self.spread(record)?;
        let row = self.row(&record.id())?.as_ref().map(|stored| &stored.row);
        Ok(match row {
            Some(row) if row.holding == Holding::Killed => Outcome::Buried,
            _ => Outcome::Inserted(is_envelope.then_some(place)),
        })
    }

    fn set(&mut self, mut row: Row, place: Position, location: Location) -> Result<(), StoreError> {
        let id = row.id;
        let is_past = self.row(&id)?.as_ref().is_some_and(|stored| stored.place >= place);
        if row.expires_at.hour() >= self.tables.floors.of(row.kind) && !is_past {
            self.judge(&mut row)?;
            *self.row(&id)? = Some(Stored { row, location, place });
        }
        Ok(())
    }

    /// Brings a row in line with the acks that name it.
    fn judge(&mut self, row: &mut Row) -> Result<(), StoreError> {
        if row.kind != RecordKind::Envelope {
            return Ok(());
        }
        if let Some((release, _)) = *self.named((row.address, row.id, row.created_at))? {
            row.acked = true;
            row.outbox = None;
            if release {
                row.holding = Holding::Killed;
                row.position = None;
            }
        }
        Ok(())
    }

    /// Tells the envelopes that a record names.
    fn spread(&mut self, record: &Record) -> Result<(), StoreError> {
        let (id, address, kind) = (record.id(), record.address(), record.kind().byte());
        match record.body() {
            Body::Envelope(_) => {}
            Body::Custody(custody) => {
                for item in &custody.items {
                    self.writes.insert(Part::About, about_key(item, &address, kind, &id), &[][..]);
                }
            }
            Body::Ack(ack) => {
                for item in &ack.items {
                    self.writes.insert(Part::About, about_key(&item.id, &address, kind, &id), &[][..]);
                    let named = self.named((address, item.id, item.created_at))?;
                    let (release, until) = named.unwrap_or_default();
                    *named = Some((release || ack.release, until.max(ack.expires_at)));
                    self.rejudge(&item.id)?;
                }
            }
        }
        Ok(())
    }

    fn rejudge(&mut self, id: &RecordId) -> Result<(), StoreError> {
        let Some(mut stored) = self.row(id)?.take() else { return Ok(()) };
        self.judge(&mut stored.row)?;
        *self.row(id)? = Some(stored);
        Ok(())
    }

    /// Changes a row by the entry at `place`.
    fn change(&mut self, id: &RecordId, place: Position, change: impl FnOnce(&mut Row)) -> Result<(), StoreError> {
        if let Some(stored) = self.row(id)?
            && stored.place < place
        {
            change(&mut stored.row);
            stored.place = place;
        }
        Ok(())
    }

    fn local(&mut self, local: &Local, place: Position, location: Location) -> Result<(), StoreError> {
        match local {
            Local::Registered { member, keys, grant, at } => {
                let key = (keys.address(), *member);
                let row = RegistrationRow { member: *member, keys: *keys, grant: *grant, at: *at };
                self.writes.insert(Part::Registrations, registration_key(&key), encode_registration(&row, location));
                self.tables.set_registration(key, Some((row, location)));
            }
            Local::Unregistered { member, address } => self.unregister((*address, *member)),
            Local::MemberAdded { member, label, token_hash, at } => {
                let row = MemberRow { member: *member, label: label.clone(), token_hash: *token_hash, at: *at };
                self.writes.insert(Part::Members, member.0, encode_member(&row, location));
                self.tables.set_member(*member, Some((row, location)));
            }
            Local::MemberRevoked { member } => {
                self.writes.remove(Part::Members, member.0);
                self.tables.set_member(*member, None);
                let theirs = self.tables.registrations.keys().filter(|(_, of)| of == member);
                for key in theirs.copied().collect::<Vec<_>>() {
                    self.unregister(key);
                }
            }
            Local::Submitted { id, member } => self.change(id, place, |row| {
                if row.kind == RecordKind::Envelope && row.holding == Holding::Held && !row.acked {
                    row.outbox = Some(*member);
                }
            })?,
            Local::Discharged { id } => self.change(id, place, |row| row.outbox = None)?,
            Local::Evicted { id } => self.change(id, place, |row| {
                if row.kind == RecordKind::Envelope && row.holding == Holding::Held && row.outbox.is_none() {
                    (row.holding, row.position) = (Holding::Marked, None);
                }
            })?,
            Local::Marked { id, kind, address, created_at, expires_at } => {
                if self.row(id)?.is_none() {
                    let row = Row {
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
                    self.set(row, place, location)?;
                }
            }
        }
        Ok(())
    }

    fn unregister(&mut self, key: (Address, MemberId)) {
        self.writes.remove(Part::Registrations, registration_key(&key));
        self.tables.set_registration(key, None);
    }

    /// Removes a row and, where it is a held ack or receipt, what it said of others. `record` is its content.
    pub(super) fn remove(&mut self, id: &RecordId, record: Option<&Record>) -> Result<(), StoreError> {
        *self.row(id)? = None;
        let Some(record) = record else { return Ok(()) };
        let (address, kind) = (record.address(), record.kind().byte());
        match record.body() {
            Body::Envelope(_) => {}
            Body::Custody(custody) => {
                for item in &custody.items {
                    self.writes.remove(Part::About, about_key(item, &address, kind, id));
                }
            }
            Body::Ack(ack) => {
                let floor = self.tables.floors.acks;
                for item in &ack.items {
                    self.writes.remove(Part::About, about_key(&item.id, &address, kind, id));
                    let named = self.named((address, item.id, item.created_at))?;
                    if named.is_some_and(|(_, until)| until.hour() < floor) {
                        *named = None;
                    }
                }
            }
        }
        Ok(())
    }

    /// Writes it all, at once.
    pub(super) fn write(self) -> Result<(), StoreError> {
        let Self { index, tables, floors_before, rows, named, mut writes } = self;
        for (id, change) in &rows {
            if change.before == change.now {
                continue;
            }
            if let Some(stored) = &change.before {
                tables.count(stored, false);
                derived(&stored.row, |part, key, _| writes.remove(part, key));
                writes.remove(Part::Rows, id.0);
            }
            if let Some(stored) = &change.now {
                tables.count(stored, true);
                derived(&stored.row, |part, key, value| writes.insert(part, key, value));
                writes.insert(Part::Rows, id.0, encode_stored(stored));
            }
        }
        for (name, value) in &named {
            match value {
                Some(value) => writes.insert(Part::Named, name_key(name), codec::encode(value)),
                None => writes.remove(Part::Named, name_key(name)),
            }
        }
        if tables.floors != floors_before {
            writes.insert(Part::Floor, [], &tables.floors.to_bytes());
        }
        index.write(writes);
        Ok(())
    }
}

/// The keys that follow from a row, with their values.
fn derived(row: &Row, mut each: impl FnMut(Part, &[u8], &[u8])) {
    if let Some(position) = row.position {
        each(Part::Mailbox, &mailbox_key(&row.address, position), &row.id.0);
    }
    each(Part::ByHour, &hour_key(row), &[][..]);
    if let Some(member) = row.outbox {
        each(Part::Outbox, &row.id.0, &member.0);
    }
}

/// Drops rows of closed hours, at most `max`; returns how many.
pub(super) fn sweep(index: &Index, tables: &mut Tables, log: &Log, max: usize) -> Result<usize, StoreError> {
    let Floors { rows, acks } = tables.floors;
    let mut doomed = Vec::new();
    for (set, floor) in [(Some(SyncSet::Acks), acks), (Some(SyncSet::Rest), rows), (None, rows)] {
        let set = set_byte(set);
        let until = [&[set][..], &floor.0.to_be_bytes()].concat();
        for key in index.by_hour.range(vec![set]..until).keys().take(max - doomed.len()) {
            doomed.push(trailing_id(&key?).ok_or_else(|| broken("an hour entry does not decode"))?);
        }
    }
    let mut changes = Changes::new(index, tables);
    for id in &doomed {
        let stored = changes.row(id)?.clone();
        let names_others =
            |stored: &Stored| stored.row.kind != RecordKind::Envelope && stored.row.holding == Holding::Held;
        let bytes = match stored.filter(names_others) {
            Some(stored) => log.read(stored.location)?,
            None => None,
        };
        let record = match bytes.and_then(Fact::decode) {
            Some(Fact::Record(record) | Fact::Moved(_, record)) => Some(record),
            _ => None,
        };
        changes.remove(id, record.as_ref())?;
    }
    changes.write()?;
    Ok(doomed.len())
}

fn registration_key(key: &(Address, MemberId)) -> Vec<u8> {
    [&key.0.0[..], &key.1.0].concat()
}

type PackedLocation = (u32, u32, u32);
type PackedRegistration = ([u8; 16], MailboxKeys, Grant, Timestamp, PackedLocation);
type PackedMember = ([u8; 16], String, [u8; 32], Timestamp, PackedLocation);

const fn pack_location(location: Location) -> PackedLocation {
    (location.segment, location.offset, location.bytes)
}

const fn unpack_location((segment, offset, bytes): PackedLocation) -> Location {
    Location { segment, offset, bytes }
}

fn encode_registration(row: &RegistrationRow, location: Location) -> Vec<u8> {
    codec::encode(&(row.member.0, row.keys, row.grant, row.at, pack_location(location)))
}

fn encode_member(row: &MemberRow, location: Location) -> Vec<u8> {
    codec::encode(&(row.member.0, row.label.clone(), row.token_hash, row.at, pack_location(location)))
}

/// Loads registrations, members and leftovers of tombstones.
pub(super) fn load_locals(index: &Index, tables: &mut Tables, furthest: &mut Location) -> Result<(), StoreError> {
    for value in index.registrations.iter().values() {
        let decoded: Result<PackedRegistration, _> = codec::decode(&value?);
        let (member, keys, grant, at, location) = decoded.map_err(|_| broken("a registration does not decode"))?;
        let (row, location) =
            (RegistrationRow { member: MemberId(member), keys, grant, at }, unpack_location(location));
        *furthest = location.max(*furthest);
        tables.set_registration((keys.address(), row.member), Some((row, location)));
    }
    for value in index.members.iter().values() {
        let decoded: Result<PackedMember, _> = codec::decode(&value?);
        let (member, label, token_hash, at, location) = decoded.map_err(|_| broken("a member does not decode"))?;
        let (row, location) =
            (MemberRow { member: MemberId(member), label, token_hash, at }, unpack_location(location));
        *furthest = location.max(*furthest);
        tables.set_member(row.member, Some((row, location)));
    }
    // An ack whose frame went bad could not take its tombstones along when it expired.
    let mut stale = Writes::default();
    for named in index.named.iter() {
        let (key, value) = named?;
        let (_, until): (bool, Timestamp) = codec::decode(&value).map_err(|_| broken("a tombstone does not decode"))?;
        if until.hour() < tables.floors.acks {
            stale.remove(Part::Named, key);
        }
    }
    index.write(stale);
    Ok(())
}
