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

/// An address for a server that starts again on it: of this process alone, and outside of the ports that the system
/// gives away. `number`: tells the servers of these tests apart.
pub fn address(number: u16) -> String {
    let [_, high, middle, low] = std::process::id().to_be_bytes();
    format!("127.{}.{middle}.{low}:{}", u32::from(high) + 100, 25_440 + number)
}
