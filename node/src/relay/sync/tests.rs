//! Stories of two neighbours.
