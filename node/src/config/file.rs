//! The TOML file. Unknown keys are refused, with the key that was probably meant.

use std::path::Path;

use serde::Deserialize;

use super::{ConfigError, Layer};

/// A configuration file larger than this is something else, and is not read into memory.
const FILE_BYTES_MAX: u64 = 1024 * 1024;

/// How alike two keys must be (0 to 1, Jaro–Winkler) for one to be suggested for the other.
const LIKENESS_MIN: f64 = 0.75;

const TOP: &[&str] = &[
    "data_dir",
    "network",
    "bits",
    "postage_bits",
    "listen",
    "peers",
    "announce",
    "relay_for_others",
    "use_relays",
    "discovery",
    "mdns",
    "allow_peers",
    "block_peers",
    "carry",
    "members",
    "metrics",
    "api",
    "limits",
    "log",
];
const API: &[&str] = &["listen", "cert", "key", "insecure_http", "hosts", "origins", "connections_max"];
const LIMITS: &[&str] = &[
    "best_effort_bytes",
    "disk_reserve_bytes",
    "index_cache_bytes",
    "member_mailboxes",
    "member_bytes",
    "member_records_per_second",
    "peers",
];
const LOG: &[&str] = &["format", "level"];

impl Layer {
    pub(super) fn from_file(path: &Path) -> Result<Self, ConfigError> {
        let read = |source| ConfigError::Read { path: path.to_owned(), source };
        if std::fs::metadata(path).map_err(read)?.len() > FILE_BYTES_MAX {
            return Err(read(std::io::Error::other("it is larger than 1 MiB")));
        }
        let text = std::fs::read_to_string(path).map_err(read)?;
        let layer = Self::from_toml(&text, path)?;
        // Paths in a file mean what they say to whoever reads the file, wherever the node is started from.
        Ok(layer.with_paths_from(path.parent().unwrap_or(Path::new("."))))
    }

    pub(super) fn from_toml(text: &str, path: &Path) -> Result<Self, ConfigError> {
        let wrong = |error: toml::de::Error| ConfigError::File {
            path: path.to_owned(),
            message: error.to_string().trim_end().to_owned(),
        };
        let table = text.parse::<toml::Table>().map_err(wrong)?;
        for (key, value) in &table {
            check_key(path, "", key, TOP)?;
            let inner = match key.as_str() {
                "api" => API,
                "limits" => LIMITS,
                "log" => LOG,
                _ => continue,
            };
            for key_inside in value.as_table().into_iter().flat_map(toml::Table::keys) {
                check_key(path, key, key_inside, inner)?;
            }
        }
        Self::deserialize(toml::Deserializer::parse(text).map_err(wrong)?).map_err(wrong)
    }

    fn with_paths_from(mut self, folder: &Path) -> Self {
        for path in [&mut self.data_dir, &mut self.api.cert, &mut self.api.key].into_iter().flatten() {
            *path = folder.join(&path);
        }
        self
    }
}

fn check_key(path: &Path, table: &str, key: &str, known: &[&str]) -> Result<(), ConfigError> {
    if known.contains(&key) {
        return Ok(());
    }
    let full = |key: &str| if table.is_empty() { key.to_owned() } else { format!("{table}.{key}") };
    let best = known
        .iter()
        .map(|candidate| (strsim::jaro_winkler(candidate, key), *candidate))
        .filter(|(likeness, _)| *likeness >= LIKENESS_MIN)
        .max_by(|a, b| a.0.total_cmp(&b.0));
    let suggestion = match best {
        Some((_, candidate)) => format!("; did you mean `{}`?", full(candidate)),
        None => format!("; known here: {}", known.join(", ")),
    };
    Err(ConfigError::UnknownKey { path: path.to_owned(), key: full(key), suggestion })
}
