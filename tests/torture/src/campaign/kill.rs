//! `kill -9` under concurrent writes, at any moment of a server's life, including recovery and stop.

use anyhow::Result;
use fastrand::Rng;
use tempfile::TempDir;

use crate::counts::CampaignCounts;
use crate::cycle::{Cycle, FullCycle, pause};
use crate::progress::Progress;
use crate::report::Report;
use crate::server::{Binary, Server};
use crate::workload::Values;

/// The maximum time of load before the kill, in milliseconds.
const LOAD_MS: u64 = 150;
/// The maximum time of a start before the kill, in milliseconds.
const START_MS: u64 = 60;
/// The maximum time of a stop before the kill, in milliseconds.
const STOP_MS: u64 = 20;
/// The maximum time between the start of a segment and the kill, in milliseconds.
const SEGMENT_MS: u64 = 3;
/// The maximum number of cycles on one folder.
const FOLDER_CYCLES: u32 = 20;

/// Kills the server again and again, and checks the contents each time.
pub async fn kill(binary: &Binary, cycles: u32, seed: u64) -> Result<Report> {
    let mut rng = Rng::with_seed(seed);
    let mut counts = CampaignCounts::new("kill -9", false);
    let progress = Progress::new("kill -9", cycles);
    let mut full = FullCycle::new()?;
    let short = binary.with_short_history();
    let (mut done, mut starts) = (0, 0);
    while done < cycles {
        // Every other folder begins with a nearly full segment, so that a new segment begins under load. The others
        // have small segments, which soon get checkpoints and are dropped.
        let folder = TempDir::new()?;
        let data = folder.path().join("data");
        let is_full = rng.bool();
        let cycle_seed = rng.u64(..);
        let binary = if is_full { binary } else { &short };
        let mut cycle = if is_full {
            full.copy(binary, data, cycle_seed, &mut counts).await?
        } else {
            Cycle::new(binary, &data, cycle_seed).await?
        };
        for turn in 0..rng.u32(1..=FOLDER_CYCLES).min(cycles - done) {
            progress.cycle(done + 1);
            while rng.u8(..3) == 0 {
                let starting = binary.start(&cycle.data)?;
                pause(&mut rng, START_MS).await;
                counts.log(&starting.kill().await?);
                starts += 1;
            }
            let Some(server) = cycle.open(binary, &mut counts).await? else { break };
            if is_full && turn == 0 {
                let load = cycle.load(&server, Values::Large)?;
                cycle.next_segment().await?;
                pause(&mut rng, SEGMENT_MS).await;
                counts.log(&server.kill().await?);
                cycle.ended(load, &mut counts).await?;
            } else {
                let load = cycle.load(&server, Values::Mixed)?;
                pause(&mut rng, LOAD_MS).await;
                counts.log(&end(server, &mut rng).await?);
                cycle.ended(load, &mut counts).await?;
            }
            counts.cycle();
            done += 1;
        }
        cycle.close(binary, &mut counts, || Ok(())).await?;
    }
    counts.report([format!("seed {seed}"), format!("{starts} starts killed as well")])
}

/// Ends a server, in most cases by SIGKILL alone. Returns its log.
async fn end(server: Server, rng: &mut Rng) -> Result<String> {
    match rng.u8(..20) {
        0 => server.stop().await,
        1..4 => {
            server.terminate().await?;
            pause(rng, STOP_MS).await;
            server.kill().await
        }
        _ => server.kill().await,
    }
}
