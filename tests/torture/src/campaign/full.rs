//! A disk without space or without room for another file: the server refuses writes, serves reads, and accepts writes
//! again when space is free. A server that starts on such a disk serves or says what is missing. A server whose last
//! writes had not reached sled's files may need a restart; its health must then say so.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use fastrand::Rng;
use rustix::fs::statvfs;
use tokio::time::{Instant, sleep};
use tonic::{Code, Status};

use crate::counter_client::{Client, Scope};
use crate::disk::device::{self, Device};
use crate::expected::ExpectedCounter;
use crate::finding::{Finding, Verdict, Verdicts};
use crate::health;
use crate::report::Report;
use crate::server::{Binary, NotStarted, PATIENCE, Server};

/// The maximum time until sled has written the acknowledged writes: it gets them within two seconds, and writes them
/// within two more.
const FLUSH: Duration = Duration::from_secs(5);

/// What is left on the disk.
#[derive(Debug, Clone, Copy)]
enum Left {
    /// This many bytes of space. The server keeps 64 MiB in reserve.
    Bytes(u64),
    /// No room for another file.
    NoFiles,
}

/// Whether and how the server ends while the disk is full.
#[derive(Debug, Clone, Copy)]
enum Ends {
    No,
    Stopped,
    Killed,
}

const LEFT: [Left; 4] = [Left::Bytes(32 << 20), Left::Bytes(1 << 20), Left::Bytes(0), Left::NoFiles];
const ENDS: [Ends; 3] = [Ends::No, Ends::Stopped, Ends::Killed];

/// Fills disks, `cycles` times. Each kind of end is combined with each kind of shortage, in turn.
pub async fn run(binary: &Binary, cycles: u32, seed: u64) -> Result<Report> {
    let mut rng = Rng::with_seed(seed);
    let mut verdicts = Verdicts::new("full disks");
    let kinds = LEFT.into_iter().flat_map(|left| ENDS.map(|ends| (left, ends)));
    for (left, ends) in kinds.cycle().take(cycles as usize) {
        // The file system has few enough files to create them all, and no blocks reserved for root.
        let device = Device::new(&["-m", "0", "-N", "2048"], "noatime")?;
        let verdict = fill_up(binary, device.path(), left, ends, &mut rng).await;
        verdicts.add(verdict, || format!("{left:?} left, server ends: {ends:?}"));
    }
    Ok(verdicts.report(seed))
}

async fn fill_up(binary: &Binary, disk: PathBuf, left: Left, ends: Ends, rng: &mut Rng) -> Verdict {
    let data = disk.join("data");
    let server = binary.serve(&data).await?;
    let mut client = Client::of(&server).await?;
    let mut ledger = ExpectedCounter::new(Scope::Organization(1));
    for _ in 0..rng.usize(1..60) {
        client.text_bytes = rng.usize(40..2000);
        ledger.write(&mut client).await.context("with space")?;
    }
    // The disk fills up in both states: with all writes in sled's files, and with writes still pending.
    let is_flushed = rng.bool();
    if is_flushed {
        sleep(FLUSH).await;
    }
    let filler = disk.join("filler");
    fs::create_dir(&filler).context("making a folder")?;
    fill(&filler, left)?;
    refuses(&mut ledger, &mut client, left).await?;
    sleep(FLUSH).await;
    refuses(&mut ledger, &mut client, left).await?;
    let running = match ends {
        Ends::No => Some(server),
        Ends::Stopped | Ends::Killed => {
            if matches!(ends, Ends::Stopped) {
                server.terminate().await?;
                server.ended().await?;
            } else {
                server.kill().await?;
            }
            start_full(binary, &data, &mut ledger, left).await?
        }
    };
    fs::remove_dir_all(&filler).context("freeing space")?;
    let (mut server, mut what) = match running {
        Some(server) => (server, "served while full"),
        None => (binary.serve(&data).await.context("space was freed")?, "not started while full"),
    };
    let mut client = Client::of(&server).await?;
    let mut again = write_again(&mut ledger, &mut client).await;
    if again.is_ok() && !is_flushed {
        // No writer waits for sled, so only the next writer sees a failure of sled.
        sleep(FLUSH).await;
        again = ledger.write(&mut client).await;
    }
    if let Err(status) = again {
        if is_flushed {
            return Err(anyhow::Error::from(status).context("space was freed, and writes are still refused").into());
        }
        // sled gives up for good when it cannot write what it has accepted.
        health::told(&server, false).await?;
        ledger.check(&mut client).await?;
        server.terminate().await?;
        server.ended().await?;
        (server, what) = (binary.serve(&data).await.context("space was freed")?, "restarted when there was space");
        client = Client::of(&server).await?;
        ledger.write(&mut client).await.context("after a restart")?;
    }
    ledger.check(&mut client).await?;
    server.stop().await?;
    let server = binary.serve(&data).await?;
    ledger.check(&mut Client::of(&server).await?).await?;
    server.stop().await?;
    Ok(what)
}

/// Repeats a write until it succeeds: the file system releases freed space with a delay.
async fn write_again(ledger: &mut ExpectedCounter, client: &mut Client) -> Result<(), Status> {
    let begin = Instant::now();
    while let Err(status) = ledger.write(client).await {
        if begin.elapsed() > PATIENCE / 6 {
            return Err(status);
        }
        sleep(PATIENCE / 600).await;
    }
    Ok(())
}

/// Starts a server on a full disk. `None` if the server refuses and says why.
async fn start_full(
    binary: &Binary,
    data: &Path,
    ledger: &mut ExpectedCounter,
    left: Left,
) -> Result<Option<Server>, Finding> {
    let server = match binary.serve(data).await {
        Ok(server) => server,
        Err(error) => {
            let refusal = error.downcast::<NotStarted>()?;
            let line = refusal.line()?;
            if !line.contains("space") {
                return Err(Finding::Unopenable(format!("it does not tell that space is missing: {line}")));
            }
            return Ok(None);
        }
    };
    refuses(ledger, &mut Client::of(&server).await?, left).await?;
    Ok(Some(server))
}

/// Checks that the server refuses a write, if it can notice the shortage, and serves reads.
async fn refuses(ledger: &mut ExpectedCounter, client: &mut Client, left: Left) -> Result<(), Finding> {
    match (ledger.write(client).await, left) {
        (Err(status), _) if status.code() == Code::Unavailable => {}
        // This write needs no new file in the journal.
        (Ok(()), Left::NoFiles) => {}
        (written, _) => return Err(Finding::Unopenable(format!("a write on a full disk was answered {written:?}"))),
    }
    ledger.check(client).await
}

fn fill(folder: &Path, left: Left) -> Result<()> {
    match left {
        Left::NoFiles => {
            let mut number = 0_u32;
            while File::create(folder.join(number.to_string())).is_ok() {
                number += 1;
            }
            ensure!(statvfs(folder)?.f_favail == 0, "there are still files to be had");
        }
        Left::Bytes(left) => device::fill(&folder.join("space"), left)?,
    }
    Ok(())
}
