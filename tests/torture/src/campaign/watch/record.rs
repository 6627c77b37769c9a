//! What clients have sent and seen, as data: the checkers compare it, and their tests make it up.

use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hash, Hasher};

use feature_api::feature::v1::{self as api, ChangeKind, Level, ResolvedValue};
use prost::Message;

use crate::workload::feature::{Level as ScopeLevel, Scope};

/// The digest of a value or of a message. Equal ones have an equal one.
pub type Digest = u64;

/// A change, as far as the model needs it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    pub revision: u64,
    /// The name of settings or of a definition.
    pub resource: String,
    pub level: Level,
    pub kind: ChangeKind,
    /// The id of the call, which the client has chosen.
    pub request: String,
    pub etag: String,
    /// The organization of a user.
    pub organization: Option<String>,
    pub fields: BTreeMap<String, Field>,
    /// The digest of the whole message.
    pub digest: Digest,
}

/// The change of one feature, or of one field of a definition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Field {
    pub old: Option<Digest>,
    pub new: Option<Digest>,
}

/// The value of a feature in a scope.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Value {
    pub digest: Digest,
    /// The number of its `ValueSource`.
    pub source: i32,
    /// The change that set it.
    pub revision: u64,
}

/// Values by the names of settings and the keys of features.
pub type Values = BTreeMap<(String, String), Value>;

/// The changes of one life of the store. A restored backup begins another one.
#[derive(Debug, Clone, Default)]
pub struct Era {
    /// Up to this revision it has the changes of the era before.
    pub base: u64,
    /// All changes by their revisions, those up to `base` included.
    pub events: BTreeMap<u64, Event>,
}

/// A write that was sent.
#[derive(Debug, Clone)]
pub struct Write {
    pub id: String,
    pub era: usize,
    pub kind: ChangeKind,
    /// What it changes: one resource, or those of a batch.
    pub parts: Vec<Part>,
    pub answer: Answer,
}

/// What a write changes of one resource.
#[derive(Debug, Clone)]
pub struct Part {
    pub resource: String,
    /// What must be among the new values of its change.
    pub new: BTreeMap<String, Digest>,
}

/// What a write was answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// With the etag of each part, where the answer has one.
    Acknowledged(Vec<String>),
    /// Nothing was written.
    Refused,
    /// It was written as a whole, or not at all.
    Unknown,
}

/// Which changes a stream shows.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Selection {
    /// The parent of the request.
    pub parent: String,
    pub feature: Option<String>,
    pub level: Option<Level>,
    pub kind: Option<ChangeKind>,
}

/// Where a stream begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Start {
    /// After this revision.
    After(u64),
    /// With the token of a message of this revision.
    Token(u64),
}

/// How a stream ended, or why it did not begin.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum End {
    /// The client left, or the connection broke.
    Broken,
    /// The server said so first, with `closing`.
    Closing,
    /// The store does not have the revision of the token, or has another history.
    TakenBack,
    /// What follows the token was dropped. The oldest and the newest revision that are kept.
    Compacted { oldest: u64, newest: u64 },
    /// The client was too slow.
    TooSlow,
    /// Anything else, which no client expects.
    Other(String),
}

/// What the client of a stream of changes saw.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ChangesSeen {
    Began {
        era: usize,
        start: Start,
    },
    /// It did not begin there.
    Refused {
        start: Start,
    },
    /// Changes by their revisions, up to this one.
    Changes {
        revision: u64,
        changes: Vec<(u64, Digest)>,
    },
    /// A heartbeat or a closing.
    Nothing {
        revision: u64,
    },
    Ended(End),
    /// What a list says of the same selection, while nothing was written.
    Listed {
        kept: Kept,
        changes: Vec<(u64, Digest)>,
    },
}

/// Which changes a store keeps.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Kept {
    /// The oldest one before the list began, and after its end.
    pub oldest: (u64, u64),
    pub newest: u64,
}

/// What the client of a stream of values saw.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ValuesSeen {
    /// `resumed`: the revision of the token, if it had one.
    Began {
        era: usize,
        resumed: Option<u64>,
    },
    /// All values.
    Snapshot {
        revision: u64,
        values: Values,
    },
    /// What differs.
    Delta {
        revision: u64,
        values: Values,
        removed: Vec<(String, String)>,
    },
    /// A heartbeat or a closing.
    Nothing {
        revision: u64,
    },
    Ended(End),
    /// What a read says of the same scopes, while nothing was written.
    Read {
        newest: u64,
        values: Values,
    },
}

/// A stream of changes with all its continuations.
#[derive(Debug, Clone)]
pub struct ChangesRecord {
    pub name: String,
    pub selection: Selection,
    /// Whether it continues on other servers, which may be behind and say that they do not have the revision.
    pub roams: bool,
    pub seen: Vec<ChangesSeen>,
}

/// A stream of values with all its continuations.
#[derive(Debug, Clone)]
pub struct ValuesRecord {
    pub name: String,
    /// The names of the settings.
    pub names: Vec<String>,
    /// The keys of the features; empty for all.
    pub features: Vec<String>,
    /// As in a [`ChangesRecord`].
    pub roams: bool,
    pub seen: Vec<ValuesSeen>,
}

impl Event {
    /// Reads a message.
    pub fn new(change: &api::Change) -> Self {
        let field = |change: &api::FieldChange| {
            let (old, new) = (change.old_value.as_ref().map(digest), change.new_value.as_ref().map(digest));
            (change.field.clone(), Field { old, new })
        };
        Self {
            revision: change.revision,
            resource: change.resource.clone(),
            level: change.level(),
            kind: change.kind(),
            request: change.request_id.clone(),
            etag: change.etag.clone(),
            organization: Some(change.organization.clone()).filter(|organization| !organization.is_empty()),
            fields: change.changes.iter().map(field).collect(),
            digest: digest(change),
        }
    }
}

impl From<&ResolvedValue> for Value {
    fn from(resolved: &ResolvedValue) -> Self {
        let value = resolved.value.clone().unwrap_or_default();
        Self { digest: digest(&value), source: resolved.source, revision: resolved.revision }
    }
}

impl Selection {
    /// The filter of a request.
    pub fn filter(&self) -> String {
        let feature = self.feature.as_ref().map(|key| format!("feature:{key}"));
        let level = self.level.map(|level| format!("level = {}", level.as_str_name()));
        let kind = self.kind.map(|kind| format!("kind = {}", kind.as_str_name()));
        feature.into_iter().chain(level).chain(kind).collect::<Vec<_>>().join(" AND ")
    }

    /// Whether a change is one of them.
    pub fn includes(&self, event: &Event) -> bool {
        let instance = self.parent.strip_prefix("instances/").filter(|rest| !rest.contains('/'));
        let place = match instance {
            Some(_) => event.resource.starts_with(&format!("{}/", self.parent)),
            None => self.parent.is_empty() || event.resource == format!("{}/settings", self.parent),
        };
        let is_definition = |key: &String| event.resource.ends_with(&format!("features/{key}"));
        let has =
            |key: &String| is_definition(key) || event.kind != ChangeKind::Definition && event.fields.contains_key(key);
        place
            && self.feature.as_ref().is_none_or(has)
            && self.level.is_none_or(|level| event.level == level)
            && self.kind.is_none_or(|kind| event.kind == kind)
    }
}

/// The name of the settings of a scope.
pub fn settings_name(scope: &Scope) -> String {
    let Scope { level, instance, id } = scope;
    match level {
        ScopeLevel::System => "system/settings".to_owned(),
        ScopeLevel::Instance => format!("instances/{instance}/settings"),
        ScopeLevel::Organization => format!("instances/{instance}/organizations/{id}/settings"),
        ScopeLevel::User => format!("instances/{instance}/users/{id}/settings"),
    }
}

/// The digest of a message.
pub fn digest(message: &impl Message) -> Digest {
    let mut hasher = DefaultHasher::new();
    message.encode_to_vec().hash(&mut hasher);
    hasher.finish()
}
