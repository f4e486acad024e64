//! What a report reads of a run's folder.

use std::path::Path;

use crate::{
    outcome::{
        Manifest, OutcomeError, Summary,
        files::{self, CENTRAL, MESSAGES, NODES, PLAN, TIMELINE},
        tables,
    },
    plan::{Minute, Plan},
};

/// One message for one reader, as `messages.csv` has it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PairRow {
    /// When it was written, milliseconds.
    pub written: u64,
    /// When it was read.
    pub read: Option<u64>,
}

/// One node, as `nodes.csv` has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NodeRow {
    /// How it behaves.
    pub conduct: String,
    /// Bytes it sent.
    pub sent_bytes: u64,
}

/// The tables of one network.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Network {
    /// `messages.csv`.
    pub pairs: Vec<PairRow>,
    /// `nodes.csv`.
    pub nodes: Vec<NodeRow>,
    /// `timeline.csv`.
    pub timeline: Vec<Minute>,
}

/// All that a report shows.
#[derive(Clone, Debug)]
pub struct RunData {
    /// What the run was.
    pub manifest: Manifest,
    /// What came of it.
    pub summary: Summary,
    /// The federated network.
    pub griot: Network,
    /// The baseline.
    pub central: Option<Network>,
    /// The plan, where it was kept.
    pub plan: Option<Plan>,
}

impl RunData {
    /// Reads a run's folder.
    ///
    /// # Errors
    /// [`OutcomeError`].
    pub fn read(folder: &Path) -> Result<Self, OutcomeError> {
        let (manifest, summary) = files::read_run(folder)?;
        let central = folder.join(CENTRAL);
        let plan = folder.join(PLAN);
        Ok(Self {
            manifest,
            summary,
            griot: network(folder)?,
            central: if central.exists() { Some(network(&central)?) } else { None },
            plan: if plan.exists() { Some(files::read_json(&plan)?) } else { None },
        })
    }

    /// The outage, milliseconds since the run began.
    #[must_use]
    pub fn outage(&self) -> Option<(u64, u64)> {
        self.summary.figures.outage.as_ref().map(|outage| (outage.from_ms, outage.until_ms))
    }
}

/// Reads the tables of one network.
pub(super) fn network(folder: &Path) -> Result<Network, OutcomeError> {
    let mut network = Network::default();
    let read = |name: &str, columns: &[&str], each: &mut dyn FnMut(&tables::Row<'_>)| {
        let path = folder.join(name);
        tables::read(files::open(folder, name)?, columns, each).map_err(|source| OutcomeError::File { path, source })
    };
    read(MESSAGES, &["written_ms", "read_ms"], &mut |row| {
        network.pairs.push(PairRow { written: row.number("written_ms").unwrap_or(0), read: row.number("read_ms") });
    })?;
    read(NODES, &["conduct", "sent_bytes"], &mut |row| {
        network.nodes.push(NodeRow {
            conduct: row.get("conduct").unwrap_or_default().to_owned(),
            sent_bytes: row.number("sent_bytes").unwrap_or(0),
        });
    })?;
    read(TIMELINE, &tables::TIMELINE, &mut |row| {
        let number = |column| row.number(column).unwrap_or(0);
        network.timeline.push(Minute {
            minute: number("minute"),
            offered: number("offered"),
            delivered: number("delivered"),
            in_custody: number("in_custody"),
            bytes: number("bytes"),
            nodes_up: number("nodes_up"),
        });
    })?;
    Ok(network)
}
