//! Several hosts: one that does not answer holds nothing up, and all connections lead to the same one.

use uuid::Uuid;

use super::cluster::{Cluster, PORT, open, options};
use crate::PostgresEngine;
use crate::engine::{Append, Engine, Position};
use crate::tests::fixtures::history;

/// A folder without a server.
const NOWHERE: &str = "%2Fnowhere";

#[test]
fn hosts_that_are_down_or_silent_are_passed_over() {
    let (silent, well) = (Cluster::start(), Cluster::start());
    let database = well.database();
    let _paused = silent.pause();
    for hosts in [
        format!("{NOWHERE},{},{}", silent.host(), well.host()),
        format!("{},{NOWHERE},{}", silent.host(), well.host()),
        format!("{0},{0},{1}", silent.host(), well.host()),
    ] {
        let options = options(&format!("postgres://postgres@{hosts}/{database}"));
        open(&options).expect(&hosts).head().unwrap();
    }
}

#[test]
fn without_a_host_that_takes_writes_each_one_has_its_reason() {
    let (silent, read_only) = (Cluster::start(), Cluster::start());
    let database = read_only.database();
    read_only.execute("postgres", &format!("ALTER DATABASE {database} SET default_transaction_read_only = on"));
    let _paused = silent.pause();
    let hosts = [NOWHERE.to_owned(), silent.host(), read_only.host()].join(",");
    let error = open(&options(&format!("postgres://postgres@{hosts}/{database}"))).err().unwrap().to_string();
    let place = |cluster: &Cluster| format!("{}:{PORT}", cluster.folder.path().display());
    for part in [
        "no host of the database takes writes".to_owned(),
        "/nowhere:5432: error connecting to server: No such file or directory".to_owned(),
        format!("{}: no answer within 1000 ms", place(&silent)),
        format!("{}: error connecting to server: database does not allow writes", place(&read_only)),
    ] {
        assert!(error.contains(&part), "{part}: {error}");
    }
}

#[test]
fn a_host_that_continues_after_a_pause_is_used_again() {
    let cluster = Cluster::start();
    let database = cluster.database();
    let engine = cluster.engine(&database);
    let base = engine.head().unwrap().end;
    let paused = cluster.pause();
    for _ in 0..2 {
        let error = engine.head().unwrap_err().to_string();
        assert!(error.contains("no answer within"), "{error}");
    }
    let appended = engine.append(base, &[]);
    assert!(!matches!(appended, Ok(Append::Added | Append::Overtaken)), "{appended:?}");
    drop(paused);
    cluster.connect("postgres").unwrap();
    assert_eq!(engine.head().unwrap().end, base);
    assert_eq!(engine.append(base, &[]).unwrap(), Append::Added);
}

/// Two servers with stores of their own, whose ids tell where a connection leads. The engine is at the first one.
fn two_servers() -> (Cluster, Cluster, PostgresEngine) {
    let (first, second) = (Cluster::start(), Cluster::start());
    let database = first.database();
    assert_eq!(second.database(), database);
    let url = |hosts: &str| options(&format!("postgres://postgres@{hosts}/{database}"));
    PostgresEngine::open(&url(&second.host()), Some(Uuid::from_u128(2))).unwrap();
    let engine = open(&url(&format!("{},{}", first.host(), second.host()))).unwrap();
    (first, second, engine)
}

fn store(engine: &PostgresEngine) -> u128 {
    engine.head().unwrap().store.as_u128()
}

#[test]
fn all_connections_leave_a_host_that_fails_one_of_them() {
    let (first, _second, engine) = two_servers();
    let base = engine.head().unwrap().end;
    assert_eq!(engine.beat(Uuid::from_u128(3), Position::start(Uuid::nil())).unwrap().head.store.as_u128(), 1);
    let paused = first.pause();
    let appended = engine.append(base, &base.entries(history([1]).iter())).unwrap();
    assert!(matches!(appended, Append::Unknown { .. }), "{appended:?}");
    assert_eq!(store(&engine), 2, "the reads have left the first host, too");
    assert_eq!(engine.beat(Uuid::from_u128(3), Position::start(Uuid::nil())).unwrap().head.store.as_u128(), 2);
    drop(paused);
    first.connect("postgres").unwrap();
    assert_eq!(store(&engine), 2, "it stays with a host that is well");
    engine.leave_reads();
    assert_eq!(store(&engine), 1, "it begins with another one");
    assert_eq!(engine.beat(Uuid::from_u128(3), Position::start(Uuid::nil())).unwrap().head.store.as_u128(), 1);
}

#[test]
fn the_host_of_the_writes_stays_when_the_reads_have_yet_to_follow_them() {
    let (first, _second, engine) = two_servers();
    let base = engine.head().unwrap().end;
    let paused = first.pause();
    engine.append(base, &base.entries(history([1]).iter())).unwrap();
    assert_eq!(engine.beat(Uuid::from_u128(3), Position::start(Uuid::nil())).unwrap().head.store.as_u128(), 2);
    drop(paused);
    first.connect("postgres").unwrap();
    engine.leave_reads();
    assert_eq!(store(&engine), 2, "the reads were at the first host, which the writes have left before");
}

#[test]
fn a_turn_ends_when_its_host_is_left() {
    let (first, _second, engine) = two_servers();
    let base = engine.head().unwrap().end;
    engine.take_turn().unwrap();
    engine.leave_reads();
    assert_eq!(engine.append(base, &[]).unwrap(), Append::Overtaken, "the other store has another chain");
    let rival = first.engine("test0");
    assert_eq!(rival.append(base, &[]).unwrap(), Append::Added, "nothing is locked");
}
