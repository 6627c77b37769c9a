//! A feature of the catalogue: its definition, ready for use.

use std::collections::BTreeMap;

use feature_api::built_in::BuiltIn;
use feature_api::definition as message;
use feature_api::feature::v1::FeatureDefinition;
use feature_api::json_value::{self, ValueError};
use feature_api::resource_name;
use feature_api::response::timestamp;
use feature_core::{
    Definition, DefinitionError, FeatureKey, InstanceId, Level, OwnKey, Record, Scope, Timestamp, Value,
};
use feature_store::check_value;

use super::engine::Engines;

/// How long a feature is expected to live whose purpose is a release or an experiment, in nanoseconds.
const LIFE_NANOS: i64 = 40 * 24 * 3_600 * 1_000_000_000;

/// Who defines a feature.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Owner {
    /// The server itself.
    BuiltIn,
    /// The system, for all instances.
    System,
    /// An instance, for itself.
    Instance(InstanceId),
}

impl Owner {
    /// The instance, if it is one.
    pub fn instance(&self) -> Option<&InstanceId> {
        match self {
            Owner::Instance(instance) => Some(instance),
            Owner::System | Owner::BuiltIn => None,
        }
    }
}

/// A feature.
#[derive(Debug)]
pub struct Feature {
    /// Its key, as its definition spells it.
    pub key: FeatureKey,
    /// Who defines it.
    pub owner: Owner,
    /// What it is.
    pub definition: Definition,
    /// The record of its definition; of a built-in feature, of what users have set of it.
    pub record: Record,
    built_in: Option<BuiltIn>,
}

impl Feature {
    /// A built-in feature.
    ///
    /// `record`: what users have set of it.
    pub fn built_in(built_in: BuiltIn, record: Record) -> Self {
        Self {
            key: built_in.key().clone(),
            owner: Owner::BuiltIn,
            definition: built_in.definition.clone(),
            record,
            built_in: Some(built_in),
        }
    }

    /// The same built-in feature with another record; `None` for an own feature.
    pub fn built_in_with(&self, record: &Record) -> Option<Self> {
        self.built_in.as_ref().map(|built_in| Self::built_in(built_in.clone(), record.clone()))
    }

    /// The feature with this record of its definition; `None` when nothing is defined.
    ///
    /// # Errors
    /// [`DefinitionError`] when a newer binary has written it.
    pub fn new(owner: Option<&InstanceId>, record: &Record) -> Result<Option<Self>, DefinitionError> {
        let Some(definition) = Definition::from_layer(&record.layer)? else { return Ok(None) };
        let Some(Value::Text(key)) = record.layer.get("key") else { return Err(DefinitionError("key")) };
        Ok(Some(Self {
            key: key.as_str().into(),
            owner: owner.map_or(Owner::System, |instance| Owner::Instance(instance.clone())),
            definition,
            record: record.clone(),
            built_in: None,
        }))
    }

    /// Reads a value of the feature, and checks it against the definition.
    ///
    /// * `path`: of the value in the request, for an error.
    /// * `engines`: those of all features.
    ///
    /// # Errors
    /// Every problem with its path.
    pub fn read(&self, json: &prost_types::Value, path: &str, engines: &Engines) -> Result<Value, Vec<ValueError>> {
        let read = match &self.built_in {
            Some(built_in) => built_in.read(json, path),
            None => json_value::read(json, self.definition.value_type, path),
        };
        let value = read.map_err(|error| vec![error])?;
        if let Err(error) = check_value(&self.key, &value) {
            return Err(vec![ValueError { path: path.to_owned(), problem: error.to_string() }]);
        }
        let problems = self.violations(&value, engines);
        if problems.is_empty() {
            return Ok(value);
        }
        let error = |(place, problem): (String, String)| ValueError { path: format!("{path}{place}"), problem };
        Err(problems.into_iter().map(error).collect())
    }

    /// Whether a value is one of the feature, as the definition is now.
    pub fn is_valid(&self, value: &Value, engines: &Engines) -> bool {
        let is_of_type = self.built_in.is_some() || self.definition.value_type.includes(value);
        is_of_type && self.violations(value, engines).is_empty()
    }

    /// Whether a value that was set counts: it keeps the constraints as they are now.
    pub fn keeps(&self, value: &Value, engines: &Engines) -> bool {
        // As long as constraints only became looser, every value that was valid once is valid.
        !self.definition.tightened || self.violations(value, engines).is_empty()
    }

    /// What of the definition a value does not keep: a place within the value, and the problem.
    fn violations(&self, value: &Value, engines: &Engines) -> Vec<(String, String)> {
        if self.built_in.is_some() {
            return Vec::new();
        }
        let of_definition = self.definition.violations(value).into_iter().map(|it| (String::new(), it.to_string()));
        let engine =
            self.scope().and_then(|scope| engines.of(&scope, self.record.sequence, &self.definition.constraints));
        of_definition.chain(engine.map(|engine| engine.violations(value)).unwrap_or_default()).collect()
    }

    /// The JSON of a value of the feature.
    pub fn answer(&self, value: &Value) -> prost_types::Value {
        match &self.built_in {
            Some(built_in) => built_in.answer(value),
            // Only a built-in feature has numbers of an enum.
            None => json_value::answer(value, &|number| number.to_string()),
        }
    }

    /// Whether its definition has all of these labels.
    pub fn has_labels(&self, labels: &BTreeMap<String, String>) -> bool {
        let own = |name: &String| match self.record.layer.get("labels") {
            Some(Value::Message(labels)) => labels.get(name),
            _ => None,
        };
        labels.iter().all(|(name, label)| matches!(own(name), Some(Value::Text(text)) if text == label))
    }

    /// The first variant by name that has this value.
    pub fn variant(&self, value: &Value) -> Option<&str> {
        let variants = &self.definition.variants;
        variants.iter().find(|(_, variant)| *variant == value).map(|(name, _)| name.as_str())
    }

    /// The level that defines it.
    pub fn level(&self) -> Level {
        if self.owner.instance().is_some() { Level::Instance } else { Level::System }
    }

    /// The definition as a message.
    pub fn message(&self) -> FeatureDefinition {
        let stored = message::answer(&self.record.layer);
        let base = match &self.built_in {
            Some(built_in) => FeatureDefinition {
                owner: stored.owner,
                labels: stored.labels,
                stale_time: stored.stale_time,
                ..built_in.message()
            },
            None => stored,
        };
        let stale_time = base.stale_time.or_else(|| self.default_stale_time(&base));
        FeatureDefinition {
            name: resource_name::of_definition(self.owner.instance(), self.key.as_str()),
            stale_time,
            create_time: self.record.created.map(timestamp),
            update_time: self.record.changed.map(timestamp),
            etag: etag(self.record.sequence),
            ..base
        }
    }

    /// The memory of the definition's values, roughly, in bytes.
    pub fn bytes(&self) -> usize {
        // The layer, and what is made from it.
        3 * self.record.layer.iter().map(|(_, value)| memory_bytes(value)).sum::<usize>()
    }

    /// The scope of the definition. A key of another form than that of own features cannot be set.
    pub fn scope(&self) -> Option<Scope> {
        let key = OwnKey::new(self.key.as_str()).ok()?;
        Some(super::scope(self.owner.instance(), &key))
    }

    /// 40 days after the creation, for what is not here to stay.
    fn default_stale_time(&self, message: &FeatureDefinition) -> Option<prost_types::Timestamp> {
        use feature_api::feature::v1::Purpose;
        let is_temporary = matches!(message.purpose(), Purpose::Release | Purpose::Experiment) && !message.permanent;
        let created = self.record.created.filter(|_| is_temporary)?;
        Some(timestamp(Timestamp::from_unix_nanos(created.unix_nanos().saturating_add(LIFE_NANOS))))
    }
}

/// The etag of a record with this sequence (AIP-154).
pub fn etag(sequence: u64) -> String {
    format!("\"{sequence}\"")
}

/// The sequence that an etag stands for, or `None` in it for an empty text; `None` for a malformed text.
pub fn sequence_of(etag: &str) -> Option<Option<u64>> {
    if etag.is_empty() {
        return Some(None);
    }
    let digits = etag.strip_prefix('"')?.strip_suffix('"')?;
    digits.bytes().all(|byte| byte.is_ascii_digit()).then(|| digits.parse().ok().map(Some))?
}

/// The memory of a value, roughly, in bytes.
pub fn memory_bytes(value: &Value) -> usize {
    const VALUE: usize = 64;
    match value {
        Value::Text(text) => VALUE + text.len(),
        Value::List(values) => VALUE + values.iter().map(memory_bytes).sum::<usize>(),
        Value::Message(parts) => {
            VALUE + parts.iter().map(|(name, part)| VALUE + name.len() + memory_bytes(part)).sum::<usize>()
        }
        Value::Numbers(numbers) => VALUE + 4 * numbers.len(),
        Value::Flag(_) | Value::Integer(_) | Value::Double(_) => VALUE,
    }
}
