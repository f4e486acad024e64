//! The client's core: every decision, no IO, no clock, no threads.
//!
//! The core is driven in three steps, over and over:
//!
//! 1. a command changes the stored state in one transaction ([`Client::send`](Client), …);
//! 2. [`Client::work`](Client) derives from the stored state what has to be done at the homes now: registrations,
//!    submissions, fetches, questions. It is a pure function of what is stored, so nothing is forgotten by a crash;
//! 3. the caller does it and reports what came of it with [`Client::done`](Client), which changes the stored state
//!    again and returns what a person should hear of ([`Event`]s).

mod types;

pub use types::*;
