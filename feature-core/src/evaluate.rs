//! Evaluation of a defined feature: the walk over the levels, from the most specific to the least, until one decides.
//!
//! One function gives the value and the reasons, so that an explanation cannot differ from what a read answers.

use crate::definition::Definition;
use crate::scope::Level;
use crate::value::Value;

/// What a level has to do with a feature's value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LevelOutcome {
    /// It sets the value.
    Wins,
    /// It sets a value, and a more specific level wins.
    Shadowed,
    /// It sets nothing.
    Unset,
    /// It sets a value, but the definition does not let this level do so any more.
    NotAllowed,
    /// It sets a value that breaks the definition as it is now.
    InvalidIgnored,
}

/// The value of a feature in a scope.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Evaluation<'a> {
    /// The value.
    pub value: &'a Value,
    /// The level that sets it; `None` for the default of the definition.
    pub source: Option<Level>,
}

/// Evaluates a feature.
///
/// * `entries`: what each level of the scope sets, from the least specific level to the most specific.
/// * `is_valid`: whether a value keeps the definition's constraints.
/// * `trace`: gets the outcome of each level, from the most specific to the least.
///
/// `None` for a feature that is not in use: it has no value.
pub fn evaluate<'a>(
    definition: &'a Definition,
    entries: &[(Level, Option<&'a Value>)],
    is_valid: impl Fn(&Value) -> bool,
    mut trace: impl FnMut(Level, LevelOutcome),
) -> Option<Evaluation<'a>> {
    if !definition.is_in_use() {
        return None;
    }
    let mut decided = None;
    for (level, entry) in entries.iter().rev() {
        let outcome = match entry {
            None => LevelOutcome::Unset,
            Some(_) if !definition.may_be_set_on(*level) => LevelOutcome::NotAllowed,
            Some(value) if !is_valid(value) => LevelOutcome::InvalidIgnored,
            Some(_) if decided.is_some() => LevelOutcome::Shadowed,
            Some(value) => {
                decided = Some(Evaluation { value, source: Some(*level) });
                LevelOutcome::Wins
            }
        };
        trace(*level, outcome);
    }
    Some(decided.unwrap_or(Evaluation { value: &definition.default_value, source: None }))
}
