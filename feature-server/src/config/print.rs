//! The effective configuration as TOML, with the origin of each value in a comment. Nothing here decides a value.

use toml::{Table, Value};

use super::schema::{self, join};
use super::{Configuration, Origins};

impl Configuration {
    /// The settings as TOML that can be used as a configuration file; after each value stands where it comes from.
    pub fn to_toml(&self) -> String {
        let mut lines = vec!["# The effective configuration. After each value stands where it comes from.".to_owned()];
        let print = Print { keys: schema::keys(), origins: &self.origins };
        print.table("", &self.values, &mut lines);
        lines.join("\n") + "\n"
    }
}

struct Print<'c> {
    keys: Vec<String>,
    origins: &'c Origins,
}

impl Print<'_> {
    fn table(&self, path: &str, table: &Table, lines: &mut Vec<String>) {
        let mut tables = Vec::new();
        for (name, set) in table {
            let (name, path) = (key(name), join(path, &key(name)));
            match set {
                Value::Table(table) => tables.push((format!("[{path}]"), path, table)),
                Value::Array(entries) if entries.first().is_some_and(Value::is_table) => {
                    let entries = entries.iter().filter_map(Value::as_table).enumerate();
                    tables.extend(entries.map(|(index, it)| (format!("[[{path}]]"), format!("{path}[{index}]"), it)));
                }
                set => lines.push(format!("{name} = {}  # {}", value(set), self.origins.of(&path))),
            }
        }
        for key in &self.keys {
            let (parent, name) = key.rsplit_once('.').unwrap_or(("", key));
            if parent == path && !table.contains_key(name) {
                lines.push(format!("# {name} is not set"));
            }
        }
        for (header, path, table) in tables {
            lines.push(format!("\n{header}"));
            self.table(&path, table, lines);
        }
    }
}

/// A value on one line.
pub(super) fn value(value: &Value) -> String {
    match value {
        Value::String(text) => string(text),
        Value::Table(_) => "a table".to_owned(),
        Value::Array(values) => format!("[{}]", values.iter().map(self::value).collect::<Vec<_>>().join(", ")),
        other => other.to_string(),
    }
}

/// A text as a TOML string.
pub(super) fn string(text: &str) -> String {
    // JSON's escapes are TOML's, except that TOML also wants one for the delete character.
    serde_json::Value::from(text).to_string().replace('\u{7f}', "\\u007F")
}

/// The name of a key, in quotes where TOML wants them.
pub(super) fn key(name: &str) -> String {
    let bare = |b: u8| b.is_ascii_alphanumeric() || b"_-".contains(&b);
    if !name.is_empty() && name.bytes().all(bare) { name.to_owned() } else { string(name) }
}
