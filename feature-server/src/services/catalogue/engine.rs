//! The constraints that need an engine: patterns and JSON Schemas. They are compiled when a value is checked for the
//! first time, and never on a read.

use std::sync::Arc;

use feature_core::{Constraints, Scope, Value};
use jsonschema::{Draft, PatternOptions, Validator};
use quick_cache::sync::{Cache, DefaultLifecycle};
use quick_cache::{DefaultHashBuilder, OptionsBuilder, Weighter};
use regex::{Regex, RegexBuilder};
use serde_json::{Map, Number, Value as Json};

use super::schema_bounds;

/// The most memory of a compiled pattern, in bytes, and of what a match keeps of it for the next one.
const PATTERN_BYTES: usize = 256 * 1024;

/// The memory of a compiled schema without its patterns, at most roughly, in bytes.
const SCHEMA_BYTES: usize = 256 * 1024;

/// The most memory of all engines, roughly, in bytes. Those that are rarely used are compiled again.
const ENGINES_BYTES: u64 = 128 * 1024 * 1024;

/// The most problems of one object in an error.
const PROBLEMS_MAX: usize = 5;

/// Why a constraint is none.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{field}: {problem}")]
pub struct EngineError {
    /// The constraint, as a path within the definition.
    pub field: &'static str,
    /// What is wrong with it.
    pub problem: String,
}

/// The engines of features, as long as they are in use and their definitions stay the same.
pub struct Engines {
    compiled: Cache<(Scope, u64), Arc<Engine>, Weight>,
}

#[derive(Debug, Clone)]
struct Weight;

impl Weighter<(Scope, u64), Arc<Engine>> for Weight {
    fn weight(&self, _: &(Scope, u64), engine: &Arc<Engine>) -> u64 {
        engine.bytes as u64
    }
}

impl Default for Engines {
    fn default() -> Self {
        let options =
            OptionsBuilder::new().estimated_items_capacity(1_024).weight_capacity(ENGINES_BYTES).shards(1).build();
        let options = options.expect("the capacities are given");
        Self {
            compiled: Cache::with_options(options, Weight, DefaultHashBuilder::default(), DefaultLifecycle::default()),
        }
    }
}

impl Engines {
    /// The engine of a definition with these constraints; `None` for constraints that need none.
    ///
    /// * `scope`, `sequence`: of the definition.
    pub fn of(&self, scope: &Scope, sequence: u64, constraints: &Constraints) -> Option<Arc<Engine>> {
        if constraints.pattern.is_none() && constraints.json_schema.is_none() {
            return None;
        }
        let key = (scope.clone(), sequence);
        if let Some(engine) = self.compiled.get(&key) {
            return Some(engine);
        }
        let engine = Engine::new(constraints).unwrap_or_else(|EngineError { field, problem }| {
            // The definition was checked when it was written, perhaps by another version of the server.
            tracing::warn!(?scope, field, problem, "a constraint cannot be checked, so no value keeps it");
            Engine::refusing()
        });
        let engine = Arc::new(engine);
        self.compiled.insert(key, Arc::clone(&engine));
        Some(engine)
    }
}

/// The constraints of a feature, compiled.
#[derive(Debug)]
pub struct Engine {
    /// The memory that it takes, at most roughly.
    bytes: usize,
    pattern: Option<Regex>,
    schema: Option<Validator>,
    refuses_all: bool,
}

impl Engine {
    /// Compiles the pattern and the schema of the constraints.
    ///
    /// # Errors
    /// [`EngineError`] names the first of them that is malformed or that could take too much time.
    pub fn new(constraints: &Constraints) -> Result<Self, EngineError> {
        let wrong = |field, problem: String| EngineError { field, problem };
        let compile =
            |pattern: &str| RegexBuilder::new(pattern).size_limit(PATTERN_BYTES).dfa_size_limit(PATTERN_BYTES).build();
        let pattern = constraints.pattern.as_deref().map(|pattern| {
            // A pattern has to be right by itself, not by what stands around it here.
            let pattern = compile(pattern).and_then(|_| compile(&format!("^(?:{pattern})$")));
            pattern.map_err(|error| wrong("constraints.pattern", format!("must be a regular expression: {error}")))
        });
        let mut bytes = if pattern.is_some() { 2 * PATTERN_BYTES } else { 0 };
        let schema = constraints.json_schema.as_ref().map(|schema| {
            let schema = json(schema);
            let problem = |problem| wrong("constraints.json_schema", problem);
            bytes += SCHEMA_BYTES + 2 * PATTERN_BYTES * schema_bounds::check(&schema).map_err(problem)?;
            let patterns = PatternOptions::regex().size_limit(PATTERN_BYTES).dfa_size_limit(PATTERN_BYTES);
            let options = jsonschema::options().with_draft(Draft::Draft202012).with_pattern_options(patterns);
            let validator = options.offline().build(&schema);
            validator.map_err(|error| problem(format!("must be a JSON Schema: {error}")))
        });
        Ok(Self { pattern: pattern.transpose()?, schema: schema.transpose()?, bytes, refuses_all: false })
    }

    /// An engine that no value passes.
    pub fn refusing() -> Self {
        Self { bytes: 1, pattern: None, schema: None, refuses_all: true }
    }

    /// What is wrong with a value of the right type: the place within it, such as `[2]`, and the problem.
    pub fn violations(&self, value: &Value) -> Vec<(String, String)> {
        if self.refuses_all {
            return vec![(String::new(), "cannot be checked against its definition".to_owned())];
        }
        let mut problems = Vec::new();
        if let Some(pattern) = &self.pattern {
            let texts = match value {
                Value::List(values) => values.as_slice(),
                value => std::slice::from_ref(value),
            };
            for (index, text) in texts.iter().enumerate() {
                let Value::Text(text) = text else { continue };
                if problems.len() < PROBLEMS_MAX && !pattern.is_match(text) {
                    let place = if matches!(value, Value::List(_)) { format!("[{index}]") } else { String::new() };
                    problems.push((place, "does not match the pattern of the definition".to_owned()));
                }
            }
        }
        if let Some(schema) = &self.schema {
            let json = json(value);
            for error in schema.iter_errors(&json).take(PROBLEMS_MAX) {
                let place = error.instance_path().as_str().replace('/', ".");
                problems.push((place, format!("breaks the schema of the definition: {}", error.masked())));
            }
        }
        problems
    }
}

fn json(value: &Value) -> Json {
    match value {
        Value::Flag(flag) => Json::Bool(*flag),
        Value::Text(text) => Json::String(text.clone()),
        Value::Integer(number) => Json::Number((*number).into()),
        // JSON has one kind of number: a whole one must count as an integer, as protobuf's values have doubles only.
        Value::Double(number) if number.get().fract() == 0.0 && number.get().abs() < 1e15 => {
            Json::Number((number.get() as i64).into())
        }
        Value::Double(number) => Number::from_f64(number.get()).map_or(Json::Null, Json::Number),
        Value::Numbers(numbers) => numbers.iter().copied().map(Json::from).collect(),
        Value::List(values) => values.iter().map(json).collect(),
        Value::Message(parts) => {
            Json::Object(parts.iter().map(|(name, part)| (name.clone(), json(part))).collect::<Map<_, _>>())
        }
    }
}

#[cfg(test)]
mod tests;
