//! The values of a client: messages are applied whole, so that a reader sees one revision.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use crate::client::state::Sign;
use crate::feature::v1::watch_values_response::Event;
use crate::feature::v1::{ResolvedValue, ScopeValues, WatchValuesResponse};

/// What the names of settings have after those of their scopes.
pub(super) const SETTINGS: &str = "/settings";

/// The values of one scope, by the keys of the features.
type Scope = HashMap<String, Arc<ResolvedValue>>;

/// The values of all scopes, by the names of the scopes.
#[derive(Debug, Clone, Default)]
pub(super) struct Values(HashMap<String, Arc<Scope>>);

/// Features whose values have changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// The revision that the client has now.
    pub revision: u64,
    /// The keys of the features, by the names of their scopes. A key that has no value any more is among them.
    pub keys: BTreeMap<String, BTreeSet<String>>,
}

/// Makes values of messages.
#[derive(Debug, Default)]
pub(super) struct Assembly {
    values: Arc<Values>,
    /// The values that the application has heard of.
    announced: Arc<Values>,
    pieces: Vec<ScopeValues>,
    /// Whether the pieces are those of a snapshot.
    replaces: bool,
    resume_token: String,
    revision: u64,
}

/// What a message has brought.
#[derive(Debug)]
pub(super) struct Applied {
    pub(super) sign: Sign,
    pub(super) change: Option<Change>,
}

impl Values {
    /// Whether no snapshot has come yet.
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The values of a scope.
    pub(super) fn scope(&self, name: &str) -> Option<&Scope> {
        self.0.get(name).map(|scope| &**scope)
    }

    fn apply(&mut self, pieces: Vec<ScopeValues>) {
        for ScopeValues { settings, values, removed } in pieces {
            let name = settings.strip_suffix(SETTINGS).unwrap_or(&settings);
            let scope = Arc::make_mut(self.0.entry(name.to_owned()).or_default());
            scope.extend(values.into_iter().map(|(key, value)| (key, Arc::new(value))));
            for key in removed {
                scope.remove(&key);
            }
        }
    }

    /// The keys whose values differ in another map, by scope.
    fn differing(&self, other: &Self) -> BTreeMap<String, BTreeSet<String>> {
        let none = Arc::default();
        let names: BTreeSet<_> = self.0.keys().chain(other.0.keys()).collect();
        let pairs = names.into_iter().map(|name| {
            let [this, other] = [self, other].map(|values| values.0.get(name).unwrap_or(&none));
            (name, this, other)
        });
        // Scopes that no message has named are the same ones.
        let pairs = pairs.filter(|(_, this, other)| !Arc::ptr_eq(this, other));
        let differing = pairs.map(|(name, this, other)| {
            let keys = this.keys().chain(other.keys()).filter(|key| this.get(*key) != other.get(*key));
            (name.clone(), keys.cloned().collect::<BTreeSet<_>>())
        });
        differing.filter(|(_, keys)| !keys.is_empty()).collect()
    }
}

impl Assembly {
    /// Takes a message in.
    pub(super) fn apply(&mut self, message: WatchValuesResponse) -> Applied {
        let WatchValuesResponse { revision, resume_token, event, partial, synced, .. } = message;
        let sign = match event {
            Some(Event::Heartbeat(ref heartbeat)) => {
                Sign::Unchanged { age: heartbeat.age.and_then(|age| age.try_into().ok()), synced }
            }
            Some(Event::Snapshot(_) | Event::Delta(_)) if synced => Sign::Synced,
            _ => Sign::Alive,
        };
        match event {
            Some(Event::Snapshot(values)) => self.add(values.scopes, true, partial),
            Some(Event::Delta(values)) => self.add(values.scopes, false, partial),
            Some(Event::Heartbeat(_) | Event::Closing(_)) | None => {}
        }
        if !resume_token.is_empty() {
            self.resume_token = resume_token;
        }
        if sign != Sign::Alive {
            self.revision = revision;
        }
        let keys = if synced { self.values.differing(&self.announced) } else { BTreeMap::new() };
        let change = (!keys.is_empty()).then(|| {
            self.announced = Arc::clone(&self.values);
            Change { revision, keys }
        });
        Applied { sign, change }
    }

    /// Adds scopes to the pieces, and applies all of them if these are the last ones.
    fn add(&mut self, scopes: Vec<ScopeValues>, replaces: bool, partial: bool) {
        if self.replaces != replaces {
            self.drop_pieces();
            self.replaces = replaces;
        }
        self.pieces.extend(scopes);
        if partial {
            return;
        }
        let mut values = if replaces { Values::default() } else { (*self.values).clone() };
        values.apply(std::mem::take(&mut self.pieces));
        self.values = Arc::new(values);
    }

    /// Drops the pieces of a state that its stream did not end.
    pub(super) fn drop_pieces(&mut self) {
        self.pieces.clear();
    }

    /// Begins anew. The values stay until a snapshot replaces them.
    pub(super) fn forget_token(&mut self) {
        self.resume_token.clear();
    }

    /// The token that continues the stream; empty if there is none.
    pub(super) fn resume_token(&self) -> &str {
        &self.resume_token
    }

    /// The newest values.
    pub(super) fn values(&self) -> &Arc<Values> {
        &self.values
    }

    /// The values show everything up to this change.
    pub(super) fn revision(&self) -> u64 {
        self.revision
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use prost_types::Value;
    use prost_types::value::Kind;

    use super::*;
    use crate::feature::v1::{Closing, Heartbeat, Values as Message};

    /// A scope with `KEY=TEXT`s and removed `-KEY`s.
    fn scope(name: &str, entries: &str) -> ScopeValues {
        let mut scope = ScopeValues { settings: format!("{name}{SETTINGS}"), ..Default::default() };
        for entry in entries.split_whitespace() {
            match entry.split_once('=') {
                Some((key, text)) => {
                    let value = Value { kind: Some(Kind::StringValue(text.to_owned())) };
                    let value = ResolvedValue { value: Some(value), ..Default::default() };
                    scope.values.insert(key.to_owned(), value);
                }
                None => scope.removed.push(entry.trim_start_matches('-').to_owned()),
            }
        }
        scope
    }

    /// A message: its event with `SCOPE: ENTRIES`, its token, and after a `+` that it is a piece.
    fn message(text: &str, revision: u64) -> WatchValuesResponse {
        let (event, rest) = text.split_once(' ').unwrap_or((text, ""));
        let (partial, event) = (event.ends_with('+'), event.trim_end_matches('+'));
        let scopes = rest.split_terminator(';').map(|part| {
            let (name, entries) = part.split_once(':').expect("a scope has a name");
            scope(name.trim(), entries)
        });
        let values = Message { scopes: scopes.collect() };
        let (event, synced) = match event {
            "snapshot" => (Event::Snapshot(values), !partial),
            "delta" => (Event::Delta(values), !partial),
            "resumed" => (Event::Heartbeat(Heartbeat { age: Some(Duration::ZERO.try_into().unwrap()) }), true),
            "heartbeat" => (Event::Heartbeat(Heartbeat { age: None }), false),
            "closing" => (Event::Closing(Closing::default()), false),
            other => panic!("{other} is not an event"),
        };
        let resume_token = if partial { String::new() } else { format!("token {revision}") };
        WatchValuesResponse { revision, resume_token, time: None, event: Some(event), partial, synced }
    }

    fn shown(values: &Values) -> String {
        let mut all = Vec::new();
        for (name, scope) in values.0.iter().collect::<BTreeMap<_, _>>() {
            for (key, value) in scope.iter().collect::<BTreeMap<_, _>>() {
                let Some(Kind::StringValue(text)) = value.value.as_ref().and_then(|value| value.kind.as_ref()) else {
                    panic!("{value:?} has no text");
                };
                all.push(format!("{name} {key}={text}"));
            }
        }
        all.join(", ")
    }

    fn keys(change: Option<Change>) -> String {
        let scopes = change.into_iter().flat_map(|change| change.keys);
        let keys = scopes.flat_map(|(name, keys)| keys.into_iter().map(move |key| format!("{name} {key}")));
        keys.collect::<Vec<_>>().join(", ")
    }

    #[test]
    fn messages_are_applied_whole() {
        // the message, the values after it, the changed keys, the revision of the token and of the values
        let table = [
            ("snapshot+ a: x=1 y=1;", "", "", 0, 0),
            ("snapshot+ b: x=1;", "", "", 0, 0),
            ("snapshot c: x=1;", "a x=1, a y=1, b x=1, c x=1", "a x, a y, b x, c x", 3, 3),
            ("heartbeat", "a x=1, a y=1, b x=1, c x=1", "", 4, 4),
            ("delta a: x=2 z=2 -y;", "a x=2, a z=2, b x=1, c x=1", "a x, a y, a z", 5, 5),
            ("delta+ a: x=3;", "a x=2, a z=2, b x=1, c x=1", "", 5, 5),
            ("delta c: -x;", "a x=3, a z=2, b x=1", "a x, c x", 7, 7),
            ("resumed", "a x=3, a z=2, b x=1", "", 8, 8),
            // Pieces of a delta count no more when a snapshot comes.
            ("delta+ a: x=4;", "a x=3, a z=2, b x=1", "", 8, 8),
            ("snapshot a: x=3; b: x=5;", "a x=3, b x=5", "a z, b x", 10, 10),
            ("snapshot a: x=3; b: x=5;", "a x=3, b x=5", "", 11, 11),
            ("closing", "a x=3, b x=5", "", 12, 11),
            ("snapshot a:;", "", "a x, b x", 13, 13),
        ];
        let mut assembly = Assembly::default();
        for (number, (text, values, changed, token, revision)) in (1..).zip(table) {
            let Applied { change, .. } = assembly.apply(message(text, number));
            assert_eq!((shown(assembly.values()), keys(change)), (values.to_owned(), changed.to_owned()), "{text}");
            let token = if token == 0 { String::new() } else { format!("token {token}") };
            assert_eq!((assembly.resume_token(), assembly.revision()), (&*token, revision), "{text}");
        }
    }

    #[test]
    fn a_stream_that_ends_between_pieces_leaves_nothing_behind() {
        let mut assembly = Assembly::default();
        assembly.apply(message("snapshot a: x=1;", 1));
        assembly.apply(message("delta+ a: x=2;", 2));
        assembly.drop_pieces();
        assert_eq!(assembly.resume_token(), "token 1");
        assembly.apply(message("delta b: x=3;", 3));
        assert_eq!(shown(assembly.values()), "a x=1, b x=3");
        assembly.forget_token();
        assert_eq!((assembly.resume_token(), &*shown(assembly.values())), ("", "a x=1, b x=3"));
    }

    #[test]
    fn a_message_says_how_fresh_the_values_are() {
        let table = [
            ("snapshot+ a: x=1;", Sign::Alive),
            ("snapshot a: x=1;", Sign::Synced),
            ("delta a: x=1;", Sign::Synced),
            ("resumed", Sign::Unchanged { age: Some(Duration::ZERO), synced: true }),
            ("heartbeat", Sign::Unchanged { age: None, synced: false }),
            ("closing", Sign::Alive),
        ];
        for (text, sign) in table {
            assert_eq!(Assembly::default().apply(message(text, 1)).sign, sign, "{text}");
        }
    }
}
