//! Times on the wire: whole seconds since the Unix epoch.

use bincode::{Decode, Encode};
use serde::{Deserialize, Serialize};

/// Seconds since the Unix epoch, UTC.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Encode, Decode, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Timestamp(pub u64);

impl Timestamp {
    /// Rounded down to the minute, as clients send `created_at`: the exact second helps nobody but an observer.
    #[must_use]
    pub const fn floor_minute(self) -> Self {
        Self(self.0 - self.0 % 60)
    }

    /// `seconds` later; stops at the end of time instead of wrapping.
    #[must_use]
    pub const fn plus(self, seconds: u64) -> Self {
        Self(self.0.saturating_add(seconds))
    }

    /// `seconds` earlier; stops at the epoch instead of wrapping.
    #[must_use]
    pub const fn minus(self, seconds: u64) -> Self {
        Self(self.0.saturating_sub(seconds))
    }

    /// Seconds from `earlier` to `self`, 0 where `earlier` is later.
    #[must_use]
    pub const fn since(self, earlier: Self) -> u64 {
        self.0.saturating_sub(earlier.0)
    }

    /// The hour this second lies in.
    #[must_use]
    pub const fn hour(self) -> Hour {
        let hour = self.0 / 3600;
        Hour(if hour > u32::MAX as u64 { u32::MAX } else { hour as u32 })
    }
}

/// Hours since the Unix epoch: the buckets in which records expire and are compared. Hostile times beyond the year
/// 491,936 all share the last one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Encode, Decode, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Hour(pub u32);

impl Hour {
    /// The first second of this hour.
    #[must_use]
    pub const fn start(self) -> Timestamp {
        Timestamp(self.0 as u64 * 3600)
    }
}
