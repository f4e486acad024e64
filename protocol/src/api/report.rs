//! `GET /v1/report`: how a node does, for whoever runs it. Which mailboxes are named here is the operator's business alone: it is served on
//! the Unix socket, never to members.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::{id::Address, time::Timestamp};

/// `GET /v1/report`: how a node does, for whoever runs it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(default)]
pub struct NodeReport {
    /// The node's clock.
    #[schema(value_type = u64)]
    pub time: Timestamp,
    /// What was submitted here and waits to be collected.
    pub outbox: OutboxReport,
    /// Mailboxes whose mail lies on fewer homes than it could.
    pub replication: ReplicationReport,
    /// How records came since the start.
    pub arrivals: ArrivalsReport,
    /// What was refused since the start, most often refused first.
    pub refused: Vec<RefusedReport>,
    /// The disk, and how long it will last.
    pub disk: DiskReport,
    /// The clock beside those of the neighbours.
    pub clock: ClockReport,
    /// While the node's lines are full: bytes a second of strangers' mail that each neighbour may bring by gossip.
    pub line_share_bytes: Option<u64>,
    /// Where it should listen.
    pub listening: ListeningReport,
}

/// Envelopes submitted here and neither acked nor expired.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(default)]
pub struct OutboxReport {
    /// How many.
    pub envelopes: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Age of the oldest in seconds, by the time that its author wrote on it; nothing where none waits.
    pub oldest_seconds: Option<u64>,
    /// How many were asked for their reason, the oldest first: all of them, unless very many wait.
    pub examined: u64,
    /// What the examined ones wait for, the most frequent reason first.
    pub waiting: Vec<WaitingReport>,
}

/// Envelopes of the outbox that wait for the same reason.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(default)]
pub struct WaitingReport {
    /// The reason's name, which is stable: `collecting` (a home of its mailbox has vouched for it, and its reader has not
    /// come for it), `mailbox-full`, `signing`, `grant-over`, `alone`, `no-carrier`, `not-taken`, `handed`, `no-receipt`.
    pub reason: String,
    /// The same for a person.
    pub detail: String,
    /// How many envelopes.
    pub envelopes: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Age of the oldest of them in seconds.
    pub oldest_seconds: u64,
}

/// Mailboxes whose mail lies on fewer homes than it could, as far as this node can know.
///
/// Nobody tells a node how many homes a mailbox has. It knows those whose custody receipts for mail that still waits it
/// holds, and whose grants still run; and itself, where the mailbox is registered here. Mail that some of them have not
/// vouched for ten minutes after it was written is under-replicated; so is mail that nobody has vouched for. A home that
/// its owner left behind counts for as long as mail waits that it had vouched for.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(default)]
pub struct ReplicationReport {
    /// Envelopes looked at: the oldest of the outbox, and the oldest in mailboxes registered here.
    pub examined: u64,
    /// Mailboxes that they belong to.
    pub mailboxes: u64,
    /// Of these, mailboxes with under-replicated mail.
    pub under_replicated: u64,
    /// The ones that wait longest.
    pub worst: Vec<MailboxReport>,
}

/// A mailbox with under-replicated mail.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct MailboxReport {
    /// The mailbox.
    #[schema(value_type = String)]
    pub address: Address,
    /// Whether it is registered here.
    #[serde(default)]
    pub registered: bool,
    /// Envelopes that fewer homes vouch for than are known.
    #[serde(default)]
    pub envelopes: u64,
    /// Homes that vouch for the one with the fewest.
    #[serde(default)]
    pub stored_on: u64,
    /// Homes known, this node included where it is one; 0 where none is.
    #[serde(default)]
    pub homes_known: u64,
    /// Age of the oldest in seconds.
    #[serde(default)]
    pub oldest_seconds: u64,
}

/// How records came since the start.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(default)]
pub struct ArrivalsReport {
    /// Records that gossip brought first.
    pub by_gossip: u64,
    /// Large records that were fetched from a neighbour which had offered them.
    pub by_offer: u64,
    /// Records that sync brought first, those from times without a connection included.
    pub by_sync: u64,
    /// Of these, records that gossip should have brought: written while the neighbour that brought them was connected.
    pub missed_by_gossip: u64,
}

/// Records refused for one reason on one way.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(default)]
pub struct RefusedReport {
    /// The reason, as in `griot_records_refused_total`.
    pub reason: String,
    /// The way: `api`, `import`, `gossip`, `sync`, `told`.
    pub way: String,
    /// How many.
    pub records: u64,
}

/// Where the disk is heading.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum DiskTrend {
    /// The log does not grow: as much goes as comes.
    Steady,
    /// The log grows.
    Growing,
    /// Not known yet: the node has not run for long enough. Also whatever a newer node says.
    #[default]
    #[serde(other)]
    Unknown,
}

/// The disk, and how long it will last.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(default)]
pub struct DiskReport {
    /// Free bytes, where the file system tells.
    pub free_bytes: Option<u64>,
    /// Bytes kept free: below, no new records are taken.
    pub reserve_bytes: u64,
    /// Whether new records are refused because the disk is full. Acks are taken as long as they find a place.
    pub full: bool,
    /// Bytes of the record log in use.
    pub log_bytes: u64,
    /// Where it is heading.
    pub trend: DiskTrend,
    /// Seconds over which the log's growth has been watched.
    pub watched_seconds: u64,
    /// By how much the log grows a day, where it does.
    pub growth_bytes_per_day: Option<u64>,
    /// Days until only the reserve is left, where the log grows and goes on as it does. What else fills the disk is not in it.
    pub days_left: Option<u64>,
}

/// A node's clock beside those of its neighbours.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(default)]
pub struct ClockReport {
    /// Neighbours whose clocks are known.
    pub peers: u64,
    /// The median of their clocks minus this machine's, in seconds, where at least one is known.
    pub behind_seconds: Option<i64>,
    /// Whether records are judged by the neighbours' clocks, because this machine's is too far off.
    pub overruled: bool,
    /// Whether records may be deleted as expired: not while the time itself is in doubt.
    pub settled: bool,
}

/// Where a node should listen, as it was configured.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(default)]
pub struct ListeningReport {
    /// Multiaddrs for other nodes.
    pub peers: Vec<String>,
    /// The API over TCP: address and port as bound.
    pub api: String,
    /// Whether it speaks TLS.
    pub api_tls: bool,
    /// The metrics listener as bound, where there is one.
    pub metrics: Option<String>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reports_of_older_and_newer_nodes_are_read() {
        let report: NodeReport = serde_json::from_str("{}").unwrap();
        assert_eq!(report, NodeReport::default());
        let newer = r#"{"outbox": {"envelopes": 3, "moon": 1}, "disk": {"trend": "melting", "free_bytes": 7}}"#;
        let report: NodeReport = serde_json::from_str(newer).unwrap();
        assert_eq!((report.outbox.envelopes, report.disk.free_bytes), (3, Some(7)));
        assert_eq!(report.disk.trend, DiskTrend::Unknown);
        assert_eq!(serde_json::to_value(DiskTrend::Growing).unwrap(), "growing");
    }
}
