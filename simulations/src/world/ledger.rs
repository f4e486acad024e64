//! The ledger: everything seen while a run goes on, from which its recording is made.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    sync::{Mutex, MutexGuard, PoisonError},
};

use griot_node::relay::{Tally, Way as DoorWay};
use griot_protocol::{NodeId, RecordId};

use super::{
    host::FixedMap,
    invariants::{Invariants, Law},
    time::now,
    trace::{Short, Trace},
};
use crate::plan::{Arrival, Delivery, MessageFate, MessageIndex, Minute, NodeIndex, PersonIndex, Plan, VirtualMs, Way};

/// No record comes over so many hops: its way is not known.
const HOPS_UNKNOWN: u16 = u16::MAX;

/// What counters are called: a name and what tells those of the same name apart.
type CounterName = (&'static str, &'static str, &'static str);

/// Shared by everyone who sees something.
#[derive(Debug)]
pub(crate) struct Ledger(Mutex<State>);

/// What the ledger holds.
#[derive(Debug)]
pub(crate) struct State {
    pub trace: Trace,
    pub invariants: Invariants,
    pub fates: Vec<MessageFate>,
    pub timeline: Vec<Minute>,
    pub minute: Minute,
    arrivals: Vec<Arrival>,
    counters: BTreeMap<CounterName, u64>,
    node_of: FixedMap<NodeId, NodeIndex>,
    message_of: FixedMap<RecordId, MessageIndex>,
    /// For each message, over how many hops it had come to each node.
    hops: Vec<Vec<u16>>,
    read: BTreeSet<(PersonIndex, MessageIndex)>,
    nodes: usize,
}

impl Ledger {
    pub(crate) fn new(plan: &Plan, ids: &[NodeId], keep_trace: bool) -> Self {
        let indices = (0..).map(NodeIndex);
        Self(Mutex::new(State {
            trace: Trace::new(keep_trace),
            invariants: Invariants::default(),
            fates: vec![MessageFate::default(); plan.messages.len()],
            timeline: Vec::new(),
            minute: Minute::default(),
            arrivals: Vec::new(),
            counters: BTreeMap::new(),
            node_of: ids.iter().copied().zip(indices).collect(),
            message_of: FixedMap::default(),
            hops: vec![Vec::new(); plan.messages.len()],
            read: BTreeSet::new(),
            nodes: ids.len(),
        }))
    }

    pub(crate) fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes a line of the trace.
    pub(crate) fn note(&self, what: fmt::Arguments<'_>) {
        self.state().trace.note(now(), what);
    }
}

impl State {
    /// A message has become a record.
    pub(crate) fn written(&mut self, message: MessageIndex, id: RecordId, expires: VirtualMs) {
        self.message_of.insert(id, message);
        let fate = &mut self.fates[message.0 as usize];
        // What is said again has another record; the first is the one to look for.
        if fate.record.is_empty() {
            fate.record = id.to_string();
        }
        fate.expires = fate.expires.max(Some(expires));
    }

    pub(crate) fn message_of(&self, id: &RecordId) -> Option<MessageIndex> {
        self.message_of.get(id).copied()
    }

    /// A record is on a node's disk that was not there before.
    pub(crate) fn kept(&mut self, node: NodeIndex, id: &RecordId, door: DoorWay, from: Option<&NodeId>) {
        let at = now();
        let from = from.and_then(|from| self.node_of.get(from)).copied().unwrap_or(node);
        self.trace.note(at, format_args!("n{} kept {} {} from n{}", node.0, Short(&id.0), door.name(), from.0));
        let Some(message) = self.message_of(id) else { return };
        let way = match door {
            DoorWay::Api | DoorWay::Import | DoorWay::Own => Way::Submitted,
            DoorWay::Gossip => Way::Gossip,
            DoorWay::Sync | DoorWay::Told => Way::Sync,
        };
        let hops = &mut self.hops[message.0 as usize];
        if hops.is_empty() {
            hops.resize(self.nodes, HOPS_UNKNOWN);
        }
        let before = if way == Way::Submitted { None } else { hops.get(from.0 as usize).copied() };
        let came_over = before.map_or(0, |before| before.saturating_add(1));
        if let Some(place) = hops.get_mut(node.0 as usize)
            && *place == HOPS_UNKNOWN
        {
            *place = came_over;
            self.fates[message.0 as usize].holders += 1;
        }
        self.arrivals.push(Arrival { at, message, node, from, way });
    }

    /// A person reads an envelope at a home; says whether it is new to them.
    pub(crate) fn read(&mut self, reader: PersonIndex, home: NodeIndex, id: &RecordId, expected: bool) -> bool {
        let message = self.message_of(id);
        self.invariants.check(Law::ReadWasWritten, message.is_some() && expected, || {
            format!("person {} read {} at node {}, which nobody wrote to them", reader.0, Short(&id.0), home.0)
        });
        let Some(message) = message else { return false };
        if !self.read.insert((reader, message)) {
            self.fates[message.0 as usize].duplicates += 1;
            return false;
        }
        self.show(reader, home, message);
        true
    }

    /// A person's client shows a text. `message`: which, where it is for them and every byte is as it was written.
    pub(crate) fn shown(&mut self, reader: PersonIndex, home: NodeIndex, id: &str, message: Option<MessageIndex>) {
        self.invariants.check(Law::ReadWasWritten, message.is_some(), || {
            format!("the client of person {} shows {id}, which nobody wrote to them like this", reader.0)
        });
        let Some(message) = message else { return };
        self.read.insert((reader, message));
        self.count(("clients", "decrypted", ""), 1);
        self.show(reader, home, message);
    }

    /// A reader is shown a message.
    fn show(&mut self, reader: PersonIndex, home: NodeIndex, message: MessageIndex) {
        let at = now();
        let hops = self.hops[message.0 as usize].get(home.0 as usize).copied().filter(|hops| *hops != HOPS_UNKNOWN);
        let fate = &mut self.fates[message.0 as usize];
        let shown_before = fate.deliveries.iter().any(|delivery| delivery.reader == reader);
        fate.shown_again += u32::from(shown_before);
        if !shown_before {
            fate.deliveries.push(Delivery { reader, at, home, hops });
            self.minute.delivered += 1;
        }
        self.invariants.check(Law::ShownOnce, !shown_before, || {
            format!("person {} was shown message {} again", reader.0, message.0)
        });
        self.trace.note(at, format_args!("p{} read m{} at n{} hops {hops:?}", reader.0, message.0, home.0));
    }

    /// A home has a message on its disk.
    pub(crate) fn accepted(&mut self, message: MessageIndex, home: NodeIndex) {
        let at = now();
        self.trace.note(at, format_args!("n{} accepts m{}", home.0, message.0));
        self.fates[message.0 as usize].accepted.get_or_insert((at, home));
    }

    /// An author hears what became of a message: how many homes of the reader have proven that they hold it, and
    /// whether it was collected.
    pub(crate) fn heard(
        &mut self,
        author: PersonIndex,
        message: MessageIndex,
        stored_on: u32,
        collected: bool,
        from: fmt::Arguments<'_>,
    ) {
        let at = now();
        let fate = &mut self.fates[message.0 as usize];
        let heard = (fate.stored.is_some(), fate.stored_on, fate.acked.is_some());
        fate.stored_on = fate.stored_on.max(stored_on);
        if stored_on > 0 {
            fate.stored.get_or_insert(at);
        }
        if collected {
            fate.acked.get_or_insert(at);
        }
        if heard != (fate.stored.is_some(), fate.stored_on, fate.acked.is_some()) {
            self.trace.note(at, format_args!("p{} hears of m{} {from}: stored on {stored_on}", author.0, message.0));
        }
        if collected && !heard.2 {
            let was_read = !fate.deliveries.is_empty();
            self.invariants.check(Law::AckedWasRead, was_read, || {
                format!("the author of message {} was told that it was collected, and nobody had read it", message.0)
            });
        }
    }

    pub(crate) fn has_read(&self, reader: PersonIndex, message: MessageIndex) -> bool {
        self.read.contains(&(reader, message))
    }

    /// Counts something that a relay counted.
    pub(crate) fn counted(&mut self, tally: &Tally) {
        let (name, count) = match *tally {
            Tally::Accepted(kind, way) => (("accepted", kind, way), 1),
            Tally::Refused(reason, way) => (("refused", reason, way), 1),
            Tally::GossipDuplicate => (("gossip_duplicates", "", ""), 1),
            Tally::SyncRepaired => (("sync_repaired", "", ""), 1),
            Tally::GossipMissed => (("gossip_missed", "", ""), 1),
            Tally::SyncDone => (("sync_done", "", ""), 1),
            Tally::SyncFailed => (("sync_failed", "", ""), 1),
            Tally::SyncFrameBytesOut(bytes) => (("sync_frame_bytes_out", "", ""), bytes),
            Tally::SyncBytesOut(bytes) => (("sync_bytes_out", "", ""), bytes),
            Tally::SyncBytesIn(bytes) => (("sync_bytes_in", "", ""), bytes),
            Tally::Evicted => (("evicted", "", ""), 1),
            Tally::Expired(rows) => (("expired", "", ""), rows),
            Tally::ReceiptIssued => (("receipts_issued", "", ""), 1),
        };
        self.count(name, count);
    }

    pub(crate) fn count(&mut self, name: CounterName, count: u64) {
        *self.counters.entry(name).or_default() += count;
    }

    /// All counters, by their names joined with dots.
    pub(crate) fn counters(&self) -> BTreeMap<String, u64> {
        let name = |(name, first, second): &CounterName| {
            let parts = [*name, first, second];
            parts.into_iter().filter(|part| !part.is_empty()).collect::<Vec<_>>().join(".")
        };
        self.counters.iter().map(|(key, count)| (name(key), *count)).collect()
    }

    /// The arrivals since the last call.
    pub(crate) fn take_arrivals(&mut self) -> Vec<Arrival> {
        std::mem::take(&mut self.arrivals)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::{outcome::figures::tests::plan, world::time::in_virtual_time};

    /// Which laws are broken after this.
    fn broken(what: impl FnOnce(&mut State) + Send) -> Vec<String> {
        in_virtual_time(1, Duration::ZERO, || async move {
            let ledger = Ledger::new(&plan(), &[], false);
            let mut state = ledger.state();
            what(&mut state);
            let report = state.invariants.report();
            report.into_iter().filter(|invariant| invariant.broken > 0).map(|invariant| invariant.name).collect()
        })
        .unwrap()
    }

    #[test]
    fn a_text_that_nobody_wrote_or_that_is_shown_again_breaks_a_law() {
        let (reader, home, text) = (PersonIndex(1), NodeIndex(0), Some(MessageIndex(0)));
        assert_eq!(broken(|state| state.shown(reader, home, "a", text)), Vec::<String>::new());
        assert_eq!(broken(|state| state.shown(reader, home, "a", None)), ["read-was-written"]);
        let twice = |state: &mut State| {
            state.shown(reader, home, "a", text);
            state.shown(reader, home, "a", text);
            assert_eq!((state.fates[0].deliveries.len(), state.fates[0].shown_again), (1, 1));
        };
        assert_eq!(broken(twice), ["shown-once"]);
    }

    #[test]
    fn an_ack_of_what_nobody_read_breaks_a_law() {
        let heard = |state: &mut State| {
            state.heard(PersonIndex(0), MessageIndex(0), 1, true, format_args!("by its client"));
        };
        assert_eq!(broken(heard), ["acked-was-read"]);
        let read_first = |state: &mut State| {
            state.shown(PersonIndex(1), NodeIndex(0), "a", Some(MessageIndex(0)));
            heard(state);
        };
        assert_eq!(broken(read_first), Vec::<String>::new());
    }
}
