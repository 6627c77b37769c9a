//! Watches the health of the servers all the time: reads must not count as old before they are.
//!
//! A server is ready while it has proved within [a time](MAX_STALENESS) that its view is whole. So it may say that it
//! is not ready only when the database was away for about that long.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::Result;
use tokio::task::JoinHandle;
use tokio::time::{sleep, timeout};
use tonic::transport::{Channel, Endpoint};
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_client::HealthClient;

use super::clients::{SERVERS, Shared, Target};
use super::record::Nanos;
use super::replicas::MAX_STALENESS;
use crate::health::readyz;

/// The service whose health says whether reads are fresh, and the one that says whether writes are taken.
const READS: &str = "zitadel.feature.v2.FeatureService";
const WRITES: &str = "zitadel.feature.v2.FeatureService.writes";

/// The time between two looks.
const LOOK: Duration = Duration::from_millis(40);

/// How long the database must have been away at least when a server says that it is not ready: its bound, without the
/// time between two proofs, and without that of a proof which was under way.
const READY_FOR: Duration = MAX_STALENESS.saturating_sub(Duration::from_secs(3));

/// How long a server may take to be ready again.
const READY_AGAIN: Duration = Duration::from_secs(5);

/// What a server said of its health.
#[derive(Debug, Clone, Copy)]
pub struct Sample {
    pub server: usize,
    /// When it was asked, and when it had answered.
    pub from: Nanos,
    pub to: Nanos,
    /// The health of reads; `None` without an answer.
    pub reads: Option<bool>,
    /// The status of `/readyz`.
    pub readyz: Option<u16>,
}

/// The watchers, one for each server.
pub struct Watch {
    stopping: Arc<AtomicBool>,
    tasks: Vec<JoinHandle<Vec<Sample>>>,
}

/// A time in which the database, or a server, was away.
#[derive(Debug, Clone, Copy)]
pub struct Outage {
    /// The server that it concerns; `None`: all.
    pub server: Option<usize>,
    pub from: Nanos,
    pub to: Nanos,
    /// Whether the server itself did not run.
    pub is_down: bool,
}

impl Watch {
    /// Watches all servers until [`Self::stop`].
    pub fn start(shared: &Arc<Shared>, target: &Target, monitoring: &[String]) -> Result<Self> {
        let stopping = Arc::new(AtomicBool::new(false));
        let watch = |server: usize| {
            let channel = Endpoint::from_shared(format!("http://{}", target.addresses[server]))?.connect_lazy();
            Ok(tokio::spawn(watch(server, channel, monitoring[server].clone(), shared.clone(), stopping.clone())))
        };
        let tasks = (0..SERVERS).map(watch).collect::<Result<_>>()?;
        Ok(Self { stopping, tasks })
    }

    /// Ends watching. Returns all that was seen.
    pub async fn stop(self) -> Result<Vec<Sample>> {
        self.stopping.store(true, Ordering::Relaxed);
        let mut samples = Vec::new();
        for task in self.tasks {
            samples.extend(task.await?);
        }
        Ok(samples)
    }
}

/// What is wrong with the health of servers through these outages. At most one for each server.
pub fn problems(samples: &[Sample], outages: &[Outage]) -> Vec<String> {
    let mut problems: Vec<String> = Vec::new();
    for server in 0..SERVERS {
        let mut own = samples.iter().filter(|sample| sample.server == server);
        if let Some(sample) = own.find(|sample| is_wrong(sample, outages)) {
            problems.push(format!("server {server} is not ready without a reason: {sample:?}, outages: {outages:?}"));
        }
    }
    problems
}

fn is_wrong(sample: &Sample, outages: &[Outage]) -> bool {
    let is_unready = sample.reads != Some(true) || sample.readyz != Some(200);
    let nanos = |time: Duration| u64::try_from(time.as_nanos()).expect("a few seconds");
    let explains = |outage: &&Outage| {
        let from = if outage.is_down { outage.from } else { outage.from + nanos(READY_FOR) };
        outage.server.is_none_or(|server| server == sample.server)
            && from < sample.to
            && sample.from < outage.to + nanos(READY_AGAIN)
            && (outage.is_down || sample.readyz.is_some())
    };
    is_unready && !outages.iter().any(|outage| explains(&outage))
}

async fn watch(
    server: usize,
    channel: Channel,
    monitoring: String,
    shared: Arc<Shared>,
    stopping: Arc<AtomicBool>,
) -> Vec<Sample> {
    let mut samples = Vec::new();
    let mut client = HealthClient::new(channel);
    while !stopping.load(Ordering::Relaxed) {
        let from = shared.now();
        let reads = status(&mut client, READS).await;
        let readyz = timeout(Duration::from_secs(2), readyz(&monitoring)).await.ok().flatten();
        shared.ready[server].store(reads == Some(true), Ordering::Relaxed);
        samples.push(Sample { server, from, to: shared.now(), reads, readyz });
        sleep(LOOK).await;
    }
    samples
}

async fn status(client: &mut HealthClient<Channel>, service: &str) -> Option<bool> {
    let request = HealthCheckRequest { service: service.to_owned() };
    let answer = timeout(Duration::from_secs(2), client.check(request)).await.ok()?.ok()?;
    Some(answer.into_inner().status() == ServingStatus::Serving)
}

/// Whether every server says that its reads are fresh and that it takes writes.
pub async fn all_healthy(target: &Target) -> Result<bool> {
    for address in &target.addresses {
        let channel = Endpoint::from_shared(format!("http://{address}"))?.connect_lazy();
        let mut client = HealthClient::new(channel);
        for service in ["", READS, WRITES] {
            if status(&mut client, service).await != Some(true) {
                return Ok(false);
            }
        }
    }
    Ok(true)
}
