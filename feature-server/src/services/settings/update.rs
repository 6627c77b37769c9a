//! Changes of settings: from JSON to patches, which are checked against the definitions that they were made for.

use std::collections::BTreeMap;
use std::slice;
use std::sync::Arc;
use std::time::SystemTime;

use feature_api::feature::v1::{
    BatchUpdateSettingsRequest, BatchUpdateSettingsResponse, ResetSettingsRequest, UpdateSettingsRequest,
    UpdateSettingsResponse, Warning,
};
use feature_api::resource_name;
use feature_auth::access::Caller;
use feature_core::{FeatureKey, IdempotencyKey, Layer, Operation, Patch, Rejection, Requirement, State, Write};
use feature_store::{CommitError, CommittedBatch, FeatureStore};
use grpc_transcoding::Error;
use tonic_types::FieldViolation;

use super::size::check_size;
use super::{SettingsService, check_parent, name, without_values};
use crate::error::{Failure, OwnFeatureFailure};
use crate::services::backend::{ATTEMPTS, Backend, Call, idempotency_key};
use crate::services::catalogue::{self, Feature, Owner, etag};
use crate::services::request::resource::Resource;
use crate::services::response_cache::{Basis, Frame};

/// The most violations of an answer: they travel in a header, whose size clients limit.
const VIOLATIONS_MAX: usize = 10;

/// A change of one scope, before it is checked against the definitions.
#[derive(Debug, Clone)]
pub(super) struct Change {
    pub(super) caller: Caller,
    pub(super) resource: Resource,
    pub(super) request: UpdateSettingsRequest,
    /// The path of the request, such as `requests[2].`.
    path: String,
    expected_sequence: Option<u64>,
}

/// A change that was checked against the definitions.
pub(super) struct Prepared {
    pub(super) patch: Patch,
    pub(super) requires: Vec<Requirement>,
    /// What its caller should know.
    pub(super) warnings: Vec<Warning>,
}

impl SettingsService {
    pub(super) async fn update(&self, call: Call<'_>) -> Result<Frame, Failure> {
        let change = Change::new(call, call.request()?, String::new())?;
        let request_id = change.request.request_id.clone();
        let mut responses = self.commit(call, vec![change], &request_id, Change::prepare).await?;
        Ok(Frame::of(&responses.pop().expect("one change has one response")))
    }

    pub(super) async fn batch_update(&self, call: Call<'_>) -> Result<Frame, Failure> {
        let BatchUpdateSettingsRequest { parent, requests, validate_only, comment, request_id } = call.request()?;
        let changes = requests.into_iter().enumerate().map(|(index, mut request)| {
            request.validate_only |= validate_only;
            if request.comment.is_empty() {
                request.comment.clone_from(&comment);
            }
            if !request.request_id.is_empty() {
                let problem = "belongs to the whole batch";
                return Err(Failure::field(format!("requests[{index}].request_id"), problem));
            }
            let change = Change::new(call, request, format!("requests[{index}]."))?;
            check_parent(call.caller, &parent, &change.resource, &format!("requests[{index}].name"))?;
            Ok(change)
        });
        let changes: Vec<_> = changes.collect::<Result<_, Failure>>()?;
        if changes.windows(2).any(|pair| pair[0].request.validate_only != pair[1].request.validate_only) {
            return Err(Failure::field("requests", "some are validate_only: say it for the whole batch"));
        }
        let responses = self.commit(call, changes, &request_id, Change::prepare).await?;
        Ok(Frame::of(&BatchUpdateSettingsResponse { responses }))
    }

    pub(super) async fn reset(&self, call: Call<'_>) -> Result<Frame, Failure> {
        let ResetSettingsRequest { name: text, etag, validate_only, comment, request_id } = call.request()?;
        let request =
            UpdateSettingsRequest { name: text, etag, validate_only, comment, request_id, ..Default::default() };
        let change = Change::new(call, request, String::new())?;
        let key = key_of(call, &change.request.request_id, slice::from_ref(&change))?;
        let write = Write { idempotency_key: key, ..change.write(call, Operation::Reset, Vec::new())? };
        let scope = write.scope.clone();
        let committed = self.backend.commit(call.context, vec![write]).await;
        let CommittedBatch { details, .. } = committed.map_err(|error| refused(error, &[change]))?;
        let settings = without_values(&scope, details.first().expect("one write has one outcome"));
        Ok(Frame::of(&UpdateSettingsResponse { settings: Some(settings), warnings: Vec::new() }))
    }

    /// Makes writes of the changes, and commits them all or none. When what `prepare` has read changes meanwhile, it
    /// begins again.
    pub(super) async fn commit(
        &self,
        call: Call<'_>,
        changes: Vec<Change>,
        request_id: &str,
        prepare: impl Fn(&Change, &Backend, &mut Basis) -> Result<Prepared, Failure> + Clone + Send + 'static,
    ) -> Result<Vec<UpdateSettingsResponse>, Failure> {
        let key = key_of(call, request_id, &changes)?;
        let changes: Arc<[Change]> = changes.into();
        for _ in 0..ATTEMPTS {
            let (of_reader, prepare) = (Arc::clone(&changes), prepare.clone());
            let read = self.backend.read(call.context, move |backend, basis| {
                let now = SystemTime::now().into();
                let repeats = |change: &Change| {
                    Ok::<_, Failure>(backend.store.record(change.resource.scope())?.completed(key, now).is_some())
                };
                let is_repeated =
                    key.is_some() && of_reader.iter().map(repeats).collect::<Result<Vec<_>, _>>()?.contains(&true);
                let prepared = |change: &Change| {
                    // What has happened is not checked again: the committer only answers it.
                    if is_repeated {
                        let patch = Patch::exact(&Layer::default(), &[]);
                        return Ok(Prepared { patch, requires: Vec::new(), warnings: Vec::new() });
                    }
                    prepare(change, backend, basis)
                };
                of_reader.iter().map(prepared).collect::<Result<Vec<_>, Failure>>()
            });
            let (prepared, _) = Box::pin(read).await?;
            let (mut writes, mut warnings) = (Vec::new(), Vec::new());
            for (change, prepared) in changes.iter().zip(prepared) {
                let write = change.write(call, Operation::Set(prepared.patch), prepared.requires)?;
                writes.push(Write { idempotency_key: key, ..write });
                warnings.push(prepared.warnings);
            }
            match self.backend.commit(call.context, writes).await {
                Err(CommitError::Rejected { rejection: Rejection::RequirementChanged, .. }) => {}
                Err(error) => return Err(refused(error, &changes)),
                Ok(CommittedBatch { details, .. }) => {
                    let response = |((change, details), warnings): ((&Change, _), _)| UpdateSettingsResponse {
                        settings: Some(without_values(change.resource.scope(), details)),
                        warnings,
                    };
                    return Ok(changes.iter().zip(&details).zip(warnings).map(response).collect());
                }
            }
        }
        Err(OwnFeatureFailure::ChangedMeanwhile.into())
    }
}

impl Change {
    pub(super) fn new(call: Call<'_>, request: UpdateSettingsRequest, path: String) -> Result<Self, Failure> {
        let field = format!("{path}name");
        let (caller, resource) = Resource::named(call.caller, &name(&field, &request.name)?)?;
        let expected_sequence = catalogue::sequence_of(&request.etag)
            .ok_or_else(|| Failure::field(format!("{path}etag"), "must be an etag from an answer"))?;
        Ok(Self { caller, resource, request, path, expected_sequence })
    }

    /// Makes the patch, and what it requires: the definitions that it was checked against.
    fn prepare(&self, backend: &Backend, basis: &mut Basis) -> Result<Prepared, Failure> {
        let Change { request, path, resource, .. } = self;
        let (scope, engines) = (resource.scope(), &backend.catalogues.engines);
        let in_force = backend.catalogues.in_force(scope.instance(), basis)?;
        // It may change until the patch is applied.
        let record = backend.store.record(scope)?;
        let (mut violations, mut warnings) = (Vec::new(), Vec::new());
        let (mut set, mut requires) = (BTreeMap::new(), Vec::new());
        for (key, json) in &request.set {
            if violations.len() >= VIOLATIONS_MAX {
                break;
            }
            let field = format!("{path}set.{key}");
            let Some(feature) = in_force.find(key) else {
                violations.push(FieldViolation::new(field, "no feature here has this key"));
                continue;
            };
            if !feature.definition.is_in_use() {
                return Err(OwnFeatureFailure::NotWritten(feature.key.to_string()).into());
            }
            if !feature.definition.may_be_set_on(scope.level()) || scope.level() < feature.level() {
                let problem = format!("cannot be set on the {} level", scope.level().name());
                violations.push(FieldViolation::new(field, problem));
                continue;
            }
            match feature.read(json, &field, engines) {
                Ok(_) if set.contains_key(&feature.key) => {
                    violations.push(FieldViolation::new(field, "is the same feature as another key"));
                }
                Ok(value) => drop(set.insert(feature.key.clone(), value)),
                Err(errors) => {
                    violations.extend(errors.into_iter().map(|error| FieldViolation::new(error.path, error.problem)));
                }
            }
            requires.extend(requirement(feature));
            warnings.extend(warning(feature));
        }
        let mut unset = Vec::new();
        for (index, key) in request.unset.iter().enumerate() {
            let field = || format!("{path}unset[{index}]");
            match in_force.find(key) {
                _ if violations.len() >= VIOLATIONS_MAX => break,
                None => violations.push(FieldViolation::new(field(), "no feature here has this key")),
                Some(feature) if set.contains_key(&feature.key) => {
                    violations.push(FieldViolation::new(field(), "is set in the same request"));
                }
                Some(feature) => unset.push(feature.key.clone()),
            }
        }
        violations.truncate(VIOLATIONS_MAX);
        if !violations.is_empty() {
            return Err(Failure::Request(Error::FieldsInvalid(violations)));
        }
        if request.replace_all {
            // What is not in use stays, and so does what a newer version of the server has set.
            let is_replaced =
                |key: &&FeatureKey| in_force.find(key.as_str()).is_some_and(|feature| feature.definition.is_in_use());
            let others = record.layer.iter().map(|(key, _)| key).filter(|key| !set.contains_key(*key));
            unset.extend(others.filter(is_replaced).cloned());
            // What is set until then has to be unset, too.
            requires.push(Requirement::Unchanged { scope: scope.clone(), sequence: record.sequence });
        } else if set.is_empty() && unset.is_empty() {
            return Err(Failure::field(format!("{path}set"), "there is nothing to set, and nothing to unset"));
        }
        let patch = Patch::exact(&set.into_iter().collect(), &unset);
        check_size(&patch, &record.layer, backend.limits.values_per_scope)?;
        Ok(Prepared { patch, requires, warnings })
    }

    pub(super) fn write(
        &self,
        call: Call<'_>,
        operation: Operation,
        requires: Vec<Requirement>,
    ) -> Result<Write, Failure> {
        Ok(Write {
            scope: self.resource.scope().clone(),
            operation,
            expected_sequence: self.expected_sequence,
            placement: self.resource.placement()?,
            validate_only: self.request.validate_only,
            actor: call.caller.subject().to_owned(),
            credential: Some(call.caller.principal().credential()),
            request_id: call.context.request_id().to_owned(),
            idempotency_key: None,
            comment: self.request.comment.clone(),
            requires,
        })
    }
}

/// The key of a request with these changes.
pub(super) fn key_of(call: Call<'_>, request_id: &str, changes: &[Change]) -> Result<Option<IdempotencyKey>, Failure> {
    let names = changes.iter().filter_map(|change| resource_name::of_settings(change.resource.scope()));
    idempotency_key(call, request_id, names)
}

/// That the definition of a feature has not changed. A built-in one never does.
pub(super) fn requirement(feature: &Feature) -> Option<Requirement> {
    let scope = feature.scope().filter(|_| feature.owner != Owner::BuiltIn)?;
    Some(Requirement::Unchanged { scope, sequence: feature.record.sequence })
}

fn warning(feature: &Feature) -> Option<Warning> {
    (feature.definition.state == State::Deprecated).then(|| Warning {
        feature: feature.key.to_string(),
        reason: "FEATURE_DEPRECATED".to_owned(),
        description: "the feature is on its way out".to_owned(),
    })
}

pub(super) fn refused(error: CommitError, changes: &[Change]) -> Failure {
    let change = |index: usize| changes.get(index).expect("each change has one write");
    match error {
        CommitError::Rejected { index, rejection: Rejection::SequenceMismatch { actual, .. } } => {
            let field = format!("{}etag", change(index).path);
            OwnFeatureFailure::EtagMismatch { field, current: etag(actual) }.into()
        }
        CommitError::Rejected { index, rejection: Rejection::OtherOrganization } => {
            change(index).caller.missing("the user belongs to another organization").into()
        }
        CommitError::ScopeRepeated { index } => {
            Failure::field(format!("requests[{index}].name"), "is the same as an earlier one")
        }
        CommitError::BatchTooLarge => Failure::field("requests", error.to_string()),
        error => error.into(),
    }
}
