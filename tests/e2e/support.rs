//! Shared by the tests: the server as a process, and the client programs.

pub mod client_programs;
pub mod curl;
pub mod folder;
pub mod harness;
pub mod log_audit;
#[path = "../clients/programs.rs"]
pub mod programs;
pub mod raw;
