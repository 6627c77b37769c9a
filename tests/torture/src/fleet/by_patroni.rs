//! A few failovers as they really are: Patroni notices that the leader is gone, and promotes the synchronous standby.

use anyhow::{Context, Result};

use super::clients::SERVERS;
use super::counts::Counts;
use super::database::patroni::Patroni;
use super::harness::{ALL, Harness};
use super::watch::Outage;
use crate::progress::Progress;
use crate::server::Binary;

/// The writes of each server that show that all is well again.
const SOME: u64 = 10;

/// What happens to the leader's machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fault {
    /// It dies, and starts again when another one leads.
    Kill,
    /// It stands still, and continues when another one leads.
    Pause,
}

/// Lets a leader die and another one stand still, so often.
pub async fn failovers(binary: &Binary, count: u32, seed: u64) -> Result<Counts> {
    let mut patroni = Patroni::start().await?;
    let urls: Vec<_> = (0..SERVERS).map(|server| patroni.url(server)).collect();
    let mut harness = Harness::start(binary, &urls, seed).await?;
    let progress = Progress::new("fleet by Patroni", 2 * count);
    for cycle in 0..2 * count {
        progress.cycle(cycle + 1);
        let fault = [Fault::Kill, Fault::Pause][cycle as usize % 2];
        if let Err(error) = fail_over(&mut patroni, &mut harness, fault).await {
            harness.replicas.kill_and_tell().await?;
            return Err(error.context(format!("Patroni, {fault:?}")));
        }
    }
    let log = harness.replicas.stop().await?;
    harness.counts.log("by Patroni", &log);
    Ok(harness.counts)
}

async fn fail_over(patroni: &mut Patroni, harness: &mut Harness, fault: Fault) -> Result<()> {
    let running = harness.run().await?;
    let old = patroni.leader_beside(None).await?;
    let from = harness.shared.now();
    match fault {
        Fault::Kill => patroni.kill(old).await?,
        Fault::Pause => patroni.pause(old),
    }
    let new = patroni.leader_beside(Some(old)).await?;
    running.load.shared.more(SOME, &ALL).await.context("with another leader")?;
    let to = harness.shared.now();
    match fault {
        Fault::Kill => patroni.start_again(old)?,
        Fault::Pause => patroni.resume(old),
    }
    patroni.followed(new).await?;
    running.load.shared.more(SOME, &ALL).await.context("with all members")?;
    let outage = Outage { server: None, from, to, is_down: false };
    let record = harness.end(running, &format!("Patroni, {fault:?}"), &patroni.client(new).await?, outage).await?;
    harness.counts.away_by_patroni(&record, from);
    harness.counts.cycle(match fault {
        Fault::Kill => "leaders killed under Patroni",
        Fault::Pause => "leaders paused under Patroni",
    });
    Ok(())
}
