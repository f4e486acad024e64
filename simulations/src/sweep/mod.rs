//! Sweeps: one scenario over many seeds and settings.
//!
//! One run says what *can* happen; many seeds say what does. Each run is a process of its own (so all cores are used, and a
//! crash takes only its run with it) and a folder of its own, `SWEEP/SETTINGS/seed-N`. A folder that is whole is not made
//! again, so an interrupted sweep goes on where it was; and because the tables are made from the folders that are there,
//! sweeps of many machines merge by copying their folders together.

pub mod compare;
mod gather;
mod grid;
mod metrics;
mod process;
mod statistics;

pub use gather::{GROUP_COLUMNS, Group, Run, SWEEP, SWEEP_CSV, Sweep, gather, write};
pub use grid::{Job, Seeds, Setting, SweepSyntax, jobs};
pub use metrics::{METRICS, Metric};
pub use process::{Progress, command_line, is_whole, run_all};
pub use statistics::{Estimate, difference, student_t_975};
