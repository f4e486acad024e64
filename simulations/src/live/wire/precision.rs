//! How late the relay is: the time between the moment at which a packet was to arrive and the moment at which it was
//! written to its device.
//!
//! It is never early. It is late by what the kernel needs to wake a thread, and, on a machine whose cores are busy, by
//! what others hold them for. What a packet waits *before* the relay reads it (the same wait for a core) cannot be seen
//! from here; the test of the wire measures both together, from socket to socket.

use std::time::Duration;

use hdrhistogram::Histogram;
use serde::{Deserialize, Serialize};

/// Later than this is counted as this.
const LATE_NS_MAX: u64 = 10_000_000_000;

/// Two digits: 1 % of a lateness.
const DIGITS: u8 = 2;

/// How late packets were, microseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Precision {
    /// Packets that were held back, and so can have been late.
    pub packets: u64,
    /// Half were at most this late.
    pub late_us_p50: f64,
    /// 99 of 100.
    pub late_us_p99: f64,
    /// 999 of 1,000.
    pub late_us_p999: f64,
    /// The latest.
    pub late_us_max: f64,
}

/// Collects lateness.
#[derive(Debug, Default)]
pub(super) struct Lateness(Option<Histogram<u64>>);

impl Lateness {
    pub(super) fn record(&mut self, late: Duration) {
        if self.0.is_none() {
            self.0 = Histogram::new_with_bounds(1, LATE_NS_MAX, DIGITS).ok();
        }
        if let Some(histogram) = &mut self.0 {
            histogram.saturating_record(u64::try_from(late.as_nanos()).unwrap_or(LATE_NS_MAX).max(1));
        }
    }

    pub(super) fn precision(&self) -> Precision {
        let Some(histogram) = &self.0 else { return Precision::default() };
        let us = |nanos: u64| nanos as f64 / 1000.0;
        Precision {
            packets: histogram.len(),
            late_us_p50: us(histogram.value_at_quantile(0.5)),
            late_us_p99: us(histogram.value_at_quantile(0.99)),
            late_us_p999: us(histogram.value_at_quantile(0.999)),
            late_us_max: us(histogram.max()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lateness_is_summed_up_in_microseconds() {
        let mut lateness = Lateness::default();
        assert_eq!(lateness.precision(), Precision::default());
        for us in 1..=1000 {
            lateness.record(Duration::from_micros(us));
        }
        let precision = lateness.precision();
        assert_eq!(precision.packets, 1000);
        assert!((precision.late_us_p50 - 500.0).abs() < 10.0, "{precision:?}");
        assert!((precision.late_us_p99 - 990.0).abs() < 20.0, "{precision:?}");
        assert!((precision.late_us_max - 1000.0).abs() < 20.0, "{precision:?}");
    }
}
