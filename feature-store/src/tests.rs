//! Tests of the crate as a whole. Tests of a single file are in that file, or in a file beside it.

mod committer;
mod conformance;
mod doubtful;
pub(crate) mod fixtures;
mod fleet;
mod folder;
mod group;
mod model;
mod once;
mod readers;
pub(crate) mod simulation;
mod transfer;
mod versioned;
mod whole;
mod write_behind;
