//! The three servers of a fleet: each with a data folder of its own, all with the same signing key.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;
use std::{fs, mem};

use anyhow::{Context, Result, bail, ensure};
use tempfile::TempDir;

use super::clients::{SERVERS, Target};
use super::database::cluster::free_ports;
use crate::disk::folder;
use crate::server::{Binary, Server};
use crate::workload;

/// How old the view of a ready server may be. Less than the default, so that a cycle need not take long.
pub const MAX_STALENESS: Duration = Duration::from_secs(10);

/// The server whose clock is an hour ahead. Clocks give dates, and never order.
const AHEAD: usize = SERVERS - 1;

/// The lines of a server's log that are printed when a cycle fails.
const LINES_TOLD: usize = 20;

/// The servers. Dropping it kills them.
pub struct Replicas {
    binary: Binary,
    token: String,
    replicas: Vec<Replica>,
    /// The logs of all servers that have ended.
    log: String,
    _folder: TempDir,
}

struct Replica {
    data: PathBuf,
    url: String,
    address: String,
    monitoring: String,
    server: Option<Server>,
}

impl Replicas {
    /// Starts a server for each of these databases' URLs, on a new data folder.
    pub async fn start(binary: &Binary, urls: &[String]) -> Result<Self> {
        let folder = TempDir::new()?;
        let origin = folder.path().join("origin");
        let made = binary.run(&origin, &["token", "keygen"]).await?;
        ensure!(made.status.success(), "no signing key: {}", String::from_utf8_lossy(&made.stderr));
        let token = binary.token(&origin, workload::TOKEN).await?;
        let ports = free_ports(2 * SERVERS)?;
        let replica = |(number, url): (usize, &String)| {
            let data = folder.path().join(format!("data-{number}"));
            copy_keys(&origin, &data)?;
            let [address, monitoring] =
                [ports[2 * number], ports[2 * number + 1]].map(|port| format!("127.0.0.1:{port}"));
            Ok(Replica { data, url: url.clone(), address, monitoring, server: None })
        };
        let replicas = urls.iter().enumerate().map(replica).collect::<Result<_>>()?;
        let mut servers = Self { binary: binary.clone(), token, replicas, log: String::new(), _folder: folder };
        for number in 0..SERVERS {
            servers.start_one(number).await?;
        }
        Ok(servers)
    }

    /// Where and as whom clients call.
    pub fn target(&self) -> Target {
        let addresses = self.replicas.iter().map(|replica| replica.address.clone()).collect();
        Target { addresses, token: self.token.clone() }
    }

    /// The addresses of the probes.
    pub fn monitoring(&self) -> Vec<String> {
        self.replicas.iter().map(|replica| replica.monitoring.clone()).collect()
    }

    /// Starts a server that does not run, at its address of before.
    pub async fn start_one(&mut self, number: usize) -> Result<()> {
        let Replica { data, url, address, monitoring, server } = &mut self.replicas[number];
        let mut binary = self.binary.clone();
        if number == AHEAD {
            let library = faketime()?;
            let variables = [("LD_PRELOAD", &*library), ("FAKETIME", "+1h"), ("FAKETIME_DONT_FAKE_MONOTONIC", "1")];
            binary.environment.extend(variables.map(|(name, value)| (name.to_owned(), value.to_owned())));
        }
        binary.environment.push(("FEATURE_SERVER__STORE__URL".to_owned(), url.clone()));
        binary.environment.push(("FEATURE_SERVER__METRICS__LISTEN".to_owned(), monitoring.clone()));
        let staleness = MAX_STALENESS.as_millis().to_string();
        binary.environment.push(("FEATURE_SERVER__STORE__MAX_STALENESS_MS".to_owned(), staleness));
        *server = Some(binary.start_at(data, address)?.listening().await?);
        Ok(())
    }

    /// Sends SIGKILL to a server.
    pub async fn kill(&mut self, number: usize) -> Result<()> {
        let server = self.replicas[number].server.take().context("the server runs")?;
        self.log += &server.kill().await?;
        Ok(())
    }

    /// Kills all servers, and prints the end of what each has logged.
    pub async fn kill_and_tell(&mut self) -> Result<()> {
        for (number, replica) in self.replicas.iter_mut().enumerate() {
            let Some(server) = replica.server.take() else { continue };
            let log = server.kill().await?;
            let lines: Vec<_> = log.lines().collect();
            eprintln!("fleet: server {number}:\n{}", lines[lines.len().saturating_sub(LINES_TOLD)..].join("\n"));
        }
        Ok(())
    }

    /// Stops all servers in order, and returns the log of all that ever ran.
    pub async fn stop(&mut self) -> Result<String> {
        for replica in &mut self.replicas {
            if let Some(server) = replica.server.take() {
                self.log += &server.stop().await?;
            }
        }
        Ok(mem::take(&mut self.log))
    }
}

/// The library that shifts a clock. The program of that name would keep signals from the server.
fn faketime() -> Result<String> {
    for folder in fs::read_dir("/usr/lib")? {
        let path = folder?.path().join("faketime/libfaketime.so.1");
        if path.is_file() {
            return Ok(path.display().to_string());
        }
    }
    bail!("this campaign needs libfaketime (Debian's faketime)")
}

fn copy_keys(origin: &Path, data: &Path) -> Result<()> {
    let keys = data.join("keys");
    folder::copy(&origin.join("keys"), &keys)?;
    for path in [data, &keys] {
        fs::set_permissions(path, fs::Permissions::from_mode(0o700))?;
    }
    for key in fs::read_dir(&keys)? {
        fs::set_permissions(key?.path(), fs::Permissions::from_mode(0o600))?;
    }
    Ok(())
}
