//! The view of a scope: what it sets, what it inherits, and the features that are in force there for a caller.

use std::collections::BTreeMap;
use std::sync::Arc;

use feature_api::feature::v1::{ResolvedValue, Settings, ValueSource};
use feature_auth::access::Caller;
use feature_core::{Evaluation, Level, LevelOutcome, OrganizationId, Record, Scope, Value, Visibility, evaluate};

use super::{ANSWER_MAX_BYTES, FeatureFilter, without_values};
use crate::error::{Failure, OwnFeatureFailure};
use crate::services::backend::Backend;
use crate::services::catalogue::{Catalogues, Feature, InForce, memory_bytes};
use crate::services::request::moment::At;
use crate::services::request::resource::Resource;
use crate::services::response_cache::Basis;

/// What is known of a scope.
pub(in crate::services) struct View {
    /// The scopes of all levels that count, from the least specific one to the scope itself, with their records.
    pub(super) levels: Vec<(Scope, Record)>,
    pub(super) features: InForce,
    /// The organization of the scope, or the one that a user is read through.
    pub(super) organization: Option<OrganizationId>,
    /// Whether inherited values count.
    inheritance: bool,
    /// Whether the caller sees features that are for servers only.
    by_role: bool,
    catalogues: Arc<Catalogues>,
}

impl View {
    /// Reads the view of a resource, now or as of a revision.
    ///
    /// # Errors
    /// Those of the store, and of [`Resource::reads_through`].
    pub(in crate::services) fn read(
        backend: &Backend,
        caller: &Caller,
        resource: &Resource,
        inheritance: bool,
        at: &At<'_>,
        basis: &mut Basis,
    ) -> Result<Self, Failure> {
        let scope = resource.scope();
        // The right on a user is that of today.
        let own = backend.record(scope, basis)?;
        let organization = resource.reads_through(own.organization.as_ref())?;
        let own_organization = match scope {
            Scope::Organization(_, organization) => Some(organization),
            _ => organization.as_ref(),
        };
        if at.is_past() {
            caller.demand_history(scope, own_organization)?;
        }
        let revision = at.revision(backend)?;
        let own = if at.is_past() { backend.record_at(scope, revision, basis)? } else { own };
        let mut levels = Vec::with_capacity(4);
        if inheritance {
            for parent in scope.parents(organization.as_ref()) {
                let record = backend.record_at(&parent, revision, basis)?;
                levels.push((parent, record));
            }
        }
        levels.push((scope.clone(), own));
        let organization = own_organization.cloned();
        let by_role = caller.reads_by_role(scope, organization.as_ref());
        let features = backend.catalogues.in_force_at(&*backend.log, scope.instance(), revision, basis)?;
        at.check_kept(backend)?;
        Ok(Self { levels, features, organization, inheritance, by_role, catalogues: Arc::clone(&backend.catalogues) })
    }

    /// The settings with the values of these features, or of all if there are none.
    ///
    /// `budget`: the bytes that are left for values.
    ///
    /// # Errors
    /// [`OwnFeatureFailure`] when one of these features does not exist, or is archived, or when the budget is used up.
    pub(super) fn settings(&self, keys: &[String], budget: &mut usize) -> Result<Settings, Failure> {
        let (scope, own) = self.own();
        let mut values = BTreeMap::new();
        let mut add = |feature: &Feature| {
            let evaluated = if self.inheritance {
                self.evaluate(feature, true, |_, _| {})
            } else {
                let value = own.layer.get(feature.key.as_str());
                value.map(|value| Evaluation { value, source: Some(scope.level()) })
            };
            let Some(evaluated) = evaluated else { return Ok(()) };
            let bytes = feature.key.as_str().len() + memory_bytes(evaluated.value);
            let too_large = OwnFeatureFailure::AnswerTooLarge { max: ANSWER_MAX_BYTES };
            *budget = budget.checked_sub(bytes).ok_or(too_large)?;
            values.insert(feature.key.to_string(), self.resolved(feature, &evaluated));
            Ok::<_, Failure>(())
        };
        match (keys, self.inheritance) {
            ([], true) => {
                let features = self.features.features();
                let mut shown =
                    features.into_values().filter(|feature| self.shows(feature) && feature.definition.is_in_use());
                shown.try_for_each(|feature| add(feature))?;
            }
            // Most scopes set a few of very many features.
            ([], false) => {
                let set = own.layer.iter().filter_map(|(key, _)| self.features.find(key.as_str()));
                let mut shown = set.filter(|feature| self.shows(feature) && feature.definition.is_in_use());
                shown.try_for_each(|feature| add(feature))?;
            }
            (keys, _) => {
                for key in keys {
                    add(self.feature(key)?)?;
                }
            }
        }
        let details = own.details(scope, None);
        Ok(Settings { values, ..without_values(scope, &details) })
    }

    /// The values of the features that a filter chooses, with inheritance. One that is not in use has none.
    pub(in crate::services) fn values(&self, filter: &FeatureFilter) -> BTreeMap<String, ResolvedValue> {
        let value = |feature: &Arc<Feature>| {
            let evaluated = self.evaluate(feature, true, |_, _| {})?;
            Some((feature.key.to_string(), self.resolved(feature, &evaluated)))
        };
        let chosen = filter.choose(&self.features);
        chosen.filter(|it| self.shows(it) && it.definition.is_in_use()).filter_map(value).collect()
    }

    /// The feature with this key.
    ///
    /// # Errors
    /// [`OwnFeatureFailure`] when there is none for this caller, or it is archived.
    pub(super) fn feature(&self, key: &str) -> Result<&Arc<Feature>, OwnFeatureFailure> {
        let feature = self.features.find(key).filter(|feature| self.shows(feature));
        let feature = feature.ok_or_else(|| OwnFeatureFailure::Unknown(key.chars().take(128).collect()))?;
        if feature.definition.is_in_use() {
            Ok(feature)
        } else {
            Err(OwnFeatureFailure::NotRead(feature.key.to_string()))
        }
    }

    /// The value of a feature, with inheritance.
    ///
    /// * `with_own`: whether what the scope itself sets counts.
    /// * `trace`: gets the outcome of each level, from the most specific one on.
    pub(super) fn evaluate<'v>(
        &'v self,
        feature: &'v Feature,
        with_own: bool,
        trace: impl FnMut(Level, LevelOutcome),
    ) -> Option<Evaluation<'v>> {
        let own = self.own().0.level();
        let entry = |(scope, record): &'v (Scope, Record)| -> (Level, Option<&'v Value>) {
            let level = scope.level();
            let counts = with_own || level != own;
            (level, record.layer.get(feature.key.as_str()).filter(|_| counts))
        };
        let counts = |(scope, _): &&(Scope, Record)| scope.level() >= feature.level();
        let entries: Vec<_> = self.levels.iter().filter(counts).map(entry).collect();
        let is_valid = |value: &Value| feature.keeps(value, &self.catalogues.engines);
        evaluate(&feature.definition, &entries, is_valid, trace)
    }

    /// A value of this view as a message.
    pub(super) fn resolved(&self, feature: &Feature, evaluated: &Evaluation<'_>) -> ResolvedValue {
        let level = |level| self.levels.iter().find(|(scope, _)| scope.level() == level);
        let revision = evaluated.source.and_then(level).and_then(|(_, record)| record.revisions.get(&feature.key));
        let source = match evaluated.source {
            None => ValueSource::Default,
            Some(Level::System) => ValueSource::System,
            Some(Level::Instance) => ValueSource::Instance,
            Some(Level::Organization) => ValueSource::Organization,
            Some(Level::User) => ValueSource::User,
        };
        ResolvedValue {
            value: Some(feature.answer(evaluated.value)),
            source: source.into(),
            variant: feature.variant(evaluated.value).unwrap_or_default().to_owned(),
            revision: revision.copied().unwrap_or_default(),
        }
    }

    fn own(&self) -> &(Scope, Record) {
        self.levels.last().expect("the scope itself is always there")
    }

    /// Whether the caller may see the feature.
    fn shows(&self, feature: &Feature) -> bool {
        self.by_role || feature.definition.visibility == Visibility::Client
    }
}
