//! The server's commands for a data folder that no server uses.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::Path;
use std::process::Output;

use anyhow::Result;

use crate::finding::Finding;
use crate::server::Binary;

impl Binary {
    /// Verifies a folder as an operator does. Any problem, of the projection too, counts as a loss.
    pub async fn verify(&self, data: &Path) -> Result<(), Finding> {
        let output = self.run(data, &["verify"]).await?;
        checked(&output, "verify").map_err(Finding::Lost)
    }

    /// The events in the export of a folder, each as a hash.
    pub async fn events(&self, data: &Path) -> Result<Vec<u64>> {
        let output = self.run(data, &["export"]).await?;
        checked(&output, "export").map_err(anyhow::Error::msg)?;
        let events = output.stdout.split(|&byte| byte == b'\n').filter(|line| line.starts_with(br#"{"revision":"#));
        Ok(events.map(hash).collect())
    }
}

fn checked(output: &Output, command: &str) -> Result<(), String> {
    let said = || format!("{command} ended with {}: {}", output.status, String::from_utf8_lossy(&output.stderr));
    if output.status.success() { Ok(()) } else { Err(said()) }
}

fn hash(line: &[u8]) -> u64 {
    let mut hasher = DefaultHasher::new();
    line.hash(&mut hasher);
    hasher.finish()
}
