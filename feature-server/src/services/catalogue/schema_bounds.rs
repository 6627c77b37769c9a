//! Bounds of a JSON Schema, so that no value takes long to check: its size, its patterns, and how far its references
//! unfold. A check then takes a time of at most the parts of the schema times those of the value.

use std::collections::HashMap;

use serde_json::Value as Json;

/// The most bytes of a schema.
const MAX_BYTES: usize = 16 * 1024;

/// The most parts of a schema whose references are replaced by what they refer to.
const MAX_PARTS: u64 = 10_000;

/// The most patterns of a schema: each of them takes memory when it is compiled.
const MAX_PATTERNS: usize = 16;

/// The only dialect.
const DIALECT: &str = "https://json-schema.org/draft/2020-12/schema";

/// Where a schema may keep what it refers to.
const DEFINITIONS: &str = "#/$defs/";

/// Keywords that change what others refer to, or that check parts of a value again for each schema around them.
const REFUSED: [&str; 9] = [
    "$anchor",
    "$dynamicAnchor",
    "$dynamicRef",
    "$id",
    "$recursiveAnchor",
    "$recursiveRef",
    "$vocabulary",
    "unevaluatedItems",
    "unevaluatedProperties",
];

/// Checks the bounds of a schema. A reference may lead to one of the schema's own `$defs`, but not in a circle. Returns
/// the number of its patterns.
///
/// # Errors
/// What is wrong with it.
pub(super) fn check(schema: &Json) -> Result<usize, String> {
    let bytes = schema.to_string().len();
    if bytes > MAX_BYTES {
        return Err(format!("has {bytes} bytes, at most {MAX_BYTES} are allowed"));
    }
    let definitions = schema.get("$defs");
    let dialect = schema.get("$schema");
    if dialect.is_some_and(|dialect| dialect != DIALECT) {
        return Err(format!("has a $schema other than {DIALECT}"));
    }
    let mut unfolding = Unfolding { definitions, known: HashMap::new(), patterns: 0 };
    let parts = unfolding.parts(schema)?;
    if unfolding.patterns > MAX_PATTERNS {
        return Err(format!("has more than {MAX_PATTERNS} patterns"));
    }
    if parts > MAX_PARTS {
        return Err(format!("has more than {MAX_PARTS} parts when its references are followed"));
    }
    Ok(unfolding.patterns)
}

/// Counts parts, those of each definition once.
struct Unfolding<'s> {
    definitions: Option<&'s Json>,
    /// The number of parts; `None` while they are counted.
    known: HashMap<&'s str, Option<u64>>,
    patterns: usize,
}

impl<'s> Unfolding<'s> {
    /// The depth of a stored value is bounded, and each definition is entered once.
    fn parts(&mut self, schema: &'s Json) -> Result<u64, String> {
        let mut parts = 1_u64;
        match schema {
            Json::Array(elements) => {
                for element in elements {
                    parts = parts.saturating_add(self.parts(element)?);
                }
            }
            Json::Object(fields) => {
                for (name, part) in fields {
                    if REFUSED.contains(&name.as_str()) {
                        return Err(format!("has {name}, which cannot be used here"));
                    }
                    self.patterns += match (name.as_str(), part) {
                        ("pattern", Json::String(_)) => 1,
                        ("patternProperties", Json::Object(patterns)) => patterns.len(),
                        _ => 0,
                    };
                    let more = match (name.as_str(), part) {
                        ("$ref", Json::String(reference)) => self.referred(reference)?,
                        (_, part) => self.parts(part)?,
                    };
                    parts = parts.saturating_add(more);
                }
            }
            _ => {}
        }
        Ok(parts)
    }

    fn referred(&mut self, reference: &'s str) -> Result<u64, String> {
        let name = reference.strip_prefix(DEFINITIONS).filter(|name| !name.contains(['/', '~', '%']));
        let definition = name.and_then(|name| Some((name, self.definitions?.get(name)?)));
        let Some((name, definition)) = definition else {
            return Err(format!("refers to {reference}: a reference must be to one of its own {DEFINITIONS}NAME"));
        };
        match self.known.get(name) {
            Some(Some(parts)) => return Ok(*parts),
            Some(None) => return Err(format!("refers to {reference} in a circle")),
            None => {}
        }
        self.known.insert(name, None);
        let parts = self.parts(definition)?;
        self.known.insert(name, Some(parts));
        Ok(parts)
    }
}
