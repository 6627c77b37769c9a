//! Compares what clients saw with all changes, and these with what was written.
//!
//! The checkers know nothing of connections: they take [records](super::record), which their tests make up.

mod changes;
mod problem;
#[cfg(test)]
mod tests;
mod values;
mod writes;

pub use changes::check_changes;
pub use problem::{Kind, Problem};
pub use values::check_values;
pub use writes::check_writes;
