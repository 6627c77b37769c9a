//! Reverts: a scope sets what it set once, or one change of it is taken back.

use std::sync::Arc;

use feature_api::feature::v1::revert_settings_request::To;
use feature_api::feature::v1::{RevertSettingsRequest, UpdateSettingsRequest};
use feature_core::{FeatureKey, Layer, Patch, Record, Requirement, Scope, Value};
use feature_store::record_at;

use super::SettingsService;
use super::size::check_size;
use super::update::{Change, Prepared, requirement};
use crate::error::{Failure, OwnFeatureFailure};
use crate::services::backend::{Backend, Call};
use crate::services::catalogue::{Engines, InForce};
use crate::services::request::moment::{change_to_undo, check_revision};
use crate::services::response_cache::{Basis, Frame};

/// What features become: a value, or unset.
type Wanted = Vec<(FeatureKey, Option<Value>)>;

/// To what, and which features.
#[derive(Debug, Clone)]
struct Target {
    to: Option<To>,
    features: Vec<String>,
}

impl SettingsService {
    pub(super) async fn revert(&self, call: Call<'_>) -> Result<Frame, Failure> {
        let request: RevertSettingsRequest = call.request()?;
        let RevertSettingsRequest { name, to, features, etag, validate_only, comment, request_id } = request;
        let update = UpdateSettingsRequest { name, etag, validate_only, comment, request_id, ..Default::default() };
        let change = Change::new(call, update, String::new())?;
        let target = Arc::new(Target { to, features });
        let prepare =
            move |change: &Change, backend: &Backend, basis: &mut Basis| target.prepare(change, backend, basis);
        let request_id = change.request.request_id.clone();
        let mut responses = self.commit(call, vec![change], &request_id, prepare).await?;
        Ok(Frame::of(&responses.pop().expect("one change has one response")))
    }
}

impl Target {
    fn prepare(&self, change: &Change, backend: &Backend, basis: &mut Basis) -> Result<Prepared, Failure> {
        let scope = change.resource.scope();
        let record = backend.record(scope, basis)?;
        // A user is reached as in a read.
        let organization = change.resource.reads_through(record.organization.as_ref())?;
        let organization = organization.as_ref().or(match scope {
            Scope::Organization(_, organization) => Some(organization),
            _ => None,
        });
        change.caller.demand_history(scope, organization)?;
        let in_force = backend.catalogues.in_force(scope.instance(), basis)?;
        let mut keys = Vec::with_capacity(self.features.len());
        for (index, key) in self.features.iter().enumerate() {
            let unknown = || Failure::field(format!("features[{index}]"), "no feature here has this key");
            keys.push(in_force.find(key).ok_or_else(unknown)?.key.clone());
        }
        let counts = |key: &FeatureKey| keys.is_empty() || keys.contains(key);
        let mut wanted = match &self.to {
            None => return Err(Failure::field("to", "must be a revision, or a change to undo")),
            Some(To::Revision(revision)) => as_of(*revision, &record, scope, backend)?,
            Some(To::Undo(name)) => {
                let changes = change_to_undo(backend, name, scope, counts)?;
                changes.into_iter().map(|change| (change.key, change.old)).collect()
            }
        };
        wanted.retain(|(key, _)| counts(key));
        wanted.retain(|(key, value)| record.layer.get(key.as_str()) != value.as_ref());
        let requires = check(&wanted, change, &in_force, &backend.catalogues.engines)?;
        let unchanged = Requirement::Unchanged { scope: scope.clone(), sequence: record.sequence };
        let (mut set, mut unset) = (Vec::new(), Vec::new());
        for (key, value) in wanted {
            match value {
                Some(value) => set.push((key, value)),
                None => unset.push(key),
            }
        }
        let patch = Patch::exact(&Layer::from_iter(set), &unset);
        check_size(&patch, &record.layer, backend.limits.values_per_scope)?;
        Ok(Prepared { patch, requires: requires.into_iter().chain([unchanged]).collect(), warnings: Vec::new() })
    }
}

/// What a scope set at a revision, of all that it has set since then or at that time.
fn as_of(revision: u64, record: &Record, scope: &Scope, backend: &Backend) -> Result<Wanted, Failure> {
    check_revision(backend, revision)?;
    let then = record_at(&*backend.log, scope, record.clone(), revision)?;
    let is_gone = |key: &FeatureKey| then.layer.get(key.as_str()).is_none();
    let gone = record.layer.iter().filter(|(key, _)| is_gone(key)).map(|(key, _)| (key.clone(), None));
    let there = then.layer.iter().map(|(key, value)| (key.clone(), Some(value.clone())));
    Ok(there.chain(gone).collect())
}

/// Checks values against the definitions of today. Returns what a write of them requires.
fn check(wanted: &Wanted, change: &Change, in_force: &InForce, engines: &Engines) -> Result<Vec<Requirement>, Failure> {
    let level = change.resource.scope().level();
    let mut requires = Vec::new();
    for (key, value) in wanted {
        let Some(value) = value else { continue };
        let refused = |problem: &str| Err(Failure::field(format!("features.{key}"), problem));
        let Some(feature) = in_force.find(key.as_str()) else {
            return refused("is not defined any more: name the features to revert");
        };
        if !feature.definition.is_in_use() {
            return Err(OwnFeatureFailure::NotWritten(key.to_string()).into());
        }
        if !feature.definition.may_be_set_on(level) || level < feature.level() {
            return refused(&format!("cannot be set on the {} level any more", level.name()));
        }
        if !feature.is_valid(value, engines) {
            return refused("had a value that the definition does not allow any more");
        }
        requires.extend(requirement(feature));
    }
    Ok(requires)
}
