//! Axes: from values to places on paper, and where the ticks go.

/// How values are spread along an axis.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scale {
    /// Evenly.
    Linear,
    /// By their logarithm; values must be above 0.
    Log,
}

/// One axis.
#[derive(Clone, Debug, PartialEq)]
pub struct Axis {
    /// What it shows, with its unit.
    pub label: String,
    /// How.
    pub scale: Scale,
    /// The least value.
    pub min: f64,
    /// The greatest value.
    pub max: f64,
}

/// A tick: its value and what stands there.
pub type Tick = (f64, String);

impl Axis {
    /// A linear axis from `min` to at least `max`, rounded up to a whole tick.
    #[must_use]
    pub fn linear(label: impl Into<String>, min: f64, max: f64) -> Self {
        let max = if max > min { max } else { min + 1.0 };
        let step = step(max - min);
        Self { label: label.into(), scale: Scale::Linear, min, max: min + ((max - min) / step).ceil() * step }
    }

    /// A linear axis exactly from `min` to `max`.
    #[must_use]
    pub fn exact(label: impl Into<String>, min: f64, max: f64) -> Self {
        Self { label: label.into(), scale: Scale::Linear, min, max: if max > min { max } else { min + 1.0 } }
    }

    /// A logarithmic axis over whole powers of ten.
    #[must_use]
    pub fn log(label: impl Into<String>, min: f64, max: f64) -> Self {
        let low = libm::log10(min.max(1e-9)).floor();
        let high = libm::log10(max.max(1e-9)).ceil();
        let high = if high > low { high } else { low + 1.0 };
        Self { label: label.into(), scale: Scale::Log, min: libm::pow(10.0, low), max: libm::pow(10.0, high) }
    }

    /// Where a value lies: 0 at the least, 1 at the greatest.
    #[must_use]
    pub fn place(&self, value: f64) -> f64 {
        match self.scale {
            Scale::Linear => (value - self.min) / (self.max - self.min),
            Scale::Log => {
                let (low, high) = (libm::log10(self.min), libm::log10(self.max));
                (libm::log10(value.max(self.min)) - low) / (high - low)
            }
        }
    }

    /// The ticks.
    #[must_use]
    pub fn ticks(&self) -> Vec<Tick> {
        match self.scale {
            Scale::Linear => {
                let step = step(self.max - self.min);
                let first = (self.min / step).ceil();
                (0..=20)
                    .map(|n| (first + f64::from(n)) * step)
                    .take_while(|value| *value <= self.max + step * 1e-6)
                    .map(|value| (value, decimal(value, step)))
                    .collect()
            }
            Scale::Log => {
                let (low, high) = (libm::log10(self.min).round() as i32, libm::log10(self.max).round() as i32);
                // Over few powers of ten the numbers between them are shown too.
                let between: &[f64] = if high - low <= 2 { &[1.0, 2.0, 5.0] } else { &[1.0] };
                let every = ((high - low) / 8 + 1).max(1) as usize;
                (low..=high)
                    .step_by(every)
                    .flat_map(|power| between.iter().map(move |digit| digit * libm::pow(10.0, f64::from(power))))
                    .filter(|value| *value <= self.max * (1.0 + 1e-9))
                    .map(|value| (value, short(value)))
                    .collect()
            }
        }
    }
}

/// A round step that gives four to nine ticks.
fn step(range: f64) -> f64 {
    let rough = range / 5.0;
    let magnitude = libm::pow(10.0, libm::log10(rough).floor());
    let round = [1.0, 2.0, 2.5, 5.0, 10.0].into_iter().find(|round| rough / magnitude <= *round + 1e-9);
    round.unwrap_or(10.0) * magnitude
}

fn decimal(value: f64, step: f64) -> String {
    let decimals = (0..4).find(|decimals| {
        let scaled = step * 10_f64.powi(*decimals);
        (scaled - scaled.round()).abs() < 1e-6
    });
    let text = format!("{:.*}", decimals.unwrap_or(4) as usize, value);
    if text == "-0" { "0".into() } else { thousands(&text) }
}

/// Separates thousands by a thin space.
fn thousands(text: &str) -> String {
    let (whole, rest) = text.split_once('.').map_or((text, None), |(whole, rest)| (whole, Some(rest)));
    if whole.len() < 5 {
        return text.to_owned();
    }
    let mut grouped = String::new();
    for (place, digit) in whole.chars().enumerate() {
        if place > 0 && (whole.len() - place) % 3 == 0 {
            grouped.push('\u{2009}');
        }
        grouped.push(digit);
    }
    rest.map_or(grouped.clone(), |rest| format!("{grouped}.{rest}"))
}

/// A tick of a logarithmic axis as people write it: in full below a million, then as `2·10⁶`.
fn short(value: f64) -> String {
    if value >= 1e6 {
        let power = (libm::log10(value) + 1e-9).floor();
        let digit = (value / libm::pow(10.0, power)).round();
        let digits = ['⁰', '¹', '²', '³', '⁴', '⁵', '⁶', '⁷', '⁸', '⁹'];
        let raised: String =
            format!("{power:.0}").chars().filter_map(|c| c.to_digit(10)).map(|d| digits[d as usize]).collect();
        return if digit == 1.0 { format!("10{raised}") } else { format!("{digit:.0}·10{raised}") };
    }
    if value >= 1.0 { thousands(&format!("{value:.0}")) } else { format!("{value}") }
}

/// The unit in which a duration is best shown: its name, and how many milliseconds it has.
#[must_use]
pub fn time_unit(duration_ms: f64) -> (&'static str, f64) {
    match duration_ms {
        ms if ms >= 3.0 * 86_400_000.0 => ("days", 86_400_000.0),
        ms if ms >= 3.0 * 3_600_000.0 => ("hours", 3_600_000.0),
        ms if ms >= 3.0 * 60_000.0 => ("minutes", 60_000.0),
        _ => ("seconds", 1000.0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ticks_are_round_and_few() {
        for max in [0.7, 1.0, 3.0, 9.9, 42.0, 600.0, 123_456.0] {
            let axis = Axis::linear("x", 0.0, max);
            let ticks = axis.ticks();
            assert!((4..=11).contains(&ticks.len()), "{max}: {ticks:?}");
            assert!(axis.max >= max && (axis.place(axis.max) - 1.0).abs() < 1e-9);
        }
        let ticks = Axis::log("x", 3.0, 40_000.0).ticks();
        let labels: Vec<_> = ticks.iter().map(|(_, label)| label.as_str()).collect();
        assert_eq!(labels, ["1", "10", "100", "1000", "10\u{2009}000", "100\u{2009}000"]);
        let few: Vec<_> = Axis::log("x", 1e6, 1e7).ticks().into_iter().map(|(_, label)| label).collect();
        assert_eq!(few, ["10⁶", "2·10⁶", "5·10⁶", "10⁷"]);
    }
}
