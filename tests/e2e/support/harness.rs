//! The real server as a process: started on a folder with its own port, stopped, killed, restarted.

use std::fmt::Write as _;
use std::io::{BufRead, BufReader, Read};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use tonic::metadata::{Ascii, MetadataValue};
use tonic::service::Interceptor;
use tonic::transport::{Channel, Endpoint};
use tonic::{Request, Status};

pub use crate::support::folder::Folder;
pub use crate::support::programs::limited;
use crate::support::{PATIENCE, log_audit};

/// The server's binary.
pub const BINARY: &str = env!("CARGO_BIN_EXE_feature-server");

/// A running server. Dropping it kills the process and searches its log for secrets; if the test has failed, prints the
/// log.
pub struct Server {
    folder: Folder,
    process: Child,
    address: String,
    /// The address of metrics and probes.
    monitoring: String,
    /// The lines of standard output; the channel closes when the process ends.
    lines: Receiver<String>,
    log: Arc<Mutex<String>>,
    log_reader: Option<JoinHandle<()>>,
}

impl Server {
    /// A server on an empty folder, without configuration.
    pub fn new() -> Self {
        Folder::new("").serve()
    }

    /// `log`: the target of standard error; by default, the test reads it.
    pub(super) fn start(folder: Folder, mut command: Command, log: Option<Stdio>) -> Self {
        command.stdout(Stdio::piped()).stderr(log.unwrap_or_else(Stdio::piped));
        let mut process = command.spawn().expect("the server's binary starts");
        let stdout = process.stdout.take().expect("standard output is piped");
        let stderr = process.stderr.take();
        let (sender, lines) = channel();
        thread::spawn(move || {
            BufReader::new(stdout).lines().map_while(Result::ok).try_for_each(|line| sender.send(line))
        });
        let log = Arc::new(Mutex::new(String::new()));
        let log_reader = stderr.map(|stderr| {
            let log = log.clone();
            thread::spawn(move || keep(stderr, &log))
        });
        let (address, monitoring) = (String::new(), String::new());
        let mut server = Self { folder, process, address, monitoring, lines, log, log_reader };
        server.wait_until_listening();
        server
    }

    /// Waits until the server says that it listens, and notes its addresses: at its start, and when it starts over in
    /// the same process.
    pub fn wait_until_listening(&mut self) {
        self.monitoring = self.wait_for_line("metrics and probes on ");
        self.address = self.wait_for_line("listening on ");
    }

    /// The server's address, as `127.0.0.1:PORT`.
    pub fn address(&self) -> &str {
        &self.address
    }

    /// The URL of metrics and probes, without a path.
    pub fn monitoring(&self) -> &str {
        &self.monitoring
    }

    /// The id of the process.
    pub fn process(&self) -> u32 {
        self.process.id()
    }

    /// The server's folder.
    pub fn folder(&self) -> &Folder {
        &self.folder
    }

    /// The log so far.
    pub fn log(&self) -> String {
        self.log.lock().expect("the log's reader does not panic").clone()
    }

    /// Waits until this number of lines of the log contain the text.
    pub fn wait_for_log(&self, text: &str, lines: usize) {
        self.wait_for_lines(&[text], lines);
    }

    /// Waits until this number of lines of the log contain all texts.
    pub fn wait_for_lines(&self, texts: &[&str], lines: usize) {
        let deadline = Instant::now() + PATIENCE;
        let holds = |line: &&str| texts.iter().all(|text| line.contains(text));
        while self.log().lines().filter(holds).count() < lines {
            assert!(Instant::now() < deadline, "not {lines} lines in the log with {texts:?} in {PATIENCE:?}");
            thread::sleep(Duration::from_millis(10));
        }
    }

    /// Mints a token: `server.token("--role IAM_OWNER --instance demo")`.
    pub fn token(&self, line: &str) -> String {
        let output = self.folder.run(&format!("token {line}"));
        let token = String::from_utf8(output.stdout).expect("a token is text");
        assert!(output.status.success(), "token {line}: {}", String::from_utf8_lossy(&output.stderr));
        log_audit::note_secret(token.trim_end());
        token.trim_end().to_owned()
    }

    /// A gRPC connection to the server.
    pub async fn channel(&self) -> Channel {
        let endpoint = Endpoint::from_shared(format!("http://{}", self.address)).expect("an address is a valid URL");
        endpoint.connect().await.expect("the server accepts a connection")
    }

    /// Sends a signal: `server.signal(Signal::HUP)`.
    pub fn signal(&self, signal: Signal) {
        let process = i32::try_from(self.process.id()).ok().and_then(Pid::from_raw).expect("an id of a process");
        kill_process(process, signal).expect("the process is there");
    }

    /// Sends SIGTERM and waits for the end. Returns the folder. Fails unless the exit code is 0.
    ///
    /// An async test with open connections needs `flavor = "multi_thread"`, so that they can answer while this function
    /// blocks.
    pub fn stop(self) -> Folder {
        self.signal(Signal::TERM);
        self.stopped()
    }

    /// Waits for the end after SIGTERM, as [`Server::stop`] does.
    pub fn stopped(mut self) -> Folder {
        let status = self.wait_for_exit();
        assert_eq!(status.code(), Some(0), "after SIGTERM the server ends with {status}");
        self.folder.clone()
    }

    /// Sends SIGKILL and waits for the end. Returns the folder.
    pub fn kill(mut self) -> Folder {
        self.process.kill().expect("SIGKILL is sent");
        self.wait_for_exit();
        self.folder.clone()
    }

    /// The rest of the next line of standard output that has this text.
    fn wait_for_line(&self, text: &str) -> String {
        let deadline = Instant::now() + PATIENCE;
        loop {
            match self.lines.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
                Ok(line) => match line.split_once(text) {
                    Some((_, rest)) => return rest.trim().to_owned(),
                    None => continue,
                },
                Err(RecvTimeoutError::Timeout) => panic!("the server did not say '{text}' in {PATIENCE:?}"),
                Err(RecvTimeoutError::Disconnected) => panic!("the server ended before it listened"),
            }
        }
    }

    fn wait_for_exit(&mut self) -> ExitStatus {
        let deadline = Instant::now() + PATIENCE;
        loop {
            match self.lines.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
                Ok(_) => {}
                Err(RecvTimeoutError::Timeout) => panic!("the server did not end in {PATIENCE:?}"),
                Err(RecvTimeoutError::Disconnected) => return self.process.wait().expect("the process is ours"),
            }
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // Both fail if the process has already ended.
        let _ = self.process.kill();
        let _ = self.process.wait();
        let _ = self.log_reader.take().map(JoinHandle::join);
        let log = self.log.lock().expect("the log's reader does not panic");
        if thread::panicking() {
            eprintln!("--- log of the server ---\n{log}---");
        } else {
            log_audit::check(&log, &self.folder.data());
        }
    }
}

/// Adds a token and the organization `acme` to every call of a Rust client.
#[derive(Clone)]
pub struct Bearer(MetadataValue<Ascii>);

impl Bearer {
    pub fn new(token: &str) -> Self {
        Self(format!("Bearer {token}").parse().expect("a token is ASCII"))
    }
}

impl Interceptor for Bearer {
    fn call(&mut self, mut request: Request<()>) -> Result<Request<()>, Status> {
        request.metadata_mut().insert("authorization", self.0.clone());
        request.metadata_mut().insert("x-zitadel-orgid", MetadataValue::from_static("acme"));
        Ok(request)
    }
}

fn keep(stderr: impl Read, log: &Mutex<String>) {
    for line in BufReader::new(stderr).lines().map_while(Result::ok) {
        let mut log = log.lock().expect("no test panics with the log in hand");
        let _ = writeln!(log, "{line}");
    }
}
