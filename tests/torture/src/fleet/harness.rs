//! A fleet under test, and its cycles: load, a fault, the end of the load, and the checks.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result};
use fastrand::Rng;

use super::check::{Claims, History, Kind};
use super::clients::{self, Load, SERVERS, Scopes, Shared, Target};
use super::counts::Counts;
use super::database::cluster::Cluster;
use super::database::network::Network;
use super::database::session::{PATIENCE, until};
use super::database::table;
use super::faults::Fault;
use super::record::{Answer, Nanos, Record};
use super::replicas::Replicas;
use super::watch::{self, Outage, Watch};
use crate::server::Binary;

/// The writes of each server before something happens.
const WARM: u64 = 15;

/// The oldest that a read of a ready server may be: its bound of ten seconds, and the time between two looks at health.
const STALENESS: Duration = Duration::from_millis(11_000);

/// Three servers on a database, their clients, and what these know.
pub struct Fleet {
    pub cluster: Cluster,
    pub network: Network,
    pub replicas: Replicas,
    pub shared: Arc<Shared>,
    pub target: Target,
    pub scopes: Scopes,
    pub history: History,
    pub rng: Rng,
    pub counts: Counts,
}

impl Fleet {
    /// Starts everything.
    pub async fn start(binary: &Binary, seed: u64) -> Result<Self> {
        let network = Network::new()?;
        let cluster = Cluster::start().await?;
        let urls: Vec<_> = (0..SERVERS).map(|server| cluster.url(server)).collect();
        let replicas = Replicas::start(binary, &urls).await?;
        let target = replicas.target();
        let shared = Arc::new(Shared::new(seed, clients::names_revisions(&target).await?));
        let (rng, counts) = (Rng::with_seed(seed), Counts::default());
        let (scopes, history) = (Scopes::new(), History::default());
        Ok(Self { cluster, network, replicas, shared, target, scopes, history, rng, counts })
    }

    /// One cycle with a fault.
    pub async fn cycle(&mut self, fault: Fault) -> Result<()> {
        let watch = Watch::start(&self.shared, &self.target, &self.replicas.monitoring())?;
        let load = Load::start(&self.shared, &self.target, &self.scopes, &mut self.rng)?;
        load.shared.more(WARM, &[0, 1, 2]).await.context("before the fault")?;
        let outage = fault.happen(self, &load).await.with_context(|| format!("{fault:?}"))?;
        let record = load.stop().await?;
        if fault.fails_over() {
            self.counts.away(&record, outage.from);
        }
        let name = format!("{fault:?}");
        self.check(&name, record, &[outage]).await?;
        self.settle().await.with_context(|| name.clone())?;
        for problem in watch::problems(&watch.stop().await?, &[outage]) {
            self.counts.broken(&name, problem);
        }
        self.counts.cycle(fault.name());
        Ok(())
    }

    /// Compares what clients recorded with the log.
    pub async fn check(&mut self, cycle: &str, record: Record, outages: &[Outage]) -> Result<()> {
        let log = table::read(&self.cluster.client().await?, self.history.revision()).await?;
        let down = outages.iter().filter(|outage| outage.is_down);
        let down = down.filter_map(|outage| Some((outage.server?, outage.from, outage.to))).collect();
        let staleness = Nanos::try_from(STALENESS.as_nanos()).expect("a few seconds");
        let claims = Claims { staleness, down };
        self.counts.record(&record);
        // The same checks, with an error taken for 'not written'.
        let mut mistaken = record.clone();
        for call in &mut mistaken.writes {
            if let Answer::Unknown(error) = &call.answer {
                call.answer = Answer::Refused(error.clone());
            }
        }
        let problems = self.history.clone().check(&log, mistaken, &claims);
        self.counts.mistaken += problems.iter().filter(|problem| problem.kind == Kind::Unasked).count() as u64;
        let problems = self.history.check(&log, record, &claims);
        self.counts.problems(cycle, problems);
        Ok(())
    }

    /// Waits until every server shows the end of the log, takes writes, and says so.
    pub async fn settle(&mut self) -> Result<()> {
        clients::converge(&self.shared, &self.target, &self.scopes, &self.history).await?;
        let target = &self.target;
        until("every server is healthy", PATIENCE, async || watch::all_healthy(target).await).await
    }
}
