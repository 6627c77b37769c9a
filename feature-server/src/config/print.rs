//! The effective configuration as TOML, with the origin of each value in a comment. Nothing here decides a value.

use serde_json::Value;

use super::Configuration;
use super::keys::{KEYS, Key};
use super::tree::Place;

/// The whole configuration. Used as a configuration file it gives the same settings again.
pub(super) fn to_toml(configuration: &Configuration) -> String {
    let settings = serde_json::to_value(&configuration.settings).expect("settings have text keys and plain values");
    let mut lines = vec!["# The effective configuration. After each value stands where it comes from.".to_owned()];
    // The keys of one table stand together in the list.
    for keys in KEYS.chunk_by(|a, b| table_of(a) == table_of(b)) {
        let path = table_of(&keys[0]);
        let tables = tables(&settings, path);
        if tables.is_empty() {
            lines.push(format!("\n# {}: none configured", path.trim_end_matches(".*").trim_end_matches("[]")));
        }
        for (place, table) in tables {
            lines.push(match path.strip_suffix("[]") {
                Some(list) => format!("\n[[{list}]]"),
                None => format!("\n[{}]", place.shown),
            });
            values(keys, &place, table).iter().for_each(|(place, name, value)| {
                lines.push(match value {
                    Value::Null => format!("# {name} is not set"),
                    value => {
                        format!("{name} = {value}  # {}", configuration.origins.of(&place.shown), value = show(value))
                    }
                })
            });
        }
    }
    lines.join("\n") + "\n"
}

/// A text as a TOML string.
pub(super) fn string(text: &str) -> String {
    // JSON's escapes are TOML's, except that TOML also wants one for the delete character.
    Value::from(text).to_string().replace('\u{7f}', "\\u007F")
}

/// The name of a key, in quotes where TOML wants them.
pub(super) fn key(name: &str) -> String {
    let bare = |b: u8| b.is_ascii_alphanumeric() || b"_-".contains(&b);
    if !name.is_empty() && name.bytes().all(bare) { name.to_owned() } else { string(name) }
}

fn show(value: &Value) -> String {
    match value {
        Value::String(text) => string(text),
        Value::Array(values) => format!("[{}]", values.iter().map(show).collect::<Vec<_>>().join(", ")),
        other => other.to_string(),
    }
}

fn table_of(key: &Key) -> &'static str {
    key.path.rsplit_once('.').map_or("", |(table, _)| table)
}

/// The tables at a path: one, or as many as the operator named or listed.
fn tables<'a>(settings: &'a Value, path: &str) -> Vec<(Place, &'a Value)> {
    let mut found = vec![(Place::root(), settings)];
    for part in path.split('.') {
        found = found.into_iter().flat_map(|(place, value)| children(&place, value, part)).collect();
    }
    found
}

fn children<'a>(place: &Place, value: &'a Value, part: &str) -> Vec<(Place, &'a Value)> {
    if part == "*" {
        return entries(value).map(|(name, value)| (place.named(name), value)).collect();
    }
    match part.strip_suffix("[]") {
        None => vec![(place.child(part), &value[part])],
        Some(list) => {
            let place = place.child(list);
            let entries = value[list].as_array().into_iter().flatten();
            entries.enumerate().map(|(index, value)| (place.entry(index), value)).collect()
        }
    }
}

/// The values of a table's keys, with the names to be written before them.
fn values<'a>(keys: &[Key], place: &Place, table: &'a Value) -> Vec<(Place, String, &'a Value)> {
    let mut values = Vec::new();
    for name in keys.iter().filter_map(|key| key.path.rsplit('.').next()) {
        if name == "*" {
            values.extend(entries(table).map(|(name, value)| (place.named(name), key(name), value)));
        } else {
            values.push((place.child(name), name.to_owned(), &table[name]));
        }
    }
    values
}

fn entries(table: &Value) -> impl Iterator<Item = (&String, &Value)> {
    table.as_object().into_iter().flatten()
}
