//! The feature server on its own data folder, alone or in a fleet: starts and stops it. Its calls are in `calls`.

mod calls;
mod everything;
mod own;

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use http::HeaderValue;
use tempfile::TempDir;
use tokio::process::Command;
use tokio::time::timeout;

use super::built;
use crate::process::{PATIENCE, Process};

pub use calls::shows;
pub use own::BATCH;

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
    /// The URL of the database that has the store, for a server of a fleet.
    store: Option<String>,
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
        Self::without_token(parent)?.with_token().await
    }

    /// A new folder in `parent`, with a new key, for the first server of a fleet. `store`: the URL of its database.
    pub async fn of_fleet(parent: &Path, store: String) -> Result<Self> {
        let data = Self::without_token(parent)?;
        data.run(&["token", "keygen"]).await?;
        Self { store: Some(store), ..data }.with_token().await
    }

    /// A new folder beside this one, with the same keys, for another server of the fleet.
    pub fn sibling(&self) -> Result<Self> {
        let folder = tempfile::tempdir_in(self.folder.path().with_file_name(""))?;
        let keys = folder.path().join("keys");
        std::fs::create_dir(&keys)?;
        for key in std::fs::read_dir(self.folder.path().join("keys"))? {
            let key = key?;
            std::fs::copy(key.path(), keys.join(key.file_name()))?;
        }
        Ok(Self { folder, binary: self.binary.clone(), store: self.store.clone(), token: self.token.clone() })
    }

    /// Writes the whole history to a file.
    pub async fn export(&self, file: &Path) -> Result<()> {
        self.run(&["export", "--output", &file.to_string_lossy()]).await.map(drop)
    }

    /// Fills the empty store from an export.
    pub async fn import(&self, file: &Path) -> Result<()> {
        self.run(&["import", &file.to_string_lossy()]).await.map(drop)
    }

    fn without_token(parent: &Path) -> Result<Self> {
        let (folder, binary) = (tempfile::tempdir_in(parent)?, built("production", "feature-server")?);
        Ok(Self { folder, binary, store: None, token: HeaderValue::from_static("") })
    }

    /// Lets the key sign a token for all calls.
    async fn with_token(self) -> Result<Self> {
        let token = self.run(&["token", "--role", "SYSTEM_OWNER"]).await?;
        Ok(Self { token: format!("Bearer {}", token.trim()).parse()?, ..self })
    }

    /// Runs a command of the server's binary on this data. Returns what it prints.
    async fn run(&self, arguments: &[&str]) -> Result<String> {
        let mut command = self.command(arguments);
        // An import is checked in a temporary folder, and a large one does not fit into memory.
        command.env("TMPDIR", self.folder.path().with_file_name(""));
        let output = command.output().await?;
        ensure!(output.status.success(), "{arguments:?} failed: {}", String::from_utf8_lossy(&output.stderr));
        Ok(String::from_utf8(output.stdout)?)
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(&self.binary);
        command.args(arguments).arg("--data").arg(self.folder.path());
        command.args(self.store.iter().flat_map(|url| ["--store", url]));
        command
    }

    /// Removes the projection, so that the next start rebuilds it from the journal.
    pub fn remove_projection(&self) -> Result<()> {
        Ok(std::fs::remove_dir_all(self.folder.path().join("projection"))?)
    }

    /// Starts a server on the folder.
    ///
    /// `environment`: settings that differ from the defaults.
    pub async fn serve(self, environment: &[(&str, &str)]) -> Result<Feature> {
        let mut command = self.command(&["serve", "--listen", "127.0.0.1:0"]);
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

    /// Starts servers of a fleet on a new database, with such a user. `store`: the URL of the database.
    pub async fn start_fleet(parent: &Path, store: String, servers: usize) -> Result<Vec<Self>> {
        let first = Data::of_fleet(parent, store).await?.serve(&[]).await?;
        first.switch_everything_on().await?;
        let mut fleet = vec![first];
        while fleet.len() < servers {
            // A new server begins with all that was written before.
            fleet.push(fleet[0].data.sibling()?.serve(&[]).await?);
        }
        Ok(fleet)
    }

    /// Waits until the journal has a base at the end of each complete segment.
    pub async fn has_all_bases(&self) -> Result<()> {
        let journal = self.data.folder.path().join("journal");
        let newest = |end: &str| -> Result<u64> {
            let names = std::fs::read_dir(&journal)?.filter_map(|entry| entry.ok()?.file_name().into_string().ok());
            Ok(names.filter_map(|name| name.strip_suffix(end)?.parse().ok()).max().unwrap_or_default())
        };
        let made = async {
            while newest(".base")? + 1 != newest(".log")? {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
            Ok(())
        };
        timeout(PATIENCE, made).await.context("the journal has no newest base")?
    }

    /// Stops the server as an operator does.
    pub async fn stop(self) -> Result<Data> {
        self.process.stop().await?;
        Ok(self.data)
    }
}
