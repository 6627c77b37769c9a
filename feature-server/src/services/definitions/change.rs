//! Changes of definitions: new ones, new fields, and new states.

use std::sync::Arc;

use feature_api::definition as message;
use feature_api::feature::v1::{
    ArchiveFeatureDefinitionRequest, CreateFeatureDefinitionRequest, FeatureDefinition, UpdateFeatureDefinitionRequest,
};
use feature_api::resource_name;
use feature_core::{
    InstanceId, Layer, Level, Operation, OwnKey, Patch, Placement, Record, Rejection, Requirement, Scope, State, Value,
    Write,
};
use feature_store::CommitError;

use super::checks::{check, check_free, patch};
use super::{DefinitionService, find, named};
use crate::error::{Failure, OwnFeatureFailure};
use crate::services::backend::{ATTEMPTS, Backend, Call};
use crate::services::catalogue::{self, Feature, Owner, etag};
use crate::services::resource::owner;
use crate::services::response_cache::Basis;

/// A change that is ready to be written.
struct Prepared {
    owner: Option<InstanceId>,
    /// The feature as it is now, built-in or defined; `None` for a new one.
    feature: Option<Arc<Feature>>,
    record: Record,
    scope: Scope,
    patch: Patch,
    requires: Vec<Requirement>,
}

impl DefinitionService {
    pub(super) async fn create(&self, call: Call<'_>) -> Result<FeatureDefinition, Failure> {
        let request: CreateFeatureDefinitionRequest = call.request()?;
        let wrong = |field: &str, error: String| Failure::field(field, error);
        let parent = resource_name::parent(&request.parent).map_err(|error| wrong("parent", error.to_string()))?;
        let owner = owner(call.caller, parent.as_ref())?;
        let key = OwnKey::new(&request.feature_definition_id);
        let key = key.map_err(|error| wrong("feature_definition_id", error.to_string()))?;
        let definition = request.feature_definition.unwrap_or_default();
        let change = message::read(&definition, message::value_type(&definition)?, None)?;
        let entries = change.set.iter().map(|(key, value)| (key.clone(), value.clone()));
        let spelling = ("key".into(), Value::Text(key.to_string()));
        let layer: Layer = entries.chain([spelling]).collect();
        let prepare = move |backend: &Backend, basis: &mut Basis| {
            let requires = check_free(backend, owner.as_ref(), &key, basis)?;
            let scope = catalogue::scope(owner.as_ref(), &key);
            let record = backend.record(&scope, basis)?;
            if !record.layer.is_empty() {
                // A newer version of the server has defined it.
                return Err(OwnFeatureFailure::Exists("a definition that this server cannot read".to_owned()).into());
            }
            check(&layer, level_of(owner.as_ref()))?;
            let patch = Patch::exact(&layer, &[]);
            Ok(Prepared { owner: owner.clone(), feature: None, record, scope, patch, requires })
        };
        self.commit(call, prepare, "", request.validate_only, request.comment).await
    }

    pub(super) async fn update(&self, call: Call<'_>) -> Result<FeatureDefinition, Failure> {
        let request: UpdateFeatureDefinitionRequest = call.request()?;
        let definition = request.feature_definition.unwrap_or_default();
        let (owner, key) = named(call.caller, "feature_definition.name", &definition.name)?;
        let (mask, given) = (request.update_mask.map(|mask| mask.paths), definition.etag.clone());
        let prepare = move |backend: &Backend, basis: &mut Basis| {
            let feature = find(backend, owner.as_ref(), &key, basis)?;
            let change = message::read(&definition, feature.definition.value_type, mask.as_deref())?;
            let patch = patch(&feature, &change)?;
            Ok(Prepared::of(owner.clone(), feature, patch))
        };
        self.commit(call, prepare, &given, request.validate_only, request.comment).await
    }

    /// Deprecates, archives, and the reverse. The requests of all of them have the same fields.
    pub(super) async fn change_state(&self, call: Call<'_>) -> Result<FeatureDefinition, Failure> {
        let method = call.name().to_owned();
        let request: ArchiveFeatureDefinitionRequest = call.request()?;
        let (owner, key) = named(call.caller, "name", &request.name)?;
        let prepare = move |backend: &Backend, basis: &mut Basis| {
            let feature = find(backend, owner.as_ref(), &key, basis)?;
            if feature.owner == Owner::BuiltIn {
                return Err(Failure::field("name", "is a built-in feature, which has no states"));
            }
            let state = next_state(&method, feature.definition.state)
                .ok_or_else(|| OwnFeatureFailure::NotWritten(feature.key.to_string()))?;
            let patch = match message::stored_state(state) {
                Some(value) => Patch::exact(&[(message::STATE.into(), value)].into_iter().collect(), &[]),
                None => Patch::exact(&Layer::default(), &[message::STATE.into()]),
            };
            Ok(Prepared::of(owner.clone(), feature, patch))
        };
        self.commit(call, prepare, &request.etag, request.validate_only, request.comment).await
    }

    /// Commits a change of the definition as it was read; when another one comes meanwhile, the change is prepared
    /// again.
    ///
    /// `given`: the etag of the request.
    async fn commit(
        &self,
        call: Call<'_>,
        prepare: impl Fn(&Backend, &mut Basis) -> Result<Prepared, Failure> + Clone + Send + 'static,
        given: &str,
        validate_only: bool,
        comment: String,
    ) -> Result<FeatureDefinition, Failure> {
        let expected = catalogue::sequence_of(given);
        let expected = expected.ok_or_else(|| Failure::field("etag", "must be an etag from an answer"))?;
        for _ in 0..ATTEMPTS {
            let prepare = prepare.clone();
            let (Prepared { owner, feature, record, scope, patch, requires }, _) =
                self.backend.read(call.context, move |backend, basis| prepare(backend, basis)).await?;
            if expected.is_some_and(|expected| expected != record.sequence) {
                let current = etag(record.sequence);
                return Err(OwnFeatureFailure::EtagMismatch { field: "etag".to_owned(), current }.into());
            }
            let mut after = record.clone();
            after.layer.apply(&patch.changes_to(&record.layer));
            let write = Write {
                scope,
                operation: Operation::Set(patch),
                expected_sequence: Some(record.sequence),
                placement: Placement::Keep,
                validate_only,
                actor: call.caller.subject().to_owned(),
                request_id: call.context.request_id().to_owned(),
                comment: comment.clone(),
                requires,
            };
            match self.backend.commit(call.context, vec![write]).await {
                Err(CommitError::Rejected {
                    rejection: Rejection::SequenceMismatch { .. } | Rejection::RequirementChanged,
                    ..
                }) => {}
                Err(CommitError::QueueFull) => return Err(Failure::Overloaded),
                Err(CommitError::Store(error)) => return Err(error.into()),
                Err(_) => return Err(Failure::StoreUnavailable),
                Ok(committed) => {
                    let details = committed.details.first().expect("one write has one outcome");
                    after.sequence = details.sequence;
                    (after.created, after.changed) = (details.created, details.changed);
                    let built_in = feature.and_then(|feature| feature.built_in_with(&after));
                    let after = match built_in {
                        Some(built_in) => Some(built_in),
                        None => Feature::new(owner.as_ref(), &after).map_err(|_| Failure::Internal)?,
                    };
                    return after.map(|feature| feature.message()).ok_or(Failure::Internal);
                }
            }
        }
        Err(OwnFeatureFailure::ChangedMeanwhile.into())
    }
}

impl Prepared {
    fn of(owner: Option<InstanceId>, feature: Arc<Feature>, patch: Patch) -> Self {
        let scope = feature.scope().expect("every key in a catalogue has the form of own keys");
        Self { owner, record: feature.record.clone(), feature: Some(feature), scope, patch, requires: Vec::new() }
    }
}

fn level_of(owner: Option<&InstanceId>) -> Level {
    if owner.is_some() { Level::Instance } else { Level::System }
}

/// The state after a method; `None` where the method cannot be used.
fn next_state(method: &str, state: State) -> Option<State> {
    Some(match (method, state) {
        ("DeprecateFeatureDefinition" | "UndeprecateFeatureDefinition", State::Archived) => return None,
        ("DeprecateFeatureDefinition", _) => State::Deprecated,
        ("UndeprecateFeatureDefinition", _) => State::Active,
        ("ArchiveFeatureDefinition", _) => State::Archived,
        ("UnarchiveFeatureDefinition", State::Archived) => State::Active,
        (_, state) => state,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn states_follow_each_other() {
        use State::{Active, Archived, Deprecated};
        let table = [
            // method, from active, deprecated, archived
            ("Deprecate", [Some(Deprecated), Some(Deprecated), None]),
            ("Undeprecate", [Some(Active), Some(Active), None]),
            ("Archive", [Some(Archived), Some(Archived), Some(Archived)]),
            ("Unarchive", [Some(Active), Some(Deprecated), Some(Active)]),
        ];
        for (method, expected) in table {
            let next =
                [Active, Deprecated, Archived].map(|state| next_state(&format!("{method}FeatureDefinition"), state));
            assert_eq!(next, expected, "{method}");
        }
    }
}
