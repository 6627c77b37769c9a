//! The server's commands on a data folder that is not in use: what they say of it.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::Path;
use std::process::Output;

use anyhow::Result;

use crate::finding::Finding;
use crate::server::Binary;

impl Binary {
    /// Checks a folder as an operator does. Whatever is wrong with it, its projection included, is lost.
    pub async fn verify(&self, data: &Path) -> Result<(), Finding> {
        let output = self.run(data, &["verify"]).await?;
        checked(&output, "verify").map_err(Finding::Lost)
    }

    /// The events of a folder as its export tells them, each as a hash.
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
