//! What a database has to promise before it may keep the log.

use std::process::{Child, Stdio};
use std::time::Instant;

use uuid::Uuid;

use super::PATIENCE;
use super::cluster::{Cluster, PORT, as_postgres, open, options};
use crate::engine::postgres::checks::Settings;
use crate::engine::{Beat, Engine, EngineError, Position};
use crate::{Durability, PostgresCheckError, PostgresEngine, PostgresOptions};

fn on(cluster: &Cluster, database: &str, durability: Durability) -> PostgresOptions {
    let url = format!("postgres://postgres@{}/{database}", cluster.host());
    PostgresOptions { durability, ..options(&url) }
}

/// Changes a setting of the whole server, and waits until it holds.
fn set(cluster: &Cluster, setting: &str, value: &str) {
    cluster.execute("postgres", &format!("ALTER SYSTEM SET {setting} = '{value}'"));
    cluster.execute("postgres", "SELECT pg_reload_conf()");
    until(&format!("{setting} is {value}"), || show(cluster, setting) == value);
}

fn show(cluster: &Cluster, setting: &str) -> String {
    let client = cluster.connect("postgres").expect("the server runs");
    cluster.runtime.block_on(client.query_one(&format!("SHOW {setting}"), &[])).unwrap().get(0)
}

fn until(what: &str, mut is_so: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !is_so() {
        assert!(Instant::now() < deadline, "it never came about that {what}");
    }
}

#[test]
fn a_database_that_loses_writes_is_refused() {
    let cluster = Cluster::start();
    let database = cluster.database();
    let refused = |durability, part: &str| {
        let error = open(&on(&cluster, &database, durability)).err().expect(part).to_string();
        assert!(error.contains(part), "{error}");
    };
    for setting in ["fsync", "full_page_writes"] {
        set(&cluster, setting, "off");
        refused(Durability::AsConfigured, &format!("{setting} = off, so acknowledged writes may get lost"));
        set(&cluster, setting, "on");
    }
    for value in ["off", "local"] {
        cluster.execute("postgres", &format!("ALTER DATABASE {database} SET synchronous_commit = {value}"));
        refused(Durability::AsConfigured, &format!("synchronous_commit = {value}, so acknowledged writes may get"));
    }
    cluster.execute("postgres", &format!("ALTER DATABASE {database} RESET synchronous_commit"));
    refused(Durability::Replicated, "no synchronous_standby_names, so acknowledged writes are lost when a standby");
    open(&on(&cluster, &database, Durability::AsConfigured)).unwrap();
}

/// A program that follows a server as a standby does, and confirms what it has on its disk.
struct Standby(Child);

impl Standby {
    fn follow(cluster: &Cluster) -> Self {
        let mut receiver = as_postgres("pg_receivewal");
        receiver
            .args(["--synchronous", "--username=postgres", "--port", &PORT.to_string(), "--host"])
            .arg(cluster.folder.path());
        receiver.arg("--directory").arg(cluster.folder.path());
        let receiver = receiver.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        let client = cluster.connect("postgres").unwrap();
        let streams = "SELECT count(*) FROM pg_stat_replication WHERE state = 'streaming'";
        until("the standby streams", || {
            cluster.runtime.block_on(client.query_one(streams, &[])).unwrap().get::<_, i64>(0) == 1
        });
        Self(receiver)
    }
}

impl Drop for Standby {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn beat(engine: &PostgresEngine) -> Result<Beat, EngineError> {
    engine.beat(Uuid::from_u128(3), Position::start(Uuid::nil()))
}

#[test]
fn standbys_that_confirm_nothing_are_warned_of_or_refused() {
    let cluster = Cluster::start();
    let database = cluster.database();
    let as_configured = open(&on(&cluster, &database, Durability::AsConfigured)).unwrap();
    assert_eq!(as_configured.settings().warning(), None);
    let _standby = Standby::follow(&cluster);
    let warning = as_configured.settings().warning().unwrap();
    assert!(warning.contains("synchronous_standby_names is empty: acknowledged writes are lost"), "{warning}");
    set(&cluster, "synchronous_standby_names", "pg_receivewal");
    until("the engine sees the names", || as_configured.settings().warning().is_none());
    let replicated = open(&on(&cluster, &database, Durability::Replicated)).unwrap();
    beat(&replicated).unwrap();
    // An operator takes the demand back while the server runs.
    set(&cluster, "synchronous_standby_names", "");
    until("the engine notices", || beat(&replicated).is_err());
    let error = beat(&replicated).unwrap_err();
    assert_eq!(error.reason, PostgresCheckError::NotReplicated.to_string());
    beat(&as_configured).unwrap();
}

#[test]
fn settings_are_judged_where_they_exist() {
    let version = |version| Settings { version: Some(version), ..Settings::default() };
    let names = |names: &str| Settings { standby_names: Some(names.to_owned()), ..Settings::default() };
    // what a database says | a part of the refusal | a part of the warning
    let table = [
        (Settings::default(), None, None),
        (version(13_00_22), Some("is a PostgreSQL 13, and this server needs 14 or newer: upgrade it"), None),
        (version(14_00_00), None, None),
        (names("a, b"), None, None),
        (names("FIRST 1 (any, b)"), None, None),
        (names("anything"), None, None),
        (names("ANY 1 (a, b)"), None, Some("synchronous_standby_names has ANY")),
        (names(" any 1(*)"), None, Some("and what it accepts is lost")),
    ];
    for (settings, refusal, warning) in table {
        let refused = settings.check(Durability::AsConfigured).err().map(|error| error.to_string());
        for (found, part) in [(refused, refusal), (settings.warning().map(str::to_owned), warning)] {
            assert_eq!(found.is_some(), part.is_some(), "{settings:?}");
            assert!(found.unwrap_or_default().contains(part.unwrap_or_default()), "{settings:?}");
        }
    }
}
