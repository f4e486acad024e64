//! Who lives where, when they are on line, and what they write to each other.
//!
//! People are the point of the network, so the load is made of them: each writes by a Poisson process whose rate follows the
//! hour of the day and bursts, to contacts, groups and businesses; channels post to their followers. Everything is drawn
//! beforehand, each kind from a stream of its own.

mod acquaintances;
mod contacts;
mod messages;
mod online;
mod people;
mod rate;

pub use acquaintances::acquaintances;
pub use messages::{WorkloadError, Written, write};
pub use online::{Presence, presence};
pub use people::{People, settle};
pub use rate::{DIURNAL, Rate};
