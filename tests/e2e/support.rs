//! Shared by the tests: the server as a process, and the client programs.

pub mod client_programs;
pub mod curl;
pub mod fleet;
pub mod folder;
pub mod harness;
pub mod log_audit;
pub mod postgres;
#[path = "../clients/programs.rs"]
pub mod programs;
pub mod raw;

/// The longest time until a condition holds. Then the test fails.
pub const PATIENCE: std::time::Duration = std::time::Duration::from_secs(60);
