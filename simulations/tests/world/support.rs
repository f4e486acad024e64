//! Small plans made by hand, and running them: here, or each in a process of its own.

use std::{collections::BTreeSet, process::Command};

use griot_simulations::{
    plan::*,
    world::{self, Bug},
};

/// Wall-clock time when every run begins.
pub const EPOCH: u64 = 1_800_000_000;

/// Names the file with the plan that another process is to run.
const PLAN: &str = "GRIOT_TEST_PLAN";

/// Names the bug that the other process is to run it with, as [`Bug`] is printed.
const BUG: &str = "GRIOT_TEST_BUG";

/// All bugs that can be put into a run.
pub const BUGS: [Bug; 4] = [Bug::SkipSync, Bug::DropAcksOnRestart, Bug::ForgetTombstones, Bug::SyncLastHourOnly];

/// Somebody who only keeps what he hears.
#[derive(Default)]
pub struct Scribe {
    pub lines: Vec<String>,
    pub arrivals: Vec<Arrival>,
    pub wants_trace: bool,
    /// When to end the run.
    pub until: Option<VirtualMs>,
}

impl Listener for Scribe {
    fn arrived(&mut self, arrival: Arrival) {
        self.arrivals.push(arrival);
    }

    fn traced(&mut self, line: &str) {
        self.lines.push(line.to_owned());
    }

    fn wants_trace(&self) -> bool {
        self.wants_trace
    }

    fn progress(&mut self, now: VirtualMs) -> bool {
        self.until.is_none_or(|until| now < until)
    }
}

/// `count` nodes, each of which dials three others; one person on each, with a second home two nodes further; everybody
/// has one mailbox. Nobody writes yet.
pub fn village(count: u32, seed: u64, minutes: u64) -> Plan {
    let node = |_| NodePlan {
        region: 0,
        up_bytes_per_second: 0,
        down_bytes_per_second: 0,
        behind_nat: false,
        starts_up: true,
        conduct: Conduct::Honest,
    };
    let mut links = BTreeSet::new();
    for from in 0..count {
        for step in [1, 3, 7] {
            links.insert((from, (from + step) % count));
        }
    }
    let person = |index| {
        let homes = vec![NodeIndex(index), NodeIndex((index + 2) % count)];
        PersonPlan { homes, starts_online: true, full_client: false }
    };
    Plan {
        scenario: "village".to_owned(),
        seed,
        epoch_unix_seconds: EPOCH,
        duration_ms: minutes * 60_000,
        bits: 0,
        postage_bits: 2,
        fsync_ms: 2,
        discovery: true,
        shared_signature_checks: true,
        nodes: (0..count).map(node).collect(),
        links: links.into_iter().map(|(from, to)| LinkPlan { from: NodeIndex(from), to: NodeIndex(to) }).collect(),
        latency: LatencyPlan::Everywhere(LatencyLaw::LogNormal { median_ms: 60.0, sigma: 0.6 }),
        people: (0..count).map(person).collect(),
        mailboxes: (0..count).map(|index| MailboxPlan { shared: false, readers: vec![PersonIndex(index)] }).collect(),
        messages: Vec::new(),
        events: Vec::new(),
        outage: None,
    }
}

/// Adds `count` messages, evenly between two moments, each from one person to some other.
pub fn write(plan: &mut Plan, count: u64, from_ms: u64, to_ms: u64) {
    let people = plan.people.len() as u64;
    for n in 0..count {
        let author = n * 7 % people;
        let mailbox = (author + 1 + n * 11 % (people - 1)) % people;
        plan.messages.push(MessagePlan {
            at: VirtualMs(from_ms + (to_ms - from_ms) * n / count),
            author: PersonIndex(author as u32),
            mailbox: MailboxIndex(mailbox as u32),
            bytes: 200,
            life_seconds: 7 * 24 * 3600,
        });
    }
    plan.messages.sort_by_key(|message| message.at);
}

/// Adds an event.
pub fn at(plan: &mut Plan, ms: u64, event: EventPlan) {
    plan.events.push((VirtualMs(ms), event));
    plan.events.sort_by_key(|(at, _)| *at);
}

/// Both directions of a partition.
pub fn cut_both_ways(plan: &mut Plan, ms: u64, name: &str, a: &[NodeIndex], b: &[NodeIndex]) {
    for (from, to) in [(a, b), (b, a)] {
        at(plan, ms, EventPlan::Cut { name: name.to_owned(), from: from.to_vec(), to: to.to_vec() });
    }
}

/// Runs a plan in this process.
pub fn run(plan: &Plan) -> Recording {
    world::run(plan, &mut Scribe::default()).unwrap()
}

/// Runs a plan in a process of its own.
pub fn run_in_a_fresh_process(plan: &Plan) -> Recording {
    in_a_fresh_process(plan, None)
}

/// Runs a plan in a process of its own, with a bug in every node or without.
pub fn in_a_fresh_process(plan: &Plan, bug: Option<Bug>) -> Recording {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("plan.json");
    std::fs::write(&file, serde_json::to_vec(plan).unwrap()).unwrap();
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", "the_other_process", "--nocapture", "--test-threads=1"]).env(PLAN, &file);
    if let Some(bug) = bug {
        command.env(BUG, format!("{bug:?}"));
    }
    let output = command.output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&std::fs::read(file.with_extension("recording")).unwrap()).unwrap()
}

/// What `the_other_process` calls: runs the plan that it is given, if any.
pub fn run_the_plan_given() {
    let Ok(file) = std::env::var(PLAN) else { return };
    let plan: Plan = serde_json::from_slice(&std::fs::read(&file).unwrap()).unwrap();
    let recording = match std::env::var(BUG) {
        Ok(name) => {
            let bug = BUGS.into_iter().find(|bug| format!("{bug:?}") == name).unwrap();
            world::run_with_bug(&plan, &mut Scribe::default(), bug).unwrap()
        }
        Err(_) => run(&plan),
    };
    let there = std::path::Path::new(&file).with_extension("recording");
    std::fs::write(there, serde_json::to_vec(&recording).unwrap()).unwrap();
}

/// Fails where any invariant is broken; returns how often each of `names` was checked.
pub fn assert_lawful(recording: &Recording, names: &[&str]) {
    for invariant in &recording.invariants {
        assert_eq!(invariant.broken, 0, "{}: {:#?}", invariant.name, invariant.examples);
    }
    for name in names {
        let invariant = recording.invariants.iter().find(|invariant| invariant.name == *name).unwrap();
        assert!(invariant.checks > 0, "{name} was never checked");
    }
}

/// Messages that reached every reader.
pub fn delivered(plan: &Plan, recording: &Recording) -> usize {
    let all = plan.messages.iter().zip(&recording.messages);
    all.filter(|(plan_of, fate)| fate.deliveries.len() == plan.mailboxes[plan_of.mailbox.0 as usize].readers.len())
        .count()
}
