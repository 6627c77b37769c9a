//! `feature.v1.SettingsService`: the settings of features on four levels, built-in features and own ones alike.
//!
//! It reads and writes the same records as the feature service, with the same rights. What differs is that features
//! come from the catalogue, and that values are JSON.

mod erase;
mod explain;
mod feature_filter;
#[cfg(test)]
mod histories;
mod lists;
mod revert;
mod size;
mod update;
mod view;

use std::sync::Arc;

use feature_api::feature::v1::{
    BatchGetSettingsRequest, BatchGetSettingsResponse, ExplainFeatureRequest, GetSettingsRequest, Settings,
};
use feature_api::resource_name::{InstanceName, SettingsName};
use feature_auth::access::{Caller, NamedCaller};
use feature_core::Scope;

pub(super) use self::feature_filter::FeatureFilter;
pub(super) use self::view::View;
use crate::error::Failure;
use crate::services::backend::{Backend, Call};
use crate::services::request::moment::At;
use crate::services::request::resource::Resource;
use crate::services::response_cache::{Asked, Basis, Frame, Question};

/// The most bytes of an answer with values.
const ANSWER_MAX_BYTES: usize = 4 * 1024 * 1024;

/// The service.
#[derive(Clone)]
pub struct SettingsService {
    backend: Arc<Backend>,
}

impl SettingsService {
    /// The service of this store.
    pub fn new(backend: Arc<Backend>) -> Self {
        Self { backend }
    }

    /// Answers one call.
    ///
    /// # Errors
    /// Any [`Failure`] that the protos name.
    pub(super) async fn call(&self, call: Call<'_>) -> Result<Frame, Failure> {
        // Boxed, because every future is as large as its largest part.
        match call.name() {
            "GetSettings" => self.get(call).await,
            "BatchGetSettings" => Box::pin(self.batch_get(call)).await,
            "ExplainFeature" => Box::pin(self.explain(call)).await,
            "UpdateSettings" => Box::pin(self.update(call)).await,
            "BatchUpdateSettings" => Box::pin(self.batch_update(call)).await,
            "RevertSettings" => Box::pin(self.revert(call)).await,
            "ResetSettings" => Box::pin(self.reset(call)).await,
            "EraseUser" => Box::pin(self.erase_user(call)).await,
            "ListScopes" => Box::pin(self.list_scopes(call)).await,
            "ListOverrides" => Box::pin(self.list_overrides(call)).await,
            _ => Err(Failure::MethodUnknown(call.method.path.clone())),
        }
    }

    async fn get(&self, call: Call<'_>) -> Result<Frame, Failure> {
        // An equal caller with the same request had the right.
        let question = Question { asked: Asked::Settings(call.caller), message: call.message };
        if let Some(frame) = self.backend.answers.find(&question) {
            call.context.counters().answered(true);
            return Ok(frame);
        }
        // Boxed, because most calls end before it.
        let (settings, basis) = Box::pin(self.read(call)).await?;
        let frame = Frame::of(&settings);
        if let Some(basis) = basis {
            self.backend.answers.keep(&question, &frame, basis);
        }
        call.context.counters().answered(false);
        Ok(frame)
    }

    /// The settings, with what they are based on if they are those of now.
    async fn read(&self, call: Call<'_>) -> Result<(Settings, Option<Basis>), Failure> {
        let GetSettingsRequest { name: text, inheritance, features, at } = call.request()?;
        let (caller, resource) = Resource::named(call.caller, &name("name", &text)?)?;
        let is_past = at.is_some();
        let read = move |backend: &Backend, basis: &mut Basis| {
            let mut budget = ANSWER_MAX_BYTES;
            let at = At::new(at.as_ref());
            View::read(backend, &caller, &resource, inheritance, &at, basis)?.settings(&features, &mut budget)
        };
        let (settings, basis) = self.backend.read(call.context, read).await?;
        Ok((settings, Some(basis).filter(|_| !is_past)))
    }

    async fn batch_get(&self, call: Call<'_>) -> Result<Frame, Failure> {
        let BatchGetSettingsRequest { parent, names, inheritance, features, at } = call.request()?;
        let named = names.iter().enumerate().map(|(index, text)| {
            let field = format!("names[{index}]");
            let (caller, resource) = Resource::named(call.caller, &name(&field, text)?)?;
            check_parent(call.caller, &parent, &resource, &field)?;
            Ok((caller, resource))
        });
        let named: Vec<_> = named.collect::<Result<_, Failure>>()?;
        let (named, is_past): (Arc<[_]>, _) = (named.into(), at.is_some());
        let read = move |backend: &Backend, basis: &mut Basis| {
            let mut budget = ANSWER_MAX_BYTES;
            let at = At::new(at.as_ref());
            let read = |(caller, resource): &(Caller, Resource)| {
                View::read(backend, caller, resource, inheritance, &at, basis)?.settings(&features, &mut budget)
            };
            named.iter().map(read).collect::<Result<Vec<_>, Failure>>()
        };
        let settings = match is_past {
            // What was once does not change any more.
            true => self.backend.read(call.context, read).await?.0,
            false => self.backend.read_at_once(call.context, read).await?,
        };
        Ok(Frame::of(&BatchGetSettingsResponse { settings }))
    }

    async fn explain(&self, call: Call<'_>) -> Result<Frame, Failure> {
        let ExplainFeatureRequest { name: text, feature, at } = call.request()?;
        let (caller, resource) = Resource::named(call.caller, &name("name", &text)?)?;
        let read = move |backend: &Backend, basis: &mut Basis| {
            let at = At::new(at.as_ref());
            let view = View::read(backend, &caller, &resource, true, &at, basis)?;
            view.explain(&feature, at.revision(backend)?, backend, &caller)
        };
        let (explanation, _) = self.backend.read(call.context, read).await?;
        Ok(Frame::of(&explanation))
    }
}

/// Reads the name of settings. `field`: where the request has it.
pub(super) fn name(field: &str, text: &str) -> Result<SettingsName, Failure> {
    SettingsName::new(text).map_err(|error| Failure::field(field, error.to_string()))
}

/// Checks that a resource of a batch belongs to the instance that the batch names, if it names one.
pub(super) fn check_parent(
    caller: &NamedCaller,
    parent: &str,
    resource: &Resource,
    field: &str,
) -> Result<(), Failure> {
    let parent =
        feature_api::resource_name::parent(parent).map_err(|error| Failure::field("parent", error.to_string()))?;
    let parent = match &parent {
        None => return Ok(()),
        Some(InstanceName::Id(parent)) => Some(parent),
        Some(InstanceName::Current) => caller.instance(),
    };
    if resource.scope().instance() == parent {
        Ok(())
    } else {
        Err(Failure::field(field, "does not belong to the parent"))
    }
}

/// The settings of a scope, without values.
fn without_values(scope: &Scope, details: &feature_core::Details) -> Settings {
    Settings {
        name: feature_api::resource_name::of_settings(scope).unwrap_or_default(),
        values: Default::default(),
        create_time: details.created.map(feature_api::response::timestamp),
        update_time: details.changed.map(feature_api::response::timestamp),
        etag: crate::services::catalogue::etag(details.sequence),
    }
}
