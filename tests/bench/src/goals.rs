//! The goals, one after the other, each with its baseline.

mod fleet;
mod history;
mod own_features;
mod reads;
mod scale;
mod watch;
mod writes;

use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, Result};

use crate::comparison::{Sample, Side, compare};
use crate::load::Concurrency;
use crate::table::{Goal, Row};

/// How to measure the goals.
pub struct Plan {
    /// The number of measurements of each side.
    pub rounds: usize,
    /// The duration of a measurement.
    pub round: Duration,
    /// The number of users for the goals with many users.
    pub users: usize,
    /// The number of changes for the goal with a long history.
    pub changes: u64,
    /// Only goals whose text contains this.
    pub filter: String,
}

/// Measures all goals and prints each row as soon as it is measured.
pub async fn measure(plan: &Plan) -> Result<Vec<Row>> {
    let mut rows = reads::against_tonic(plan).await?;
    rows.extend(reads::against_plain_tonic(plan).await?);
    rows.extend(reads::against_etcd(plan).await?);
    rows.extend(reads::over_rest(plan).await?);
    rows.extend(reads::without_token_cache(plan).await?);
    rows.extend(reads::during_writes(plan).await?);
    rows.extend(writes::against_etcd(plan).await?);
    rows.extend(scale::many_users(plan).await?);
    rows.extend(own_features::reads(plan).await?);
    rows.extend(own_features::start(plan).await?);
    rows.extend(history::long(plan).await?);
    rows.extend(history::beside_checkpoints(plan).await?);
    Ok(rows)
}

/// Measures the goals of servers that share a PostgreSQL, and prints each row as soon as it is measured.
pub async fn measure_fleet(plan: &Plan) -> Result<Vec<Row>> {
    let mut rows = fleet::reads::against_embedded(plan).await?;
    rows.extend(fleet::reads::of_many_servers(plan).await?);
    rows.extend(fleet::writes::against_commits(plan).await?);
    rows.extend(fleet::writes::against_etcd(plan).await?);
    rows.extend(fleet::propagation::to_another_server(plan).await?);
    rows.extend(fleet::starts::many_users(plan).await?);
    Ok(rows)
}

/// Measures the goals of watches, and prints each row as soon as it is measured.
pub async fn measure_watch(plan: &Plan) -> Result<Vec<Row>> {
    let mut rows = watch::one_event_to_all(plan).await?;
    rows.extend(watch::beside_writers(plan).await?);
    Ok(rows)
}

/// A figure of a sample, with its name and unit.
struct Figure {
    name: &'static str,
    unit: &'static str,
    of: fn(&Sample) -> f64,
}

const RATE: Figure = Figure { name: "calls/s", unit: "/s", of: |sample| sample.rate };
const CPU: Figure = Figure { name: "server CPU per call", unit: "µs", of: |sample| sample.cpu_us };
const P99: Figure = Figure { name: "p99", unit: "µs", of: |sample| sample.p99_us };

impl Plan {
    fn wants(&self, what: &str) -> bool {
        what.contains(&self.filter)
    }

    /// Compares two sides and returns a row for each of these figures with its goal.
    async fn compare(
        &self,
        what: &str,
        [ours, baseline]: [Side<'_>; 2],
        concurrency: Concurrency,
        goals: &[(Figure, Goal)],
    ) -> Result<Vec<Row>> {
        let samples = compare(ours, baseline, concurrency, self.rounds, self.round).await;
        let samples = samples.with_context(|| what.to_owned())?;
        let row = |(figure, goal): &(Figure, Goal)| {
            let pairs: Vec<_> =
                samples.iter().map(|(ours, baseline)| ((figure.of)(ours), (figure.of)(baseline))).collect();
            told(Row::ratio(format!("{what}: {}", figure.name), figure.unit, &pairs, *goal))
        };
        Ok(goals.iter().map(row).collect())
    }
}

/// Prints a row at once, since all goals together take minutes.
fn told(row: Row) -> Row {
    println!("{row}");
    row
}

/// The folder for the data folders of all contestants: on the disk of the build, never in memory.
pub fn disk() -> Result<PathBuf> {
    let program = std::env::current_exe()?;
    Ok(program.parent().context("a program is in a folder")?.to_owned())
}
