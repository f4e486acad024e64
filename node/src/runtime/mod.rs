//! The running node: the loop that feeds the relay, carries out what it says, and the handle by which the API speaks to
//! it.
//!
//! Threads: tokio's workers (swarm, API, signature checks), one driver task that owns the relay, and one writer thread
//! that owns the right to commit. The driver never blocks; the writer commits whatever is waiting with one fdatasync.

mod counts;
mod driver;
mod growth;
mod handle;
mod host;
mod hub;
mod last_ran;
mod node;
pub mod page;
mod report;
mod service;
mod writer;

#[cfg(test)]
pub(crate) use counts::Counts;
pub use growth::{Growth, Trend, days_left};
#[cfg(test)]
pub(crate) use handle::Inner;
pub use handle::{Handle, HandleError};
pub use host::{Host, Machine};
pub use node::{NetworkSide, Node, Parts, StartError, Writer};
pub use page::{PAGE_BYTES_MAX, PAGE_ENTRIES_MAX, Page};
pub use report::{COLLECTING, reasons};
#[cfg(test)]
pub(crate) use report::{Facts, assess};
pub use service::{Service, ServiceError, open_offline, serve};
pub use writer::Job;
