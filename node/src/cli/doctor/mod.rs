//! `griotd doctor`: looks for what may be wrong, and says what to do.
//!
//! | check | looks at | in |
//! |---|---|---|
//! | `version` | this command, the node, its peers, records of other versions | `running.rs` |
//! | `clock` | plausible; beside the neighbours' | `machine.rs`, `running.rs` |
//! | `permissions` | the data directory, the key, the socket | `machine.rs` |
//! | `disk` | free space, how long it lasts, how long a sync takes | `machine.rs`, `running.rs` |
//! | `ports` | free, where no node runs; else bound and answering | `ports.rs` |
//! | `peers` | configured ones connected, and why not; compared with lately | `running.rs` |
//! | `reachability` | whether anybody dialled this node, and at which address they see it | `running.rs` |
//! | `outbox` | mail that nobody vouches for, or fewer homes than known | `running.rs` |
//! | `node` | whether it answers, and what it warns of | `running.rs` |
//!
//! A *problem* is something that is wrong, and makes the command end with 1. A *note* is something that may be meant so.

mod machine;
mod ports;
mod running;

use std::fmt::Display;

use serde::Serialize;

use super::{
    CliError,
    client::Daemon,
    inspect::{line, object, printable},
};
use crate::config::Config;

/// How bad a finding is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
enum Level {
    Ok,
    Note,
    Problem,
}

/// One thing that was looked at.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
struct Finding {
    check: &'static str,
    level: Level,
    text: String,
    /// What to do about it; nothing where all is well.
    #[serde(rename = "do")]
    cure: Option<String>,
}

impl Display for Finding {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self.level {
            Level::Ok => "ok       ",
            Level::Note => "note     ",
            Level::Problem => "PROBLEM  ",
        })?;
        f.write_str(&printable(&self.text))?;
        match &self.cure {
            Some(cure) => write!(f, ": {}", printable(cure)),
            None => Ok(()),
        }
    }
}

/// What was found so far.
#[derive(Debug, Default)]
struct Findings(Vec<Finding>);

impl Findings {
    fn good(&mut self, check: &'static str, text: impl Display) {
        self.0.push(Finding { check, level: Level::Ok, text: text.to_string(), cure: None });
    }

    fn note(&mut self, check: &'static str, text: impl Display, cure: impl Display) {
        self.0.push(Finding { check, level: Level::Note, text: text.to_string(), cure: Some(cure.to_string()) });
    }

    fn problem(&mut self, check: &'static str, text: impl Display, cure: impl Display) {
        self.0.push(Finding { check, level: Level::Problem, text: text.to_string(), cure: Some(cure.to_string()) });
    }

    fn problems(&self) -> usize {
        self.0.iter().filter(|finding| finding.level == Level::Problem).count()
    }
}

/// Examines the machine, the data directory, and the node where one runs.
pub(super) async fn examine(config: &Config, json: bool) -> Result<(), CliError> {
    let mut found = Findings::default();
    found.good("version", format_args!("griotd {}", env!("CARGO_PKG_VERSION")));
    machine::examine(&mut found, config);
    match Daemon::find(&config.data_dir).await {
        Ok(Some(daemon)) => running::examine(&mut found, daemon).await,
        Ok(None) => ports::free(&mut found, config),
        Err(error) => found.problem(
            "permissions",
            format_args!("the node's socket cannot be opened ({error})"),
            "run this as the user who runs the node",
        ),
    }
    for finding in &found.0 {
        if json {
            object(finding)?;
        } else {
            line(finding)?;
        }
    }
    match found.problems() {
        0 => Ok(()),
        count => Err(CliError::failed(format!("{count} problem(s)"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_problems_count_and_each_says_what_to_do() {
        let mut found = Findings::default();
        found.good("disk", "it is fine");
        found.note("peers", "nobody is here", "invite some");
        found.problem("ports", "it is taken\u{1b}", "take another");
        assert_eq!(found.problems(), 1);
        let lines: Vec<String> = found.0.iter().map(ToString::to_string).collect();
        assert_eq!(
            lines,
            [
                "ok       it is fine",
                "note     nobody is here: invite some",
                "PROBLEM  it is taken\u{fffd}: take another"
            ]
        );
        let json = serde_json::to_value(&found.0[2]).unwrap();
        let object = serde_json::json!({"check": "ports", "level": "problem", "text": "it is taken\u{1b}", "do": "take another"});
        assert_eq!(json, object);
    }
}
