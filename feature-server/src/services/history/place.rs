//! The place of changes: what has changed, and the filter of a request.

use feature_api::feature::v1::Level as LevelName;
use feature_api::filter::{Field, FieldType, Filter};
use feature_api::resource_name::{SettingsName, of_scope};
use feature_auth::access::NamedCaller;
use feature_core::{Event, InstanceId, Scope};
use feature_store::Term;

use super::check_user;
use super::message::{credential_kind, issuer, kind};
use crate::error::Failure;
use crate::services::backend::Backend;
use crate::services::request::resource::{Resource, owner};

const LEVELS: [&str; 4] = ["LEVEL_SYSTEM", "LEVEL_INSTANCE", "LEVEL_ORGANIZATION", "LEVEL_USER"];
const KINDS: [&str; 4] = ["CHANGE_KIND_SET", "CHANGE_KIND_RESET", "CHANGE_KIND_DEFINITION", "CHANGE_KIND_ERASE"];

const CREDENTIAL_KINDS: [&str; 3] =
    ["CREDENTIAL_KIND_UNSPECIFIED", "CREDENTIAL_KIND_TOKEN", "CREDENTIAL_KIND_CERTIFICATE"];

/// What a filter can compare.
const FIELDS: [(&str, FieldType<'static>); 9] = [
    ("feature", FieldType::Keys),
    ("actor", FieldType::Text),
    ("issuer", FieldType::Text),
    ("credential_kind", FieldType::Enum(&CREDENTIAL_KINDS)),
    ("kind", FieldType::Enum(&KINDS)),
    ("level", FieldType::Enum(&LEVELS)),
    ("create_time", FieldType::Time),
    ("request_id", FieldType::Text),
    ("comment", FieldType::Text),
];

/// Which changes a request asks for.
pub(crate) struct Place {
    within: Within,
    filter: Filter,
    terms: Vec<Term>,
}

/// What has changed.
enum Within {
    Everything,
    /// An instance, and all scopes in it.
    Instance(InstanceId),
    /// One scope.
    Settings(Resource),
}

impl Place {
    /// The place that a request names, if the caller has the right on it.
    ///
    /// # Errors
    /// [`Failure::Auth`], and [`Failure::Request`] for a malformed name or filter.
    pub(crate) fn new(caller: &NamedCaller, parent: &str, filter: &str) -> Result<Self, Failure> {
        let parent = SettingsName::of_changes(parent).map_err(|error| Failure::field("parent", error.to_string()))?;
        let within = match parent {
            None => Within::of_owner(owner(caller, None)?),
            Some(SettingsName::Instance(instance)) => Within::of_owner(owner(caller, Some(&instance))?),
            Some(settings) => Within::Settings(Resource::named(caller, &settings)?.1),
        };
        let term = match &within {
            Within::Everything => None,
            Within::Instance(instance) => Some(Term::instance(instance)),
            Within::Settings(resource) => Some(Term::scope(resource.scope())),
        };
        let filter = Filter::parse(filter, &FIELDS).map_err(|error| Failure::field("filter", error.to_string()))?;
        let by_filter = [filter.required("feature").map(Term::feature), filter.required("actor").map(Term::actor)];
        let terms = term.into_iter().chain(by_filter.into_iter().flatten()).collect();
        Ok(Self { within, filter, terms })
    }

    /// Checks what needs a look into the store: a caller of an organization may reach some users only.
    ///
    /// # Errors
    /// [`Failure::Auth`], and those of the store.
    pub(crate) fn check(&self, backend: &Backend) -> Result<(), Failure> {
        match &self.within {
            Within::Settings(resource) => check_user(backend, resource),
            Within::Everything | Within::Instance(_) => Ok(()),
        }
    }

    /// Whether it is a user, who can come out of reach.
    pub(crate) fn is_user(&self) -> bool {
        matches!(self.within, Within::Settings(Resource::User(_)))
    }

    /// What all of these changes concern.
    pub(crate) fn terms(&self) -> &[Term] {
        &self.terms
    }

    /// A name of the place, without the filter.
    pub(crate) fn name(&self) -> String {
        match &self.within {
            Within::Everything => String::new(),
            Within::Instance(instance) => format!("in {instance}"),
            Within::Settings(resource) => of_scope(resource.scope()),
        }
    }

    /// Whether an event is one of them. The index finds others, too.
    pub(crate) fn includes(&self, event: &Event) -> bool {
        self.within.has(&event.scope)
            && self.filter.matches(|field| match field {
                "feature" => Field::Texts(keys(event)),
                "actor" => Field::Text(&event.actor),
                "issuer" => Field::Text(issuer(event)),
                "credential_kind" => Field::Text(credential_kind(event).as_str_name()),
                "kind" => Field::Text(kind(event).as_str_name()),
                "level" => Field::Text(LevelName::from(event.scope.level()).as_str_name()),
                "create_time" => Field::Time(event.time),
                "request_id" => Field::Text(&event.request_id),
                _ => Field::Text(&event.comment),
            })
    }
}

impl Within {
    fn of_owner(instance: Option<InstanceId>) -> Self {
        instance.map_or(Self::Everything, Self::Instance)
    }

    fn has(&self, scope: &Scope) -> bool {
        match self {
            Self::Everything => true,
            Self::Instance(instance) => scope.instance() == Some(instance),
            Self::Settings(resource) => scope == resource.scope(),
        }
    }
}

/// The keys of the features that an event concerns.
fn keys(event: &Event) -> Vec<&str> {
    match &event.scope {
        Scope::Definition(_, key) => vec![key.key().as_str()],
        _ => event.changes.iter().map(|change| change.key.as_str()).collect(),
    }
}
