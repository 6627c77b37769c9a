//! The states of a definition: in use, deprecated, archived, deleted.

use std::time::{Duration, SystemTime};

use feature_api::definition as message;
use feature_api::feature::v1::{ArchiveFeatureDefinitionRequest, DeleteFeatureDefinitionRequest, FeatureDefinition};
use feature_core::{FeatureKey, Layer, Patch, State, Value};
use prost_types::Timestamp;

use super::change::{Prepared, Terms};
use super::{DefinitionService, named};
use crate::error::{Failure, OwnFeatureFailure};
use crate::services::backend::{Backend, Call};
use crate::services::catalogue::{Feature, Owner};
use crate::services::response_cache::Basis;

const DAY: Duration = Duration::from_secs(24 * 3_600);

impl DefinitionService {
    /// Deprecates, archives, and the reverse, and takes a deletion back. The requests of all of them have the same
    /// fields.
    pub(super) async fn change_state(&self, call: Call<'_>) -> Result<FeatureDefinition, Failure> {
        let method = call.name().to_owned();
        let ArchiveFeatureDefinitionRequest { name, etag, validate_only, comment, request_id } = call.request()?;
        let (owner, key) = named(call.caller, "name", &name)?;
        let prepare = move |backend: &Backend, basis: &mut Basis, terms: &Terms| {
            let feature = terms.find(backend, basis)?;
            let patch = change_to(next_state(&method, &feature)?, []);
            Ok(Prepared::of(feature, patch))
        };
        self.commit(call, Terms { owner, key, etag, validate_only, comment, request_id }, prepare).await
    }

    pub(super) async fn delete(&self, call: Call<'_>) -> Result<FeatureDefinition, Failure> {
        let method = call.name().to_owned();
        let request: DeleteFeatureDefinitionRequest = call.request()?;
        let DeleteFeatureDefinitionRequest { name, etag, validate_only, comment, allow_reuse, request_id } = request;
        let (owner, key) = named(call.caller, "name", &name)?;
        let now = SystemTime::now();
        let text = |time: SystemTime| Value::Text(Timestamp::from(time).to_string());
        let (delete_time, expire_time) = (text(now), text(now + DAY * self.backend.limits.keep_deleted_days));
        let prepare = move |backend: &Backend, basis: &mut Basis, terms: &Terms| {
            let feature = terms.find(backend, basis)?;
            let state = next_state(&method, &feature)?;
            let reuse = allow_reuse.then_some((message::ALLOW_REUSE, Value::Flag(true)));
            let patch = if feature.definition.state == State::Deleted {
                // It expires when the first deletion said. After the removal of its values, another one frees the key.
                let is_removed = feature.record.layer.get(message::EXPIRE_TIME).is_none();
                let again = (allow_reuse && is_removed).then(|| (message::EXPIRE_TIME, delete_time.clone()));
                let fields = reuse.into_iter().chain(again).map(|(field, value)| (field.into(), value));
                Patch::exact(&fields.collect(), &[])
            } else {
                let times = [(message::DELETE_TIME, &delete_time), (message::EXPIRE_TIME, &expire_time)];
                change_to(state, times.map(|(field, time)| (field, time.clone())).into_iter().chain(reuse))
            };
            Ok(Prepared::of(feature, patch))
        };
        let terms = Terms { owner, key, etag, validate_only, comment, request_id };
        let deleted = self.commit(call, terms, prepare).await?;
        if !validate_only {
            self.backend.deleted.notify_one();
        }
        Ok(deleted)
    }
}

/// The patch that brings about a state, with further fields. The fields of a deletion go with it.
fn change_to(state: State, fields: impl IntoIterator<Item = (&'static str, Value)>) -> Patch {
    let stored = message::stored_state(state).map(|value| (message::STATE, value));
    let set: Layer = stored.into_iter().chain(fields).map(|(field, value)| (field.into(), value)).collect();
    let of_state = [message::STATE, message::DELETE_TIME, message::EXPIRE_TIME, message::ALLOW_REUSE];
    let unset: Vec<FeatureKey> =
        of_state.into_iter().filter(|field| set.get(field).is_none()).map(Into::into).collect();
    Patch::exact(&set, &unset)
}

/// The state after a method.
///
/// # Errors
/// [`OwnFeatureFailure`] where the method cannot be used.
fn next_state(method: &str, feature: &Feature) -> Result<State, Failure> {
    if feature.owner == Owner::BuiltIn {
        return Err(Failure::field("name", "is a built-in feature, which has no states"));
    }
    let layer = &feature.record.layer;
    let has_expired = layer.get(message::REMOVING).is_some()
        || expire_time(layer).is_none_or(|expire_time| expire_time <= SystemTime::now());
    let next = next(method, feature.definition.state, has_expired);
    next.map_err(|failure| failure(feature.key.to_string()).into())
}

/// When the values of a deleted feature are removed; `None` when that has happened.
pub(super) fn expire_time(layer: &Layer) -> Option<SystemTime> {
    match layer.get(message::EXPIRE_TIME) {
        Some(Value::Text(time)) => SystemTime::try_from(time.parse::<Timestamp>().ok()?).ok(),
        _ => None,
    }
}

type Refused = fn(String) -> OwnFeatureFailure;

fn next(method: &str, state: State, has_expired: bool) -> Result<State, Refused> {
    let verb = method.trim_end_matches("FeatureDefinition");
    Ok(match (verb, state) {
        ("Delete", State::Archived | State::Deleted) => State::Deleted,
        ("Delete", _) => return Err(OwnFeatureFailure::NotArchived),
        ("Undelete", State::Deleted) if has_expired => return Err(OwnFeatureFailure::Expired),
        ("Undelete", State::Deleted) => State::Archived,
        ("Deprecate" | "Undeprecate" | "Archive" | "Unarchive", State::Deleted) => {
            return Err(OwnFeatureFailure::Deleted);
        }
        ("Deprecate" | "Undeprecate", State::Archived) => return Err(OwnFeatureFailure::NotWritten),
        ("Deprecate", _) => State::Deprecated,
        ("Undeprecate", _) => State::Active,
        ("Archive", _) => State::Archived,
        ("Unarchive", State::Archived) => State::Active,
        (_, state) => state,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn states_follow_each_other() {
        use State::{Active, Archived, Deleted, Deprecated};
        let table = [
            // method, from active, deprecated, archived, deleted, and deleted long ago
            ("Deprecate", "Deprecated Deprecated FEATURE_ARCHIVED FEATURE_DELETED FEATURE_DELETED"),
            ("Undeprecate", "Active Active FEATURE_ARCHIVED FEATURE_DELETED FEATURE_DELETED"),
            ("Archive", "Archived Archived Archived FEATURE_DELETED FEATURE_DELETED"),
            ("Unarchive", "Active Deprecated Active FEATURE_DELETED FEATURE_DELETED"),
            ("Delete", "FEATURE_NOT_ARCHIVED FEATURE_NOT_ARCHIVED Deleted Deleted Deleted"),
            ("Undelete", "Active Deprecated Archived Archived FEATURE_EXPIRED"),
        ];
        let states = [(Active, true), (Deprecated, true), (Archived, true), (Deleted, false), (Deleted, true)];
        for (method, expected) in table {
            let next = states.map(|(state, has_expired)| {
                match next(&format!("{method}FeatureDefinition"), state, has_expired) {
                    Ok(state) => format!("{state:?}"),
                    Err(failure) => failure(String::new()).code_and_reason().1.to_owned(),
                }
            });
            assert_eq!(next.join(" "), expected, "{method}");
        }
    }
}
