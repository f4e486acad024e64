//! The clock on the wall.
//!
//! While a world runs, `std::time` follows virtual time, because the simulator's binary answers `clock_gettime` itself. How
//! long a run really takes is asked of the kernel past that: `rustix` makes the system call on its own.

use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};

/// A moment on the wall.
#[derive(Clone, Copy, Debug)]
pub struct Wall(Duration);

impl Wall {
    /// Now.
    #[must_use]
    pub fn now() -> Self {
        Self(read(ClockId::Monotonic))
    }

    /// Seconds since then.
    #[must_use]
    pub fn seconds(self) -> f64 {
        read(ClockId::Monotonic).saturating_sub(self.0).as_secs_f64()
    }
}

/// Unix seconds now.
#[must_use]
pub fn unix_seconds() -> u64 {
    read(ClockId::Realtime).as_secs()
}

fn read(clock: ClockId) -> Duration {
    let time = clock_gettime(clock);
    Duration::new(u64::try_from(time.tv_sec).unwrap_or(0), u32::try_from(time.tv_nsec).unwrap_or(0))
}
