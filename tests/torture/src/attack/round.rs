//! One attack from start to end: quiet and attacked periods in turns, then the recovery.

use std::ops::Range;
use std::sync::{Arc, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use tokio::time::{sleep, timeout};

use super::attacker::{Attack, Attacker, Score};
use super::gauge::Gauge;
use super::tls;
use super::verdict::{Latency, Verdict};
use super::wire::Target;
use crate::attack::probe::{self, Call, Expected, Probe};
use crate::server::{Binary, Server};

/// The durations of an attack.
#[derive(Debug, Clone, Copy)]
pub struct Times {
    quiet: Duration,
    attack: Duration,
    /// The number of turns; a turn is a quiet period and an attacked period.
    turns: usize,
}

impl Times {
    /// The durations in CI.
    pub const SHORT: Self = Self { quiet: Duration::from_millis(600), attack: Duration::from_millis(1_200), turns: 1 };
    /// The durations for a release.
    pub const LONG: Self = Self { quiet: Duration::from_secs(3), attack: Duration::from_secs(10), turns: 3 };
}

/// If the good client is too slow, the round makes up to this many times as many turns. Noise of a busy machine passes;
/// an effect of the server stays.
const DOUBT: usize = 5;

/// The length of the parts whose median latency counts.
const PART: Duration = Duration::from_millis(200);

/// The time for the server to warm up.
const WARM_UP: Duration = Duration::from_millis(300);

/// A server that has not recovered after this time counts as not recovered.
const PATIENCE: Duration = Duration::from_secs(5);

/// The interval of checks.
const GLANCE: Duration = Duration::from_millis(10);

/// The number of consecutive calls that must be as quick as before.
const CALLS_IN_A_ROW: usize = 10;

/// The number of files that a store may open and close by itself.
const SPARE_DESCRIPTORS: usize = 2;

/// Makes an attack on a new server.
pub async fn run(binary: &Binary, attack: Attack, times: Times) -> Result<Verdict> {
    let folder = tempfile::tempdir()?;
    let mut binary = binary.clone();
    binary.environment.extend(attack.settings.iter().map(|&(name, value)| (name.to_owned(), value.to_owned())));
    let tls = if attack.tls { Some(tls::set_up(&mut binary, folder.path())?) } else { None };
    let server = binary.serve(&folder.path().join("data")).await?;
    // The attacker has another identity than the good client, so that limits of an identity do not affect the good
    // client.
    let token = server.token("--role IAM_OWNER --instance demo").await?.into();
    let good_target = Target { address: server.address().parse()?, token, tls };
    let token = server.token(attack.caller).await?.into();
    let target = Target { token, ..good_target.clone() };
    let gauge = Gauge::new(server.process_id().context("the server has ended")?);
    let probe = Probe::start(&good_target, Expected::Answer);
    sleep(WARM_UP).await;

    let mut turns = 0;
    let (mut quiet_times, mut attacked_times) = (Vec::new(), Vec::new());
    let (mut processor_time, mut attacked_for, mut refused) = (Duration::ZERO, Duration::ZERO, Vec::new());
    let score = Arc::<Score>::default();
    let mut before = None;
    let (quiet, mut attacker, open) = loop {
        let quiet_from = Instant::now();
        sleep(times.quiet).await;
        quiet_times.extend(parts(quiet_from..Instant::now()));
        if before.is_none() {
            gauge.forget_peak()?;
            before = Some((gauge.memory()?, gauge.descriptors()?));
        }

        let (used, attacked_from) = (gauge.processor_time()?, Instant::now());
        let mut attacker = Attacker::start(attack, &target, &score)?;
        let overloaded = if attack.overload { Some(probe::overloaded(&target).await?) } else { None };
        let measured_from = Instant::now();
        sleep(times.attack.max(attack.least)).await;
        let attacked_to = Instant::now();
        if let Some(overloaded) = overloaded {
            refused.extend(overloaded.stop()?);
        }
        attacked_for += attacked_to - attacked_from;
        attacked_times.extend(parts(measured_from..attacked_to));
        processor_time += gauge.processor_time()? - used;
        let open = gauge.descriptors()?;

        let calls = probe.calls();
        let quiet = Latency::of(&calls, &quiet_times);
        let is_slow = !Latency::of(&calls, &attacked_times).is_within(quiet)
            || (attack.overload && !Latency::of(&refused, &attacked_times).is_within(quiet));
        turns += 1;
        if turns == times.turns * DOUBT || (turns >= times.turns && !is_slow) {
            break (quiet, attacker, open);
        }
        attacker.let_go().await;
    };
    let (memory, descriptors) = before.context("there was a quiet time")?;

    if attack.let_go_within.is_some() {
        attacker.stop_connecting();
    } else {
        attacker.let_go().await;
    }
    let ended = Instant::now();
    let within = attack.let_go_within.unwrap_or(Verdict::RECOVERS_WITHIN);
    let recovered = recovery(&probe, &good_target, quiet, ended).await;
    let let_go = closing(&gauge, descriptors + SPARE_DESCRIPTORS, ended, within).await?;
    let peak = gauge.peak()?;
    attacker.let_go().await;
    let calls = probe.stop()?;
    let (status, log) = stopped(server).await;
    let finding = score.finding.lock().unwrap_or_else(PoisonError::into_inner).clone();
    Ok(Verdict {
        attack,
        rate: score.units() as f64 / attacked_for.as_secs_f64(),
        processor: processor_time.as_secs_f64() / attacked_for.as_secs_f64(),
        open: open.saturating_sub(descriptors),
        closed: score.closed(),
        memory: peak as i64 - memory as i64,
        quiet,
        attacked: Latency::of(&calls, &attacked_times),
        refused: attack.overload.then(|| Latency::of(&refused, &attacked_times)),
        recovered,
        let_go,
        failures: calls.into_iter().chain(refused).filter_map(|Call { failure, .. }| failure).collect(),
        finding,
        end: status,
        log,
    })
}

/// Splits a period into parts of equal length.
fn parts(whole: Range<Instant>) -> impl Iterator<Item = Range<Instant>> {
    let length = whole.end - whole.start;
    let count = (length.as_millis() / PART.as_millis()).max(1) as u32;
    (0..count).map(move |number| {
        let at = |number| whole.start + length * number / count;
        at(number)..at(number + 1)
    })
}

/// The time until the good client's calls are as quick as before and a new client can connect; `None` if that never
/// happens.
async fn recovery(probe: &Probe, target: &Target, quiet: Latency, since: Instant) -> Option<Duration> {
    while since.elapsed() < PATIENCE {
        sleep(GLANCE).await;
        let mut calls = probe.calls();
        calls.retain(|call| call.due >= since);
        let quick =
            |calls: &[Call]| calls.iter().all(|call| call.failure.is_none() && Latency(call.took).is_within(quiet));
        if calls.windows(CALLS_IN_A_ROW).any(quick)
            && timeout(PATIENCE, probe::call_once(target)).await.is_ok_and(|call| call.is_ok())
        {
            return Some(since.elapsed());
        }
    }
    None
}

/// The time until the server has closed the attacker's connections; `None` if it does not close them.
async fn closing(gauge: &Gauge, descriptors: usize, since: Instant, within: Duration) -> Result<Option<Duration>> {
    while gauge.descriptors()? > descriptors {
        if since.elapsed() > within + PATIENCE {
            return Ok(None);
        }
        sleep(GLANCE).await;
    }
    Ok(Some(since.elapsed()))
}

/// Stops the server. Returns the error of its end, if any, and its log.
async fn stopped(server: Server) -> (Option<String>, String) {
    match server.stop().await {
        Ok(log) => (None, log),
        Err(error) => (Some(format!("{error:#}")), String::new()),
    }
}
