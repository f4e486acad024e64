//! What the relay has counted since the start, for whoever asks the node; Prometheus has its own counters.

use std::collections::BTreeMap;

use griot_protocol::api::{ArrivalsReport, RefusedReport};

use crate::relay::{Tally, Way};

/// What was counted.
#[derive(Clone, Debug, Default)]
pub(crate) struct Counts {
    arrivals: ArrivalsReport,
    /// By reason and way: both are from fixed sets.
    refused: BTreeMap<(&'static str, &'static str), u64>,
}

impl Counts {
    /// Counts what the relay tells.
    pub(crate) fn count(&mut self, tally: &Tally) {
        match *tally {
            Tally::Accepted(_, way) if way == Way::Gossip.name() => self.arrivals.by_gossip += 1,
            Tally::Accepted(_, way) if way == Way::Told.name() => self.arrivals.by_offer += 1,
            Tally::SyncRepaired => self.arrivals.by_sync += 1,
            Tally::GossipMissed => self.arrivals.missed_by_gossip += 1,
            Tally::Refused(reason, way) => *self.refused.entry((reason, way)).or_default() += 1,
            _ => {}
        }
    }

    pub(crate) fn arrivals(&self) -> ArrivalsReport {
        self.arrivals.clone()
    }

    /// Refusals, most often refused first.
    pub(crate) fn refused(&self) -> Vec<RefusedReport> {
        let mut refused: Vec<_> = self.refused.iter().collect();
        refused.sort_by_key(|(_, records)| std::cmp::Reverse(**records));
        let report = |((reason, way), records): (&(&str, &str), &u64)| RefusedReport {
            reason: (*reason).to_owned(),
            way: (*way).to_owned(),
            records: *records,
        };
        refused.into_iter().map(report).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refusals_are_counted_by_reason_and_way_and_arrivals_by_door() {
        let mut counts = Counts::default();
        for _ in 0..3 {
            counts.count(&Tally::Refused("postage", "gossip"));
        }
        counts.count(&Tally::Refused("postage", "api"));
        counts.count(&Tally::Accepted("envelope", "gossip"));
        counts.count(&Tally::Accepted("envelope", "sync"));
        counts.count(&Tally::Accepted("envelope", "told"));
        counts.count(&Tally::SyncRepaired);
        counts.count(&Tally::SyncRepaired);
        counts.count(&Tally::GossipMissed);
        let refused: Vec<_> = counts.refused().into_iter().map(|row| (row.reason, row.way, row.records)).collect();
        let row = |way: &str, records| ("postage".to_owned(), way.to_owned(), records);
        assert_eq!(refused, [row("gossip", 3), row("api", 1)]);
        let arrivals = counts.arrivals();
        assert_eq!((arrivals.by_gossip, arrivals.by_offer), (1, 1));
        assert_eq!((arrivals.by_sync, arrivals.missed_by_gossip), (2, 1));
    }
}
