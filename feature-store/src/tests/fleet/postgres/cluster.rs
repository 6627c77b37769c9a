//! A PostgreSQL for a test.

use std::fs;
use std::os::unix::fs::chown;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use tempfile::TempDir;
use tokio::runtime::{Builder, Runtime};
use tokio_postgres::{Client, Config, NoTls};
use uuid::Uuid;

use crate::engine::{Engine, Position};
use crate::{MemoryStore, PostgresEngine, PostgresOpenError, PostgresOptions, Replica};

/// The port of all servers here, below those that systems give to clients. The folder or the address tells them apart.
pub(super) const PORT: u16 = 25_432;

/// A server of its own, in a folder for temporary files. It ends with this value.
pub(super) struct Cluster {
    server: Child,
    pub(super) runtime: Runtime,
    databases: AtomicUsize,
    pub(super) folder: TempDir,
}

impl Cluster {
    pub(super) fn start() -> Self {
        Self::start_with(|_| Vec::new())
    }

    /// Starts a server with further arguments, which `prepare` makes along with what they need in the cluster's folder.
    pub(super) fn start_with(prepare: impl FnOnce(&Path) -> Vec<String>) -> Self {
        let folder = tempfile::tempdir().expect("the system has a folder for temporary files");
        let data = folder.path().join("data");
        let user = id_of_user("postgres");
        chown(folder.path(), Some(user), None).expect("the tests run as root");
        let options =
            ["--no-locale", "--encoding=UTF8", "--auth=trust", "--no-sync", "--username=postgres", "--pgdata"];
        let made = as_postgres("initdb").args(options).arg(&data).stdout(Stdio::null()).status();
        assert!(made.expect("PostgreSQL is installed").success());
        let arguments = prepare(folder.path());
        let server = as_postgres("postgres")
            .args(["-c", "listen_addresses=", "-c", "log_min_messages=fatal", "-c", &format!("port={PORT}"), "-k"])
            .arg(folder.path())
            .arg("-D")
            .arg(&data)
            .args(arguments)
            .stderr(Stdio::null())
            .spawn()
            .expect("PostgreSQL is installed");
        let runtime = Builder::new_multi_thread().worker_threads(1).enable_all().build().expect("a runtime starts");
        let mut cluster = Self { server, runtime, databases: AtomicUsize::new(0), folder };
        while cluster.connect("postgres").is_none() {
            assert_eq!(cluster.server.try_wait().expect("its state is known"), None, "the server has ended");
            thread::yield_now();
        }
        cluster
    }

    pub(super) fn config(&self, database: &str) -> Config {
        let mut config = Config::new();
        config.host_path(self.folder.path()).port(PORT).user("postgres").dbname(database);
        config
    }

    pub(super) fn connect(&self, database: &str) -> Option<Client> {
        self.runtime.block_on(async {
            let (client, connection) = self.config(database).connect(NoTls).await.ok()?;
            tokio::spawn(connection);
            Some(client)
        })
    }

    pub(super) fn execute(&self, database: &str, sql: &str) {
        let client = self.connect(database).expect("the server runs");
        self.runtime.block_on(client.batch_execute(sql)).expect("the statement is right");
    }

    /// A new database.
    pub(super) fn database(&self) -> String {
        let name = format!("test{}", self.databases.fetch_add(1, Ordering::Relaxed));
        self.execute("postgres", &format!("CREATE DATABASE {name}"));
        name
    }

    pub(super) fn engine(&self, database: &str) -> Arc<PostgresEngine> {
        let options = options(&format!("postgres://postgres@{}/{database}", self.host()));
        Arc::new(open(&options).expect("the database is there"))
    }

    /// The server's socket, as a host of a URL with its port.
    pub(super) fn host(&self) -> String {
        format!("{}:{PORT}", self.folder.path().display().to_string().replace('/', "%2F"))
    }

    /// Stops the server and all its processes until the value is dropped. They accept connections and never answer.
    pub(super) fn pause(&self) -> Paused {
        let server = self.server.id();
        signal("STOP", &[server]);
        // A server that has stopped starts no further process.
        while !is_stopped(server) {
            thread::yield_now();
        }
        let all = [vec![server], children(server)].concat();
        signal("STOP", &all);
        Paused(all)
    }

    /// A replica on this database, with a view in memory.
    pub(super) fn replica(&self, database: &str) -> Replica {
        let engine = self.engine(database);
        let store = engine.head().expect("the database is there").store;
        Replica::new((Uuid::nil(), store), engine, Arc::new(MemoryStore::default()), Position::start(store))
    }
}

/// The processes of a server that does not answer.
pub(super) struct Paused(Vec<u32>);

impl Drop for Paused {
    fn drop(&mut self) {
        signal("CONT", &self.0);
    }
}

pub(super) fn options(url: &str) -> PostgresOptions {
    PostgresOptions::new(url.parse().expect("the URL is right"))
}

pub(super) fn open(options: &PostgresOptions) -> Result<PostgresEngine, PostgresOpenError> {
    PostgresEngine::open(options, Some(Uuid::from_u128(1)))
}

impl Drop for Cluster {
    fn drop(&mut self) {
        // It ends at once, and frees its shared memory, which a kill would leave behind.
        signal("QUIT", &[self.server.id()]);
        let _ = self.server.wait();
    }
}

/// Sends a signal to those of the processes that still run.
fn signal(name: &str, processes: &[u32]) {
    let processes = processes.iter().map(u32::to_string);
    let mut kill = Command::new("kill");
    kill.arg(format!("-{name}")).args(processes).stderr(Stdio::null()).status().expect("every machine has it");
}

fn is_stopped(process: u32) -> bool {
    let state = fs::read_to_string(format!("/proc/{process}/stat")).expect("the process runs");
    state.rsplit_once(") ").is_some_and(|(_, state)| state.starts_with('T'))
}

fn children(process: u32) -> Vec<u32> {
    let path = format!("/proc/{process}/task/{process}/children");
    let children = fs::read_to_string(path).expect("the process runs");
    children.split_whitespace().map(|child| child.parse().expect("an id is a number")).collect()
}

/// A program of the newest PostgreSQL here, run by its own user: it refuses to run as root.
pub(super) fn as_postgres(program: &str) -> Command {
    let versions = fs::read_dir("/usr/lib/postgresql").expect("PostgreSQL is installed");
    let newest: PathBuf = versions.map(|entry| entry.expect("the folder can be read").path()).max().expect("a version");
    let mut command = Command::new("setpriv");
    command.args(["--reuid=postgres", "--regid=postgres", "--clear-groups"]).arg(newest.join("bin").join(program));
    command.current_dir(Path::new("/"));
    command
}

/// The id of a user of this machine.
pub(super) fn id_of_user(name: &str) -> u32 {
    let users = fs::read_to_string("/etc/passwd").expect("the machine has users");
    let fields = users.lines().map(|line| line.split(':').collect::<Vec<_>>()).find(|fields| fields[0] == name);
    fields.expect("the package has made its user")[2].parse().expect("an id is a number")
}
