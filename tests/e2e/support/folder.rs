//! A data folder with its configuration: starts servers on it, and runs commands.

use std::path::PathBuf;
use std::process::{Command, Output, Stdio};
use std::sync::Arc;

use tempfile::TempDir;

use crate::support::harness::{BINARY, Server};
use crate::support::log_audit;
use crate::support::programs::limited;

/// A data folder and a configuration file. Removed when the last server or test that uses it has ended.
#[derive(Clone)]
pub struct Folder(Arc<TempDir>);

impl Folder {
    /// An empty folder with this configuration (TOML).
    pub fn new(config: &str) -> Self {
        let folder = Self(Arc::new(tempfile::tempdir().expect("a temporary folder")));
        std::fs::write(folder.config(), config).expect("the configuration is written");
        folder
    }

    /// The data folder. A process in its parent folder finds it by default.
    pub fn data(&self) -> PathBuf {
        self.0.path().join("feature-data")
    }

    /// A file beside the data folder. The configuration can refer to it by its name.
    pub fn file(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// Runs a subcommand on this folder until it ends: `folder.run("verify")`.
    pub fn run(&self, line: &str) -> Output {
        self.run_by(&[], line)
    }

    /// The same, started through a wrapper command, such as `setpriv`.
    pub fn run_by(&self, wrapper: &[&str], line: &str) -> Output {
        let words: Vec<_> = wrapper.iter().chain([&BINARY]).collect();
        let mut command = limited(words[0]);
        command.args(&words[1..]);
        self.settle(&mut command, line);
        command.output().expect("the binary starts")
    }

    /// Starts a server on this folder.
    pub fn serve(&self) -> Server {
        self.serve_by(&[])
    }

    /// The same, started through a wrapper command that becomes the server by exec.
    pub fn serve_by(&self, wrapper: &[&str]) -> Server {
        Server::start(self.clone(), self.serve_command(wrapper), None)
    }

    /// The same, with this log filter and another target for the log.
    pub fn serve_logging(&self, filter: &str, log: impl Into<Stdio>) -> Server {
        let mut command = self.serve_command(&[]);
        command.env("FEATURE_SERVER__LOG__FILTER", filter);
        Server::start(self.clone(), command, Some(log.into()))
    }

    fn serve_command(&self, wrapper: &[&str]) -> Command {
        let words: Vec<_> = wrapper.iter().chain([&BINARY]).collect();
        let mut command = Command::new(words[0]);
        command.args(&words[1..]);
        self.settle(&mut command, "serve --listen 127.0.0.1:0");
        command.arg("--config").arg(self.config()).env("FEATURE_SERVER__LOG__FILTER", log_audit::EVERYTHING);
        command
    }

    fn config(&self) -> PathBuf {
        self.file("feature-server.toml")
    }

    /// Keeps the developer's own settings away from the server.
    fn settle(&self, command: &mut Command, line: &str) {
        command.args(line.split_whitespace()).arg("--data").arg(self.data()).current_dir(self.0.path());
        command.stdin(Stdio::null());
        for (name, _) in std::env::vars_os() {
            if ["FEATURE_SERVER", "OTEL_"].iter().any(|prefix| name.to_string_lossy().starts_with(prefix)) {
                command.env_remove(name);
            }
        }
        // Tests run servers side by side, and each needs a port of its own.
        command.env("FEATURE_SERVER__METRICS__LISTEN", "127.0.0.1:0");
    }
}
