//! What happens to a fleet in a cycle, under load. A fault of the leader ends with a failover by hand: the named
//! standby is promoted, and the old leader comes back as a standby.

use std::fs;
use std::time::Duration;

use anyhow::{Context, Result};
use tokio::time::timeout;

use super::by_hand::Fleet;
use super::clients::{Load, SERVERS};
use super::database::cluster::SMALL_DISK;
use super::database::network::Direction;
use super::database::processes;
use super::database::session::{self, PATIENCE, until};
use super::harness::ALL;
use super::record::Nanos;
use super::watch::Outage;
use crate::disk::device;

/// The writes of each server that show that all is well again.
const SOME: u64 = 10;

/// What happens in a cycle.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// The leader dies.
    Kill,
    /// The leader stands still, and continues when another one leads. It still answers reads then.
    Pause,
    /// The leader is cut off, and comes back when another one leads.
    CutOff(Direction),
    /// Connections of the servers are ended in the middle of what they do, so many.
    Terminate(u64),
    /// A server is killed and started again.
    KillServer,
    /// A server is cut off from the database for longer than it may stay ready.
    CutOffServer,
    /// The leader's disk is full.
    FullDisk,
}

impl Fault {
    /// How the report names it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Kill => "leaders killed",
            Self::Pause => "leaders paused",
            Self::CutOff(_) => "leaders cut off",
            Self::Terminate(_) => "cycles of terminated connections",
            Self::KillServer => "servers killed",
            Self::CutOffServer => "servers cut off",
            Self::FullDisk => "full disks",
        }
    }

    /// Whether another node leads afterwards.
    pub fn fails_over(self) -> bool {
        matches!(self, Self::Kill | Self::Pause | Self::CutOff(_) | Self::FullDisk)
    }

    /// Whether it can happen now: only one node has a small disk.
    pub fn is_possible(self, fleet: &Fleet) -> bool {
        self != Self::FullDisk || fleet.cluster.leader_number() == SMALL_DISK
    }

    /// Makes it happen, and waits until all is well again, apart from its consequences for health.
    pub async fn happen(self, fleet: &mut Fleet, load: &Load) -> Result<Outage> {
        let from = load.shared.now();
        match self {
            Self::Kill => {
                let leader = fleet.cluster.leader_number();
                fleet.cluster.node(leader).kill().await?;
                fail_over(fleet, load, async |_| Ok(())).await?;
            }
            Self::Pause => {
                let process = fleet.cluster.leader().process_id()?;
                processes::pause(process);
                fail_over(fleet, load, async |_| {
                    processes::resume(process);
                    Ok(())
                })
                .await?;
            }
            Self::CutOff(direction) => {
                fleet.network.cut_off(fleet.cluster.leader().port, direction)?;
                fail_over(fleet, load, async |fleet| fleet.network.heal()).await?;
            }
            Self::Terminate(count) => terminate(fleet, load, count).await?,
            Self::KillServer => return kill_server(fleet, load, from).await,
            Self::CutOffServer => return cut_off_server(fleet, load, from).await,
            Self::FullDisk => {
                fill_disk(fleet).await?;
                let leader = fleet.cluster.leader_number();
                fleet.cluster.node(leader).kill().await?;
                let disk = fleet.cluster.node(leader).disk().context("the node has a small disk")?;
                fs::remove_file(disk.join("filler"))?;
                fail_over(fleet, load, async |_| Ok(())).await?;
            }
        }
        Ok(Outage { server: None, from, to: load.shared.now(), is_down: false })
    }
}

/// Promotes the named standby, and brings the old leader back as a standby. `release`: lets the old leader, which still
/// takes itself for one, be reached again.
async fn fail_over(fleet: &mut Fleet, load: &Load, release: impl AsyncFnOnce(&Fleet) -> Result<()>) -> Result<()> {
    let old = fleet.cluster.fail_over().await?;
    load.shared.more(SOME, &ALL).await.context("after the failover")?;
    release(fleet).await?;
    if fleet.cluster.node(old).runs() {
        // The servers connect anew, and may meet the old leader, which still answers.
        let sql = format!("SELECT count(pg_terminate_backend(pid)) FROM {CONNECTIONS}");
        let _: i64 = session::value(&fleet.cluster.client().await?, &sql).await?;
        load.shared.more(2 * SOME, &ALL).await.context("beside the old leader")?;
    }
    fleet.cluster.rebuild(old).await?;
    load.shared.more(SOME, &ALL).await.context("after the old leader came back")
}

/// The connections of the servers.
const CONNECTIONS: &str = "pg_stat_activity WHERE datname = 'feature' AND application_name <> 'campaign'";

async fn terminate(fleet: &mut Fleet, load: &Load, count: u64) -> Result<()> {
    let client = fleet.cluster.client().await?;
    // One that waits for the standby's word on its commit, before one that just works, before an idle one.
    let one = format!(
        "SELECT count(pg_terminate_backend(pid)) FROM (SELECT pid FROM {CONNECTIONS}
         ORDER BY wait_event = 'SyncRep' DESC, state = 'active' DESC, random() LIMIT 1) AS one"
    );
    let mut terminated = 0;
    while terminated < count {
        let before: u64 = load.shared.acknowledged().iter().sum();
        let ended: i64 = session::value(&client, &one).await?;
        terminated += u64::from(ended > 0);
        let goes_on = async || Ok(load.shared.acknowledged().iter().sum::<u64>() > before);
        until("writes go on", PATIENCE, goes_on).await?;
    }
    fleet.harness.counts.note("connections terminated", terminated);
    load.shared.more(SOME, &ALL).await
}

async fn kill_server(fleet: &mut Fleet, load: &Load, from: Nanos) -> Result<Outage> {
    let server = fleet.harness.rng.usize(..SERVERS);
    let others: Vec<_> = ALL.into_iter().filter(|other| *other != server).collect();
    fleet.harness.replicas.kill(server).await?;
    load.shared.more(SOME, &others).await.context("beside a killed server")?;
    fleet.harness.replicas.start_one(server).await?;
    let to = load.shared.now();
    load.shared.more(SOME, &[server]).await.context("after its start")?;
    Ok(Outage { server: Some(server), from, to, is_down: true })
}

async fn cut_off_server(fleet: &mut Fleet, load: &Load, from: Nanos) -> Result<Outage> {
    let server = fleet.harness.rng.usize(..SERVERS);
    let others: Vec<_> = ALL.into_iter().filter(|other| *other != server).collect();
    fleet.network.cut_off_server(server, &fleet.cluster.ports())?;
    load.shared.more(SOME, &others).await.context("beside a server without database")?;
    let is_unready = async || Ok(!load.shared.is_ready(server));
    until("a server without database says that it is not ready", PATIENCE, is_unready).await?;
    fleet.network.heal()?;
    load.shared.more(SOME, &[server]).await.context("with the database again")?;
    Ok(Outage { server: Some(server), from, to: load.shared.now(), is_down: false })
}

/// Fills the disk of the leader, and waits until it needs more.
async fn fill_disk(fleet: &mut Fleet) -> Result<()> {
    let disk = fleet.cluster.node(SMALL_DISK).disk().context("the node has a small disk")?;
    device::fill(&disk.join("filler"), 0)?;
    let client = fleet.cluster.client().await?;
    // Each takes another segment of the log.
    let has_no_space = async || {
        let switched = timeout(Duration::from_secs(2), client.batch_execute("SELECT pg_switch_wal(), txid_current()"));
        Ok(!matches!(switched.await, Ok(Ok(()))))
    };
    until("the leader has no space", PATIENCE, has_no_space).await
}
