//! Goals of writing: durable writes of one feature, by clients that write to users of their own.

use anyhow::Result;

use super::{P99, Plan, RATE, disk};
use crate::comparison::{Side, compare};
use crate::contestants::{Etcd, Feature};
use crate::load::Concurrency;
use crate::table::{Goal, Row};

/// The size of what etcd stores: about that of the record of a user.
const BYTES: usize = 64;

/// Clients, the least ratio of the rates, and the largest of the latencies where there is one.
const GOALS: [(usize, f64, Option<f64>); 3] = [(1, 0.9, None), (64, 1.8, Some(0.6)), (256, 1.8, Some(0.6))];

/// Against etcd's Put.
pub(super) async fn against_etcd(plan: &Plan) -> Result<Vec<Row>> {
    let mut rows = Vec::new();
    for (clients, rate, p99) in GOALS {
        let what = format!("Set, etcd Put, {clients} client{}", if clients == 1 { "" } else { "s" });
        if !plan.wants(&what) {
            continue;
        }
        let server = Feature::start(&disk()?, &[]).await?;
        let etcd = Etcd::start(&disk()?).await?;
        let (sets, puts) = (server.sets(clients), Etcd::puts(clients, BYTES));
        let ours = Side { process: &server.process, call: &sets };
        let baseline = Side { process: &etcd.process, call: &puts };
        let concurrency = Concurrency { connections: clients, streams: 1 };
        let rounds = compare(&ours, &baseline, concurrency, plan.rounds, plan.round).await?;
        rows.push(RATE.row(&what, &rounds, Goal::AtLeast(rate)));
        rows.extend(p99.map(|most| P99.row(&what, &rounds, Goal::AtMost(most))));
    }
    Ok(rows)
}
