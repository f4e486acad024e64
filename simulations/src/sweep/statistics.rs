//! Means over seeds and how far they can be trusted.

use serde::{Deserialize, Serialize};

/// A mean with its 95 % confidence interval.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Estimate {
    /// Samples.
    pub n: u64,
    /// Their mean.
    pub mean: f64,
    /// Their standard deviation (with n − 1); 0 for one sample.
    pub sd: f64,
    /// Half the width of the 95 % confidence interval of the mean (Student's t); 0 for one sample, where nothing is known.
    pub ci95: f64,
}

impl Estimate {
    /// Of these samples; `None` where there is none.
    #[must_use]
    pub fn of(samples: &[f64]) -> Option<Self> {
        let n = samples.len();
        if n == 0 {
            return None;
        }
        let mean = samples.iter().sum::<f64>() / n as f64;
        if n == 1 {
            return Some(Self { n: 1, mean, sd: 0.0, ci95: 0.0 });
        }
        let variance = samples.iter().map(|sample| (sample - mean) * (sample - mean)).sum::<f64>() / (n - 1) as f64;
        let sd = libm::sqrt(variance);
        let ci95 = student_t_975((n - 1) as f64) * sd / libm::sqrt(n as f64);
        Some(Self { n: n as u64, mean, sd, ci95 })
    }
}

/// The 97.5 % quantile of Student's t: half of the width of a 95 % interval in standard errors.
///
/// Between the degrees of freedom of the table the lower one is taken, so that an interval is rather too wide than too narrow.
#[must_use]
pub fn student_t_975(degrees: f64) -> f64 {
    const TABLE: [(f64, f64); 37] = [
        (1.0, 12.706),
        (2.0, 4.303),
        (3.0, 3.182),
        (4.0, 2.776),
        (5.0, 2.571),
        (6.0, 2.447),
        (7.0, 2.365),
        (8.0, 2.306),
        (9.0, 2.262),
        (10.0, 2.228),
        (11.0, 2.201),
        (12.0, 2.179),
        (13.0, 2.160),
        (14.0, 2.145),
        (15.0, 2.131),
        (16.0, 2.120),
        (17.0, 2.110),
        (18.0, 2.101),
        (19.0, 2.093),
        (20.0, 2.086),
        (21.0, 2.080),
        (22.0, 2.074),
        (23.0, 2.069),
        (24.0, 2.064),
        (25.0, 2.060),
        (26.0, 2.056),
        (27.0, 2.052),
        (28.0, 2.048),
        (29.0, 2.045),
        (30.0, 2.042),
        (40.0, 2.021),
        (50.0, 2.009),
        (60.0, 2.000),
        (80.0, 1.990),
        (100.0, 1.984),
        (200.0, 1.972),
        (1000.0, 1.962),
    ];
    TABLE.iter().rev().find(|(row, _)| *row <= degrees).map_or(TABLE[0].1, |(_, t)| *t)
}

/// The difference of two means (second less first) with its 95 % confidence interval by Welch's method; the interval is
/// `None` where either is of one sample.
#[must_use]
pub fn difference(first: &Estimate, second: &Estimate) -> (f64, Option<f64>) {
    let difference = second.mean - first.mean;
    if first.n < 2 || second.n < 2 {
        return (difference, None);
    }
    let (a, b) = (first.sd * first.sd / first.n as f64, second.sd * second.sd / second.n as f64);
    if a + b == 0.0 {
        return (difference, Some(0.0));
    }
    let degrees = (a + b) * (a + b) / (a * a / (first.n - 1) as f64 + b * b / (second.n - 1) as f64);
    (difference, Some(student_t_975(degrees) * libm::sqrt(a + b)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_interval_is_as_the_textbook_has_it() {
        // Mean 5, sd √2.5, n 5: 2.776 × 1.5811 / 2.2361.
        let estimate = Estimate::of(&[3.0, 4.0, 5.0, 6.0, 7.0]).unwrap();
        assert_eq!((estimate.n, estimate.mean), (5, 5.0));
        assert!((estimate.sd - 1.581_139).abs() < 1e-6);
        assert!((estimate.ci95 - 1.962_93).abs() < 1e-4, "{}", estimate.ci95);
        assert_eq!(Estimate::of(&[2.0]).unwrap().ci95, 0.0);
        assert_eq!(Estimate::of(&[]), None);
    }

    #[test]
    fn quantiles_are_never_too_small() {
        assert_eq!(student_t_975(1.0), 12.706);
        assert_eq!(student_t_975(35.0), 2.042);
        assert_eq!(student_t_975(1e9), 1.962);
        assert_eq!(student_t_975(0.5), 12.706);
    }

    #[test]
    fn a_difference_has_its_interval() {
        let a = Estimate::of(&[10.0, 11.0, 12.0, 13.0]).unwrap();
        let b = Estimate::of(&[20.0, 21.0, 22.0, 23.0]).unwrap();
        let (difference, interval) = difference(&a, &b);
        assert_eq!(difference, 10.0);
        // Equal variances: 6 degrees of freedom, 2.447 × √(2 × 1.6667 / 4).
        assert!((interval.unwrap() - 2.447 * (2.0 * 1.666_667_f64 / 4.0).sqrt()).abs() < 1e-4);
        assert_eq!(super::difference(&a, &Estimate::of(&[1.0]).unwrap()).1, None);
    }
}
