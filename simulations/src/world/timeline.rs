//! What happens when: messages and events of the plan, and the rounds that the world itself makes.

use std::{sync::Arc, time::Duration};

use super::{
    World,
    time::{now, sleep_until},
};
use crate::plan::{EventPlan, Listener, MessageIndex, NodeIndex, PersonIndex, VirtualMs};

/// How often the listener hears how far time got.
const SECOND_MS: u64 = 1_000;

/// How often people look after what they have under way.
const TEND_EVERY_MS: u64 = 15_000;

/// How often nodes are looked at.
const MINUTE_MS: u64 = 60_000;

/// Nodes that run from the beginning start within this time of each other: no two machines are switched on at the same
/// moment, and a network whose heartbeats keep step is another one.
const START_WITHIN_MS: u64 = 1_000;

/// The next of several things.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Next {
    Start(usize),
    Event(usize),
    Message(usize),
    Tend,
    Minute,
    Second,
    End,
}

/// Where each of the lists stands.
struct Cursor {
    start: usize,
    event: usize,
    message: usize,
    tend_ms: u64,
    minute_ms: u64,
    second_ms: u64,
}

impl World {
    /// Lives through the whole plan; says whether it was interrupted.
    pub(crate) async fn live(self: &Arc<Self>, listener: &mut (dyn Listener + Send)) -> bool {
        let starts = self.starts();
        self.open_first_clients();
        let mut cursor = Cursor {
            start: 0,
            event: 0,
            message: 0,
            tend_ms: TEND_EVERY_MS,
            minute_ms: MINUTE_MS,
            second_ms: SECOND_MS,
        };
        loop {
            let (at, next) = self.next(&starts, &cursor);
            sleep_until(at).await;
            match next {
                Next::Start(index) => {
                    cursor.start += 1;
                    self.start_node(starts[index].1);
                }
                Next::Event(index) => {
                    cursor.event += 1;
                    self.happen(&self.plan.events[index].1);
                }
                Next::Message(index) => {
                    cursor.message += 1;
                    self.offered(MessageIndex(index as u32));
                }
                Next::Tend => {
                    cursor.tend_ms += TEND_EVERY_MS;
                    self.people.all().for_each(|person| self.tend(person));
                }
                Next::Minute => {
                    cursor.minute_ms += MINUTE_MS;
                    self.end_minute();
                }
                Next::Second => {
                    cursor.second_ms += SECOND_MS;
                    self.tell(listener);
                    if !listener.progress(now()) {
                        return true;
                    }
                }
                Next::End => return false,
            }
        }
    }

    /// When each of the first nodes starts.
    fn starts(&self) -> Vec<(u64, NodeIndex)> {
        let nodes = (0..).map(NodeIndex).zip(&self.plan.nodes).filter(|(_, node)| node.starts_up);
        let when =
            |node: NodeIndex| super::seeds::number(self.plan.seed, "first start", u64::from(node.0)) % START_WITHIN_MS;
        let mut starts: Vec<_> = nodes.map(|(node, _)| (when(node), node)).collect();
        starts.sort_unstable();
        starts
    }

    fn next(&self, starts: &[(u64, NodeIndex)], cursor: &Cursor) -> (VirtualMs, Next) {
        let candidates = [
            starts.get(cursor.start).map(|(at, _)| (*at, Next::Start(cursor.start))),
            self.plan.events.get(cursor.event).map(|(at, _)| (at.0, Next::Event(cursor.event))),
            self.plan.messages.get(cursor.message).map(|message| (message.at.0, Next::Message(cursor.message))),
            Some((cursor.tend_ms, Next::Tend)),
            Some((cursor.minute_ms, Next::Minute)),
            Some((cursor.second_ms, Next::Second)),
        ];
        let end = (self.plan.duration_ms, Next::End);
        let (at, next) = candidates.into_iter().flatten().chain([end]).min().unwrap_or(end);
        (VirtualMs(at), next)
    }

    fn offered(self: &Arc<Self>, message: MessageIndex) {
        let readers = self.plan.readers_of(&self.plan.messages[message.0 as usize]).count() as u64;
        self.ledger.state().minute.offered += readers;
        self.write(message);
    }

    /// Tells the listener what was seen since the last time.
    pub(crate) fn tell(&self, listener: &mut (dyn Listener + Send)) {
        let (arrivals, lines) = {
            let mut ledger = self.ledger.state();
            (ledger.take_arrivals(), ledger.trace.take_lines())
        };
        arrivals.into_iter().for_each(|arrival| listener.arrived(arrival));
        lines.iter().for_each(|line| listener.traced(line));
        if listener.wants_traffic() {
            let nodes: Vec<_> = self.nodes().map(|node| self.net.traffic(node).of_node()).collect();
            listener.traffic(now(), &nodes);
        }
    }

    fn happen(self: &Arc<Self>, event: &EventPlan) {
        self.quiet_since.store(now().0, std::sync::atomic::Ordering::Relaxed);
        match event {
            EventPlan::Crash(node) => self.crash_node(*node),
            EventPlan::Start(node) => self.start_node(*node),
            EventPlan::Stop(node) => self.stop_node(*node),
            EventPlan::Die(node) => self.kill_node(*node),
            EventPlan::LoseStore(node) => self.lose_store(*node),
            EventPlan::DiskFull(node, full) => {
                self.slot(*node).disk.set_full(*full);
                self.note(format_args!("n{} disk full: {full}", node.0));
            }
            EventPlan::ClockSkew(node, seconds) => {
                self.slot(*node).host.clock.set_skew(*seconds);
                self.note(format_args!("n{} clock off by {seconds} s", node.0));
            }
            EventPlan::ClockDrift(node, ppm) => {
                self.slot(*node).host.clock.set_drift(*ppm);
                self.note(format_args!("n{} clock drifts by {ppm} ppm", node.0));
            }
            EventPlan::Cut { name, from, to } => {
                self.net.cut(name, from, to);
                self.ways_changed();
                self.note(format_args!("cut {name}: {} nodes from {}", to.len(), from.len()));
            }
            EventPlan::Heal { name } => {
                self.net.heal(name, now());
                self.ways_changed();
                self.note(format_args!("healed {name}"));
            }
            EventPlan::Throttle { name, from, to, bytes_per_second } => {
                self.net.throttle_between(name, from, to, *bytes_per_second);
                self.note(format_args!("throttled {name} to {bytes_per_second} B/s"));
            }
            EventPlan::Reset(a, b) => {
                let count = self.net.reset(*a, *b, now());
                self.note(format_args!("{count} connections between n{} and n{} are reset", a.0, b.0));
            }
            EventPlan::Online(person) => self.come_online(*person),
            EventPlan::Offline(person) => self.go_offline(*person),
            EventPlan::Homes(person, homes) => self.change_homes(*person, homes),
        }
    }

    fn come_online(self: &Arc<Self>, person: PersonIndex) {
        let homes = {
            let mut state = self.people.person(person);
            state.online = true;
            state.homes.clone()
        };
        self.note(format_args!("p{} comes on line", person.0));
        for home in homes {
            self.open_session(person, home);
        }
        self.open_client(person, Duration::ZERO);
        self.tend(person);
    }

    fn go_offline(&self, person: PersonIndex) {
        let mut state = self.people.person(person);
        state.online = false;
        if let Some(sending) = state.sending.take() {
            sending.abort();
        }
        let sessions = std::mem::take(&mut state.sessions);
        drop(state);
        drop(sessions);
        self.close_client(person);
        self.note(format_args!("p{} goes off line", person.0));
    }

    fn change_homes(self: &Arc<Self>, person: PersonIndex, homes: &[NodeIndex]) {
        let left: Vec<NodeIndex> = {
            let mut state = self.people.person(person);
            let before = std::mem::replace(&mut state.homes, homes.to_vec());
            before.into_iter().filter(|home| !homes.contains(home)).collect()
        };
        self.note(format_args!("p{} has {} homes now", person.0, homes.len()));
        for home in left {
            self.slot(home).members.retain(|member| *member != person);
            self.leave_home(person, home);
        }
        for home in homes {
            let mut slot = self.slot(*home);
            if !slot.members.contains(&person) {
                slot.members.push(person);
            }
            drop(slot);
            self.open_session(person, *home);
        }
        self.clients.wake(person);
    }

    /// Ends a minute of the timeline.
    pub(crate) fn end_minute(&self) {
        let nodes_up = self.nodes().filter(|node| self.sample_node(*node)).count() as u64;
        let sent: u64 = self.nodes().map(|node| self.net.traffic(node).sent_bytes).sum();
        let in_custody = self.count_in_custody();
        let mut ledger = self.ledger.state();
        let before: u64 = ledger.timeline.iter().map(|minute| minute.bytes).sum();
        let number = ledger.timeline.len() as u64;
        let mut minute = std::mem::take(&mut ledger.minute);
        minute.minute = number;
        minute.in_custody = in_custody;
        minute.bytes = sent - before;
        minute.nodes_up = nodes_up;
        ledger.timeline.push(minute);
        let (opened, closed) = self.net.connection_counts();
        let line = format_args!(
            "minute {number}: sent {} delivered {} custody {in_custody} up {nodes_up} opened {opened} closed {closed}",
            minute.bytes, minute.delivered
        );
        ledger.trace.note(now(), line);
    }

    fn count_in_custody(&self) -> u64 {
        let ledger = self.ledger.state();
        let now = now();
        let mut count = 0;
        for (index, (plan, fate)) in self.plan.messages.iter().zip(&ledger.fates).enumerate() {
            if fate.accepted.is_some() && fate.expires.is_some_and(|expires| expires > now) {
                let message = MessageIndex(index as u32);
                count += self.plan.readers_of(plan).filter(|reader| !ledger.has_read(*reader, message)).count() as u64;
            }
        }
        count
    }
}
