//! A world for the client's tests: people over stores in memory, and homes that keep records in memory. The homes check
//! what real nodes check (shape, times, postage, signatures, proofs), sign custody receipts, and can be silenced, made
//! to forget, reorder or lie.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use griot_client::{
    core::{
        Client, ClientError, ContactState, Event, HomeId, InboxMessage, InviteOptions, NewHome, Outcome, SendState,
        Work,
    },
    store::{Change, Crash, MemoryStore, Store},
};
use griot_protocol::{
    Address, Body, Cursor, Grant, MailboxKeys, NetworkName, NetworkParams, NodeSecret, Nonce, ProofMethod, Record,
    RecordId, Timestamp, Unverified,
    api::{Accepted, NodeInfo, Problem, RecordState, RecordStatus, Registration},
    custody,
};
use rand::{SeedableRng, rngs::StdRng};
use serde_json::json;

pub const START: Timestamp = Timestamp(1_800_000_000);

pub fn params() -> NetworkParams {
    NetworkParams { postage_bits: 2, ..NetworkParams::standard(NetworkName::standard()) }
}

/// A node, as far as a client can tell.
pub struct FakeHome {
    pub secret: NodeSecret,
    pub up: bool,
    /// Whether it exchanges records with the other homes.
    pub linked: bool,
    pub registered: BTreeMap<Address, (MailboxKeys, Grant)>,
    pub records: BTreeMap<RecordId, Record>,
    /// Envelopes of each mailbox with their positions.
    pub order: BTreeMap<Address, Vec<(u64, RecordId)>>,
    pub next_position: u64,
    /// How many envelopes ever came for each mailbox.
    pub taken: BTreeMap<Address, usize>,
    /// Answers every submission with this.
    pub refuse: Option<Problem>,
    /// Added to every status.
    pub forged: Vec<Record>,
    pub page: usize,
}

impl FakeHome {
    fn new(seed: u8) -> Self {
        Self {
            secret: NodeSecret::from_bytes(&[seed; 32]),
            up: true,
            linked: true,
            registered: BTreeMap::new(),
            records: BTreeMap::new(),
            order: BTreeMap::new(),
            next_position: 1,
            taken: BTreeMap::new(),
            refuse: None,
            forged: Vec::new(),
            page: 3,
        }
    }

    fn info(&self, now: Timestamp) -> NodeInfo {
        NodeInfo {
            node_id: self.secret.public(),
            peer_id: String::new(),
            network: "griot".to_owned(),
            bits: 0,
            postage_bits: params().postage_bits,
            postage_bits_now: params().postage_bits,
            shards: vec![0],
            version: String::new(),
            time: now,
            listen: Vec::new(),
            peers: 0,
            records: 0,
            bytes: 0,
            mailboxes: 0,
            outbox: 0,
            uptime_seconds: 0,
            warnings: Vec::new(),
            reachability: griot_protocol::api::Reachability::Unknown,
            circuits: Vec::new(),
            relays: false,
        }
    }

    fn is_acked(&self, id: &RecordId) -> bool {
        self.records
            .values()
            .any(|record| matches!(record.body(), Body::Ack(ack) if ack.items.iter().any(|item| item.id == *id)))
    }

    /// Takes a record, from a client or another home.
    pub fn take(&mut self, record: Record, now: Timestamp) {
        if self.records.contains_key(&record.id()) {
            return;
        }
        let (id, address) = (record.id(), record.address());
        match record.body().clone() {
            Body::Envelope(header) => {
                if self.is_acked(&id) {
                    return;
                }
                self.order.entry(address).or_default().push((self.next_position, id));
                *self.taken.entry(address).or_default() += 1;
                self.next_position += 1;
                if let Some((_, grant)) = self.registered.get(&address) {
                    let made =
                        custody::make(&params(), &self.secret, header.keys, *grant, vec![id], now, header.expires_at);
                    let receipt = made.unwrap();
                    self.records.insert(receipt.id(), receipt);
                }
            }
            Body::Ack(ack) => {
                for item in &ack.items {
                    self.records.remove(&item.id);
                    self.order.entry(address).or_default().retain(|(_, id)| *id != item.id);
                }
            }
            Body::Custody(_) => {}
        }
        self.records.insert(id, record);
    }

    fn status(&self, id: RecordId) -> Option<RecordStatus> {
        let base64 = |record: &Record| data_encoding::BASE64.encode(record.frame());
        let all = || self.records.values().chain(&self.forged);
        let receipts: Vec<String> = all()
            .filter(|record| matches!(record.body(), Body::Custody(custody) if custody.items.contains(&id)))
            .map(base64)
            .collect();
        let acks: Vec<String> = all()
            .filter(|record| matches!(record.body(), Body::Ack(ack) if ack.items.iter().any(|item| item.id == id)))
            .map(base64)
            .collect();
        let state = if acks.is_empty() { RecordState::Held } else { RecordState::Acked };
        let known = self.records.contains_key(&id) || !acks.is_empty();
        known.then_some(RecordStatus { id, state, receipts, acks, waiting: None })
    }
}

pub struct World {
    pub now: Timestamp,
    pub homes: Vec<FakeHome>,
    nonces: u8,
}

impl World {
    pub fn new(homes: u8) -> Self {
        Self { now: START, homes: (1..=homes).map(FakeHome::new).collect(), nonces: 0 }
    }

    /// Exchanges records between the linked homes.
    pub fn gossip(&mut self) {
        let now = self.now;
        let all: Vec<Record> = self
            .homes
            .iter()
            .filter(|home| home.linked && home.up)
            .flat_map(|home| home.records.values().cloned())
            .collect();
        let (acks, others): (Vec<Record>, Vec<Record>) =
            all.into_iter().partition(|record| matches!(record.body(), Body::Ack(_)));
        for home in self.homes.iter_mut().filter(|home| home.linked && home.up) {
            for record in acks.iter().chain(&others) {
                home.take(record.clone(), now);
            }
        }
    }

    /// Every envelope that some home still has.
    pub fn envelopes(&self) -> BTreeSet<RecordId> {
        let records = self.homes.iter().flat_map(|home| home.records.values());
        records.filter(|record| matches!(record.body(), Body::Envelope(_))).map(Record::id).collect()
    }

    /// Takes an envelope out of every home, as if nobody had ever had it.
    pub fn lose(&mut self, id: &RecordId) -> Record {
        let mut lost = None;
        for home in &mut self.homes {
            lost = home.records.remove(id).or(lost);
            for order in home.order.values_mut() {
                order.retain(|(_, known)| known != id);
            }
        }
        lost.expect("some home had it")
    }

    fn perform(&mut self, person: &mut Person, work: &Work) -> Result<Outcome, ClientError> {
        let index = person.home_index(work.home());
        let now = self.now;
        if !self.homes[index].up {
            return Ok(Outcome::Unreachable("no answer".to_owned()));
        }
        let node_id = self.homes[index].secret.public();
        self.nonces = self.nonces.wrapping_add(1);
        let nonce = Nonce([self.nonces; 32]);
        let outcome = match work {
            Work::Greet { .. } => Outcome::Greeted(self.homes[index].info(now)),
            Work::Register { home, address } => {
                let Registration { keys, grant, proof } =
                    person.client.registration(now, *home, *address, node_id, nonce)?;
                assert_eq!(keys.address(), *address);
                proof.verify(&params().name, &keys.collect, &node_id, ProofMethod::Register, address).unwrap();
                grant.verify(&params().name, &keys.collect, address, &node_id).unwrap();
                self.homes[index].registered.insert(*address, (keys, grant));
                Outcome::Registered(Cursor { epoch: 1, position: 0 })
            }
            Work::Unregister { home, address } => {
                let gone = person.client.unregistration(*home, *address, node_id, nonce)?;
                let (name, method) = (params().name, ProofMethod::Unregister);
                gone.proof.verify(&name, &gone.keys.collect, &node_id, method, address).unwrap();
                self.homes[index].registered.remove(address);
                Outcome::Unregistered
            }
            Work::Submit { id, frame, .. } => {
                if let Some(problem) = self.homes[index].refuse.clone() {
                    return Ok(Outcome::Refused(problem));
                }
                let unverified = Unverified::parse(frame.clone()).unwrap();
                unverified.check_times(now).unwrap();
                unverified.check_postage(params().postage_bits).unwrap();
                let record = unverified.verify(&params().name).unwrap();
                assert_eq!(record.id(), *id);
                self.homes[index].take(record, now);
                Outcome::Accepted(Accepted { id: *id, duplicate: false })
            }
            Work::Fetch { address, after, .. } => {
                let home = &self.homes[index];
                if !home.registered.contains_key(address) {
                    return Ok(Outcome::Refused(problem(404)));
                }
                let after = after.map_or(0, |cursor| cursor.position);
                let order = home.order.get(address).cloned().unwrap_or_default();
                let waiting: Vec<_> = order.into_iter().filter(|(position, _)| *position > after).collect();
                let more = waiting.len() > home.page;
                let entry = |(position, id): (u64, RecordId)| {
                    (Cursor { epoch: 1, position }, home.records[&id].frame().clone())
                };
                let entries: Vec<(Cursor, Bytes)> = waiting.into_iter().take(home.page).map(entry).collect();
                Outcome::Page { entries, more }
            }
            Work::Ask { id, .. } => Outcome::Status(self.homes[index].status(*id)),
        };
        self.gossip();
        Ok(outcome)
    }

    /// Lets a person's client do all that it wants to do now.
    pub fn drive(&mut self, person: &mut Person) {
        for _ in 0..200 {
            let work = match person.client.tick(self.now) {
                Ok(events) => {
                    person.events.extend(events);
                    person.client.work(self.now)
                }
                Err(error) => Err(error),
            };
            let work = match work {
                Ok(work) => work,
                Err(error) => {
                    person.survive(&error, self.now);
                    continue;
                }
            };
            if work.is_empty() {
                return;
            }
            for work in work {
                let result =
                    self.perform(person, &work).and_then(|outcome| person.client.done(self.now, work, outcome));
                match result {
                    Ok(events) => person.events.extend(events),
                    Err(error) => {
                        person.survive(&error, self.now);
                        break;
                    }
                }
            }
        }
        panic!("{} never comes to rest", person.name);
    }

    /// Lets time pass, with everybody at work, until what was sent has arrived and is known to have.
    pub fn settle(&mut self, people: &mut [&mut Person]) {
        for _ in 0..6 {
            for person in people.iter_mut() {
                self.drive(person);
            }
            self.now = self.now.plus(16);
        }
    }
}

pub fn problem(status: u16) -> Problem {
    Problem { kind: "about:blank".to_owned(), title: format!("status {status}"), status, detail: String::new() }
}

pub struct Person {
    pub name: &'static str,
    pub client: Client<MemoryStore>,
    pub events: Vec<Event>,
    seed: u64,
    plan: Option<(u64, Crash)>,
    pub crashed: bool,
}

impl Person {
    pub fn new(name: &'static str, seed: u64, homes: usize) -> Self {
        Self::with_crash(name, seed, homes, None)
    }

    /// A person whose client crashes at one commit. Creation itself is not part of it: a store without an account is
    /// simply created again.
    pub fn with_crash(name: &'static str, seed: u64, homes: usize, plan: Option<(u64, Crash)>) -> Self {
        let client = Client::create(MemoryStore::new(), rng(seed), START, name).unwrap();
        let mut person = Self { name, client, events: Vec::new(), seed, plan, crashed: false };
        for home in 0..homes {
            person.client.add_home(&NewHome { url: format!("home:{home}"), ..NewHome::default() }).unwrap();
        }
        if let Some((commits, crash)) = person.plan {
            person.client.store_mut().fail_after(commits, crash);
        }
        person
    }

    fn home_index(&self, id: HomeId) -> usize {
        let homes = self.client.homes().unwrap();
        let (home, _) = homes.iter().find(|(home, _)| home.id == id).unwrap();
        home.url.strip_prefix("home:").unwrap().parse().unwrap()
    }

    /// Reopens the client after the planned crash; any other error is a bug.
    fn survive(&mut self, error: &ClientError, now: Timestamp) {
        assert!(self.client.store().is_dead(), "{}: {error}", self.name);
        self.crashed = true;
        self.reopen(now);
    }

    pub fn reopen(&mut self, now: Timestamp) {
        self.seed += 1000;
        let fresh = Client::create(MemoryStore::new(), rng(0), now, "nobody").unwrap();
        let store = std::mem::replace(&mut self.client, fresh).into_store().reopen();
        self.client = Client::open(store, rng(self.seed), now).unwrap();
    }

    /// Loses every Olm session, as a damaged disk might. (`S` is the first letter of their rows' keys.)
    pub fn lose_sessions(&mut self) {
        self.restore_sessions(&BTreeMap::new());
    }

    /// The sessions as they are now, for [`Person::restore_sessions`].
    pub fn sessions(&self) -> BTreeMap<Vec<u8>, Vec<u8>> {
        self.client.store().scan(b"S", None, usize::MAX).unwrap().into_iter().collect()
    }

    /// Sets the sessions back to what they were.
    pub fn restore_sessions(&mut self, sessions: &BTreeMap<Vec<u8>, Vec<u8>>) {
        let gone = self.sessions().into_keys().map(Change::Delete);
        let back = sessions.iter().map(|(key, value)| Change::Put(key.clone(), value.clone()));
        let changes: Vec<Change> = gone.chain(back).collect();
        self.client.store_mut().commit(&changes).unwrap();
    }

    /// Sets everything back to an old copy of the store, as somebody does who restores a folder.
    pub fn restore(&mut self, copy: MemoryStore, now: Timestamp) {
        self.seed += 1000;
        self.client = Client::open(copy, rng(self.seed), now).unwrap();
    }

    /// Gives a command, and gives it again where a crash undid it. `None`: it was done, but the answer was lost.
    pub fn command<T>(
        &mut self,
        now: Timestamp,
        mut command: impl FnMut(&mut Client<MemoryStore>) -> Result<T, ClientError>,
    ) -> Option<T> {
        match command(&mut self.client) {
            Ok(value) => Some(value),
            Err(error) => {
                self.survive(&error, now);
                let undone = matches!(self.plan, Some((_, Crash::Before)));
                undone.then(|| command(&mut self.client).unwrap())
            }
        }
    }

    pub fn say(&mut self, now: Timestamp, who: &str, text: &str) {
        self.command(now, |client| client.send(now, who, json!({"type": "text", "text": text})));
    }

    pub fn texts(&self) -> Vec<String> {
        texts(&self.client.inbox(None, None).unwrap())
    }

    pub fn states(&self) -> Vec<SendState> {
        self.client.sent(None).unwrap().into_iter().map(|sent| sent.state).collect()
    }

    pub fn warnings(&self) -> Vec<&str> {
        fn warning(event: &Event) -> Option<&str> {
            if let Event::Warning(text) = event { Some(text) } else { None }
        }
        self.events.iter().filter_map(warning).collect()
    }
}

pub fn texts(messages: &[InboxMessage]) -> Vec<String> {
    messages.iter().map(|message| message.content["text"].as_str().unwrap().to_owned()).collect()
}

pub fn rng(seed: u64) -> Box<StdRng> {
    Box::new(StdRng::seed_from_u64(seed))
}

/// Brings two people together: invite, request, acceptance.
pub fn befriend(world: &mut World, alice: &mut Person, bob: &mut Person) {
    world.settle(&mut [&mut *alice, &mut *bob]);
    let invite = |client: &mut Client<MemoryStore>| client.create_invite(START, InviteOptions::default());
    // A link that a crash swallowed is made again.
    let link = alice.command(world.now, invite).or_else(|| alice.command(world.now, invite)).unwrap().link;
    let now = world.now;
    bob.command(now, |client| client.connect(now, &link, Some("It is me")));
    world.settle(&mut [&mut *bob, &mut *alice]);
    let requests = alice.client.requests().unwrap();
    assert_eq!(requests.len(), 1);
    assert_eq!((requests[0].name.as_str(), requests[0].message.as_deref()), (bob.name, Some("It is me")));
    let now = world.now;
    alice.command(now, |client| client.accept(now, &requests[0].id));
    world.settle(&mut [alice, bob]);
}

pub fn is_connected(person: &Person, name: &str) -> bool {
    let contacts = person.client.contacts().unwrap();
    contacts.iter().any(|contact| contact.name == name && contact.state == ContactState::Connected)
}
