//! Stored values and times as the model has them.

use std::collections::BTreeMap;

use crate::fleet::database::table::{Change, Kind, StoredValue};
use crate::workload::feature::{Layer, Level, Time, Value};

/// The changes of an event by feature: the old and the new value.
pub type Changes<'a> = BTreeMap<&'a str, (Option<Value>, Option<Value>)>;

/// The changes of an event. `None`: a value is not of a kind that the model knows.
pub fn stored(changes: &[Change]) -> Option<Changes<'_>> {
    let decoded =
        |value: &Option<StoredValue>| value.as_ref().map(value_of).map_or(Some(None), |value| value.map(Some));
    changes.iter().map(|change| Some((change.key.as_str(), (decoded(&change.old)?, decoded(&change.new)?)))).collect()
}

/// The changes from a layer to another one.
pub fn between(level: Level, old: &Layer, new: &Layer) -> Changes<'static> {
    let changes = level.features().map(|name| (name, (old.get(name).cloned(), new.get(name).cloned())));
    changes.filter(|(_, (old, new))| old != new).collect()
}

/// The layer after changes. Features that the model does not know are left out.
pub fn changed(level: Level, layer: &Layer, changes: &Changes<'_>) -> Layer {
    let mut layer = layer.clone();
    for name in level.features() {
        match changes.get(name) {
            Some((_, Some(value))) => drop(layer.insert(name, value.clone())),
            Some((_, None)) => drop(layer.remove(name)),
            None => {}
        }
    }
    layer
}

/// A time as answers have it.
pub fn time(unix_nanos: i64) -> Time {
    const SECOND: i64 = 1_000_000_000;
    let nanos = unix_nanos.rem_euclid(SECOND);
    (unix_nanos.div_euclid(SECOND), i32::try_from(nanos).expect("a second has fewer nanoseconds"))
}

fn value_of(stored: &StoredValue) -> Option<Value> {
    Some(match stored.kind.as_ref()? {
        Kind::Flag(enabled) => Value::Flag(*enabled),
        Kind::Numbers(numbers) => Value::Paths(numbers.numbers.clone()),
        Kind::Message(message) => {
            let part = |name| message.parts.get(name).and_then(|part| part.kind.as_ref());
            Value::Login {
                required: matches!(part("required"), Some(Kind::Flag(true))),
                base_uri: match part("base_uri") {
                    Some(Kind::Text(text)) => Some(text.clone()),
                    _ => None,
                },
            }
        }
        Kind::Text(_) => return None,
    })
}

/// The stored form of a value, for made-up histories.
#[cfg(test)]
pub fn stored_value(value: &Value) -> StoredValue {
    use crate::fleet::database::table::{Numbers, Parts};
    let kind = match value {
        Value::Flag(enabled) => Kind::Flag(*enabled),
        Value::Paths(numbers) => Kind::Numbers(Numbers { numbers: numbers.clone() }),
        Value::Login { required, base_uri } => {
            let part = |kind| StoredValue { kind: Some(kind) };
            let mut parts = BTreeMap::from([("required".to_owned(), part(Kind::Flag(*required)))]);
            parts.extend(base_uri.iter().map(|uri| ("base_uri".to_owned(), part(Kind::Text(uri.clone())))));
            Kind::Message(Parts { parts })
        }
    };
    StoredValue { kind: Some(kind) }
}
