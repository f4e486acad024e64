//! Reading a scenario: from its file or from those built in, with overrides, and with errors that say where and what to do.

use std::{
    fmt, fs,
    io::Read as _,
    path::{Path, PathBuf},
};

use serde::Deserialize as _;

use super::{Scenario, builtin, check::check, limits::FILE_BYTES_MAX};

/// What a command line changes about a scenario.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Overrides {
    /// `--nodes`.
    pub nodes: Option<u32>,
    /// `--full-length`: no compression of time.
    pub full_length: bool,
    /// `--param key=value`, in order: a key's path in the file, and a TOML value (or a bare word).
    pub params: Vec<(String, String)>,
}

impl Overrides {
    /// Whether nothing is changed.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// The arguments that give these overrides on a command line.
    #[must_use]
    pub fn to_args(&self) -> Vec<String> {
        let mut args = Vec::new();
        if let Some(nodes) = self.nodes {
            args.extend(["--nodes".to_owned(), nodes.to_string()]);
        }
        if self.full_length {
            args.push("--full-length".to_owned());
        }
        for (key, value) in &self.params {
            args.extend(["--param".to_owned(), format!("{key}={value}")]);
        }
        args
    }
}

/// A scenario's text and where it is from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Source {
    /// Its path, or its name where it is built in.
    pub origin: String,
    /// What is in it.
    pub text: String,
    /// The folder against which paths in it are read.
    pub folder: Option<PathBuf>,
}

impl Source {
    /// BLAKE3 of the text, lower-case hex.
    #[must_use]
    pub fn hash(&self) -> String {
        blake3::hash(self.text.as_bytes()).to_hex().to_string()
    }
}

/// Why there is no scenario.
#[derive(Debug, thiserror::Error)]
pub enum ScenarioError {
    /// Neither built in nor a file.
    #[error("there is no scenario `{name}`, built in or as a file{suggestion}; `griot-sim list` shows those built in")]
    Unknown {
        /// What was asked for.
        name: String,
        /// What may have been meant.
        suggestion: String,
    },
    /// The file cannot be read.
    #[error("{path}: {source}")]
    Read {
        /// Its path.
        path: String,
        /// Why.
        source: std::io::Error,
    },
    /// The file is not such a file.
    #[error("{origin}: {message}")]
    Syntax {
        /// Where the text is from.
        origin: String,
        /// The parser's words, with line and column.
        message: String,
    },
    /// An override does not fit.
    #[error("--param {param}: {message}")]
    Param {
        /// The override.
        param: String,
        /// Why not.
        message: String,
    },
    /// A value cannot be.
    #[error("{origin}{}: {problem}", Line(*line))]
    Value {
        /// Where the text is from.
        origin: String,
        /// Its line, where it was found.
        line: Option<usize>,
        /// What is wrong, and what to do.
        problem: Problem,
    },
}

struct Line(Option<usize>);

impl fmt::Display for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.map_or(Ok(()), |line| write!(f, ", line {line}"))
    }
}

/// What is wrong with a value, and what to do.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{key}`: {what}")]
pub struct Problem {
    /// The key's path, such as `faults.2.at`.
    pub key: String,
    /// What is wrong, and what to do.
    pub what: String,
}

impl Problem {
    /// A problem with a key.
    #[must_use]
    pub fn new(key: impl Into<String>, what: impl Into<String>) -> Self {
        Self { key: key.into(), what: what.into() }
    }
}

/// Finds a scenario: a path where one is given, else one of those built in.
///
/// # Errors
/// [`ScenarioError::Unknown`] and [`ScenarioError::Read`].
pub fn load(name: &str) -> Result<Source, ScenarioError> {
    if let Some(text) = builtin::text(name) {
        return Ok(Source { origin: name.to_owned(), text: text.to_owned(), folder: None });
    }
    let path = Path::new(name);
    let is_path = name.contains('/') || path.extension().is_some();
    if !is_path && !path.exists() {
        let suggestion = builtin::nearest(name).map_or_else(String::new, |near| format!(" (did you mean `{near}`?)"));
        return Err(ScenarioError::Unknown { name: name.to_owned(), suggestion });
    }
    let text = read_bounded(path).map_err(|source| ScenarioError::Read { path: name.to_owned(), source })?;
    let folder = path.parent().map(Path::to_path_buf);
    Ok(Source { origin: name.to_owned(), text, folder })
}

/// Reads a file of at most [`FILE_BYTES_MAX`].
///
/// # Errors
/// What the system says, or that it is larger.
pub fn read_bounded(path: &Path) -> std::io::Result<String> {
    let mut text = String::new();
    fs::File::open(path)?.take(FILE_BYTES_MAX + 1).read_to_string(&mut text)?;
    if text.len() as u64 > FILE_BYTES_MAX {
        return Err(std::io::Error::other(format!("larger than {} MiB", FILE_BYTES_MAX >> 20)));
    }
    Ok(text)
}

/// Reads a scenario's text, applies the overrides, and checks every value.
///
/// # Errors
/// [`ScenarioError`], with the line where the text is at fault.
pub fn parse(source: &Source, overrides: &Overrides) -> Result<Scenario, ScenarioError> {
    let syntax = |error: toml::de::Error| ScenarioError::Syntax {
        origin: source.origin.clone(),
        message: error.to_string().trim_end().to_owned(),
    };
    // Always read as it stands first: errors in the file then have their line.
    let mut scenario: Scenario = toml::from_str(&source.text).map_err(syntax)?;
    if !overrides.params.is_empty() {
        let mut table: toml::Table = toml::from_str(&source.text).map_err(syntax)?;
        for (key, value) in &overrides.params {
            let param = format!("{key}={value}");
            let wrong = |message: String| ScenarioError::Param { param: param.clone(), message };
            set(&mut table, key, literal(value)).map_err(wrong)?;
            // One by one, so that the error names the one that does not fit.
            scenario =
                Scenario::deserialize(table.clone()).map_err(|error| wrong(error.to_string().trim_end().to_owned()))?;
        }
    }
    scenario.folder.clone_from(&source.folder);
    if let Some(nodes) = overrides.nodes {
        if matches!(scenario.topology, super::TopologySection::File { .. }) {
            let message = "the topology file says how many nodes there are".to_owned();
            return Err(ScenarioError::Param { param: format!("nodes {nodes}"), message });
        }
        scenario.network.nodes = nodes;
    }
    if overrides.full_length {
        scenario.compress = 1;
    }
    check(&scenario).map_err(|problem| ScenarioError::Value {
        origin: source.origin.clone(),
        line: line_of(&source.text, &problem.key),
        problem,
    })?;
    Ok(scenario)
}

/// A value as TOML has it; what is no TOML value is a bare word.
fn literal(text: &str) -> toml::Value {
    let parsed = toml::from_str::<toml::Table>(&format!("value = {text}"));
    parsed
        .ok()
        .filter(|table| table.len() == 1)
        .and_then(|mut table| table.remove("value"))
        .unwrap_or_else(|| toml::Value::String(text.to_owned()))
}

/// Sets a key by its path; numbers in the path are places in lists.
fn set(table: &mut toml::Table, path: &str, value: toml::Value) -> Result<(), String> {
    let mut keys: Vec<&str> = path.split('.').collect();
    let last = keys.pop().filter(|key| !key.is_empty()).ok_or("there is no key before the `=`")?;
    let mut place = table;
    let mut keys = keys.into_iter().peekable();
    while let Some(key) = keys.next() {
        let next = place.entry(key).or_insert_with(|| toml::Value::Table(toml::Table::new()));
        let next = match next {
            toml::Value::Array(list) => {
                let at =
                    keys.next().ok_or_else(|| format!("`{key}` is a list: write `{key}.0.…` for its first entry"))?;
                let at: usize = at.parse().map_err(|_| format!("`{at}` is no place in the list `{key}`"))?;
                let len = list.len();
                list.get_mut(at).ok_or_else(|| format!("`{key}` has {len} entries; there is no {at}"))?
            }
            other => other,
        };
        place = next.as_table_mut().ok_or_else(|| format!("`{key}` has no keys of its own"))?;
    }
    // An integer where the file has a decimal is meant as one.
    let value = match (place.get(last), value) {
        (Some(toml::Value::Float(_)), toml::Value::Integer(number)) => toml::Value::Float(number as f64),
        (_, value) => value,
    };
    place.insert(last.to_owned(), value);
    Ok(())
}

/// The line (from 1) on which a key stands: its table is found by the last header before it. `None` where it is not written.
fn line_of(text: &str, path: &str) -> Option<usize> {
    let wanted: Vec<&str> = path.split('.').collect();
    let mut table: Vec<String> = Vec::new();
    let mut seen: std::collections::BTreeMap<String, usize> = std::collections::BTreeMap::new();
    let mut best: Option<(usize, usize)> = None;
    for (number, line) in text.lines().enumerate() {
        let line = line.trim();
        if let Some(name) = line.strip_prefix("[[").and_then(|rest| rest.split("]]").next()) {
            let place = seen.entry(name.to_owned()).or_insert(0);
            table = name.split('.').map(str::to_owned).chain([place.to_string()]).collect();
            *place += 1;
        } else if let Some(name) = line.strip_prefix('[').and_then(|rest| rest.split(']').next()) {
            table = name.split('.').map(str::to_owned).collect();
        }
        let key = line.split('=').next().map(str::trim).filter(|_| line.contains('=') && !line.starts_with('#'));
        let full: Vec<&str> = table.iter().map(String::as_str).chain(key.filter(|key| !key.starts_with('['))).collect();
        let common = full.iter().zip(&wanted).take_while(|(a, b)| a == b).count();
        if common == full.len() && common > best.map_or(0, |(depth, _)| depth) {
            best = Some((common, number + 1));
        }
    }
    best.map(|(_, line)| line)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn source(text: &str) -> Source {
        Source { origin: "my.toml".into(), text: text.into(), folder: None }
    }

    const SMALL: &str = "name = \"mine\"\nabout = \"a test\"\nduration = \"10m\"\n\n[network]\nnodes = 20\n";

    #[test]
    fn a_small_scenario_has_defaults_for_the_rest() {
        let scenario = parse(&source(SMALL), &Overrides::default()).unwrap();
        assert_eq!(scenario.network.nodes, 20);
        assert_eq!(scenario.workload.contacts, 5.0);
    }

    #[test]
    fn an_unknown_key_is_refused_with_its_line() {
        let error = parse(&source(&format!("{SMALL}nods = 3\n")), &Overrides::default()).unwrap_err().to_string();
        assert!(error.contains("my.toml") && error.contains("line 7") && error.contains("nods"), "{error}");
    }

    #[test]
    fn a_value_of_another_kind_is_refused_with_its_line() {
        let error = parse(&source(&SMALL.replace("\"10m\"", "10")), &Overrides::default()).unwrap_err().to_string();
        assert!(error.contains("line 3") && error.contains("6h 5m"), "{error}");
    }

    #[test]
    fn a_value_out_of_bounds_is_refused_with_its_line_and_a_cure() {
        let error = parse(&source(&SMALL.replace("= 20", "= 50001")), &Overrides::default()).unwrap_err().to_string();
        assert!(error.contains("line 6") && error.contains("network.nodes") && error.contains("50000"), "{error}");
    }

    #[test]
    fn overrides_reach_every_key_and_say_when_they_do_not_fit() {
        let with = |params: &[(&str, &str)]| {
            let params = params.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
            parse(&source(SMALL), &Overrides { params, ..Overrides::default() })
        };
        let scenario = with(&[("network.bits", "4"), ("workload.contacts", "3"), ("topology.kind", "regular")]);
        // `contacts` is a decimal and takes `3`; a topology needs its degree, so the last one is refused by name.
        let error = scenario.unwrap_err().to_string();
        assert!(error.contains("topology.kind=regular") && error.contains("degree"), "{error}");
        let scenario =
            with(&[("network.bits", "4"), ("workload.life", "3d"), ("topology", "{kind='regular', degree=4}")])
                .unwrap();
        assert_eq!(scenario.network.bits, 4);
        assert_eq!(scenario.workload.life.to_string(), "3d");
        let error = with(&[("network.bitz", "4")]).unwrap_err().to_string();
        assert!(error.contains("network.bitz=4") && error.contains("bitz"), "{error}");
    }

    #[test]
    fn an_unknown_scenario_names_the_nearest() {
        let error = load("smok").unwrap_err().to_string();
        assert!(error.contains("did you mean `smoke`"), "{error}");
        assert!(load("/no/such/file.toml").unwrap_err().to_string().contains("/no/such/file.toml"));
    }

    #[test]
    fn lines_of_list_entries_are_found() {
        let text = "a = 1\n[[faults]]\nat = \"1s\"\n[[faults]]\nat = \"2s\"\nnodes = { share = 2 }\n";
        assert_eq!(line_of(text, "faults.1.at"), Some(5));
        assert_eq!(line_of(text, "faults.1.nodes.share"), Some(6));
        assert_eq!(line_of(text, "faults.0.lasts"), Some(2));
        assert_eq!(line_of(text, "network.nodes"), None);
    }
}
