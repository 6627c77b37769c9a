//! The feature server on its own data folder: starts and stops it. Its calls are in `calls`.

mod calls;
mod everything;

use std::path::{Path, PathBuf};

use anyhow::{Result, ensure};
use http::HeaderValue;
use tempfile::TempDir;
use tokio::process::Command;

use super::built;
use crate::process::Process;

/// One identity makes all calls, more at once than the default limit allows. Several servers run at once, so each
/// serves its metrics on a port of its own.
const SETTINGS: [(&str, &str); 3] = [
    ("FEATURE_SERVER__LIMITS__CALLS_PER_SECOND_PER_IDENTITY", "1000000"),
    ("FEATURE_SERVER__LIMITS__CALLS", "100000"),
    ("FEATURE_SERVER__METRICS__LISTEN", "127.0.0.1:0"),
];

/// A data folder and a token for it. Dropping it removes the folder.
pub struct Data {
    folder: TempDir,
    binary: PathBuf,
    token: HeaderValue,
}

/// A running feature server.
pub struct Feature {
    /// The process.
    pub process: Process,
    data: Data,
}

impl Data {
    /// A new folder in `parent`.
    pub async fn new(parent: &Path) -> Result<Self> {
        let (folder, binary) = (tempfile::tempdir_in(parent)?, built("production", "feature-server")?);
        let mut minting = Command::new(&binary);
        minting.args(["token", "--role", "SYSTEM_OWNER", "--data"]).arg(folder.path());
        let minted = minting.output().await?;
        ensure!(minted.status.success(), "no token: {}", String::from_utf8_lossy(&minted.stderr));
        let token = format!("Bearer {}", String::from_utf8(minted.stdout)?.trim()).parse()?;
        Ok(Self { folder, binary, token })
    }

    /// Removes the projection, so that the next start rebuilds it from the journal.
    pub fn remove_projection(&self) -> Result<()> {
        Ok(std::fs::remove_dir_all(self.folder.path().join("projection"))?)
    }

    /// Starts a server on the folder.
    ///
    /// `environment`: settings that differ from the defaults.
    pub async fn serve(self, environment: &[(&str, &str)]) -> Result<Feature> {
        let mut command = Command::new(&self.binary);
        command.args(["serve", "--listen", "127.0.0.1:0", "--data"]).arg(self.folder.path());
        command.envs(SETTINGS).envs(environment.iter().copied());
        Ok(Feature { process: Process::start(command).await?, data: self })
    }
}

impl Feature {
    /// Starts a server on a new data folder in `parent`, with a user for whom every feature is set on all four levels.
    ///
    /// `environment`: settings that differ from the defaults.
    pub async fn start(parent: &Path, environment: &[(&str, &str)]) -> Result<Self> {
        let server = Data::new(parent).await?.serve(environment).await?;
        server.switch_everything_on().await?;
        Ok(server)
    }

    /// Stops the server as an operator does.
    pub async fn stop(self) -> Result<Data> {
        self.process.stop().await?;
        Ok(self.data)
    }
}
