//! `kill -9` under concurrent writes: at any moment of a server's life, also while it recovers and while it stops.

use std::time::Duration;

use anyhow::Result;
use fastrand::Rng;
use tempfile::TempDir;
use tokio::time::sleep;

use crate::progress::Progress;
use crate::report::Report;
use crate::server::{Binary, Server};
use crate::tally::Tally;
use crate::trial::Trial;

/// How long clients are under way before the end, in milliseconds.
const LOAD_MS: u64 = 150;
/// How long a server that starts may go on before it is killed, in milliseconds.
const START_MS: u64 = 60;
/// How long a server that stops may go on before it is killed, in milliseconds.
const STOP_MS: u64 = 20;
/// A folder is given up for a fresh one after this many cycles at most.
const FOLDER_CYCLES: u32 = 40;

/// How a server ends.
enum End {
    Kill,
    /// SIGTERM, and soon afterwards SIGKILL.
    KillWhileStopping,
    Stop,
}

/// Kills the server again and again and checks each time what is there.
pub async fn kill(binary: &Binary, cycles: u32, seed: u64) -> Result<Report> {
    let mut rng = Rng::with_seed(seed);
    let mut tally = Tally::new("kill -9", false);
    let progress = Progress::new("kill -9", cycles);
    let mut interrupted = 0;
    let mut done = 0;
    while done < cycles {
        let folder = TempDir::new()?;
        let mut trial = Trial::new(binary, &folder.path().join("data"), rng.u64(..)).await?;
        for _ in 0..rng.u32(1..=FOLDER_CYCLES).min(cycles - done) {
            done += 1;
            progress.cycle(done);
            while rng.u8(..3) == 0 {
                let starting = binary.start(&trial.data)?;
                pause(&mut rng, START_MS).await;
                tally.log(&starting.kill().await?);
                interrupted += 1;
            }
            let Some(server) = trial.open(binary, &mut tally).await? else { break };
            let load = trial.load(&server)?;
            pause(&mut rng, LOAD_MS).await;
            let log = end(server, &mut rng).await?;
            tally.log(&log);
            trial.ended(load, &mut tally).await?;
            tally.cycle();
        }
        close(binary, &mut trial, &mut tally).await?;
    }
    let notes = [format!("seed {seed}"), format!("{interrupted} starts killed as well")];
    Ok(tally.report(notes))
}

async fn end(server: Server, rng: &mut Rng) -> Result<String> {
    let end = match rng.u8(..20) {
        0 => End::Stop,
        1..4 => End::KillWhileStopping,
        _ => End::Kill,
    };
    match end {
        End::Kill => server.kill().await,
        End::KillWhileStopping => {
            server.terminate().await?;
            pause(rng, STOP_MS).await;
            server.kill().await
        }
        End::Stop => server.stop().await,
    }
}

/// Checks a folder that is given up: after a kill, and once more after a clean end.
async fn close(binary: &Binary, trial: &mut Trial, tally: &mut Tally) -> Result<()> {
    for _ in 0..2 {
        let Some(server) = trial.open(binary, tally).await? else { return Ok(()) };
        tally.log(&server.stop().await?);
    }
    Ok(())
}

/// Waits for a time of at most so many milliseconds; often for none.
async fn pause(rng: &mut Rng, most_ms: u64) {
    if rng.u8(..5) != 0 {
        sleep(Duration::from_micros(rng.u64(..most_ms * 1000))).await;
    }
}
