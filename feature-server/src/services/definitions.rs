//! `feature.v1.DefinitionService`: the catalogue of features.
//!
//! A definition is a layer of its own scope, so a change of it is a patch like any other, and its sequence is its etag.

mod change;
mod checks;
mod list;
mod purge;
mod revert;
mod search;
mod state;
mod tightening;

use std::sync::Arc;

use feature_api::feature::v1::{FeatureDefinition, GetFeatureDefinitionRequest};
use feature_api::resource_name::{self, DefinitionName};
use feature_auth::access::NamedCaller;
use feature_core::{InstanceId, OwnKey};

pub use self::purge::purge_expired;
use crate::error::{Failure, OwnFeatureFailure};
use crate::services::backend::{Backend, Call};
use crate::services::catalogue::Feature;
use crate::services::request::moment::revision_of;
use crate::services::request::resource::owner;
use crate::services::response_cache::{Basis, Frame};

/// The service.
#[derive(Clone)]
pub struct DefinitionService {
    backend: Arc<Backend>,
}

impl DefinitionService {
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
        Ok(match call.name() {
            "GetFeatureDefinition" => Frame::of(&Box::pin(self.get(call)).await?),
            "SearchFeatures" => Frame::of(&Box::pin(self.search(call)).await?),
            "ListFeatureDefinitions" => Frame::of(&Box::pin(self.list(call)).await?),
            "CreateFeatureDefinition" => Frame::of(&Box::pin(self.create(call)).await?),
            "UpdateFeatureDefinition" => Frame::of(&Box::pin(self.update(call)).await?),
            "DeleteFeatureDefinition" => Frame::of(&Box::pin(self.delete(call)).await?),
            "RevertFeatureDefinition" => Frame::of(&Box::pin(self.revert(call)).await?),
            _ => Frame::of(&Box::pin(self.change_state(call)).await?),
        })
    }

    async fn get(&self, call: Call<'_>) -> Result<FeatureDefinition, Failure> {
        let GetFeatureDefinitionRequest { name: text, at } = call.request()?;
        let (owner, key) = named(call.caller, "name", &text)?;
        if at.is_some() {
            call.caller.reads_history_of(owner.as_ref())?;
        }
        let read = self.backend.read(call.context, move |backend, basis| {
            let at = revision_of(backend, at.as_ref())?;
            find(backend, owner.as_ref(), &key, at, basis)
        });
        let (feature, _) = read.await?;
        Ok(feature.message())
    }
}

/// The owner and the key of the definition with this name, if the caller has the right on it.
fn named(caller: &NamedCaller, field: &str, text: &str) -> Result<(Option<InstanceId>, OwnKey), Failure> {
    let wrong = |error: resource_name::NameError| Failure::field(field, error.to_string());
    let DefinitionName { owner: named, key } = DefinitionName::new(text).map_err(wrong)?;
    Ok((owner(caller, named.as_ref())?, key))
}

/// The feature that this owner defines under this key, now or at a revision. The built-in features are the system's.
fn find(
    backend: &Backend,
    owner: Option<&InstanceId>,
    key: &OwnKey,
    at: Option<u64>,
    basis: &mut Basis,
) -> Result<Arc<Feature>, Failure> {
    let key = key.key().as_str();
    let own = backend.catalogues.of_at(&*backend.log, owner, at, basis)?;
    let built_in = Some(backend.catalogues.built_in()).filter(|_| owner.is_none());
    let feature = own.find(key).or_else(|| built_in?.find(key));
    feature.cloned().ok_or_else(|| OwnFeatureFailure::Unknown(key.to_owned()).into())
}
