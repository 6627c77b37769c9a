//! A naive model of the store: it folds changes one by one, and resolves values with inheritance. It is independent of
//! the server's code, so that a mistake in one shows in the comparison with the other.

use std::collections::BTreeMap;

use feature_api::feature::v1::{ChangeKind, ValueSource};
use prost_types::value::Kind;

use super::record::{Digest, Era, Event, Value, Values, digest};

/// The features that come with the server: those of the campaign's model, with their defaults.
use crate::workload::feature::{LOGIN, Level, PATHS};

/// The contents of the store at a revision.
#[derive(Debug, Clone, Default)]
pub struct Model {
    pub revision: u64,
    layers: BTreeMap<String, Layer>,
    /// Own features, by the owner's name, which is empty for the system, and the key.
    definitions: BTreeMap<(String, String), Definition>,
}

/// What a scope sets.
#[derive(Debug, Clone, Default)]
struct Layer {
    values: BTreeMap<String, (Digest, u64)>,
    organization: Option<String>,
}

#[derive(Debug, Clone)]
struct Definition {
    default: Digest,
    is_archived: bool,
}

impl Model {
    /// Moves on to a revision, or back to it.
    ///
    /// # Errors
    /// A change that does not fit to what was before.
    pub fn move_to(&mut self, era: &Era, revision: u64) -> Result<(), String> {
        if revision < self.revision {
            *self = Self::default();
        }
        let next = era.events.range(self.revision + 1..).take_while(|(it, _)| **it <= revision);
        for (_, event) in next {
            self.apply(event)?;
        }
        self.revision = revision;
        Ok(())
    }

    fn apply(&mut self, event: &Event) -> Result<(), String> {
        if event.kind == ChangeKind::Definition {
            self.define(event);
            return Ok(());
        }
        let layer = self.layers.entry(event.resource.clone()).or_default();
        for (key, field) in &event.fields {
            let old = layer.values.get(key).map(|(digest, _)| *digest);
            if old != field.old || old == field.new {
                let revision = event.revision;
                return Err(format!("change {revision} of {} has not the old value of {key}", event.resource));
            }
            match field.new {
                Some(new) => layer.values.insert(key.clone(), (new, event.revision)),
                None => layer.values.remove(key),
            };
        }
        if event.kind == ChangeKind::Reset && !layer.values.is_empty() {
            return Err(format!("the reset {} leaves values of {}", event.revision, event.resource));
        }
        layer.organization.clone_from(&event.organization);
        Ok(())
    }

    fn define(&mut self, event: &Event) {
        let Some((owner, key)) = event.resource.rsplit_once("features/") else { return };
        let id = (owner.trim_end_matches('/').to_owned(), key.to_owned());
        let definition = self.definitions.entry(id).or_insert(Definition { default: 0, is_archived: false });
        if let Some(default) = event.fields.get("default_value").and_then(|field| field.new) {
            definition.default = default;
        }
        if let Some(state) = event.fields.get("state") {
            definition.is_archived = state.new == Some(digest(&text("STATE_ARCHIVED")));
        }
    }

    /// The values of these features, or of all if there are none, in scopes.
    pub fn resolve(&self, names: &[String], features: &[String]) -> Values {
        let mut values = Values::new();
        for name in names {
            let levels = self.levels(name);
            let all = built_in().into_iter().chain(self.own(name));
            for (key, default) in all.filter(|(key, _)| features.is_empty() || features.contains(key)) {
                let set = levels.iter().find_map(|(source, layer)| {
                    let (digest, revision) = *self.layers.get(layer)?.values.get(&key)?;
                    Some(Value { digest, source: (*source).into(), revision })
                });
                let default = Value { digest: default, source: ValueSource::Default.into(), revision: 0 };
                values.insert((name.clone(), key), set.unwrap_or(default));
            }
        }
        values
    }

    /// The levels that count for a scope, from the scope itself to the system.
    fn levels(&self, name: &str) -> Vec<(ValueSource, String)> {
        let system = (ValueSource::System, "system/settings".to_owned());
        let parts: Vec<_> = name.split('/').collect();
        let instance = || (ValueSource::Instance, format!("instances/{}/settings", parts[1]));
        let organization =
            |id: &str| (ValueSource::Organization, format!("instances/{}/organizations/{id}/settings", parts[1]));
        match parts.get(2) {
            Some(&"organizations") => vec![organization(parts[3]), instance(), system],
            Some(&"users") => {
                let recorded = self.layers.get(name).and_then(|layer| layer.organization.as_deref());
                let user = (ValueSource::User, name.to_owned());
                [user].into_iter().chain(recorded.map(organization)).chain([instance(), system]).collect()
            }
            Some(_) if parts[0] == "instances" => vec![instance(), system],
            _ => vec![system],
        }
    }

    /// The own features in force for a scope, with their defaults.
    fn own(&self, name: &str) -> impl Iterator<Item = (String, Digest)> {
        let applies = move |owner: &str| owner.is_empty() || name.starts_with(&format!("{owner}/"));
        let used = self.definitions.iter().filter(move |((owner, _), it)| applies(owner) && !it.is_archived);
        used.map(|((_, key), definition)| (key.clone(), definition.default))
    }
}

/// The built-in features with their defaults.
fn built_in() -> Vec<(String, Digest)> {
    let flag = digest(&prost_types::Value { kind: Some(Kind::BoolValue(false)) });
    let list = digest(&prost_types::Value { kind: Some(Kind::ListValue(prost_types::ListValue::default())) });
    let no = prost_types::Value { kind: Some(Kind::BoolValue(false)) };
    let login = prost_types::Struct { fields: [("required".to_owned(), no)].into_iter().collect() };
    let login = digest(&prost_types::Value { kind: Some(Kind::StructValue(login)) });
    let default = |name: &str| match name {
        PATHS => list,
        LOGIN => login,
        _ => flag,
    };
    Level::User.features().map(|name| (name.to_owned(), default(name))).collect()
}

/// A text as a value.
pub fn text(text: &str) -> prost_types::Value {
    prost_types::Value { kind: Some(Kind::StringValue(text.to_owned())) }
}
