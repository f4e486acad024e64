//! The runs of a sweep as processes: a few at a time, none twice.

use std::{
    path::Path,
    process::{Command, Stdio},
    sync::{
        Mutex,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
};

use super::Job;
use crate::outcome::files;

/// How far a sweep has come, for whoever watches.
#[derive(Clone, Debug)]
pub struct Progress<'a> {
    /// The run that ended.
    pub job: &'a Job,
    /// How many have ended.
    pub done: usize,
    /// How many there are.
    pub of: usize,
    /// How it ended: nothing where it was there already, its exit code (1: an invariant is broken), or what went wrong.
    pub ended: Result<Option<i32>, String>,
}

/// Whether a run's folder is whole: there, of this seed, and not interrupted.
#[must_use]
pub fn is_whole(job: &Job) -> bool {
    files::read_run(&job.out).is_ok_and(|(manifest, _)| manifest.seed == job.seed && !manifest.interrupted)
}

/// The arguments of `griot-sim` that make one run.
#[must_use]
pub fn command_line(scenario: &str, job: &Job, more: &[String]) -> Vec<String> {
    let mut args = vec!["run".to_owned(), scenario.to_owned(), "--seed".to_owned(), job.seed.to_string()];
    for (key, value) in &job.params {
        if key == "nodes" {
            args.extend(["--nodes".to_owned(), value.clone()]);
        } else {
            args.extend(["--param".to_owned(), format!("{key}={value}")]);
        }
    }
    args.extend(more.iter().cloned());
    args.extend(["--out".to_owned(), job.out.display().to_string()]);
    args
}

/// Makes all runs that are not there, `at_once` at a time, and calls `watch` after each. Stops beginning new ones where
/// `stop` says so; those that run are left to end by themselves (Ctrl-C reaches them too). Returns how many failed.
pub fn run_all(
    program: &Path,
    scenario: &str,
    jobs: &[Job],
    more: &[String],
    at_once: usize,
    stop: &AtomicBool,
    watch: &(dyn Fn(Progress<'_>) + Sync),
) -> usize {
    let next = AtomicUsize::new(0);
    let failed = AtomicUsize::new(0);
    // Held while one reports, so that reports come one after the other and count up.
    let done = Mutex::new(0_usize);
    std::thread::scope(|scope| {
        for _ in 0..at_once.clamp(1, jobs.len().max(1)) {
            scope.spawn(|| {
                while !stop.load(Ordering::Relaxed) {
                    let Some(job) = jobs.get(next.fetch_add(1, Ordering::Relaxed)) else { return };
                    let ended = if is_whole(job) { Ok(None) } else { run_one(program, scenario, job, more).map(Some) };
                    if ended.is_err() {
                        failed.fetch_add(1, Ordering::Relaxed);
                    }
                    if let Ok(mut done) = done.lock() {
                        *done += 1;
                        watch(Progress { job, done: *done, of: jobs.len(), ended });
                    }
                }
            });
        }
    });
    failed.into_inner()
}

/// Makes one run. An exit code of 1 with a folder is a result (an invariant is broken); without one it is a failure.
fn run_one(program: &Path, scenario: &str, job: &Job, more: &[String]) -> Result<i32, String> {
    let output = Command::new(program)
        .args(command_line(scenario, job, more))
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .output()
        .map_err(|error| format!("{}: {error}", program.display()))?;
    match output.status.code() {
        Some(code @ (0 | 1)) if is_whole(job) => Ok(code),
        code => {
            let said = String::from_utf8_lossy(&output.stderr);
            let last = said.lines().rev().find(|line| !line.trim().is_empty()).unwrap_or("it said nothing");
            let how = code.map_or_else(|| "a signal".to_owned(), |code| format!("exit code {code}"));
            Err(format!("ended with {how}: {last}"))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        outcome::{
            figures::tests::{plan, recording},
            files::tests::write,
        },
        sweep::{Seeds, jobs},
    };

    #[test]
    fn a_whole_folder_is_not_made_again() {
        let temp = tempfile::tempdir().unwrap();
        let jobs = jobs(temp.path(), Seeds { from: 1, to: 3 }, &[]).unwrap();
        // The hand-made run has seed 1; the second folder is of another seed, the third was interrupted.
        let mut interrupted = recording();
        interrupted.interrupted = true;
        let mut third = plan();
        third.seed = 3;
        write(&jobs[0].out, &plan(), &recording(), None);
        write(&jobs[1].out, &plan(), &recording(), None);
        write(&jobs[2].out, &third, &interrupted, None);
        assert_eq!(jobs.iter().map(is_whole).collect::<Vec<_>>(), [true, false, false]);
        let ended = Mutex::new(Vec::new());
        let watch = |progress: Progress<'_>| ended.lock().unwrap().push((progress.job.seed, progress.ended));
        let failed = run_all(Path::new("/bin/false"), "x", &jobs, &[], 2, &AtomicBool::new(false), &watch);
        assert_eq!(failed, 2);
        let mut ended = ended.into_inner().unwrap();
        ended.sort_by_key(|(seed, _)| *seed);
        assert_eq!(ended[0], (1, Ok(None)));
        assert!(ended[1].1.as_ref().unwrap_err().contains("exit code 1"));
    }

    #[test]
    fn a_command_line_makes_one_run() {
        let job = Job {
            seed: 7,
            params: vec![("nodes".into(), "40".into()), ("network.bits".into(), "4".into())],
            out: "sweeps/x/seed-7".into(),
        };
        let line = command_line("smoke", &job, &["--full-length".to_owned()]).join(" ");
        assert_eq!(line, "run smoke --seed 7 --nodes 40 --param network.bits=4 --full-length --out sweeps/x/seed-7");
    }
}
