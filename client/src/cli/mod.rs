//! What a person types, and what they see.
//!
//! [`Cli`] is the grammar (design section 8). [`main`] reads what belongs to this process (standard input, environment,
//! working directory), and hands the command to the owner of the store, where [`commands`] carries it out.

mod access;
mod args;
pub mod commands;
mod examples;
mod run;
mod text;

pub(crate) use text::safe_line;

pub use args::*;
pub use run::main;
