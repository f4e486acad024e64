//! Latencies, from many samples to the two numbers that people compare.

use std::time::Duration;

use hdrhistogram::Histogram;
use serde::Serialize;

/// The longest latency that is told apart from longer ones: a minute.
const LATENCY_US_MAX: u64 = 60_000_000;

/// Median, 99th percentile and maximum, in microseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct Latency {
    /// Half were at most this.
    pub p50_us: f64,
    /// 99 of 100 were at most this.
    pub p99_us: f64,
    /// The slowest.
    pub max_us: f64,
    /// How many samples.
    pub samples: u64,
}

impl Latency {
    /// Summarises samples.
    #[must_use]
    pub fn of(samples: &[Duration]) -> Self {
        let Ok(mut histogram) = Histogram::<u64>::new_with_bounds(1, LATENCY_US_MAX, 3) else {
            return Self::default();
        };
        for sample in samples {
            histogram.saturating_record((sample.as_micros() as u64).max(1));
        }
        Self {
            p50_us: histogram.value_at_quantile(0.5) as f64,
            p99_us: histogram.value_at_quantile(0.99) as f64,
            max_us: histogram.max() as f64,
            samples: histogram.len(),
        }
    }
}

impl std::fmt::Display for Latency {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let [p50, p99, max] = [self.p50_us, self.p99_us, self.max_us].map(|us| us / 1e3);
        write!(f, "p50 {p50:>8.3} ms   p99 {p99:>8.3} ms   slowest {max:>8.3} ms")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_of_the_samples() {
        let samples: Vec<Duration> = (1..=100).map(Duration::from_millis).collect();
        let latency = Latency::of(&samples);
        assert!((latency.p50_us - 50_000.0).abs() < 100.0);
        assert!((latency.p99_us - 99_000.0).abs() < 200.0);
        assert_eq!(latency.samples, 100);
    }
}
