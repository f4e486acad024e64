//! What came out of a run: figures, and the files they are kept in.
//!
//! Everything that is said about a run is counted here, by pure functions from the plan (what was to happen) and the
//! recording (what did): [`mod@figures`] for one network, [`checks`] for what must always hold, [`files`] for what is written.

pub mod arrivals;
pub mod checks;
pub mod deliveries;
pub mod figures;
pub mod files;
pub mod manifest;
pub mod tables;

pub use figures::{Figures, figures};
pub use files::{Outcome, OutcomeError, RunFolder};
pub use manifest::{Manifest, Summary};
