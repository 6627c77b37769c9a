//! Calls that change something, at random.

use feature_api::feature::v1::{Level, Violations};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::{select, subsequence};

use super::model::{KEYS, SCOPES};

/// A call that changes something.
#[derive(Debug, Clone)]
pub(super) enum Change {
    Create { parent: &'static str, key: &'static str, default: i64, minimum: Option<i64> },
    Default { name: String, default: i64 },
    Minimum { name: String, minimum: Option<i64>, violations: Violations },
    Levels { name: String, levels: Vec<Level> },
    State { name: String, verb: &'static str },
    Set { scope: usize, set: Vec<(&'static str, i64)>, unset: Vec<&'static str>, replace_all: bool },
    Both { set: [(usize, &'static str, i64); 2] },
    Reset { scope: usize },
}

/// Any of them.
pub(super) fn change() -> impl Strategy<Value = Change> {
    let parent = || select(vec!["", "instances/demo"]);
    let key = || select(KEYS.to_vec());
    let name = || {
        (parent(), key()).prop_map(|(parent, key)| match parent {
            "" => format!("features/{key}"),
            parent => format!("{parent}/features/{key}"),
        })
    };
    let (value, scope) = (|| 0..4_i64, || 0..SCOPES.len());
    let minimum = || prop::option::of(0..3_i64);
    let verbs = ["Deprecate", "Undeprecate", "Archive", "Unarchive", "Delete", "Undelete"];
    let violations = vec![Violations::Unspecified, Violations::Keep, Violations::Unset];
    let levels = vec![Level::System, Level::Instance, Level::Organization, Level::User];
    prop_oneof![
        3 => (parent(), key(), value(), minimum())
            .prop_map(|(parent, key, default, minimum)| Change::Create { parent, key, default, minimum }),
        1 => (name(), value()).prop_map(|(name, default)| Change::Default { name, default }),
        2 => (name(), minimum(), select(violations))
            .prop_map(|(name, minimum, violations)| Change::Minimum { name, minimum, violations }),
        1 => (name(), subsequence(levels, 0..=4)).prop_map(|(name, levels)| Change::Levels { name, levels }),
        3 => (name(), select(verbs.to_vec())).prop_map(|(name, verb)| Change::State { name, verb }),
        8 => (scope(), vec((key(), value()), 0..3), vec(key(), 0..2), prop::bool::weighted(0.2))
            .prop_map(|(scope, set, unset, replace_all)| Change::Set { scope, set, unset, replace_all }),
        1 => (scope(), key(), value(), scope(), key(), value())
            .prop_map(|(a, k, x, b, l, y)| Change::Both { set: [(a, k, x), (b, l, y)] }),
        1 => scope().prop_map(|scope| Change::Reset { scope }),
    ]
}
