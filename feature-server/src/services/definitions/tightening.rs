//! Values that break the constraints of a changed definition.

use feature_api::resource_name;
use feature_core::{Definition, FeatureKey, Layer, Level, Patch, Scope, Value};
use feature_store::{FeatureStore, Selected, Selection, check_value};

use super::change::Unset;
use crate::error::{Failure, OwnFeatureFailure};
use crate::services::backend::Backend;
use crate::services::catalogue::{Engine, Feature};

/// The most values that are looked at, and their bytes: this takes a thread that other reads need.
const VALUES_MAX: usize = 100_000;
const VALUES_MAX_BYTES: usize = 16 * 1024 * 1024;

/// The most values that are unset together with a change of constraints.
const UNSET_MAX: usize = 10_000;

/// So many records are read at once.
const READ_AT_ONCE: usize = 500;

/// The most scopes that an error names.
const NAMED_MAX: usize = 10;

/// The scopes whose values of a feature break a new definition of it.
pub(super) struct Breaking {
    scopes: Vec<(Scope, u64)>,
    feature: FeatureKey,
}

impl Breaking {
    /// Looks at every value of the feature. Values that are set meanwhile are not among them.
    ///
    /// # Errors
    /// [`OwnFeatureFailure::LimitReached`] when there are too many values, and those of the store.
    pub(super) fn find(
        backend: &Backend,
        feature: &Feature,
        definition: &Definition,
        engine: &Engine,
    ) -> Result<Self, Failure> {
        let breaks = |value: &Value| !definition.violations(value).is_empty() || !engine.violations(value).is_empty();
        let (mut scopes, mut seen, mut bytes) = (Vec::new(), 0, 0);
        for level in Level::ALL.into_iter().filter(|level| *level >= feature.level()) {
            let selection =
                Selection::Settings { level, instance: feature.owner.instance(), feature: Some(&feature.key) };
            let mut after = None;
            loop {
                let Selected { records, next_after } = backend.store.select(selection, after.as_ref(), READ_AT_ONCE)?;
                for (scope, record) in records {
                    let Some(value) = record.layer.get(feature.key.as_str()) else { continue };
                    seen += 1;
                    bytes += check_value(&feature.key, value)?;
                    let limits = [
                        ("the number of values to check, which VIOLATIONS_KEEP leaves unchecked,", seen, VALUES_MAX),
                        (
                            "the bytes of values to check, which VIOLATIONS_KEEP leaves unchecked,",
                            bytes,
                            VALUES_MAX_BYTES,
                        ),
                    ];
                    if let Some((what, _, max)) = limits.into_iter().find(|(_, now, max)| now > max) {
                        return Err(OwnFeatureFailure::LimitReached { what, max }.into());
                    }
                    if breaks(value) {
                        scopes.push((scope, record.sequence));
                    }
                }
                after = next_after;
                if after.is_none() {
                    break;
                }
            }
        }
        Ok(Self { scopes, feature: feature.key.clone() })
    }

    /// # Errors
    /// [`OwnFeatureFailure::ValuesViolate`] if there is a scope.
    pub(super) fn refuse(&self) -> Result<(), OwnFeatureFailure> {
        let names = self.scopes.iter().take(NAMED_MAX).filter_map(|(scope, _)| resource_name::of_settings(scope));
        let named = names.collect::<Vec<_>>().join(", ");
        let count = self.scopes.len();
        if count == 0 { Ok(()) } else { Err(OwnFeatureFailure::ValuesViolate { count, named }) }
    }

    /// What unsets the values.
    ///
    /// # Errors
    /// [`OwnFeatureFailure::LimitReached`] if there are too many.
    pub(super) fn unset(self) -> Result<Vec<Unset>, OwnFeatureFailure> {
        if self.scopes.len() > UNSET_MAX {
            return Err(OwnFeatureFailure::LimitReached { what: "the number of values to unset", max: UNSET_MAX });
        }
        let patch = Patch::exact(&Layer::default(), &[self.feature]);
        Ok(self.scopes.into_iter().map(|(scope, sequence)| Unset { scope, sequence, patch: patch.clone() }).collect())
    }
}
