//! Goals with many users: the time of a start, the memory, and the cost of the first read of a user.

use std::time::Instant;

use anyhow::Result;

use super::{P99, Plan, disk, told};
use crate::comparison::Side;
use crate::contestants::{Data, Feature};
use crate::load::{Client, Concurrency, Until, closed_loop};
use crate::table::{Goal, Row};

/// The load that writes the users.
pub(super) const WRITERS: Concurrency = Concurrency { connections: 16, streams: 32 };

/// The load that reads them.
const READERS: Concurrency = Concurrency { connections: 10, streams: 1 };

/// The bounds for this number of users.
struct Bounds {
    clean_start_s: f64,
    rebuilt_start_s: f64,
    memory_mebibytes: f64,
}

impl Bounds {
    fn of(users: usize) -> Self {
        if users <= 1_000_000 {
            Self { clean_start_s: 3.0, rebuilt_start_s: 10.0, memory_mebibytes: 600.0 }
        } else {
            // The default cache of 2 GiB, and the memory of sled's nodes beside their bytes.
            Self { clean_start_s: 30.0, rebuilt_start_s: 100.0, memory_mebibytes: 3_072.0 }
        }
    }
}

/// Writes the users, restarts the server in several ways, and reads the users.
pub(super) async fn many_users(plan: &Plan) -> Result<Vec<Row>> {
    let users = plan.users;
    let what = format!("{users} users");
    if !plan.wants(&what) {
        return Ok(Vec::new());
    }
    let server = Data::new(&disk()?).await?.serve(&[]).await?;
    let written = closed_loop(&server.process.address, &server.set_of_many(), WRITERS, Until::Turn(users)).await?;
    let data = server.stop().await?;
    let (data, seconds) = start(data, users).await?;
    let bounds = Bounds::of(users);
    let row =
        |name, unit, value, most| told(Row::figure(format!("{what}: {name}"), unit, &[value], Goal::at_most(most)));
    let mut rows = vec![row("seconds to the first answer after a clean stop", "s", seconds, bounds.clean_start_s)];
    let data = data.stop().await?;
    data.remove_projection()?;
    let (server, seconds) = start(data, users).await?;
    rows.push(row("seconds to the first answer without a projection", "s", seconds, bounds.rebuilt_start_s));
    let server = server.stop().await?.serve(&[]).await?;
    let hot = server.get_of_many(|_| 0);
    let any = server.get_of_many(move |turn| scattered(turn) % users);
    let sides = [&any, &hot].map(|call| Side { process: &server.process, call });
    let read = format!("{what}, any of them, the same one");
    rows.extend(plan.compare(&read, sides, READERS, &[(P99, Goal::at_most(2.0))]).await?);
    let mebibytes = server.process.resident_bytes()? as f64 / f64::from(1 << 20);
    rows.push(row("MiB of memory after reading", "MiB", mebibytes, bounds.memory_mebibytes));
    println!("{what} were written at {:.0} a second", written.rate());
    Ok(rows)
}

/// Starts a server. Returns the seconds until it has answered a call.
pub(super) async fn start(data: Data, users: usize) -> Result<(Feature, f64)> {
    let begun = Instant::now();
    let server = data.serve(&[]).await?;
    let last = server.get_of_many(move |_| users - 1);
    Client::connect(&server.process.address).await?.call(&last, users - 1).await?;
    Ok((server, begun.elapsed().as_secs_f64()))
}

/// A pseudo-random number that is the same in every run (the finalizer of SplitMix64).
fn scattered(turn: usize) -> usize {
    let mut x = (turn as u64).wrapping_add(0x9e37_79b9_7f4a_7c15);
    x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    (x ^ (x >> 31)) as usize
}
