//! Checks a stream of values: folded as docs/sdk.md says, each state is that of the model at its revision.

use std::collections::BTreeSet;

use super::problem::{Kind, Problem};
use crate::campaign::watch::model::Model;
use crate::campaign::watch::record::{End, Era, Values, ValuesRecord, ValuesSeen};

/// How many changes may come to be while a state is read.
const NEXT: u64 = 100;

/// The most problems of one stream: each one leads to many more.
const MOST: usize = 5;

/// Checks a stream with all its continuations.
///
/// `finished`: it has reached the end of the last era.
pub fn check_values(eras: &[Era], record: &ValuesRecord, finished: bool) -> Vec<Problem> {
    let mut check = Check::new(eras, record);
    record.seen.iter().for_each(|seen| check.see(seen));
    let newest = check.eras[check.era].events.keys().last().copied().unwrap_or_default();
    if finished && check.revision != newest {
        check.tell(Kind::Lost, format!("it ended at {}, and {newest} is the newest", check.revision));
    }
    check.problems.truncate(MOST);
    check.problems
}

struct Check<'a> {
    eras: &'a [Era],
    record: &'a ValuesRecord,
    era: usize,
    /// The values of the client, once it has some.
    values: Option<Values>,
    revision: u64,
    /// Whether the stream has shown a state or said that nothing has changed.
    has_begun: bool,
    /// Whether the server has said since then that history was taken back.
    is_taken_back: bool,
    model: Model,
    /// The values of the model at its revision.
    expected: Option<Values>,
    problems: Vec<Problem>,
}

impl<'a> Check<'a> {
    fn new(eras: &'a [Era], record: &'a ValuesRecord) -> Self {
        Self {
            eras,
            record,
            era: 0,
            values: None,
            revision: 0,
            has_begun: false,
            is_taken_back: false,
            model: Model::default(),
            expected: None,
            problems: Vec::new(),
        }
    }

    fn see(&mut self, seen: &ValuesSeen) {
        match seen {
            ValuesSeen::Began { era, resumed } => self.begin(*era, *resumed),
            ValuesSeen::Snapshot { revision, values } => {
                self.values = Some(values.clone());
                self.show(*revision, "snapshot");
            }
            ValuesSeen::Delta { revision, values, removed } => {
                if !self.has_begun {
                    self.tell(Kind::Wrong, format!("the stream begins with a delta at {revision}"));
                }
                let own = self.values.get_or_insert_default();
                own.extend(values.iter().map(|(id, value)| (id.clone(), *value)));
                removed.iter().for_each(|id| {
                    own.remove(id);
                });
                self.show(*revision, "delta");
            }
            ValuesSeen::Nothing { revision } => self.show(*revision, "heartbeat"),
            ValuesSeen::Ended(end) => {
                match end {
                    End::Other(text) => self.tell(Kind::End, text.clone()),
                    End::Compacted { .. } | End::TooSlow => self.tell(Kind::End, format!("{end:?}")),
                    _ => {}
                }
                self.is_taken_back |= *end == End::TakenBack;
            }
            ValuesSeen::Read { newest, values } => {
                if self.values.as_ref() != Some(values) {
                    let own = self.values.clone().unwrap_or_default();
                    self.tell(Kind::Wrong, format!("at {newest} a read differs: {}", difference(values, &own)));
                }
                self.show(*newest, "read");
            }
        }
    }

    fn begin(&mut self, era: usize, resumed: Option<u64>) {
        let eras = self.eras.iter().take(era + 1).skip(self.era + 1);
        let base = eras.map(|era| era.base).min();
        if resumed.is_none() {
            // A server that is behind may be another one of a fleet.
            let is_behind = self.record.roams || base.is_some_and(|base| self.revision > base);
            if self.values.is_some() && !(self.is_taken_back && is_behind) {
                self.tell(Kind::End, format!("it began anew at {}", self.revision));
            }
            (self.values, self.revision) = (None, 0);
        }
        if era != self.era {
            (self.model, self.expected) = (Model::default(), None);
        }
        self.era = era;
        self.has_begun = false;
        self.is_taken_back = false;
    }

    /// The client has the state of a revision. `by`: what says so.
    fn show(&mut self, revision: u64, by: &str) {
        self.has_begun = true;
        if revision < self.revision {
            self.tell(Kind::Back, format!("the {by} at {revision} comes after {}", self.revision));
        }
        self.revision = revision;
        if self.expected.is_none() || self.model.revision != revision {
            if let Err(text) = self.model.move_to(&self.eras[self.era], revision) {
                return self.tell(Kind::Wrong, text);
            }
            self.expected = Some(self.model.resolve(&self.record.names, &self.record.features));
        }
        if self.values != self.expected {
            let (expected, values) = (self.expected.clone().unwrap_or_default(), self.values.clone());
            let Some(values) = values else {
                return self.tell(Kind::Wrong, format!("the {by} at {revision}: no values"));
            };
            let kind = if self.is_ahead(&expected, &values) { Kind::Ahead } else { Kind::Wrong };
            self.tell(kind, format!("the {by} at {revision}: {}", difference(&expected, &values)));
        }
        let is_half = |era: &Era| {
            let (before, after) = (era.events.get(&revision)?, era.events.get(&(revision + 1))?);
            Some(before.request == after.request)
        };
        if is_half(&self.eras[self.era]) == Some(true) {
            self.tell(Kind::Half, format!("{revision} is within a batch"));
        }
    }

    /// Whether all that differs is as one of the next changes makes it.
    fn is_ahead(&self, expected: &Values, found: &Values) -> bool {
        let ids = expected.keys().chain(found.keys());
        let mut differing: Vec<_> = ids.filter(|id| expected.get(*id) != found.get(*id)).collect();
        let mut model = self.model.clone();
        for revision in model.revision + 1..=model.revision + NEXT {
            if differing.is_empty() || model.move_to(&self.eras[self.era], revision).is_err() {
                break;
            }
            let names: BTreeSet<_> = differing.iter().map(|(name, _)| name.clone()).collect();
            let later = model.resolve(&names.into_iter().collect::<Vec<_>>(), &self.record.features);
            differing.retain(|id| later.get(*id) != found.get(*id));
        }
        differing.is_empty()
    }

    fn tell(&mut self, kind: Kind, text: String) {
        self.problems.push(kind.problem(format!("{}: {text}", self.record.name)));
    }
}

/// The first difference, in words.
fn difference(expected: &Values, found: &Values) -> String {
    let keys = expected.keys().chain(found.keys());
    let differs = keys.filter(|key| expected.get(*key) != found.get(*key)).collect::<Vec<_>>();
    match differs.first() {
        Some(key) => {
            let (expected, found) = (expected.get(*key), found.get(*key));
            format!("{} values differ, {key:?} is {found:?} and not {expected:?}", differs.len())
        }
        None => "nothing differs".to_owned(),
    }
}
