//! The folder of a run.
//!
//! It is written beside its place and moved there in one step, so a folder that is there is whole: also after Ctrl-C, and
//! also when the machine stops in the middle (then it is not there).

use std::{
    fs::{self, File},
    io::{self, BufReader, BufWriter, Write},
    path::{Path, PathBuf},
};

use serde::{Serialize, de::DeserializeOwned};

use super::{Manifest, Summary, tables};
use crate::plan::{Plan, Recording};

/// `manifest.json`.
pub const MANIFEST: &str = "manifest.json";
/// `summary.json`.
pub const SUMMARY: &str = "summary.json";
/// `plan.json`.
pub const PLAN: &str = "plan.json";
/// `messages.csv`.
pub const MESSAGES: &str = "messages.csv";
/// `nodes.csv`.
pub const NODES: &str = "nodes.csv";
/// `timeline.csv`.
pub const TIMELINE: &str = "timeline.csv";
/// `trace.hash`.
pub const TRACE_HASH: &str = "trace.hash";
/// `arrivals.bin`.
pub const ARRIVALS: &str = "arrivals.bin";
/// The folder of the baseline's tables.
pub const CENTRAL: &str = "central";

/// Why a folder cannot be written or read.
#[derive(Debug, thiserror::Error)]
pub enum OutcomeError {
    /// A file.
    #[error("{path}: {source}")]
    File {
        /// Its path.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// A file is not what it should be.
    #[error("{path}: {source}")]
    Json {
        /// Its path.
        path: PathBuf,
        /// What is wrong.
        source: serde_json::Error,
    },
    /// Something else is where the folder should go.
    #[error("{0} is there and is not the folder of a run; it is left alone: choose another with --out")]
    Occupied(PathBuf),
    /// No run.
    #[error("{0} is not the folder of a run: it has no {MANIFEST}")]
    NoRun(PathBuf),
}

fn at(path: &Path) -> impl FnOnce(io::Error) -> OutcomeError + '_ {
    move |source| OutcomeError::File { path: path.to_path_buf(), source }
}

/// All that came of a run.
#[derive(Clone, Copy, Debug)]
pub struct Outcome<'a> {
    /// What was to happen.
    pub plan: &'a Plan,
    /// What did.
    pub recording: &'a Recording,
    /// The baseline.
    pub central: Option<(&'a Plan, &'a Recording)>,
    /// What the run was.
    pub manifest: &'a Manifest,
    /// What came of it.
    pub summary: &'a Summary,
    /// Whether the plan is kept too.
    pub with_plan: bool,
}

/// A folder that is being written.
#[derive(Debug)]
pub struct RunFolder {
    /// Where it goes.
    place: PathBuf,
    /// Where it is for now.
    partial: PathBuf,
}

impl RunFolder {
    /// Begins a folder. One that is the folder of an earlier run is replaced in the end; anything else there is refused.
    ///
    /// # Errors
    /// [`OutcomeError::Occupied`] and [`OutcomeError::File`].
    pub fn begin(place: &Path) -> Result<Self, OutcomeError> {
        let empty = || fs::read_dir(place).is_ok_and(|mut entries| entries.next().is_none());
        if place.exists() && !place.join(MANIFEST).exists() && !empty() {
            return Err(OutcomeError::Occupied(place.to_path_buf()));
        }
        let name = place.file_name().map_or_else(|| "run".into(), |name| name.to_string_lossy().into_owned());
        let parent = place.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or_else(|| Path::new("."));
        fs::create_dir_all(parent).map_err(at(parent))?;
        let partial = parent.join(format!(".{name}.partial-{}", std::process::id()));
        if partial.exists() {
            fs::remove_dir_all(&partial).map_err(at(&partial))?;
        }
        fs::create_dir(&partial).map_err(at(&partial))?;
        Ok(Self { place: place.to_path_buf(), partial })
    }

    /// A file in it, to be written bit by bit.
    ///
    /// # Errors
    /// [`OutcomeError::File`].
    pub fn create(&self, name: &str) -> Result<BufWriter<File>, OutcomeError> {
        let path = self.partial.join(name);
        if let Some(parent) = path.parent() {
            fs::create_dir_all(parent).map_err(at(parent))?;
        }
        File::create(&path).map(BufWriter::new).map_err(at(&path))
    }

    fn write(
        &self,
        name: &str,
        write: impl FnOnce(&mut BufWriter<File>) -> io::Result<()>,
    ) -> Result<(), OutcomeError> {
        let path = self.partial.join(name);
        let mut file = self.create(name)?;
        let written = write(&mut file).and_then(|()| file.flush()).and_then(|()| file.get_ref().sync_all());
        written.map_err(at(&path))
    }

    fn json(&self, name: &str, value: &impl Serialize, pretty: bool) -> Result<(), OutcomeError> {
        self.write(name, |to| {
            let written = if pretty {
                serde_json::to_writer_pretty(&mut *to, value)
            } else {
                serde_json::to_writer(&mut *to, value)
            };
            written.map_err(io::Error::from)?;
            writeln!(to)
        })
    }

    /// Writes everything and moves the folder to its place.
    ///
    /// # Errors
    /// [`OutcomeError::File`]; then nothing is at its place that was not there before.
    pub fn finish(self, outcome: &Outcome<'_>) -> Result<(), OutcomeError> {
        let Outcome { plan, recording, .. } = *outcome;
        self.tables("", plan, recording)?;
        if let Some((plan, recording)) = outcome.central {
            self.tables(&format!("{CENTRAL}/"), plan, recording)?;
        }
        if outcome.with_plan {
            self.json(PLAN, plan, false)?;
        }
        self.json(SUMMARY, outcome.summary, true)?;
        self.json(MANIFEST, outcome.manifest, true)?;
        let old = self.partial.with_extension("old");
        let replaces = self.place.exists();
        if replaces {
            fs::rename(&self.place, &old).map_err(at(&self.place))?;
        }
        fs::rename(&self.partial, &self.place).map_err(at(&self.place))?;
        if replaces {
            fs::remove_dir_all(&old).map_err(at(&old))?;
        }
        Ok(())
    }

    fn tables(&self, prefix: &str, plan: &Plan, recording: &Recording) -> Result<(), OutcomeError> {
        self.write(&format!("{prefix}{MESSAGES}"), |to| tables::write_messages(plan, recording, to))?;
        self.write(&format!("{prefix}{NODES}"), |to| tables::write_nodes(plan, recording, to))?;
        self.write(&format!("{prefix}{TIMELINE}"), |to| tables::write_timeline(recording, to))?;
        self.write(&format!("{prefix}{TRACE_HASH}"), |to| writeln!(to, "{}", recording.trace_hash))
    }
}

impl Drop for RunFolder {
    fn drop(&mut self) {
        // Not there any more once the folder is at its place; what an error left behind goes. Nothing is lost if this fails.
        let _ = fs::remove_dir_all(&self.partial);
    }
}

/// Reads a JSON file.
///
/// # Errors
/// [`OutcomeError::File`] and [`OutcomeError::Json`].
pub fn read_json<T: DeserializeOwned>(path: &Path) -> Result<T, OutcomeError> {
    let file = File::open(path).map_err(at(path))?;
    serde_json::from_reader(BufReader::new(file))
        .map_err(|source| OutcomeError::Json { path: path.to_path_buf(), source })
}

/// Reads what a run was and what came of it.
///
/// # Errors
/// [`OutcomeError`].
pub fn read_run(folder: &Path) -> Result<(Manifest, Summary), OutcomeError> {
    if !folder.join(MANIFEST).exists() {
        return Err(OutcomeError::NoRun(folder.to_path_buf()));
    }
    Ok((read_json(&folder.join(MANIFEST))?, read_json(&folder.join(SUMMARY))?))
}

/// Opens a table of a run.
///
/// # Errors
/// [`OutcomeError::File`].
pub fn open(folder: &Path, name: &str) -> Result<BufReader<File>, OutcomeError> {
    let path = folder.join(name);
    File::open(&path).map(BufReader::new).map_err(at(&path))
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::outcome::figures::tests::{plan, recording};

    /// Writes the hand-made run to a folder.
    pub(crate) fn write(place: &Path, plan: &Plan, recording: &Recording, central: Option<(&Plan, &Recording)>) {
        let summary = Summary::of(plan, recording, central);
        let manifest = Manifest {
            format: super::super::manifest::FORMAT,
            scenario: plan.scenario.clone(),
            scenario_text: String::new(),
            scenario_hash: String::new(),
            seed: plan.seed,
            parameters: Vec::new(),
            compress: 1,
            regions: Vec::new(),
            plan_hash: crate::scenario::draw::plan_hash(plan).unwrap(),
            version: "0".into(),
            system: "test".into(),
            started_at: 0,
            wall_seconds: 2.0,
            speed: 50.0,
            shared_signature_checks: true,
            interrupted: recording.interrupted,
            replay: "griot-sim run hand-made --seed 1".into(),
            arrivals_left_out: 0,
        };
        let outcome = Outcome { plan, recording, central, manifest: &manifest, summary: &summary, with_plan: true };
        RunFolder::begin(place).unwrap().finish(&outcome).unwrap();
    }

    #[test]
    fn a_folder_is_whole_and_is_replaced_by_the_next_run() {
        let temp = tempfile::tempdir().unwrap();
        let place = temp.path().join("a/run");
        write(&place, &plan(), &recording(), Some((&plan(), &recording())));
        for name in [MANIFEST, SUMMARY, PLAN, MESSAGES, NODES, TIMELINE, TRACE_HASH, "central/messages.csv"] {
            assert!(place.join(name).exists(), "{name}");
        }
        let (manifest, summary) = read_run(&place).unwrap();
        assert_eq!((manifest.scenario.as_str(), summary.figures.offered), ("hand-made", 5));
        assert_eq!(read_json::<Plan>(&place.join(PLAN)).unwrap(), plan());
        write(&place, &plan(), &recording(), None);
        assert!(!place.join(CENTRAL).exists(), "nothing of the earlier run is left");
        assert_eq!(fs::read_dir(temp.path().join("a")).unwrap().count(), 1, "nothing else is left either");
    }

    #[test]
    fn what_is_no_run_is_left_alone() {
        let temp = tempfile::tempdir().unwrap();
        fs::write(temp.path().join("thesis.tex"), "x").unwrap();
        assert!(matches!(RunFolder::begin(temp.path()), Err(OutcomeError::Occupied(_))));
        assert!(matches!(read_run(temp.path()), Err(OutcomeError::NoRun(_))));
        let unfinished = temp.path().join("run");
        drop(RunFolder::begin(&unfinished).unwrap());
        assert_eq!(fs::read_dir(temp.path()).unwrap().count(), 1);
    }
}
