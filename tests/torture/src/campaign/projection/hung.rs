//! Disks that hang: calls on them neither succeed nor fail for longer than any timeout.

use std::fmt;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, anyhow};
use tokio::time::{Instant, timeout};
use tonic::Code;

use crate::counter_client::{Client, Scope};
use crate::disk::prepared::{Form, compare};
use crate::disk::strace::{self, CALLS, Traced, calls, files, has_returned, most_of_a_thread};
use crate::expected::ExpectedCounter;
use crate::finding::{Finding, Verdict};
use crate::health;
use crate::server::{Binary, NotStarted, Server};

/// The default deadline that the server has for calls.
const DEADLINE: Duration = Duration::from_secs(2);

/// The time within which a call has an answer, even on a busy machine.
const ANSWERED: Duration = Duration::from_secs(8);

/// The time within which the server must end.
const ENDED: Duration = Duration::from_secs(20);

/// The duration of the writes. sled writes in the background every two seconds.
const LOAD: Duration = Duration::from_secs(15);

/// The server's grace period for open calls, in milliseconds. After it, the data folder has five seconds to close.
const GRACE_MS: &str = "1000";

/// Calls that hang, and the files on which they do.
pub struct Hang {
    call: &'static str,
    /// A part of the files' paths.
    files: &'static str,
}

const HANGS: [Hang; 4] = [
    Hang { call: "pwrite64", files: "/projection/" },
    Hang { call: "fdatasync", files: "/journal/" },
    Hang { call: "fsync", files: "/projection/" },
    Hang { call: "pwrite64", files: "/journal/" },
];

impl Hang {
    /// One hang after the other. `None` in every fifth turn, for a hanging start, which takes longest.
    pub fn of(turn: u32) -> Option<&'static Self> {
        HANGS.get((turn as usize + HANGS.len()) % (HANGS.len() + 1))
    }
}

impl Hang {
    fn meets(&self, traced: &Traced) -> bool {
        traced.call.name == self.call && traced.text.contains(self.files)
    }
}

impl fmt::Display for Hang {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} hangs below {}", self.call, self.files)
    }
}

/// Makes the calls of a running server hang, until the server is killed.
pub async fn meet(binary: &Binary, place: &Path, form: &Form, hang: &Hang) -> Verdict {
    let (data, log) = (place.join("data"), place.join("trace"));
    // A run without hangs shows the files, and how many of the calls a start makes.
    let learning = binary.traced(&log, &CALLS, None, &[]).serve(&data).await?;
    learning.kill().await?;
    let traced = calls(&log, &data)?;
    let (all, call) = (files(&traced, &data)?, strace::call(hang.call));
    let hangs: Vec<_> = all.into_iter().filter(|file| file.to_string_lossy().contains(hang.files)).collect();
    let at_start = most_of_a_thread(traced.iter().filter(|traced| hang.meets(traced)));
    let inject = format!("delay_enter=60s:when={}+", at_start + 1);
    let mut binary = binary.traced(&log, &[call], Some(&inject), &hangs);
    let deadline = DEADLINE.as_millis().to_string();
    binary.environment.push(("FEATURE_SERVER__LIMITS__DEFAULT_DEADLINE_MS".to_owned(), deadline));
    binary.environment.push(("FEATURE_SERVER__SERVER__SHUTDOWN_GRACE_MS".to_owned(), GRACE_MS.to_owned()));

    let server = binary.serve(&data).await?;
    let mut client = Client::of(&server).await?;
    client.text_bytes = 2000;
    let mut ledger = ExpectedCounter::new(Scope::Organization(100));
    let (begin, mut answered, mut late) = (Instant::now(), 0, 0);
    while begin.elapsed() < LOAD {
        let written = timeout(ANSWERED, ledger.write(&mut client)).await;
        match written.map_err(|_| anyhow!("a write was not answered within {ANSWERED:?}"))? {
            Ok(()) => answered += 1,
            Err(status) if matches!(status.code(), Code::DeadlineExceeded | Code::Unavailable) => late += 1,
            Err(status) => return Err(anyhow::Error::from(status).context("a write while the disk hangs").into()),
        }
        timeout(ANSWERED, ledger.check(&mut client)).await.map_err(|_| anyhow!("a read was not answered"))??;
        timeout(ANSWERED, health::of_server(&server)).await.map_err(|_| anyhow!("health was not answered"))??;
    }
    if !calls(&log, &data)?.iter().any(|call| hang.meets(call) && !has_returned(&call.text)) {
        return Err(anyhow!("no call hung, so nothing was seen").into());
    }
    if hang.files == "/journal/" {
        if late == 0 {
            return Err(Finding::Lost(format!("{answered} writes were acknowledged by a disk that hangs")));
        }
        health::told(&server, false).await?;
        ends(server, &log).await?;
    } else {
        server.kill().await?;
    }

    let server = binary.wrapped(Vec::new()).serve(&data).await.context("the disk answers again")?;
    compare(&server, &form.contents).await?;
    ledger.check(&mut Client::of(&server).await?).await?;
    server.stop().await?;
    binary.verify(&data).await?;
    Ok(if late == 0 { "hung unnoticed" } else { "hung" })
}

/// Stops a server whose journal hangs. The server must end and say why it could not close its folder.
///
/// `trace`: the file in which strace records the server's exit. strace itself runs until the last delayed call is over.
async fn ends(server: Server, trace: &Path) -> Result<(), Finding> {
    server.terminate().await?;
    let ended = async {
        while !std::fs::read_to_string(trace)?.contains("+++ exited with 1 +++") {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        anyhow::Ok(())
    };
    timeout(ENDED, ended).await.map_err(|_| anyhow!("it did not end with 1 within {ENDED:?}"))??;
    let log = server.kill().await?;
    if !log.contains("was not closed, the disk did not answer within") {
        return Err(anyhow!("it ended without the line that tells of the disk:\n{log}").into());
    }
    Ok(())
}

/// Makes a start hang in sled. The server must refuse in time, and the next start must serve the contents.
pub async fn meet_at_open(binary: &Binary, place: &Path, form: &Form) -> Verdict {
    let (data, log) = (place.join("data"), place.join("trace"));
    let files = [data.join("projection/conf")];
    match binary.traced(&log, &[strace::call("openat")], Some("delay_enter=60s:when=1+"), &files).serve(&data).await {
        Ok(_) => return Err(anyhow!("the start did not hang, so nothing was seen").into()),
        Err(error) => {
            let refusal = error.downcast::<NotStarted>()?;
            let line = refusal.line()?;
            if !line.contains("/projection did not open within") {
                return Err(Finding::FalseAlarm(line.to_owned()));
            }
        }
    }
    let server = binary.serve(&data).await.context("the projection was set aside")?;
    compare(&server, &form.contents).await?;
    server.stop().await?;
    binary.verify(&data).await?;
    Ok("rebuilt after a hang")
}
