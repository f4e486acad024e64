//! What goes wrong, drawn: from the sections of a scenario to events with their times.

mod adversaries;
mod churn;
mod rehome;
mod schedule;
mod select;

pub use adversaries::{Roles, cast, close_in};
pub use rehome::rehome;
pub use schedule::{FaultError, schedule};
pub use select::Crowd;
