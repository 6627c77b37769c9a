//! The tests of a store over a real PostgreSQL, as Debian packages it.

use std::fs;
use std::os::unix::fs::chown;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, channel};
use std::thread;

use feature_core::{Scope, Value};
use tempfile::TempDir;
use tokio::runtime::{Builder, Runtime};
use tokio_postgres::{Client, Config, NoTls};
use uuid::Uuid;

use super::conformance::{self, ANOTHER};
use super::fixtures::{append, event, history, records, scopes, write};
use crate::engine::{Append, Engine, Outcome, Position};
use crate::store::limits::SIZES;
use crate::{
    Batch, Committer, FeatureStore, Feed, JournalStore, MemoryStore, OpenReplica, PostgresEngine, Replica, StoreError,
};

/// A server of its own, in a folder for temporary files. It ends with this value.
struct Cluster {
    server: Child,
    runtime: Runtime,
    databases: AtomicUsize,
    folder: TempDir,
}

impl Cluster {
    fn start() -> Self {
        let folder = tempfile::tempdir().expect("the system has a folder for temporary files");
        let data = folder.path().join("data");
        let user = id_of_user("postgres");
        chown(folder.path(), Some(user), None).expect("the tests run as root");
        let options = ["--no-locale", "--encoding=UTF8", "--auth=trust", "--username=postgres", "--pgdata"];
        let made = as_postgres("initdb").args(options).arg(&data).stdout(Stdio::null()).status();
        assert!(made.expect("PostgreSQL is installed").success());
        let server = as_postgres("postgres")
            .args(["-c", "listen_addresses=", "-c", "log_min_messages=fatal", "-k"])
            .arg(folder.path())
            .arg("-D")
            .arg(&data)
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

    fn config(&self, database: &str) -> Config {
        let mut config = Config::new();
        config.host_path(self.folder.path()).user("postgres").dbname(database);
        config
    }

    fn connect(&self, database: &str) -> Option<Client> {
        self.runtime.block_on(async {
            let (client, connection) = self.config(database).connect(NoTls).await.ok()?;
            tokio::spawn(connection);
            Some(client)
        })
    }

    fn execute(&self, database: &str, sql: &str) {
        let client = self.connect(database).expect("the server runs");
        self.runtime.block_on(client.batch_execute(sql)).expect("the statement is right");
    }

    /// A new database.
    fn database(&self) -> String {
        let name = format!("test{}", self.databases.fetch_add(1, Ordering::Relaxed));
        self.execute("postgres", &format!("CREATE DATABASE {name}"));
        name
    }

    fn engine(&self, database: &str) -> Arc<PostgresEngine> {
        Arc::new(PostgresEngine::open(&self.config(database), Uuid::from_u128(1)).expect("the database is there"))
    }

    /// A replica on this database, with a view in memory.
    fn replica(&self, database: &str) -> Replica {
        let engine = self.engine(database);
        let start = Position::start(engine.head().expect("the database is there").store);
        Replica::new(engine, Arc::new(MemoryStore::default()), start)
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        let _ = self.server.kill();
        let _ = self.server.wait();
    }
}

/// A program of the newest PostgreSQL here, run by its own user: it refuses to run as root.
fn as_postgres(program: &str) -> Command {
    let versions = fs::read_dir("/usr/lib/postgresql").expect("PostgreSQL is installed");
    let newest: PathBuf = versions.map(|entry| entry.expect("the folder can be read").path()).max().expect("a version");
    let mut command = Command::new("setpriv");
    command.args(["--reuid=postgres", "--regid=postgres", "--clear-groups"]).arg(newest.join("bin").join(program));
    command.current_dir(Path::new("/"));
    command
}

/// The id of a user of this machine.
fn id_of_user(name: &str) -> u32 {
    let users = fs::read_to_string("/etc/passwd").expect("the machine has users");
    let fields = users.lines().map(|line| line.split(':').collect::<Vec<_>>()).find(|fields| fields[0] == name);
    fields.expect("the package has made its user")[2].parse().expect("an id is a number")
}

#[test]
fn a_replica_over_postgres_keeps_the_contract_of_a_store() {
    let cluster = Arc::new(Cluster::start());
    let of_thread = Arc::clone(&cluster);
    ANOTHER.set(Some(Box::new(move || Arc::new(of_thread.replica(&of_thread.database())))));
    let promises: [(&str, fn()); 6] = [
        ("a_new_store_is_empty", conformance::a_new_store_is_empty),
        (
            "what_is_appended_is_there_exactly_and_only_where_it_belongs",
            conformance::what_is_appended_is_there_exactly_and_only_where_it_belongs,
        ),
        (
            "later_events_change_earlier_records_within_a_group_and_after_it",
            conformance::later_events_change_earlier_records_within_a_group_and_after_it,
        ),
        (
            "a_group_that_does_not_continue_the_history_is_refused_whole",
            conformance::a_group_that_does_not_continue_the_history_is_refused_whole,
        ),
        (
            "a_value_above_a_limit_is_refused_and_harms_nothing",
            conformance::a_value_above_a_limit_is_refused_and_harms_nothing,
        ),
        (
            "readers_never_see_a_record_go_back_nor_one_that_its_revision_lacks",
            conformance::readers_never_see_a_record_go_back_nor_one_that_its_revision_lacks,
        ),
    ];
    for (name, promise) in promises {
        println!("{name}");
        promise();
    }
    ANOTHER.set(None);
}

#[test]
fn one_of_two_groups_at_the_same_base_is_added() {
    let cluster = Cluster::start();
    let database = cluster.database();
    let (one, other) = (cluster.engine(&database), cluster.engine(&database));
    let base = one.head().unwrap().end;
    assert_eq!(base, Position::start(Uuid::from_u128(1)));
    let group = base.entries(history([1, 2]).iter());
    let rival = base.entries([event(1, &scopes()[1], 1, &[Value::Flag(true)])].iter());
    assert_eq!(one.outcome(base, &group).unwrap(), Outcome::Open);
    assert_eq!(one.append(base, &group).unwrap(), Append::Added);
    assert_eq!(other.append(base, &rival).unwrap(), Append::Overtaken);
    assert_eq!(other.append(base, &[]).unwrap(), Append::Overtaken, "an answer without an event is compared, too");
    // the group | what has become of it
    for (group, outcome) in [(&group, Outcome::Added), (&rival, Outcome::Overtaken), (&Vec::new(), Outcome::Overtaken)]
    {
        assert_eq!(other.outcome(base, group).unwrap(), outcome);
    }
    let end = group[1].position;
    assert_eq!(other.head().unwrap().end, end);
    assert_eq!(other.append(end, &[]).unwrap(), Append::Added);
    // from | limit | the entries
    for (from, limit, entries) in [(0, 9, &group[..]), (2, 9, &group[1..]), (1, 1, &group[..1]), (3, 9, &[])] {
        assert_eq!(other.read(from, limit).unwrap(), entries);
    }
}

#[test]
fn a_turn_keeps_others_out_until_the_append() {
    let cluster = Cluster::start();
    let database = cluster.database();
    let (one, other) = (cluster.engine(&database), cluster.engine(&database));
    let base = one.head().unwrap().end;
    one.take_turn().unwrap();
    thread::scope(|threads| {
        let rival = threads.spawn(|| other.append(base, &base.entries(history([1]).iter())).unwrap());
        // It waits for the lock in the database.
        let waits = "SELECT count(*) FROM pg_locks WHERE NOT granted";
        let watcher = cluster.connect("postgres").unwrap();
        while cluster.runtime.block_on(watcher.query_one(waits, &[])).unwrap().get::<_, i64>(0) == 0 {
            thread::yield_now();
        }
        let group = base.entries(history([1]).iter());
        assert_eq!(one.append(base, &group).unwrap(), Append::Added);
        assert_eq!(rival.join().unwrap(), Append::Overtaken);
    });
}

#[test]
fn replicas_that_write_at_once_make_one_history() {
    const WRITES: usize = 200;
    let cluster = Cluster::start();
    let database = cluster.database();
    let replicas: Vec<_> = (0..3).map(|_| Arc::new(cluster.replica(&database))).collect();
    let sequences: Vec<Vec<u64>> = thread::scope(|threads| {
        let write_all = |number: usize, replica: Arc<Replica>| {
            let queue = std::num::NonZeroUsize::new(WRITES).unwrap();
            let committer = Committer::start(replica as _, queue).unwrap();
            let runtime = Builder::new_current_thread().build().unwrap();
            let write = |index: usize| {
                let value = Value::Text(format!("{number} {index}"));
                let committed = runtime.block_on(committer.commit(write(&Scope::System, "k", Some(value))));
                committed.unwrap().details.sequence
            };
            (0..WRITES).map(write).collect()
        };
        let start = |(number, replica): (usize, &Arc<Replica>)| {
            let replica = Arc::clone(replica);
            threads.spawn(move || write_all(number, replica))
        };
        let writers: Vec<_> = replicas.iter().enumerate().map(start).collect();
        writers.into_iter().map(|writer| writer.join().unwrap()).collect()
    });
    assert!(sequences.iter().all(|of_one| of_one.is_sorted()), "a writer saw the sequence go back");
    let mut all: Vec<u64> = sequences.concat();
    all.sort_unstable();
    assert_eq!(all, (1..=3 * WRITES as u64).collect::<Vec<_>>(), "each write has a sequence of its own");
    for replica in &replicas {
        replica.follow().unwrap();
        assert_eq!(replica.revision(), 3 * WRITES as u64);
        assert_eq!(records(&**replica), records(&*replicas[0]));
    }
}

#[test]
fn connections_that_are_terminated_lose_and_repeat_nothing() {
    const WRITES: usize = 300;
    let cluster = Cluster::start();
    let database = cluster.database();
    let replica = cluster.replica(&database);
    let done = std::sync::atomic::AtomicBool::new(false);
    let (written, killed) = thread::scope(|threads| {
        let terminator = threads.spawn(|| {
            let admin = cluster.connect("postgres").unwrap();
            let terminate =
                "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE datname = $1 AND state <> 'idle'";
            let mut killed = 0;
            while !done.load(Ordering::Relaxed) {
                let row = cluster.runtime.block_on(admin.query_one(terminate, &[&database])).unwrap();
                killed += row.get::<_, i64>(0);
            }
            killed
        });
        let mut written = Vec::new();
        for number in 0..WRITES as u64 {
            let batch = || {
                let next = replica.revision() + 1;
                let sequence = replica.record(&Scope::System).unwrap().sequence + 1;
                let value = Value::Text(number.to_string());
                Batch::fold(&replica, [event(next, &Scope::System, sequence, &[value])]).unwrap()
            };
            match replica.append(&batch()) {
                Ok(()) => written.push(number),
                Err(StoreError::Overtaken | StoreError::Unreachable { .. } | StoreError::OutcomeUnknown { .. }) => {
                    while replica.follow().is_err() {}
                }
                Err(error) => panic!("{error}"),
            }
        }
        done.store(true, Ordering::Relaxed);
        (written, terminator.join().unwrap())
    });
    replica.follow().unwrap();
    let engine = cluster.engine(&database);
    let entries = engine.read(1, 2 * WRITES).unwrap();
    let value = |entry: &crate::Entry| {
        let event = crate::format::encoding::decode_event(entry.position.revision, &entry.body).unwrap();
        let Some(Value::Text(text)) = event.changes[0].new.clone() else { panic!("{event:?}") };
        text.parse::<u64>().unwrap()
    };
    let found: Vec<_> = entries.iter().map(value).collect();
    assert!(found.is_sorted_by(|one, next| one < next), "a write is there twice, or out of order");
    let lost: Vec<_> = written.iter().filter(|number| !found.contains(number)).collect();
    assert!(lost.is_empty(), "acknowledged and lost: {lost:?}");
    assert!(killed > 0, "no connection was terminated under way");
    println!("{} of {WRITES} acknowledged, {} in the log, {killed} connections terminated", written.len(), found.len());
}

/// A replica with its feed, in a folder. The receiver gets the error that ends the feed.
fn open_replica(cluster: &Cluster, database: &str, folder: &Path) -> (OpenReplica, Feed, Receiver<StoreError>) {
    let replica = OpenReplica::open(folder, cluster.engine(database), SIZES.cache_bytes).unwrap();
    let (failed, failure) = channel();
    let feed = Feed::start(Arc::clone(&replica.replica), move |error| drop(failed.send(error))).unwrap();
    (replica, feed, failure)
}

/// Appends events of the system from the next revision on.
fn append_some(replica: &Replica, count: u64) {
    let from = replica.revision();
    append(replica, &history(from + 1..=from + count)).unwrap();
}

#[test]
fn a_replica_shows_what_others_write_and_continues_after_a_restart() {
    let cluster = Cluster::start();
    let database = cluster.database();
    let folder = tempfile::tempdir().unwrap();
    let (one, _feed, _) = open_replica(&cluster, &database, &folder.path().join("one"));
    append_some(&one.replica, 3);
    let other_folder = folder.path().join("other");
    let (other, feed, _) = open_replica(&cluster, &database, &other_folder);
    assert_eq!(other.view.revision(), 3, "it begins at the end of the log");
    for revision in 4..=100 {
        append_some(&one.replica, 1);
        while other.view.revision() < revision {
            thread::yield_now();
        }
        assert_eq!(records(&*other.view), records(&*one.view));
    }
    drop(feed);
    other.replica.close().unwrap();
    drop(other);
    append_some(&one.replica, 5);
    let (other, ..) = open_replica(&cluster, &database, &other_folder);
    assert_eq!((other.view.revision(), records(&*other.view)), (105, records(&*one.view)));
    assert!(!other_folder.join("replica.set-aside").exists(), "it continued and was not made anew");
}

#[test]
fn a_history_that_was_taken_back_is_noticed_and_listed_anew() {
    let cluster = Cluster::start();
    let database = cluster.database();
    let folder = tempfile::tempdir().unwrap();
    let (replica, _feed, failure) = open_replica(&cluster, &database, folder.path());
    append_some(&replica.replica, 10);
    let before = cluster.engine(&database).read(7, 1).unwrap()[0].position;
    // A backup of revision 7 is restored, and somebody writes two other events.
    let restore = "BEGIN; DELETE FROM feature_service.events WHERE revision > 7;
        UPDATE feature_service.head SET revision = 7,
            chain = (SELECT chain FROM feature_service.events WHERE revision = 7); COMMIT";
    cluster.execute(&database, restore);
    let other = [event(8, &scopes()[1], 1, &[Value::Flag(true)]), event(9, &scopes()[1], 2, &[Value::Flag(false)])];
    let engine = cluster.engine(&database);
    assert_eq!(engine.append(before, &before.entries(other.iter())).unwrap(), Append::Added);
    let error = failure.recv().unwrap().to_string();
    assert!(
        error.contains("it was taken back: it ends at revision 9, and this replica has read another one up to 10"),
        "{error}"
    );
    assert_eq!(replica.view.revision(), 10, "the old view is as it was");
    drop(replica);
    let (replica, ..) = open_replica(&cluster, &database, folder.path());
    assert_eq!(replica.view.revision(), 9);
    assert_eq!(replica.view.record(&scopes()[1]).unwrap().sequence, 2);
    assert!(folder.path().join("replica.set-aside").exists());
}

#[test]
fn a_folder_with_an_embedded_store_is_no_place_for_a_replica() {
    let cluster = Cluster::start();
    let database = cluster.database();
    let folder = tempfile::tempdir().unwrap();
    drop(JournalStore::open(folder.path(), SIZES.cache_bytes).unwrap());
    let error = OpenReplica::open(folder.path(), cluster.engine(&database), SIZES.cache_bytes).err().unwrap();
    assert!(error.to_string().contains("holds an embedded store: move it to the database"), "{error}");
}
