//! Who is linked to whom.
//!
//! Each shape is one file and one function from a size and a random stream to a [`Graph`]. Whatever the shape, the result is
//! in one piece: where chance left an island, one link joins it, because a network that was never connected says nothing
//! about what an outage does.

mod communities;
mod file;
mod graph;
mod nat;
mod regions;
mod regular;
mod round_trips;
mod scale_free;
mod small_world;

pub use communities::communities;
pub use file::{FileError, FileGraph, parse as parse_file};
pub use graph::Graph;
pub use nat::behind_nat;
pub use regions::{regions_of, split};
pub use regular::regular;
pub use round_trips::{CsvError, Matrix};
pub use scale_free::scale_free;
pub use small_world::small_world;
