//! Goals of reading: the authenticated, inheriting read of a user for whom every feature is set on all levels.

use std::time::Duration;

use anyhow::{Result, ensure};

use super::{CPU, P99, Plan, RATE, disk, told};
use crate::comparison::{Side, in_turn};
use crate::contestants::{Etcd, Feature, bare, framed, message};
use crate::load::{Call, Check, Concurrency, Until, closed_loop, connect, open_loop};
use crate::table::{Goal, Row};

/// The loads of the main goal.
const LOADS: [Concurrency; 4] = [load(1, 1), load(10, 1), load(10, 32), load(50, 100)];

/// The load of the other goals.
const BUSY: Concurrency = load(10, 32);

/// The same connections with one call on each.
const ONE_EACH: Concurrency = load(10, 1);

/// The load of other clients during a read: this many Sets a second, by this many writers on this many connections.
const WRITES: f64 = 1_000.0;
const WRITERS: usize = 1_000;
const WRITING_CONNECTIONS: usize = 4;

/// The factor by which rounds with and without writes are longer than others. A server may defer work on writes for
/// some seconds, and that work must fall into the round.
const LONGER: u32 = 4;

/// The pause after a round with writes, so that deferred work does not fall into the next round.
const PUT_OFF: Duration = Duration::from_secs(4);

const fn load(connections: usize, streams: usize) -> Concurrency {
    Concurrency { connections, streams }
}

/// Against tonic alone, in the same build profile and with the same answer.
pub(super) async fn against_tonic(plan: &Plan) -> Result<Vec<Row>> {
    let name = |Concurrency { connections, streams }| format!("Get, tonic alone, c={connections} m={streams}");
    let loads: Vec<_> = LOADS.into_iter().filter(|load| plan.wants(&name(*load))).collect();
    let mut rows = Vec::new();
    if loads.is_empty() {
        return Ok(rows);
    }
    let server = Feature::start(&disk()?, &[]).await?;
    let call = server.get().await?;
    let baseline = bare("production", message(content(&call))?).await?;
    let sides = [Side { process: &server.process, call: &call }, Side { process: &baseline, call: &call }];
    let goals = [(CPU, Goal::at_most(1.45).aiming_at(1.20)), (RATE, Goal::at_least(0.70).aiming_at(0.85))];
    for load in loads {
        rows.extend(plan.compare(&name(load), sides, load, &goals).await?);
    }
    Ok(rows)
}

/// Against tonic alone in the default profile, with an answer of 104 bytes.
pub(super) async fn against_plain_tonic(plan: &Plan) -> Result<Vec<Row>> {
    let what = "Get, tonic alone in the default profile with 104 bytes";
    if !plan.wants(what) {
        return Ok(Vec::new());
    }
    let server = Feature::start(&disk()?, &[]).await?;
    let call = server.get().await?;
    let small = [b'x'; 104];
    let baseline = bare("release", &small).await?;
    let theirs = Call { check: Check::Same(framed(&small)), ..call.clone() };
    let sides = [Side { process: &server.process, call: &call }, Side { process: &baseline, call: &theirs }];
    plan.compare(what, sides, BUSY, &[(RATE, Goal::at_least(0.85).aiming_at(1.1))]).await
}

/// Against etcd's serializable range of a value of the same size.
pub(super) async fn against_etcd(plan: &Plan) -> Result<Vec<Row>> {
    let what = "Get, etcd Range";
    if !plan.wants(what) {
        return Ok(Vec::new());
    }
    let server = Feature::start(&disk()?, &[]).await?;
    let etcd = Etcd::start(&disk()?).await?;
    let get = server.get().await?;
    let range = etcd.range(message(content(&get))?.len()).await?;
    let sides = [Side { process: &server.process, call: &get }, Side { process: &etcd.process, call: &range }];
    let goals = [(RATE, Goal::at_least(3.0).aiming_at(5.0)), (CPU, Goal::at_most(0.30).aiming_at(0.20))];
    plan.compare(what, sides, BUSY, &goals).await
}

/// REST against gRPC, on the same server.
pub(super) async fn over_rest(plan: &Plan) -> Result<Vec<Row>> {
    let what = "REST Get, gRPC Get";
    if !plan.wants(what) {
        return Ok(Vec::new());
    }
    let server = Feature::start(&disk()?, &[]).await?;
    let (rest, grpc) = (server.rest_get().await?, server.get().await?);
    let sides = [&rest, &grpc].map(|call| Side { process: &server.process, call });
    plan.compare(what, sides, BUSY, &[(CPU, Goal::at_most(2.0).aiming_at(1.5))]).await
}

/// With the cache of verified tokens, against without it.
pub(super) async fn without_token_cache(plan: &Plan) -> Result<Vec<Row>> {
    let what = "Get, verifying the token at each request";
    if !plan.wants(what) {
        return Ok(Vec::new());
    }
    let cached = Feature::start(&disk()?, &[]).await?;
    let verified = Feature::start(&disk()?, &[("FEATURE_SERVER__AUTH__TOKEN_CACHE_ENTRIES", "0")]).await?;
    let (ours, theirs) = (cached.get().await?, verified.get().await?);
    let sides = [Side { process: &cached.process, call: &ours }, Side { process: &verified.process, call: &theirs }];
    plan.compare(what, sides, BUSY, &[(RATE, Goal::at_least(2.5))]).await
}

/// The latency at half the peak rate during writes, against the same rate without writes.
pub(super) async fn during_writes(plan: &Plan) -> Result<Vec<Row>> {
    let what = "Get at half the peak rate, with and without 1,000 Sets/s";
    if !plan.wants(what) {
        return Ok(Vec::new());
    }
    let server = Feature::start(&disk()?, &[]).await?;
    let (address, get, set) = (&server.process.address, server.get().await?, server.sets(WRITERS));
    // At a fixed rate, a connection carries one or two calls at a time, so the peak is measured with one call on each
    // connection; with many calls at once, a call costs far less. The lowest of three rates counts, since half of a
    // lucky peak might be most of the real one.
    let mut peak = f64::INFINITY;
    for _ in 0..3 {
        peak = peak.min(closed_loop(address, &get, ONE_EACH, Until::Elapsed(plan.round)).await?.rate());
    }
    ensure!(peak > 0.0, "not a single call was answered within a round: make the rounds longer");
    let round = plan.round * LONGER;
    let read = async |sockets| open_loop(sockets, &get, peak / 2.0, round).await;
    let write = async |sockets| {
        let written = open_loop(sockets, &set, WRITES, round).await?;
        ensure!(written.rate() > 0.9 * WRITES, "the server did not keep up with {WRITES} Sets/s");
        Ok(())
    };
    let disturbed = async || {
        let readers = connect(address, ONE_EACH.connections).await?;
        let writers = connect(address, WRITING_CONNECTIONS).await?;
        let (read, ()) = tokio::try_join!(read(readers), write(writers))?;
        tokio::time::sleep(PUT_OFF).await;
        Ok(read.p99_us())
    };
    let quiet = async || Ok(read(connect(address, ONE_EACH.connections).await?).await?.p99_us());
    let pairs = in_turn(plan.rounds, disturbed, quiet).await?;
    let what = format!("{what}: {}", P99.name);
    Ok(vec![told(Row::ratio(what, P99.unit, &pairs, Goal::at_most(2.0).aiming_at(1.3)))])
}

/// The body of the answer, which is always the same.
fn content(call: &Call) -> &[u8] {
    match &call.check {
        Check::Same(answer) => answer,
        Check::Each(_) => &[],
    }
}
