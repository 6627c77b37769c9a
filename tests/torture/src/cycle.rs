//! One data folder and its clients through many starts: the steps that campaigns make a cycle of. How a server ends is for
//! the campaign.

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

/// The size from which on the server begins another segment of the journal, in bytes.
const SEGMENT_BYTES: u64 = 64 * 1024 * 1024;
/// How much room a segment has that is all but full, in bytes. Clients write this much in a moment.
const ROOM_BYTES: u64 = 512 * 1024;
/// How long clients may take to fill a segment or the room in it.
const PATIENCE: Duration = Duration::from_secs(300);

/// A data folder, and what its clients know.
pub struct Cycle {
    /// The data folder.
    pub data: PathBuf,
    token: String,
    workload: Workload,
}

/// A data folder whose first segment of the journal is all but full: under load another one begins at once. It is made
/// when it is needed first, since that takes a while.
pub struct FullCycle {
    folder: TempDir,
    cycle: Option<Cycle>,
}

impl FullCycle {
    /// Not made yet.
    pub fn new() -> Result<Self> {
        Ok(Self { folder: TempDir::new()?, cycle: None })
    }

    /// A copy of it, which goes its own way.
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
    /// A data folder that is missing or empty.
    ///
    /// The token is made here and used for good, so that a lost key is found too.
    pub async fn new(binary: &Binary, data: &Path, seed: u64) -> Result<Self> {
        let token = binary.token(data, workload::TOKEN).await?;
        Ok(Self { data: data.to_owned(), token, workload: Workload::new(seed) })
    }

    /// Starts a server, and checks that all that clients know is there. `None` when it does not start or answer, which is
    /// noted.
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

    /// Checks the folder when it is given up: after the end that its server had, after a clean one, and with the server's
    /// own verification.
    ///
    /// `between`: what happens after the first server has stopped.
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

    /// Waits for the clients of a server that is gone.
    pub async fn ended(&mut self, load: Load, counts: &mut CampaignCounts) -> Result<()> {
        let problems = self.workload.ended(load).await?;
        counts.answered(self.workload.take_counts());
        counts.lost(problems);
        Ok(())
    }

    /// Writes until the first segment of the journal is all but full, and stops the server.
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

    /// Waits until another segment of the journal begins.
    pub async fn next_segment(&self) -> Result<()> {
        let segments = || anyhow::Ok(fs::read_dir(self.journal())?.count());
        let before = segments()?;
        until(|| Ok(segments()? > before)).await.context("no other segment begins")
    }

    fn journal(&self) -> PathBuf {
        self.data.join("journal")
    }
}

/// Waits for a time of at most so many milliseconds; often for none.
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
