//! How much is written when: the hour of the day, and bursts.

use crate::scenario::{Curve, WorkloadSection, clock::Clock};

/// Milliseconds of a day.
pub const DAY_HOURS_MS: u64 = 86_400_000;

/// Writing by the hour of the day, from midnight on, as multiples of the mean. Assumed, after the shape that daily rhythms
/// of calls and messages have in Aledavood et al., "Digital daily cycles of individuals" (Frontiers in Physics 3, 2015) and
/// in the measurement of 1,000 WhatsApp users at onlinestatusmonitor.com (2014): almost nothing between 2 and 5, a rise from
/// 6, a plateau from noon, the most in the evening.
pub const DIURNAL: [f64; 24] = [
    0.60, 0.30, 0.15, 0.10, 0.10, 0.20, 0.45, 0.75, 0.95, 1.05, 1.10, 1.15, 1.25, 1.25, 1.20, 1.20, 1.25, 1.35, 1.50,
    1.65, 1.80, 1.85, 1.65, 1.15,
];

/// A rate over time, as a multiple of the mean.
#[derive(Clone, Debug)]
pub struct Rate {
    hours: Vec<f64>,
    /// From, until, factor; in milliseconds of the run.
    bursts: Vec<(u64, u64, f64)>,
    clock: Clock,
}

impl Rate {
    /// The rate of a workload.
    #[must_use]
    pub fn new(workload: &WorkloadSection, clock: Clock) -> Self {
        let hours = match &workload.curve {
            Curve::Flat => vec![1.0; 24],
            Curve::Diurnal => DIURNAL.to_vec(),
            Curve::Hourly(hours) => hours.clone(),
        };
        let mean = hours.iter().sum::<f64>() / hours.len().max(1) as f64;
        let bursts = workload.bursts.iter().map(|burst| {
            let at = clock.ms(burst.at);
            (at, at + clock.ms(burst.lasts), burst.factor)
        });
        Self { hours: hours.iter().map(|hour| hour / mean).collect(), bursts: bursts.collect(), clock }
    }

    /// The rate at a moment.
    #[must_use]
    pub fn at(&self, at_ms: u64) -> f64 {
        let hour = self.clock.hour(at_ms) as usize % self.hours.len().max(1);
        let burst: f64 = self
            .bursts
            .iter()
            .filter(|(from, until, _)| (*from..*until).contains(&at_ms))
            .map(|(_, _, factor)| factor)
            .product();
        self.hours.get(hour).copied().unwrap_or(1.0) * burst
    }

    /// The highest rate there can be.
    #[must_use]
    pub fn max(&self) -> f64 {
        // Bursts may overlap: all of those that make more count.
        let bursts: f64 = self.bursts.iter().map(|(_, _, factor)| factor.max(1.0)).product();
        self.hours.iter().copied().fold(0.0, f64::max) * bursts
    }

    /// The mean rate between two moments, looked at every 200th part.
    #[must_use]
    pub fn mean(&self, from_ms: u64, until_ms: u64) -> f64 {
        const PARTS: u64 = 200;
        let step = |part: u64| from_ms + (until_ms - from_ms) * part / PARTS;
        (0..PARTS).map(|part| self.at(step(part))).sum::<f64>() / PARTS as f64
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scenario::{BurstSection, Span};

    #[test]
    fn curves_have_the_mean_of_one_and_bursts_multiply() {
        let section = WorkloadSection { curve: Curve::Diurnal, ..WorkloadSection::default() };
        let rate = Rate::new(&section, Clock::new(1, 0));
        assert!((rate.mean(0, DAY_HOURS_MS) - 1.0).abs() < 0.02);
        assert!(rate.at(3 * 3_600_000) < 0.2 && rate.at(21 * 3_600_000) > 1.5);
        let burst = BurstSection { at: Span(1000), lasts: Span(1000), factor: 10.0 };
        let rate = Rate::new(&WorkloadSection { bursts: vec![burst], ..WorkloadSection::default() }, Clock::new(1, 0));
        assert_eq!((rate.at(999), rate.at(1000), rate.at(2000), rate.max()), (1.0, 10.0, 1.0, 10.0));
    }
}
