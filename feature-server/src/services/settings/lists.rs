//! Lists of scopes: which ones set something, and which ones set a feature. All pages of a list show one revision.

use feature_api::feature::v1::{
    Level as LevelName, ListOverridesRequest, ListOverridesResponse, ListScopesRequest, ListScopesResponse, Moment,
    Override, ScopeSummary,
};
use feature_api::filter::{Field, FieldType, Filter};
use feature_api::resource_name::{self, DefinitionName};
use feature_auth::access::NamedCaller;
use feature_core::{FeatureKey, InstanceId, Level, OrganizationId, Record, Scope, UserId, Value};
use feature_store::{FeatureStore, Selected, Selection};
use prost::Message;
use prost_types::value::Kind;

use super::SettingsService;
use crate::error::{Failure, OwnFeatureFailure};
use crate::services::backend::{Backend, Call};
use crate::services::catalogue::Feature;
use crate::services::request::moment::revision_of;
use crate::services::request::page_token::{PAGE_BYTES, PageToken, hash_of, page_size};
use crate::services::request::resource::owner;
use crate::services::response_cache::Frame;

/// A page looks at so many records at most. With a filter that few of them match it has fewer items than it may.
const EXAMINED_MAX: usize = 10_000;

/// So many records are read at once, at most and at least.
const READ_AT_ONCE: usize = 500;
const READ_AT_LEAST: usize = 100;

/// The most features of a scope that a list names.
const FEATURES_MAX: usize = 1_000;

const LEVELS: [&str; 4] = ["LEVEL_SYSTEM", "LEVEL_INSTANCE", "LEVEL_ORGANIZATION", "LEVEL_USER"];

/// What a filter of scopes can compare.
const SCOPE_FIELDS: [(&str, FieldType<'static>); 2] = [("level", FieldType::Enum(&LEVELS)), ("sets", FieldType::Texts)];

/// What a filter of overrides can compare.
const OVERRIDE_FIELDS: [(&str, FieldType<'static>); 4] = [
    ("level", FieldType::Enum(&LEVELS)),
    ("value", FieldType::Text),
    ("variant", FieldType::Text),
    ("counts", FieldType::Flag),
];

/// Which scopes a list has, and which page of them.
struct Listing {
    instance: Option<InstanceId>,
    at: Option<Moment>,
    /// Whether the caller may read what was long ago: a page token can be forged.
    may_read_past: bool,
    feature: Option<FeatureKey>,
    levels: Vec<Level>,
    of_request: u64,
    token: Option<PageToken>,
    page_size: usize,
}

impl SettingsService {
    pub(super) async fn list_scopes(&self, call: Call<'_>) -> Result<Frame, Failure> {
        let request: ListScopesRequest = call.request()?;
        let parent = resource_name::parent(&request.parent);
        let parent = parent.map_err(|error| Failure::field("parent", error.to_string()))?;
        let instance = owner(call.caller, parent.as_ref())?;
        let filter = filter(&request.filter, &SCOPE_FIELDS)?;
        let of_request = hash_of((&instance, &request.filter, &request.at));
        let page = (&request.page_token[..], request.page_size);
        let mut listing = Listing::new(call.caller, instance, request.at, &filter, of_request, page)?;
        listing.feature = filter.required("sets").map(FeatureKey::from);
        self.reach(&listing).await;
        let read = self.backend.read(call.context, move |backend, _| {
            listing.page(backend, listing.revision(backend)?, |scope, record| {
                let keys = || record.layer.iter().map(|(key, _)| key.as_str());
                let matches = filter.matches(|field| match field {
                    "level" => Field::Text(name_of(scope.level()).as_str_name()),
                    _ => Field::Texts(keys().collect()),
                });
                matches.then(|| ScopeSummary {
                    settings: resource_name::of_settings(scope).unwrap_or_default(),
                    level: name_of(scope.level()).into(),
                    features: keys().take(FEATURES_MAX).map(str::to_owned).collect(),
                    feature_count: keys().count() as i32,
                })
            })
        });
        let ((scopes, next_page_token), _) = read.await?;
        Ok(Frame::of(&ListScopesResponse { scopes, next_page_token }))
    }

    pub(super) async fn list_overrides(&self, call: Call<'_>) -> Result<Frame, Failure> {
        let request: ListOverridesRequest = call.request()?;
        let parent = DefinitionName::new(&request.parent);
        let DefinitionName { owner: named, key } =
            parent.map_err(|error| Failure::field("parent", error.to_string()))?;
        let instance = owner(call.caller, named.as_ref())?;
        let filter = filter(&request.filter, &OVERRIDE_FIELDS)?;
        let of_request = hash_of((&instance, &key.folded(), &request.filter, &request.at));
        let page = (&request.page_token[..], request.page_size);
        let mut listing = Listing::new(call.caller, instance, request.at, &filter, of_request, page)?;
        self.reach(&listing).await;
        let read = self.backend.read(call.context, move |backend, basis| {
            let revision = listing.revision(backend)?;
            let at = listing.at.map(|_| revision);
            let in_force = backend.catalogues.in_force_at(&*backend.log, listing.instance.as_ref(), at, basis)?;
            let key = key.key().as_str();
            let feature = in_force.find(key).ok_or_else(|| OwnFeatureFailure::Unknown(key.to_owned()))?;
            listing.feature = Some(feature.key.clone());
            listing.page(backend, revision, |scope, record| {
                let value = record.layer.get(feature.key.as_str())?;
                let item = overrides(feature, scope, record, value, backend);
                let text = text_of(item.value.as_ref());
                let matches = filter.matches(|field| match field {
                    "level" => Field::Text(name_of(scope.level()).as_str_name()),
                    "value" => text.as_deref().map_or(Field::Absent, Field::Text),
                    "variant" => Field::Text(&item.variant),
                    _ => Field::Flag(item.counts),
                });
                matches.then_some(item)
            })
        });
        let ((overrides, next_page_token), _) = read.await?;
        Ok(Frame::of(&ListOverridesResponse { overrides, next_page_token }))
    }

    /// Waits for the revision that the pages before show, in a fleet.
    async fn reach(&self, listing: &Listing) {
        if let Some(token) = &listing.token {
            self.backend.reach(token.state).await;
        }
    }
}

impl Listing {
    /// A page of all scopes of the levels that a filter can match.
    ///
    /// `page`: the token and the size that the request says.
    ///
    /// # Errors
    /// [`Failure::Auth`] if the caller may not read every scope of these levels; those of [`PageToken::read`] and
    /// [`page_size`].
    fn new(
        caller: &NamedCaller,
        instance: Option<InstanceId>,
        at: Option<Moment>,
        filter: &Filter,
        of_request: u64,
        page: (&str, i32),
    ) -> Result<Self, Failure> {
        let is_there = |level: &Level| instance.is_none() || *level != Level::System;
        let all: Vec<_> = Level::ALL.into_iter().filter(is_there).collect();
        let matches = |level: &Level| {
            let name = name_of(*level).as_str_name();
            filter.may_match(|field| (field == "level").then_some(Field::Text(name)))
        };
        let levels: Vec<_> = all.iter().copied().filter(matches).collect();
        // Without this, an empty answer would tell a caller without rights that the feature exists.
        let needed = if levels.is_empty() { &all } else { &levels };
        needed.iter().try_for_each(|level| caller.reads_all(*level, instance.as_ref()))?;
        let reads_history = caller.reads_history_of(instance.as_ref());
        let may_read_past = reads_history.is_ok();
        if at.is_some() {
            reads_history?;
        }
        let (token, page_size) = (PageToken::read(page.0, of_request)?, page_size(page.1)?);
        Ok(Self { instance, at, may_read_past, feature: None, levels, of_request, token, page_size })
    }

    /// The revision that all pages show.
    fn revision(&self, backend: &Backend) -> Result<u64, Failure> {
        match &self.token {
            Some(token) if self.may_read_past || backend.store.is_recent(token.state) => Ok(token.state),
            Some(_) => Err(OwnFeatureFailure::ListingChanged.into()),
            None => Ok(revision_of(backend, self.at.as_ref())?.unwrap_or_else(|| backend.store.revision())),
        }
    }

    /// The items of the page at a revision, and the token of the next one.
    ///
    /// `item`: the item of a scope, if the filter matches it.
    fn page<M: Message>(
        &self,
        backend: &Backend,
        revision: u64,
        item: impl Fn(&Scope, &Record) -> Option<M>,
    ) -> Result<(Vec<M>, String), Failure> {
        let mut after = match &self.token {
            Some(token) => Some(scope_of(&token.after).ok_or_else(PageToken::wrong)?),
            None => None,
        };
        let token = |after: &Scope| PageToken::new(self.of_request, revision, parts_of(after)).to_text();
        let begin = after.as_ref().map_or(Level::System, Scope::level);
        let read_at_once = (self.page_size + 1).clamp(READ_AT_LEAST, READ_AT_ONCE);
        let (mut page, mut bytes, mut examined) = (Vec::new(), 0, 0);
        for level in self.levels.iter().copied().filter(|level| *level >= begin) {
            let selection =
                Selection::Settings { level, instance: self.instance.as_ref(), feature: self.feature.as_ref() };
            loop {
                let start = after.as_ref().filter(|after| after.level() == level);
                let selected = backend.store.select_at(&*backend.log, revision, selection, start, read_at_once)?;
                let Selected { records, next_after } = selected.ok_or(OwnFeatureFailure::ListingChanged)?;
                for (scope, record) in records {
                    if let Some(item) = item(&scope, &record) {
                        bytes += item.encoded_len();
                        let is_full = page.len() == self.page_size || (bytes > PAGE_BYTES && !page.is_empty());
                        if is_full && let Some(last) = &after {
                            return Ok((page, token(last)));
                        }
                        page.push(item);
                    }
                    after = Some(scope);
                }
                let Some(next) = next_after else { break };
                examined += read_at_once;
                if examined >= EXAMINED_MAX {
                    return Ok((page, token(&next)));
                }
                after = Some(next);
            }
        }
        Ok((page, String::new()))
    }
}

fn filter(text: &str, fields: &[(&str, FieldType<'_>)]) -> Result<Filter, Failure> {
    Filter::parse(text, fields).map_err(|error| Failure::field("filter", error.to_string()))
}

/// What a scope sets for a feature.
fn overrides(feature: &Feature, scope: &Scope, record: &Record, value: &Value, backend: &Backend) -> Override {
    let may_be_set = scope.level() >= feature.level() && feature.definition.may_be_set_on(scope.level());
    Override {
        settings: resource_name::of_settings(scope).unwrap_or_default(),
        level: name_of(scope.level()).into(),
        value: Some(feature.answer(value)),
        variant: feature.variant(value).unwrap_or_default().to_owned(),
        revision: record.revisions.get(&feature.key).copied().unwrap_or_default(),
        counts: feature.definition.is_in_use() && may_be_set && feature.keeps(value, &backend.catalogues.engines),
    }
}

/// A value as a filter compares it; `None` for an object or a list.
fn text_of(value: Option<&prost_types::Value>) -> Option<String> {
    Some(match value?.kind.as_ref()? {
        Kind::StringValue(text) => text.clone(),
        Kind::BoolValue(flag) => flag.to_string(),
        Kind::NumberValue(number) => number.to_string(),
        Kind::NullValue(_) | Kind::StructValue(_) | Kind::ListValue(_) => return None,
    })
}

fn name_of(level: Level) -> LevelName {
    LevelName::from(level)
}

/// The scope as a page token has it.
fn parts_of(scope: &Scope) -> Vec<String> {
    let instance = scope.instance().map_or("", InstanceId::as_str);
    [scope.level().name(), instance, scope.id().unwrap_or_default()].map(str::to_owned).into()
}

fn scope_of(parts: &[String]) -> Option<Scope> {
    let [level, instance, id] = parts else { return None };
    let instance = || InstanceId::new(instance).ok();
    Some(match Level::ALL.into_iter().find(|known| known.name() == level)? {
        Level::System => Scope::System,
        Level::Instance => Scope::Instance(instance()?),
        Level::Organization => Scope::Organization(instance()?, OrganizationId::new(id).ok()?),
        Level::User => Scope::User(instance()?, UserId::new(id).ok()?),
    })
}
