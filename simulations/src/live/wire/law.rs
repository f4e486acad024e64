//! Laws of latency: how long the paths of a network are.
//!
//! A law is drawn from once for each pair of ends and direction, because it describes *paths*, not packets: a path that
//! is long stays long. What changes from packet to packet on one path is jitter, which a [`Link`](super::Link) has.
//!
//! Latencies are whole milliseconds, so that the simulator, which counts in them, can run the very same network.

use std::{fmt, str::FromStr};

use super::{draw, link::LATENCY_US_MAX};
pub use crate::plan::LatencyLaw;

/// The longest latency that a law gives.
pub const LATENCY_MS_MAX: u32 = (LATENCY_US_MAX / 1000) as u32;

impl LatencyLaw {
    /// The latency from end `from` to end `to` in the network of `seed`, whole milliseconds.
    #[must_use]
    pub fn one_way_ms(&self, seed: u64, from: usize, to: usize) -> u32 {
        let mut draw = draw::stream(seed, "latency", [from as u64, to as u64]);
        let ms = match *self {
            Self::Constant { ms } => ms,
            Self::Uniform { min_ms, max_ms } => {
                let span = u64::from(max_ms.saturating_sub(min_ms)) + 1;
                min_ms.saturating_add(draw.below(span) as u32)
            }
            // A float that is too large or no number becomes the nearest integer, or 0.
            Self::LogNormal { median_ms, sigma } => libm::round(median_ms * libm::exp(sigma * draw.normal())) as u32,
        };
        ms.min(LATENCY_MS_MAX)
    }

    /// The latencies between all of `count` ends: row from, column to, 0 on the diagonal.
    #[must_use]
    pub fn matrix(&self, seed: u64, count: usize) -> Vec<Vec<u32>> {
        let one_way = |from, to| if from == to { 0 } else { self.one_way_ms(seed, from, to) };
        (0..count).map(|from| (0..count).map(|to| one_way(from, to)).collect()).collect()
    }
}

impl fmt::Display for LatencyLaw {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Constant { ms } => write!(f, "constant:{ms}"),
            Self::Uniform { min_ms, max_ms } => write!(f, "uniform:{min_ms}:{max_ms}"),
            Self::LogNormal { median_ms, sigma } => write!(f, "log-normal:{median_ms}:{sigma}"),
        }
    }
}

/// What was given for a law is none.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a latency is constant:MS, uniform:MIN:MAX or log-normal:MEDIAN:SIGMA, each at most 60000 ms, sigma at most 4")]
pub struct LawError;

impl FromStr for LatencyLaw {
    type Err = LawError;

    fn from_str(text: &str) -> Result<Self, LawError> {
        let parts: Vec<&str> = text.split(':').collect();
        let ms = |text: &str| text.parse::<u32>().ok().filter(|ms| *ms <= LATENCY_MS_MAX).ok_or(LawError);
        let float =
            |text: &str, max: f64| text.parse::<f64>().ok().filter(|value| (0.0..=max).contains(value)).ok_or(LawError);
        match parts[..] {
            ["constant", value] => Ok(Self::Constant { ms: ms(value)? }),
            ["uniform", min, max] => {
                let (min_ms, max_ms) = (ms(min)?, ms(max)?);
                if min_ms > max_ms { Err(LawError) } else { Ok(Self::Uniform { min_ms, max_ms }) }
            }
            ["log-normal", median, sigma] => {
                Ok(Self::LogNormal { median_ms: float(median, f64::from(LATENCY_MS_MAX))?, sigma: float(sigma, 4.0)? })
            }
            _ => Err(LawError),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_printed_is_read_again() {
        for text in ["constant:50", "uniform:10:80", "log-normal:40:0.5"] {
            assert_eq!(text.parse::<LatencyLaw>().unwrap().to_string(), text);
        }
        let wrong = ["", "constant", "constant:-1", "constant:60001", "uniform:9:8", "log-normal:40:NaN", "pareto:1:2"];
        for text in wrong {
            assert_eq!(text.parse::<LatencyLaw>(), Err(LawError), "{text}");
        }
    }

    #[test]
    fn a_seed_gives_one_network_and_another_seed_another() {
        let law = LatencyLaw::Uniform { min_ms: 10, max_ms: 80 };
        let matrix = law.matrix(3, 8);
        assert_eq!(matrix, law.matrix(3, 8));
        assert_ne!(matrix, law.matrix(4, 8));
        for (from, row) in matrix.iter().enumerate() {
            for (to, ms) in row.iter().enumerate() {
                assert!(if from == to { *ms == 0 } else { (10..=80).contains(ms) });
            }
        }
        // A network that grows keeps the paths it had.
        assert_eq!(law.matrix(3, 9)[7][..8], matrix[7]);
    }

    #[test]
    fn half_of_a_log_normal_law_lies_below_its_median() {
        let law = LatencyLaw::LogNormal { median_ms: 40.0, sigma: 0.5 };
        let below = (0..2000).filter(|to| law.one_way_ms(1, 0, *to) <= 40).count();
        assert!((940..1100).contains(&below), "{below}");
        let wild = LatencyLaw::LogNormal { median_ms: 60_000.0, sigma: 4.0 };
        assert!((0..100).all(|to| wild.one_way_ms(1, 0, to) <= LATENCY_MS_MAX));
    }
}
