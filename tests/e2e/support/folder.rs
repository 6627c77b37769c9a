//! A data folder with its configuration: starts servers on it, and runs commands.

use std::path::PathBuf;
use std::process::{Command, Output, Stdio};
use std::sync::{Arc, OnceLock};

use tempfile::TempDir;

use crate::support::harness::{BINARY, Server};
use crate::support::log_audit;
use crate::support::postgres::{self, Database};
use crate::support::programs::limited;

const ANY_PORT: &str = "127.0.0.1:0";
const METRICS_LISTEN: &str = "FEATURE_SERVER__METRICS__LISTEN";

/// A data folder and a configuration file. Removed when the last server or test that uses it has ended.
#[derive(Clone)]
pub struct Folder {
    folder: Arc<TempDir>,
    store: Arc<Store>,
}

/// Where the servers of a folder keep what they know.
enum Store {
    /// In the data folder.
    Embedded,
    /// In a database, which the first server of the folder gets.
    Postgres(OnceLock<Database>),
}

impl Folder {
    /// An empty folder with this configuration (TOML). Its servers use the store of this run: that in the data folder,
    /// or with the variable `E2E_STORE=postgres` a database.
    pub fn new(config: &str) -> Self {
        match std::env::var("E2E_STORE").as_deref() {
            Err(_) | Ok("embedded") => Self::embedded(config),
            Ok("postgres") => Self::with_store(config, Store::Postgres(OnceLock::new())),
            Ok(other) => panic!("E2E_STORE is embedded or postgres, and not {other}"),
        }
    }

    /// The same for a test that is about the store in the data folder.
    pub fn embedded(config: &str) -> Self {
        Self::with_store(config, Store::Embedded)
    }

    /// The same for servers on this database.
    pub fn on(database: Database, config: &str) -> Self {
        Self::with_store(config, Store::Postgres(OnceLock::from(database)))
    }

    fn with_store(config: &str, store: Store) -> Self {
        let folder = Arc::new(tempfile::tempdir().expect("a temporary folder"));
        let folder = Self { folder, store: Arc::new(store) };
        std::fs::write(folder.config(), config).expect("the configuration is written");
        folder
    }

    /// The data folder. A process in its parent folder finds it by default.
    pub fn data(&self) -> PathBuf {
        self.folder.path().join("feature-data")
    }

    /// A file beside the data folder. The configuration can refer to it by its name.
    pub fn file(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
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
        Server::start(self.clone(), self.serve_command(wrapper, ANY_PORT), None)
    }

    /// The same, on these addresses for calls and for metrics.
    pub fn serve_at(&self, listen: &str, metrics: &str) -> Server {
        let mut command = self.serve_command(&[], listen);
        command.env(METRICS_LISTEN, metrics);
        Server::start(self.clone(), command, None)
    }

    /// The same, with this log filter and another target for the log.
    pub fn serve_logging(&self, filter: &str, log: impl Into<Stdio>) -> Server {
        let mut command = self.serve_command(&[], ANY_PORT);
        command.env("FEATURE_SERVER__LOG__FILTER", filter);
        Server::start(self.clone(), command, Some(log.into()))
    }

    fn serve_command(&self, wrapper: &[&str], listen: &str) -> Command {
        if let Store::Postgres(database) = &*self.store {
            database.get_or_init(postgres::database);
            // Servers that share a database do not make keys.
            if !self.data().join("keys").exists() {
                assert!(self.run("token keygen").status.success(), "a key is made");
            }
        }
        let words: Vec<_> = wrapper.iter().chain([&BINARY]).collect();
        let mut command = Command::new(words[0]);
        command.args(&words[1..]);
        self.settle(&mut command, &format!("serve --listen {listen}"));
        command.arg("--config").arg(self.config()).env("FEATURE_SERVER__LOG__FILTER", log_audit::EVERYTHING);
        command
    }

    fn config(&self) -> PathBuf {
        self.file("feature-server.toml")
    }

    /// Keeps the developer's own settings away from the server.
    fn settle(&self, command: &mut Command, line: &str) {
        command.args(line.split_whitespace()).arg("--data").arg(self.data()).current_dir(self.folder.path());
        command.stdin(Stdio::null());
        for (name, _) in std::env::vars_os() {
            if ["FEATURE_SERVER", "OTEL_", "PGPASSWORD"].iter().any(|prefix| name.to_string_lossy().starts_with(prefix))
            {
                command.env_remove(name);
            }
        }
        // Tests run servers side by side, and each needs a port of its own.
        command.env(METRICS_LISTEN, ANY_PORT);
        if let Store::Postgres(database) = &*self.store
            && let Some(database) = database.get()
        {
            command.env("FEATURE_SERVER__STORE__URL", database.url());
        }
    }
}
