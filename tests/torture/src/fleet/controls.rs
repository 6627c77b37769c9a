//! Negative controls: a database that does not keep its promise must be caught, by the checkers and by the servers.

use anyhow::{Context, Result, ensure};
use rustix::process::Signal;

use super::by_hand::Fleet;
use super::check::Kind;
use super::clients::SERVERS;
use super::database::processes;
use super::harness::ALL;

/// The writes of each server that are acknowledged and lost.
const LOST: u64 = 10;

/// Lets the database lose acknowledged writes, so often. Each time the checkers must find them missing. Every server
/// must notice that history was taken back, and end equal to the log that there is.
pub async fn rollbacks(fleet: &mut Fleet, count: u32) -> Result<()> {
    let log = fleet.harness.replicas.stop().await?;
    fleet.harness.counts.log("by hand", &log);
    for server in ALL {
        fleet.harness.replicas.start_one(server).await?;
    }
    for _ in 0..count {
        let lost = rollback(fleet).await.context("a rollback")?;
        ensure!(lost > 0, "acknowledged writes were lost, and no checker found that");
        fleet.harness.counts.note("lost by a control and found", lost);
        fleet.harness.counts.cycle("rollbacks");
    }
    let log = fleet.harness.replicas.stop().await?;
    let noticed = log.lines().filter(|line| line.contains("was taken back") && line.contains("starts over")).count();
    let expected = count as usize * SERVERS;
    fleet.harness.counts.note("rollbacks noticed by servers", noticed as u64);
    ensure!(noticed >= expected, "servers noticed {noticed} of {expected} rollbacks:\n{log}");
    for server in ALL {
        fleet.harness.replicas.start_one(server).await?;
    }
    Ok(())
}

/// Without a synchronous standby, the leader acknowledges writes that it sends to no one, and dies. Returns how many of
/// them the checkers missed.
async fn rollback(fleet: &mut Fleet) -> Result<u64> {
    let running = fleet.harness.run().await?;
    fleet.cluster.acknowledge_with_standby(false).await?;
    // What a sender has sent arrives, also when its receiver stands still. So the senders are stopped.
    let client = fleet.cluster.client().await?;
    for sender in client.query("SELECT pid FROM pg_stat_replication", &[]).await? {
        processes::signal(u32::try_from(sender.try_get::<_, i32>(0)?)?, Signal::STOP);
    }
    running.load.shared.more(LOST, &ALL).await.context("without standby")?;
    let leader = fleet.cluster.leader_number();
    fleet.cluster.node(leader).kill().await?;
    let old = fleet.cluster.fail_over().await?;
    running.load.shared.more(LOST, &ALL).await.context("after history was taken back")?;
    fleet.cluster.rebuild(old).await?;
    let problems = fleet.harness.end_taken_back(running, &fleet.cluster.client().await?).await?;
    Ok(problems.iter().filter(|problem| problem.kind == Kind::Lost).count() as u64)
}
