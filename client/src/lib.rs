//! A Griot client: accounts, contacts, end-to-end encrypted conversations.
//!
//! ```text
//!  griot (command line) ─▶ agent (one owner of a store) ─▶ core (sans-IO) ─▶ store (encrypted)
//!                                     │                      ▲
//!                                     └──── home (HTTP) ─────┘  work to do / what came of it
//! ```
//!
//! Begin with [`core`]: it holds every decision, and does no IO. What must be sent is derived from what is stored, so a
//! crash at any point loses nothing and sends nothing twice that would show twice. [`home`] speaks to nodes, [`agent`]
//! carries out the core's work, [`cli`] is what a person types.

pub mod agent;
pub mod cli;
pub mod core;
mod demo;
pub mod home;
pub mod store;
