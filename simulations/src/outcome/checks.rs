//! What must hold of every recording, whatever the scenario: invariants that need no running world, besides those that the
//! world checks while it runs.

use super::deliveries::pairs;
use crate::plan::{Invariant, Plan, Recording};

/// Examples that are kept of each broken invariant.
const EXAMPLES_MAX: usize = 16;

struct Check(Invariant);

impl Check {
    fn new(name: &str) -> Self {
        Self(Invariant { name: name.to_owned(), checks: 0, broken: 0, examples: Vec::new() })
    }

    fn that(&mut self, holds: bool, example: impl FnOnce() -> String) {
        self.0.checks += 1;
        if !holds {
            self.0.broken += 1;
            if self.0.examples.len() < EXAMPLES_MAX {
                self.0.examples.push(example());
            }
        }
    }
}

/// Checks a recording against its plan.
#[must_use]
pub fn check(plan: &Plan, recording: &Recording) -> Vec<Invariant> {
    let mut whole = Check::new("recording-is-whole");
    whole.that(recording.messages.len() == plan.messages.len(), || {
        format!("{} messages were planned, {} are recorded", plan.messages.len(), recording.messages.len())
    });
    whole.that(recording.nodes.len() == plan.nodes.len(), || {
        format!("{} nodes were planned, {} are recorded", plan.nodes.len(), recording.nodes.len())
    });
    let mut once = Check::new("shown-once");
    let mut readers = Check::new("only-readers-read");
    let mut order = Check::new("read-after-it-was-written");
    let mut alive = Check::new("nothing-is-read-after-it-expired");
    let mut proven = Check::new("stored-only-after-accepted");
    for (number, (message, fate)) in plan.messages.iter().zip(&recording.messages).enumerate() {
        let mut seen: Vec<u32> = fate.deliveries.iter().map(|delivery| delivery.reader.0).collect();
        seen.sort_unstable();
        let twice = seen.windows(2).any(|pair| pair[0] == pair[1]);
        once.that(fate.shown_again == 0 && !twice, || format!("message {number} was shown to a reader again"));
        let may = plan.mailboxes.get(message.mailbox.0 as usize).map_or(&[][..], |mailbox| &mailbox.readers);
        for delivery in &fate.deliveries {
            let (reader, at) = (delivery.reader.0, delivery.at.0);
            readers.that(may.contains(&delivery.reader), || format!("message {number} was read by person {reader}"));
            order.that(delivery.at >= message.at, || {
                format!("message {number} was written at {} ms and read at {at} ms", message.at.0)
            });
            if let Some(expires) = fate.expires {
                // Clocks may be off by what the protocol allows (10 minutes) before anybody is wrong.
                let allowed = expires.0 + 1000 * griot_protocol::limits::AHEAD_SECONDS_MAX;
                alive.that(at <= allowed, || {
                    format!("message {number} expired at {} ms and was read at {at} ms", expires.0)
                });
            }
        }
        if let Some(stored) = fate.stored {
            proven.that(fate.accepted.is_some_and(|(at, _)| at <= stored), || {
                format!("message {number} was stored at {} ms, before any node had accepted it", stored.0)
            });
        }
    }
    let mut sums = Check::new("timeline-adds-up");
    let delivered = pairs(plan, recording).filter(|pair| pair.delivery.is_some()).count() as u64;
    let by_minute: u64 = recording.timeline.iter().map(|minute| minute.delivered).sum();
    sums.that(recording.timeline.is_empty() || by_minute == delivered, || {
        format!("{delivered} deliveries, but {by_minute} in the timeline")
    });
    [whole, once, readers, order, alive, proven, sums].into_iter().map(|check| check.0).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        outcome::figures::tests::{delivery, plan, recording},
        plan::{Minute, VirtualMs},
    };

    fn broken(recording: &Recording) -> Vec<String> {
        check(&plan(), recording)
            .into_iter()
            .filter(|invariant| invariant.broken > 0)
            .map(|invariant| invariant.name)
            .collect()
    }

    #[test]
    fn a_sound_recording_breaks_nothing() {
        assert_eq!(broken(&recording()), Vec::<String>::new());
        assert!(check(&plan(), &recording()).iter().all(|invariant| invariant.checks > 0));
    }

    #[test]
    fn each_invariant_can_break() {
        let with = |change: &dyn Fn(&mut Recording)| {
            let mut changed = recording();
            change(&mut changed);
            broken(&changed)
        };
        assert_eq!(with(&|r| r.messages[0].shown_again = 1), ["shown-once"]);
        assert_eq!(with(&|r| r.messages[0].deliveries.push(delivery(1, 1300, 1))), ["shown-once"]);
        assert_eq!(with(&|r| r.messages[0].deliveries.push(delivery(2, 1300, 1))), ["only-readers-read"]);
        assert_eq!(with(&|r| r.messages[0].deliveries[0].at = VirtualMs(999)), ["read-after-it-was-written"]);
        assert_eq!(with(&|r| r.messages[1].expires = Some(VirtualMs(0))), Vec::<String>::new());
        assert_eq!(
            with(&|r| r.messages[1].deliveries[0].at = VirtualMs(1_700_000)),
            ["nothing-is-read-after-it-expired"]
        );
        assert_eq!(with(&|r| r.messages[0].accepted = None), ["stored-only-after-accepted"]);
        assert_eq!(with(&|r| r.timeline = vec![Minute { delivered: 1, ..Minute::default() }]), ["timeline-adds-up"]);
        assert!(
            with(&|r| {
                r.messages.pop();
            })
            .contains(&"recording-is-whole".to_owned())
        );
    }
}
