//! `griotd verify`: read everything, believe nothing.

use std::path::PathBuf;

use griot_protocol::RecordId;

use super::{
    Holding, StoreError,
    disk::DiskStore,
    index::{hour_key, mailbox_key, trailing_id},
    local::Fact,
};

/// Findings that are listed; beyond this they are only counted.
const LISTED_MAX: usize = 100;

/// What [`DiskStore::verify`] found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct VerifyReport {
    /// Records whose frames were read and are what the index says.
    pub records: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Records whose frames are damaged (the first hundred). They were dropped, and sync will bring them again.
    pub damaged: Vec<RecordId>,
    /// How many those are.
    pub damaged_count: u64,
    /// Where the index contradicts itself (the first hundred): remove `index/` and it is made again from the log.
    pub inconsistent: Vec<String>,
    /// Files in `quarantine/`.
    pub quarantined: Vec<PathBuf>,
}

impl VerifyReport {
    /// Whether everything is as it should be.
    #[must_use]
    pub fn is_sound(&self) -> bool {
        self.damaged_count == 0 && self.inconsistent.is_empty() && self.quarantined.is_empty()
    }

    fn contradicts(&mut self, what: String) {
        if self.inconsistent.len() < LISTED_MAX {
            self.inconsistent.push(what);
        }
    }
}

impl DiskStore {
    /// Reads and checks every record and the index. The store may be in use meanwhile.
    ///
    /// # Errors
    /// The disk or the index failed.
    pub fn verify(&self) -> Result<VerifyReport, StoreError> {
        let mut report = VerifyReport::default();
        let mut after = None;
        // One row at a time under the lock, so that commits go on beside.
        loop {
            let stored = {
                let _tables = self.tables();
                self.index.get()?.all_rows(after).next().transpose()?
            };
            let Some(stored) = stored else { break };
            after = Some(stored.row.id);
            self.verify_row(&stored.row.id, &mut report)?;
        }
        let _tables = self.tables();
        let index = self.index.get()?;
        for entry in index.mailbox.iter() {
            let (key, id) = entry?;
            let row = trailing_id(&id).map(|id| index.stored(&id)).transpose()?.flatten();
            let position = row.and_then(|stored| Some(mailbox_key(&stored.row.address, stored.row.position?)));
            if position.is_none_or(|position| position[..] != key[..]) {
                report.contradicts(format!("mailbox entry {key:02x?} leads to no row"));
            }
        }
        let names = self.log.disk.list(&self.quarantine).map_err(super::log::io_error("reading", &self.quarantine))?;
        report.quarantined = names.into_iter().map(|name| self.quarantine.join(name)).collect();
        report.quarantined.sort();
        Ok(report)
    }

    fn verify_row(&self, id: &RecordId, report: &mut VerifyReport) -> Result<(), StoreError> {
        let tables = self.tables();
        let index = self.index.get()?;
        let Some(stored) = index.stored(id)? else { return Ok(()) };
        let row = &stored.row;
        if !index.by_hour.contains_key(hour_key(row))? {
            report.contradicts(format!("{id} is in no hour"));
        }
        if let Some(position) = row.position
            && !index.mailbox.contains_key(mailbox_key(&row.address, position))?
        {
            report.contradicts(format!("{id} is in no mailbox"));
        }
        if row.holding != Holding::Held {
            return Ok(());
        }
        let sound = match self.log.read(stored.location)?.and_then(Fact::decode) {
            Some(Fact::Record(record) | Fact::Moved(_, record)) => {
                record.id() == *id && record.address() == row.address && record.expires_at() == row.expires_at
            }
            _ => false,
        };
        drop((index, tables));
        if sound {
            report.records += 1;
            report.bytes += u64::from(row.frame_bytes);
        } else {
            report.damaged_count += 1;
            if report.damaged.len() < LISTED_MAX {
                report.damaged.push(*id);
            }
            self.drop_rotten(id, stored.location)?;
        }
        Ok(())
    }
}
