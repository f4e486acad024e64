//! What a person types, and what they see.

mod args;
mod text;

pub use args::*;
