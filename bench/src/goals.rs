//! The goals, one after the other, each with its baseline.

mod reads;
mod scale;
mod writes;

use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, Result};

use crate::comparison::{Rounds, Sample};
use crate::table::{Goal, Row};

/// How the goals are measured.
pub struct Plan {
    /// How often each side is measured.
    pub rounds: usize,
    /// How long, each time.
    pub round: Duration,
    /// How many users there are where the number of users matters.
    pub users: usize,
    /// A part of the text of those wanted.
    pub filter: String,
}

/// Measures all goals and prints each when it is known.
pub async fn measure(plan: &Plan) -> Result<Vec<Row>> {
    let mut rows = reads::against_tonic(plan).await?;
    rows.extend(reads::against_etcd(plan).await?);
    rows.extend(reads::other_protocols(plan).await?);
    rows.extend(reads::without_token_cache(plan).await?);
    rows.extend(reads::during_writes(plan).await?);
    rows.extend(writes::against_etcd(plan).await?);
    rows.extend(scale::many_users(plan).await?);
    Ok(rows)
}

impl Plan {
    fn wants(&self, what: &str) -> bool {
        what.contains(&self.filter)
    }
}

/// A figure of a sample with its name and unit.
struct Figure {
    name: &'static str,
    unit: &'static str,
    of: fn(&Sample) -> f64,
}

const RATE: Figure = Figure { name: "calls a second", unit: "/s", of: |sample| sample.rate };
const CPU: Figure = Figure { name: "server CPU per call", unit: " µs", of: |sample| sample.cpu_us };
const P99: Figure = Figure { name: "p99", unit: " µs", of: |sample| sample.p99_us };

impl Figure {
    /// The row that compares both sides by this figure; it is printed at once.
    fn row(&self, what: &str, rounds: &Rounds, goal: Goal) -> Row {
        let (ours, baseline) = (rounds.ours(self.of).median, rounds.baseline(self.of).median);
        let figures = format!("{ours:.1}{unit} against {baseline:.1}{unit}", unit = self.unit);
        let row = Row { what: format!("{what}: {}", self.name), value: rounds.ratio(self.of), goal, figures };
        println!("{row}");
        row
    }
}

/// Where the data folders of all contestants are: on the disk that builds are on, never in memory.
fn disk() -> Result<PathBuf> {
    let program = std::env::current_exe()?;
    Ok(program.parent().context("a program is in a folder")?.to_owned())
}
