//! Finds the layers that the answer to a Get is resolved from.

use feature_core::{Details, FeatureSet, Layer, Level, Record, Scope};
use feature_store::StoreError;

use crate::error::Failure;
use crate::services::request::resource::Resource;

/// The data for the answer to a Get.
pub(super) struct Found {
    /// The details of the resource itself.
    pub(super) details: Details,
    /// The layers to resolve, the least specific first, each with its level.
    pub(super) layers: Vec<(Level, Layer)>,
    /// Whether to answer every feature, or only those that the resource has set.
    pub(super) every_feature: bool,
}

impl Found {
    /// Finds the data for a Get of `resource`.
    ///
    /// * `features`: those of the service on this level. Own features are none of them.
    /// * `inheritance`: whether the resource's parents count.
    /// * `record`: reads the record of a scope.
    ///
    /// # Errors
    /// Those of `record`, of [`UserAccess::reads_through`](feature_auth::access::UserAccess::reads_through), and
    /// [`Failure::NoFeaturesSet`].
    pub(super) fn find(
        resource: &Resource,
        features: &FeatureSet,
        inheritance: bool,
        mut record: impl FnMut(&Scope) -> Result<Record, StoreError>,
    ) -> Result<Self, Failure> {
        let scope = resource.scope();
        let own = record(scope)?;
        let organization = resource.reads_through(own.organization.as_ref())?;
        // The system has no parent, so reading it always answers every feature.
        let every_feature = inheritance || *scope == Scope::System;
        if !every_feature && !features.keys().any(|key| own.layer.get(key.as_str()).is_some()) {
            let resource = scope.id().unwrap_or_default().to_owned();
            return Err(Failure::NoFeaturesSet { level: scope.level().name(), resource });
        }
        let mut layers = Vec::new();
        if every_feature {
            for parent in scope.parents(organization.as_ref()) {
                layers.push((parent.level(), record(&parent)?.layer));
            }
        }
        let details = own.details(scope, organization.as_ref());
        let details = details.owned_by(resource.owner(organization.as_ref()));
        layers.push((scope.level(), own.layer));
        Ok(Self { details, layers, every_feature })
    }
}
