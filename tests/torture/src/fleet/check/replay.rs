//! The log, replayed with the model: each event must be what its request makes of the state before it.

use std::collections::HashMap;

use prost::Message;

use super::values::{self, Changes};
use super::{End, Kind, Problem, Version};
use crate::fleet::database::table::{Entry, Event, Log};
use crate::fleet::record::{Answer, Place, WriteCall};
use crate::workload::feature::Level;
use crate::workload::write::{Operation, State};

/// The versions of all scopes through a cycle.
pub struct Replayed {
    base: u64,
    /// The versions of each scope in the order of their revisions. The first one is that of before the cycle.
    versions: HashMap<String, Vec<Version>>,
    /// The revision of each request that has an event.
    pub found: HashMap<String, u64>,
    /// The first bytes of the chain at each revision from the base on.
    chains: Vec<u32>,
}

impl Replayed {
    /// Replays the entries of a log on top of what there was before, and compares each with the call that made it.
    pub fn new(
        before: End,
        scopes: &HashMap<String, Version>,
        log: &Log,
        calls: &HashMap<String, WriteCall>,
        problems: &mut Vec<Problem>,
    ) -> Self {
        let versions = scopes.iter().map(|(key, version)| (key.clone(), vec![version.clone()])).collect();
        let first_bytes = |chain: &[u8; 16]| u32::from_be_bytes(*chain.first_chunk().expect("a chain has 16 bytes"));
        let chains = std::iter::once(&before.chain).chain(log.entries.iter().map(|entry| &entry.chain));
        let chains = chains.map(first_bytes).collect();
        let mut replayed = Self { base: before.revision, versions, found: HashMap::new(), chains };
        for entry in &log.entries {
            if let Err(problem) = replayed.add(entry, calls) {
                problems.push(problem);
            }
        }
        replayed
    }

    /// The versions of a scope.
    pub fn versions(&self, key: &str) -> &[Version] {
        self.versions.get(key).map_or(&[], Vec::as_slice)
    }

    /// The newest version of each scope.
    pub fn newest(&self) -> impl Iterator<Item = (String, Version)> {
        let newest = |(key, versions): (&String, &Vec<Version>)| Some((key.clone(), versions.last()?.clone()));
        self.versions.iter().filter_map(newest)
    }

    /// Whether the history has this place. One of before the cycle passes.
    pub fn has(&self, place: Place) -> bool {
        match place.revision.checked_sub(self.base) {
            Some(index) => usize::try_from(index).is_ok_and(|index| self.chains.get(index) == Some(&place.chain)),
            None => true,
        }
    }

    /// Takes the events as they are, without the calls that made them.
    pub fn forget_calls(&mut self, log: &Log) {
        self.versions.clear();
        for entry in &log.entries {
            if let Ok((event, key, changes)) = decoded(entry) {
                let before = self.before(&key);
                let after = told(&event, &before.state, &changes);
                self.push(key, entry.revision, &event, before, after);
            }
        }
    }

    fn add(&mut self, entry: &Entry, calls: &HashMap<String, WriteCall>) -> Result<(), Problem> {
        let revision = entry.revision;
        let (event, key, changes) = decoded(entry)?;
        let before = self.before(&key);
        let after = told(&event, &before.state, &changes);
        let old = before.clone();
        self.push(key.clone(), revision, &event, before, after.clone());
        let id = &event.request_id;
        let problem = |kind, text: String| Err(Problem::new(kind, format!("revision {revision} of {id}: {text}")));
        let Some(call) = calls.get(id) else {
            return problem(Kind::Unasked, "no client has sent this request".to_owned());
        };
        if let Some(earlier) = self.found.insert(id.clone(), revision) {
            return problem(Kind::Repeat, format!("revision {earlier} is of the same request"));
        }
        if matches!(call.answer, Answer::Mismatch(_) | Answer::Refused(_)) {
            return problem(Kind::Unasked, format!("the write was answered {:?}", call.answer));
        }
        let level = call.scope.level;
        let expected = call.write.apply(level, &old.state);
        let kind = if matches!(call.write.operation, Operation::Reset) { 4 } else { 3 };
        if super::key(&call.scope) != key || event.kind != kind {
            problem(Kind::Wrong, "the event is of another scope or kind".to_owned())
        } else if is_outdated(call, &old.state) {
            problem(Kind::Wrong, format!("the write expects another sequence than {}", old.state.sequence))
        } else if expected == old.state {
            problem(Kind::Wrong, "the write changes nothing".to_owned())
        } else if expected != after || values::between(level, &old.state.layer, &after.layer) != changes {
            problem(Kind::Wrong, format!("the event leads to {after:?}, and the write to {expected:?}"))
        } else if old.changed.is_some_and(|changed| values::time(event.unix_nanos) < changed) {
            problem(Kind::Wrong, "the dates of the scope run back".to_owned())
        } else {
            Ok(())
        }
    }

    fn before(&self, key: &str) -> Version {
        self.versions(key).last().cloned().unwrap_or_default()
    }

    fn push(&mut self, key: String, revision: u64, event: &Event, before: Version, state: State) {
        let changed = values::time(event.unix_nanos);
        let created = before.created.or(Some(changed));
        let versions = self.versions.entry(key).or_insert_with(|| vec![before]);
        versions.push(Version { revision, state, created, changed: Some(changed) });
    }
}

/// Whether a write expects another sequence than that of a state.
pub fn is_outdated(call: &WriteCall, state: &State) -> bool {
    match &call.write.operation {
        Operation::Set(set) => set.expected_sequence.is_some_and(|expected| expected != state.sequence),
        Operation::Reset => false,
    }
}

/// The state that an event leads to by its own words.
fn told(event: &Event, before: &State, changes: &Changes<'_>) -> State {
    let level = match event.scope.first() {
        Some(b's') => Level::System,
        Some(b'i') => Level::Instance,
        Some(b'o') => Level::Organization,
        _ => Level::User,
    };
    State {
        layer: values::changed(level, &before.layer, changes),
        sequence: event.sequence,
        organization: event.organization.clone(),
    }
}

fn decoded(entry: &Entry) -> Result<(Event, String, Changes<'static>), Problem> {
    let problem = || Problem::new(Kind::Wrong, format!("revision {} is not understood", entry.revision));
    let event = Event::decode(entry.body.as_slice()).map_err(|_| problem())?;
    let changes = values::stored(&event.changes).ok_or_else(problem)?;
    let changes = changes.into_iter().map(|(name, change)| (known(name), change)).collect();
    let key = String::from_utf8(event.scope.clone()).map_err(|_| problem())?;
    Ok((event, key, changes))
}

/// The model's own text of a feature's name.
fn known(name: &str) -> &'static str {
    Level::User.features().find(|known| *known == name).unwrap_or("a feature that the model does not know")
}
