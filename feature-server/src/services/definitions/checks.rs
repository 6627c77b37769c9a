//! What a new or changed definition has to be: under a free key, within the limits, and valid as a whole.

use feature_api::definition as message;
use feature_api::definition::Change;
use feature_core::{
    Definition, FeatureKey, InstanceId, Layer, Level, OwnKey, Patch, Record, Requirement, State, Value,
};
use feature_store::{FeatureStore, Selected, Selection, check_value};

use crate::error::{Failure, OwnFeatureFailure};
use crate::services::backend::Backend;
use crate::services::catalogue::{self, Engine, Feature, Owner};
use crate::services::response_cache::Basis;

/// A valid update of a definition.
pub(super) struct Update {
    pub(super) patch: Patch,
    /// The new definition with its compiled constraints, if values may break them that kept the old ones.
    pub(super) tighter: Option<(Definition, Engine)>,
}

/// The most memory of all definitions of an owner, roughly, in bytes.
const DEFINITIONS_MAX_BYTES: usize = 64 * 1024 * 1024;

/// The most instances that an error names.
const NAMED_INSTANCES_MAX: usize = 10;

/// Checks that a key is free, and that there is room for one more definition. Returns what a write of the definition
/// requires, so that it stays free.
pub(super) fn check_free(
    backend: &Backend,
    owner: Option<&InstanceId>,
    key: &OwnKey,
    basis: &mut Basis,
) -> Result<Vec<Requirement>, Failure> {
    let taken = |by: String| Failure::from(OwnFeatureFailure::Exists(by));
    if backend.catalogues.built_in().find(key.key().as_str()).is_some() {
        return Err(taken("a built-in feature".to_owned()));
    }
    let own = backend.catalogues.of(owner, basis)?;
    if let Some(feature) = own.find(key.key().as_str()) {
        return Err(taken(feature.message().name));
    }
    let limits = [
        ("the number of definitions", own.count() + 1, backend.limits.definitions),
        ("the bytes of all definitions", own.bytes(), DEFINITIONS_MAX_BYTES),
    ];
    if let Some((what, _, max)) = limits.into_iter().find(|(_, now, max)| now > max) {
        return Err(OwnFeatureFailure::LimitReached { what, max }.into());
    }
    if owner.is_some() {
        // The catalogue leaves out definitions that a newer server has written, so the record is read.
        let scope = catalogue::scope(None, key);
        let Record { layer, sequence, .. } = backend.record(&scope, basis)?;
        if !layer.is_empty() {
            return Err(taken("the system".to_owned()));
        }
        return Ok(vec![Requirement::Unchanged { scope, sequence }]);
    }
    let key = key.folded();
    let (mut instances, mut after) = (Vec::new(), None);
    loop {
        let selection = Selection::DefinitionsNamed(&key);
        let Selected { records, next_after } =
            backend.store.select(selection, after.as_ref(), NAMED_INSTANCES_MAX + 2)?;
        instances.extend(records.into_iter().filter_map(|(scope, _)| scope.instance().map(InstanceId::to_string)));
        if next_after.is_none() || instances.len() > NAMED_INSTANCES_MAX {
            break;
        }
        after = next_after;
    }
    let named = &instances[..instances.len().min(NAMED_INSTANCES_MAX)];
    if named.is_empty() {
        return Ok(vec![Requirement::DefinedByNoInstance(key)]);
    }
    let more = if named.len() < instances.len() { ", and more" } else { "" };
    Err(taken(format!("these instances: {}{more}", named.join(", "))))
}

/// An update, if the definition that it makes is valid.
pub(super) fn update(feature: &Feature, change: &Change) -> Result<Update, Failure> {
    let fields = || change.set.iter().map(|(field, _)| field).chain(&change.unset);
    if feature.owner == Owner::BuiltIn {
        if let Some(field) = fields().find(|field| !message::FIELDS_OF_BUILT_IN.contains(&field.as_str())) {
            let problem =
                format!("of a built-in feature, only {} can be changed", message::FIELDS_OF_BUILT_IN.join(", "));
            return Err(Failure::field(format!("feature_definition.{field}"), problem));
        }
        for (field, value) in change.set.iter() {
            let checked = check_value(field, value);
            checked.map_err(|error| Failure::field(format!("feature_definition.{field}"), error.to_string()))?;
        }
        return Ok(Update { patch: Patch::exact(&change.set, &change.unset), tighter: None });
    }
    if feature.definition.state == State::Deleted {
        return Err(OwnFeatureFailure::Deleted(feature.key.to_string()).into());
    }
    let layer = &feature.record.layer;
    for field in fields().filter(|field| field.as_str() == "value_type" || field.as_str() == "default_value") {
        let new = change.set.get(field.as_str());
        if field.as_str() == "value_type" && new != layer.get("value_type") {
            return Err(Failure::field("feature_definition.value_type", "never changes: define another feature"));
        }
        if new.is_none() {
            return Err(Failure::field("feature_definition.default_value", "is required"));
        }
    }
    let patch = Patch::exact(&change.set, &change.unset);
    let mut after = layer.clone();
    after.apply(&patch.changes_to(layer));
    let (definition, engine) = check(&after, feature.level())?;
    if !definition.constraints.may_be_tighter_than(&feature.definition.constraints) {
        return Ok(Update { patch, tighter: None });
    }
    let tightened = (FeatureKey::from(message::TIGHTENED), Value::Flag(true));
    let set: Layer = change.set.iter().map(|(key, value)| (key.clone(), value.clone())).chain([tightened]).collect();
    Ok(Update { patch: Patch::exact(&set, &change.unset), tighter: Some((definition, engine)) })
}

/// Checks a definition as a whole. Returns it with its compiled constraints.
pub(super) fn check(layer: &Layer, owner: Level) -> Result<(Definition, Engine), Failure> {
    for (field, value) in layer.iter() {
        let checked = check_value(field, value);
        checked.map_err(|error| Failure::field(format!("feature_definition.{field}"), error.to_string()))?;
    }
    let required = || Failure::field("feature_definition.default_value", "is required");
    let definition = Definition::from_layer(layer).map_err(|_| required())?.ok_or_else(required)?;
    message::check(&definition, owner)?;
    let engine = Engine::new(&definition.constraints);
    let engine =
        engine.map_err(|error| Failure::field(format!("feature_definition.{}", error.field), error.problem))?;
    let values = definition.variants.iter().map(|(name, value)| (format!("variants.{name}"), value));
    for (field, value) in values.chain([("default_value".to_owned(), &definition.default_value)]) {
        if let Some((place, problem)) = engine.violations(value).into_iter().next() {
            return Err(Failure::field(format!("feature_definition.{field}{place}"), problem));
        }
    }
    Ok((definition, engine))
}
