//! Erasures in the tables.

use std::sync::Arc;

use feature_core::{Operation, Value, Write};

use super::cluster::Cluster;
use crate::engine::{Engine, Entry};
use crate::tests::fixtures::{append, decided, erase, records, scopes, write};
use crate::{EventLog, FeatureStore, export_log};

#[test]
fn the_log_loses_what_is_erased_and_every_replica_follows_it() {
    let cluster = Cluster::start();
    let database = cluster.database();
    let replica = cluster.replica(&database);
    let user = &scopes()[4];
    let secret = |number: usize| write(user, "k", Some(Value::Text(format!("secret {number}"))));
    let mut writes: Vec<_> = (0..20).map(secret).collect();
    writes.push(Write { operation: Operation::Erase, ..secret(20) });
    writes.push(secret(21));
    let events = decided(&writes);
    let mut expected = events.clone();
    erase(&mut expected);
    append(&replica, &events).unwrap();
    let exported = || {
        let mut lines = Vec::new();
        export_log(&*cluster.engine(&database), &mut lines, &mut |_, _| {}).unwrap();
        String::from_utf8(lines).unwrap()
    };
    // Before it is carried out: nothing shows it.
    let lines = exported();
    assert!(!lines.contains("secret 1\"") && lines.contains("secret 21"), "{lines}");
    assert_eq!(replica.events(1, 100).unwrap(), expected);
    while replica.bring_base_forward().unwrap() {}
    let engine = cluster.engine(&database);
    let entries = engine.read(1, 100).unwrap();
    assert_eq!(entries.iter().map(|entry| entry.event().unwrap()).collect::<Vec<_>>(), expected);
    assert_eq!(exported(), lines);
    // One that begins with the first entry, and one that has seen them all.
    let another = cluster.replica(&database);
    another.follow().unwrap();
    replica.follow().unwrap();
    assert_eq!(records(&another), records(&replica));
    assert_eq!((another.revision(), another.events(1, 100).unwrap()), (22, expected));
}

#[test]
fn an_entry_is_replaced_only_where_nothing_has_changed_since() {
    let cluster = Cluster::start();
    let database = cluster.database();
    let replica = cluster.replica(&database);
    let user = &scopes()[4];
    let events = decided(&[1, 2, 3].map(|number| write(user, "k", Some(Value::Integer(number)))));
    append(&replica, &events).unwrap();
    let engine: Arc<dyn Engine> = cluster.engine(&database);
    let before = engine.read(1, 3).unwrap();
    let (old, at) = (before[0].body.clone(), before[2].position);
    let replaced = Entry { body: b"replaced".to_vec(), ..before[0].clone() };
    let elsewhere = Entry { position: before[1].position, ..replaced.clone() };
    engine.store_index(1, b"index").unwrap();
    // the entry of the erasure, the body before, the entry | is replaced
    let table = [
        (at, b"older".to_vec(), &replaced, false),
        (crate::Position { revision: 2, ..at }, old.clone(), &replaced, false),
        (at, old.clone(), &elsewhere, false),
        (at, old, &replaced, true),
    ];
    for (at, old, entry, is_replaced) in table {
        engine.erase(at, &[(old, entry.clone())], &[1]).unwrap();
        let body = &engine.read(1, 1).unwrap()[0].body;
        assert_eq!(body == b"replaced", is_replaced, "{at:?}");
        assert_eq!(engine.read(2, 2).unwrap(), before[1..]);
    }
    assert_eq!(engine.index(1).unwrap(), None);
}
