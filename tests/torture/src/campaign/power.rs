//! Power cuts under concurrent writes, on several configurations of ext4, at any moment of a server's life.

use anyhow::Result;
use fastrand::Rng;

use crate::counts::CampaignCounts;
use crate::cycle::{Cycle, FullCycle, pause};
use crate::disk::device::Device;
use crate::progress::Progress;
use crate::report::Report;
use crate::server::{Binary, Server};
use crate::workload::Values;

/// The maximum time of load before the cut, in milliseconds.
const LOAD_MS: u64 = 250;
/// The maximum time of a start before the cut, in milliseconds.
const START_MS: u64 = 60;
/// The maximum time between the start of a segment and the cut, in milliseconds.
const SEGMENT_MS: u64 = 3;
/// The maximum time between the kill of a server and the cut, in milliseconds.
const KILLED_MS: u64 = 50;
/// The maximum number of cycles on one file system.
const DEVICE_CYCLES: u32 = 12;

/// Arguments of `mkfs.ext4` beside its defaults.
const FORMATS: [&[&str]; 2] = [&[], &["-b", "1024"]];
/// Options of `mount`. They determine when and in which order ext4 writes data and its journal.
const OPTIONS: [&str; 5] = ["defaults", "commit=1", "nodelalloc", "data=writeback", "data=journal"];

/// Cuts the power again and again, and checks the contents each time.
pub async fn power(binary: &Binary, cycles: u32, seed: u64) -> Result<Report> {
    let mut rng = Rng::with_seed(seed);
    let mut counts = CampaignCounts::new("power cut", true);
    let progress = Progress::new("power cut", cycles);
    // Runs first, so that a machine without loop devices fails at once.
    drop(Device::new(&[], "defaults")?);
    let mut full = FullCycle::new()?;
    let short = binary.with_short_history();
    let (mut done, mut starts) = (0, 0);
    while done < cycles {
        // Every other device begins with a nearly full segment, so that a new segment begins under load. The others
        // have small segments, which soon get checkpoints and are dropped.
        let is_full = rng.bool();
        let options = OPTIONS[rng.usize(..OPTIONS.len())];
        let mut device = Device::new(FORMATS[rng.usize(..FORMATS.len())], options)?;
        let data = device.path().join("data");
        let cycle_seed = rng.u64(..);
        let binary = if is_full { binary } else { &short };
        let mut cycle = if is_full {
            full.copy(binary, data, cycle_seed, &mut counts).await?
        } else {
            Cycle::new(binary, &data, cycle_seed).await?
        };
        if is_full {
            // The server is not responsible for the durability of the copied files: the remount makes them durable.
            remount(&mut device)?;
        }
        for turn in 0..rng.u32(1..=DEVICE_CYCLES).min(cycles - done) {
            progress.cycle(done + 1);
            while rng.u8(..3) == 0 {
                let starting = binary.start(&cycle.data)?;
                pause(&mut rng, START_MS).await;
                device.cut()?;
                counts.log_until_cut(&starting.kill().await?);
                remount(&mut device)?;
                starts += 1;
            }
            let Some(server) = cycle.open(binary, &mut counts).await? else { break };
            if is_full && turn == 0 {
                let load = cycle.load(&server, Values::Large)?;
                cycle.next_segment().await?;
                pause(&mut rng, SEGMENT_MS).await;
                device.cut()?;
                counts.log_until_cut(&server.kill().await?);
                cycle.ended(load, &mut counts).await?;
            } else {
                let load = cycle.load(&server, Values::Mixed)?;
                pause(&mut rng, LOAD_MS).await;
                counts.log_until_cut(&cut(&device, server, &mut rng).await?);
                cycle.ended(load, &mut counts).await?;
            }
            remount(&mut device)?;
            counts.cycle();
            done += 1;
        }
        let cut = || {
            device.cut()?;
            remount(&mut device)
        };
        cycle.close(binary, &mut counts, cut).await?;
    }
    counts.report([format!("seed {seed}"), format!("{starts} starts cut off as well")])
}

/// Cuts the power, in most cases while the server runs. Returns its log.
async fn cut(device: &Device, server: Server, rng: &mut Rng) -> Result<String> {
    match rng.u8(..10) {
        0 => {
            let log = server.kill().await?;
            pause(rng, KILLED_MS).await;
            device.cut()?;
            Ok(log)
        }
        1 => {
            let log = server.stop().await?;
            device.cut()?;
            Ok(log)
        }
        _ => {
            device.cut()?;
            server.kill().await
        }
    }
}

fn remount(device: &mut Device) -> Result<()> {
    device.unmount()?;
    device.mount()
}
