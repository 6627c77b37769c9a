//! Lists definitions: their filter, their pages, and how much of them is answered.

use std::collections::BTreeMap;
use std::sync::Arc;

use feature_api::feature::v1::{
    DefinitionView, FeatureDefinition, ListFeatureDefinitionsRequest, ListFeatureDefinitionsResponse,
};
use feature_api::filter::{Field, FieldType, Filter};
use feature_api::resource_name;
use feature_core::{InstanceId, Timestamp};
use prost::Message;

use super::DefinitionService;
use crate::error::{Failure, OwnFeatureFailure};
use crate::services::backend::{Backend, Call};
use crate::services::catalogue::Feature;
use crate::services::request::moment::revision_of;
use crate::services::request::page_token::{PAGE_BYTES, PageToken, hash_of, page_size};
use crate::services::request::resource::owner;
use crate::services::response_cache::Basis;

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
const FIELDS: [(&str, FieldType<'static>); 17] = [
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
    ("state", FieldType::Enum(&["STATE_ACTIVE", "STATE_DEPRECATED", "STATE_ARCHIVED", "STATE_DELETED"])),
    ("builtin", FieldType::Flag),
    ("create_time", FieldType::Time),
    ("update_time", FieldType::Time),
    ("delete_time", FieldType::Time),
    ("expire_time", FieldType::Time),
];

impl DefinitionService {
    pub(super) async fn list(&self, call: Call<'_>) -> Result<ListFeatureDefinitionsResponse, Failure> {
        let request: ListFeatureDefinitionsRequest = call.request()?;
        let parent = resource_name::parent(&request.parent);
        let parent = parent.map_err(|error| Failure::field("parent", error.to_string()))?;
        let owner = owner(call.caller, parent.as_ref())?;
        if request.at.is_some() {
            call.caller.reads_history_of(owner.as_ref())?;
        }
        let filter = Filter::parse(&request.filter, &FIELDS);
        let filter = filter.map_err(|error| Failure::field("filter", error.to_string()))?;
        let read = self.backend.read(call.context, move |backend, basis| {
            let at = revision_of(backend, request.at.as_ref())?;
            let features = features(backend, owner.as_ref(), request.inherited, at, basis)?;
            page(&request, owner.as_ref(), &filter, &features)
        });
        Ok(read.await?.0)
    }
}

/// The features that a filter matches, page by page.
fn page(
    request: &ListFeatureDefinitionsRequest,
    owner: Option<&InstanceId>,
    filter: &Filter,
    features: &BTreeMap<String, Arc<Feature>>,
) -> Result<ListFeatureDefinitionsResponse, Failure> {
    let of_request = hash_of((owner, &request.filter, request.inherited, request.view, &request.at));
    let shows_all = filter.uses("state");
    let matching = features.iter().filter_map(|(key, feature)| {
        let is_shown = shows_all || feature.definition.is_in_use();
        let message = is_shown.then(|| feature.message())?;
        let matches = filter.matches(|field| value_of(field, feature, &message));
        matches.then(|| (key.as_str(), shortened(message, request.view())))
    });
    let state = state_of(features);
    let place = Place { of_request, state, page_token: &request.page_token, page_size: request.page_size };
    let (feature_definitions, next_page_token) = place.page(matching)?;
    Ok(ListFeatureDefinitionsResponse { feature_definitions, next_page_token })
}

/// Which page of a list of definitions an answer has.
pub(super) struct Place<'r> {
    pub(super) of_request: u64,
    pub(super) state: u64,
    pub(super) page_token: &'r str,
    pub(super) page_size: i32,
}

impl Place<'_> {
    /// The definitions of the page, and the token of the next one.
    ///
    /// `items`: all definitions of the list by their keys.
    pub(super) fn page<'i>(
        &self,
        mut items: impl Iterator<Item = (&'i str, FeatureDefinition)>,
    ) -> Result<(Vec<FeatureDefinition>, String), Failure> {
        let page_size = page_size(self.page_size)?;
        if let Some(token) = PageToken::read(self.page_token, self.of_request)? {
            if token.state != self.state {
                return Err(OwnFeatureFailure::ListingChanged.into());
            }
            let is_last = |key: &str| token.after.first().is_some_and(|last| last == key);
            // The state is the same, so the last item of the page before is in the list.
            while items.next().is_some_and(|(key, _)| !is_last(key)) {}
        }
        let (mut page, mut bytes, mut last) = (Vec::new(), 0, "");
        for (key, message) in items {
            bytes += message.encoded_len();
            if page.len() == page_size || (bytes > PAGE_BYTES && !page.is_empty()) {
                return Ok((page, PageToken::new(self.of_request, self.state, vec![last.to_owned()]).to_text()));
            }
            page.push(message);
            last = key;
        }
        Ok((page, String::new()))
    }
}

/// A hash that changes with the definitions.
pub(super) fn state_of(features: &BTreeMap<String, Arc<Feature>>) -> u64 {
    hash_of(features.iter().map(|(key, feature)| (key, feature.record.sequence)).collect::<Vec<_>>())
}

/// The features of an owner by their keys in lower case, now or at a revision, with those that are in force there
/// beside its own.
pub(super) fn features(
    backend: &Backend,
    owner: Option<&InstanceId>,
    inherited: bool,
    at: Option<u64>,
    basis: &mut Basis,
) -> Result<BTreeMap<String, Arc<Feature>>, Failure> {
    let named = |(key, feature): (&str, &Arc<Feature>)| (key.to_owned(), Arc::clone(feature));
    if owner.is_none() || inherited {
        let in_force = backend.catalogues.in_force_at(&*backend.log, owner, at, basis)?;
        return Ok(in_force.features().into_iter().map(named).collect());
    }
    Ok(backend.catalogues.of_at(&*backend.log, owner, at, basis)?.iter().map(named).collect())
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
        "delete_time" => time(message.delete_time),
        "expire_time" => time(message.expire_time),
        other => match other.strip_prefix("labels.").and_then(|label| message.labels.get(label)) {
            Some(label) => Field::Text(label),
            None => Field::Absent,
        },
    }
}

/// As much of a definition as the view has.
pub(super) fn shortened(mut message: FeatureDefinition, view: DefinitionView) -> FeatureDefinition {
    if view != DefinitionView::Full
        && let Some(constraints) = &mut message.constraints
    {
        constraints.json_schema = None;
    }
    message
}
