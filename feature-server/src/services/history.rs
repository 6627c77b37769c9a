//! `feature.v1.HistoryService`: who changed what, when and why.

mod list;
mod message;
mod place;

use std::sync::Arc;

use feature_api::feature::v1::{Change, GetChangeRequest};
use feature_api::resource_name::{self, InstanceName, SettingsName};
use feature_auth::AuthError;
use feature_auth::access::NamedCaller;
use feature_core::{Level, Scope};
use feature_store::FeatureStore;

pub(super) use self::message::change;
pub(super) use self::place::Place;
use crate::error::{Failure, OwnFeatureFailure};
use crate::services::backend::{Backend, Call};
use crate::services::request::resource::Resource;
use crate::services::response_cache::Frame;

/// The service.
#[derive(Clone)]
pub struct HistoryService {
    backend: Arc<Backend>,
}

impl HistoryService {
    /// The service of this store.
    pub fn new(backend: Arc<Backend>) -> Self {
        Self { backend }
    }

    /// Answers one call.
    ///
    /// # Errors
    /// Any [`Failure`] that the protos name.
    pub(super) async fn call(&self, call: Call<'_>) -> Result<Frame, Failure> {
        match call.name() {
            "GetChange" => Ok(Frame::of(&self.get(call).await?)),
            "ListChanges" => Ok(Frame::of(&self.list(call).await?)),
            _ => Err(Failure::MethodUnknown(call.method.path.clone())),
        }
    }

    async fn get(&self, call: Call<'_>) -> Result<Change, Failure> {
        let GetChangeRequest { name } = call.request()?;
        let revision = resource_name::revision_of_change(&name);
        let revision = revision.map_err(|error| Failure::field("name", error.to_string()))?;
        let caller = call.caller.clone();
        let read = move |backend: &Backend, _: &mut _| {
            let event = backend.log.events_at(&[revision])?.pop();
            let unknown = || OwnFeatureFailure::ChangeUnknown(revision);
            let event = event.ok_or_else(unknown)?;
            match check(backend, &caller, &event.scope) {
                Ok(()) => Ok(change(&event, backend)),
                // Without the right, a change that exists looks like one that does not.
                Err(Failure::Auth(AuthError::PermissionMissing { .. })) => Err(unknown().into()),
                Err(failure) => Err(failure),
            }
        };
        Ok(self.backend.read(call.context, read).await?.0)
    }
}

/// Checks the caller's right on a scope. Users count to the organization that is recorded for them.
///
/// # Errors
/// [`AuthError`], and those of the store.
fn check(backend: &Backend, caller: &NamedCaller, scope: &Scope) -> Result<(), Failure> {
    let instance = scope.instance().cloned().map(InstanceName::Id);
    match scope {
        Scope::Definition(..) => crate::services::request::resource::owner(caller, instance.as_ref()).map(drop),
        Scope::System => Ok(caller.at(Level::System, None)?.system().map(drop)?),
        Scope::Instance(id) => check_settings(backend, caller, &SettingsName::Instance(InstanceName::Id(id.clone()))),
        Scope::Organization(instance, id) => {
            let instance = InstanceName::Id(instance.clone());
            check_settings(backend, caller, &SettingsName::Organization(instance, id.clone()))
        }
        Scope::User(instance, id) => {
            check_settings(backend, caller, &SettingsName::User(InstanceName::Id(instance.clone()), id.clone()))
        }
    }
}

fn check_settings(backend: &Backend, caller: &NamedCaller, name: &SettingsName) -> Result<(), Failure> {
    let resource = Resource::named(caller, name)?.1;
    check_user(backend, &resource)
}

/// Checks that a user is within the caller's reach.
fn check_user(backend: &Backend, resource: &Resource) -> Result<(), Failure> {
    if let Resource::User(access) = resource {
        let recorded = backend.store.record(&access.scope)?.organization;
        access.reads_through(recorded.as_ref())?;
    }
    Ok(())
}
