//! Failing system calls on the server's files: the server never loses an acknowledged write, refuses further writes,
//! serves reads, and recovers at the next start.
//!
//! strace returns the error instead of the kernel; the disk itself stays intact.

mod plan;

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, anyhow};
use fastrand::Rng;
use tonic::{Code, Status};

use crate::counter_client::{Client, Scope};
use crate::disk::folder;
use crate::disk::prepared::{Contents, Prepared, compare};
use crate::disk::strace::{CALLS, Traced, calls, ensure_present, files, injected};
use crate::expected::ExpectedCounter;
use crate::finding::{Finding, Verdict, Verdicts};
use crate::health;
use crate::report::Report;
use crate::server::{Binary, NotStarted, Server};
use plan::{Fault, faults};

/// Writers, each with its own scope.
const WRITERS: [Scope; 2] = [Scope::Organization(100), Scope::User(100)];

/// The number of writes of each writer.
const WRITES: usize = 60;

/// The state in which a run begins.
struct Begin {
    name: &'static str,
    /// The folder to copy; `None` for a new folder.
    from: Option<PathBuf>,
    contents: Contents,
    /// All files that a run uses.
    files: Vec<PathBuf>,
    faults: Vec<Fault>,
}

/// Makes calls fail in `cycles` runs, or in as many as there are faults.
pub async fn run(binary: &Binary, cycles: u32, seed: u64) -> Result<Report> {
    ensure_present()?;
    let mut rng = Rng::with_seed(seed);
    let prepared = Prepared::new(binary, &mut rng).await.context("preparing the folders")?;
    let place = tempfile::tempdir()?;
    let trial = Cycle { binary, folder: place.path().join("data"), log: place.path().join("trace") };
    let nothing = prepared.torn.contents.keys().map(|&scope| (scope, None)).collect();
    let begins = [
        trial.learn("new", None, nothing).await?,
        trial.learn("torn", Some(prepared.torn.folder.clone()), prepared.torn.contents.clone()).await?,
    ];
    let mut runs: Vec<_> =
        begins.iter().flat_map(|begin| begin.faults.iter().map(move |fault| (begin, fault))).collect();
    rng.shuffle(&mut runs);
    let mut verdicts = Verdicts::new("I/O errors");
    let all = runs.len();
    for (begin, fault) in runs.into_iter().take(cycles as usize) {
        trial.prepare(begin.from.as_deref())?;
        let verdict = trial.meet(begin, fault).await;
        verdicts.add(verdict, || format!("a {} folder, {fault}", begin.name));
    }
    let mut report = verdicts.report(seed);
    report.notes.push(format!("of {all} faults"));
    Ok(report)
}

/// Runs, one after the other in the same place, so that the files have the same names.
struct Cycle<'a> {
    binary: &'a Binary,
    folder: PathBuf,
    log: PathBuf,
}

impl Cycle<'_> {
    fn prepare(&self, from: Option<&Path>) -> Result<()> {
        folder::remove(&self.folder)?;
        from.map_or(Ok(()), |from| folder::copy(from, &self.folder))
    }

    /// Runs without a fault, to learn the calls.
    async fn learn(&self, name: &'static str, from: Option<PathBuf>, contents: Contents) -> Result<Begin> {
        self.prepare(from.as_deref())?;
        let server = self.binary.traced(&self.log, &CALLS, None, &[]).serve(&self.folder).await?;
        let mut ledgers = WRITERS.map(ExpectedCounter::new);
        let failed = load(&server, &mut ledgers).await.map_err(|finding| anyhow!("{finding:?}"))?;
        if let Some(status) = failed {
            return Err(status).context("without any fault");
        }
        server.stop().await?;
        let calls = calls(&self.log, &self.folder)?;
        Ok(Begin { name, from, contents, files: files(&calls, &self.folder)?, faults: faults(&calls) })
    }

    async fn meet(&self, begin: &Begin, fault: &Fault) -> Verdict {
        let faulty = fault.put_into(self.binary, &self.log, &begin.files);
        let mut ledgers = WRITERS.map(ExpectedCounter::new);
        let what = match faulty.serve(&self.folder).await {
            Ok(server) => self.serve(server, fault, begin, &mut ledgers).await?,
            Err(error) => {
                error.downcast::<NotStarted>()?.line()?;
                "did not start"
            }
        };
        let server = self.binary.serve(&self.folder).await.context("the cause is gone")?;
        check(&server, begin, &mut ledgers).await?;
        let mut client = Client::of(&server).await?;
        for ledger in &mut ledgers {
            ledger.write(&mut client).await.context("the cause is gone")?;
        }
        server.stop().await?;
        Ok(what)
    }

    /// Writes until a write fails. Then the server must refuse all other writes, say so, and serve reads.
    async fn serve(&self, server: Server, fault: &Fault, begin: &Begin, ledgers: &mut [ExpectedCounter; 2]) -> Verdict {
        let failed = load(&server, ledgers).await?;
        let mut what = "unnoticed";
        if let Some(status) = failed {
            what = "refused a write";
            let mut client = Client::of(&server).await?;
            let mut refused = 0;
            for ledger in ledgers.iter_mut() {
                refused += usize::from(is_refused(ledger.write(&mut client).await)?);
            }
            match refused {
                0 => health::told(&server, true).await?,
                _ if refused == ledgers.len() => {
                    what = "refused all writes";
                    health::told(&server, false).await?;
                }
                _ => return Err(anyhow!("one write was refused after another ({status}) had failed").into()),
            }
        }
        check(&server, begin, ledgers).await?;
        if matches!(fault, Fault::Call { .. }) {
            let hits = injected(calls(&self.log, &self.folder)?);
            if what == "unnoticed" && hits.is_empty() {
                what = "not met";
            }
            if what != "refused all writes" && hits.iter().any(Traced::fails_the_journal) {
                let text = hits.into_iter().map(|hit| hit.text).collect::<Vec<_>>().join("\n");
                return Err(anyhow!("writes go on though the journal has failed:\n{text}").into());
            }
        }
        // A server that refuses writes cannot close its folder cleanly, and its exit code says so.
        server.terminate().await?;
        server.ended().await?;
        Ok(what)
    }
}

impl Traced {
    fn fails_the_journal(&self) -> bool {
        self.text.contains("/journal/") && ["write", "pwrite64", "fsync", "fdatasync"].contains(&self.call.name)
    }
}

/// Lets every writer write until one write fails. Returns the first failure.
async fn load(server: &Server, ledgers: &mut [ExpectedCounter; 2]) -> Result<Option<Status>, Finding> {
    let client = Client::of(server).await?;
    let [first, second] = ledgers;
    let (first, second) = tokio::join!(write(client.clone(), first), write(client, second));
    Ok(first?.or(second?))
}

async fn write(mut client: Client, ledger: &mut ExpectedCounter) -> Result<Option<Status>, Finding> {
    client.text_bytes = 1000;
    for _ in 0..WRITES {
        let written = ledger.write(&mut client).await;
        if let Err(status) = written {
            is_refused(Err(status.clone()))?;
            return Ok(Some(status));
        }
        ledger.check(&mut client).await?;
    }
    Ok(None)
}

/// Whether a write was refused with the error for a failed disk.
fn is_refused(written: Result<(), Status>) -> Result<bool> {
    match written {
        Ok(()) => Ok(false),
        Err(status) if status.code() == Code::Unavailable => Ok(true),
        Err(status) => Err(status).context("a write failed in another way than documented"),
    }
}

/// Checks that all expected settings are there and no others.
async fn check(server: &Server, begin: &Begin, ledgers: &mut [ExpectedCounter; 2]) -> Result<(), Finding> {
    compare(server, &begin.contents).await?;
    let mut client = Client::of(server).await?;
    for ledger in ledgers {
        ledger.check(&mut client).await?;
    }
    Ok(())
}
