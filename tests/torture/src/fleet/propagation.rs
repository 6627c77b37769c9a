//! How long a write takes to the other servers, while clients write a thousand times a second on three of them.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use fastrand::Rng;
use tokio::task::JoinSet;
use tokio::time::{Instant, MissedTickBehavior, interval};

use super::by_hand::Fleet;
use super::clients::{Caller, SERVERS, Shared, Target};
use super::record::{Answer, Asks, Record};
use crate::workload::feature::{Layer, Scope, Value};
use crate::workload::write::{Operation, Set, Write};

/// The writes a second of all servers, and the clients of each that share them.
const RATE: u32 = 1_000;
const WRITERS: u32 = 12;

/// How long it is measured.
const DURATION: Duration = Duration::from_secs(8);

/// The time between two writes that are followed to the other servers.
const PROBE: Duration = Duration::from_millis(20);

/// Measures, and adds the figures to the report.
pub async fn measure(fleet: &mut Fleet) -> Result<()> {
    let harness = &mut fleet.harness;
    let (shared, target, stopping) =
        (harness.shared.clone(), harness.target().clone(), Arc::new(AtomicBool::new(false)));
    let mut tasks = JoinSet::new();
    for writer in 0..WRITERS as usize * SERVERS {
        let caller = Caller::new(shared.clone(), &target, writer % SERVERS, Rng::new())?;
        tasks.spawn(write(caller, Scope::user("instance-0", format!("busy-{writer}")), stopping.clone()));
    }
    let begin = Instant::now();
    let probed = probe(&shared, &target, begin + DURATION).await;
    stopping.store(true, Ordering::Relaxed);
    let (mut record, mut after_send, mut after_answer) = probed?;
    while let Some(ended) = tasks.join_next().await {
        record.extend(ended.context("a writer failed")?);
    }
    let rate = record.acknowledged() as f64 / begin.elapsed().as_secs_f64();
    harness.check("propagation", &record, &fleet.cluster.client().await?, &[]).await?;
    ensure!(!after_send.is_empty(), "no write was followed");
    let [sent, answered] = [percentiles(&mut after_send), percentiles(&mut after_answer)];
    let text =
        format!("at {rate:.0} Sets/s another server has a write {answered} after its answer, {sent} after it was sent");
    harness.counts.figure(text);
    Ok(())
}

/// Sets and changes a flag, at its part of the rate.
async fn write(mut caller: Caller, scope: Scope, stopping: Arc<AtomicBool>) -> Record {
    let mut ticks = interval(Duration::from_secs(1) * WRITERS * SERVERS as u32 / RATE);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
    let mut enabled = false;
    while !stopping.load(Ordering::Relaxed) {
        ticks.tick().await;
        enabled = !enabled;
        caller.write(&scope, flag(enabled)).await;
    }
    caller.record
}

/// Writes on one server, and waits for each write on the next one. Returns the times since it was sent, and since it
/// was answered.
async fn probe(shared: &Arc<Shared>, target: &Target, end: Instant) -> Result<(Record, Vec<Duration>, Vec<Duration>)> {
    let callers = (0..SERVERS).map(|server| Caller::new(shared.clone(), target, server, Rng::new()));
    let mut callers = callers.collect::<Result<Vec<_>>>()?;
    let (mut after_send, mut after_answer) = (Vec::new(), Vec::new());
    let scope = Scope::user("instance-1", "followed");
    let mut ticks = interval(PROBE);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    for number in 0_usize.. {
        ticks.tick().await;
        if Instant::now() > end {
            break;
        }
        let sent = Instant::now();
        let answer = callers[number % SERVERS].write(&scope, flag(number.is_multiple_of(2))).await;
        let Answer::Acknowledged(_, Some(place)) = *answer else { continue };
        let answered = Instant::now();
        if callers[(number + 1) % SERVERS].read(&scope, Asks::AtLeast(place)).await.is_some() {
            after_send.push(sent.elapsed());
            after_answer.push(answered.elapsed());
        }
    }
    let mut record = Record::default();
    callers.into_iter().for_each(|caller| record.extend(caller.record));
    Ok((record, after_send, after_answer))
}

fn flag(enabled: bool) -> Write {
    let set = Set { features: Layer::from([("actions", Value::Flag(enabled))]), ..Set::default() };
    Write { operation: Operation::Set(set), organization: None }
}

fn percentiles(times: &mut [Duration]) -> String {
    times.sort_unstable();
    let at = |percent: usize| times[(times.len() - 1) * percent / 100].as_secs_f64() * 1000.0;
    format!("{:.1} ms (p50) and {:.1} ms (p99)", at(50), at(99))
}
