//! What a node counts, from its `/metrics` on the Unix socket.

use std::{
    collections::BTreeMap,
    io::{Read as _, Write as _},
    os::unix::net::UnixStream,
    path::Path,
    time::Duration,
};

use super::super::LiveError;

/// Series that say how records got around; libp2p's own are about other things.
const PREFIXES: [&str; 7] = [
    "griot_records_",
    "griot_gossip_",
    "griot_log_",
    "griot_network_",
    "griot_sync",
    "griot_receipts_",
    "griot_queue_",
];

/// The most that is read: a node answers with some tens of kilobytes.
const ANSWER_BYTES_MAX: u64 = 4 << 20;

/// How long a busy node is waited for.
const PATIENCE: Duration = Duration::from_secs(30);

/// Counters by series, summed over nodes.
pub(super) type Counters = BTreeMap<String, u64>;

/// Adds what the node with this data directory has counted so far.
pub(super) fn add(counters: &mut Counters, data_dir: &Path) -> Result<(), LiveError> {
    for (series, value) in parse(&ask(data_dir).map_err(LiveError::io("reading a node's counters"))?) {
        *counters.entry(series).or_default() += value;
    }
    Ok(())
}

/// What was counted between two readings; series that stood still are left out.
pub(super) fn between(before: &Counters, after: Counters) -> Counters {
    let grown = |series: &String, value: u64| value - before.get(series).copied().unwrap_or_default().min(value);
    after
        .into_iter()
        .map(|(series, value)| (grown(&series, value), series))
        .filter(|(value, _)| *value > 0)
        .map(|(value, series)| (series, value))
        .collect()
}

fn ask(data_dir: &Path) -> std::io::Result<String> {
    let mut socket = UnixStream::connect(data_dir.join("api.sock"))?;
    socket.set_read_timeout(Some(PATIENCE))?;
    socket.write_all(b"GET /metrics HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")?;
    let mut answer = String::new();
    socket.take(ANSWER_BYTES_MAX).read_to_string(&mut answer)?;
    Ok(answer)
}

/// Reads `name{labels} value` lines of counters; everything else (headers, comments, chunk sizes) is passed over.
fn parse(text: &str) -> impl Iterator<Item = (String, u64)> {
    text.lines().filter_map(|line| {
        let (series, value) = line.rsplit_once(' ')?;
        let name = series.split('{').next()?;
        let wanted = name.ends_with("_total") && PREFIXES.iter().any(|prefix| name.starts_with(prefix));
        Some((series.to_owned(), value.parse().ok()?)).filter(|_| wanted)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_counters_that_grew_are_kept() {
        let text = "HTTP/1.1 200 OK\r\n\r\n# TYPE x counter\n\
                    griot_records_accepted_total{kind=\"ack\",way=\"gossip\"} 12\ngriot_syncs_done_total 3\n\
                    griot_records 4\ngriot_libp2p_kad_query_total 5\n";
        let after: Counters = parse(text).collect();
        assert_eq!(after.len(), 2);
        let before = Counters::from([("griot_syncs_done_total".to_owned(), 3)]);
        let series = "griot_records_accepted_total{kind=\"ack\",way=\"gossip\"}";
        assert_eq!(between(&before, after), Counters::from([(series.to_owned(), 12)]));
    }
}
