//! The line of one event. Every value carries its kind, so that no kind can be taken for another.

use std::collections::BTreeMap;

use feature_core::{
    Credential, Discontinuity, Double, Event, EventKind, FeatureChange, IdempotencyKey, InstanceId, OrganizationId,
    OwnKey, Scope, Timestamp, UserId, Value,
};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::{parse, write_line};
use crate::error::LineError;

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct EventLine {
    revision: u64,
    scope: ScopeLine,
    kind: KindLine,
    sequence: u64,
    /// As RFC 3339 with all digits that it needs.
    time: String,
    actor: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    credential: Option<CredentialLine>,
    request_id: String,
    /// What the client calls the request: a UUID.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    idempotency_key: Option<Uuid>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    organization: Option<String>,
    changes: Vec<ChangeLine>,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    comment: String,
    /// Whether the next event belongs to the same batch.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    continues: bool,
    /// Whether an erasure has taken something out: values, the comment, the actor.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    erased: bool,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
enum CredentialLine {
    /// With its issuer.
    Token(String),
    Certificate,
}

/// Without any id it is the system.
#[derive(Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ScopeLine {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    instance: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    organization: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    user: Option<String>,
    /// The feature whose definition it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    feature: Option<String>,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
enum KindLine {
    Set,
    Reset,
    Erase,
}

/// A missing value means that the feature was not set before, or is not set since.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct ChangeLine {
    key: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    old: Option<ValueLine>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    new: Option<ValueLine>,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum ValueLine {
    Flag(bool),
    Text(String),
    Numbers(Vec<i32>),
    Message(BTreeMap<String, ValueLine>),
    Integer(i64),
    Double(f64),
    List(Vec<ValueLine>),
}

/// Adds the line of an event to a buffer.
pub(crate) fn write_event(event: &Event, buffer: &mut Vec<u8>) {
    let line = EventLine {
        revision: event.revision,
        scope: ScopeLine::from(&event.scope),
        kind: match event.kind {
            EventKind::Set => KindLine::Set,
            EventKind::Reset => KindLine::Reset,
            EventKind::Erase => KindLine::Erase,
        },
        sequence: event.sequence,
        time: time_text(event.time),
        actor: event.actor.clone(),
        credential: event.credential.as_ref().map(CredentialLine::from),
        request_id: event.request_id.clone(),
        idempotency_key: event.idempotency_key.map(|key| Uuid::from_bytes(key.0)),
        organization: event.organization.as_ref().map(OrganizationId::to_string),
        changes: event.changes.iter().map(ChangeLine::from).collect(),
        comment: event.comment.clone(),
        continues: event.continues,
        erased: event.is_erased,
    };
    write_line(&line, buffer);
}

/// Reads the line of an event.
pub(crate) fn read_event(line: &[u8]) -> Result<Event, LineError> {
    let line: EventLine = parse(line)?;
    let time = time_of("time", &line.time)?;
    Ok(Event {
        revision: line.revision,
        scope: line.scope.scope()?,
        kind: match line.kind {
            KindLine::Set => EventKind::Set,
            KindLine::Reset => EventKind::Reset,
            KindLine::Erase => EventKind::Erase,
        },
        sequence: line.sequence,
        time,
        actor: line.actor,
        credential: line.credential.map(Credential::from),
        request_id: line.request_id,
        idempotency_key: line.idempotency_key.map(|key| IdempotencyKey(key.into_bytes())),
        organization: line.organization.map(|id| id_of("organization", &id, OrganizationId::new)).transpose()?,
        changes: line.changes.into_iter().map(FeatureChange::from).collect(),
        comment: line.comment,
        continues: line.continues,
        is_erased: line.erased,
    })
}

/// The field of an event's line that does not continue the history.
pub(crate) fn field_of(discontinuity: &Discontinuity) -> String {
    match discontinuity {
        Discontinuity::Sequence { .. } => "sequence".to_owned(),
        Discontinuity::Time => "time".to_owned(),
        Discontinuity::Old(index) => format!("changes[{index}].old"),
        Discontinuity::Change(index) => format!("changes[{index}]"),
        Discontinuity::Erasure => "kind".to_owned(),
        Discontinuity::Empty | Discontinuity::Reset => "changes".to_owned(),
    }
}

pub(super) fn id_of<T, E: ToString>(field: &str, id: &str, new: impl Fn(&str) -> Result<T, E>) -> Result<T, LineError> {
    new(id).map_err(|error| LineError::new(field, &error.to_string()))
}

impl ScopeLine {
    pub(super) fn scope(&self) -> Result<Scope, LineError> {
        let id = |name, id: &Option<String>| id.clone().map(|id| (format!("scope.{name}"), id));
        let instance = match id("instance", &self.instance) {
            Some((field, id)) => Some(id_of(&field, &id, InstanceId::new)?),
            None => None,
        };
        match (instance, id("organization", &self.organization), id("user", &self.user), id("feature", &self.feature)) {
            (None, None, None, None) => Ok(Scope::System),
            (Some(instance), None, None, None) => Ok(Scope::Instance(instance)),
            (Some(instance), Some((field, id)), None, None) => {
                Ok(Scope::Organization(instance, id_of(&field, &id, OrganizationId::new)?))
            }
            (Some(instance), None, Some((field, id)), None) => {
                Ok(Scope::User(instance, id_of(&field, &id, UserId::new)?))
            }
            (instance, None, None, Some((field, key))) => {
                Ok(Scope::Definition(instance, id_of(&field, &key, OwnKey::new)?))
            }
            _ => Err(LineError::new(
                "scope",
                "must name nothing, an instance, one organization or user of one, or a feature",
            )),
        }
    }
}

impl From<&Scope> for ScopeLine {
    fn from(scope: &Scope) -> Self {
        let text = |id: &str| Some(id.to_owned());
        match scope {
            Scope::System => Self::default(),
            Scope::Instance(instance) => Self { instance: text(instance.as_str()), ..Self::default() },
            Scope::Organization(instance, organization) => {
                Self { instance: text(instance.as_str()), organization: text(organization.as_str()), ..Self::default() }
            }
            Scope::User(instance, user) => {
                Self { instance: text(instance.as_str()), user: text(user.as_str()), ..Self::default() }
            }
            Scope::Definition(instance, key) => {
                let instance = instance.as_ref().map(InstanceId::to_string);
                Self { instance, feature: text(key.key().as_str()), ..Self::default() }
            }
        }
    }
}

impl From<&Credential> for CredentialLine {
    fn from(credential: &Credential) -> Self {
        match credential {
            Credential::Token { issuer } => Self::Token(issuer.clone()),
            Credential::Certificate => Self::Certificate,
        }
    }
}

impl From<CredentialLine> for Credential {
    fn from(line: CredentialLine) -> Self {
        match line {
            CredentialLine::Token(issuer) => Self::Token { issuer },
            CredentialLine::Certificate => Self::Certificate,
        }
    }
}

impl From<&FeatureChange> for ChangeLine {
    fn from(change: &FeatureChange) -> Self {
        Self {
            key: change.key.to_string(),
            old: change.old.as_ref().map(ValueLine::from),
            new: change.new.as_ref().map(ValueLine::from),
        }
    }
}

impl From<ChangeLine> for FeatureChange {
    fn from(line: ChangeLine) -> Self {
        Self { key: line.key.as_str().into(), old: line.old.map(Value::from), new: line.new.map(Value::from) }
    }
}

impl From<&Value> for ValueLine {
    fn from(value: &Value) -> Self {
        match value {
            Value::Flag(flag) => Self::Flag(*flag),
            Value::Text(text) => Self::Text(text.clone()),
            Value::Numbers(numbers) => Self::Numbers(numbers.clone()),
            Value::Message(parts) => {
                Self::Message(parts.iter().map(|(name, part)| (name.clone(), part.into())).collect())
            }
            Value::Integer(number) => Self::Integer(*number),
            Value::Double(number) => Self::Double(number.get()),
            Value::List(values) => Self::List(values.iter().map(Self::from).collect()),
        }
    }
}

impl From<ValueLine> for Value {
    fn from(line: ValueLine) -> Self {
        match line {
            ValueLine::Flag(flag) => Self::Flag(flag),
            ValueLine::Text(text) => Self::Text(text),
            ValueLine::Numbers(numbers) => Self::Numbers(numbers),
            ValueLine::Message(parts) => {
                Self::Message(parts.into_iter().map(|(name, part)| (name, part.into())).collect())
            }
            ValueLine::Integer(number) => Self::Integer(number),
            ValueLine::Double(number) => Self::Double(Double::new(number).expect("JSON has finite numbers only")),
            ValueLine::List(values) => Self::List(values.into_iter().map(Self::from).collect()),
        }
    }
}

const NANOS: i64 = 1_000_000_000;

pub(crate) fn time_text(time: Timestamp) -> String {
    let (seconds, nanos) = (time.unix_nanos().div_euclid(NANOS), time.unix_nanos().rem_euclid(NANOS));
    let nanos = i32::try_from(nanos).expect("a remainder of a billion is below it");
    prost_types::Timestamp { seconds, nanos }.to_string()
}

/// The time of a field.
pub(crate) fn time_of(field: &str, text: &str) -> Result<Timestamp, LineError> {
    let reason = "must be a UTC time as exports have it, such as 2026-01-31T12:00:00.500Z";
    time(text).ok_or_else(|| LineError::new(field, reason))
}

/// The time with exactly this text.
fn time(text: &str) -> Option<Timestamp> {
    let prost_types::Timestamp { seconds, nanos } = text.parse().ok()?;
    let unix_nanos = i64::try_from(i128::from(seconds) * i128::from(NANOS) + i128::from(nanos)).ok()?;
    let time = Timestamp::from_unix_nanos(unix_nanos);
    (time_text(time) == text).then_some(time)
}
