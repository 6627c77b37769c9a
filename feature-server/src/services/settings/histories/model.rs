//! The naive model: definitions and values in plain maps, and the rules of docs/own-features.md spelled out.

use std::collections::BTreeMap;

use feature_api::feature::v1::{Level, Violations};

use super::Change;

/// Two features, one of them in two spellings.
pub(super) const KEYS: [&str; 3] = ["a", "Limits.b", "limits.B"];

/// The scopes, in the order of lists.
pub(super) const SCOPES: [&str; 5] = [
    "system/settings",
    "instances/demo/settings",
    "instances/demo/organizations/acme/settings",
    "instances/demo/organizations/other/settings",
    "instances/demo/users/ann/settings",
];

const LEVELS: [Level; 5] = [Level::System, Level::Instance, Level::Organization, Level::Organization, Level::User];

const SOURCES: [&str; 5] = [
    "VALUE_SOURCE_SYSTEM",
    "VALUE_SOURCE_INSTANCE",
    "VALUE_SOURCE_ORGANIZATION",
    "VALUE_SOURCE_ORGANIZATION",
    "VALUE_SOURCE_USER",
];

/// What a feature is in a scope.
#[derive(Debug, PartialEq)]
pub(super) struct Shown {
    pub(super) value: Option<(i64, &'static str)>,
    pub(super) without: Option<(i64, &'static str)>,
    pub(super) outcomes: Vec<&'static str>,
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum State {
    Active,
    Deprecated,
    Archived,
    Deleted,
}

#[derive(Debug, Clone)]
struct Definition {
    of_system: bool,
    default: i64,
    minimum: Option<i64>,
    levels: Vec<Level>,
    state: State,
}

/// Everything that was defined and set, by the keys in lower case.
#[derive(Debug, Default, Clone)]
pub(super) struct Model {
    definitions: BTreeMap<String, Definition>,
    values: Values,
}

/// By the place of the scope and the key.
type Values = BTreeMap<(usize, String), i64>;

type Outcome = Result<(), String>;

fn refused<T>(reason: &str) -> Result<T, String> {
    Err(reason.to_owned())
}

impl Model {
    pub(super) fn change(&mut self, change: &Change) -> Outcome {
        match change {
            Change::Create { parent, key, default, minimum } => self.create(parent, key, *default, *minimum),
            Change::Default { name, default } => {
                let definition = self.updatable(name)?;
                if definition.minimum.is_some_and(|minimum| *default < minimum) {
                    return refused("FIELD_INVALID");
                }
                definition.default = *default;
                Ok(())
            }
            Change::Minimum { name, minimum, violations } => self.set_minimum(name, *minimum, *violations),
            Change::Levels { name, levels } => {
                let definition = self.updatable(name)?;
                if !definition.of_system && levels.contains(&Level::System) {
                    return refused("FIELD_INVALID");
                }
                definition.levels.clone_from(levels);
                Ok(())
            }
            Change::State { name, verb } => {
                let definition = self.named(name)?;
                definition.state = next(verb, definition.state)?;
                Ok(())
            }
            Change::Set { scope, set, unset, replace_all } => self.set(*scope, set, unset, *replace_all),
            Change::Both { set: [(a, k, x), (b, l, y)] } => {
                let one = self.checked(*a, &[(k, *x)]);
                let other = self.checked(*b, &[(l, *y)]);
                let values: Vec<_> = one?.into_iter().chain(other?).collect();
                if a == b {
                    return refused("FIELD_INVALID");
                }
                self.values.extend(values);
                Ok(())
            }
            Change::Reset { scope } => {
                self.values.retain(|(of, _), _| of != scope);
                Ok(())
            }
        }
    }

    fn create(&mut self, parent: &str, key: &str, default: i64, minimum: Option<i64>) -> Outcome {
        if self.definitions.contains_key(&key.to_lowercase()) {
            return refused("FEATURE_EXISTS");
        }
        if minimum.is_some_and(|minimum| default < minimum) {
            return refused("FIELD_INVALID");
        }
        let of_system = parent.is_empty();
        let definition = Definition { of_system, default, minimum, levels: Vec::new(), state: State::Active };
        self.definitions.insert(key.to_lowercase(), definition);
        Ok(())
    }

    fn set_minimum(&mut self, name: &str, minimum: Option<i64>, violations: Violations) -> Outcome {
        let definition = self.updatable(name)?;
        if minimum.is_some_and(|minimum| definition.default < minimum) {
            return refused("FIELD_INVALID");
        }
        let is_tighter = minimum > definition.minimum;
        let key = key_of(name);
        let breaks = |of: &String, value: i64| *of == key && minimum.is_some_and(|minimum| value < minimum);
        let broken = is_tighter && self.values.iter().any(|((_, of), value)| breaks(of, *value));
        match violations {
            Violations::Keep => {}
            Violations::Unset if is_tighter => self.values.retain(|(_, of), value| !breaks(of, *value)),
            _ if broken => return refused("VALUES_VIOLATE"),
            _ => {}
        }
        self.named(name)?.minimum = minimum;
        Ok(())
    }

    fn set(&mut self, scope: usize, set: &[(&str, i64)], unset: &[&str], replace_all: bool) -> Outcome {
        // A map has each key once, and the last value of it.
        let set: Vec<_> = set.iter().copied().collect::<BTreeMap<_, _>>().into_iter().collect();
        let mut values = self.checked(scope, &set);
        for key in unset {
            let is_set = set.iter().any(|(other, _)| other.eq_ignore_ascii_case(key));
            let is_known = self.in_force(scope, &key.to_lowercase()).is_some();
            // A refusal for an archived feature comes first.
            if values.as_ref().err().is_none_or(|reason| reason == "FIELD_INVALID") && (is_set || !is_known) {
                values = refused("FIELD_INVALID");
            }
        }
        let values = values?;
        if set.is_empty() && unset.is_empty() && !replace_all {
            return refused("FIELD_INVALID");
        }
        let is_unset = |key: &String| {
            let is_in_use = || self.in_force(scope, key).is_some_and(Definition::is_in_use);
            unset.iter().any(|unset| unset.to_lowercase() == *key) || (replace_all && is_in_use())
        };
        let mut kept = self.values.clone();
        kept.retain(|(of, key), _| *of != scope || !is_unset(key));
        self.values = kept;
        self.values.extend(values);
        Ok(())
    }

    /// The values to set, if all of them may be set.
    fn checked(&self, scope: usize, set: &[(&str, i64)]) -> Result<Values, String> {
        let mut values = BTreeMap::new();
        let mut is_invalid = false;
        for (key, value) in set {
            let Some(definition) = self.in_force(scope, &key.to_lowercase()) else {
                is_invalid = true;
                continue;
            };
            if !definition.is_in_use() {
                return refused("FEATURE_ARCHIVED");
            }
            let is_again = values.insert((scope, key.to_lowercase()), *value).is_some();
            is_invalid |= is_again || !definition.lets(scope) || !definition.keeps(*value);
        }
        if is_invalid { refused("FIELD_INVALID") } else { Ok(values) }
    }

    /// The definition of a key that is in force in a scope.
    fn in_force(&self, scope: usize, key: &str) -> Option<&Definition> {
        self.definitions.get(key).filter(|definition| definition.of_system || scope > 0)
    }

    /// The definition with this name.
    fn named(&mut self, name: &str) -> Result<&mut Definition, String> {
        let of_system = name.starts_with("features/");
        match self.definitions.get_mut(&key_of(name)) {
            Some(definition) if definition.of_system == of_system => Ok(definition),
            _ => refused("FEATURE_UNKNOWN"),
        }
    }

    fn updatable(&mut self, name: &str) -> Result<&mut Definition, String> {
        let definition = self.named(name)?;
        if definition.state == State::Deleted { refused("FEATURE_DELETED") } else { Ok(definition) }
    }

    pub(super) fn shown(&self, scope: usize, key: &str) -> Result<Shown, String> {
        let key = key.to_lowercase();
        let Some(definition) = self.in_force(scope, &key) else { return refused("FEATURE_UNKNOWN") };
        if !definition.is_in_use() {
            return refused("FEATURE_ARCHIVED");
        }
        // From the scope up to who defines the feature. The user's organization is not known.
        let up: &[usize] = [&[0][..], &[1, 0], &[2, 1, 0], &[3, 1, 0], &[4, 1, 0]][scope];
        let mut shown = Shown { value: None, without: None, outcomes: Vec::new() };
        for at in up.iter().copied().filter(|at| definition.of_system || *at > 0) {
            let Some(value) = self.values.get(&(at, key.clone())).copied() else {
                shown.outcomes.push("OUTCOME_UNSET");
                continue;
            };
            let found = (value, SOURCES[at]);
            shown.outcomes.push(if !definition.lets(at) {
                "OUTCOME_NOT_ALLOWED"
            } else if !definition.keeps(value) {
                "OUTCOME_INVALID_IGNORED"
            } else {
                if at != scope {
                    shown.without.get_or_insert(found);
                }
                if shown.value.is_some() { "OUTCOME_SHADOWED" } else { "OUTCOME_WINS" }
            });
            if shown.outcomes.last() == Some(&"OUTCOME_WINS") {
                shown.value = Some(found);
            }
        }
        let default = (definition.default, "VALUE_SOURCE_DEFAULT");
        shown.value.get_or_insert(default);
        shown.without.get_or_insert(default);
        Ok(shown)
    }

    /// The scopes that set a feature, with their values and whether they count.
    pub(super) fn overrides(&self, of_system: bool, key: &str) -> Result<Vec<(String, i64, bool)>, String> {
        let key = key.to_lowercase();
        let definition = self.definitions.get(&key).filter(|definition| definition.of_system || !of_system);
        let Some(definition) = definition else { return refused("FEATURE_UNKNOWN") };
        let values = self.values.iter().filter(|((scope, of), _)| *of == key && (of_system || *scope > 0));
        Ok(values
            .map(|((scope, _), value)| (SCOPES[*scope].to_owned(), *value, definition.counts(*scope, *value)))
            .collect())
    }
}

impl Definition {
    fn is_in_use(&self) -> bool {
        matches!(self.state, State::Active | State::Deprecated)
    }

    fn counts(&self, scope: usize, value: i64) -> bool {
        self.is_in_use() && self.lets(scope) && self.keeps(value)
    }

    fn lets(&self, scope: usize) -> bool {
        (self.of_system || scope > 0) && (self.levels.is_empty() || self.levels.contains(&LEVELS[scope]))
    }

    fn keeps(&self, value: i64) -> bool {
        self.minimum.is_none_or(|minimum| value >= minimum)
    }
}

fn key_of(name: &str) -> String {
    name.rsplit('/').next().unwrap_or_default().to_lowercase()
}

fn next(verb: &str, state: State) -> Result<State, String> {
    use State::{Active, Archived, Deleted, Deprecated};
    Ok(match (verb, state) {
        ("Delete", Active | Deprecated) => return refused("FEATURE_NOT_ARCHIVED"),
        ("Delete", Archived | Deleted) => Deleted,
        ("Undelete", Deleted) => Archived,
        ("Undelete", state) => state,
        (_, Deleted) => return refused("FEATURE_DELETED"),
        ("Archive", _) => Archived,
        ("Unarchive", Archived) => Active,
        ("Unarchive", state) => state,
        (_, Archived) => return refused("FEATURE_ARCHIVED"),
        ("Deprecate", _) => Deprecated,
        _ => Active,
    })
}
