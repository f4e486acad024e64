//! Which hours of expiry are closed: what expires in them was dropped, and is not taken again.
//!
//! There are two floors. That of **rows** follows the clock, one hour behind it. Without it a record could come back after
//! it was dropped, and with it one that its reader has collected long ago, once the ack is gone too. It goes back where
//! the clock turns out to have been ahead: then those hours are still to come, and what expires in them is wanted.
//!
//! What keeps a collected record away then is its ack, so acks must not have gone with it. Therefore they are kept for a
//! day longer, and the floor of **acks** says before which hour any have been dropped, ever: it never goes back, and that
//! of rows never goes below it. An ack lives as long as any envelope that it names, so whatever is still taken has all
//! its acks here.

use griot_protocol::{Hour, RecordKind, Timestamp};

/// How long acks outlive what else expires with them: as far as a clock may be ahead unnoticed. One that is off by more
/// deletes nothing until a neighbour confirms it (`relay/clock.rs`).
const ACKS_KEPT_HOURS: u32 = 24;

/// The first hours of expiry that are not closed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Floors {
    /// For envelopes and receipts.
    pub rows: Hour,
    /// For acks. No ack that expires in this hour or later was ever dropped.
    pub acks: Hour,
}

impl Floors {
    /// As the index keeps them: that of rows, then that of acks.
    pub(super) fn to_bytes(self) -> [u8; 8] {
        (u64::from(self.rows.0) << 32 | u64::from(self.acks.0)).to_be_bytes()
    }

    /// What [`to_bytes`](Self::to_bytes) made.
    pub(super) fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let both = u64::from_be_bytes(bytes.try_into().ok()?);
        let [rows, acks] = [both >> 32, both & u64::from(u32::MAX)].map(|hour| u32::try_from(hour).ok().map(Hour));
        Some(Self { rows: rows?, acks: acks? })
    }

    /// The floor for a record of this kind.
    pub(super) const fn of(&self, kind: RecordKind) -> Hour {
        match kind {
            RecordKind::Ack => self.acks,
            RecordKind::Envelope | RecordKind::Custody => self.rows,
        }
    }

    /// What they become at `now`. `newest_ack` tells the last hour before the given one in which an ack expires that is
    /// here: where there is none to drop, as at the first start with a clock that is years ahead, nothing is forgotten.
    pub(super) fn at(self, now: Timestamp, newest_ack: impl FnOnce(Hour) -> Option<Hour>) -> Self {
        let due = Hour(now.hour().0.saturating_sub(1));
        if due >= self.rows {
            let dropped = newest_ack(Hour(due.0.saturating_sub(ACKS_KEPT_HOURS)));
            let acks = dropped.map_or(self.acks, |hour| self.acks.max(Hour(hour.0.saturating_add(1))));
            return Self { rows: due, acks };
        }
        // One hour ahead closes nothing but what is over, and comes of a clock that is set back by a second.
        let rows = if self.rows > now.hour() { due.max(self.acks) } else { self.rows };
        Self { rows, ..self }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOON: Timestamp = Timestamp(500_000 * 3600 + 1800);

    fn floors(rows: u32, acks: u32) -> Floors {
        Floors { rows: Hour(rows), acks: Hour(acks) }
    }

    #[test]
    fn rows_go_with_the_clock_and_acks_a_day_later() {
        let mut asked = None;
        let after = floors(499_990, 499_000).at(NOON, |before| {
            asked = Some(before);
            Some(Hour(499_970))
        });
        assert_eq!((after, asked), (floors(499_999, 499_971), Some(Hour(499_975))));
        assert_eq!(floors(499_990, 499_000).at(NOON, |_| None), floors(499_999, 499_000));
    }

    #[test]
    fn the_floor_goes_back_with_the_clock_but_not_below_that_of_acks() {
        assert_eq!(floors(500_005, 499_981).at(NOON, |_| None), floors(499_999, 499_981));
        assert_eq!(floors(500_500, 500_476).at(NOON, |_| None), floors(500_476, 500_476));
        assert_eq!(floors(500_001, 0).at(NOON, |_| None), floors(499_999, 0));
    }

    #[test]
    fn they_are_read_as_they_were_written() {
        let both = floors(u32::MAX, 7);
        assert_eq!(Floors::from_bytes(&both.to_bytes()), Some(both));
        assert_eq!(Floors::from_bytes(&[0; 4]), None);
    }

    #[test]
    fn a_clock_that_is_set_back_within_the_hour_changes_nothing() {
        assert_eq!(floors(500_000, 7).at(NOON, |_| Some(Hour(9))), floors(500_000, 7));
    }
}
