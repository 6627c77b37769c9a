//! Goals of watches: what a stream takes, how fast one event comes to all of them, and what writers notice.

use std::time::Duration;

use anyhow::Result;

use super::{Plan, RATE, disk, told};
use crate::comparison::Side;
use crate::contestants::{Etcd, Feature};
use crate::load::{Client, Concurrency, Watchers};
use crate::table::{Goal, Row};

/// The streams.
const CONNECTIONS: usize = 100;
const STREAMS: usize = 100;

/// The events of a round: enough for the clock of the processor time.
const EVENTS: usize = 5;

/// All streams are of one identity, which may have a quarter of this.
const ALL_OF_ONE: (&str, &str) = ("FEATURE_SERVER__LIMITS__WATCHES", "80000");

/// The load of writers beside watches.
const WRITERS: Concurrency = Concurrency { connections: 4, streams: 16 };

/// One event to all streams, beside as many watches of etcd.
pub(super) async fn one_event_to_all(plan: &Plan) -> Result<Vec<Row>> {
    let what = |figure: &str| format!("{} watches, {figure}", CONNECTIONS * STREAMS);
    let figures = ["KiB of memory each", "ms to the p99 of them", "CPU a message", "etcd watches: ms to the p99"];
    if !figures.iter().any(|figure| plan.wants(&what(figure))) {
        return Ok(Vec::new());
    }
    let server = Feature::start(&disk()?, &[ALL_OF_ONE]).await?;
    let etcd = Etcd::start(&disk()?).await?;
    let writer = Client::connect(&server.process.address).await?;
    let etcd_writer = Client::connect(&etcd.process.address).await?;
    // What the first stream brings with it costs the others nothing.
    drop(Watchers::open(&server.process.address, 1, 1, || server.watch("demo"), true).await?);
    let before = server.process.resident_bytes()?;
    let mut ours = Watchers::open(&server.process.address, CONNECTIONS, STREAMS, || server.watch("demo"), true).await?;
    let mut theirs = Watchers::open(&etcd.process.address, CONNECTIONS, STREAMS, Etcd::watch, false).await?;
    let (mut p99, mut cpu, mut pairs) = (Vec::new(), Vec::new(), Vec::new());
    for round in 0..plan.rounds {
        let (mut of_round, mut of_etcd) = (Vec::new(), Vec::new());
        let begun = server.process.cpu()?;
        for event in 0..EVENTS {
            // Everything is on at first.
            let set = server.set_watched("demo", !(round * EVENTS + event).is_multiple_of(2));
            of_round.push(percentile_ms(&ours.one_event(writer.answer(set)).await?));
        }
        let used = server.process.cpu()? - begun;
        cpu.push(used.as_secs_f64() * 1e6 / (EVENTS * ours.count()) as f64);
        for event in 0..EVENTS {
            let put = Etcd::put_watched((round * EVENTS + event) as u8);
            of_etcd.push(percentile_ms(&theirs.one_event(etcd_writer.answer(put)).await?));
        }
        p99.push(median(&mut of_round));
        pairs.push((median(&mut of_round), median(&mut of_etcd)));
    }
    // Now, since the allocator keeps for some seconds what the requests took.
    let each = server.process.resident_bytes()?.saturating_sub(before) as f64 / ours.count() as f64;
    let figure = |name, unit, values: &[f64], most| told(Row::figure(what(name), unit, values, Goal::at_most(most)));
    Ok(vec![
        figure(figures[0], "KiB", &[each / 1024.0], 4.0),
        figure(figures[1], "ms", &p99, 70.0),
        figure(figures[2], "µs", &cpu, 8.0),
        told(Row::ratio(what(figures[3]), "ms", &pairs, Goal::at_most(1.0))),
    ])
}

/// Writers of one instance beside watches of another one, against writers alone.
pub(super) async fn beside_writers(plan: &Plan) -> Result<Vec<Row>> {
    let what = format!("Sets beside {} watches of another instance", CONNECTIONS * STREAMS);
    if !plan.wants(&what) {
        return Ok(Vec::new());
    }
    let (watched, alone) = (Feature::start(&disk()?, &[ALL_OF_ONE]).await?, Feature::start(&disk()?, &[]).await?);
    let watch = || watched.watch("other");
    let _watchers = Watchers::open(&watched.process.address, CONNECTIONS, STREAMS, watch, true).await?;
    let writers = WRITERS.connections * WRITERS.streams;
    let (ours, baseline) = (watched.sets(writers), alone.sets(writers));
    let ours = Side { process: &watched.process, call: &ours };
    let baseline = Side { process: &alone.process, call: &baseline };
    plan.compare(&what, [ours, baseline], WRITERS, &[(RATE, Goal::at_least(1.0 / 1.05))]).await
}

/// The 99th percentile of sorted durations, in milliseconds.
fn percentile_ms(sorted: &[Duration]) -> f64 {
    sorted[sorted.len() * 99 / 100].as_secs_f64() * 1e3
}

fn median(values: &mut [f64]) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}
