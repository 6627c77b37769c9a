//! Goals of own features: reads of one and of a hundred, against the typed read and against a figure of another server,
//! and a start with very many of them.

use std::time::Instant;

use anyhow::Result;

use super::scale::WRITERS;
use super::{CPU, Plan, disk, told};
use crate::comparison::Side;
use crate::contestants::{BATCH, Data, Feature};
use crate::load::{Concurrency, Until, closed_loop};
use crate::table::{Goal, Row};

/// The load of the reads.
const BUSY: Concurrency = Concurrency { connections: 10, streams: 32 };

/// The definitions of one owner.
const DEFINITIONS: usize = 10_000;

/// What a read of 100 toggles of Unleash Edge takes of a processor, in microseconds: a figure of another measurement on
/// such a machine.
const UNLEASH_EDGE_US: f64 = 500.0;

/// One own feature, and a hundred, each set on four levels, against the typed read of all features.
pub(super) async fn reads(plan: &Plan) -> Result<Vec<Row>> {
    let (one, hundred) = ("GetSettings of one own feature, Get", "GetSettings of 100 own features");
    let mut rows = Vec::new();
    if !plan.wants(one) && !plan.wants(hundred) {
        return Ok(rows);
    }
    let server = Feature::start(&disk()?, &[]).await?;
    closed_loop(&server.process.address, &server.define(), WRITERS, Until::Turn(100)).await?;
    server.set_own(100).await?;
    let (get, get_one, get_hundred) =
        (server.get().await?, server.get_own(Some(1)).await?, server.get_own(Some(100)).await?);
    let [get, get_one, get_hundred] =
        [&get, &get_one, &get_hundred].map(|call| Side { process: &server.process, call });
    if plan.wants(one) {
        rows.extend(plan.compare(one, [get_one, get], BUSY, &[(CPU, Goal::at_most(1.1))]).await?);
    }
    if plan.wants(hundred) {
        let samples = crate::comparison::compare(get_hundred, get, BUSY, plan.rounds, plan.round).await?;
        let cpu: Vec<_> = samples.iter().map(|(ours, _)| (ours.cpu_us, UNLEASH_EDGE_US)).collect();
        let what = format!("{hundred}, the figure for Unleash Edge: {}", CPU.name);
        rows.push(told(Row::ratio(what, CPU.unit, &cpu, Goal::at_most(0.1))));
    }
    Ok(rows)
}

/// A start with very many definitions, and users who set two of them.
pub(super) async fn start(plan: &Plan) -> Result<Vec<Row>> {
    let users = plan.users / BATCH * BATCH;
    let what = format!("{DEFINITIONS} own features, {users} users");
    if !plan.wants(&what) {
        return Ok(Vec::new());
    }
    let server = Data::new(&disk()?).await?.serve(&[]).await?;
    let address = &server.process.address;
    let defined = closed_loop(address, &server.define(), WRITERS, Until::Turn(DEFINITIONS)).await?;
    let set = server.set_own_of_many(DEFINITIONS);
    let written = closed_loop(address, &set, WRITERS, Until::Turn(users / BATCH)).await?;
    let data = server.stop().await?;
    let begun = Instant::now();
    let server = data.serve(&[]).await?;
    server.read_own_of(users - 1, DEFINITIONS).await?;
    let seconds = begun.elapsed().as_secs_f64();
    let row =
        |name, unit, value, most| told(Row::figure(format!("{what}: {name}"), unit, &[value], Goal::at_most(most)));
    let mebibytes = server.process.resident_bytes()? as f64 / f64::from(1 << 20);
    println!(
        "{what}: defined at {:.0} a second, {:.0} users written a second",
        defined.rate(),
        written.rate() * BATCH as f64
    );
    Ok(vec![
        row("seconds to the first answer after a clean stop", "s", seconds, 3.0),
        row("MiB of memory after the first answer", "MiB", mebibytes, 700.0),
    ])
}
