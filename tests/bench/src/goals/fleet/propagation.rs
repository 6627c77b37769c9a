//! The goal of propagation: a Set at one server of a fleet shows soon at another one.

use std::cell::Cell;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use tokio::time::{sleep, timeout};

use super::super::{Plan, told};
use super::disk;
use crate::comparison::in_turn;
use crate::contestants::{Feature, Postgres, Standby, shows};
use crate::load::{Call, Client, Measured, connect, open_loop};
use crate::table::{Goal, Row};

/// The load of others at the first server: this many Sets a second, by this many writers on this many connections.
const WRITES: f64 = 1_000.0;
const WRITERS: usize = 1_000;
const WRITING_CONNECTIONS: usize = 4;

/// The factor by which these rounds are longer than others, for enough Sets.
const LONGER: u32 = 4;

/// The user whose feature is set and read.
const USER: &str = "traveller";

/// The pause before a Set.
const PAUSE: Duration = Duration::from_millis(10);

/// The maximum time until a Set shows.
const PATIENCE: Duration = Duration::from_secs(10);

/// From the moment when a Set is sent to one server until another one, which is read all the time, shows it.
pub(in super::super) async fn to_another_server(plan: &Plan) -> Result<Vec<Row>> {
    let name = |load: &str, figure: &str| format!("fleet propagation, {load}: ms to another server, {figure}");
    let rows = [
        ("idle", "median", 5.0, Measured::median_us as fn(&Measured) -> f64),
        ("idle", "p99", 20.0, Measured::p99_us),
        ("1,000 Sets/s", "median", 10.0, Measured::median_us),
        ("1,000 Sets/s", "p99", 20.0, Measured::p99_us),
    ];
    let wanted = rows.into_iter().filter(|(load, figure, ..)| plan.wants(&name(load, figure))).collect::<Vec<_>>();
    if wanted.is_empty() {
        return Ok(Vec::new());
    }
    let postgres = Postgres::start(&disk()?, Standby::None).await?;
    let fleet = Feature::start_fleet(&disk()?, postgres.database("features").await?, 2).await?;
    let (load, round) = (fleet[0].sets(WRITERS), plan.round * LONGER);
    let traveller = Traveller { set: fleet[0].sets_of(USER, 1), next: Cell::new(true) };
    let idle = async || traveller.travel(&fleet, round).await;
    let busy = async || {
        let sockets = connect(&fleet[0].process.address, WRITING_CONNECTIONS).await?;
        let written = open_loop(sockets, &load, WRITES, round);
        let (travelled, written) = tokio::try_join!(traveller.travel(&fleet, round), written)?;
        ensure!(written.rate() > 0.9 * WRITES, "the server did not keep up with {WRITES} Sets/s");
        Ok(travelled)
    };
    // Warms up both servers, so that one-time costs fall into no round.
    traveller.travel(&fleet, plan.round).await?;
    let pairs = in_turn(plan.rounds, idle, busy).await?;
    let row = |(load, figure, most, of): (&str, &str, f64, fn(&Measured) -> f64)| {
        let of = |(idle, busy)| of(if load == "idle" { idle } else { busy }) / 1e3;
        let values: Vec<f64> = pairs.iter().map(|(idle, busy)| of((idle, busy))).collect();
        told(Row::figure(name(load, figure), "ms", &values, Goal::at_most(most)))
    };
    Ok(wanted.into_iter().map(row).collect())
}

/// The writes of one user, whose flag changes each time.
struct Traveller {
    set: Call,
    /// What the next write sets.
    next: Cell<bool>,
}

impl Traveller {
    /// Sets at the first server and reads at the second one for this duration, with a pause after each Set.
    async fn travel(&self, fleet: &[Feature], duration: Duration) -> Result<Measured> {
        let writer = Client::connect(&fleet[0].process.address).await?;
        let reader = Client::connect(&fleet[1].process.address).await?;
        let get = fleet[1].get_of(USER);
        let (start, mut latencies) = (Instant::now(), Vec::new());
        while start.elapsed() < duration {
            // Pauses of different lengths meet every moment of what the servers do at fixed times.
            sleep(PAUSE + Duration::from_millis(latencies.len() as u64 % 10)).await;
            let value = self.next.replace(!self.next.get());
            let begun = Instant::now();
            let shown = async {
                while !shows(&reader.answer(get.clone()).await?, value)? {}
                anyhow::Ok(begun.elapsed())
            };
            let both = async { tokio::try_join!(writer.call(&self.set, 0), shown) };
            let ((), travelled) = timeout(PATIENCE, both).await.context("another server does not show a Set")??;
            latencies.push(travelled.as_micros() as u64);
        }
        Measured::of(&latencies, start.elapsed())
    }
}
