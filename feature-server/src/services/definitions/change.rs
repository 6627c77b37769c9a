//! Changes of definitions: new ones, new fields, and new states.

use std::iter::once;
use std::sync::Arc;
use std::time::SystemTime;

use feature_api::definition as message;
use feature_api::feature::v1::{
    CreateFeatureDefinitionRequest, FeatureDefinition, UpdateFeatureDefinitionRequest, Violations,
};
use feature_api::resource_name;
use feature_core::{
    InstanceId, Layer, Level, Operation, OwnKey, Patch, Placement, Record, Rejection, Requirement, Scope, Value, Write,
};
use feature_store::CommitError;

use super::checks::{Update, check, check_free, update};
use super::tightening::Breaking;
use super::{DefinitionService, find, named};
use crate::error::{Failure, OwnFeatureFailure};
use crate::services::backend::{ATTEMPTS, Backend, Call, idempotency_key};
use crate::services::catalogue::{self, Feature, etag};
use crate::services::request::resource::owner;
use crate::services::response_cache::Basis;

/// A change that is ready to be written.
pub(super) struct Prepared {
    /// The feature as it is now, built-in or defined; `None` for a new one.
    feature: Option<Arc<Feature>>,
    record: Record,
    patch: Patch,
    requires: Vec<Requirement>,
    /// Values that are unset together with the change.
    unset: Vec<Unset>,
}

/// What every change of a definition has beside the change itself.
pub(super) struct Terms {
    /// Who defines the feature.
    pub(super) owner: Option<InstanceId>,
    pub(super) key: OwnKey,
    /// The etag that the definition must have.
    pub(super) etag: String,
    pub(super) validate_only: bool,
    pub(super) comment: String,
    pub(super) request_id: String,
}

/// A value to unset, if its scope has not changed.
pub(super) struct Unset {
    pub(super) scope: Scope,
    pub(super) sequence: u64,
    pub(super) patch: Patch,
}

impl DefinitionService {
    pub(super) async fn create(&self, call: Call<'_>) -> Result<FeatureDefinition, Failure> {
        let request: CreateFeatureDefinitionRequest = call.request()?;
        let wrong = |field: &str, error: String| Failure::field(field, error);
        let parent = resource_name::parent(&request.parent).map_err(|error| wrong("parent", error.to_string()))?;
        let owner = owner(call.caller, parent.as_ref())?;
        let key = OwnKey::new(&request.feature_definition_id);
        let key = key.map_err(|error| wrong("feature_definition_id", error.to_string()))?;
        let CreateFeatureDefinitionRequest { feature_definition, validate_only, comment, request_id, .. } = request;
        let definition = feature_definition.unwrap_or_default();
        let change = message::read(&definition, message::value_type(&definition)?, None)?;
        let entries = change.set.iter().map(|(key, value)| (key.clone(), value.clone()));
        let spelling = ("key".into(), Value::Text(key.to_string()));
        let layer: Layer = entries.chain([spelling]).collect();
        let prepare = move |backend: &Backend, basis: &mut Basis, terms: &Terms| {
            let owner = terms.owner.as_ref();
            let requires = check_free(backend, owner, &terms.key, basis)?;
            let record = backend.record(&terms.scope(), basis)?;
            if !record.layer.is_empty() {
                // A newer version of the server has defined it.
                return Err(OwnFeatureFailure::Exists("a definition that this server cannot read".to_owned()).into());
            }
            check(&layer, level_of(owner))?;
            let patch = Patch::exact(&layer, &[]);
            Ok(Prepared { feature: None, record, patch, requires, unset: Vec::new() })
        };
        let terms = Terms { owner, key, etag: String::new(), validate_only, comment, request_id };
        self.commit(call, terms, prepare).await
    }

    pub(super) async fn update(&self, call: Call<'_>) -> Result<FeatureDefinition, Failure> {
        let request: UpdateFeatureDefinitionRequest = call.request()?;
        let UpdateFeatureDefinitionRequest { update_mask, validate_only, comment, request_id, violations, .. } =
            request;
        let definition = request.feature_definition.unwrap_or_default();
        let (owner, key) = named(call.caller, "feature_definition.name", &definition.name)?;
        let violations = violations_of(violations)?;
        let mask = update_mask.map(|mask| mask.paths);
        let terms = Terms { owner, key, etag: definition.etag.clone(), validate_only, comment, request_id };
        let prepare = move |backend: &Backend, basis: &mut Basis, terms: &Terms| {
            let feature = terms.find(backend, basis)?;
            let change = message::read(&definition, feature.definition.value_type, mask.as_deref())?;
            Prepared::update(backend, feature, &change, violations)
        };
        self.commit(call, terms, prepare).await
    }

    /// Commits a change of the definition as it was read; when another one comes meanwhile, the change is prepared
    /// again. A change that has happened already, of a request with the same id, is answered with the definition.
    pub(super) async fn commit(
        &self,
        call: Call<'_>,
        terms: Terms,
        prepare: impl Fn(&Backend, &mut Basis, &Terms) -> Result<Prepared, Failure> + Clone + Send + 'static,
    ) -> Result<FeatureDefinition, Failure> {
        let expected = catalogue::sequence_of(&terms.etag);
        let expected = expected.ok_or_else(|| Failure::field("etag", "must be an etag from an answer"))?;
        let name = resource_name::of_definition(terms.owner.as_ref(), terms.key.folded().key().as_str());
        let idempotency_key = idempotency_key(call, &terms.request_id, [name])?;
        let terms = Arc::new(terms);
        for _ in 0..ATTEMPTS {
            let (prepare, of_reader) = (prepare.clone(), Arc::clone(&terms));
            let read = self.backend.read(call.context, move |backend, basis| {
                let prepared = prepare(backend, basis, &of_reader);
                // Read after `prepare`: if that has seen the first attempt of this request, this record has it, too.
                let record = backend.record(&of_reader.scope(), basis)?;
                if record.completed(idempotency_key, SystemTime::now().into()).is_some() {
                    return Ok(Err(of_reader.find(backend, basis)?));
                }
                prepared.map(Ok)
            });
            let Prepared { feature, record, patch, requires, unset } = match read.await?.0 {
                Ok(prepared) => prepared,
                Err(changed) => return Ok(changed.message()),
            };
            if expected.is_some_and(|expected| expected != record.sequence) {
                let current = etag(record.sequence);
                return Err(OwnFeatureFailure::EtagMismatch { field: "etag".to_owned(), current }.into());
            }
            let mut after = record.clone();
            after.layer.apply(&patch.changes_to(&record.layer));
            let write = |Unset { scope, sequence, patch }, requires| Write {
                scope,
                operation: Operation::Set(patch),
                expected_sequence: Some(sequence),
                placement: Placement::Keep,
                validate_only: terms.validate_only,
                actor: call.caller.subject().to_owned(),
                credential: Some(call.caller.principal().credential()),
                request_id: call.context.request_id().to_owned(),
                idempotency_key,
                comment: terms.comment.clone(),
                requires,
            };
            let own = write(Unset { scope: terms.scope(), sequence: record.sequence, patch }, requires);
            let writes = once(own).chain(unset.into_iter().map(|unset| write(unset, Vec::new()))).collect();
            match self.backend.commit(call.context, writes).await {
                Err(CommitError::Rejected {
                    rejection: Rejection::SequenceMismatch { .. } | Rejection::RequirementChanged,
                    ..
                }) => {}
                Err(error @ CommitError::BatchTooLarge) => {
                    return Err(Failure::field("violations", format!("unsets too much: {error}")));
                }
                Err(error) => return Err(error.into()),
                Ok(committed) => {
                    let details = committed.details.first().expect("every write has an outcome");
                    after.sequence = details.sequence;
                    (after.created, after.changed) = (details.created, details.changed);
                    let built_in = feature.and_then(|feature| feature.built_in_with(&after));
                    let after = match built_in {
                        Some(built_in) => Some(built_in),
                        None => Feature::new(terms.owner.as_ref(), &after).map_err(|_| Failure::Internal)?,
                    };
                    return after.map(|feature| feature.message()).ok_or(Failure::Internal);
                }
            }
        }
        Err(OwnFeatureFailure::ChangedMeanwhile.into())
    }
}

impl Terms {
    pub(super) fn scope(&self) -> Scope {
        catalogue::scope(self.owner.as_ref(), &self.key)
    }

    /// The feature as it is now.
    ///
    /// # Errors
    /// Those of [`find`].
    pub(super) fn find(&self, backend: &Backend, basis: &mut Basis) -> Result<Arc<Feature>, Failure> {
        find(backend, self.owner.as_ref(), &self.key, None, basis)
    }
}

/// What happens to values that break a change.
///
/// # Errors
/// [`Failure::Request`] for an unknown number.
pub(super) fn violations_of(number: i32) -> Result<Violations, Failure> {
    let unknown = |_| Failure::field("violations", "must be a value that this server knows");
    Violations::try_from(number).map_err(unknown)
}

impl Prepared {
    /// An update of the fields of a definition.
    ///
    /// # Errors
    /// Those of [`update`] and of [`Breaking`].
    pub(super) fn update(
        backend: &Backend,
        feature: Arc<Feature>,
        change: &message::Change,
        violations: Violations,
    ) -> Result<Self, Failure> {
        let Update { patch, tighter } = update(&feature, change)?;
        let mut unset = Vec::new();
        if let Some((definition, engine)) = tighter.filter(|_| violations != Violations::Keep) {
            let breaking = Breaking::find(backend, &feature, &definition, &engine)?;
            match violations {
                Violations::Unset => unset = breaking.unset()?,
                _ => breaking.refuse()?,
            }
        }
        Ok(Self { unset, ..Self::of(feature, patch) })
    }

    pub(super) fn of(feature: Arc<Feature>, patch: Patch) -> Self {
        Self { record: feature.record.clone(), feature: Some(feature), patch, requires: Vec::new(), unset: Vec::new() }
    }
}

fn level_of(owner: Option<&InstanceId>) -> Level {
    if owner.is_some() { Level::Instance } else { Level::System }
}
