//! Durations as people write them: `"90s"`, `"6h 5m"`, `"30d"`, `"250ms"`.

use std::fmt;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// A duration, in whole milliseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Span(pub u64);

/// What a unit is worth, longest first (for printing).
const UNITS: [(&str, u64); 5] = [("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1000), ("ms", 1)];

/// The longest duration that a scenario may name: ten years. Nothing here lasts longer, and sums of a few never overflow.
pub const SPAN_MS_MAX: u64 = 3650 * 86_400_000;

impl Span {
    /// So many milliseconds.
    #[must_use]
    pub const fn ms(self) -> u64 {
        self.0
    }

    /// Reads a duration: whole numbers, each with its unit, added up.
    ///
    /// # Errors
    /// A sentence that says what a duration looks like.
    pub fn parse(text: &str) -> Result<Self, String> {
        let wrong = || {
            format!(
                "`{text}` is not a duration; write whole numbers with d, h, m, s or ms, such as \"6h 5m\" or \"90s\""
            )
        };
        let mut rest = text.trim();
        let mut total: u64 = 0;
        if rest.is_empty() {
            return Err(wrong());
        }
        while !rest.is_empty() {
            let digits = rest.find(|c: char| !c.is_ascii_digit()).ok_or_else(wrong)?;
            let number: u64 = rest[..digits].parse().map_err(|_| wrong())?;
            let tail = rest[digits..].trim_start();
            let unit_len = tail.find(|c: char| !c.is_ascii_alphabetic()).unwrap_or(tail.len());
            let (unit, after) = tail.split_at(unit_len);
            let worth = UNITS.iter().find(|(name, _)| *name == unit).ok_or_else(wrong)?.1;
            total = number.checked_mul(worth).and_then(|ms| total.checked_add(ms)).ok_or_else(wrong)?;
            rest = after.trim_start();
        }
        if total > SPAN_MS_MAX {
            return Err(format!("`{text}` is longer than ten years"));
        }
        Ok(Self(total))
    }
}

impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut left = self.0;
        if left == 0 {
            return f.write_str("0s");
        }
        let mut first = true;
        for (unit, worth) in UNITS {
            let count = left / worth;
            if count > 0 {
                write!(f, "{}{count}{unit}", if first { "" } else { " " })?;
                first = false;
            }
            left %= worth;
        }
        Ok(())
    }
}

impl Serialize for Span {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Span {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor;
        impl de::Visitor<'_> for Visitor {
            type Value = Span;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a duration in quotes, such as \"6h 5m\", \"90s\" or \"250ms\"")
            }
            fn visit_str<E: de::Error>(self, text: &str) -> Result<Span, E> {
                Span::parse(text).map_err(E::custom)
            }
        }
        deserializer.deserialize_str(Visitor)
    }
}

/// Reads a moment such as `2021-10-04T15:39:00Z` (UTC only) as Unix seconds.
///
/// # Errors
/// A sentence that says what a moment looks like.
pub fn parse_moment(text: &str) -> Result<u64, String> {
    let wrong = || format!("`{text}` is not a moment in UTC; write it as 2021-10-04T15:39:00Z");
    let bytes = text.as_bytes();
    if bytes.len() != 20 || !text.is_ascii() {
        return Err(wrong());
    }
    for (place, mark) in [(4, b'-'), (7, b'-'), (10, b'T'), (13, b':'), (16, b':'), (19, b'Z')] {
        if bytes[place] != mark {
            return Err(wrong());
        }
    }
    let number = |from: usize, to: usize| text[from..to].parse::<u64>().map_err(|_| wrong());
    let (year, month, day) = (number(0, 4)?, number(5, 7)?, number(8, 10)?);
    let (hour, minute, second) = (number(11, 13)?, number(14, 16)?, number(17, 19)?);
    let fits = (1970..=2100).contains(&year) && (1..=12).contains(&month) && (1..=31).contains(&day);
    if !fits || hour > 23 || minute > 59 || second > 59 {
        return Err(wrong());
    }
    // Days since 1970-03-01 by the civil calendar: years that begin in March put the leap day last.
    let (y, m) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    let days_before_year = |y: u64| 365 * y + y / 4 - y / 100 + y / 400;
    let days = days_before_year(y) + (153 * m + 2) / 5 + day - 1;
    let epoch_days = days_before_year(1969) + (153 * 10 + 2) / 5;
    let days = days.checked_sub(epoch_days).ok_or_else(wrong)?;
    Ok(days * 86_400 + hour * 3600 + minute * 60 + second)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_read_and_printed() {
        for (text, ms) in [("90s", 90_000), ("6h 5m", 21_900_000), ("1d12h", 129_600_000), ("250ms", 250), ("0s", 0)] {
            assert_eq!(Span::parse(text), Ok(Span(ms)), "{text}");
            assert_eq!(Span::parse(&Span(ms).to_string()), Ok(Span(ms)));
        }
        assert_eq!(Span(21_900_000).to_string(), "6h 5m");
    }

    #[test]
    fn what_is_no_duration_is_refused() {
        assert!(Span::parse("3651d").unwrap_err().contains("ten years"));
        for text in ["", "5", "h", "1.5h", "-1s", "5 weeks", "999999999999999999999s", "99999999999999999d"] {
            let error = Span::parse(text).unwrap_err();
            assert!(error.contains("6h 5m"), "{text}: {error}");
        }
    }

    #[test]
    fn moments_are_unix_seconds() {
        // `date -u -d … +%s` says the same.
        assert_eq!(parse_moment("1970-01-01T00:00:00Z"), Ok(0));
        assert_eq!(parse_moment("2021-10-04T15:39:00Z"), Ok(1_633_361_940));
        assert_eq!(parse_moment("2000-02-29T23:59:59Z"), Ok(951_868_799));
        assert_eq!(parse_moment("2024-03-14T05:00:00Z"), Ok(1_710_392_400));
        for text in [
            "2021-10-04",
            "2021-13-04T15:39:00Z",
            "2021-10-04T15:39:00+",
            "1969-10-04T15:39:00Z",
            "äöü1-10-04T15:39:00",
        ] {
            assert!(parse_moment(text).is_err(), "{text}");
        }
    }
}
