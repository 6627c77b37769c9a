//! What the tests share: the server as a process, and the programs that call it.

pub mod client_programs;
pub mod curl;
pub mod harness;
pub mod log_audit;
pub mod raw;
