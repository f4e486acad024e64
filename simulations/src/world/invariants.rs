//! What must always hold, and how often it was looked at.

use crate::plan::Invariant;

/// Examples kept of each broken invariant: the first are the ones to look at.
const EXAMPLES_MAX: usize = 16;

/// Something that must always hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Law {
    /// What a node answered "accepted" to is on its disk after a crash.
    AcknowledgedSurvivesCrash,
    /// An envelope that a person reads was written by somebody.
    ReadWasWritten,
    /// No reader is shown a message twice.
    ShownOnce,
    /// What was accepted reaches every reader before it expires, once the network is whole again and had time.
    AcceptedIsDelivered,
    /// The body of an acked envelope is gone everywhere, once the network is whole again and had time.
    AckedIsGone,
    /// A node that signed a receipt holds the envelope, or knows that it was collected.
    StoredIsTrue,
    /// What an author is told was collected, was read.
    AckedWasRead,
}

impl Law {
    const ALL: [Self; 7] = [
        Self::AcknowledgedSurvivesCrash,
        Self::ReadWasWritten,
        Self::ShownOnce,
        Self::AcceptedIsDelivered,
        Self::AckedIsGone,
        Self::StoredIsTrue,
        Self::AckedWasRead,
    ];

    const fn name(self) -> &'static str {
        match self {
            Self::AcknowledgedSurvivesCrash => "acknowledged-survives-crash",
            Self::ReadWasWritten => "read-was-written",
            Self::ShownOnce => "shown-once",
            Self::AcceptedIsDelivered => "accepted-is-delivered",
            Self::AckedIsGone => "acked-is-gone",
            Self::StoredIsTrue => "stored-is-true",
            Self::AckedWasRead => "acked-was-read",
        }
    }
}

#[derive(Clone, Debug, Default)]
struct Tally {
    checks: u64,
    broken: u64,
    examples: Vec<String>,
}

/// All of them.
#[derive(Clone, Debug, Default)]
pub(crate) struct Invariants([Tally; Law::ALL.len()]);

impl Invariants {
    /// Looks once; `example` says in words what was found where it did not hold.
    pub(crate) fn check(&mut self, law: Law, holds: bool, example: impl FnOnce() -> String) {
        let tally = &mut self.0[law as usize];
        tally.checks += 1;
        if !holds {
            tally.broken += 1;
            if tally.examples.len() < EXAMPLES_MAX {
                tally.examples.push(example());
            }
        }
    }

    /// What was found.
    pub(crate) fn report(&self) -> Vec<Invariant> {
        let all = Law::ALL.into_iter().zip(&self.0);
        all.map(|(law, tally)| Invariant {
            name: law.name().to_owned(),
            checks: tally.checks,
            broken: tally.broken,
            examples: tally.examples.clone(),
        })
        .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_check_counts_and_the_first_examples_are_kept() {
        let mut invariants = Invariants::default();
        for n in 0..40 {
            invariants.check(Law::ShownOnce, n % 2 == 0, || n.to_string());
        }
        let report = invariants.report();
        let shown = report.iter().find(|invariant| invariant.name == "shown-once").unwrap();
        assert_eq!((shown.checks, shown.broken, shown.examples.len()), (40, 20, EXAMPLES_MAX));
        assert_eq!(shown.examples[0], "1");
        assert!(report.iter().filter(|other| other.name != "shown-once").all(|other| other.checks == 0));
    }
}
