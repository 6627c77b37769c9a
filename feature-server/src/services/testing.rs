//! Shared by the unit tests: the schema of the real protos, principals and callers, metadata. No test is here.

use std::collections::BTreeMap;
use std::num::NonZeroUsize;
use std::sync::{Arc, LazyLock};

use feature_api::schema::Schema;
use feature_auth::access::{AccessRules, CallNames, Caller, MethodRules, NamedCaller, Rule};
use feature_auth::roles::Roles;
use feature_auth::{AuthError, Grant, Identity, Principal};
use feature_core::{InstanceId, OrganizationId, UserId};
use feature_store::{Committer, EventLog, FeatureStore, Readers, Versioned};
use http::{HeaderMap, HeaderName, HeaderValue};
use tokio::sync::Notify;

use crate::config::settings::Settings;
use crate::middleware::auth::rules;
use crate::services::backend::Backend;
use crate::services::catalogue::Catalogues;
use crate::services::response_cache::Answers;

/// The schema of the real protos.
pub(crate) fn schema() -> Schema {
    Schema::new(feature_api::descriptor_pool()).unwrap()
}

/// The same, made once.
static SCHEMA: LazyLock<Arc<Schema>> = LazyLock::new(|| Arc::new(schema()));

/// What services over this store and its history share, with so many bytes for cached answers.
pub(crate) fn backend(store: Arc<dyn FeatureStore>, log: Arc<dyn EventLog>, cache_bytes: usize) -> Arc<Backend> {
    let (schema, store) = (Arc::clone(&SCHEMA), Versioned::new(store));
    Arc::new(Backend {
        readers: Arc::new(Readers::start(store.clone(), NonZeroUsize::MIN, NonZeroUsize::MIN).unwrap()),
        committer: Arc::new(Committer::start(store.clone(), NonZeroUsize::MIN).unwrap()),
        answers: Answers::new(store.clone(), cache_bytes),
        catalogues: Arc::new(Catalogues::new(store.clone(), &schema)),
        consistency: None,
        limits: Settings::default().own_features,
        deleted: Notify::new(),
        schema,
        store,
        log,
        authenticator: None,
    })
}

/// A principal in texts. An empty text is none.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Who {
    pub(crate) instance: &'static str,
    /// The organization in the token.
    pub(crate) organization: &'static str,
    pub(crate) user: &'static str,
    /// Built-in roles with the organizations that they are granted in: `ORG_OWNER@acme IAM_OWNER`.
    pub(crate) roles: &'static str,
}

impl Who {
    pub(crate) fn principal(self) -> Arc<Principal> {
        let roles = Roles::new(&BTreeMap::new());
        let grant = |text: &str| {
            let (role, id) = text.split_once('@').unwrap_or((text, ""));
            Grant { role: Arc::clone(roles.get(role).unwrap()), organization: organization(id) }
        };
        let instance = (!self.instance.is_empty()).then(|| InstanceId::new(self.instance).unwrap());
        Arc::new(Principal {
            identity: Identity::new("tests", "tester", instance.as_ref()),
            subject: "tester".to_owned(),
            user: (!self.user.is_empty()).then(|| UserId::new(self.user).unwrap()),
            instance,
            organization: organization(self.organization),
            grants: self.roles.split_whitespace().map(grant).collect(),
            expires_at: u64::MAX,
            token: None,
        })
    }
}

fn organization(id: &str) -> Option<OrganizationId> {
    (!id.is_empty()).then(|| OrganizationId::new(id).unwrap())
}

/// A call that names the instance `demo` and an organization. An empty text names none.
struct Names<'n>(&'n str);

impl CallNames for Names<'_> {
    fn instance(&self) -> Result<Option<InstanceId>, AuthError> {
        Ok(InstanceId::new("demo").ok())
    }

    fn organization(&self) -> Result<Option<OrganizationId>, AuthError> {
        Ok(organization(self.0))
    }
}

/// The caller of a method of instance `demo`, who names this organization.
pub(crate) fn caller(who: Who, rule: Rule, organization: &str) -> Result<Caller, AuthError> {
    Caller::admit(who.principal(), Arc::new(rule), &Names(organization))
}

/// The caller of the method of `feature.v1` at this path, in instance `demo`.
pub(crate) fn named_caller(who: Who, path: &str) -> NamedCaller {
    static RULES: LazyLock<AccessRules> = LazyLock::new(|| rules::of(&SCHEMA, &Settings::default().server));
    let rules = RULES.find(path).unwrap();
    let Some(MethodRules::ByLevel(rules)) = rules else { panic!("{path} has no rule for each level") };
    NamedCaller::admit(who.principal(), rules, &Names("")).unwrap()
}

/// Metadata in texts: `name: value` in each.
pub(crate) fn metadata(entries: &[&str]) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for (name, value) in entries.iter().map(|entry| entry.split_once(": ").unwrap()) {
        headers.append(name.parse::<HeaderName>().unwrap(), HeaderValue::try_from(value).unwrap());
    }
    headers
}

/// The outcome of a check, short enough for a table.
pub(crate) fn outcome<T>(result: Result<T, AuthError>, shown: impl FnOnce(T) -> String) -> String {
    match result {
        Ok(value) => shown(value),
        Err(AuthError::PermissionMissing { .. }) => "denied".to_owned(),
        Err(AuthError::InstanceUnknown) => "no instance".to_owned(),
        Err(AuthError::FieldInvalid { field, .. }) => format!("bad {field}"),
        Err(other) => panic!("{other}"),
    }
}
