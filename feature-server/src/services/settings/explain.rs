//! Explains the value of a feature: what each level has to do with it. The evaluator is that of the reads, so an
//! explanation cannot differ from what a read answers.

use feature_api::feature::v1::{Explanation, Level as LevelName, LevelExplanation, Outcome};
use feature_api::{resource_name, response};
use feature_core::LevelOutcome;

use super::view::View;
use crate::error::Failure;

impl View {
    /// Explains the value of a feature.
    ///
    /// # Errors
    /// As for [`View::feature`].
    pub(super) fn explain(&self, key: &str) -> Result<Explanation, Failure> {
        let feature = self.feature(key)?;
        let mut levels = Vec::with_capacity(self.levels.len());
        let evaluated = self.evaluate(feature, true, |level, outcome| {
            let of_level = self.levels.iter().find(|(scope, _)| scope.level() == level);
            let (scope, record) = of_level.expect("only levels of the view are evaluated");
            let value = record.layer.get(feature.key.as_str());
            levels.push(LevelExplanation {
                level: LevelName::from(level).into(),
                settings: resource_name::of_settings(scope).unwrap_or_default(),
                value: value.map(|value| feature.answer(value)),
                outcome: outcome_name(outcome).into(),
                update_time: record.changed.map(response::timestamp),
                revision: record.revisions.get(&feature.key).copied().unwrap_or_default(),
            });
        });
        let without_own = self.evaluate(feature, false, |_, _| {});
        Ok(Explanation {
            definition: Some(feature.message()),
            levels,
            result: evaluated.map(|evaluated| self.resolved(feature, &evaluated)),
            without_this_level: without_own.map(|evaluated| self.resolved(feature, &evaluated)),
        })
    }
}

fn outcome_name(outcome: LevelOutcome) -> Outcome {
    match outcome {
        LevelOutcome::Wins => Outcome::Wins,
        LevelOutcome::Shadowed => Outcome::Shadowed,
        LevelOutcome::Unset => Outcome::Unset,
        LevelOutcome::NotAllowed => Outcome::NotAllowed,
        LevelOutcome::InvalidIgnored => Outcome::InvalidIgnored,
    }
}
