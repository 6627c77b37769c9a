//! One attack from beginning to end: a quiet time, the attack, and what comes after it.

use std::sync::PoisonError;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use tokio::time::{sleep, timeout};

use super::attacker::{Attack, Attacker};
use super::gauge::Gauge;
use super::good::{self, Call, Good, p99};
use super::verdict::{Latency, Verdict};
use super::wire::Target;
use crate::server::{Binary, Server};

/// How long things take.
#[derive(Debug, Clone, Copy)]
pub struct Times {
    quiet: Duration,
    attack: Duration,
}

impl Times {
    /// As CI runs it.
    pub const SHORT: Self = Self { quiet: Duration::from_millis(1_500), attack: Duration::from_millis(1_500) };
    /// As releases are checked.
    pub const LONG: Self = Self { quiet: Duration::from_secs(10), attack: Duration::from_secs(30) };
}

/// The time in which a server gets warm.
const WARM_UP: Duration = Duration::from_millis(500);

/// What recovers later than this is told as not recovered.
const PATIENCE: Duration = Duration::from_secs(5);

/// How often it is looked at.
const GLANCE: Duration = Duration::from_millis(10);

/// So many calls in a row have to be as quick as before.
const CALLS_IN_A_ROW: usize = 10;

/// Files that a store may open and close by itself.
const SPARE_DESCRIPTORS: usize = 2;

/// Makes an attack on a new server.
pub async fn run(binary: &Binary, attack: Attack, times: Times) -> Result<Verdict> {
    let folder = tempfile::tempdir()?;
    let mut binary = binary.clone();
    binary.environment.extend(attack.settings.iter().map(|&(name, value)| (name.to_owned(), value.to_owned())));
    let server = binary.serve(folder.path()).await?;
    let token = server.token("--role IAM_OWNER --instance demo").await?.into();
    let target = Target { address: server.address().parse()?, token };
    let gauge = Gauge::new(server.process_id().context("the server has ended")?);
    let good = Good::start(&target);
    sleep(WARM_UP).await;

    let quiet_from = Instant::now();
    sleep(times.quiet).await;
    gauge.forget_peak()?;
    let (memory, descriptors, used) = (gauge.memory()?, gauge.descriptors()?, gauge.processor_time()?);

    let attacked_from = Instant::now();
    let mut attacker = Attacker::start(attack, &target)?;
    sleep(times.attack.max(attack.least)).await;
    let attacked_to = Instant::now();
    let lasted = attacked_to - attacked_from;
    let units = attacker.score().units.load(Ordering::Relaxed);
    let open = gauge.descriptors()?.saturating_sub(descriptors);
    let processor = (gauge.processor_time()? - used).as_secs_f64() / lasted.as_secs_f64();
    let quiet = good.calls(quiet_from, attacked_from);
    if attack.let_go_within.is_some() {
        attacker.stop_connecting();
    } else {
        attacker.let_go().await;
    }
    let ended = Instant::now();
    let within = attack.let_go_within.unwrap_or(Verdict::RECOVERS_WITHIN);
    let recovered = recovery(&good, &target, p99(&quiet), ended).await;
    let let_go = closing(&gauge, descriptors + SPARE_DESCRIPTORS, ended, within).await?;
    let peak = gauge.peak()?;
    attacker.let_go().await;
    let score = attacker.score();
    let calls = good.stop()?;
    let attacked = Latency::of(calls.iter().filter(|call| (attacked_from..attacked_to).contains(&call.due)));
    let (status, log) = stopped(server).await;
    Ok(Verdict {
        attack,
        rate: units as f64 / lasted.as_secs_f64(),
        processor,
        open,
        closed: score.closed.load(Ordering::Relaxed),
        memory: peak as i64 - memory as i64,
        quiet: Latency::of(&quiet),
        attacked,
        recovered,
        let_go,
        failures: calls.into_iter().filter_map(|Call { failure, .. }| failure).collect(),
        finding: score.finding.lock().unwrap_or_else(PoisonError::into_inner).clone(),
        end: status,
        log,
    })
}

/// The time until the good client's calls are as quick as before, and a new client gets in; none if they don't.
async fn recovery(good: &Good, target: &Target, quiet: Duration, since: Instant) -> Option<Duration> {
    let longest = Latency::bound(quiet);
    while since.elapsed() < PATIENCE {
        sleep(GLANCE).await;
        let calls = good.calls(since, Instant::now());
        let quick = |calls: &[Call]| calls.iter().all(|call| call.failure.is_none() && call.took <= longest);
        if calls.windows(CALLS_IN_A_ROW).any(quick)
            && timeout(PATIENCE, good::call_once(target)).await.is_ok_and(|call| call.is_ok())
        {
            return Some(since.elapsed());
        }
    }
    None
}

/// The time until the server has closed the attacker's connections; none if it doesn't.
async fn closing(gauge: &Gauge, descriptors: usize, since: Instant, within: Duration) -> Result<Option<Duration>> {
    while gauge.descriptors()? > descriptors {
        if since.elapsed() > within + PATIENCE {
            return Ok(None);
        }
        sleep(GLANCE).await;
    }
    Ok(Some(since.elapsed()))
}

/// How the server ended, and what it has logged.
async fn stopped(server: Server) -> (Option<String>, String) {
    match server.stop().await {
        Ok(log) => (None, log),
        Err(error) => (Some(format!("{error:#}")), String::new()),
    }
}
