//! Simulated worlds: small plans, made by hand.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

mod adversaries;
mod crash_keeps_what_was_acknowledged;
mod full_clients;
mod invariants_catch_bugs;
mod partition_heals;
mod real_time_outside;
mod support;
mod virtual_time_is_deterministic;

/// Not a test by itself: what the others run in another process.
#[test]
fn the_other_process() {
    support::run_the_plan_given();
}
