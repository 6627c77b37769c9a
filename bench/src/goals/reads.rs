//! Goals of reading: the authenticated read of a user with inheritance, all levels set and everything switched on.

use std::time::Duration;

use anyhow::Result;
use tokio::task::JoinHandle;

use super::{CPU, P99, Plan, RATE, disk};
use crate::comparison::{Series, Side, compare};
use crate::contestants::{Etcd, Feature, bare};
use crate::load::{Call, Concurrency, Until, closed_loop, open_loop};
use crate::table::{Goal, Row};

/// The loads of the main goal.
const LOADS: [Concurrency; 4] = [load(1, 1), load(10, 1), load(10, 32), load(50, 100)];

/// The load of the other goals.
const BUSY: Concurrency = load(10, 32);

/// The length of the gRPC frame in front of a message.
const FRAME: usize = 5;

const fn load(connections: usize, streams: usize) -> Concurrency {
    Concurrency { connections, streams }
}

/// Against tonic alone: in the same build profile with the same answer, and in the default one with a small answer.
pub(super) async fn against_tonic(plan: &Plan) -> Result<Vec<Row>> {
    let mut rows = Vec::new();
    let name = |Concurrency { connections, streams }| format!("Get, tonic alone, c={connections} m={streams}");
    let small = "Get, tonic alone in the default profile with 104 bytes";
    if !LOADS.iter().any(|load| plan.wants(&name(*load))) && !plan.wants(small) {
        return Ok(rows);
    }
    let server = Feature::start(&disk()?, &[]).await?;
    let call = server.get().await?;
    let message = call.answer.as_ref().map(|answer| answer[FRAME..].to_vec()).unwrap_or_default();
    let same = bare("release", &message).await?;
    let ours = Side { process: &server.process, call: &call };
    for load in LOADS.into_iter().filter(|load| plan.wants(&name(*load))) {
        let baseline = Side { process: &same, call: &call };
        let rounds = compare(&ours, &baseline, load, plan.rounds, plan.round).await?;
        rows.push(CPU.row(&name(load), &rounds, Goal::AtMost(1.45)));
        rows.push(RATE.row(&name(load), &rounds, Goal::AtLeast(0.70)));
    }
    if plan.wants(small) {
        let plain = bare("plain", &[b'x'; 104]).await?;
        let unchecked = Call { answer: None, ..call.clone() };
        let baseline = Side { process: &plain, call: &unchecked };
        let rounds = compare(&ours, &baseline, BUSY, plan.rounds, plan.round).await?;
        rows.push(RATE.row(small, &rounds, Goal::AtLeast(0.85)));
    }
    Ok(rows)
}

/// Against etcd's serializable range of a value as large.
pub(super) async fn against_etcd(plan: &Plan) -> Result<Vec<Row>> {
    let what = "Get, etcd Range";
    if !plan.wants(what) {
        return Ok(Vec::new());
    }
    let server = Feature::start(&disk()?, &[]).await?;
    let etcd = Etcd::start(&disk()?).await?;
    let get = server.get().await?;
    let bytes = get.answer.as_ref().map_or(0, |answer| answer.len() - FRAME);
    let range = etcd.range(bytes).await?;
    let ours = Side { process: &server.process, call: &get };
    let baseline = Side { process: &etcd.process, call: &range };
    let rounds = compare(&ours, &baseline, BUSY, plan.rounds, plan.round).await?;
    Ok(vec![RATE.row(what, &rounds, Goal::AtLeast(3.0)), CPU.row(what, &rounds, Goal::AtMost(0.30))])
}

/// REST against gRPC, on the same server.
pub(super) async fn other_protocols(plan: &Plan) -> Result<Vec<Row>> {
    let what = "REST Get, gRPC Get";
    if !plan.wants(what) {
        return Ok(Vec::new());
    }
    let server = Feature::start(&disk()?, &[]).await?;
    let (rest, grpc) = (server.rest_get().await?, server.get().await?);
    let ours = Side { process: &server.process, call: &rest };
    let baseline = Side { process: &server.process, call: &grpc };
    let rounds = compare(&ours, &baseline, BUSY, plan.rounds, plan.round).await?;
    Ok(vec![CPU.row(what, &rounds, Goal::AtMost(2.0))])
}

/// With the cache of verified tokens against without.
pub(super) async fn without_token_cache(plan: &Plan) -> Result<Vec<Row>> {
    let what = "Get, verifying the token at each request";
    if !plan.wants(what) {
        return Ok(Vec::new());
    }
    let cached = Feature::start(&disk()?, &[]).await?;
    let verified = Feature::start(&disk()?, &[("FEATURE_SERVER__AUTH__TOKEN_CACHE_ENTRIES", "0")]).await?;
    let (ours, theirs) = (cached.get().await?, verified.get().await?);
    let ours = Side { process: &cached.process, call: &ours };
    let baseline = Side { process: &verified.process, call: &theirs };
    let rounds = compare(&ours, &baseline, BUSY, plan.rounds, plan.round).await?;
    Ok(vec![RATE.row(what, &rounds, Goal::AtLeast(2.5))])
}

/// The latency at half the peak rate while others write, against the same without writes.
pub(super) async fn during_writes(plan: &Plan) -> Result<Vec<Row>> {
    let what = "Get at half the peak rate, without 1,000 Sets a second";
    if !plan.wants(what) {
        return Ok(Vec::new());
    }
    let server = Feature::start(&disk()?, &[]).await?;
    let (address, call) = (&server.process.address, server.get().await?);
    let peak = closed_loop(address, &call, BUSY, Until::Elapsed(plan.round)).await?.rate();
    let quiet =
        async || anyhow::Ok(open_loop(address, &call, BUSY.connections, peak / 2.0, plan.round).await?.p99_us());
    let mut pairs = Vec::new();
    for _ in 0..plan.rounds {
        let alone = quiet().await?;
        let writer = write(address.clone(), server.sets(1), plan.round + Duration::from_millis(100));
        let disturbed = quiet().await?;
        writer.await??;
        pairs.push((disturbed, alone));
    }
    let figures = format!(
        "{:.0} µs against {:.0} µs at {:.0}/s",
        Series::of(pairs.iter().map(|pair| pair.0)).median,
        Series::of(pairs.iter().map(|pair| pair.1)).median,
        peak / 2.0
    );
    let value = Series::of(pairs.iter().map(|(disturbed, alone)| disturbed / alone));
    let row = Row { what: format!("{what}: {}", P99.name), value, goal: Goal::AtMost(2.0), figures };
    println!("{row}");
    Ok(vec![row])
}

/// A thousand writes a second.
fn write(address: String, call: Call, duration: Duration) -> JoinHandle<Result<()>> {
    tokio::spawn(async move { open_loop(&address, &call, 4, 1_000.0, duration).await.map(drop) })
}
