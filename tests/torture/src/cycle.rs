//! One data folder and its clients through many starts: the steps of a cycle. The campaign decides how a server ends.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use fastrand::Rng;
use tempfile::TempDir;
use tokio::process::Command;
use tokio::time::{sleep, timeout};

use crate::counts::CampaignCounts;
use crate::finding::Finding;
use crate::server::{Binary, Server};
use crate::workload::{self, Load, Values, Workload};

/// The size at which the server begins a new segment of the journal, in bytes.
const SEGMENT_BYTES: u64 = 64 * 1024 * 1024;
/// The free space in a nearly full segment, in bytes. Clients write this much in a moment.
const ROOM_BYTES: u64 = 512 * 1024;
/// The maximum time for clients to fill a segment, or the rest of one.
const PATIENCE: Duration = Duration::from_secs(300);

/// A data folder, and what its clients know about it.
pub struct Cycle {
    /// The data folder.
    pub data: PathBuf,
    token: String,
    workload: Workload,
}

/// A data folder with a nearly full first segment, so that a second one begins soon under load. Built at the first use,
/// since this takes long.
pub struct FullCycle {
    folder: TempDir,
    cycle: Option<Cycle>,
}

impl FullCycle {
    /// Not built yet.
    pub fn new() -> Result<Self> {
        Ok(Self { folder: TempDir::new()?, cycle: None })
    }

    /// An independent copy.
    pub async fn copy(
        &mut self,
        binary: &Binary,
        data: PathBuf,
        seed: u64,
        counts: &mut CampaignCounts,
    ) -> Result<Cycle> {
        let full = match &mut self.cycle {
            Some(full) => full,
            none => {
                let mut full = Cycle::new(binary, &self.folder.path().join("data"), seed).await?;
                full.fill(binary, counts).await?;
                none.insert(full)
            }
        };
        let copied =
            Command::new("cp").arg("--archive").args([&full.data, &data]).status().await.context("starting cp")?;
        ensure!(copied.success(), "{} could not be copied", full.data.display());
        Ok(Cycle { data, token: full.token.clone(), workload: full.workload.clone() })
    }
}

impl Cycle {
    /// A missing or empty data folder.
    ///
    /// All clients use the token that is minted here, so that the loss of a key shows, too.
    pub async fn new(binary: &Binary, data: &Path, seed: u64) -> Result<Self> {
        let token = binary.token(data, workload::TOKEN).await?;
        Ok(Self { data: data.to_owned(), token, workload: Workload::new(seed) })
    }

    /// Starts a server and checks everything that the clients know. `None` if the server does not start or answer,
    /// which is counted.
    pub async fn open(&mut self, binary: &Binary, counts: &mut CampaignCounts) -> Result<Option<Server>> {
        let begin = Instant::now();
        let server = match binary.serve(&self.data).await {
            Ok(server) => server,
            Err(error) => {
                counts.unopenable(&format!("{error:#}"));
                return Ok(None);
            }
        };
        counts.started(begin.elapsed());
        match self.workload.check(&server, &self.token).await {
            Ok(problems) => {
                counts.lost(problems);
                Ok(Some(server))
            }
            Err(error) => {
                let log = server.kill().await?;
                counts.unopenable(&format!("{error:#}\n{log}"));
                Ok(None)
            }
        }
    }

    /// Checks the folder at the end: after the server's last end, after a clean stop, and with the server's own
    /// verification.
    ///
    /// `between`: a step after the first server has stopped.
    pub async fn close(
        &mut self,
        binary: &Binary,
        counts: &mut CampaignCounts,
        between: impl FnOnce() -> Result<()>,
    ) -> Result<()> {
        let Some(server) = self.open(binary, counts).await? else { return Ok(()) };
        counts.log(&server.stop().await?);
        between()?;
        let Some(server) = self.open(binary, counts).await? else { return Ok(()) };
        counts.log(&server.stop().await?);
        match binary.verify(&self.data).await {
            Ok(()) => {}
            Err(Finding::Lost(text) | Finding::Unopenable(text) | Finding::FalseAlarm(text)) => counts.lost(vec![text]),
        }
        Ok(())
    }

    /// Starts the clients.
    pub fn load(&mut self, server: &Server, values: Values) -> Result<Load> {
        self.workload.start(server, &self.token, values)
    }

    /// Waits for the clients after the server has ended.
    pub async fn ended(&mut self, load: Load, counts: &mut CampaignCounts) -> Result<()> {
        let problems = self.workload.ended(load).await?;
        counts.answered(self.workload.take_counts());
        counts.lost(problems);
        Ok(())
    }

    /// Writes until the first segment of the journal is nearly full, then stops the server.
    async fn fill(&mut self, binary: &Binary, counts: &mut CampaignCounts) -> Result<()> {
        let server = self.open(binary, counts).await?.context("a new folder does not open")?;
        let load = self.load(&server, Values::Large)?;
        let segment = self.journal().join(format!("{:020}.log", 1));
        let is_filled = || Ok(fs::metadata(&segment)?.len() >= SEGMENT_BYTES - ROOM_BYTES);
        until(is_filled).await.context("the journal does not grow as it should")?;
        let problems = self.workload.stop(load).await?;
        counts.answered(self.workload.take_counts());
        counts.lost(problems);
        counts.log(&server.stop().await?);
        Ok(())
    }

    /// Waits until a new segment of the journal begins.
    pub async fn next_segment(&self) -> Result<()> {
        let segments = || anyhow::Ok(fs::read_dir(self.journal())?.count());
        let before = segments()?;
        until(|| Ok(segments()? > before)).await.context("no other segment begins")
    }

    fn journal(&self) -> PathBuf {
        self.data.join("journal")
    }
}

/// Waits for a random time up to the maximum; often not at all.
pub async fn pause(rng: &mut Rng, most_ms: u64) {
    if rng.u8(..5) != 0 {
        sleep(Duration::from_micros(rng.u64(..most_ms * 1000))).await;
    }
}

async fn until(mut condition: impl FnMut() -> Result<bool>) -> Result<()> {
    let wait = async {
        while !condition()? {
            sleep(Duration::from_millis(1)).await;
        }
        Ok(())
    };
    timeout(PATIENCE, wait).await?
}
