//! The file that ships with the server, read as the list of all keys and of their defaults.

use toml::{Table, Value};

use super::Settings;

/// A key without a default is commented out as `#key = example`; `# text` is prose.
const SHIPPED: &str = include_str!("../../../feature-server.toml");

impl Default for Settings {
    fn default() -> Self {
        defaults().try_into().expect("a test reads the file")
    }
}

/// The defaults.
pub(super) fn defaults() -> Table {
    SHIPPED.parse().expect("a test reads the file")
}

/// The defaults and the examples.
pub(super) fn all() -> Table {
    let uncomment = |line: &'static str| line.strip_prefix('#').filter(|rest| !rest.starts_with(' ')).unwrap_or(line);
    SHIPPED.lines().map(uncomment).collect::<Vec<_>>().join("\n").parse().expect("a test reads the file")
}

/// The keys that are the same in every configuration: those of plain values, and of maps and lists as a whole.
pub(super) fn keys() -> Vec<String> {
    let mut keys = Vec::new();
    collect("", &all(), &defaults(), &mut keys);
    keys
}

/// A table that has defaults is one of keys, any other a map.
fn collect(parent: &str, all: &Table, defaults: &Table, keys: &mut Vec<String>) {
    for (name, value) in all {
        let key = join(parent, name);
        match (value, defaults.get(name)) {
            (Value::Table(all), Some(Value::Table(defaults))) => collect(&key, all, defaults, keys),
            _ => keys.push(key),
        }
    }
}

/// The key of a name in a table.
pub(super) fn join(parent: &str, name: &str) -> String {
    if parent.is_empty() { name.to_owned() } else { format!("{parent}.{name}") }
}

/// The known key that looks most like an unknown one: the key of that name in another table, or a neighbour.
pub(super) fn nearest(unknown: &str, name: &str, neighbours: impl Iterator<Item = String>) -> String {
    let mut known = keys();
    if let Some(elsewhere) = known.iter().find(|key| key.rsplit('.').next() == Some(name)) {
        return elsewhere.clone();
    }
    known.extend(neighbours);
    let likeness = |key: &String| strsim::normalized_damerau_levenshtein(unknown, key);
    known.into_iter().max_by(|a, b| likeness(a).total_cmp(&likeness(b))).unwrap_or_default()
}
