//! Three PostgreSQL servers under Patroni, with etcd as its registry. They decide among themselves who leads.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context, Result};
use tempfile::TempDir;
use tokio::process::{Child, Command};
use tokio_postgres::Client;

use super::cluster::{DATABASE, free_ports, url};
use super::node::{ADDRESSES, NAMES, own, programs};
use super::processes::{self, as_postgres};
use super::session::{self, until};
use crate::health::status_of;

/// The most time until another node leads, or a node is back.
pub const PATIENCE: Duration = Duration::from_secs(90);

/// On a standby: whether it receives a timeline. One that has to be rewound may receive an earlier one for a moment.
const ON_TIMELINE: &str = "SELECT count(*) = 1 FROM pg_stat_wal_receiver WHERE status = 'streaming' AND received_tli";

/// The members. Dropping it kills them.
pub struct Patroni {
    members: Vec<Member>,
    _etcd: Child,
    _folder: TempDir,
}

struct Member {
    folder: PathBuf,
    port: u16,
    /// The port of Patroni's own interface.
    api: u16,
    /// Patroni itself, which starts PostgreSQL.
    process: Option<Child>,
}

impl Patroni {
    /// Starts etcd and three members, and waits until one leads and the others follow.
    pub async fn start() -> Result<Self> {
        let folder = TempDir::new()?;
        fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o711))?;
        let ports = free_ports(8)?;
        let registry = ports[6];
        let etcd = start_etcd(folder.path(), registry, ports[7])?;
        let member = |number: usize| {
            let own_folder = folder.path().join(NAMES[number]);
            fs::create_dir(&own_folder)?;
            own(&own_folder)?;
            let text = configuration(number, &own_folder, ports[number], ports[3 + number], registry)?;
            fs::write(own_folder.join("patroni.yml"), text)?;
            own(&own_folder.join("patroni.yml"))?;
            Ok(Member { folder: own_folder, port: ports[number], api: ports[3 + number], process: None })
        };
        let members = (0..NAMES.len()).map(member).collect::<Result<Vec<_>>>()?;
        let mut patroni = Self { members, _etcd: etcd, _folder: folder };
        for member in &mut patroni.members {
            member.start()?;
        }
        let leader = patroni.leader_beside(None).await?;
        patroni.followed(leader).await?;
        let client = patroni.connect(leader, "postgres").await?;
        client.batch_execute(&format!("CREATE DATABASE {DATABASE}")).await?;
        Ok(patroni)
    }

    /// The URL for a server.
    pub fn url(&self, server: usize) -> String {
        url(server, &self.members.iter().map(|member| member.port).collect::<Vec<_>>())
    }

    /// Waits until a member leads that is not this one. Returns its number.
    pub async fn leader_beside(&self, other: Option<usize>) -> Result<usize> {
        let mut leader = None;
        let leads = async || {
            for number in (0..self.members.len()).filter(|number| Some(*number) != other) {
                let Ok(client) = self.connect(number, "postgres").await else { continue };
                if session::value(&client, "SELECT NOT pg_is_in_recovery()").await.unwrap_or(false) {
                    leader = Some(number);
                }
            }
            Ok(leader.is_some())
        };
        until("another member leads", PATIENCE, leads).await?;
        leader.context("a member leads")
    }

    /// Waits until both other members follow the leader on its timeline, and Patroni knows one of them as the
    /// synchronous one. Before that, it promotes neither.
    pub async fn followed(&self, leader: usize) -> Result<()> {
        let client = self.connect(leader, "postgres").await?;
        let follow = async || {
            let timeline: i32 = session::value(&client, "SELECT timeline_id FROM pg_control_checkpoint()").await?;
            let mut is_known = false;
            for (number, member) in self.members.iter().enumerate().filter(|(number, _)| *number != leader) {
                let Ok(client) = self.connect(number, "postgres").await else { return Ok(false) };
                if !session::value(&client, &format!("{ON_TIMELINE} = {timeline}")).await.unwrap_or(false) {
                    return Ok(false);
                }
                is_known |= status_of(&format!("127.0.0.1:{}", member.api), "/sync").await == Some(200);
            }
            Ok(is_known)
        };
        until("two members follow, one of them synchronously", PATIENCE, follow).await
    }

    /// A connection of the campaign to the servers' database on a member.
    pub async fn client(&self, number: usize) -> Result<Client> {
        self.connect(number, DATABASE).await
    }

    /// Kills all processes of a member.
    pub async fn kill(&mut self, number: usize) -> Result<()> {
        self.members[number].kill();
        if let Some(mut process) = self.members[number].process.take() {
            process.wait().await?;
        }
        Ok(())
    }

    /// Starts a member that was killed.
    pub fn start_again(&mut self, number: usize) -> Result<()> {
        self.members[number].start()
    }

    /// Stops all processes of a member, as if its machine stood still.
    pub fn pause(&self, number: usize) {
        self.members[number].processes().for_each(processes::pause);
    }

    /// Lets them continue.
    pub fn resume(&self, number: usize) {
        self.members[number].processes().for_each(processes::resume);
    }

    async fn connect(&self, number: usize, database: &str) -> Result<Client> {
        let Member { folder, port, .. } = &self.members[number];
        session::connect(folder, *port, database).await
    }
}

impl Member {
    fn start(&mut self) -> Result<()> {
        let log = fs::OpenOptions::new().append(true).create(true).open(self.folder.join("log"))?;
        let mut command = as_postgres(Path::new("/usr/bin/patroni"));
        command.arg(self.folder.join("patroni.yml")).stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log);
        self.process = Some(command.spawn().context("starting Patroni (Debian's patroni)")?);
        Ok(())
    }

    /// Patroni, and the first process of PostgreSQL.
    fn processes(&self) -> impl Iterator<Item = u32> {
        let postgres = fs::read_to_string(self.folder.join("data/postmaster.pid")).unwrap_or_default();
        let postgres = postgres.lines().next().and_then(|id| id.parse().ok());
        self.process.as_ref().and_then(Child::id).into_iter().chain(postgres)
    }

    fn kill(&self) {
        self.processes().for_each(processes::kill);
    }
}

impl Drop for Member {
    fn drop(&mut self) {
        self.kill();
    }
}

fn start_etcd(folder: &Path, port: u16, peers: u16) -> Result<Child> {
    let [own, peers] = [port, peers].map(|port| format!("http://127.0.0.1:{port}"));
    let mut command = Command::new("etcd");
    // With the newer interface, Patroni 3.0.2 lets a leader that stood still take the registry's key back from the next
    // one, without a comparison. Both take writes then, and those of one are lost.
    command.arg("--enable-v2").arg("--data-dir").arg(folder.join("etcd")).args(["--listen-client-urls", &own]);
    command.args(["--advertise-client-urls", &own, "--listen-peer-urls", &peers]);
    command.args(["--initial-advertise-peer-urls", &peers, "--initial-cluster", &format!("default={peers}")]);
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).kill_on_drop(true);
    command.spawn().context("starting etcd (Debian's etcd-server)")
}

/// A configuration with one synchronous standby, which alone is promoted, and the shortest time to live that Patroni
/// allows.
fn configuration(number: usize, folder: &Path, port: u16, api: u16, registry: u16) -> Result<String> {
    let (name, folder, addresses) = (NAMES[number], folder.display(), ADDRESSES.join(","));
    let programs = programs()?;
    let programs = programs.display();
    Ok(format!(
        "
scope: fleet
name: {name}
restapi:
  listen: 127.0.0.1:{api}
  connect_address: 127.0.0.1:{api}
etcd:
  host: 127.0.0.1:{registry}
bootstrap:
  dcs:
    ttl: 20
    loop_wait: 2
    retry_timeout: 4
    synchronous_mode: true
    synchronous_mode_strict: true
    postgresql:
      use_pg_rewind: true
      parameters:
        wal_log_hints: 'on'
        max_connections: 80
        wal_keep_size: 256MB
        shared_buffers: 16MB
  initdb:
    - encoding: UTF8
    - no-locale
    - auth: trust
postgresql:
  listen: '{addresses}:{port}'
  connect_address: 127.0.0.1:{port}
  data_dir: {folder}/data
  bin_dir: {programs}
  authentication:
    superuser: {{username: postgres}}
    replication: {{username: postgres}}
  pg_hba:
    - local all all trust
    - host all all 127.0.0.0/8 trust
    - host replication all 127.0.0.0/8 trust
  parameters:
    unix_socket_directories: {folder}
"
    ))
}
