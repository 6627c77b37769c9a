//! `kill -9` under concurrent writes: at any moment of a server's life, also while it recovers and while it stops.

use anyhow::Result;
use fastrand::Rng;
use tempfile::TempDir;

use crate::counts::CampaignCounts;
use crate::cycle::{Cycle, FullCycle, pause};
use crate::progress::Progress;
use crate::report::Report;
use crate::server::{Binary, Server};
use crate::workload::Values;

/// How long clients are under way before the end, in milliseconds.
const LOAD_MS: u64 = 150;
/// How long a server that starts may go on before it is killed, in milliseconds.
const START_MS: u64 = 60;
/// How long a server that stops may go on before it is killed, in milliseconds.
const STOP_MS: u64 = 20;
/// How long a server may go on after it began a segment, in milliseconds.
const SEGMENT_MS: u64 = 3;
/// A folder is given up for another one after this many cycles at most.
const FOLDER_CYCLES: u32 = 20;

/// Kills the server again and again and checks each time what is there.
pub async fn kill(binary: &Binary, cycles: u32, seed: u64) -> Result<Report> {
    let mut rng = Rng::with_seed(seed);
    let mut counts = CampaignCounts::new("kill -9", false);
    let progress = Progress::new("kill -9", cycles);
    let mut full = FullCycle::new()?;
    let (mut done, mut starts) = (0, 0);
    while done < cycles {
        // Every other folder begins with a segment that is all but full, so that a new one begins under load.
        let folder = TempDir::new()?;
        let data = folder.path().join("data");
        let is_full = rng.bool();
        let cycle_seed = rng.u64(..);
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

/// Ends a server, most of the time by SIGKILL alone. Gives its log.
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
