//! Checks what one source says, as a tree of values, against the table of keys. It neither reads sources nor knows
//! how they are combined.

use ::config::{Map, Value, ValueKind};

use super::forms::Form;
use super::keys::{self, Key, Kind, Node};
use super::{ConfigError, Origins};

/// Checks every key and value of one source, and records that its values come from there.
///
/// `origin`: the source's name for messages. The first error in the order of the keys is the one that is reported.
pub(super) fn check(tree: &Map<String, Value>, origin: &str, origins: &mut Origins) -> Result<(), ConfigError> {
    Walk { origin, origins }.table(&Place::root(), tree)
}

/// A value as it would stand in a TOML file, shortened.
pub(super) fn show(value: &Value) -> String {
    let text = match &value.kind {
        ValueKind::String(text) => super::print::string(text),
        ValueKind::Table(_) => "a table".to_owned(),
        ValueKind::Array(values) => format!("[{}]", values.iter().map(show).collect::<Vec<_>>().join(", ")),
        other => other.to_string(),
    };
    if text.chars().count() <= 80 { text } else { text.chars().take(77).chain("...".chars()).collect() }
}

/// Where a value stands.
pub(super) struct Place {
    /// The key as operators know it, such as `auth.issuers[0].audience`.
    pub shown: String,
    /// The path in the table of keys, such as `auth.issuers[].audience`.
    pub path: String,
}

impl Place {
    pub(super) fn root() -> Self {
        Self { shown: String::new(), path: String::new() }
    }

    /// The place of a key whose name is known.
    pub(super) fn child(&self, name: &str) -> Self {
        Self { shown: join(&self.shown, &super::print::key(name)), path: join(&self.path, name) }
    }

    /// The place of a key whose name the operator chose.
    pub(super) fn named(&self, name: &str) -> Self {
        Self { shown: join(&self.shown, &super::print::key(name)), path: join(&self.path, "*") }
    }

    /// The place of a list's entry.
    pub(super) fn entry(&self, index: usize) -> Self {
        Self { shown: format!("{}[{index}]", self.shown), path: format!("{}[]", self.path) }
    }
}

fn join(parent: &str, name: &str) -> String {
    if parent.is_empty() { name.to_owned() } else { format!("{parent}.{name}") }
}

struct Walk<'a> {
    origin: &'a str,
    origins: &'a mut Origins,
}

impl Walk<'_> {
    fn visit(&mut self, place: &Place, value: &Value) -> Result<(), ConfigError> {
        let node = keys::node(&place.path).expect("only known places are visited");
        match (&node, &value.kind) {
            (Node::Value(key), _) => self.value(place, key, value),
            (Node::Table, ValueKind::Table(table)) => self.table(place, table),
            (Node::Map(form), ValueKind::Table(table)) => self.map(place, table, form),
            (Node::List, ValueKind::Array(entries)) => {
                entries.iter().enumerate().try_for_each(|(index, entry)| self.visit(&place.entry(index), entry))
            }
            (Node::Table | Node::Map(_), _) => Err(self.bad_value(place, value, "a table".to_owned())),
            (Node::List, _) => Err(self.bad_value(place, value, "a list of tables".to_owned())),
        }
    }

    fn table(&mut self, place: &Place, table: &Map<String, Value>) -> Result<(), ConfigError> {
        for (name, value) in sorted(table) {
            let child = place.child(name);
            if keys::node(&child.path).is_none() {
                let nearest = nearest(place, name);
                return Err(ConfigError::UnknownKey { key: child.shown, origin: self.origin.to_owned(), nearest });
            }
            self.visit(&child, value)?;
        }
        for name in keys::names(&place.path) {
            let child = place.child(name);
            if let Some(Node::Value(Key { kind, required: true, .. })) = keys::node(&child.path)
                && !table.contains_key(name)
            {
                let (key, allowed) = (child.shown, kind.allowed());
                return Err(ConfigError::Missing { key, origin: self.origin.to_owned(), allowed });
            }
        }
        Ok(())
    }

    fn map(&mut self, place: &Place, table: &Map<String, Value>, names: &Form) -> Result<(), ConfigError> {
        for (name, value) in sorted(table) {
            let child = place.named(name);
            if !(names.accepts)(name) {
                let (key, allowed) = (child.shown, names.allowed.to_owned());
                return Err(ConfigError::BadName { key, origin: self.origin.to_owned(), allowed });
            }
            self.visit(&child, value)?;
        }
        Ok(())
    }

    fn value(&mut self, place: &Place, key: &Key, value: &Value) -> Result<(), ConfigError> {
        let accepted = match (&key.kind, &value.kind) {
            (Kind::Flag, ValueKind::Boolean(_)) => true,
            (Kind::Number(least, most), ValueKind::I64(number)) => (least..=most).contains(&number),
            (Kind::Choice(choices), ValueKind::String(text)) => choices.contains(&text.as_str()),
            (Kind::Text(form), ValueKind::String(text)) => (form.accepts)(text),
            (Kind::Texts(form, least), ValueKind::Array(texts)) => {
                for (index, text) in texts.iter().enumerate() {
                    if !matches!(&text.kind, ValueKind::String(text) if (form.accepts)(text)) {
                        return Err(self.bad_value(&place.entry(index), text, form.allowed.to_owned()));
                    }
                }
                texts.len() >= *least
            }
            _ => false,
        };
        if !accepted {
            return Err(self.bad_value(place, value, key.kind.allowed()));
        }
        self.origins.record(&place.shown, self.origin);
        Ok(())
    }

    fn bad_value(&self, place: &Place, value: &Value, allowed: String) -> ConfigError {
        ConfigError::BadValue { key: place.shown.clone(), value: show(value), origin: self.origin.to_owned(), allowed }
    }
}

/// In the order of the names, because that of the map changes from run to run.
fn sorted(table: &Map<String, Value>) -> Vec<(&String, &Value)> {
    let mut entries: Vec<_> = table.iter().collect();
    entries.sort_by_key(|(name, _)| *name);
    entries
}

/// The known key that looks most like an unknown one: a neighbour, or the key of that name in another table.
pub(super) fn nearest(parent: &Place, name: &str) -> String {
    let elsewhere = keys::fixed_paths();
    if let Some(path) = elsewhere.iter().find(|path| path.rsplit('.').next() == Some(name)) {
        return (*path).to_owned();
    }
    let unknown = parent.child(name).shown;
    let neighbours = keys::names(&parent.path).into_iter().map(|name| parent.child(name).shown);
    let mut best = (f64::MIN, String::new());
    for candidate in neighbours.chain(elsewhere.iter().map(|path| (*path).to_owned())) {
        let likeness = strsim::normalized_damerau_levenshtein(&unknown, &candidate);
        if likeness > best.0 {
            best = (likeness, candidate);
        }
    }
    best.1
}
