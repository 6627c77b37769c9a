//! Debian's PostgreSQL for a test: starts it in a folder for temporary files, and makes databases in it.

use std::fs;
use std::os::unix::fs::chown;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, LazyLock, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use crate::support::PATIENCE;

/// The port of each PostgreSQL here. The folder of its socket tells them apart.
const PORT: u16 = 25_432;

/// What waits until the test has dropped the cluster, or has ended in any way, and then removes the cluster. Its
/// arguments: the folder, and the command that stops PostgreSQL.
const JANITOR: &str = r#"
    read -r _
    kill -CONT "$(head -n 1 "$0/data/postmaster.pid")"
    "$@"
    rm -r "$0"
"#;

/// A PostgreSQL. It ends with this value, or with the test's process.
pub struct Cluster {
    folder: PathBuf,
    server: Mutex<Child>,
    janitor: Child,
    databases: AtomicUsize,
}

/// A database. Its tables are those that the first server on it makes.
#[derive(Clone)]
pub struct Database {
    cluster: Arc<Cluster>,
    name: String,
}

/// The processes of a PostgreSQL that does not answer, until this value is dropped.
pub struct Paused(Vec<Pid>);

/// An empty database in the cluster that all tests of this process share.
pub fn database() -> Database {
    static SHARED: LazyLock<Arc<Cluster>> = LazyLock::new(Cluster::start);
    SHARED.database()
}

impl Cluster {
    /// Starts a PostgreSQL for a test that disturbs it.
    pub fn start() -> Arc<Self> {
        let folder = tempfile::tempdir().expect("the system has a folder for temporary files").keep();
        let data = folder.join("data");
        chown(&folder, Some(id_of_user("postgres")), None).expect("the tests run as root");
        let stop = as_postgres("pg_ctl", &["stop", "--silent", "--mode=immediate", "--pgdata"], &data);
        let janitor = Command::new("sh")
            .args(["-c", JANITOR])
            .arg(&folder)
            .arg(stop.get_program())
            .args(stop.get_args())
            // Ctrl-C goes to a whole group of processes, and must not end this one.
            .process_group(0)
            .current_dir("/")
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("every machine has a shell");
        let options =
            ["--no-locale", "--encoding=UTF8", "--auth=trust", "--no-sync", "--username=postgres", "--pgdata"];
        let made = as_postgres("initdb", &options, &data).stdout(Stdio::null()).status();
        assert!(made.expect("PostgreSQL is installed").success());
        let server = Mutex::new(serve(&folder));
        let cluster = Self { folder, server, janitor, databases: AtomicUsize::new(0) };
        cluster.wait_until_ready();
        Arc::new(cluster)
    }

    /// An empty database.
    pub fn database(self: &Arc<Self>) -> Database {
        let name = format!("test{}", self.databases.fetch_add(1, Ordering::Relaxed));
        self.query("postgres", &format!("CREATE DATABASE {name}"));
        Database { cluster: Arc::clone(self), name }
    }

    /// Stops all processes. They accept connections and never answer.
    pub fn pause(&self) -> Paused {
        let server = self.process();
        let mut paused = Paused(vec![server]);
        send(server, Signal::STOP);
        // A server that has stopped starts no further process.
        wait_until(|| is_in_state(server, 'T'));
        paused.0.extend(children(server));
        paused.0[1..].iter().for_each(|process| send(*process, Signal::STOP));
        paused
    }

    /// Sends SIGKILL to all processes, and waits for their end.
    pub fn kill(&self) {
        let server = self.process();
        let children = children(server);
        [vec![server], children.clone()].concat().into_iter().for_each(|process| send(process, Signal::KILL));
        self.server.lock().expect("no test panics with it").wait().expect("the process is ours");
        wait_until(|| children.iter().all(|child| state(*child).is_none() || is_in_state(*child, 'Z')));
    }

    /// Starts it again after [`Cluster::kill`].
    pub fn start_again(&self) {
        *self.server.lock().expect("no test panics with it") = serve(&self.folder);
        self.wait_until_ready();
    }

    fn wait_until_ready(&self) {
        wait_until(|| {
            let mut server = self.server.lock().expect("no test panics with it");
            assert_eq!(server.try_wait().expect("the process is ours"), None, "PostgreSQL has ended");
            let ready = self.client("pg_isready").arg("--quiet").status();
            ready.expect("PostgreSQL is installed").success()
        });
    }

    fn query(&self, database: &str, sql: &str) -> String {
        let options = ["--no-psqlrc", "--quiet", "--tuples-only", "--no-align", "--set=ON_ERROR_STOP=1"];
        let output = self.client("psql").args(options).args(["--dbname", database, "--command", sql]).output();
        let output = output.expect("PostgreSQL is installed");
        assert!(output.status.success(), "{sql}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).expect("a result is text").trim_end().to_owned()
    }

    fn client(&self, program: &str) -> Command {
        let mut command = Command::new(installed(program));
        command.arg("--host").arg(&self.folder).args(["--username=postgres", &format!("--port={PORT}")]);
        command
    }

    fn process(&self) -> Pid {
        pid(self.server.lock().expect("no test panics with it").id())
    }
}

impl Database {
    /// The URL for `store.url`.
    pub fn url(&self) -> String {
        let folder = self.cluster.folder.display().to_string().replace('/', "%2F");
        format!("postgres://postgres@{folder}:{PORT}/{}", self.name)
    }

    /// Runs statements as one transaction. Returns the rows of the last one, a line each.
    pub fn query(&self, sql: &str) -> String {
        self.cluster.query(&self.name, sql)
    }
}

impl Drop for Paused {
    fn drop(&mut self) {
        self.0.iter().for_each(|process| send(*process, Signal::CONT));
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        drop(self.janitor.stdin.take());
        let _ = self.janitor.wait();
        let _ = self.server.get_mut().map(Child::wait);
    }
}

fn serve(folder: &Path) -> Child {
    let mut command = as_postgres("postgres", &["-D"], &folder.join("data"));
    command.args(["-c", "listen_addresses=", "-c", "max_connections=1000", "-p", &PORT.to_string(), "-k"]).arg(folder);
    command.process_group(0).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    command.spawn().expect("PostgreSQL is installed")
}

/// A command of PostgreSQL, run by its own user: it refuses to run as root.
fn as_postgres(program: &str, options: &[&str], data: &Path) -> Command {
    let mut command = Command::new("setpriv");
    command.args(["--reuid=postgres", "--regid=postgres", "--clear-groups"]);
    command.arg(installed(program)).args(options).arg(data).current_dir("/");
    command
}

/// A program of the newest PostgreSQL here.
fn installed(program: &str) -> PathBuf {
    let versions = fs::read_dir("/usr/lib/postgresql").expect("`cargo xtask test` installs PostgreSQL");
    let newest = versions.map(|entry| entry.expect("the folder can be read").path()).max().expect("a version");
    newest.join("bin").join(program)
}

fn id_of_user(name: &str) -> u32 {
    let users = fs::read_to_string("/etc/passwd").expect("the machine has users");
    let fields = users.lines().map(|line| line.split(':').collect::<Vec<_>>()).find(|fields| fields[0] == name);
    fields.expect("the package has made its user")[2].parse().expect("an id is a number")
}

fn wait_until(mut holds: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !holds() {
        assert!(Instant::now() < deadline, "PostgreSQL is not as expected after {PATIENCE:?}");
        thread::sleep(Duration::from_millis(10));
    }
}

/// A process that has ended meanwhile gets nothing.
fn send(process: Pid, signal: Signal) {
    let _ = kill_process(process, signal);
}

/// The letter of its state; `None` after its end.
fn state(process: Pid) -> Option<char> {
    let stat = fs::read_to_string(format!("/proc/{process}/stat")).ok()?;
    stat.rsplit_once(") ")?.1.chars().next()
}

fn is_in_state(process: Pid, letter: char) -> bool {
    state(process) == Some(letter)
}

fn children(process: Pid) -> Vec<Pid> {
    let children = fs::read_to_string(format!("/proc/{process}/task/{process}/children")).expect("the process runs");
    children.split_whitespace().map(|child| pid(child.parse().expect("an id is a number"))).collect()
}

fn pid(id: u32) -> Pid {
    i32::try_from(id).ok().and_then(Pid::from_raw).expect("an id of a process")
}
