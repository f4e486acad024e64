//! Behaviours that only real processes show: `griotd`, `griot` and `griot-sim` as people run them.
//!
//! One program for all of them, so that one test works while another waits for a network to notice something.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

mod backup;
mod behind_nat;
mod calibrate;
mod chaos_short;
mod consent;
mod demo;
mod following;
mod home_over_tls;
mod homes;
mod hostile_peer;
mod kill_nine;
mod killed_commands;
mod load;
mod local_network;
mod mixed_parameters;
mod no_plaintext;
mod rejoin;
mod rolling_restart;
mod rough_paths;
mod shards;
mod strangers;
mod three_nodes_in_a_row;
mod waiting;
mod wire;
