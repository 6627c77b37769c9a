//! Goals of reading in a fleet: a Get costs what it costs on a server alone, and servers do not slow each other down.

use std::time::Duration;

use anyhow::{Result, ensure};

use super::super::{CPU, Plan, told};
use super::{disk, one_server};
use crate::comparison::{Side, in_turn};
use crate::contestants::{Feature, Postgres, Standby};
use crate::load::{Call, Concurrency, Until, closed_loop_on, connect};
use crate::table::{Goal, Row};

/// The loads of the comparison with a server alone.
const LOADS: [Concurrency; 2] =
    [Concurrency { connections: 1, streams: 1 }, Concurrency { connections: 10, streams: 32 }];

/// The load on each server of several.
const EACH: Concurrency = Concurrency { connections: 10, streams: 32 };

/// The sizes of the fleets that are compared with a single server.
const SIZES: [usize; 2] = [3, 5];

/// A server of a fleet, against one with a store of its own.
pub(in super::super) async fn against_embedded(plan: &Plan) -> Result<Vec<Row>> {
    let name = |load: Concurrency| format!("fleet Get, embedded Get, c={} m={}", load.connections, load.streams);
    let loads: Vec<_> = LOADS.into_iter().filter(|load| plan.wants(&name(*load))).collect();
    let mut rows = Vec::new();
    if loads.is_empty() {
        return Ok(rows);
    }
    let postgres = Postgres::start(&disk()?, Standby::None).await?;
    let server = one_server(&postgres).await?;
    let embedded = Feature::start(&disk()?, &[]).await?;
    let (ours, theirs) = (server.get().await?, embedded.get().await?);
    let sides = [Side { process: &server.process, call: &ours }, Side { process: &embedded.process, call: &theirs }];
    for load in loads {
        rows.extend(plan.compare(&name(load), sides, load, &[(CPU, Goal::at_most(1.02))]).await?);
    }
    Ok(rows)
}

/// Several servers of a fleet, against a fleet of one, by the processor time of a Get. With a machine for each server,
/// the rate grows by this ratio times their number.
pub(in super::super) async fn of_many_servers(plan: &Plan) -> Result<Vec<Row>> {
    let name = |size: usize| format!("fleet Get, {size} servers, 1 server");
    let sizes: Vec<_> = SIZES.into_iter().filter(|size| plan.wants(&name(*size))).collect();
    let mut rows = Vec::new();
    for size in sizes {
        let postgres = Postgres::start(&disk()?, Standby::None).await?;
        let one = one_server(&postgres).await?;
        let many = Feature::start_fleet(&disk()?, postgres.database("many").await?, size).await?;
        let (theirs, ours) = (one.get().await?, many[0].get().await?);
        let one = [one];
        // Warms up both sides, so that one-time costs fall into no round.
        for (servers, call) in [(&one[..], &theirs), (&many, &ours)] {
            gets_per_cpu_second(servers, call, plan.round / 4).await?;
        }
        let pairs = in_turn(
            plan.rounds,
            async || gets_per_cpu_second(&many, &ours, plan.round).await,
            async || gets_per_cpu_second(&one, &theirs, plan.round).await,
        )
        .await?;
        let what = format!("{}: calls per second of CPU", name(size));
        rows.push(told(Row::ratio(what, "/s", &pairs, Goal::at_least(0.9))));
    }
    Ok(rows)
}

/// Makes calls to all servers at once. Returns the number of calls for each second of their processor time.
async fn gets_per_cpu_second(servers: &[Feature], call: &Call, round: Duration) -> Result<f64> {
    let cpu = || servers.iter().map(|server| server.process.cpu()).sum::<Result<Duration>>();
    let mut sockets = Vec::new();
    for _ in 0..EACH.connections {
        for server in servers {
            sockets.extend(connect(&server.process.address, 1).await?);
        }
    }
    let before = cpu()?;
    let measured = closed_loop_on(sockets, call, EACH.streams, Until::Elapsed(round)).await?;
    ensure!(measured.calls > 0, "not a single call was answered within a round: make the rounds longer");
    Ok(measured.calls as f64 / (cpu()? - before).as_secs_f64())
}
