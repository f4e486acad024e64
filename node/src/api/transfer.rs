//! The whole store as a stream of bytes: bundles (for other nodes), backups (for this one), and checking it all.
//!
//! All three walk the sync sets, hour by hour and shard by shard: they name every record that is held, and nothing else
//! has to be remembered between two steps.

use std::{collections::BTreeMap, io};

use bytes::Bytes;
use griot_protocol::{
    Hour, NetworkName, RecordId, Timestamp, Unverified,
    bundle::{BundleError, BundleHeader, BundleWriter},
};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::backup::{BackupItem, ItemWriter};
use crate::store::{Holding, Store, StoreError, SyncSet};

/// Rows read at a time.
const STEP: usize = 1024;

/// Damaged ids that are named in a summary; beyond them the count says enough.
const NAMED_MAX: usize = 100;

/// What `POST /v1/bundle` did.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ImportSummary {
    /// Records that were new here.
    pub new: u64,
    /// Records that were held already.
    pub known: u64,
    /// Records refused, by reason.
    pub refused: BTreeMap<String, u64>,
    /// Entries of the file that were damaged.
    pub damaged: u64,
    /// Whether the file was read to its end.
    pub complete: bool,
}

/// What `POST /v1/verify` found.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct VerifySummary {
    /// Records checked.
    pub records: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Records that could not be read, or do not prove themselves.
    pub damaged: u64,
    /// The first hundred of them.
    pub damaged_ids: Vec<String>,
}

/// Why an export ended early.
#[derive(Debug, thiserror::Error)]
pub enum TransferError {
    /// The store cannot be read.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The bytes cannot be written.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// A held record does not fit a bundle.
    #[error(transparent)]
    Bundle(#[from] BundleError),
}

/// Writes every record held as a bundle; returns how many.
///
/// # Errors
/// [`TransferError`]; what was written then has no end marker.
pub fn write_bundle(
    store: &dyn Store,
    network: &NetworkName,
    now: Timestamp,
    out: &mut dyn io::Write,
) -> Result<u64, TransferError> {
    let (mut writer, head) = BundleWriter::begin(&BundleHeader { network: network.clone(), created_at: now });
    out.write_all(&head)?;
    let mut count = 0;
    each_record(store, |_, _, frame| {
        if let Ok(Some(frame)) = frame {
            out.write_all(&writer.entry(&frame)?)?;
            count += 1;
        }
        Ok(())
    })?;
    out.write_all(&writer.finish())?;
    Ok(count)
}

/// Writes members, registrations, records and outbox as backup items, with the end marker; returns how many records.
///
/// # Errors
/// [`TransferError`]; what was written then has no end marker.
pub fn write_backup(store: &dyn Store, out: &mut dyn io::Write) -> Result<u64, TransferError> {
    let mut writer = ItemWriter::new(out);
    for row in store.members()? {
        writer.item(&BackupItem::Member(row))?;
    }
    let mut after = None;
    loop {
        let rows = store.all_registrations(after, STEP)?;
        after = rows.last().map(|row| (row.keys.address(), row.member));
        let full = rows.len() == STEP;
        for row in rows {
            writer.item(&BackupItem::Registration(row))?;
        }
        if !full {
            break;
        }
    }
    let mut count = 0;
    each_record(store, |_, _, frame| {
        if let Ok(Some(frame)) = frame {
            writer.item(&BackupItem::Record(frame))?;
            count += 1;
        }
        Ok(())
    })?;
    let mut after = None;
    loop {
        let rows = store.outbox(after, STEP)?;
        after = rows.last().map(|(id, _)| *id);
        let full = rows.len() == STEP;
        for (id, member) in rows {
            writer.item(&BackupItem::Outbox(id, member))?;
        }
        if !full {
            break;
        }
    }
    writer.finish()?;
    Ok(count)
}

/// Reads every record held and checks that it still proves itself.
///
/// # Errors
/// The index cannot be read. A record that cannot be read counts as damaged.
pub fn verify(store: &dyn Store, network: &NetworkName) -> Result<VerifySummary, StoreError> {
    let mut summary = VerifySummary::default();
    let walked = each_record(store, |id, held, frame| {
        let bytes = match &frame {
            // A mark: known by id, without a body.
            Ok(None) if !held => return Ok(()),
            Ok(Some(frame)) => frame.len() as u64,
            // What it could not read the store has dropped, so that sync brings it again.
            Ok(None) | Err(_) => 0,
        };
        let proven = frame.ok().flatten().is_some_and(|frame| {
            Unverified::parse(frame).and_then(|record| record.verify(network)).is_ok_and(|record| record.id() == id)
        });
        summary.records += 1;
        summary.bytes += bytes;
        if !proven {
            summary.damaged += 1;
            if summary.damaged_ids.len() < NAMED_MAX {
                summary.damaged_ids.push(id.to_string());
            }
        }
        Ok(())
    });
    match walked {
        Ok(()) => Ok(summary),
        Err(TransferError::Store(error)) => Err(error),
        // The walk itself only reads the store.
        Err(TransferError::Io(_) | TransferError::Bundle(_)) => Ok(summary),
    }
}

type Frame = Result<Option<Bytes>, StoreError>;

/// Shows every id of the sync sets, whether its frame should be here, and the frame.
fn each_record(
    store: &dyn Store,
    mut visit: impl FnMut(RecordId, bool, Frame) -> Result<(), TransferError>,
) -> Result<(), TransferError> {
    // Acks first, as in sync: whoever reads on learns early what need not be kept.
    for set in [SyncSet::Acks, SyncSet::Rest] {
        for shard in store.bits().shards() {
            for (hour, _) in store.digests(set, shard, Hour(0)) {
                for (_, id) in store.bucket(set, shard, hour)? {
                    let held = store.row(&id)?.is_some_and(|row| row.holding == Holding::Held);
                    visit(id, held, store.frame(&id))?;
                }
            }
        }
    }
    Ok(())
}
