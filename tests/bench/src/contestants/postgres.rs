//! PostgreSQL from Debian's packages, with default settings, alone or with a synchronous standby on the same disk.

use std::fs;
use std::os::unix::fs::chown;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use tempfile::TempDir;
use tokio::process::Command;
use tokio::runtime::Builder;
use tokio::task::spawn_blocking;
use tokio::time::{sleep, timeout};
use tokio_postgres::error::SqlState;
use tokio_postgres::{Client, Config, NoTls};

use super::free_address;
use crate::load::Measured;
use crate::process::Process;

/// The user of Debian's package: PostgreSQL refuses to run as root.
const USER: &str = "postgres";

/// The maximum time for a server to take connections, and for its standby to catch up.
const PATIENCE: Duration = Duration::from_secs(60);

/// The table for commits of one row.
const TABLE: &str =
    "CREATE TABLE counter (id int PRIMARY KEY, value bigint NOT NULL); INSERT INTO counter VALUES (1, 0)";

/// Whether each commit waits until it is on a second server, too.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standby {
    /// There is only one server.
    None,
    /// A second server on the same disk follows, and has each commit on the disk before it is acknowledged.
    Synchronous,
}

/// A running PostgreSQL with data folders of its own.
pub struct Postgres {
    standby: Option<Process>,
    primary: Process,
    _folder: TempDir,
}

impl Postgres {
    /// Starts PostgreSQL with a data folder in `parent`, on the same disk as the other contestants.
    pub async fn start(parent: &Path, standby: Standby) -> Result<Self> {
        let folder = tempfile::tempdir_in(parent)?;
        chown(folder.path(), Some(id_of_user(USER)?), None)
            .context("only root can start PostgreSQL as its own user")?;
        let (data, copy) = (folder.path().join("primary"), folder.path().join("standby"));
        let mut make = as_postgres("initdb")?;
        make.args(["--no-locale", "--encoding=UTF8", "--auth=trust", "--username", USER, "--pgdata"]).arg(&data);
        finish(make).await?;
        let mut postgres = Self { standby: None, primary: serve(&data).await?, _folder: folder };
        let client = postgres.connect("postgres").await?;
        if standby == Standby::Synchronous {
            let mut make = as_postgres("pg_basebackup")?;
            make.args(["--write-recovery-conf", "--checkpoint=fast", "--no-password", "--dbname"]);
            make.arg(postgres.url("postgres")).arg("--pgdata").arg(&copy);
            finish(make).await?;
            postgres.standby = Some(serve(&copy).await?);
            client.execute("ALTER SYSTEM SET synchronous_standby_names = '*'", &[]).await?;
            client.execute("SELECT pg_reload_conf()", &[]).await?;
            let follows = "SELECT FROM pg_stat_replication WHERE sync_state = 'sync'";
            let followed = async {
                while client.query_opt(follows, &[]).await?.is_none() {
                    sleep(Duration::from_millis(20)).await;
                }
                anyhow::Ok(())
            };
            timeout(PATIENCE, followed).await.context("the standby does not follow")??;
        }
        Ok(postgres)
    }

    /// Makes a database. Returns its URL.
    pub async fn database(&self, name: &str) -> Result<String> {
        self.connect("postgres").await?.batch_execute(&format!("CREATE DATABASE {name}")).await?;
        Ok(self.url(name))
    }

    /// Prepares the commits of one row in a new database.
    pub async fn counter(&self) -> Result<Counter> {
        let url = self.database("counter").await?;
        self.connect("counter").await?.batch_execute(TABLE).await?;
        Ok(Counter(url.parse()?))
    }

    fn url(&self, database: &str) -> String {
        format!("postgres://{USER}@{}/{database}", self.primary.address)
    }

    /// Connects as soon as the server takes connections.
    async fn connect(&self, database: &str) -> Result<Client> {
        let config: Config = self.url(database).parse()?;
        let connected = async {
            loop {
                match connect(&config).await {
                    // It listens before it is ready.
                    Err(error) if error.code() == Some(&SqlState::CANNOT_CONNECT_NOW) => {
                        sleep(Duration::from_millis(20)).await;
                    }
                    connected => return Ok(connected?),
                }
            }
        };
        timeout(PATIENCE, connected).await.context("PostgreSQL takes no connections")?
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        // Only the first process can end the others, and they write into the folder that is removed next.
        for server in self.standby.iter_mut().chain([&mut self.primary]) {
            server.end_at_once("QUIT");
        }
    }
}

/// A row that commits count up, in a database of its own.
pub struct Counter(Config);

impl Counter {
    /// Commits for this duration, one after the other, and checks that each one counts.
    pub async fn commits(&self, duration: Duration) -> Result<Measured> {
        let config = self.0.clone();
        // As a load does it: no thread wakes another one for an answer.
        let run = move || Builder::new_current_thread().enable_all().build()?.block_on(count(&config, duration));
        spawn_blocking(run).await?
    }
}

async fn count(config: &Config, duration: Duration) -> Result<Measured> {
    let client = connect(config).await?;
    let statement = client.prepare("UPDATE counter SET value = value + 1 WHERE id = 1 RETURNING value").await?;
    let start = Instant::now();
    let (mut latencies, mut last) = (Vec::new(), None);
    while start.elapsed() < duration {
        let begun = Instant::now();
        let value: i64 = client.query_one(&statement, &[]).await?.get(0);
        latencies.push(begun.elapsed().as_micros() as u64);
        ensure!(last.is_none_or(|last| value == last + 1), "a commit that did not count");
        last = Some(value);
    }
    Measured::of(&latencies, start.elapsed())
}

async fn connect(config: &Config) -> Result<Client, tokio_postgres::Error> {
    let (client, connection) = config.connect(NoTls).await?;
    // The failing statements report the error.
    tokio::spawn(connection);
    Ok(client)
}

/// Starts a server on a data folder, on a free port of this machine alone.
async fn serve(data: &Path) -> Result<Process> {
    let address = free_address().await?;
    let (host, port) = address.rsplit_once(':').context("an address has a port")?;
    let mut command = as_postgres("postgres")?;
    command.arg("-D").arg(data).args(["-c", "unix_socket_directories="]);
    command.args(["-c", &format!("listen_addresses={host}"), "-c", &format!("port={port}")]);
    Process::start_at(command, address).await
}

async fn finish(mut command: Command) -> Result<()> {
    let output = command.output().await?;
    ensure!(output.status.success(), "{command:?} failed: {}", String::from_utf8_lossy(&output.stderr));
    Ok(())
}

/// A program of the newest PostgreSQL here, run by its own user.
fn as_postgres(program: &str) -> Result<Command> {
    let versions = fs::read_dir("/usr/lib/postgresql").context("PostgreSQL is not installed")?;
    let newest: PathBuf = versions.flatten().map(|entry| entry.path()).max().context("PostgreSQL is not installed")?;
    let mut command = Command::new("setpriv");
    command.args(["--reuid", USER, "--regid", USER, "--clear-groups"]).arg(newest.join("bin").join(program));
    command.current_dir("/");
    Ok(command)
}

/// The id of a user of this machine.
fn id_of_user(name: &str) -> Result<u32> {
    let users = fs::read_to_string("/etc/passwd")?;
    let user = users.lines().map(|line| line.split(':').collect::<Vec<_>>()).find(|fields| fields[0] == name);
    Ok(user.context("PostgreSQL's package has not made its user")?[2].parse()?)
}
