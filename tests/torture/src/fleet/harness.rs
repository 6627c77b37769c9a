//! The servers and clients of a fleet, and what the steps of a cycle have in common: load, the end of the load, and the
//! checks. The database is another part, which fails over by hand or by Patroni.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result};
use fastrand::Rng;
use tokio_postgres::Client;

use super::check::{Claims, History, Kind, Problem};
use super::clients::{self, Load, SERVERS, Scopes, Shared, Target};
use super::counts::Counts;
use super::database::session::{PATIENCE, until};
use super::database::table;
use super::record::{Answer, Nanos, Record};
use super::replicas::{MAX_STALENESS, Replicas};
use super::streams::FleetStreams;
use super::watch::{self, Outage, Watch};
use crate::server::Binary;

/// The writes of each server before something happens.
const WARM: u64 = 15;

/// The oldest that a read of a server may be that was ready a moment ago: it looks at its own age four times a second.
const STALENESS: Duration = MAX_STALENESS.saturating_add(Duration::from_secs(1));

/// Three servers, their clients, and what these know.
pub struct Harness {
    pub replicas: Replicas,
    pub shared: Arc<Shared>,
    pub rng: Rng,
    pub counts: Counts,
    target: Target,
    scopes: Scopes,
    history: History,
}

/// Clients at work, and watchers of health.
pub struct Running {
    pub load: Load,
    watch: Watch,
}

impl Harness {
    /// Starts a server for each URL.
    pub async fn start(binary: &Binary, urls: &[String], seed: u64) -> Result<Self> {
        let replicas = Replicas::start(binary, urls).await?;
        let target = replicas.target();
        let shared = Arc::new(Shared::new(seed));
        let (rng, counts) = (Rng::with_seed(seed), Counts::default());
        let (scopes, history) = (Scopes::new(), History::default());
        let mut harness = Self { replicas, shared, rng, counts, target, scopes, history };
        harness.settle().await?;
        Ok(harness)
    }

    /// Starts clients, and waits until every server has taken some writes.
    pub async fn run(&mut self) -> Result<Running> {
        let watch = Watch::start(&self.shared, &self.target, &self.replicas.monitoring())?;
        let load = Load::start(&self.shared, &self.target, &self.scopes, &mut self.rng)?;
        load.shared.more(WARM, &ALL).await.context("before the fault")?;
        Ok(Running { load, watch })
    }

    /// Ends a cycle: compares what clients recorded with the log, and waits until all is as before. `client`: of the
    /// leader.
    pub async fn end(&mut self, running: Running, cycle: &str, client: &Client, outage: Outage) -> Result<Record> {
        let record = running.load.stop().await?;
        self.check(cycle, &record, client, &[outage]).await?;
        self.settle().await.with_context(|| cycle.to_owned())?;
        for problem in watch::problems(&running.watch.stop().await?, &[outage]) {
            self.counts.broken(cycle, problem);
        }
        Ok(record)
    }

    /// Ends a cycle after which the history is another one. Returns what the checkers find.
    pub async fn end_taken_back(&mut self, running: Running, client: &Client) -> Result<Vec<Problem>> {
        let record = running.load.stop().await?;
        let log = table::read(client, self.history.revision()).await?;
        let problems = self.history.clone().check(&log, record, &Claims::default());
        self.history.restart(&table::read(client, 0).await?);
        self.settle().await?;
        running.watch.stop().await?;
        Ok(problems)
    }

    /// Compares what clients recorded with the log.
    pub async fn check(&mut self, cycle: &str, record: &Record, client: &Client, outages: &[Outage]) -> Result<()> {
        let log = table::read(client, self.history.revision()).await?;
        let down = outages.iter().filter(|outage| outage.is_down);
        let down = down.filter_map(|outage| Some((outage.server?, outage.from, outage.to))).collect();
        let staleness = Nanos::try_from(STALENESS.as_nanos()).expect("a few seconds");
        let claims = Claims { staleness, down };
        self.counts.record(record);
        // The same checks, with an error taken for 'not written'.
        let mut mistaken = record.clone();
        for call in &mut mistaken.writes {
            if let Answer::Unknown(error) = &call.answer {
                call.answer = Answer::Refused(error.clone());
            }
        }
        let problems = self.history.clone().check(&log, mistaken, &claims);
        self.counts.mistaken += problems.iter().filter(|problem| problem.kind == Kind::Unasked).count() as u64;
        let problems = self.history.check(&log, record.clone(), &claims);
        self.counts.problems(cycle, problems);
        Ok(())
    }

    /// Waits until every server shows the end of the log, takes writes, and says so.
    async fn settle(&mut self) -> Result<()> {
        clients::converge(&self.shared, &self.target, &self.scopes, &self.history).await?;
        let target = &self.target;
        until("every server is healthy", PATIENCE, async || watch::all_healthy(target).await).await
    }

    /// Starts streams on all servers.
    pub fn streams(&mut self) -> FleetStreams {
        FleetStreams::start(&self.target, &self.scopes, &mut self.rng)
    }

    /// The servers that clients call.
    pub fn target(&self) -> &Target {
        &self.target
    }
}

/// The numbers of all servers.
pub const ALL: [usize; SERVERS] = [0, 1, 2];
