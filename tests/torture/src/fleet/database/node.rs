//! One PostgreSQL: its folder, its settings, and its processes.

use std::fs;
use std::os::unix::fs::{PermissionsExt, chown};
use std::path::{Path, PathBuf};
use std::process::Stdio;

use anyhow::{Context, Result, ensure};
use tokio::process::Child;
use tokio_postgres::Client;

use super::processes::{self, as_postgres, run};
use super::session::{self, PATIENCE, until};
use crate::disk::device::Device;

/// The addresses at which each PostgreSQL listens: one for its own kind, and one for each server. The address of a
/// connection so tells which server made it, and a partition can cut off that one alone.
pub const ADDRESSES: [&str; 4] = ["127.0.0.1", "127.0.0.11", "127.0.0.12", "127.0.0.13"];

/// What each PostgreSQL is set to. A standby that lost its leader looks for it often, because failovers are frequent.
const SETTINGS: &str = "\
fsync = on
full_page_writes = on
synchronous_commit = on
wal_level = replica
hot_standby = on
max_connections = 80
max_wal_senders = 8
wal_keep_size = 256MB
max_wal_size = 256MB
min_wal_size = 8MB
wal_retrieve_retry_interval = 100ms
wal_receiver_status_interval = 1s
wal_receiver_timeout = 5s
wal_sender_timeout = 5s
shared_buffers = 16MB
log_min_messages = fatal
log_min_error_statement = panic
";

/// The names of the nodes, by which a leader knows its standbys.
pub const NAMES: [&str; 3] = ["alpha", "beta", "gamma"];

/// One PostgreSQL. Dropping it kills it.
pub struct Node {
    /// Its name towards the leader.
    pub name: &'static str,
    /// Its port on all addresses.
    pub port: u16,
    folder: PathBuf,
    /// A small disk of its own, if it may become full.
    device: Option<Device>,
    programs: PathBuf,
    process: Option<Child>,
}

impl Node {
    /// A node without data. `number`: from 0.
    pub fn new(folder: &Path, number: usize, port: u16, device: Option<Device>) -> Result<Self> {
        let programs = programs()?;
        let name = NAMES[number];
        let folder = folder.join(name);
        fs::create_dir(&folder)?;
        own(&folder)?;
        if let Some(device) = &device {
            own(&device.path())?;
        }
        Ok(Self { name, port, folder, device, programs, process: None })
    }

    /// The folder of the data.
    pub fn data(&self) -> PathBuf {
        match &self.device {
            Some(device) => device.path().join("data"),
            None => self.folder.join("data"),
        }
    }

    /// The mount point of its small disk, if it has one.
    pub fn disk(&self) -> Option<PathBuf> {
        self.device.as_ref().map(Device::path)
    }

    /// Makes a new, empty database.
    pub async fn init(&self) -> Result<()> {
        let options = ["--no-locale", "--encoding=UTF8", "--auth=trust", "--username=postgres", "--wal-segsize=1"];
        run(as_postgres(&self.programs.join("initdb")).args(options).arg("--pgdata").arg(self.data())).await?;
        let main = self.data().join("postgresql.conf");
        fs::write(&main, "include = 'fleet.conf'\n")?;
        own(&main)
    }

    /// Makes a copy of a running leader's data, in place of the own.
    pub async fn copy_from(&mut self, leader: &Node) -> Result<()> {
        ensure!(self.process.is_none(), "{} runs", self.name);
        crate::disk::folder::remove(&self.data())?;
        let mut command = as_postgres(&self.programs.join("pg_basebackup"));
        command.args(["--checkpoint=fast", "--wal-method=stream", "--no-sync", "--username=postgres", "--pgdata"]);
        command.arg(self.data()).arg("--host").arg(&leader.folder).args(["--port", &leader.port.to_string()]);
        run(&mut command).await.with_context(|| format!("copying {} to {}", leader.name, self.name))
    }

    /// Writes the settings. They take effect at the start, or with [`Self::reload`].
    ///
    /// * `upstream`: the leader to follow; `None` for the leader.
    /// * `synchronous`: the standbys that must have a commit before it is acknowledged, as PostgreSQL writes them.
    pub fn configure(&self, upstream: Option<&Node>, synchronous: &str) -> Result<()> {
        let (port, name, folder) = (self.port, self.name, self.folder.display());
        let addresses = ADDRESSES.join(",");
        let upstream = upstream.map_or(String::new(), |leader| {
            format!("host={} port={} user=postgres application_name={name}", ADDRESSES[0], leader.port)
        });
        let text = format!(
            "{SETTINGS}port = {port}\nlisten_addresses = '{addresses}'\nunix_socket_directories = '{folder}'\n\
             cluster_name = '{name}'\nprimary_conninfo = '{upstream}'\nsynchronous_standby_names = '{synchronous}'\n"
        );
        let path = self.data().join("fleet.conf");
        fs::write(&path, text)?;
        own(&path)
    }

    /// Starts the processes and waits until they answer. A node that shall follow gets its signal file.
    pub async fn start(&mut self, follows: bool) -> Result<()> {
        if follows {
            let path = self.data().join("standby.signal");
            fs::write(&path, "")?;
            own(&path)?;
        }
        let log = fs::OpenOptions::new().append(true).create(true).open(self.folder.join("log"))?;
        let mut command = as_postgres(&self.programs.join("postgres"));
        command.arg("-D").arg(self.data()).stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log);
        self.process = Some(command.spawn()?);
        let answers = async || {
            let ended = self.process.as_mut().map(|process| process.try_wait()).transpose()?.flatten();
            ensure!(ended.is_none(), "{} ended: {}", self.name, self.log());
            Ok(session::connect(&self.folder, self.port, "postgres").await.is_ok())
        };
        until("PostgreSQL answers", PATIENCE, answers).await
    }

    /// Whether it runs.
    pub fn runs(&mut self) -> bool {
        self.process.as_mut().is_some_and(|process| matches!(process.try_wait(), Ok(None)))
    }

    /// The id of its first process.
    pub fn process_id(&self) -> Result<u32> {
        self.process.as_ref().and_then(Child::id).with_context(|| format!("{} does not run", self.name))
    }

    /// Kills all its processes at once, and waits for the end.
    pub async fn kill(&mut self) -> Result<()> {
        if let Some(mut process) = self.process.take() {
            if let Some(id) = process.id() {
                processes::kill(id);
            }
            process.wait().await?;
        }
        Ok(())
    }

    /// Connects as the campaign does.
    pub async fn connect(&self, database: &str) -> Result<Client> {
        session::connect(&self.folder, self.port, database).await
    }

    /// Reads the settings again.
    pub async fn reload(&self) -> Result<()> {
        let done: bool = session::value(&self.connect("postgres").await?, "SELECT pg_reload_conf()").await?;
        ensure!(done, "{} does not read its settings", self.name);
        Ok(())
    }

    /// Makes a leader of a standby, and waits until it is one.
    pub async fn promote(&self) -> Result<()> {
        let mut command = as_postgres(&self.programs.join("pg_ctl"));
        run(command.args(["promote", "-t", "30", "-D"]).arg(self.data())).await
    }

    /// Whether this node receives the leader's present timeline. One that was ahead of a new leader receives the one
    /// before up to its end, again and again.
    pub async fn follows(&self, leader: &Node) -> Result<bool> {
        let present = "SELECT left(pg_walfile_name(pg_current_wal_lsn()), 8)";
        let present: String = session::value(&leader.connect("postgres").await?, present).await?;
        let receives = format!(
            "SELECT count(*) FROM pg_stat_wal_receiver
             WHERE status = 'streaming' AND upper(lpad(to_hex(received_tli), 8, '0')) = '{present}'"
        );
        let count: i64 = session::value(&self.connect("postgres").await?, &receives).await?;
        Ok(count > 0)
    }

    fn log(&self) -> String {
        let log = fs::read_to_string(self.folder.join("log")).unwrap_or_default();
        log.lines().rev().take(5).collect::<Vec<_>>().join("; ")
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        if let Some(id) = self.process.as_ref().and_then(Child::id) {
            processes::kill(id);
        }
    }
}

/// The folder of the programs of the newest PostgreSQL here.
pub fn programs() -> Result<PathBuf> {
    let versions = fs::read_dir("/usr/lib/postgresql").context("PostgreSQL is not installed")?;
    let versions = versions.map(|entry| Ok(entry?.path())).collect::<Result<Vec<_>>>()?;
    Ok(versions.into_iter().max().context("PostgreSQL is not installed")?.join("bin"))
}

/// Makes a file or folder the property of the user `postgres`, as its private one.
pub fn own(path: &Path) -> Result<()> {
    let users = fs::read_to_string("/etc/passwd")?;
    let user = users.lines().map(|line| line.split(':').collect::<Vec<_>>()).find(|fields| fields[0] == "postgres");
    let user = user.context("the machine has no user postgres: install PostgreSQL")?;
    chown(path, Some(user[2].parse()?), Some(user[3].parse()?)).context("this campaign needs root")?;
    let mode = if path.is_dir() { 0o700 } else { 0o600 };
    Ok(fs::set_permissions(path, fs::Permissions::from_mode(mode))?)
}
