//! The protocol's stories, told to a relay in virtual time.

mod admission;
mod chaos;
mod custody;
mod disk;
mod harness;
mod large;
mod neighbours;
mod outbox;
mod receipts;
mod report;
mod standing;
