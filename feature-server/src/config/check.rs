//! Checks the values of one source, and explains the first error: its key, its value and what is allowed.

use feature_auth::config::values::{Form, Role};
use serde_path_to_error::Segment;
use toml::{Table, Value};

use super::forms::Host;
use super::schema::{self, join};
use super::{ConfigError, Settings, print};

/// Adds values, or puts them in place of others. Tables are merged.
pub(super) fn merge(values: &mut Table, later: &Table) {
    for (name, value) in later {
        if let (Some(Value::Table(values)), Value::Table(later)) = (values.get_mut(name), value) {
            merge(values, later);
        } else {
            values.insert(name.clone(), value.clone());
        }
    }
}

/// Checks what one source says. Each one is checked before all are merged, so that an error can name it.
pub(super) fn check(source: &Table, origin: &str) -> Result<(), ConfigError> {
    let mut values = schema::defaults();
    merge(&mut values, source);
    let mut values = Value::Table(values);
    let (path, message) = match settings(&values) {
        Ok(settings) => {
            let read = Value::try_from(settings).expect("settings have text keys and plain values");
            return list_for_table("", &values, &read)
                .map_or(Ok(()), |(key, list)| Err(ConfigError::value(&key, &shown(list), origin, "a table")));
        }
        Err(problem) => problem,
    };
    let key = key_at(&path);
    let of_key = |key: &str, problem: String| Err(ConfigError::new(format!("{key} ({origin})"), problem));
    if message.starts_with("unknown field")
        && let Some((Segment::Map { key: name }, parent)) = path.split_last()
    {
        // serde has the known names in backticks.
        let known = message.rsplit_once(", expected ").map_or("", |(_, known)| known).split('`').skip(1).step_by(2);
        let parent = key_at(parent);
        let nearest = schema::nearest(&key, name, known.map(|name| join(&parent, name)));
        return of_key(&key, format!("unknown key; the nearest known one is {nearest}"));
    }
    if let Some(name) = message.strip_prefix("missing field `").and_then(|rest| rest.strip_suffix('`'))
        && let Some(Value::Table(table)) = value_at(&mut values, &path)
    {
        table.insert(name.to_owned(), String::new().into());
        return of_key(&join(&key, name), format!("missing; it must be {}", allowed(&values, &message)));
    }
    if matches!(path.last(), Some(Segment::Map { .. })) && [Host::ALLOWED, Role::ALLOWED].contains(&message.as_str()) {
        return of_key(&key, format!("the name must be {message}"));
    }
    let value = value_at(&mut values, &path).map_or_else(String::new, |value| {
        let text = shown(value);
        *value = text.clone().into();
        text
    });
    Err(ConfigError::value(&key, &value, origin, &allowed(&values, &message)))
}

/// The settings of these values, or where they are first wrong and what serde says about it.
fn settings(values: &Value) -> Result<Settings, (Vec<Segment>, String)> {
    serde_path_to_error::deserialize(values.clone())
        .map_err(|error| (error.path().iter().cloned().collect(), error.inner().message().to_owned()))
}

/// A list in the place of a table. serde reads it as the values of the table's keys.
fn list_for_table<'v>(key: &str, value: &'v Value, read: &Value) -> Option<(String, &'v Value)> {
    match (value, read) {
        (Value::Array(_), Value::Table(_)) => Some((key.to_owned(), value)),
        (Value::Table(value), Value::Table(read)) => {
            value.iter().find_map(|(name, value)| list_for_table(&join(key, &print::key(name)), value, read.get(name)?))
        }
        (Value::Array(value), Value::Array(read)) => value
            .iter()
            .zip(read)
            .enumerate()
            .find_map(|(index, (value, read))| list_for_table(&format!("{key}[{index}]"), value, read)),
        _ => None,
    }
}

/// What is allowed, to stand after 'must be'. `values` have a wrong text where something is wrong or missing, since
/// serde names the words of an enum only then.
fn allowed(values: &Value, message: &str) -> String {
    let of_text = message.starts_with("missing field") || message.ends_with("string only");
    let of_text = of_text.then(|| settings(values).err()).flatten();
    let message = of_text.map_or_else(|| message.to_owned(), |(_, message)| message);
    match message.rsplit_once(", expected ").map_or(message.as_str(), |(_, expected)| expected) {
        "a boolean" => "true or false".to_owned(),
        "a sequence" => "a list".to_owned(),
        "a map" => "a table".to_owned(),
        "socket address" | "invalid socket address syntax" => {
            "an IP address and a port, such as 127.0.0.1:8080 or [::1]:8080".to_owned()
        }
        expected => expected.replace('`', "\""),
    }
}

/// A key as operators know it, such as `auth.issuers[0].audience`.
fn key_at(path: &[Segment]) -> String {
    path.iter().fold(String::new(), |parent, segment| match segment {
        Segment::Seq { index } => format!("{parent}[{index}]"),
        Segment::Map { key } => join(&parent, &print::key(key)),
        Segment::Enum { .. } | Segment::Unknown => parent,
    })
}

fn value_at<'v>(values: &'v mut Value, path: &[Segment]) -> Option<&'v mut Value> {
    path.iter().try_fold(values, |value, segment| match segment {
        Segment::Seq { index } => value.get_mut(*index),
        Segment::Map { key } => value.get_mut(key),
        Segment::Enum { .. } | Segment::Unknown => Some(value),
    })
}

/// A value as it would stand in a TOML file, shortened.
fn shown(value: &Value) -> String {
    let text = print::value(value);
    if text.chars().count() <= 80 { text } else { text.chars().take(77).chain("...".chars()).collect() }
}
