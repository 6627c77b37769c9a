//! Lists definitions: their filter, their pages, and how much of them is answered.

use std::collections::BTreeMap;
use std::sync::Arc;

use feature_api::feature::v1::{
    DefinitionView, FeatureDefinition, ListFeatureDefinitionsRequest, ListFeatureDefinitionsResponse,
};
use feature_api::filter::{Field, FieldType, Filter};
use feature_api::resource_name;
use feature_core::{InstanceId, State, Timestamp};
use prost::Message;

use super::page_token::{PageToken, hash_of};
use super::{DefinitionService, owner};
use crate::error::Failure;
use crate::services::backend::{Backend, Call};
use crate::services::catalogue::Feature;
use crate::services::response_cache::Basis;

const PAGE_SIZE: usize = 100;
const PAGE_SIZE_MAX: usize = 1_000;

/// A page ends early when its definitions have so many bytes.
const PAGE_BYTES: usize = 4 * 1024 * 1024;

const TYPES: [&str; 6] = [
    "VALUE_TYPE_BOOLEAN",
    "VALUE_TYPE_STRING",
    "VALUE_TYPE_INTEGER",
    "VALUE_TYPE_NUMBER",
    "VALUE_TYPE_OBJECT",
    "VALUE_TYPE_STRING_LIST",
];

const PURPOSES: [&str; 6] = [
    "PURPOSE_UNSPECIFIED",
    "PURPOSE_RELEASE",
    "PURPOSE_EXPERIMENT",
    "PURPOSE_OPERATIONAL",
    "PURPOSE_PERMISSION",
    "PURPOSE_CONFIG",
];

/// What a filter can compare.
const FIELDS: [(&str, FieldType<'static>); 15] = [
    ("key", FieldType::Text),
    ("display_name", FieldType::Text),
    ("description", FieldType::Text),
    ("value_type", FieldType::Enum(&TYPES)),
    ("purpose", FieldType::Enum(&PURPOSES)),
    ("visibility", FieldType::Enum(&["VISIBILITY_SERVER_ONLY", "VISIBILITY_CLIENT"])),
    ("owner", FieldType::Text),
    ("labels", FieldType::Texts),
    ("labels.*", FieldType::Text),
    ("stale_time", FieldType::Time),
    ("permanent", FieldType::Flag),
    ("state", FieldType::Enum(&["STATE_ACTIVE", "STATE_DEPRECATED", "STATE_ARCHIVED"])),
    ("builtin", FieldType::Flag),
    ("create_time", FieldType::Time),
    ("update_time", FieldType::Time),
];

impl DefinitionService {
    pub(super) async fn list(&self, call: Call<'_>) -> Result<ListFeatureDefinitionsResponse, Failure> {
        let request: ListFeatureDefinitionsRequest = call.request()?;
        let parent = resource_name::parent(&request.parent);
        let parent = parent.map_err(|error| Failure::field("parent", error.to_string()))?;
        let owner = owner(call.caller, parent.as_ref())?;
        let filter = Filter::parse(&request.filter, &FIELDS);
        let filter = filter.map_err(|error| Failure::field("filter", error.to_string()))?;
        let read = self.backend.read(call.context, move |backend, basis| {
            let features = features(backend, owner.as_ref(), request.inherited, basis)?;
            page(&request, owner.as_ref(), &filter, &features)
        });
        Ok(read.await?.0)
    }
}

/// A page of the features that a filter matches.
fn page(
    request: &ListFeatureDefinitionsRequest,
    owner: Option<&InstanceId>,
    filter: &Filter,
    features: &BTreeMap<String, Arc<Feature>>,
) -> Result<ListFeatureDefinitionsResponse, Failure> {
    let Ok(page_size) = usize::try_from(request.page_size) else {
        return Err(Failure::field("page_size", "must not be negative"));
    };
    let page_size = if page_size == 0 { PAGE_SIZE } else { page_size.min(PAGE_SIZE_MAX) };
    let of_request = hash_of((owner, &request.filter, request.inherited, request.view));
    let versions: Vec<_> = features.iter().map(|(key, feature)| (key, feature.record.sequence)).collect();
    let state = hash_of(versions);
    let after = PageToken::read(&request.page_token, of_request, state)?;
    let shows_archived = filter.uses("state");
    let mut page = Vec::new();
    let mut next_page_token = String::new();
    let mut last = "";
    let mut bytes = 0;
    for (key, feature) in features {
        let is_shown = shows_archived || feature.definition.state != State::Archived;
        if !is_shown || after.as_ref().is_some_and(|after| key <= after) {
            continue;
        }
        let message = feature.message();
        if !filter.matches(|field| value_of(field, feature, &message)) {
            continue;
        }
        let message = shortened(message, request.view());
        bytes += message.encoded_len();
        if page.len() == page_size || (bytes > PAGE_BYTES && !page.is_empty()) {
            next_page_token = PageToken::new(of_request, state, last).to_text();
            break;
        }
        page.push(message);
        last = key;
    }
    Ok(ListFeatureDefinitionsResponse { feature_definitions: page, next_page_token })
}

/// The features of an owner by their keys in lower case, with those that are in force there beside its own.
fn features(
    backend: &Backend,
    owner: Option<&InstanceId>,
    inherited: bool,
    basis: &mut Basis,
) -> Result<BTreeMap<String, Arc<Feature>>, Failure> {
    let named = |(key, feature): (&str, &Arc<Feature>)| (key.to_owned(), Arc::clone(feature));
    if owner.is_none() || inherited {
        let in_force = backend.catalogues.in_force(owner, basis)?;
        return Ok(in_force.features().into_iter().map(named).collect());
    }
    Ok(backend.catalogues.of(owner, basis)?.iter().map(named).collect())
}

fn value_of<'f>(field: &str, feature: &'f Feature, message: &'f FeatureDefinition) -> Field<'f> {
    let time = |time: Option<prost_types::Timestamp>| {
        let nanos = time.map(|time| time.seconds.saturating_mul(1_000_000_000).saturating_add(time.nanos.into()));
        nanos.map_or(Field::Absent, |nanos| Field::Time(Timestamp::from_unix_nanos(nanos)))
    };
    match field {
        "key" => Field::Text(feature.key.as_str()),
        "display_name" => Field::Text(&message.display_name),
        "description" => Field::Text(&message.description),
        "value_type" => Field::Text(message.value_type().as_str_name()),
        "purpose" => Field::Text(message.purpose().as_str_name()),
        "visibility" => Field::Text(message.visibility().as_str_name()),
        "owner" => Field::Text(&message.owner),
        "labels" => Field::Texts(message.labels.keys().map(String::as_str).collect()),
        "stale_time" => time(message.stale_time),
        "permanent" => Field::Flag(message.permanent),
        "state" => Field::Text(message.state().as_str_name()),
        "builtin" => Field::Flag(message.builtin),
        "create_time" => time(message.create_time),
        "update_time" => time(message.update_time),
        other => match other.strip_prefix("labels.").and_then(|label| message.labels.get(label)) {
            Some(label) => Field::Text(label),
            None => Field::Absent,
        },
    }
}

/// As much of a definition as the view has.
fn shortened(mut message: FeatureDefinition, view: DefinitionView) -> FeatureDefinition {
    if view != DefinitionView::Full
        && let Some(constraints) = &mut message.constraints
    {
        constraints.json_schema = None;
    }
    message
}
