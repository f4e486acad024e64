//! Two runs, or two sweeps, side by side.

use std::{collections::BTreeMap, fmt::Write as _, path::Path};

use serde::Serialize;

use super::{Estimate, METRICS, difference, gather};
use crate::outcome::OutcomeError;

/// One figure in both.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Line {
    /// Its name.
    pub metric: String,
    /// Its unit.
    pub unit: String,
    /// In the first.
    pub first: Estimate,
    /// In the second.
    pub second: Estimate,
    /// Second less first.
    pub difference: f64,
    /// Half the width of its 95 % confidence interval (Welch); absent where either is one run.
    pub ci95: Option<f64>,
    /// Whether the interval leaves 0 out: more than chance between seeds. For single runs, whether they differ at all.
    pub differs: bool,
}

/// Compares the runs below two folders; all runs below one are taken together, whatever their settings.
///
/// # Errors
/// [`OutcomeError`], also where a folder holds no run.
pub fn compare(first: &Path, second: &Path) -> Result<Vec<Line>, OutcomeError> {
    let (first, second) = (estimates(first)?, estimates(second)?);
    let mut lines = Vec::new();
    for prefix in ["", "central_"] {
        for metric in &METRICS {
            let name = format!("{prefix}{}", metric.name);
            let (Some(a), Some(b)) = (first.get(&name), second.get(&name)) else { continue };
            let (difference, ci95) = difference(a, b);
            let differs = ci95.map_or(difference != 0.0, |ci95| difference.abs() > ci95);
            lines.push(Line {
                metric: name,
                unit: metric.unit.to_owned(),
                first: *a,
                second: *b,
                difference,
                ci95,
                differs,
            });
        }
    }
    Ok(lines)
}

fn estimates(folder: &Path) -> Result<BTreeMap<String, Estimate>, OutcomeError> {
    let runs = gather(folder)?;
    if runs.is_empty() {
        return Err(OutcomeError::NoRun(folder.to_path_buf()));
    }
    let mut samples: BTreeMap<String, Vec<f64>> = BTreeMap::new();
    for run in &runs {
        for metric in &METRICS {
            let central = run.summary.central.as_ref().and_then(|central| (metric.of)(central));
            for (prefix, value) in [("", (metric.of)(&run.summary.figures)), ("central_", central)] {
                if let Some(value) = value {
                    samples.entry(format!("{prefix}{}", metric.name)).or_default().push(value);
                }
            }
        }
    }
    Ok(samples.into_iter().filter_map(|(name, list)| Estimate::of(&list).map(|of| (name, of))).collect())
}

/// A table for people. `*` marks what differs by more than chance.
#[must_use]
pub fn to_text(lines: &[Line]) -> String {
    let number = |value: f64| {
        let rounded = format!("{value:.4}");
        if rounded.contains('.') { rounded.trim_end_matches('0').trim_end_matches('.').to_owned() } else { rounded }
    };
    let with =
        |of: &Estimate| if of.n > 1 { format!("{} ± {}", number(of.mean), number(of.ci95)) } else { number(of.mean) };
    let mut text =
        format!("{:<41} {:>5} {:>24} {:>24} {:>26}\n", "figure", "unit", "first", "second", "second − first");
    for line in lines {
        let change = line
            .ci95
            .map_or_else(|| number(line.difference), |ci95| format!("{} ± {}", number(line.difference), number(ci95)));
        let mark = if line.differs { "*" } else { " " };
        let (first, second) = (with(&line.first), with(&line.second));
        let _ = writeln!(text, "{:<41} {:>5} {first:>24} {second:>24} {change:>24} {mark}", line.metric, line.unit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::outcome::{
        figures::tests::{plan, recording},
        files::tests::write,
    };

    #[test]
    fn what_differs_is_marked() {
        let temp = tempfile::tempdir().unwrap();
        let (a, b) = (temp.path().join("a"), temp.path().join("b"));
        write(&a, &plan(), &recording(), None);
        let mut worse = recording();
        worse.messages[0].deliveries.clear();
        write(&b, &plan(), &worse, None);
        let lines = compare(&a, &b).unwrap();
        let of = |name: &str| lines.iter().find(|line| line.metric == name).unwrap();
        assert_eq!((of("delivered").difference, of("delivered").differs), (-1.0, true));
        assert!(!of("offered").differs);
        assert!(to_text(&lines).contains("delivered_fraction"));
        assert!(compare(&a, &temp.path().join("c")).is_err());
        std::fs::create_dir(temp.path().join("c")).unwrap();
        assert!(matches!(compare(&a, &temp.path().join("c")), Err(OutcomeError::NoRun(_))));
    }
}
