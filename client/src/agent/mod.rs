//! One owner of a store.
//!
//! An account's store is open in one process at a time, and a second `griot` on the same `--home` is normal: a message
//! sent while `inbox --follow` runs. Whoever has the store open therefore serves `<home>/agent.sock` for as long as it
//! has, even a command that takes a moment, and every other process hands its command over to it. Nobody ever sees a
//! lock.
//!
//! ```text
//! try agent.sock ──opens──▶ hand the command over ──"I must go"──┐
//!       │ nobody                                                 │
//! try to open the store ──is locked──▶ wait a moment ────────────┤   (somebody starts or stops just now)
//!       │ opened                                                 │
//! be the owner: serve agent.sock, run the command      ◀── again ┘
//! ```
//!
//! An owner whose own command is done does not stay for its guests' long waits: it tells them to take up their command
//! elsewhere, from the last *mark* they were given, and one of them becomes the next owner.

mod engine;
mod guest;
mod live;
mod printer;
mod pump;
mod server;
mod wire;

pub use engine::{Account, Engine, Round, now, rng};
pub use guest::{Guest, Visit};
pub use printer::{Gone, Line, Printer, Terminal};
pub use server::{Ending, Handler, Server, Stop};
pub use wire::Request;
