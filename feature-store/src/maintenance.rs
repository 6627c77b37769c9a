//! What an operator does with a whole store: back it up, export it, import it, verify it.

pub(crate) mod backup;
mod batches;
pub(crate) mod copy_to_log;
pub(crate) mod export;
pub(crate) mod import;
mod staging;
pub(crate) mod verify;
