//! The calls about own features, and the checks of their answers. All of them are in the instance `demo`.

use std::collections::BTreeMap;

use anyhow::{Result, ensure};
use bytes::Bytes;
use feature_api::feature::v1::{
    BatchUpdateSettingsRequest, BatchUpdateSettingsResponse, CreateFeatureDefinitionRequest, FeatureDefinition,
    GetSettingsRequest, Settings, UpdateSettingsRequest, ValueSource, ValueType, Visibility, WatchValuesRequest,
};
use http::Request;
use prost::Message;
use prost_types::value::Kind;

use super::super::frame::decode;
use super::Feature;
use crate::load::{Call, Client};

/// The users of one write.
pub const BATCH: usize = 100;

/// The levels that a user inherits from, and its own.
const SCOPES: [&str; 4] = [
    "system/settings",
    "instances/demo/settings",
    "instances/demo/organizations/acme/settings",
    "instances/demo/users/ann/settings",
];

fn key(number: usize) -> String {
    format!("own.feature-{number:05}")
}

fn flag(value: bool) -> prost_types::Value {
    prost_types::Value { kind: Some(Kind::BoolValue(value)) }
}

fn user(number: usize) -> String {
    format!("instances/demo/users/user-{number}/settings")
}

impl Feature {
    /// The definition of a boolean feature of the system; the turn is its number.
    pub fn define(&self) -> Call {
        let tenant = self.tenant("demo", "acme");
        let define = move |number| {
            let definition = FeatureDefinition {
                value_type: ValueType::Boolean.into(),
                default_value: Some(flag(false)),
                visibility: Visibility::Client.into(),
                ..Default::default()
            };
            let message = CreateFeatureDefinitionRequest {
                feature_definition_id: key(number),
                feature_definition: Some(definition),
                ..Default::default()
            };
            tenant.request_to("/feature.v1.DefinitionService/CreateFeatureDefinition", &message)
        };
        Call::new(define, |_, answer| {
            ensure!(!decode::<FeatureDefinition>(answer)?.etag.is_empty(), "an answer without an etag");
            Ok(())
        })
    }

    /// Sets this number of own features on every level that the user `ann` inherits from.
    pub async fn set_own(&self, features: usize) -> Result<()> {
        let client = Client::connect(&self.process.address).await?;
        for name in SCOPES {
            let set: BTreeMap<_, _> = (0..features).map(|number| (key(number), flag(true))).collect();
            let message = UpdateSettingsRequest { name: name.to_owned(), set, ..Default::default() };
            client.answer(self.to_settings("UpdateSettings", &message)).await?;
        }
        Ok(())
    }

    /// The inheriting read of the user `ann`: of these own features, or of all features.
    pub async fn get_own(&self, features: Option<usize>) -> Result<Call> {
        let features: Vec<_> = (0..features.unwrap_or(0)).map(key).collect();
        let message = GetSettingsRequest { name: SCOPES[3].to_owned(), inheritance: true, features, at: None };
        self.constant(self.to_settings("GetSettings", &message)).await
    }

    /// The first write of two of so many own features for each of [`BATCH`] users; the turn is the number of the batch.
    pub fn set_own_of_many(&self, features: usize) -> Call {
        let tenant = self.tenant("demo", "acme");
        let set = move |batch| {
            let of_user = |number: usize| {
                let set = [number % features, (number + 1) % features].map(|feature| (key(feature), flag(true)));
                UpdateSettingsRequest { name: user(number), set: set.into(), ..Default::default() }
            };
            let requests = (batch * BATCH..(batch + 1) * BATCH).map(of_user).collect();
            let message = BatchUpdateSettingsRequest { requests, ..Default::default() };
            tenant.request_to("/feature.v1.SettingsService/BatchUpdateSettings", &message)
        };
        Call::new(set, |_, answer| {
            let answer: BatchUpdateSettingsResponse = decode(answer)?;
            ensure!(answer.responses.len() == BATCH, "an answer for another number of users");
            Ok(())
        })
    }

    /// Reads one of the own features of a user, who has set it.
    pub async fn read_own_of(&self, number: usize, features: usize) -> Result<()> {
        self.read_set(user(number), key(number % features)).await
    }

    /// Reads a feature that a user has set. `name`: of the user's settings.
    pub async fn read_set(&self, name: String, feature: String) -> Result<()> {
        let message = GetSettingsRequest { name, inheritance: true, features: vec![feature], at: None };
        let client = Client::connect(&self.process.address).await?;
        let settings: Settings = decode(&client.answer(self.to_settings("GetSettings", &message)).await?)?;
        let sources: Vec<_> = settings.values.values().map(|value| value.source()).collect();
        ensure!(sources == [ValueSource::User], "the user has not set the feature: {sources:?}");
        Ok(())
    }

    /// A watch of the values of an instance.
    pub fn watch(&self, instance: &str) -> Request<Bytes> {
        let heartbeat = Some(prost_types::Duration { seconds: 60, nanos: 0 });
        let names = vec![format!("instances/{instance}/settings")];
        let message = WatchValuesRequest { names, heartbeat, ..Default::default() };
        self.tenant(instance, "acme").request_to("/feature.v1.WatchService/WatchValues", &message)
    }

    /// A write that such a watch shows.
    pub fn set_watched(&self, instance: &str, value: bool) -> Request<Bytes> {
        let set = [("actions".to_owned(), flag(value))].into();
        let name = format!("instances/{instance}/settings");
        let message = UpdateSettingsRequest { name, set, ..Default::default() };
        self.tenant(instance, "acme").request_to("/feature.v1.SettingsService/UpdateSettings", &message)
    }

    fn to_settings(&self, method: &str, message: &impl Message) -> Request<Bytes> {
        self.tenant("demo", "acme").request_to(&format!("/feature.v1.SettingsService/{method}"), message)
    }
}
