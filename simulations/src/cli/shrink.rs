//! `griot-sim shrink`.
//!
//! Each smaller plan is run in a process of its own: what is looked for may be a crash, and a crash must not end the search.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
    process::{Command, ExitCode, Stdio},
};

use clap::Args;

use super::USAGE;
use crate::{
    outcome::files,
    plan::Plan,
    scenario::plan_file::read_plan,
    shrink::{Shrunk, shrink as search},
};

/// What to shrink.
#[derive(Debug, Args)]
pub struct ShrinkArgs {
    /// A plan that fails (`….json`), or the folder of a run that failed.
    plan: PathBuf,
    /// Where the smallest plan goes. Default: `shrunk.json` beside the plan.
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    /// Runs at most.
    #[arg(long, default_value_t = 500)]
    tries: u64,
}

/// How a run fails: which invariants it breaks, or that the process dies.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Way {
    Broken(BTreeSet<String>),
    Died,
}

impl Way {
    /// Whether a smaller run fails in this way too: it breaks one of the same invariants, or dies where this one died.
    fn is_seen_in(&self, other: Option<&Self>) -> bool {
        match (self, other) {
            (Self::Broken(wanted), Some(Self::Broken(seen))) => wanted.intersection(seen).next().is_some(),
            (Self::Died, Some(Self::Died)) => true,
            _ => false,
        }
    }
}

/// Shrinks.
pub fn shrink(args: &ShrinkArgs) -> ExitCode {
    let path = if args.plan.is_dir() { args.plan.join(files::PLAN) } else { args.plan.clone() };
    let plan = match read_plan(&path) {
        Ok(plan) => plan,
        Err(error) => {
            eprintln!("griot-sim: {error}");
            return ExitCode::from(USAGE);
        }
    };
    let out = args.out.clone().unwrap_or_else(|| path.with_file_name("shrunk.json"));
    match find(&plan, &out, args.tries) {
        Ok(shrunk) => {
            print!("{}", to_text(&plan, &shrunk, &out));
            ExitCode::SUCCESS
        }
        Err(error) => super::fail(&error),
    }
}

fn find(plan: &Plan, out: &Path, tries: u64) -> Result<Shrunk, Box<dyn std::error::Error>> {
    let program = std::env::current_exe()?;
    let temp = tempfile::tempdir()?;
    let wanted = try_plan(&program, temp.path(), plan)?.ok_or("this plan does not fail: there is nothing to shrink")?;
    eprintln!("griot-sim: it fails ({}); looking for less that does", name(&wanted));
    let mut tried = 0_u64;
    let shrunk = search(plan, tries, &mut |smaller| {
        tried += 1;
        // A try that cannot be made (a full disk) counts as one that does not fail: the search goes on with what it has.
        let fails = wanted.is_seen_in(try_plan(&program, temp.path(), smaller).ok().flatten().as_ref());
        if fails {
            eprintln!("{tried}: {} still fails", size(smaller));
            // Kept at once: whoever stops the search has the smallest so far.
            let _ = fs::write(out, serde_json::to_vec(smaller).unwrap_or_default());
        }
        fails
    });
    fs::write(out, serde_json::to_vec(&shrunk.plan)?)?;
    Ok(shrunk)
}

/// Runs a plan; says how it failed.
fn try_plan(program: &Path, temp: &Path, plan: &Plan) -> Result<Option<Way>, Box<dyn std::error::Error>> {
    let (file, folder) = (temp.join("plan.json"), temp.join("run"));
    fs::write(&file, serde_json::to_vec(plan)?)?;
    if folder.exists() {
        fs::remove_dir_all(&folder)?;
    }
    let output = Command::new(program)
        .args(["run", "--quiet", "--no-arrivals", "--no-plan", "--out"])
        .arg(&folder)
        .arg(&file)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .output()?;
    let Ok((_, summary)) = files::read_run(&folder) else {
        // Without a folder: the usage is ours, so this is not it; the world failed or the process died.
        return match output.status.code() {
            Some(1 | 2) => Err(String::from_utf8_lossy(&output.stderr).trim().to_owned().into()),
            _ => Ok(Some(Way::Died)),
        };
    };
    let broken: BTreeSet<String> = summary.broken().map(|invariant| invariant.name.clone()).collect();
    Ok((!broken.is_empty()).then_some(Way::Broken(broken)))
}

fn name(way: &Way) -> String {
    match way {
        Way::Broken(names) => names.iter().cloned().collect::<Vec<_>>().join(", "),
        Way::Died => "the process dies".to_owned(),
    }
}

fn size(plan: &Plan) -> String {
    format!(
        "{} nodes, {} links, {} people, {} messages, {} events, {} s",
        plan.nodes.len(),
        plan.links.len(),
        plan.people.len(),
        plan.messages.len(),
        plan.events.len(),
        plan.duration_ms / 1000
    )
}

/// What was found, with everything that happens in it where that is little enough to read.
fn to_text(before: &Plan, shrunk: &Shrunk, out: &Path) -> String {
    const READABLE: usize = 40;
    let plan = &shrunk.plan;
    let end = if shrunk.complete { "nothing more can be taken away" } else { "more may be possible with more --tries" };
    let mut text = format!("from {}\nto   {}\nafter {} runs; {end}\n", size(before), size(plan), shrunk.tries);
    if plan.events.len() + plan.messages.len() <= READABLE {
        let mut happens: Vec<(u64, String)> =
            plan.events.iter().map(|(at, event)| (at.0, format!("{event:?}"))).collect();
        happens.extend(plan.messages.iter().enumerate().map(|(number, message)| {
            let what = format!("message {number}: person {} writes to mailbox {}", message.author.0, message.mailbox.0);
            (message.at.0, what)
        }));
        happens.sort();
        for (at, what) in happens {
            text += &format!("{at:>12} ms  {what}\n");
        }
    }
    text + &format!("\n{}\n", super::shell(&["run".to_owned(), out.display().to_string()]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_is_seen_again_where_it_is_the_same() {
        let broken = |names: &[&str]| Way::Broken(names.iter().map(|name| (*name).to_owned()).collect());
        assert!(broken(&["a", "b"]).is_seen_in(Some(&broken(&["b", "c"]))));
        assert!(!broken(&["a"]).is_seen_in(Some(&broken(&["c"]))));
        assert!(!broken(&["a"]).is_seen_in(Some(&Way::Died)) && !broken(&["a"]).is_seen_in(None));
        assert!(Way::Died.is_seen_in(Some(&Way::Died)));
    }
}
