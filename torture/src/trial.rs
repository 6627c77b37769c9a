//! One data folder and its clients through many starts: the steps that campaigns make of a cycle, and what they find. How a
//! server ends is for the campaign.

use std::path::{Path, PathBuf};
use std::time::Instant;

use anyhow::Result;

use crate::server::{Binary, Server};
use crate::tally::Tally;
use crate::workload::{self, Load, Workload};

/// A data folder, and what its clients know.
#[derive(Clone)]
pub struct Trial {
    /// The data folder. Whoever clones a trial gives the clone a folder with the same content.
    pub data: PathBuf,
    token: String,
    workload: Workload,
}

impl Trial {
    /// A data folder that is missing or empty.
    ///
    /// The token is made here and used for good, so that a lost key is found too.
    pub async fn new(binary: &Binary, data: &Path, seed: u64) -> Result<Self> {
        let token = binary.token(data, workload::TOKEN).await?;
        Ok(Self { data: data.to_owned(), token, workload: Workload::new(seed) })
    }

    /// Starts a server, and checks that all that clients know is there. `None` when it does not start or answer, which is
    /// noted.
    pub async fn open(&mut self, binary: &Binary, tally: &mut Tally) -> Result<Option<Server>> {
        let begin = Instant::now();
        let server = match binary.serve(&self.data).await {
            Ok(server) => server,
            Err(error) => {
                tally.unopenable(&format!("{error:#}"));
                return Ok(None);
            }
        };
        tally.started(begin.elapsed());
        match self.workload.check(&server, &self.token).await {
            Ok(problems) => {
                tally.lost(problems);
                Ok(Some(server))
            }
            Err(error) => {
                let log = server.kill().await?;
                tally.unopenable(&format!("{error:#}\n{log}"));
                Ok(None)
            }
        }
    }

    /// Starts the clients.
    pub fn load(&mut self, server: &Server) -> Result<Load> {
        self.workload.start(server, &self.token)
    }

    /// Waits for the clients of a server that is gone.
    pub async fn ended(&mut self, load: Load, tally: &mut Tally) -> Result<()> {
        let (writes, reads) = (self.workload.writes, self.workload.reads);
        let problems = self.workload.ended(load).await?;
        tally.answered(self.workload.writes - writes, self.workload.reads - reads);
        tally.lost(problems);
        Ok(())
    }
}
