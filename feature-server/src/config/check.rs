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
        let value = match (values.get_mut(name), value) {
            (Some(Value::Table(values)), Value::Table(later)) => {
                merge(values, later);
                continue;
            }
            // serde would take the list for the values of the table's keys.
            (Some(Value::Table(_)), Value::Array(_)) => shown(value).into(),
            _ => value.clone(),
        };
        values.insert(name.clone(), value);
    }
}

/// Checks what one source says. Each one is checked before all are merged, so that an error can name it.
pub(super) fn check(source: &Table, origin: &str) -> Result<(), ConfigError> {
    let mut values = schema::defaults();
    merge(&mut values, source);
    let mut values = Value::Table(values);
    let Some((path, message)) = problem(&values) else { return Ok(()) };
    let key = key_at(&path);
    let of_key = |key: &str, problem: String| Err(ConfigError::new(format!("{key} ({origin})"), problem));
    // serde has names in backticks: first the wrong one, then those that it knows.
    let mut names = message.split('`').skip(1).step_by(2);
    let name = names.next().unwrap_or_default();
    if message.starts_with("unknown field") {
        let parent = key_at(&path[..path.len().saturating_sub(1)]);
        let nearest = schema::nearest(&key, name, names.map(|name| join(&parent, name)));
        return of_key(&key, format!("unknown key; the nearest known one is {nearest}"));
    }
    if message.starts_with("missing field")
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

/// Where values are first wrong, and what serde says about it.
fn problem(values: &Value) -> Option<(Vec<Segment>, String)> {
    let error = serde_path_to_error::deserialize::<_, Settings>(values.clone()).err()?;
    Some((error.path().iter().cloned().collect(), error.inner().message().to_owned()))
}

/// What is allowed, to stand after 'must be'. `values` have a wrong text where something is wrong or missing, since
/// serde names the words of an enum only then.
fn allowed(values: &Value, message: &str) -> String {
    let of_text = message.starts_with("missing field") || message.ends_with("string only");
    let message = of_text.then(|| problem(values)).flatten().map_or_else(|| message.to_owned(), |(_, message)| message);
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
