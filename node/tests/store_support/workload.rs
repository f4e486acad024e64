//! What is asked of a store whose power fails: at random, but the same for the same seed; and what must be left of it.

use griot_node::store::{
    Entry, Local, MemberId, MemberRow, MemoryStore, Outcome, Position, RegistrationRow, RememberedPeer, Row, Store,
    StoreError, Totals,
};
use griot_protocol::{Hour, RecordId, Timestamp};
use rand::{RngExt, rngs::StdRng};
use std::collections::BTreeMap;

use super::{Pool, START, assert_same, forget_killed_length, registered};

/// One call, or a few that belong together.
#[derive(Clone, Debug)]
pub enum Op {
    Commit(Vec<Vec<Entry>>),
    /// Lets so many hours pass, and drops everything that expired.
    Expire(u64),
    /// The clock goes back by so many hours: what was closed is open again.
    GoBack(u64),
    Maintain,
    Peers(u8),
}

impl Op {
    /// The time when it is done, where it begins now.
    pub fn end(&self, now: Timestamp) -> Timestamp {
        match self {
            Self::Expire(hours) => now.plus(hours * 3600),
            Self::GoBack(hours) => now.minus(hours * 3600),
            Self::Commit(_) | Self::Maintain | Self::Peers(_) => now,
        }
    }
}

pub fn random_op(random: &mut StdRng, pool: &Pool) -> Op {
    match random.random_range(0..20) {
        0 | 1 => Op::Expire(random.random_range(0..4)),
        2 => Op::GoBack(random.random_range(0..4)),
        3..6 => Op::Maintain,
        6 => Op::Peers(random.random_range(0..4)),
        _ => {
            let batches = random.random_range(1..4);
            Op::Commit((0..batches).map(|_| random_batch(random, pool)).collect())
        }
    }
}

fn random_batch(random: &mut StdRng, pool: &Pool) -> Vec<Entry> {
    let length = random.random_range(0..9);
    (0..length).map(|_| random_entry(random, pool)).collect()
}

fn random_entry(random: &mut StdRng, pool: &Pool) -> Entry {
    let record = &pool.records[random.random_range(0..pool.records.len())];
    let number = random.random_range(1..4_u8);
    let member = MemberId([number; 16]);
    let mailbox = &pool.mailboxes[random.random_range(0..pool.mailboxes.len())];
    let id = record.id();
    Entry::Local(match random.random_range(0..26) {
        0 | 1 => return registered(mailbox, number),
        2 => Local::Unregistered { member, address: mailbox.address },
        3 => Local::MemberAdded { member, label: format!("member {number}"), token_hash: [number; 32], at: START },
        4 => Local::MemberRevoked { member },
        5..8 => Local::Submitted { id, member },
        8 => Local::Discharged { id },
        9..12 => Local::Evicted { id },
        12 | 13 => Local::Marked {
            id,
            kind: record.kind(),
            address: record.address(),
            created_at: record.body().created_at(),
            expires_at: record.expires_at(),
        },
        _ => return Entry::Record(record.clone()),
    })
}

fn peers(count: u8) -> Vec<RememberedPeer> {
    let peer = |number| RememberedPeer {
        peer_id: format!("peer{number}"),
        addresses: vec![format!("/ip4/127.0.0.{number}/tcp/1")],
        seen_at: Timestamp(7),
    };
    (0..count).map(peer).collect()
}

/// A disk store beside the model: what was answered, and what was under way when the power failed.
pub struct Witness {
    pub pool: Pool,
    /// What was answered is synced in it, what was under way is not.
    model: MemoryStore,
    now: Timestamp,
    /// The time when what is under way is done.
    then: Timestamp,
    /// Whether the last call was not answered.
    under_way: bool,
    /// Where each record stood, in which epoch.
    positions: BTreeMap<RecordId, Position>,
    epoch: Option<u64>,
}

impl Witness {
    pub fn new(pool: Pool, model: MemoryStore) -> Self {
        Self { pool, model, now: START, then: START, under_way: false, positions: BTreeMap::new(), epoch: None }
    }

    /// The time, for whoever performs the calls elsewhere.
    pub fn now(&self) -> Timestamp {
        self.now
    }

    /// Asks the store, and notes what it answered; the error where it failed.
    pub fn ask(&mut self, store: &dyn Store, op: &Op) -> Result<(), StoreError> {
        let answered = perform(store, op, op.end(self.now));
        let expected = self.begun(op);
        assert_eq!(unplaced(&answered?), unplaced(&expected), "{op:?}");
        self.settle(true);
        Ok(())
    }

    /// Notes that a call was answered.
    pub fn answered(&mut self, op: &Op) {
        self.begun(op);
        self.settle(true);
    }

    /// Notes that a call was begun, and gives the answers that are expected.
    pub fn begun(&mut self, op: &Op) -> Vec<Vec<Outcome>> {
        self.under_way = true;
        self.then = op.end(self.now);
        if let Op::Commit(groups) = op {
            // What comes back after an eviction comes back at another place.
            for entry in groups.iter().flatten() {
                if let Entry::Record(record) = entry {
                    self.positions.remove(&record.id());
                }
            }
        }
        perform(&self.model, op, self.then).unwrap()
    }

    /// What was under way has happened, or it has not.
    fn settle(&mut self, happened: bool) {
        if happened {
            self.now = self.then;
        } else {
            self.model.crash();
            self.then = self.now;
        }
        self.model.sync();
        self.under_way = false;
    }

    /// Everything that was answered must be there, what was under way as a whole or not at all, and nothing else.
    pub fn examine(&mut self, store: &dyn Store) {
        let happened = self.under_way && Summary::of(store, &self.pool) == Summary::of(&self.model, &self.pool);
        self.settle(happened);
        self.compare(store);
        // A reader's cursor is a position: it stays good for as long as the epoch is the same.
        let same_epoch = self.epoch.replace(store.epoch()) == Some(store.epoch());
        let position = |id: &RecordId| store.row(id).unwrap().and_then(|row| row.position);
        for (id, noted) in &self.positions {
            let moved = position(id).is_some_and(|position| position != *noted);
            assert!(!moved || !same_epoch, "{id} has moved within an epoch");
        }
        let placed = self.pool.records.iter().filter_map(|record| Some((record.id(), position(&record.id())?)));
        self.positions = placed.collect();
    }

    /// The store must say what the model says.
    pub fn compare(&self, store: &dyn Store) {
        // Peers are remembered as well as may be: any that were ever noted, or none.
        let found = store.remembered_peers().unwrap();
        assert_eq!(found, peers(found.len() as u8));
        self.model.remember_peers(&found).unwrap();
        self.model.sync();
        assert_same(store, &self.model, &self.pool);
    }
}

fn unplaced(answers: &[Vec<Outcome>]) -> Vec<Vec<Outcome>> {
    answers.iter().map(|one| super::unplaced(one)).collect()
}

/// Does a call on a store.
pub fn perform(store: &dyn Store, op: &Op, then: Timestamp) -> Result<Vec<Vec<Outcome>>, StoreError> {
    match op {
        Op::Commit(groups) => return store.commit_group(groups),
        Op::Expire(_) | Op::GoBack(_) => while store.expire(then, 7)? == 7 {},
        Op::Maintain => drop(store.maintain(then)?),
        Op::Peers(count) => store.remember_peers(&peers(*count))?,
    }
    Ok(Vec::new())
}

/// Enough of a store to tell whether a call took place.
#[derive(PartialEq)]
struct Summary {
    floor: Hour,
    rows: Vec<Option<Row>>,
    registrations: Vec<RegistrationRow>,
    members: Vec<MemberRow>,
    outbox: Vec<(RecordId, MemberId)>,
    totals: Totals,
    about: Vec<Vec<RecordId>>,
}

impl Summary {
    fn of(store: &dyn Store, pool: &Pool) -> Self {
        let row = |id: &RecordId| {
            let mut row = store.row(id).unwrap()?;
            row.position = row.position.map(|_| Position(0));
            forget_killed_length(&mut row);
            Some(row)
        };
        let ids: Vec<RecordId> = pool.records.iter().map(griot_protocol::Record::id).collect();
        Self {
            floor: store.floor(),
            rows: ids.iter().map(row).collect(),
            registrations: store.all_registrations(None, 100).unwrap(),
            members: store.members().unwrap(),
            outbox: store.outbox(None, 1000).unwrap(),
            totals: store.totals(),
            about: ids.iter().map(|id| store.about(id).unwrap()).collect(),
        }
    }
}
