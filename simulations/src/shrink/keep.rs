//! Which parts of a plan are kept, and the plan that is made of them.

use std::collections::{BTreeMap, BTreeSet};

use crate::plan::{EventPlan, LinkPlan, MailboxIndex, MailboxPlan, NodeIndex, PersonIndex, PersonPlan, Plan};

/// What is taken away one by one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Unit {
    /// A message.
    Message,
    /// A fault with all that belongs to it (what ends it, its way back), or one person's comings and goings.
    Fault,
    /// A person, with what it writes and what only it reads.
    Person,
    /// A node, with its links.
    Node,
    /// A link.
    Link,
}

/// The parts that are kept, by their places in the whole plan.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Keep {
    messages: Vec<u32>,
    faults: Vec<u32>,
    people: Vec<u32>,
    nodes: Vec<u32>,
    links: Vec<u32>,
    /// The fault that each event of the plan belongs to.
    fault_of: Vec<u32>,
}

/// What makes events one fault: taken away together, so that nothing is healed that was never cut, and no node is left down
/// that only wanted to restart.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum FaultKey {
    Node(NodeIndex, u32),
    Named(String),
    Person(PersonIndex),
    Single(usize),
}

/// The fault that each event belongs to.
fn faults_of(plan: &Plan) -> Vec<u32> {
    let mut numbers: BTreeMap<FaultKey, u32> = BTreeMap::new();
    // How many times each node has come back so far: a crash and the start after it are one fault.
    let mut lives: BTreeMap<NodeIndex, u32> = BTreeMap::new();
    let mut faults = Vec::with_capacity(plan.events.len());
    for (place, (_, event)) in plan.events.iter().enumerate() {
        let key = match event {
            EventPlan::Crash(node) | EventPlan::Stop(node) | EventPlan::Die(node) | EventPlan::LoseStore(node) => {
                FaultKey::Node(*node, *lives.entry(*node).or_default())
            }
            EventPlan::Start(node) => {
                let life = lives.entry(*node).or_default();
                *life += 1;
                FaultKey::Node(*node, *life - 1)
            }
            EventPlan::Cut { name, .. } | EventPlan::Heal { name } | EventPlan::Throttle { name, .. } => {
                // Both ways of one partition.
                FaultKey::Named(name.trim_end_matches("-back").to_owned())
            }
            EventPlan::Online(person) | EventPlan::Offline(person) | EventPlan::Homes(person, _) => {
                FaultKey::Person(*person)
            }
            _ => FaultKey::Single(place),
        };
        let next = numbers.len() as u32;
        faults.push(*numbers.entry(key).or_insert(next));
    }
    faults
}

impl Keep {
    /// Everything.
    #[must_use]
    pub fn all(plan: &Plan) -> Self {
        let fault_of = faults_of(plan);
        let count = fault_of.iter().copied().max().map_or(0, |last| last + 1);
        Self {
            messages: (0..plan.messages.len() as u32).collect(),
            faults: (0..count).collect(),
            people: (0..plan.people.len() as u32).collect(),
            nodes: (0..plan.nodes.len() as u32).collect(),
            links: (0..plan.links.len() as u32).collect(),
            fault_of,
        }
    }

    /// How many parts are kept.
    #[must_use]
    pub fn size(&self) -> usize {
        self.messages.len() + self.faults.len() + self.people.len() + self.nodes.len() + self.links.len()
    }

    /// The parts of one sort that are kept.
    #[must_use]
    pub fn items(&self, unit: Unit) -> Vec<u32> {
        match unit {
            Unit::Message => self.messages.clone(),
            Unit::Fault => self.faults.clone(),
            Unit::Person => self.people.clone(),
            Unit::Node => self.nodes.clone(),
            Unit::Link => self.links.clone(),
        }
    }

    /// Keeps exactly these of one sort.
    pub fn set(&mut self, unit: Unit, items: &[u32]) {
        let list = match unit {
            Unit::Message => &mut self.messages,
            Unit::Fault => &mut self.faults,
            Unit::Person => &mut self.people,
            Unit::Node => &mut self.nodes,
            Unit::Link => &mut self.links,
        };
        list.clear();
        list.extend_from_slice(items);
    }

    /// The plan that is left: a sound one, whatever is kept.
    #[must_use]
    pub fn build(&self, plan: &Plan) -> Plan {
        // A network has at least one node.
        let first = [0];
        let nodes = if self.nodes.is_empty() { &first[..] } else { &self.nodes };
        let node_at: BTreeMap<u32, NodeIndex> =
            nodes.iter().zip(0..).map(|(old, new)| (*old, NodeIndex(new))).collect();
        let person_at: BTreeMap<u32, PersonIndex> =
            self.people.iter().zip(0..).map(|(old, new)| (*old, PersonIndex(new))).collect();
        let node = |old: NodeIndex| node_at.get(&old.0).copied();
        let person = |old: PersonIndex| person_at.get(&old.0).copied();
        let links = self
            .links
            .iter()
            .filter_map(|place| plan.links.get(*place as usize))
            .filter_map(|link| Some(LinkPlan { from: node(link.from)?, to: node(link.to)? }));
        let people = self.people.iter().filter_map(|place| plan.people.get(*place as usize)).map(|one| {
            let mut homes: Vec<NodeIndex> = one.homes.iter().filter_map(|home| node(*home)).collect();
            if homes.is_empty() {
                // Whose homes are all gone moves to the first node: a person without a home is none.
                homes.push(NodeIndex(0));
            }
            PersonPlan { homes, ..one.clone() }
        });
        let mut mailbox_at: BTreeMap<u32, Option<MailboxIndex>> = BTreeMap::new();
        let mut mailboxes: Vec<MailboxPlan> = Vec::new();
        let mut messages = Vec::new();
        for message in self.messages.iter().filter_map(|place| plan.messages.get(*place as usize)) {
            let Some(author) = person(message.author) else { continue };
            let mailbox = *mailbox_at.entry(message.mailbox.0).or_insert_with(|| {
                let whole = plan.mailboxes.get(message.mailbox.0 as usize)?;
                let readers: Vec<PersonIndex> = whole.readers.iter().filter_map(|reader| person(*reader)).collect();
                if readers.is_empty() {
                    return None;
                }
                mailboxes.push(MailboxPlan { shared: whole.shared, readers });
                Some(MailboxIndex(mailboxes.len() as u32 - 1))
            });
            if let Some(mailbox) = mailbox {
                let mut kept = *message;
                (kept.author, kept.mailbox) = (author, mailbox);
                messages.push(kept);
            }
        }
        let kept: BTreeSet<u32> = self.faults.iter().copied().collect();
        let mut gone: BTreeSet<&str> = BTreeSet::new();
        let mut events = Vec::new();
        for ((at, event), fault) in plan.events.iter().zip(&self.fault_of) {
            if !kept.contains(fault) {
                continue;
            }
            let mended = mend(event, &node, &person);
            match (&mended, event) {
                (None, EventPlan::Cut { name, .. } | EventPlan::Throttle { name, .. }) => {
                    gone.insert(name);
                    continue;
                }
                (_, EventPlan::Heal { name }) if gone.contains(name.as_str()) => continue,
                _ => {}
            }
            events.extend(mended.map(|event| (*at, event)));
        }
        Plan {
            nodes: nodes.iter().filter_map(|place| plan.nodes.get(*place as usize).cloned()).collect(),
            links: links.collect(),
            people: people.collect(),
            mailboxes,
            messages,
            events,
            ..plan.clone()
        }
    }
}

/// An event without what was removed; `None` where nothing of it is left.
fn mend(
    event: &EventPlan,
    node: &dyn Fn(NodeIndex) -> Option<NodeIndex>,
    person: &dyn Fn(PersonIndex) -> Option<PersonIndex>,
) -> Option<EventPlan> {
    let nodes = |list: &[NodeIndex]| -> Option<Vec<NodeIndex>> {
        let kept: Vec<NodeIndex> = list.iter().filter_map(|old| node(*old)).collect();
        (!kept.is_empty()).then_some(kept)
    };
    Some(match event {
        EventPlan::Crash(old) => EventPlan::Crash(node(*old)?),
        EventPlan::Start(old) => EventPlan::Start(node(*old)?),
        EventPlan::Stop(old) => EventPlan::Stop(node(*old)?),
        EventPlan::Die(old) => EventPlan::Die(node(*old)?),
        EventPlan::LoseStore(old) => EventPlan::LoseStore(node(*old)?),
        EventPlan::DiskFull(old, full) => EventPlan::DiskFull(node(*old)?, *full),
        EventPlan::ClockSkew(old, seconds) => EventPlan::ClockSkew(node(*old)?, *seconds),
        EventPlan::ClockDrift(old, ppm) => EventPlan::ClockDrift(node(*old)?, *ppm),
        EventPlan::Cut { name, from, to } => EventPlan::Cut { name: name.clone(), from: nodes(from)?, to: nodes(to)? },
        EventPlan::Heal { name } => EventPlan::Heal { name: name.clone() },
        EventPlan::Throttle { name, from, to, bytes_per_second } => EventPlan::Throttle {
            name: name.clone(),
            from: nodes(from)?,
            to: nodes(to)?,
            bytes_per_second: *bytes_per_second,
        },
        EventPlan::Reset(a, b) => EventPlan::Reset(node(*a)?, node(*b)?),
        EventPlan::Online(old) => EventPlan::Online(person(*old)?),
        EventPlan::Offline(old) => EventPlan::Offline(person(*old)?),
        EventPlan::Homes(old, homes) => EventPlan::Homes(person(*old)?, nodes(homes)?),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scenario::{Overrides, draw::draw, load, parse, plan_file::check_plan};

    #[test]
    fn whatever_is_kept_is_a_plan() {
        let mut random = crate::random::Random::new(1, "keep");
        for name in ["smoke", "egypt-2011", "dead-home", "rolling-restart"] {
            let plan = draw(&parse(&load(name).unwrap(), &Overrides::default()).unwrap(), 1).unwrap().plan;
            let all = Keep::all(&plan);
            assert_eq!(all.build(&plan), plan, "{name}: kept whole, it is the same");
            for _ in 0..30 {
                let mut some = all.clone();
                for unit in [Unit::Message, Unit::Fault, Unit::Person, Unit::Node, Unit::Link] {
                    let items = all.items(unit);
                    let count = random.place(items.len() + 1);
                    let chosen = random.choose(&items, count);
                    some.set(unit, &chosen);
                }
                check_plan(&some.build(&plan)).unwrap_or_else(|what| panic!("{name}: {what}"));
            }
        }
    }

    #[test]
    fn a_fault_goes_with_what_ends_it() {
        let plan = draw(&parse(&load("smoke").unwrap(), &Overrides::default()).unwrap(), 1).unwrap().plan;
        let mut keep = Keep::all(&plan);
        for fault in keep.items(Unit::Fault) {
            keep.set(Unit::Fault, &[fault]);
            let events = keep.build(&plan).events;
            let cuts = events.iter().filter(|(_, event)| matches!(event, EventPlan::Cut { .. })).count();
            let heals = events.iter().filter(|(_, event)| matches!(event, EventPlan::Heal { .. })).count();
            assert_eq!(cuts, heals);
            let crashes = events.iter().filter(|(_, event)| matches!(event, EventPlan::Crash(_))).count();
            let starts = events.iter().filter(|(_, event)| matches!(event, EventPlan::Start(_))).count();
            assert_eq!(crashes, starts);
        }
    }
}
