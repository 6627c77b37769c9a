//! The real server as a process: started on a folder with its own port, stopped or killed.

use std::ffi::OsString;
use std::fmt;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Output, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, BufReader, Lines};
use tokio::process::{Child, ChildStderr, ChildStdout, Command};
use tokio::task::JoinHandle;
use tokio::time::timeout;
use tonic::transport::{Channel, Endpoint};

/// The maximum time of a start, a stop or a command before the campaign gives up.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// The server's binary, and how to start it.
#[derive(Debug, Clone)]
pub struct Binary {
    path: PathBuf,
    /// A wrapper command, such as `strace` with its arguments; may be empty.
    wrapper: Vec<OsString>,
    /// Environment variables.
    pub environment: Vec<(String, String)>,
}

/// A server that ended before it listened.
#[derive(Debug)]
pub struct NotStarted {
    /// Its exit status.
    pub status: ExitStatus,
    /// Its standard error.
    pub log: String,
}

impl NotStarted {
    /// The one line that says why.
    ///
    /// # Errors
    /// When the server did not end with a message of this form.
    pub fn line(&self) -> Result<&str> {
        let mut lines = self.log.lines().filter_map(|line| line.strip_prefix("feature-server: "));
        match (lines.next(), lines.next(), self.status.code()) {
            (Some(line), None, Some(1)) => Ok(line),
            _ => bail!("not one line says why: {self}"),
        }
    }
}

impl fmt::Display for NotStarted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the server did not start ({}):\n{}", self.status, self.log.trim_end())
    }
}

impl std::error::Error for NotStarted {}

/// A running server. Dropping it kills the server.
pub struct Server {
    data: PathBuf,
    process: Child,
    binary: Binary,
    address: String,
    /// The address of metrics and probes.
    monitoring: String,
    /// Read continuously, so that the server never blocks on a full pipe.
    stdout: Lines<BufReader<ChildStdout>>,
    log: JoinHandle<String>,
}

/// A server that may not listen yet. Dropping it kills the server.
pub struct Starting(Server);

impl Binary {
    /// The binary at `path`, or the one beside this program.
    pub fn find(path: Option<PathBuf>) -> Result<Self> {
        let path = match path {
            Some(path) => std::path::absolute(path)?,
            None => std::env::current_exe()?.with_file_name("feature-server"),
        };
        ensure!(path.is_file(), "there is no server at {}: build it, or name it with --server", path.display());
        Ok(Self { path, wrapper: Vec::new(), environment: Vec::new() })
    }

    /// This binary, started through a wrapper command, such as `strace` with its arguments.
    pub fn wrapped(&self, wrapper: Vec<OsString>) -> Self {
        Self { wrapper, ..self.clone() }
    }

    /// This binary with small segments, the oldest of which are soon dropped.
    pub fn with_short_history(&self) -> Self {
        let mut short = self.clone();
        short.environment.push(("FEATURE_SERVER__HISTORY__KEEP".to_owned(), "1 MiB".to_owned()));
        short
    }

    /// Runs a subcommand on a data folder until it ends.
    pub async fn run(&self, data: &Path, arguments: &[&str]) -> Result<Output> {
        let mut command = Command::new(&self.path);
        command.args(arguments).arg("--data").arg(data).stdin(Stdio::null()).kill_on_drop(true);
        let run = timeout(PATIENCE, command.output()).await;
        run.with_context(|| format!("{arguments:?} did not end"))?.context("starting the server's binary")
    }

    /// Mints a token: `binary.token(data, "--role IAM_OWNER --instance demo")`.
    pub async fn token(&self, data: &Path, line: &str) -> Result<String> {
        let arguments: Vec<_> = std::iter::once("token").chain(line.split_whitespace()).collect();
        let output = self.run(data, &arguments).await?;
        ensure!(output.status.success(), "token {line}: {}", String::from_utf8_lossy(&output.stderr));
        Ok(String::from_utf8(output.stdout)?.trim_end().to_owned())
    }

    /// Starts a server on a data folder and waits until it listens.
    ///
    /// # Errors
    /// [`NotStarted`] when it ends before.
    pub async fn serve(&self, data: &Path) -> Result<Server> {
        self.start(data)?.listening().await
    }

    /// Starts a server on a data folder without waiting for it.
    pub fn start(&self, data: &Path) -> Result<Starting> {
        self.start_at(data, "127.0.0.1:0")
    }

    /// As [`Binary::start`], at this address.
    pub fn start_at(&self, data: &Path, address: &str) -> Result<Starting> {
        let mut words = self.wrapper.clone();
        words.push(self.path.clone().into());
        let mut command = Command::new(&words[0]);
        command.args(&words[1..]).args(["serve", "--listen", address, "--data"]).arg(data);
        // The server must not read a configuration file in this program's working directory.
        command.current_dir("/");
        // Several servers run at once, and each needs a port of its own.
        command.env("FEATURE_SERVER__METRICS__LISTEN", "127.0.0.1:0");
        command.envs(self.environment.iter().map(|(name, value)| (name, value)));
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
        let mut process = command.spawn().with_context(|| format!("starting {}", words[0].display()))?;
        let stdout = BufReader::new(process.stdout.take().context("standard output is piped")?).lines();
        let log = tokio::spawn(collect(process.stderr.take().context("standard error is piped")?));
        let (data, binary, address, monitoring) = (data.to_owned(), self.clone(), String::new(), String::new());
        Ok(Starting(Server { data, process, binary, address, monitoring, stdout, log }))
    }
}

impl Starting {
    /// Waits until the server listens.
    ///
    /// # Errors
    /// [`NotStarted`] when it ends before.
    pub async fn listening(self) -> Result<Server> {
        let Self(mut server) = self;
        loop {
            match timeout(PATIENCE, server.stdout.next_line())
                .await
                .context("the server did not say 'listening on'")??
            {
                Some(line) => {
                    if let Some((_, monitoring)) = line.split_once("metrics and probes on http://") {
                        server.monitoring = monitoring.trim().to_owned();
                    }
                    let Some((_, address)) = line.split_once("listening on ") else { continue };
                    server.address = address.trim().to_owned();
                    return Ok(server);
                }
                None => {
                    let (status, log) = server.ended().await?;
                    bail!(NotStarted { status, log });
                }
            }
        }
    }

    /// Sends SIGKILL and waits for the end. Returns the log.
    pub async fn kill(self) -> Result<String> {
        self.0.kill().await
    }
}

impl Server {
    /// The server's address, as `127.0.0.1:PORT`.
    pub fn address(&self) -> &str {
        &self.address
    }

    /// The address of metrics and probes, as `127.0.0.1:PORT`.
    pub fn monitoring(&self) -> &str {
        &self.monitoring
    }

    /// The id of the process, or of its wrapper.
    pub fn process_id(&self) -> Option<u32> {
        self.process.id()
    }

    /// Mints a token of this server.
    pub async fn token(&self, line: &str) -> Result<String> {
        self.binary.token(&self.data, line).await
    }

    /// A gRPC connection to the server, opened at the first call.
    pub fn channel(&self) -> Result<Channel> {
        Ok(Endpoint::from_shared(format!("http://{}", self.address))?.connect_lazy())
    }

    /// Sends SIGTERM, and fails unless the server ends well. Returns the log.
    pub async fn stop(self) -> Result<String> {
        self.terminate().await?;
        let (status, log) = self.ended().await?;
        ensure!(status.success(), "the server ended with {status}:\n{log}");
        Ok(log)
    }

    /// Sends SIGTERM and does not wait.
    pub async fn terminate(&self) -> Result<()> {
        let process = self.process.id().context("the server has ended before")?;
        let sent = Command::new("sh").args(["-c", "kill -TERM \"$1\"", "sh", &process.to_string()]).status().await?;
        ensure!(sent.success(), "SIGTERM could not be sent");
        Ok(())
    }

    /// Sends SIGKILL and waits for the end. Returns the log.
    pub async fn kill(mut self) -> Result<String> {
        self.process.start_kill()?;
        Ok(self.ended().await?.1)
    }

    /// Waits until the server ends by itself. Returns its status and its log.
    pub async fn ended(mut self) -> Result<(ExitStatus, String)> {
        let status = timeout(PATIENCE, self.process.wait()).await.context("the server did not end")??;
        Ok((status, self.log.await?))
    }
}

async fn collect(mut stderr: ChildStderr) -> String {
    let mut text = Vec::new();
    // A broken pipe ends the log: the text up to there is all there is.
    let _ = stderr.read_to_end(&mut text).await;
    String::from_utf8_lossy(&text).into_owned()
}
