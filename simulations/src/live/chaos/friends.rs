//! Two people with full clients: the `griot` command line, keys, ratchets, queue and all.
//!
//! They write to each other and read their inboxes by commands, as a person or a script does. A message is known by its
//! text, which is unique: the inbox has to show it, and once only. What `griot sent` says of it is taken for the nodes'
//! *accepted*, because that is what the client was told.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread::JoinHandle,
    time::Duration,
};

use griot_client::core::{SendState, SentMessage};

use super::{
    history::{History, What},
    plan::ChaosPlan,
};
use crate::live::{LiveError, person::Person, wire::draw};

/// Names, which are also how the other is written to.
const NAMES: [&str; 2] = ["Awa", "Kofi"];

/// The mean time between two messages of one friend.
const WRITE_EVERY_MS: f64 = 8_000.0;

/// The longest time between two looks into the inbox.
const READ_EVERY: Duration = Duration::from_millis(2_500);

/// How long a client keeps a message: thirty days, of which a run sees nothing.
const LIFE_MS: u64 = 29 * 86_400_000;

/// Seconds that a command waits for a node to accept; then the message stays queued, and later commands submit it.
const ACCEPT_SECONDS: &str = "5";

/// Two people in contact.
pub(super) struct Friends {
    people: [Person; 2],
    homes: [Vec<usize>; 2],
}

impl Friends {
    /// Makes their accounts, with the homes of the first two people, and puts them in contact.
    pub(super) fn meet(plan: &ChaosPlan, urls: &[String]) -> Result<Self, LiveError> {
        let homes = |number: usize| plan.people.get(number).cloned().unwrap_or_default();
        let homes = [homes(0), homes(1)];
        let person = |number: usize| {
            let urls: Vec<String> = homes[number].iter().filter_map(|home| urls.get(*home).cloned()).collect();
            Person::init(NAMES[number], &urls)
        };
        let people = [person(0)?, person(1)?];
        people[1].befriend(&people[0])?;
        Ok(Self { people, homes })
    }

    /// They begin to write and read. No more is written from `duration_ms` on; reading goes on until the answer is dropped.
    pub(super) fn begin(self, plan: &ChaosPlan, history: &Arc<History>) -> Result<Talking, LiveError> {
        let mut talking = Talking { stop: Arc::new(AtomicBool::new(false)), threads: Vec::new() };
        for (number, (person, homes)) in self.people.into_iter().zip(self.homes).enumerate() {
            let friend = Friend {
                place: number,
                first: plan.people.len(),
                person,
                home: homes.first().copied().unwrap_or_default(),
                seed: plan.seed,
                duration_ms: plan.duration_ms,
                history: Arc::clone(history),
                stop: Arc::clone(&talking.stop),
                accepted: BTreeSet::new(),
                shown: BTreeMap::new(),
            };
            let thread = std::thread::Builder::new()
                .name(NAMES[number].to_owned())
                .spawn(move || friend.live())
                .map_err(LiveError::io("starting a thread"))?;
            talking.threads.push(thread);
        }
        Ok(talking)
    }
}

/// Friends who write and read. Dropping it ends that, within a command.
#[derive(Debug)]
pub(super) struct Talking {
    stop: Arc<AtomicBool>,
    threads: Vec<JoinHandle<()>>,
}

impl Drop for Talking {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        for thread in self.threads.drain(..) {
            // How it ended is in the history.
            let _ = thread.join();
        }
    }
}

struct Friend {
    /// Which of the two.
    place: usize,
    /// The number of the first of the two among all people.
    first: usize,
    person: Person,
    /// The home that is named for what the client says was accepted: it does not say where.
    home: usize,
    seed: u64,
    duration_ms: u64,
    history: Arc<History>,
    stop: Arc<AtomicBool>,
    /// Texts by which was accepted.
    accepted: BTreeSet<String>,
    /// How often each text was shown, at most.
    shown: BTreeMap<String, usize>,
}

impl Friend {
    fn live(mut self) {
        let mut draw = draw::stream(self.seed, "chaos friends", [self.place as u64, 0]);
        let mut texts: BTreeMap<String, String> = BTreeMap::new();
        let mut next_ms = draw.exponential(WRITE_EVERY_MS) as u64;
        while !self.stop.load(Ordering::Relaxed) {
            if self.history.now_ms() >= next_ms && next_ms < self.duration_ms {
                self.write(&mut texts);
                next_ms = self.history.now_ms() + draw.exponential(WRITE_EVERY_MS) as u64;
            }
            self.read();
            self.look_at_sent(&texts);
            std::thread::sleep(READ_EVERY);
        }
    }

    fn write(&self, texts: &mut BTreeMap<String, String>) {
        let text = format!("{} {}", NAMES[self.place], texts.len());
        let (writer, reader) = (self.first + self.place, self.first + 1 - self.place);
        let expires_ms = self.history.now_ms() + LIFE_MS;
        self.history.note(What::Sent { id: text.clone(), writer, reader, expires_ms });
        let args = ["send", NAMES[1 - self.place], &text, "--wait", "accepted", "--timeout", ACCEPT_SECONDS, "--json"];
        // Exit code 3 says that nobody accepted it yet; it has an id all the same.
        match self.person.output(&args) {
            Ok(output) => {
                let said: Option<serde_json::Value> = serde_json::from_slice(&output.stdout).ok();
                match said.as_ref().and_then(|said| said["id"].as_str()) {
                    Some(id) => drop(texts.insert(id.to_owned(), text)),
                    None => self.complain(&text, &String::from_utf8_lossy(&output.stderr)),
                }
            }
            Err(error) => self.complain(&text, &error.to_string()),
        }
    }

    fn complain(&self, text: &str, why: &str) {
        self.history.note(What::NotAccepted { id: text.to_owned(), node: self.home, why: why.trim().to_owned() });
    }

    /// Reads the inbox, and notes what it shows for the first time; and for the second, should that happen.
    fn read(&mut self) {
        let Ok(texts) = self.person.texts() else { return };
        let mut counts: BTreeMap<String, usize> = BTreeMap::new();
        for text in texts {
            *counts.entry(text).or_default() += 1;
        }
        for (text, count) in counts {
            let shown = self.shown.entry(text.clone()).or_default();
            for _ in *shown..count {
                self.history.note(What::Delivered { id: text.clone(), reader: self.first + self.place });
            }
            *shown = count.max(*shown);
        }
    }

    /// Notes what the client says was accepted.
    fn look_at_sent(&mut self, texts: &BTreeMap<String, String>) {
        if self.accepted.len() == texts.len() {
            return;
        }
        let Ok(sent) = self.person.json::<SentMessage>(&["sent"]) else { return };
        for message in sent {
            let is_accepted = matches!(message.state, SendState::Accepted | SendState::Stored | SendState::Delivered);
            let Some(text) = texts.get(&message.id).filter(|_| is_accepted) else { continue };
            if self.accepted.insert(text.clone()) {
                let asked_ms = self.history.now_ms();
                self.history.note(What::Accepted { id: text.clone(), node: self.home, asked_ms });
            }
        }
    }
}
