//! Reverts of definitions: all fields and the state become what they were once, or one change is taken back.

use feature_api::definition as message;
use feature_api::feature::v1::revert_feature_definition_request::To;
use feature_api::feature::v1::{FeatureDefinition, RevertFeatureDefinitionRequest};
use feature_core::{FeatureKey, Layer, State, Value};
use feature_store::record_at;

use super::change::{Prepared, Terms, violations_of};
use super::{DefinitionService, named};
use crate::error::{Failure, OwnFeatureFailure};
use crate::services::backend::{Backend, Call};
use crate::services::catalogue::{Feature, Owner};
use crate::services::request::moment::{change_to_undo, check_revision};
use crate::services::response_cache::Basis;

/// Fields that a revert leaves alone: the key never changes, and a definition that was tightened once remains one.
const LEFT_ALONE: [&str; 2] = ["key", message::TIGHTENED];

impl DefinitionService {
    pub(super) async fn revert(&self, call: Call<'_>) -> Result<FeatureDefinition, Failure> {
        let request: RevertFeatureDefinitionRequest = call.request()?;
        let RevertFeatureDefinitionRequest { name, to, etag, validate_only, comment, request_id, violations } = request;
        let (owner, key) = named(call.caller, "name", &name)?;
        call.caller.reads_history_of(owner.as_ref())?;
        let violations = violations_of(violations)?;
        let prepare = move |backend: &Backend, basis: &mut Basis, terms: &Terms| {
            let feature = terms.find(backend, basis)?;
            if feature.definition.state == State::Deleted {
                return Err(OwnFeatureFailure::Deleted(feature.key.to_string()).into());
            }
            let change = match &to {
                None => return Err(Failure::field("to", "must be a revision, or a change to undo")),
                Some(To::Revision(revision)) => as_of(*revision, &feature, terms, backend)?,
                Some(To::Undo(name)) => undo(name, &feature, terms, backend)?,
            };
            Prepared::update(backend, feature, &change, violations)
        };
        self.commit(call, Terms { owner, key, etag, validate_only, comment, request_id }, prepare).await
    }
}

/// What makes a definition what it was at a revision.
fn as_of(revision: u64, feature: &Feature, terms: &Terms, backend: &Backend) -> Result<message::Change, Failure> {
    check_revision(backend, revision)?;
    let then = record_at(&*backend.log, &terms.scope(), feature.record.clone(), revision)?.layer;
    check_defined(feature, &then, "revision")?;
    let now = &feature.record.layer;
    let gone = now.iter().map(|(field, _)| field).filter(|field| then.get(field.as_str()).is_none());
    Ok(change(
        then.iter()
            .map(|(field, value)| (field.clone(), Some(value.clone())))
            .chain(gone.map(|field| (field.clone(), None))),
    ))
}

/// What takes a change back, if nothing has changed its fields since.
fn undo(name: &str, feature: &Feature, terms: &Terms, backend: &Backend) -> Result<message::Change, Failure> {
    let changes = change_to_undo(backend, name, &terms.scope(), |field| !is_left_alone(field))?;
    let mut then = feature.record.layer.clone();
    then.take_back(&changes);
    check_defined(feature, &then, "undo")?;
    Ok(change(changes.into_iter().map(|change| (change.key, change.old))))
}

/// Checks that a definition was in use, or archived. Other methods define and delete.
fn check_defined(feature: &Feature, then: &Layer, field: &str) -> Result<(), Failure> {
    let problem = if then.get(message::DELETE_TIME).is_some() {
        "leads to a moment when the feature was deleted: DeleteFeatureDefinition does that"
    } else if then.get("value_type").is_none() && feature.owner != Owner::BuiltIn {
        "leads to a moment when the feature was not defined: DeleteFeatureDefinition removes it"
    } else {
        return Ok(());
    };
    Err(Failure::field(field, problem))
}

fn is_left_alone(field: &FeatureKey) -> bool {
    LEFT_ALONE.contains(&field.as_str())
}

fn change(fields: impl Iterator<Item = (FeatureKey, Option<Value>)>) -> message::Change {
    let (mut set, mut unset) = (Vec::new(), Vec::new());
    for (field, value) in fields.filter(|(field, _)| !is_left_alone(field)) {
        match value {
            Some(value) => set.push((field, value)),
            None => unset.push(field),
        }
    }
    message::Change { set: Layer::from_iter(set), unset }
}
