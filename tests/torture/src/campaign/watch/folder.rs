//! One data folder through many lives of its server, with its writers and streams, and the comparison at the end.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Instant;

use anyhow::{Context, Result, ensure};
use fastrand::Rng;
use tempfile::TempDir;
use tokio::process::Command;
use tokio::sync::watch;

use super::check::{Kind, Problem, check_changes, check_values, check_writes};
use super::compare::compare;
use super::hub::{Hub, Phase, Place, until};
use super::reads::Reader;
use super::record::{Answer, ChangesSeen, End, Write};
use super::scopes;
use super::streams::Streams;
use super::tally::Tally;
use super::writers::{Terms, Writers, define};
use crate::counts::CampaignCounts;
use crate::cycle::pause;
use crate::server::{Binary, Server};
use crate::workload;

/// The changes of a life.
const CHANGES: std::ops::Range<u64> = 400..1_600;
/// How many changes may be acknowledged and not known. With a short history it is far less than what is kept.
const LEAD: u64 = 2_000;
const SHORT_LEAD: u64 = 100;
/// The size of values, with a long and with a short history.
const CHARACTERS: usize = 24;
const SHORT_CHARACTERS: usize = 1_000;
/// The longest time between a stop's begin and a kill, in milliseconds.
const STOP_MS: u64 = 20;

/// A data folder, with everything that its clients know.
pub struct Folder<'a> {
    binary: &'a Binary,
    folder: TempDir,
    is_short: bool,
    terms: Terms,
    life: usize,
    place: watch::Sender<Option<Place>>,
    streams: Streams,
    writes: Vec<Write>,
    /// A backup that was made under load, and the revision to which it reaches.
    backup: Option<(PathBuf, u64)>,
    rng: Rng,
}

/// How a life of the server ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Death {
    Kill,
    /// A stop that is cut short by a kill.
    KillWhileStopping,
    Stop,
    /// A stop after the end of the writers.
    StopAtRest,
    /// The same, and the backup is put in place.
    Restore,
}

impl<'a> Folder<'a> {
    /// A new folder.
    pub async fn new(binary: &'a Binary, is_short: bool, mut rng: Rng) -> Result<Self> {
        let folder = TempDir::new()?;
        let token = binary.token(&folder.path().join("data"), workload::TOKEN).await?;
        let (lead, characters) = if is_short { (SHORT_LEAD, SHORT_CHARACTERS) } else { (LEAD, CHARACTERS) };
        let hub = Hub::new(&token, lead);
        let place = watch::Sender::new(None);
        let mut streams = Streams::new();
        for (number, (pace, selection)) in scopes::changes().into_iter().enumerate() {
            streams.follow_changes(&hub, place.subscribe(), (pace, rng.fork()), selection, number == 0);
        }
        for (pace, names, features) in scopes::values() {
            streams.follow_values(&hub, place.subscribe(), (pace, rng.fork()), names, features);
        }
        let terms = Terms { hub, era: 0, characters };
        let (writes, backup) = (Vec::new(), None);
        Ok(Self { binary, folder, is_short, terms, life: 0, place, streams, writes, backup, rng })
    }

    fn data(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    /// One life of the server: it starts, is written to, and ends.
    pub async fn live(&mut self, counts: &mut CampaignCounts, tally: &mut Tally) -> Result<()> {
        let server = self.start(counts).await?;
        if self.life == 1 {
            self.writes.extend(define(&self.terms, server.channel()?).await?);
        }
        let writers = Writers::start(&self.terms, || server.channel(), &mut self.rng)?;
        let goal = self.terms.hub.acknowledged() + self.rng.u64(CHANGES);
        if self.backup.is_none() && self.rng.bool() {
            self.terms.hub.until_acknowledged(goal.saturating_sub(CHANGES.start)).await?;
            self.back_up().await?;
        }
        self.terms.hub.until_acknowledged(goal).await?;
        let death = self.death();
        tally.count(death.name());
        match death {
            Death::StopAtRest | Death::Restore => {
                self.rest(writers).await?;
                if death == Death::StopAtRest {
                    self.compare(&server).await?;
                } else {
                    self.learned(&server).await?;
                }
                counts.log(&server.stop().await?);
                self.place.send_replace(None);
                if death == Death::Restore {
                    self.restore().await?;
                }
            }
            _ => {
                counts.log(&end(server, death, &mut self.rng).await?);
                self.place.send_replace(None);
                self.rest(writers).await?;
            }
        }
        Ok(())
    }

    /// The last life: everything is read and compared.
    pub async fn close(mut self, counts: &mut CampaignCounts, tally: &mut Tally) -> Result<Vec<Problem>> {
        let server = self.start(counts).await?;
        self.compare(&server).await?;
        self.terms.hub.set_phase(Phase::Over);
        self.streams.ended().await?;
        counts.log(&server.stop().await?);
        let eras = self.terms.hub.take_eras();
        let mut problems = check_writes(&eras, &self.writes);
        for followed in &self.streams.changes {
            problems.extend(followed.with(|record| {
                tally.changes(record);
                let mut problems = check_changes(&eras, record, true);
                let is_compacted = |seen: &ChangesSeen| matches!(seen, ChangesSeen::Ended(End::Compacted { .. }));
                if !self.is_short && record.seen.iter().any(is_compacted) {
                    problems.push(Kind::End.problem(format!("{}: a change was dropped", record.name)));
                }
                problems
            }));
        }
        for followed in &self.streams.values {
            problems.extend(followed.with(|record| {
                tally.values(record);
                check_values(&eras, record, true)
            }));
        }
        tally.writes(&eras, &self.writes);
        Ok(problems)
    }

    async fn start(&mut self, counts: &mut CampaignCounts) -> Result<Server> {
        self.life += 1;
        let begin = Instant::now();
        let server = self.binary.serve(&self.data()).await?;
        counts.started(begin.elapsed());
        let addresses = vec![server.address().to_owned()];
        let place = Place { addresses, life: self.life, era: self.terms.era };
        self.place.send_replace(Some(place));
        Ok(server)
    }

    fn death(&mut self) -> Death {
        match self.rng.u8(..20) {
            0..9 => Death::Kill,
            9..11 => Death::KillWhileStopping,
            11..14 => Death::Stop,
            14..18 if self.backup.is_some() => Death::Restore,
            _ => Death::StopAtRest,
        }
    }

    /// Ends the writers.
    async fn rest(&mut self, writers: Writers) -> Result<()> {
        self.terms.hub.set_stopping(true);
        let writes = writers.ended().await?;
        let acknowledged = writes.iter().filter(|write| matches!(write.answer, Answer::Acknowledged(_))).count();
        ensure!(acknowledged > 0, "no write of a life was acknowledged: {:?}", writes.first());
        self.writes.extend(writes);
        Ok(())
    }

    /// Waits until the first stream has learned all changes.
    async fn learned(&self, server: &Server) -> Result<u64> {
        let newest = Reader::new(server.channel()?, &self.terms.hub.token).newest().await?;
        let reached = &self.streams.changes[0].reached;
        until(|| reached.is_at(self.life, newest)).await.context("not all changes are known")?;
        Ok(newest)
    }

    /// Waits until each stream has come to the end, and reads the same.
    async fn compare(&self, server: &Server) -> Result<()> {
        let newest = self.learned(server).await?;
        let reader = Reader::new(server.channel()?, &self.terms.hub.token);
        compare(&self.terms.hub, &self.streams, &[reader], (self.life, newest), !self.is_short).await
    }

    /// Makes a backup of the running server.
    async fn back_up(&mut self) -> Result<()> {
        let path = self.folder.path().join(format!("backup-{}", self.life));
        let output = self.binary.run(&self.data(), &["backup", &path.display().to_string()]).await?;
        let said = String::from_utf8(output.stdout)?;
        let last = said.trim_end().rsplit(' ').next().and_then(|word| word.parse().ok());
        let revision = last.with_context(|| format!("a backup says '{said}'"))?;
        self.backup = Some((path, revision));
        Ok(())
    }

    /// Puts the backup in the place of the data folder.
    async fn restore(&mut self) -> Result<()> {
        let (path, revision) = self.backup.take().context("there is a backup")?;
        fs::remove_dir_all(self.data())?;
        copy(&path, &self.data()).await?;
        self.terms.era = self.terms.hub.take_back(revision);
        Ok(())
    }
}

impl Death {
    fn name(self) -> &'static str {
        match self {
            Self::Kill | Self::KillWhileStopping => "kills",
            Self::Stop | Self::StopAtRest => "stops",
            Self::Restore => "restores",
        }
    }
}

/// Ends a server under load. Returns its log.
async fn end(server: Server, death: Death, rng: &mut Rng) -> Result<String> {
    match death {
        Death::Stop => server.stop().await,
        Death::KillWhileStopping => {
            server.terminate().await?;
            pause(rng, STOP_MS).await;
            server.kill().await
        }
        _ => server.kill().await,
    }
}

async fn copy(from: &Path, to: &Path) -> Result<()> {
    let copied = Command::new("cp").arg("--archive").args([from, to]).status().await.context("starting cp")?;
    ensure!(copied.success(), "{} could not be copied", from.display());
    Ok(())
}
