//! Faults of every kind under load, with failovers by hand.

use anyhow::{Context, Result};

use super::clients::SERVERS;
use super::counts::Counts;
use super::database::cluster::Cluster;
use super::database::network::{Direction, Network};
use super::database::table;
use super::faults::Fault;
use super::harness::Harness;
use crate::progress::Progress;
use crate::server::Binary;

/// The connections that are terminated in a round.
const TERMINATED: u64 = 100;

/// A fleet whose database fails over by hand.
pub struct Fleet {
    pub cluster: Cluster,
    pub network: Network,
    pub harness: Harness,
}

impl Fleet {
    /// Starts everything.
    pub async fn start(binary: &Binary, seed: u64) -> Result<Self> {
        let network = Network::new()?;
        let cluster = Cluster::start().await?;
        let urls: Vec<_> = (0..SERVERS).map(|server| cluster.url(server)).collect();
        let harness = Harness::start(binary, &urls, seed).await?;
        Ok(Self { cluster, network, harness })
    }

    /// Rounds with a fault of each kind, and now and then one of the rare and slow ones.
    pub async fn rounds(&mut self, rounds: u32) -> Result<()> {
        let mut rare = [Fault::CutOffServer, Fault::FullDisk].repeat(rounds.div_ceil(5) as usize);
        let progress = Progress::new("fleet", rounds);
        let streams = self.harness.streams();
        for round in 1..=rounds {
            progress.cycle(round);
            let direction = [Direction::Both, Direction::Towards, Direction::From][round as usize % 3];
            let mut faults =
                [Fault::Kill, Fault::Pause, Fault::CutOff(direction), Fault::Terminate(TERMINATED), Fault::KillServer];
            self.harness.rng.shuffle(&mut faults);
            for fault in faults {
                self.cycle(fault).await?;
                let possible = rare.iter().position(|fault| fault.is_possible(self));
                if let Some(fault) = possible.map(|index| rare.swap_remove(index)) {
                    self.cycle(fault).await?;
                }
            }
        }
        let log = table::read(&self.cluster.client().await?, 0).await?;
        streams.end(&log, &mut self.harness.counts).await
    }

    /// Stops the servers. Returns the results, to which those of other parts may be added.
    pub async fn stop(mut self) -> Result<Counts> {
        let log = self.harness.replicas.stop().await?;
        self.harness.counts.log("by hand", &log);
        Ok(self.harness.counts)
    }

    async fn cycle(&mut self, fault: Fault) -> Result<()> {
        let name = format!("{fault:?}");
        let running = self.harness.run().await?;
        let outage = fault.happen(self, &running.load).await.with_context(|| name.clone())?;
        let record = self.harness.end(running, &name, &self.cluster.client().await?, outage).await?;
        if fault.fails_over() {
            self.harness.counts.away(&record, outage.from);
        }
        self.harness.counts.cycle(fault.name());
        Ok(())
    }
}
