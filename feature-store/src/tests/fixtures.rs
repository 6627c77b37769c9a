//! Scopes, writes and events to test with. No test lives here.

use std::collections::{BTreeMap, HashMap};
use std::path::Path;
use std::sync::Arc;
use std::{fs, io};

use feature_core::{
    Completed, Details, Double, Erasure, Event, EventKind, FeatureChange, FeatureKey, FeatureSet, InstanceId, Kind,
    Layer, Operation, OrganizationId, OwnKey, Patch, Placement, Record, Scope, Timestamp, UserId, Value, Write, decide,
};

use crate::event_log::erasures::blank;
use crate::{Batch, FeatureStore, Selected, Selection, StoreError, VALUE_MAX_BYTES};

/// Scopes of all levels, some of which differ only in where an id ends.
pub(crate) fn scopes() -> Vec<Scope> {
    let instance = |id| InstanceId::new(id).unwrap();
    vec![
        Scope::System,
        Scope::Instance(instance("a")),
        Scope::Instance(instance("ab")),
        Scope::Organization(instance("a"), OrganizationId::new("b").unwrap()),
        Scope::User(instance("a"), UserId::new("b").unwrap()),
        Scope::User(instance("ab"), UserId::new("ü").unwrap()),
        Scope::Definition(None, OwnKey::new("b").unwrap()),
        Scope::Definition(Some(instance("a")), OwnKey::new("b").unwrap()),
        Scope::Definition(Some(instance("ab")), OwnKey::new("bb").unwrap()),
    ]
}

/// Values of all kinds, the odd ones among them.
pub(crate) fn values() -> Vec<Value> {
    let parts = [("required", Value::Flag(false)), ("uri", Value::Text("https://a/ü".to_owned()))];
    let parts: BTreeMap<_, _> = parts.into_iter().map(|(name, part)| (name.to_owned(), part)).collect();
    let nested = BTreeMap::from([("inner".to_owned(), Value::Message(parts.clone()))]);
    let double = |number| Value::Double(Double::new(number).unwrap());
    vec![
        Value::Flag(false),
        Value::Flag(true),
        Value::Text(String::new()),
        Value::Text("a\0b\n".to_owned()),
        Value::Numbers(vec![]),
        Value::Numbers(vec![5, 1, -1, i32::MAX, i32::MIN]),
        Value::Message(BTreeMap::new()),
        Value::Message(parts),
        Value::Message(nested.clone()),
        Value::Integer(0),
        Value::Integer(i64::MIN),
        Value::Integer(i64::MAX),
        double(0.0),
        double(-1.5e300),
        Value::List(vec![]),
        Value::List(vec![Value::Message(nested), Value::List(vec![Value::Text("ü".to_owned()), double(0.1)])]),
    ]
}

/// An event that sets the features `f0`, `f1`, … of a scope to these values.
pub(crate) fn event(revision: u64, scope: &Scope, sequence: u64, values: &[Value]) -> Event {
    let change = |(index, value): (usize, &Value)| FeatureChange {
        key: FeatureKey::from(format!("f{index}").as_str()),
        old: None,
        new: Some(value.clone()),
    };
    Event {
        revision,
        scope: scope.clone(),
        kind: EventKind::Set,
        sequence,
        time: Timestamp::from_unix_nanos(1_700_000_000_000_000_000 + revision as i64),
        actor: "writer".to_owned(),
        credential: None,
        request_id: format!("request {revision}"),
        idempotency_key: None,
        organization: OrganizationId::new("home").ok().filter(|_| matches!(scope, Scope::User(..))),
        changes: values.iter().enumerate().map(change).collect(),
        comment: String::new(),
        continues: false,
        is_erased: false,
    }
}

/// One event of the system per revision.
pub(crate) fn history(revisions: impl IntoIterator<Item = u64>) -> Vec<Event> {
    let flag = |revision| Value::Flag(revision % 2 == 1);
    revisions.into_iter().map(|revision| event(revision, &Scope::System, revision, &[flag(revision)])).collect()
}

/// A write that sets one feature, or unsets it.
pub(crate) fn write(scope: &Scope, key: &str, value: Option<Value>) -> Write {
    let features = FeatureSet::from_iter([(FeatureKey::from(key), Kind::Flag)]);
    let present: Layer = value.into_iter().map(|value| (FeatureKey::from(key), value)).collect();
    let patch = Patch::new(&features, &present, Some(&[key.to_owned()])).expect("the mask names one known feature");
    Write {
        scope: scope.clone(),
        operation: Operation::Set(patch),
        expected_sequence: None,
        placement: Placement::Keep,
        validate_only: false,
        actor: "writer".to_owned(),
        credential: None,
        request_id: "request".to_owned(),
        idempotency_key: None,
        comment: String::new(),
        requires: Vec::new(),
    }
}

/// A store that a test looks into while another store owns it.
impl<S: FeatureStore> FeatureStore for Arc<S> {
    fn record(&self, scope: &Scope) -> Result<Record, StoreError> {
        (**self).record(scope)
    }

    fn select(&self, selection: Selection<'_>, after: Option<&Scope>, limit: usize) -> Result<Selected, StoreError> {
        (**self).select(selection, after, limit)
    }

    fn revision(&self) -> u64 {
        (**self).revision()
    }

    fn append(&self, batch: &Batch) -> Result<(), StoreError> {
        (**self).append(batch)
    }

    fn write_failure(&self) -> Option<StoreError> {
        (**self).write_failure()
    }

    fn close(&self) -> Result<(), StoreError> {
        (**self).close()
    }
}

/// Appends these events, with the records that they make of those of the store.
pub(crate) fn append(store: &dyn FeatureStore, events: &[Event]) -> Result<(), StoreError> {
    store.append(&Batch::fold(store, events.to_vec())?)
}

/// The records of all [`scopes`].
pub(crate) fn records(store: &dyn FeatureStore) -> Vec<Record> {
    scopes().iter().map(|scope| store.record(scope).expect("the store is intact")).collect()
}

/// Copies a folder as it is. For one that is open this is what a killed process leaves behind.
pub(crate) fn copy(from: &Path, to: &Path) -> io::Result<()> {
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let target = to.join(entry.file_name());
        if entry.path().is_dir() { copy(&entry.path(), &target)? } else { fs::copy(entry.path(), target).map(drop)? }
    }
    Ok(())
}

/// The events that these writes bring about, one second apart from 1970 on.
pub(crate) fn decided(writes: &[Write]) -> Vec<Event> {
    let mut records: HashMap<Scope, Record> = HashMap::new();
    let mut events = Vec::new();
    for write in writes {
        let record = records.entry(write.scope.clone()).or_default();
        let revision = events.len() as u64 + 1;
        let now = Timestamp::from_unix_nanos(revision as i64 * 1_000_000_000);
        if let Ok(Some(event)) = decide(write, record, now, revision) {
            record.apply(&event);
            events.push(event);
        }
    }
    events
}

/// The erasures of a history.
pub(crate) fn erasures(history: &[Event]) -> Vec<Erasure> {
    history.iter().filter_map(Erasure::of).collect()
}

/// Takes out of a history what its erasures take out.
pub(crate) fn erase(history: &mut [Event]) {
    let erasures = erasures(history);
    history.iter_mut().for_each(|event| blank(&erasures, event));
}

/// The place of a scope among [`scopes`].
pub(crate) fn place(scope: &Scope) -> usize {
    scopes().iter().position(|known| known == scope).expect("a test that asks writes to no other scope")
}

/// What a batch of writes brings about, of which the first event has revision `next`: its events, and an answer to each
/// write. The records, those of all [`scopes`], are as before after an error.
pub(crate) fn decide_batch(
    records: &mut [Record],
    writes: &[Write],
    now: Timestamp,
    next: u64,
) -> Result<(Vec<Event>, Vec<Details>), String> {
    let repeats = |write: &Write| records[place(&write.scope)].completed(write.idempotency_key, now).is_some();
    let is_repeated = writes.iter().any(repeats);
    let mut events = Vec::new();
    for write in writes.iter().filter(|_| !is_repeated) {
        let decided = decide(write, &records[place(&write.scope)], now, next + events.len() as u64);
        events.extend(decided.map_err(|rejection| rejection.to_string())?);
    }
    for change in events.iter().flat_map(|event| &event.changes) {
        if matches!(&change.new, Some(Value::Text(text)) if text.len() >= VALUE_MAX_BYTES) {
            return Err(format!("the value of {} takes 32772 bytes, at most 32768 are allowed", change.key));
        }
    }
    let last = events.len().saturating_sub(1);
    events[..last].iter_mut().for_each(|event| event.continues = true);
    events.iter().for_each(|event| records[place(&event.scope)].apply(event));
    let details = |write: &Write| {
        let record = &records[place(&write.scope)];
        let details = record.details(&write.scope, write.placement.organization());
        match record.completed(write.idempotency_key, now) {
            Some(Completed { sequence, time, .. }) => Details { sequence: *sequence, changed: Some(*time), ..details },
            None => details,
        }
    };
    Ok((events, writes.iter().map(details).collect()))
}

/// Three writes to two scopes, the last of which goes on from the first.
pub(crate) fn some_writes() -> Vec<Write> {
    let (instance, user) = (&scopes()[1], &scopes()[4]);
    let text = Value::Text("two".to_owned());
    [(instance, Some(Value::Flag(true))), (user, Some(text)), (instance, Some(Value::Flag(false)))]
        .map(|(scope, value)| write(scope, "k", value))
        .into()
}

/// One event for each of so many users, who set two features each, over 100 instances with 100 organizations each. The
/// order of their ids has nothing to do with that of the events.
pub(crate) fn users(count: u64) -> impl Iterator<Item = Event> {
    (1..=count).map(|revision| {
        let shuffled = revision.wrapping_mul(0x9e37_79b9_7f4a_7c15);
        let instance = InstanceId::new(&format!("instance-{}", shuffled % 100)).unwrap();
        let user = UserId::new(&format!("{shuffled:020}")).unwrap();
        let organization = OrganizationId::new(&format!("organization-{}", shuffled % 10_000)).unwrap();
        let values = [Value::Flag(true), Value::Flag(false)];
        let event = event(revision, &Scope::User(instance, user), 2, &values);
        Event { organization: Some(organization), ..event }
    })
}
