//! Goals of writing: durable writes of one feature, each client to its own user.

use anyhow::Result;

use super::{P99, Plan, RATE, disk};
use crate::comparison::Side;
use crate::contestants::{Etcd, Feature};
use crate::load::Concurrency;
use crate::table::{Goal, Row};

/// The size of the value in etcd: about the size of a user's record.
const BYTES: usize = 64;

/// The numbers of clients, each with its own connection.
const CLIENTS: [usize; 3] = [1, 64, 256];

/// Against etcd's Put.
pub(super) async fn against_etcd(plan: &Plan) -> Result<Vec<Row>> {
    let mut rows = Vec::new();
    for clients in CLIENTS {
        let what = format!("Set, etcd Put, {clients} client{}", if clients == 1 { "" } else { "s" });
        if !plan.wants(&what) {
            continue;
        }
        let server = Feature::start(&disk()?, &[]).await?;
        let etcd = Etcd::start(&disk()?).await?;
        let (sets, puts) = (server.sets(clients), Etcd::puts(clients, BYTES));
        let sides = [Side { process: &server.process, call: &sets }, Side { process: &etcd.process, call: &puts }];
        let alone = [(RATE, Goal::at_least(0.9).aiming_at(1.3))];
        let together = [(RATE, Goal::at_least(1.8).aiming_at(2.5)), (P99, Goal::at_most(0.6))];
        let goals = if clients == 1 { &alone[..] } else { &together };
        rows.extend(plan.compare(&what, sides, Concurrency { connections: clients, streams: 1 }, goals).await?);
    }
    Ok(rows)
}
