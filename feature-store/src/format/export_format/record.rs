//! The line of one record of a base.

use feature_core::{Completed, FeatureKey, IdempotencyKey, Layer, OrganizationId, Record, Scope, Value};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::event::{ScopeLine, ValueLine, id_of, time_of, time_text};
use super::{parse, write_line};
use crate::error::LineError;

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct RecordLine {
    scope: ScopeLine,
    sequence: u64,
    created: String,
    changed: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    organization: Option<String>,
    values: Vec<SetLine>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    completed: Vec<CompletedLine>,
}

/// A feature that the scope sets.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct SetLine {
    key: String,
    value: ValueLine,
    /// That of the event which set it, if it is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    revision: Option<u64>,
}

/// A request that the scope remembers.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct CompletedLine {
    idempotency_key: Uuid,
    sequence: u64,
    time: String,
}

/// Adds the line of a record to a buffer. `None`: the record has no dates, as no record of a base.
pub(crate) fn write_record(scope: &Scope, record: &Record, buffer: &mut Vec<u8>) -> Option<()> {
    let set = |(key, value): (&FeatureKey, &Value)| SetLine {
        key: key.to_string(),
        value: value.into(),
        revision: record.revisions.get(key).copied(),
    };
    let completed = |completed: &Completed| CompletedLine {
        idempotency_key: Uuid::from_bytes(completed.key.0),
        sequence: completed.sequence,
        time: time_text(completed.time),
    };
    let line = RecordLine {
        scope: scope.into(),
        sequence: record.sequence,
        created: time_text(record.created?),
        changed: time_text(record.changed?),
        organization: record.organization.as_ref().map(OrganizationId::to_string),
        values: record.layer.iter().map(set).collect(),
        completed: record.completed.iter().map(completed).collect(),
    };
    write_line(&line, buffer);
    Some(())
}

/// Reads the line of a record of a base.
pub(crate) fn read_record(line: &[u8]) -> Result<(Scope, Record), LineError> {
    let line: RecordLine = parse(line)?;
    let (mut values, mut record) = (Vec::with_capacity(line.values.len()), Record::default());
    for SetLine { key, value, revision } in line.values {
        let key = FeatureKey::from(key.as_str());
        record.revisions.extend(revision.map(|revision| (key.clone(), revision)));
        values.push((key, Value::from(value)));
    }
    for (index, CompletedLine { idempotency_key, sequence, time }) in line.completed.iter().enumerate() {
        let key = IdempotencyKey(idempotency_key.into_bytes());
        let time = time_of(&format!("completed[{index}].time"), time)?;
        record.completed.push(Completed { key, sequence: *sequence, time });
    }
    record.layer = Layer::from_iter(values);
    record.sequence = line.sequence;
    record.created = Some(time_of("created", &line.created)?);
    record.changed = Some(time_of("changed", &line.changed)?);
    record.organization = line.organization.map(|id| id_of("organization", &id, OrganizationId::new)).transpose()?;
    Ok((line.scope.scope()?, record))
}
