//! Replicas in folders, with their feeds, over a real PostgreSQL.

use std::ops::RangeInclusive;
use std::path::Path;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::{Duration, Instant};

use feature_core::{Event, Value};

use super::PATIENCE;
use super::cluster::Cluster;
use crate::engine::{Append, Engine, Entry, Position};
use crate::replica::feed::Feed;
use crate::replica::page::Page;
use crate::store::limits::{Keep, SIZES};
use crate::tests::fixtures::{append, event, history, records, scopes};
use crate::{FeatureStore, JournalStore, OpenReplica, Replica, StoreError};

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
    assert_eq!(other.replica.status().newest_event, one.replica.status().newest_event);
}

#[test]
fn a_view_is_proved_fresh_by_a_write_and_not_by_a_read() {
    let cluster = Cluster::start();
    let database = cluster.database();
    let (one, other, reader) = (cluster.replica(&database), cluster.replica(&database), cluster.replica(&database));
    assert_eq!(other.staleness(), None);
    append_some(&one, 3);
    let before = Instant::now();
    other.prove_freshness().unwrap();
    assert_eq!(other.revision(), 3, "the proof takes in what was acknowledged before it");
    assert!(other.staleness().unwrap() <= before.elapsed() + Duration::from_millis(1));
    let moment = reader.prove_freshness().unwrap();
    // A database that answers reads, and whose writes wait for a standby in vain, as one that a failover has replaced.
    cluster.execute("postgres", "ALTER SYSTEM SET synchronous_standby_names = 'none'");
    cluster.execute("postgres", "SELECT pg_reload_conf()");
    let deadline = Instant::now() + PATIENCE;
    let error = loop {
        match reader.prove_freshness() {
            Err(error) => break error.to_string(),
            Ok(proved) => assert!(proved > moment && Instant::now() < deadline, "the setting does not hold"),
        }
    };
    assert!(error.contains("no answer within 2000 ms"), "{error}");
    reader.follow().unwrap();
    assert_eq!(reader.revision(), 3);
    assert!(reader.staleness().unwrap() >= Duration::from_secs(2));
}

#[test]
fn a_history_that_was_taken_back_is_noticed_and_listed_anew() {
    let cluster = Cluster::start();
    let database = cluster.database();
    let folder = tempfile::tempdir().unwrap();
    let (replica, _feed, failure) = open_replica(&cluster, &database, folder.path());
    append_some(&replica.replica, 10);
    let before = cluster.engine(&database).read(7, 1).unwrap()[0].position;
    // A backup of revision 7 is restored, and another replica has written two events before this one looks.
    let other = [event(8, &scopes()[1], 1, &[Value::Flag(true)]), event(9, &scopes()[1], 2, &[Value::Flag(false)])];
    let mut restore = "BEGIN; DELETE FROM feature_service.events WHERE revision > 7;".to_owned();
    for Entry { position: Position { revision, chain }, body } in before.entries(other.iter()) {
        let body: String = body.iter().map(|byte| format!("{byte:02x}")).collect();
        restore += &format!(
            "INSERT INTO feature_service.events VALUES ({revision}, '\\x{chain:?}', '\\x{body}');
            UPDATE feature_service.head SET revision = {revision}, chain = '\\x{chain:?}';"
        );
    }
    cluster.execute(&database, &format!("{restore} COMMIT"));
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
fn a_new_replica_begins_from_the_base_when_old_events_were_dropped() {
    let cluster = Cluster::start();
    let database = cluster.database();
    let folder = tempfile::tempdir().unwrap();
    let (one, ..) = open_replica(&cluster, &database, &folder.path().join("one"));
    let engine = cluster.engine(&database);
    let user = |revision: u64| event(revision, &scopes()[4], revision, &[Value::Flag(revision.is_multiple_of(2))]);
    append(&*one.replica, &(1..=20).map(user).collect::<Vec<_>>()).unwrap();
    while one.replica.bring_base_forward().unwrap() {}
    append(&*one.replica, &(21..=30).map(user).collect::<Vec<_>>()).unwrap();
    // The fixture's times: the ten first events, and all; those that the base lacks stay.
    for (before, kept_from) in [(user(11).time, 11), (user(31).time, 21)] {
        while one.replica.drop_old_entries(before).unwrap() {}
        assert_eq!(engine.head().unwrap().kept_from, kept_from);
        assert_eq!(engine.read(1, 100).unwrap()[0].position.revision, kept_from);
        let (other, ..) = open_replica(&cluster, &database, &folder.path().join(kept_from.to_string()));
        assert_eq!((other.view.revision(), records(&*other.view)), (30, records(&*one.view)));
        append(&*other.replica, &[]).unwrap();
    }
    while one.replica.bring_base_forward().unwrap() {}
    while one.replica.drop_old_entries(user(31).time).unwrap() {}
    assert!(engine.read(1, 100).unwrap().is_empty());
    let (other, ..) = open_replica(&cluster, &database, &folder.path().join("last"));
    assert_eq!((other.view.revision(), records(&*other.view)), (30, records(&*one.view)));
    append_some(&other.replica, 1);
    one.replica.follow().unwrap();
    assert_eq!(one.view.revision(), 31);
}

#[test]
fn a_page_ends_where_a_batch_ends() {
    let cluster = Cluster::start();
    let engine = cluster.engine(&cluster.database());
    let add = |revisions: RangeInclusive<u64>, continues: RangeInclusive<u64>| {
        let base = engine.head().unwrap().end;
        let events = history(revisions).into_iter();
        let events = events.map(|event| Event { continues: continues.contains(&event.revision), ..event });
        assert_eq!(engine.append(base, &base.entries(events.collect::<Vec<_>>().iter())).unwrap(), Append::Added);
    };
    // The events from 3 to 20 are a batch, and the end of another one is yet to come.
    add(1..=25, 3..=19);
    add(26..=28, 26..=28);
    for limit in 1..30 {
        let page = Page::read(&*engine, 1, limit).unwrap();
        let revisions: Vec<_> = page.entries.iter().map(|entry| entry.position.revision).collect();
        let end = revisions.len() as u64;
        assert_eq!(revisions, (1..=end).collect::<Vec<_>>(), "limit {limit}");
        assert!(end >= limit.min(25) as u64 && !(3..20).contains(&end) && end <= 25, "limit {limit}: {end}");
    }
}

#[test]
fn the_base_is_not_brought_over_a_gap_in_the_log() {
    let cluster = Cluster::start();
    let database = cluster.database();
    let folder = tempfile::tempdir().unwrap();
    let (one, ..) = open_replica(&cluster, &database, folder.path());
    append_some(&one.replica, 10);
    for (lost, found) in [("= 5", 6), ("= 1", 1), ("> 0", 1)] {
        cluster.execute(&database, &format!("DELETE FROM feature_service.events WHERE revision {lost}"));
        let folded = one.replica.bring_base_forward();
        assert!(matches!(folded, Err(StoreError::LogBroken { revision }) if revision == found), "{folded:?}");
        assert_eq!(one.replica.base_revision().unwrap(), 0);
    }
}

#[test]
fn a_folder_holds_an_embedded_store_or_a_replica_and_never_both() {
    let cluster = Cluster::start();
    let database = cluster.database();
    let folder = tempfile::tempdir().unwrap();
    drop(JournalStore::open(folder.path(), SIZES.cache_bytes, Keep::Forever).unwrap());
    let error = OpenReplica::open(folder.path(), cluster.engine(&database), SIZES.cache_bytes).err().unwrap();
    assert!(error.to_string().contains("holds an embedded store: choose another folder"), "{error}");
    let of_replica = tempfile::tempdir().unwrap();
    drop(OpenReplica::open(of_replica.path(), cluster.engine(&database), SIZES.cache_bytes).unwrap());
    let error = JournalStore::open(of_replica.path(), SIZES.cache_bytes, Keep::Forever).unwrap_err();
    assert!(error.to_string().contains("holds the view of a server of a fleet: name its database"), "{error}");
}
