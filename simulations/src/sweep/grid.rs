//! Which runs a sweep is made of: every seed with every combination of settings.

use std::path::{Path, PathBuf};

/// Runs of one sweep: more would not fit a folder that people can look into.
const JOBS_MAX: u64 = 100_000;

/// Seeds from one to another, both included.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Seeds {
    /// The first.
    pub from: u64,
    /// The last.
    pub to: u64,
}

/// A key and the values it takes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Setting {
    /// The key's path in the scenario, or `nodes`.
    pub key: String,
    /// Its values.
    pub values: Vec<String>,
}

/// Why a sweep cannot be read from the command line.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SweepSyntax {
    /// The seeds.
    #[error("`{0}` are no seeds; write `1..20` for 1 to 20, or one number")]
    Seeds(String),
    /// A setting.
    #[error("`{0}` is no setting; write `key=value,value,…`, such as `network.bits=0,4`")]
    Setting(String),
    /// Too many.
    #[error("{0} runs; at most {JOBS_MAX}")]
    TooMany(u64),
}

impl std::str::FromStr for Seeds {
    type Err = SweepSyntax;

    fn from_str(text: &str) -> Result<Self, SweepSyntax> {
        let wrong = || SweepSyntax::Seeds(text.to_owned());
        let number = |text: &str| text.trim().parse::<u64>().map_err(|_| wrong());
        let (from, to) = text.split_once("..").map_or((text, text), |(from, to)| (from, to.trim_start_matches('=')));
        let seeds = Self { from: number(from)?, to: number(to)? };
        if seeds.from <= seeds.to { Ok(seeds) } else { Err(wrong()) }
    }
}

impl std::str::FromStr for Setting {
    type Err = SweepSyntax;

    fn from_str(text: &str) -> Result<Self, SweepSyntax> {
        let wrong = || SweepSyntax::Setting(text.to_owned());
        let (key, values) = text.split_once('=').ok_or_else(wrong)?;
        // Commas inside brackets belong to the value.
        let mut depth = 0_i32;
        let mut parts = vec![String::new()];
        for c in values.chars() {
            depth += i32::from(matches!(c, '[' | '{')) - i32::from(matches!(c, ']' | '}'));
            match parts.last_mut() {
                Some(part) if c != ',' || depth > 0 => part.push(c),
                _ => parts.push(String::new()),
            }
        }
        let values: Vec<String> = parts.into_iter().map(|part| part.trim().to_owned()).collect();
        if key.trim().is_empty() || values.iter().any(String::is_empty) {
            return Err(wrong());
        }
        Ok(Self { key: key.trim().to_owned(), values })
    }
}

/// One run of a sweep.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Job {
    /// Its seed.
    pub seed: u64,
    /// Its settings.
    pub params: Vec<(String, String)>,
    /// Its folder.
    pub out: PathBuf,
}

/// All runs of a sweep into a folder: settings outside, seeds inside.
///
/// # Errors
/// [`SweepSyntax::TooMany`].
pub fn jobs(out: &Path, seeds: Seeds, settings: &[Setting]) -> Result<Vec<Job>, SweepSyntax> {
    let mut combinations: Vec<Vec<(String, String)>> = vec![Vec::new()];
    let mut count = (seeds.to - seeds.from).saturating_add(1);
    for setting in settings {
        count = count.saturating_mul(setting.values.len() as u64);
        if count > JOBS_MAX {
            return Err(SweepSyntax::TooMany(count));
        }
        combinations = combinations
            .into_iter()
            .flat_map(|before| {
                setting.values.iter().map(move |value| {
                    let mut with = before.clone();
                    with.push((setting.key.clone(), value.clone()));
                    with
                })
            })
            .collect();
    }
    if count > JOBS_MAX {
        return Err(SweepSyntax::TooMany(count));
    }
    Ok(combinations
        .into_iter()
        .flat_map(|params| {
            (seeds.from..=seeds.to).map(move |seed| {
                let folder = out.join(folder_name(&params)).join(format!("seed-{seed}"));
                Job { seed, params: params.clone(), out: folder }
            })
        })
        .collect())
}

/// The folder of a combination of settings: readable where it can be, always safe as a file name.
fn folder_name(params: &[(String, String)]) -> String {
    if params.is_empty() {
        return "plain".to_owned();
    }
    let plain = params.iter().map(|(key, value)| format!("{key}={value}")).collect::<Vec<_>>().join("+");
    let safe: String =
        plain.chars().map(|c| if c.is_ascii_alphanumeric() || "=+.-_".contains(c) { c } else { '_' }).collect();
    if safe == plain && safe.len() <= 100 {
        return safe;
    }
    // What had to be changed could now be the same for two combinations: a few digits of a hash keep them apart.
    let hash = blake3::hash(plain.as_bytes()).to_hex();
    format!("{}-{}", safe.chars().take(80).collect::<String>(), &hash[..8])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seeds_and_settings_are_read() {
        assert_eq!("1..20".parse(), Ok(Seeds { from: 1, to: 20 }));
        assert_eq!("7".parse(), Ok(Seeds { from: 7, to: 7 }));
        for text in ["", "a..b", "5..1", "-1"] {
            assert!(text.parse::<Seeds>().is_err(), "{text}");
        }
        let setting: Setting = "network.bits=0,4, 8".parse().unwrap();
        assert_eq!(setting.values, ["0", "4", "8"]);
        let setting: Setting = "people.homes=[1,0,0],[0,1,0]".parse().unwrap();
        assert_eq!(setting.values, ["[1,0,0]", "[0,1,0]"]);
        for text in ["", "a", "a=", "a=1,,2", "=1"] {
            assert!(text.parse::<Setting>().is_err(), "{text}");
        }
    }

    #[test]
    fn every_seed_meets_every_setting() {
        let settings = ["network.bits=0,4".parse().unwrap(), "nodes=20,40,80".parse().unwrap()];
        let jobs = jobs(Path::new("s"), Seeds { from: 1, to: 2 }, &settings).unwrap();
        assert_eq!(jobs.len(), 12);
        assert_eq!(jobs[0].out, Path::new("s/network.bits=0+nodes=20/seed-1"));
        let mut folders: Vec<_> = jobs.iter().map(|job| &job.out).collect();
        folders.sort();
        folders.dedup();
        assert_eq!(folders.len(), 12);
        assert!(super::jobs(Path::new("s"), Seeds { from: 0, to: u64::MAX }, &[]).is_err());
    }

    #[test]
    fn folders_are_safe_and_different() {
        let name = |value: &str| folder_name(&[("k".to_owned(), value.to_owned())]);
        assert_eq!(name("4"), "k=4");
        assert_ne!(name("a b"), name("a/b"));
        assert!(!name("../../x").contains('/'));
    }
}
