//! The protocol's stories, told to a relay in virtual time.

mod admission;
mod custody;
mod harness;
mod outbox;
mod receipts;
