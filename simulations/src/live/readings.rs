//! What a real node's `/metrics` say at one moment.

use std::{
    collections::BTreeMap,
    io::{Read as _, Write as _},
    os::unix::net::UnixStream,
    path::Path,
    time::Duration,
};

use super::LiveError;

/// How long a node may be silent while it is asked.
const SILENCE_MAX: Duration = Duration::from_secs(30);

/// More than a node's metrics are: they are a few dozen lines.
const ANSWER_BYTES_MAX: u64 = 4 * 1024 * 1024;

/// A node's counters and gauges, by name and labels as they are written: `griot_records`, `griot_refused_total{reason="expired"}`.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Readings(BTreeMap<String, f64>);

impl Readings {
    /// Asks the node whose API is at this socket.
    pub(super) fn of(socket: &Path) -> Result<Self, LiveError> {
        let io = || LiveError::io(format!("asking for the metrics at {}", socket.display()));
        let mut stream = UnixStream::connect(socket).map_err(io())?;
        stream.set_read_timeout(Some(SILENCE_MAX)).map_err(io())?;
        stream.write_all(b"GET /metrics HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n").map_err(io())?;
        let mut answer = String::new();
        stream.take(ANSWER_BYTES_MAX).read_to_string(&mut answer).map_err(io())?;
        if !answer.starts_with("HTTP/1.1 200") {
            return Err(LiveError::Failed(format!("metrics: {}", answer.lines().next().unwrap_or_default())));
        }
        Ok(Self::parse(&answer))
    }

    fn parse(text: &str) -> Self {
        let line = |line: &str| {
            let (name, value) = line.rsplit_once(' ')?;
            Some((name.to_owned(), value.parse().ok()?))
        };
        Self(text.lines().filter(|text| text.starts_with("griot_")).filter_map(line).collect())
    }

    /// The value of a metric, over all of its labels; 0 where there is none.
    #[must_use]
    pub fn sum(&self, name: &str) -> f64 {
        let named = |key: &str| key.strip_prefix(name).is_some_and(|rest| rest.is_empty() || rest.starts_with('{'));
        self.0.iter().filter(|(key, _)| named(key)).map(|(_, value)| value).sum()
    }

    /// The value of a metric where its labels contain `label`, written as `reason="expired"`.
    #[must_use]
    pub fn labelled(&self, name: &str, label: &str) -> f64 {
        let named =
            |key: &str| key.strip_prefix(name).is_some_and(|rest| rest.starts_with('{') && rest.contains(label));
        self.0.iter().filter(|(key, _)| named(key)).map(|(_, value)| value).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_found_by_name_and_by_label() {
        let text = "# HELP griot_records Records.\ngriot_records 12\ngriot_records_total 1\n\
                    griot_refused_total{reason=\"expired\"} 3\ngriot_refused_total{reason=\"rate\"} 4\nelse 5\ngriot_odd x\n";
        let readings = Readings::parse(text);
        assert_eq!(readings.sum("griot_records"), 12.0);
        assert_eq!(readings.sum("griot_refused_total"), 7.0);
        assert_eq!(readings.labelled("griot_refused_total", "reason=\"rate\""), 4.0);
        assert_eq!(readings.sum("griot_unknown"), 0.0);
    }
}
