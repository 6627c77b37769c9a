//! Tonic alone, which answers with a constant.

use anyhow::Result;
use tokio::process::Command;

use super::built;
use crate::process::Process;

/// Starts the server.
///
/// * `profile`: the folder of the build profile; `production` is the profile of the feature server.
/// * `message`: the answer.
pub async fn bare(profile: &str, message: &[u8]) -> Result<Process> {
    let hex: String = message.iter().map(|byte| format!("{byte:02x}")).collect();
    let mut command = Command::new(built(profile, "bare")?);
    command.arg(hex);
    Process::start(command).await
}
