//! From the folders of a sweep to its tables: `sweep.csv` (a line for each run), `statistics.csv` and `sweep.json` (means
//! with confidence intervals).

use std::{
    collections::BTreeMap,
    fmt::Write as _,
    fs, io,
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize};

use super::{Estimate, METRICS};
use crate::outcome::{
    Figures, Manifest, OutcomeError, Summary,
    files::{self, MANIFEST},
};

/// The file that makes a folder one of a sweep.
pub const SWEEP: &str = "sweep.json";

/// A line for each run.
pub const SWEEP_CSV: &str = "sweep.csv";

/// The columns of `statistics.csv`.
pub const GROUP_COLUMNS: [&str; 8] = ["scenario", "settings", "metric", "unit", "n", "mean", "sd", "ci95"];

/// How deep runs are looked for: settings, seeds, and two levels that copying together may have added.
const DEPTH_MAX: usize = 4;

/// One run.
#[derive(Clone, Debug)]
pub struct Run {
    /// Its folder.
    pub folder: PathBuf,
    /// What it was.
    pub manifest: Manifest,
    /// What came of it.
    pub summary: Summary,
}

/// All runs of one scenario with the same settings.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Group {
    /// The scenario.
    pub scenario: String,
    /// The settings, as arguments; empty for none.
    pub settings: String,
    /// The seeds.
    pub seeds: Vec<u64>,
    /// Runs in which an invariant did not hold.
    pub broken: u64,
    /// The figures, by their names; those of the baseline begin with `central_`.
    pub metrics: BTreeMap<String, Estimate>,
}

/// `sweep.json`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Sweep {
    /// All groups, by scenario and settings.
    pub groups: Vec<Group>,
}

/// Reads all runs below a folder that are whole. Two of the same scenario, settings and seed count once.
///
/// # Errors
/// [`OutcomeError`] where a folder cannot be read.
pub fn gather(folder: &Path) -> Result<Vec<Run>, OutcomeError> {
    let mut found = Vec::new();
    look(folder, 0, &mut found)?;
    let mut runs: BTreeMap<(String, String, u64), Run> = BTreeMap::new();
    for folder in found {
        let (manifest, summary) = files::read_run(&folder)?;
        if manifest.interrupted {
            continue;
        }
        let key = (manifest.scenario.clone(), manifest.parameters.join(" "), manifest.seed);
        runs.entry(key).or_insert(Run { folder, manifest, summary });
    }
    Ok(runs.into_values().collect())
}

fn look(folder: &Path, depth: usize, found: &mut Vec<PathBuf>) -> Result<(), OutcomeError> {
    if folder.join(MANIFEST).exists() {
        found.push(folder.to_path_buf());
        return Ok(());
    }
    if depth >= DEPTH_MAX {
        return Ok(());
    }
    let failed = |source: io::Error| OutcomeError::File { path: folder.to_path_buf(), source };
    let mut below: Vec<PathBuf> = Vec::new();
    for entry in fs::read_dir(folder).map_err(failed)? {
        let path = entry.map_err(failed)?.path();
        let hidden = path.file_name().is_some_and(|name| name.to_string_lossy().starts_with('.'));
        if path.is_dir() && !hidden {
            below.push(path);
        }
    }
    below.sort();
    below.iter().try_for_each(|path| look(path, depth + 1, found))
}

/// All figures of a run by their names.
fn values(summary: &Summary) -> Vec<(String, f64)> {
    let of = |prefix: &str, figures: &Figures| -> Vec<(String, f64)> {
        METRICS
            .iter()
            .filter_map(|metric| (metric.of)(figures).map(|value| (format!("{prefix}{}", metric.name), value)))
            .collect()
    };
    let mut all = of("", &summary.figures);
    all.extend(summary.central.iter().flat_map(|central| of("central_", central)));
    all
}

/// Groups runs and estimates.
#[must_use]
pub fn group(runs: &[Run]) -> Sweep {
    let mut groups: BTreeMap<(String, String), Vec<&Run>> = BTreeMap::new();
    for run in runs {
        groups.entry((run.manifest.scenario.clone(), run.manifest.parameters.join(" "))).or_default().push(run);
    }
    let groups = groups.into_iter().map(|((scenario, settings), runs)| {
        let mut samples: BTreeMap<String, Vec<f64>> = BTreeMap::new();
        for run in &runs {
            for (name, value) in values(&run.summary) {
                samples.entry(name).or_default().push(value);
            }
        }
        Group {
            scenario,
            settings,
            seeds: runs.iter().map(|run| run.manifest.seed).collect(),
            broken: runs.iter().filter(|run| run.summary.broken_invariants > 0).count() as u64,
            metrics: samples.into_iter().filter_map(|(name, list)| Estimate::of(&list).map(|of| (name, of))).collect(),
        }
    });
    Sweep { groups: groups.collect() }
}

/// Writes the tables of a sweep into its folder.
///
/// # Errors
/// [`OutcomeError`].
pub fn write(folder: &Path, runs: &[Run]) -> Result<Sweep, OutcomeError> {
    let sweep = group(runs);
    replace(folder, SWEEP_CSV, &runs_csv(folder, runs))?;
    replace(folder, "statistics.csv", &statistics_csv(&sweep))?;
    let path = folder.join(SWEEP);
    let json = serde_json::to_string_pretty(&sweep).map_err(|source| OutcomeError::Json { path, source })?;
    replace(folder, SWEEP, &(json + "\n"))?;
    Ok(sweep)
}

/// Writes a file beside its place and moves it there.
fn replace(folder: &Path, name: &str, text: &str) -> Result<(), OutcomeError> {
    let (path, partial) = (folder.join(name), folder.join(format!(".{name}.partial")));
    let failed = |source| OutcomeError::File { path: path.clone(), source };
    fs::write(&partial, text).map_err(failed)?;
    fs::rename(&partial, &path).map_err(failed)
}

fn runs_csv(folder: &Path, runs: &[Run]) -> String {
    let names: Vec<String> = ["", "central_"]
        .iter()
        .flat_map(|prefix| METRICS.iter().map(move |metric| format!("{prefix}{}", metric.name)))
        .collect();
    let mut csv = format!("folder,scenario,settings,seed,nodes,people,broken_invariants,{}\n", names.join(","));
    for run in runs {
        let values: BTreeMap<String, f64> = values(&run.summary).into_iter().collect();
        let place = run.folder.strip_prefix(folder).unwrap_or(&run.folder).display();
        let summary = &run.summary;
        let _ = write!(
            csv,
            "{},{},{},{},{},{},{}",
            quoted(&place.to_string()),
            run.manifest.scenario,
            quoted(&run.manifest.parameters.join(" ")),
            run.manifest.seed,
            summary.nodes,
            summary.people,
            summary.broken_invariants
        );
        for name in &names {
            csv.push(',');
            if let Some(value) = values.get(name) {
                let _ = write!(csv, "{value}");
            }
        }
        csv.push('\n');
    }
    csv
}

fn statistics_csv(sweep: &Sweep) -> String {
    let mut csv = GROUP_COLUMNS.join(",") + "\n";
    for group in &sweep.groups {
        for (name, of) in &group.metrics {
            let plain = name.strip_prefix("central_").unwrap_or(name);
            let unit = METRICS.iter().find(|metric| metric.name == plain).map_or("", |metric| metric.unit);
            let settings = quoted(&group.settings);
            let _ =
                writeln!(csv, "{},{settings},{name},{unit},{},{},{},{}", group.scenario, of.n, of.mean, of.sd, of.ci95);
        }
    }
    csv
}

/// A field that may hold commas.
fn quoted(text: &str) -> String {
    if text.contains([',', '"', '\n']) { format!("\"{}\"", text.replace('"', "\"\"")) } else { text.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::outcome::{
        figures::tests::{plan, recording},
        files::tests::write as write_run,
    };

    #[test]
    fn folders_copied_together_are_one_sweep() {
        let temp = tempfile::tempdir().unwrap();
        for (place, seed) in
            [("a/plain/seed-1", 1), ("a/plain/seed-2", 2), ("b/plain/seed-2", 2), ("b/plain/seed-3", 3)]
        {
            let mut plan = plan();
            plan.seed = seed;
            let mut recording = recording();
            if seed == 3 {
                recording.messages[0].deliveries.clear();
            }
            write_run(&temp.path().join(place), &plan, &recording, Some((&plan, &recording)));
        }
        let runs = gather(temp.path()).unwrap();
        assert_eq!(runs.iter().map(|run| run.manifest.seed).collect::<Vec<_>>(), [1, 2, 3], "seed 2 counts once");
        let sweep = write(temp.path(), &runs).unwrap();
        let [group] = &sweep.groups[..] else { panic!() };
        assert_eq!(group.seeds, [1, 2, 3]);
        let delivered = group.metrics["delivered"];
        assert!((delivered.mean - 8.0 / 3.0).abs() < 1e-12 && delivered.n == 3 && delivered.ci95 > 0.0);
        assert!(group.metrics.contains_key("central_delivered"));
        let csv = fs::read_to_string(temp.path().join(SWEEP_CSV)).unwrap();
        assert_eq!(csv.lines().count(), 4);
        let columns = csv.lines().next().unwrap().split(',').count();
        assert!(csv.lines().all(|line| line.split(',').count() == columns));
        assert_eq!(files::read_json::<Sweep>(&temp.path().join(SWEEP)).unwrap(), sweep);
    }
}
