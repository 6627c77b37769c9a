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
    let Err((mut path, message)) = read(&values) else { return Ok(()) };
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
        table.insert(name.to_owned(), WRONG.into());
        path.push(Segment::Map { key: name.to_owned() });
        return of_key(&key_at(&path), format!("missing; it must be {}", allowed(&mut values, &path, &message)));
    }
    if matches!(path.last(), Some(Segment::Map { .. })) && [Host::ALLOWED, Role::ALLOWED].contains(&message.as_str()) {
        return of_key(&key, format!("the name must be {message}"));
    }
    let value = value_at(&mut values, &path).map_or_else(String::new, |value| shown(value));
    Err(ConfigError::value(&key, &value, origin, &allowed(&mut values, &path, &message)))
}

/// Reads values as settings. The error is where they are first wrong, and what serde says about it.
fn read(values: &Value) -> Result<(), (Vec<Segment>, String)> {
    let settings: Settings = serde_path_to_error::deserialize(values.clone()).map_err(|error| {
        let path = error.path().iter().filter(|segment| !matches!(segment, Segment::Enum { .. }));
        (path.cloned().collect(), error.inner().message().to_owned())
    })?;
    // serde also takes a list for the values of a table's keys, and a table for a word.
    let read = Value::try_from(settings).expect("settings have text keys and plain values");
    other_type(values, &read).map_or(Ok(()), |path| Err((path, SILENT[0].to_owned())))
}

/// Where a value is of another type than what was read from it.
fn other_type(value: &Value, read: &Value) -> Option<Vec<Segment>> {
    let below = |segment, path: Option<Vec<Segment>>| path.map(|path| [vec![segment], path].concat());
    match (value, read) {
        (Value::Table(values), Value::Table(read)) => values
            .iter()
            .find_map(|(name, value)| below(Segment::Map { key: name.clone() }, other_type(value, read.get(name)?))),
        (Value::Array(values), Value::Array(read)) => {
            let mut pairs = values.iter().zip(read).enumerate();
            pairs.find_map(|(index, (value, read))| below(Segment::Seq { index }, other_type(value, read)))
        }
        // A whole number may stand for one with a fraction.
        (Value::Integer(_), Value::Float(_)) => None,
        _ => (!value.same_type(read)).then(Vec::new),
    }
}

/// How messages begin that do not say what is allowed: that of a missing key, and those of toml about an enum.
const SILENT: [&str; 4] = ["string only", "missing field", "wanted exactly", "expected table"];

/// A text that is not allowed where a value must be, as a word, and as an entry of a list.
const WRONG: &str = "";

/// What is allowed, to stand after 'must be'. Where serde does not say it about the value, it does about a wrong text
/// in its place.
fn allowed(values: &mut Value, path: &[Segment], message: &str) -> String {
    let mut of_wrong = |wrong: Value| {
        *value_at(values, path)? = wrong;
        let (_, message) = read(values).err()?;
        Some(allowed(values, path, &message))
    };
    match message.rsplit_once(", expected ").map_or(message, |(_, expected)| expected) {
        "a boolean" => "true or false".to_owned(),
        "a map" => "a table".to_owned(),
        "a sequence" => format!("a list, each {}", of_wrong(vec![WRONG].into()).unwrap_or_default()),
        expected if SILENT.iter().any(|it| expected.starts_with(it)) => of_wrong(WRONG.into()).unwrap_or_default(),
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
