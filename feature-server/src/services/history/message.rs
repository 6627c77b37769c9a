//! A change as a message.

use feature_api::feature::v1::{Change, ChangeKind, CredentialKind, FieldChange, Level};
use feature_api::{json_value, resource_name, response};
use feature_core::{Credential, Event, EventKind, FeatureKey, OrganizationId, Scope, Value};
use prost_types::Value as JsonValue;

use crate::services::backend::Backend;
use crate::services::catalogue::etag;

/// The message of a change.
pub(crate) fn change(event: &Event, backend: &Backend) -> Change {
    let is_definition = matches!(event.scope, Scope::Definition(..));
    let answer = |key: &FeatureKey, value: &Value| answer(key, value, is_definition, backend);
    Change {
        name: format!("changes/{}", event.revision),
        revision: event.revision,
        resource: resource_name::of_scope(&event.scope),
        level: Level::from(event.scope.level()).into(),
        kind: kind(event).into(),
        create_time: Some(response::timestamp(event.time)),
        actor: event.actor.clone(),
        request_id: event.request_id.clone(),
        comment: event.comment.clone(),
        etag: etag(event.sequence),
        organization: event.organization.as_ref().map(OrganizationId::to_string).unwrap_or_default(),
        changes: event
            .changes
            .iter()
            .map(|change| FieldChange {
                field: change.key.to_string(),
                old_value: change.old.as_ref().map(|value| answer(&change.key, value)),
                new_value: change.new.as_ref().map(|value| answer(&change.key, value)),
            })
            .collect(),
        issuer: issuer(event).to_owned(),
        credential_kind: credential_kind(event).into(),
        erased: event.is_erased,
    }
}

/// What was done.
pub(super) fn kind(event: &Event) -> ChangeKind {
    match (&event.scope, event.kind) {
        (Scope::Definition(..), _) => ChangeKind::Definition,
        (_, EventKind::Set) => ChangeKind::Set,
        (_, EventKind::Reset) => ChangeKind::Reset,
        (_, EventKind::Erase) => ChangeKind::Erase,
    }
}

/// The issuer of the actor's token; empty without one.
pub(super) fn issuer(event: &Event) -> &str {
    match &event.credential {
        Some(Credential::Token { issuer }) => issuer,
        Some(Credential::Certificate) | None => "",
    }
}

/// The kind of the actor's credential.
pub(super) fn credential_kind(event: &Event) -> CredentialKind {
    match &event.credential {
        Some(Credential::Token { .. }) => CredentialKind::Token,
        Some(Credential::Certificate) => CredentialKind::Certificate,
        None => CredentialKind::Unspecified,
    }
}

/// The JSON of a value. The feature may be gone: only the enums of built-in ones need the definition.
fn answer(key: &FeatureKey, value: &Value, is_definition: bool, backend: &Backend) -> JsonValue {
    let built_in = backend.catalogues.built_in().find(key.as_str()).filter(|_| !is_definition);
    match built_in {
        Some(feature) => feature.answer(value),
        None => json_value::answer(value, &|number| number.to_string()),
    }
}
