//! From a data folder into a database, and back.

use std::sync::Arc;

use feature_core::Value;
use uuid::Uuid;

use super::cluster::{Cluster, options};
use crate::engine::{Append, Engine, Position};
use crate::store::limits::{Keep, SIZES, Sizes};
use crate::tests::fixtures::{append, decided, event, history, records, scopes, write};
use crate::tests::transfer::{exported, store_of};
use crate::{
    CopyError, EventLog, ExportError, FeatureStore, History, JournalStore, OpenReplica, PostgresEngine, copy_to_log,
    export_log,
};

fn copy(history: &History, engine: &PostgresEngine) -> Result<u64, CopyError> {
    copy_to_log(history, engine, &mut |_, _| {})
}

fn exported_from(engine: &PostgresEngine) -> Result<String, ExportError> {
    let mut lines = Vec::new();
    export_log(engine, &mut lines, &mut |_, _| {})?;
    Ok(String::from_utf8(lines).expect("JSON is text"))
}

/// A database for the store with this id.
fn engine_of(cluster: &Cluster, store: Uuid) -> PostgresEngine {
    let url = format!("postgres://postgres@{}/{}", cluster.host(), cluster.database());
    PostgresEngine::open(&options(&url), Some(store)).unwrap()
}

#[test]
fn a_history_goes_into_a_database_and_back_byte_for_byte() {
    let cluster = Cluster::start();
    let folder = tempfile::tempdir().unwrap();
    let embedded = folder.path().join("embedded");
    let mut events = history(1..=9_000);
    events.extend((9_001..=10_000).map(|revision| event(revision, &scopes()[4], revision, &[Value::Flag(true)])));
    store_of(&events, &embedded);
    let (lines, history) = (exported(&embedded), History::open(&embedded).unwrap());
    let engine = engine_of(&cluster, history.store());
    // An attempt that was interrupted.
    let start = Position::start(history.store());
    assert_eq!(engine.append(start, &start.entries(events[..2_000].iter())).unwrap(), Append::Added);
    for attempt in ["the rest", "nothing"] {
        assert_eq!(copy(&history, &engine).unwrap(), 10_000, "{attempt}");
    }
    assert_eq!(exported_from(&engine).unwrap(), lines);
    drop(history);
    let replica = OpenReplica::open(&folder.path().join("replica"), Arc::new(engine), SIZES.cache_bytes);
    let shown = records(&JournalStore::open_with(&embedded, SIZES).unwrap());
    assert_eq!(records(&*replica.unwrap().view), shown);
}

#[test]
fn a_shortened_history_goes_into_a_database_with_its_base() {
    let cluster = Cluster::start();
    let folder = tempfile::tempdir().unwrap();
    let embedded = folder.path().join("embedded");
    let sizes = Sizes { segment_bytes: 400, keep: Keep::Bytes(3_200), ..SIZES };
    let store = JournalStore::open_with(&embedded, sizes).unwrap();
    let writes = (0..60).map(|index| write(&scopes()[index % 3], "k", Some(Value::Integer(index as i64))));
    for event in decided(&writes.collect::<Vec<_>>()) {
        append(&store, std::slice::from_ref(&event)).unwrap();
        store.checkpoint(event.time).unwrap();
    }
    let (shown, oldest) = (records(&store), store.oldest().unwrap());
    assert!(oldest > 10);
    store.close().unwrap();
    drop(store);
    let history = History::open(&embedded).unwrap();
    let engine = engine_of(&cluster, history.store());
    for attempt in ["all", "nothing"] {
        assert_eq!(copy(&history, &engine).unwrap(), 60, "{attempt}");
    }
    let error = exported_from(&engine).unwrap_err();
    assert!(matches!(error, ExportError::EventsDropped { kept_from } if kept_from == oldest), "{error}");
    let replica = OpenReplica::open(&folder.path().join("replica"), Arc::new(engine), SIZES.cache_bytes).unwrap();
    assert_eq!(records(&*replica.view), shown);
    assert_eq!(EventLog::oldest(&*replica.replica).unwrap(), oldest);

    // Another history of the same store has another base.
    let other = Position { revision: oldest - 1, ..Position::start(history.store()) };
    let cluster = Cluster::start();
    let engine = engine_of(&cluster, history.store());
    engine.begin(other, &[], true).unwrap();
    assert!(matches!(copy(&history, &engine), Err(CopyError::OtherHistory { .. })));
}

#[test]
fn a_database_with_something_else_takes_no_history() {
    let cluster = Cluster::start();
    let folder = tempfile::tempdir().unwrap();
    let embedded = folder.path().join("embedded");
    store_of(&history(1..=3), &embedded);
    let of_folder = History::open(&embedded).unwrap();
    let start = Position::start(of_folder.store());
    let other = event(1, &scopes()[1], 1, &[Value::Flag(true)]);
    let with = |events: &[feature_core::Event]| {
        let engine = engine_of(&cluster, of_folder.store());
        assert_eq!(engine.append(start, &start.entries(events.iter())).unwrap(), Append::Added);
        engine
    };
    // the database | a part of the line
    let table = [
        (
            engine_of(&cluster, Uuid::from_u128(1)),
            "holds the store 00000000-0000-0000-0000-000000000001, and this one is",
        ),
        (with(&[other]), "an event of its own at revision 1"),
        (with(&history(1..=4)), "an event of its own at revision 4"),
    ];
    for (engine, part) in table {
        let error = copy(&of_folder, &engine).unwrap_err().to_string();
        assert!(error.contains(part), "{error}");
    }
}

#[test]
fn a_history_without_its_beginning_is_not_exported() {
    let cluster = Cluster::start();
    let database = cluster.database();
    let replica = cluster.replica(&database);
    append(&replica, &history(1..=5)).unwrap();
    while replica.bring_base_forward().unwrap() {}
    while replica.drop_old_entries(history([3])[0].time).unwrap() {}
    let error = exported_from(&cluster.engine(&database)).unwrap_err().to_string();
    assert!(error.contains("keeps events from revision 3 on, and an export needs all of them"), "{error}");
}

#[test]
fn a_database_without_a_store_is_left_as_it_is_by_those_who_need_one() {
    let cluster = Cluster::start();
    let url = format!("postgres://postgres@{}/{}", cluster.host(), cluster.database());
    let error = PostgresEngine::open(&options(&url), None).err().unwrap();
    assert!(error.to_string().contains("the database holds no store: check the database's name"), "{error}");
    PostgresEngine::open(&options(&url), Some(Uuid::from_u128(1))).unwrap();
    assert_eq!(PostgresEngine::open(&options(&url), None).unwrap().head().unwrap().store, Uuid::from_u128(1));
}
