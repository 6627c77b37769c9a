//! Erasures: what is known of a user goes out of the settings and out of the history.

use std::slice;

use feature_api::feature::v1::{EraseUserRequest, UpdateSettingsRequest, UpdateSettingsResponse};
use feature_api::resource_name::{InstanceName, SettingsName};
use feature_core::{Operation, Placement, Scope, Write};

use super::update::{Change, key_of, refused};
use super::{SettingsService, without_values};
use crate::error::Failure;
use crate::services::backend::Call;
use crate::services::request::resource::Resource;
use crate::services::response_cache::Frame;

impl SettingsService {
    pub(super) async fn erase_user(&self, call: Call<'_>) -> Result<Frame, Failure> {
        let EraseUserRequest { name, validate_only, comment, request_id } = call.request()?;
        let request = UpdateSettingsRequest { name, validate_only, comment, request_id, ..Default::default() };
        let change = Change::new(call, request, String::new())?;
        let Scope::User(instance, _) = change.resource.scope() else {
            let problem = "must be the settings of a user: instances/INSTANCE/users/USER/settings";
            return Err(Failure::field("name", problem));
        };
        // The user may have changed anything in the instance.
        Resource::named(call.caller, &SettingsName::Instance(InstanceName::Id(instance.clone())))?;
        let key = key_of(call, &change.request.request_id, slice::from_ref(&change))?;
        // Nothing is learned of the user in passing.
        let placement = Placement::Keep;
        let write = change.write(call, Operation::Erase, Vec::new())?;
        let write = Write { idempotency_key: key, placement, ..write };
        let scope = write.scope.clone();
        let committed = self.backend.commit(call.context, vec![write]).await;
        let details = committed.map_err(|error| refused(error, &[change]))?.details;
        let settings = without_values(&scope, details.first().expect("one write has one outcome"));
        Ok(Frame::of(&UpdateSettingsResponse { settings: Some(settings), warnings: Vec::new() }))
    }
}
