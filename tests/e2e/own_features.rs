//! Own features as a client sees them: the catalogue, settings on four levels, and explanations. Each test is a table
//! of calls on its own server.

mod batches;
mod definitions;
mod erasing;
mod history;
mod kept;
mod lifecycle;
mod lists;
mod past;
mod rights;
mod settings;
mod walk;

use serde_json::{Value as Json, json};

/// A request that defines a feature for the instance of the call.
fn define(key: &str, definition: Json) -> Json {
    json!({"parent": "instances/current", "featureDefinitionId": key, "featureDefinition": definition})
}

/// A boolean feature that all callers may read.
fn boolean() -> Json {
    json!({"valueType": "VALUE_TYPE_BOOLEAN", "defaultValue": false, "visibility": "VISIBILITY_CLIENT"})
}

/// The name of settings in the instance of the call.
fn settings(of: &str) -> String {
    if of.is_empty() { "instances/current/settings".to_owned() } else { format!("instances/current/{of}/settings") }
}

/// A change of settings.
fn change(of: &str, fields: Json) -> Json {
    let mut request = fields;
    request["name"] = settings(of).into();
    request
}

/// A read of settings with inheritance.
fn inherited(of: &str, features: &[&str]) -> Json {
    json!({"name": settings(of), "inheritance": true, "features": features})
}

/// A value in an answer.
fn value(value: impl Into<Json>, source: &str) -> Json {
    json!({"value": value.into(), "source": format!("VALUE_SOURCE_{source}")})
}

const CREATE: &str = "DefinitionService/CreateFeatureDefinition";
const GET_DEFINITION: &str = "DefinitionService/GetFeatureDefinition";
const LIST: &str = "DefinitionService/ListFeatureDefinitions";
const UPDATE_DEFINITION: &str = "DefinitionService/UpdateFeatureDefinition";
const GET: &str = "SettingsService/GetSettings";
const BATCH_GET: &str = "SettingsService/BatchGetSettings";
const UPDATE: &str = "SettingsService/UpdateSettings";
const BATCH_UPDATE: &str = "SettingsService/BatchUpdateSettings";
const RESET: &str = "SettingsService/ResetSettings";
const SCOPES: &str = "SettingsService/ListScopes";
const OVERRIDES: &str = "SettingsService/ListOverrides";
const SEARCH: &str = "DefinitionService/SearchFeatures";
const EXPLAIN: &str = "SettingsService/ExplainFeature";

/// A method that changes the state of a definition.
fn state(verb: &str) -> String {
    format!("DefinitionService/{verb}FeatureDefinition")
}
