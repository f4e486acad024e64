//! What a node counts, for Prometheus. All names begin with `griot_`.
//!
//! Counters are bumped where things happen ([`Metrics::count`], [`Metrics::synced`]); gauges are read from the store
//! when somebody asks ([`Exposition::render`]), so that an idle node does no work for them.

mod reported;

use std::{
    path::PathBuf,
    sync::{Arc, atomic::AtomicU64},
    time::Duration,
};

use griot_protocol::{Timestamp, api::DiskReport};
use prometheus_client::{
    encoding::EncodeLabelSet,
    metrics::{
        counter::Counter,
        family::Family,
        gauge::Gauge,
        histogram::{Histogram, exponential_buckets},
    },
    registry::{Registry, Unit},
};

pub(crate) use reported::Reported;

use crate::{
    relay::Tally,
    runtime::{Trend, days_left},
    store::Store,
};

/// What every name begins with.
pub const PREFIX: &str = "griot";

/// A kind of record and the way it came.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct AcceptedLabels {
    kind: &'static str,
    way: &'static str,
}

/// Why a record was refused and the way it came.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct RefusedLabels {
    reason: &'static str,
    way: &'static str,
}

/// An HTTP status.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct StatusLabels {
    status: u16,
}

/// Which of the node's bounded queues.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct QueueLabels {
    queue: &'static str,
}

type Count = Gauge<u64, AtomicU64>;

/// The node's counters. Cheap to clone: all clones count together.
#[derive(Clone, Debug)]
pub struct Metrics {
    accepted: Family<AcceptedLabels, Counter>,
    refused: Family<RefusedLabels, Counter>,
    gossip_duplicates: Counter,
    sync_repaired: Counter,
    gossip_missed: Counter,
    syncs_done: Counter,
    syncs_failed: Counter,
    sync_bytes_out: Counter,
    sync_frame_bytes_out: Counter,
    sync_bytes_in: Counter,
    evicted: Counter,
    expired: Counter,
    receipts_issued: Counter,
    queue_overflows: Family<QueueLabels, Counter>,
    api_responses: Family<StatusLabels, Counter>,
    api_streams: Gauge,
    fdatasync_seconds: Histogram,
    batch_entries: Histogram,
    batch_bytes: Counter,
    peers: Count,
    records: Count,
    record_bytes: Count,
    best_effort_bytes: Count,
    mailboxes: Count,
    outbox: Count,
    marks: Count,
    oldest_uncollected: Count,
    disk_free: Count,
    reported: Reported,
}

impl Metrics {
    /// Makes the counters and registers them.
    #[must_use]
    pub fn new(registry: &mut Registry) -> Self {
        let metrics = Self {
            accepted: Family::default(),
            refused: Family::default(),
            gossip_duplicates: Counter::default(),
            sync_repaired: Counter::default(),
            gossip_missed: Counter::default(),
            syncs_done: Counter::default(),
            syncs_failed: Counter::default(),
            sync_bytes_out: Counter::default(),
            sync_frame_bytes_out: Counter::default(),
            sync_bytes_in: Counter::default(),
            evicted: Counter::default(),
            expired: Counter::default(),
            receipts_issued: Counter::default(),
            queue_overflows: Family::default(),
            api_responses: Family::default(),
            api_streams: Gauge::default(),
            // 50 µs (a good NVMe) to 1.6 s (a dying SD card).
            fdatasync_seconds: Histogram::new(exponential_buckets(50e-6, 2.0, 16)),
            // 1 to 1,024, which is the most a commit holds.
            batch_entries: Histogram::new(exponential_buckets(1.0, 2.0, 11)),
            batch_bytes: Counter::default(),
            peers: Count::default(),
            records: Count::default(),
            record_bytes: Count::default(),
            best_effort_bytes: Count::default(),
            mailboxes: Count::default(),
            outbox: Count::default(),
            marks: Count::default(),
            oldest_uncollected: Count::default(),
            disk_free: Count::default(),
            reported: Reported::default(),
        };
        metrics.register_counters(registry.sub_registry_with_prefix(PREFIX));
        metrics.register_gauges(registry.sub_registry_with_prefix(PREFIX));
        metrics
    }

    fn register_counters(&self, registry: &mut Registry) {
        registry.register("records_accepted", "Records made durable, by kind and way", self.accepted.clone());
        registry.register("records_refused", "Records refused, by reason and way", self.refused.clone());
        let counters: [(&str, &str, &Counter); 12] = [
            ("gossip_duplicates", "Gossip messages that were held already", &self.gossip_duplicates),
            (
                "sync_repaired_records",
                "Records that sync, or a neighbour's direct push, brought before gossip did, those from times without a \
                 connection included",
                &self.sync_repaired,
            ),
            (
                "gossip_missed_records",
                "Of griot_sync_repaired_records, those that gossip should have brought: not large, of a shard carried here, and made \
                 in a minute that began while the neighbour that brought them was connected. A lower bound: an ack \
                 counts by the age of what it acks",
                &self.gossip_missed,
            ),
            ("syncs_done", "Syncs that ended well", &self.syncs_done),
            ("syncs_failed", "Syncs that failed", &self.syncs_failed),
            ("sync_sent_bytes", "Bytes sent in syncs", &self.sync_bytes_out),
            (
                "sync_sent_record_bytes",
                "Of griot_sync_sent_bytes, those of records that a neighbour was pushed or asked for",
                &self.sync_frame_bytes_out,
            ),
            ("sync_received_bytes", "Bytes received in syncs", &self.sync_bytes_in),
            ("records_evicted", "Envelopes dropped for want of room", &self.evicted),
            ("records_expired", "Index rows dropped because their time ran out", &self.expired),
            ("receipts_issued", "Custody receipts issued", &self.receipts_issued),
            ("log_written_bytes", "Bytes made durable in the record log", &self.batch_bytes),
        ];
        for (name, help, counter) in counters {
            registry.register(name, help, counter.clone());
        }
        registry.register("queue_overflows", "What a full queue dropped, by queue", self.queue_overflows.clone());
        registry.register("api_responses", "API responses, by status", self.api_responses.clone());
        registry.register_with_unit(
            "fdatasync",
            "Time of one fdatasync of the record log",
            Unit::Seconds,
            self.fdatasync_seconds.clone(),
        );
        registry.register("batch_entries", "Entries made durable by one fdatasync", self.batch_entries.clone());
    }

    fn register_gauges(&self, registry: &mut Registry) {
        registry.register("api_streams", "Open streams", self.api_streams.clone());
        let gauges: [(&str, &str, &Count); 9] = [
            ("peers", "Connected peers", &self.peers),
            ("records", "Records held with a body", &self.records),
            ("record_bytes", "Bytes of records held", &self.record_bytes),
            ("best_effort_bytes", "Bytes held for mailboxes of others", &self.best_effort_bytes),
            ("mailboxes", "Mailboxes registered here", &self.mailboxes),
            ("outbox_records", "Envelopes submitted here and neither acked nor expired", &self.outbox),
            ("marked_records", "Records known by id alone, for want of room", &self.marks),
            ("oldest_uncollected_seconds", "Age of the oldest uncollected envelope", &self.oldest_uncollected),
            ("disk_free_bytes", "Free bytes on the data directory's disk", &self.disk_free),
        ];
        for (name, help, gauge) in gauges {
            registry.register(name, help, gauge.clone());
        }
        self.reported.register(registry);
    }

    /// Counts what the relay tells.
    pub fn count(&self, tally: &Tally) {
        match *tally {
            Tally::Accepted(kind, way) => {
                self.accepted.get_or_create(&AcceptedLabels { kind, way }).inc();
            }
            Tally::Refused(reason, way) => {
                self.refused.get_or_create(&RefusedLabels { reason, way }).inc();
            }
            Tally::GossipDuplicate => {
                self.gossip_duplicates.inc();
            }
            Tally::SyncRepaired => {
                self.sync_repaired.inc();
            }
            Tally::GossipMissed => {
                self.gossip_missed.inc();
            }
            Tally::SyncDone => {
                self.syncs_done.inc();
            }
            Tally::SyncFailed => {
                self.syncs_failed.inc();
            }
            Tally::SyncFrameBytesOut(bytes) => {
                self.sync_frame_bytes_out.inc_by(bytes);
            }
            Tally::SyncBytesOut(bytes) => {
                self.sync_bytes_out.inc_by(bytes);
            }
            Tally::SyncBytesIn(bytes) => {
                self.sync_bytes_in.inc_by(bytes);
            }
            Tally::Evicted => {
                self.evicted.inc();
            }
            Tally::Expired(rows) => {
                self.expired.inc_by(rows);
            }
            Tally::ReceiptIssued => {
                self.receipts_issued.inc();
            }
        }
    }

    /// One fdatasync of the record log.
    pub fn synced(&self, latency: Duration, entries: usize, bytes: u64) {
        self.fdatasync_seconds.observe(latency.as_secs_f64());
        self.batch_entries.observe(entries as f64);
        self.batch_bytes.inc_by(bytes);
    }

    /// Something was dropped because `queue` was full.
    pub fn overflowed(&self, queue: &'static str) {
        self.queue_overflows.get_or_create(&QueueLabels { queue }).inc();
    }

    /// How many peers are connected.
    pub fn set_peers(&self, peers: u64) {
        self.peers.set(peers);
    }

    /// The gauges that a report sets.
    pub(crate) const fn reported(&self) -> &Reported {
        &self.reported
    }

    pub(crate) fn responded(&self, status: u16) {
        self.api_responses.get_or_create(&StatusLabels { status }).inc();
    }

    pub(crate) fn stream_opened(&self) {
        self.api_streams.inc();
    }

    pub(crate) fn stream_closed(&self) {
        self.api_streams.dec();
    }

    fn observe(&self, store: &dyn Store, now: Timestamp) {
        let totals = store.totals();
        self.records.set(totals.records);
        self.record_bytes.set(totals.bytes);
        self.best_effort_bytes.set(totals.best_effort_bytes);
        self.mailboxes.set(totals.mailboxes);
        self.outbox.set(totals.outbox);
        self.marks.set(totals.marks);
        self.oldest_uncollected.set(store.oldest_uncollected().map_or(0, |created_at| now.since(created_at)));
    }
}

/// Everything that `/metrics` shows: the node's own counters, and whatever else was registered (libp2p's).
#[derive(Clone)]
pub struct Exposition {
    registry: Arc<Registry>,
    metrics: Metrics,
    data_dir: PathBuf,
}

impl Exposition {
    /// Shows `registry`, in which `metrics` is registered.
    #[must_use]
    pub fn new(registry: Arc<Registry>, metrics: Metrics, data_dir: PathBuf) -> Self {
        Self { registry, metrics, data_dir }
    }

    /// The node's own counters.
    #[must_use]
    pub fn metrics(&self) -> &Metrics {
        &self.metrics
    }

    /// Adds to a report what the disk has left.
    pub fn look_at_disk(&self, disk: &mut DiskReport) {
        disk.free_bytes = disk_free_bytes(&self.data_dir).ok();
        let trend = disk.growth_bytes_per_day.map_or(Trend::Unknown, Trend::Growing);
        disk.days_left = disk.free_bytes.and_then(|free| days_left(free, disk.reserve_bytes, trend));
    }

    /// The text that Prometheus reads, with gauges as they are at `now`.
    #[must_use]
    pub fn render(&self, store: &dyn Store, now: Timestamp) -> String {
        self.metrics.observe(store, now);
        if let Ok(free) = disk_free_bytes(&self.data_dir) {
            self.metrics.disk_free.set(free);
        }
        let mut text = String::new();
        // Writing to a String fails only where a metric's own encoder does.
        if let Err(error) = prometheus_client::encoding::text::encode(&mut text, &self.registry) {
            tracing::warn!(%error, "a metric could not be written");
        }
        text
    }
}

/// Bytes that an unprivileged process may still write to the disk that holds `path`.
///
/// # Errors
/// The path cannot be asked about.
pub fn disk_free_bytes(path: &std::path::Path) -> std::io::Result<u64> {
    let stat = rustix::fs::statvfs(path)?;
    Ok(stat.f_bavail.saturating_mul(stat.f_frsize))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_counted_is_shown_under_the_prefix() {
        let mut registry = Registry::default();
        let metrics = Metrics::new(&mut registry);
        metrics.count(&Tally::Accepted("envelope", "api"));
        metrics.count(&Tally::Refused("postage", "gossip"));
        metrics.count(&Tally::SyncBytesIn(7));
        metrics.synced(Duration::from_micros(120), 3, 4096);
        metrics.overflowed("gossip");
        metrics.set_peers(2);
        metrics.responded(202);
        let mut text = String::new();
        prometheus_client::encoding::text::encode(&mut text, &registry).unwrap();
        for line in [
            "griot_records_accepted_total{kind=\"envelope\",way=\"api\"} 1",
            "griot_records_refused_total{reason=\"postage\",way=\"gossip\"} 1",
            "griot_sync_received_bytes_total 7",
            "griot_fdatasync_seconds_bucket{le=\"0.0002\"} 1",
            "griot_batch_entries_sum 3",
            "griot_log_written_bytes_total 4096",
            "griot_queue_overflows_total{queue=\"gossip\"} 1",
            "griot_peers 2",
            "griot_api_responses_total{status=\"202\"} 1",
        ] {
            assert!(text.contains(line), "{line} is missing from\n{text}");
        }
        for line in text.lines().filter(|line| !line.starts_with('#')) {
            assert!(line.starts_with("griot_"), "{line}");
        }
    }

    #[test]
    fn the_disk_can_be_asked() {
        assert!(disk_free_bytes(&std::env::temp_dir()).unwrap() > 0);
        assert!(disk_free_bytes(std::path::Path::new("/no/such/place")).is_err());
    }
}
