//! Goals of writing in a fleet: durable writes of one feature through one of its servers, each client to its own user.

use anyhow::Result;

use super::super::{Figure, P99, Plan, RATE, told};
use super::{disk, one_server};
use crate::comparison::{Side, in_turn};
use crate::contestants::{Etcd, Postgres, Standby};
use crate::load::{Concurrency, Until, closed_loop};
use crate::table::{Goal, Row};

/// The size of the value in etcd: about the size of a user's record.
const BYTES: usize = 64;

/// The number of nodes of etcd. Most of them have a write before it is acknowledged.
const NODES: usize = 3;

/// The load of many clients.
const MANY: Concurrency = Concurrency { connections: 64, streams: 1 };

/// The goals of many clients.
const GOALS: [(Figure, Goal); 2] = [(RATE, Goal::at_least(1.5)), (P99, Goal::at_most(1.0))];

/// The databases, with the words for them in a row.
const DATABASES: [(Standby, &str); 2] = [(Standby::None, "alone"), (Standby::Synchronous, "with a standby")];

/// A lone Set, against PostgreSQL's own commit of one row on the same database server.
pub(in super::super) async fn against_commits(plan: &Plan) -> Result<Vec<Row>> {
    let mut rows = Vec::new();
    for (standby, words) in DATABASES {
        let what = format!("fleet Set, PostgreSQL's commit, {words}: median");
        if !plan.wants(&what) {
            continue;
        }
        let postgres = Postgres::start(&disk()?, standby).await?;
        let (server, counter) = (one_server(&postgres).await?, postgres.counter().await?);
        let (address, set, one) = (&server.process.address, server.sets(1), Concurrency { connections: 1, streams: 1 });
        let set = async |until| anyhow::Ok(closed_loop(address, &set, one, until).await?.median_us());
        let commit = async |duration| anyhow::Ok(counter.commits(duration).await?.median_us());
        // Warms up both sides, so that one-time costs fall into no round.
        set(Until::Elapsed(plan.round / 4)).await?;
        commit(plan.round / 4).await?;
        let sets = async || set(Until::Elapsed(plan.round)).await;
        let pairs = in_turn(plan.rounds, sets, async || commit(plan.round).await).await?;
        rows.push(told(Row::ratio(what, "µs", &pairs, Goal::at_most(1.5))));
    }
    Ok(rows)
}

/// Many clients, against as many of an etcd of three nodes. They call its leader, which is the shortest way.
pub(in super::super) async fn against_etcd(plan: &Plan) -> Result<Vec<Row>> {
    let mut rows = Vec::new();
    for (standby, words) in DATABASES {
        let what = format!("fleet Set, etcd Put, 64 clients, {words}");
        if !plan.wants(&what) {
            continue;
        }
        let postgres = Postgres::start(&disk()?, standby).await?;
        let server = one_server(&postgres).await?;
        let etcd = Etcd::start_nodes(&disk()?, NODES).await?;
        let (sets, puts) = (server.sets(MANY.connections), Etcd::puts(MANY.connections, BYTES));
        let sides = [Side { process: &server.process, call: &sets }, Side { process: &etcd.process, call: &puts }];
        rows.extend(plan.compare(&what, sides, MANY, &GOALS).await?);
    }
    Ok(rows)
}
