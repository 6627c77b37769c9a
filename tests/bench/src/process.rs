//! A server under measurement: starts it as a process, and measures its processor time and memory.

use std::path::Path;
use std::process::Stdio;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use tokio::io::{AsyncBufReadExt, BufReader, Lines};
use tokio::process::{Child, ChildStdout, Command};
use tokio::time::timeout;

/// The maximum time for a server to start or end. With ten million users it builds its projection for more than a
/// minute.
pub const PATIENCE: Duration = Duration::from_secs(300);

/// The maximum time for a server to end at once.
const SOON: Duration = Duration::from_secs(10);

/// A running server. Dropping it kills the process.
pub struct Process {
    child: Child,
    id: u32,
    /// As `127.0.0.1:PORT`.
    pub address: String,
    /// Kept open, so that the server never writes into a closed pipe.
    _stdout: Option<Lines<BufReader<ChildStdout>>>,
}

impl Process {
    /// Starts a server that prints `listening on ADDRESS`.
    pub async fn start(mut command: Command) -> Result<Self> {
        let mut child = spawn(command.stdout(Stdio::piped()))?;
        let mut lines = BufReader::new(child.stdout.take().context("standard output is piped")?).lines();
        loop {
            let line =
                timeout(PATIENCE, lines.next_line()).await.context("the server did not say where it listens")??;
            let line = line.context("the server ended before it listened")?;
            if let Some((_, address)) = line.split_once("listening on ") {
                return Self::of(child, address.trim().to_owned(), Some(lines));
            }
        }
    }

    /// Starts a server that prints no address, and waits until it accepts connections at `address`.
    pub async fn start_at(mut command: Command, address: String) -> Result<Self> {
        let child = spawn(command.stdout(Stdio::null()))?;
        let connected = async {
            while tokio::net::TcpStream::connect(&address).await.is_err() {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        timeout(PATIENCE, connected).await.context("the server does not listen")?;
        Self::of(child, address, None)
    }

    fn of(child: Child, address: String, stdout: Option<Lines<BufReader<ChildStdout>>>) -> Result<Self> {
        let id = child.id().context("the server has ended")?;
        Ok(Self { child, id, address, _stdout: stdout })
    }

    /// The id of the process.
    pub fn id(&self) -> u32 {
        self.id
    }

    /// The processor time so far, of all threads together.
    pub fn cpu(&self) -> Result<Duration> {
        let stat = self.read("stat")?;
        // The program's name is in parentheses and may contain any character.
        let fields: Vec<_> = stat.rsplit_once(") ").context("reading stat")?.1.split(' ').collect();
        let ticks: u64 = fields[11].parse::<u64>()? + fields[12].parse::<u64>()?;
        // A tick is 10 ms on Linux, independent of the kernel's own clock.
        Ok(Duration::from_millis(ticks * 10))
    }

    /// The memory in use, in bytes.
    pub fn resident_bytes(&self) -> Result<u64> {
        let status = self.read("status")?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).context("reading VmRSS")?;
        let kibibytes: u64 = line.trim().trim_end_matches(" kB").parse()?;
        Ok(kibibytes * 1024)
    }

    /// Stops the process and waits until it has ended.
    pub async fn stop(mut self) -> Result<()> {
        let sent = Command::new("sh").args(["-c", "kill -TERM \"$1\"", "sh", &self.id.to_string()]).status().await?;
        ensure!(sent.success(), "SIGTERM could not be sent");
        timeout(PATIENCE, self.child.wait()).await.context("the server did not end")??;
        Ok(())
    }

    /// Sends a signal that ends the process soon, and waits for its end without giving way to other tasks.
    pub fn end_at_once(&mut self, signal: &str) {
        // A failure leaves the process to the killing on drop.
        let _ = std::process::Command::new("kill").args(["-s", signal, &self.id.to_string()]).status();
        let begun = Instant::now();
        while matches!(self.child.try_wait(), Ok(None)) && begun.elapsed() < SOON {
            thread::sleep(Duration::from_millis(10));
        }
    }

    fn read(&self, file: &str) -> Result<String> {
        let path = format!("/proc/{}/{file}", self.id);
        std::fs::read_to_string(&path).with_context(|| format!("reading {path}"))
    }
}

fn spawn(command: &mut Command) -> Result<Child> {
    let program = Path::new(command.as_std().get_program()).display().to_string();
    command
        .stdin(Stdio::null())
        .stderr(Stdio::null())
        .kill_on_drop(true)
        .spawn()
        .with_context(|| format!("starting {program}"))
}
