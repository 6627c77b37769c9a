//! Random histories of definitions and settings: the services answer like a naive model, call by call.
//!
//! `PROPTEST_CASES` says how many histories, 256 by default.

mod model;

use std::sync::Arc;

use feature_api::feature::v1::*;
use feature_store::MemoryStore;
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::{select, subsequence};
use prost::Message;
use prost_types::FieldMask;
use prost_types::value::Kind;
use tokio::runtime::Builder;

use self::model::{KEYS, Model, SCOPES, Shown};
use crate::call_context::CallContext;
use crate::services::DEFINITIONS;
use crate::services::backend::{Backend, Call};
use crate::services::definitions::DefinitionService;
use crate::services::settings::SettingsService;
use crate::services::testing::{Who, backend, named_caller};

const OPERATOR: Who = Who { instance: "", organization: "", user: "", roles: "SYSTEM_OWNER" };

/// A call that changes something.
#[derive(Debug, Clone)]
enum Change {
    Create { parent: &'static str, key: &'static str, default: i64, minimum: Option<i64> },
    Default { name: String, default: i64 },
    Minimum { name: String, minimum: Option<i64>, violations: Violations },
    Levels { name: String, levels: Vec<Level> },
    State { name: String, verb: &'static str },
    Set { scope: usize, set: Vec<(&'static str, i64)>, unset: Vec<&'static str>, replace_all: bool },
    Both { set: [(usize, &'static str, i64); 2] },
    Reset { scope: usize },
}

struct Services {
    backend: Arc<Backend>,
    definitions: DefinitionService,
    settings: SettingsService,
}

impl Services {
    fn new() -> Self {
        let store = Arc::new(MemoryStore::default());
        let backend = backend(store.clone(), store, 1 << 20);
        let (definitions, settings) =
            (DefinitionService::new(Arc::clone(&backend)), SettingsService::new(Arc::clone(&backend)));
        Self { backend, definitions, settings }
    }

    /// The answer, or the reason of the refusal.
    async fn call<A: Message + Default>(&self, method: &str, request: &impl Message) -> Result<A, String> {
        let path = format!("/feature.v1.{method}");
        let (context, message) = (CallContext::for_tests(), request.encode_to_vec());
        let caller = &named_caller(OPERATOR, &path);
        let method = self.backend.schema.method(&path).unwrap();
        let call = Call { method, caller, context: &context, message: &message };
        let answered = match path.contains(DEFINITIONS) {
            true => self.definitions.call(call).await,
            false => self.settings.call(call).await,
        };
        let frame = answered.map_err(|failure| failure.reason().to_owned())?;
        Ok(A::decode(frame.message()).unwrap())
    }

    async fn change(&self, change: &Change) -> Result<(), String> {
        match change.clone() {
            Change::Create { parent, key, default, minimum } => {
                let definition = FeatureDefinition {
                    value_type: ValueType::Integer.into(),
                    default_value: Some(number(default)),
                    constraints: minimum.map(constraints),
                    ..Default::default()
                };
                let request = CreateFeatureDefinitionRequest {
                    parent: parent.to_owned(),
                    feature_definition_id: key.to_owned(),
                    feature_definition: Some(definition),
                    ..Default::default()
                };
                self.call::<FeatureDefinition>("DefinitionService/CreateFeatureDefinition", &request).await.map(drop)
            }
            Change::Default { name, default } => {
                let definition = FeatureDefinition { default_value: Some(number(default)), ..Default::default() };
                self.update(name, definition, "default_value", Violations::Unspecified).await
            }
            Change::Minimum { name, minimum, violations } => {
                let definition = FeatureDefinition { constraints: minimum.map(constraints), ..Default::default() };
                self.update(name, definition, "constraints", violations).await
            }
            Change::Levels { name, levels } => {
                let levels = levels.into_iter().map(i32::from).collect();
                let definition = FeatureDefinition { levels, ..Default::default() };
                self.update(name, definition, "levels", Violations::Unspecified).await
            }
            Change::State { name, verb } => {
                let request = ArchiveFeatureDefinitionRequest { name, ..Default::default() };
                let method = format!("DefinitionService/{verb}FeatureDefinition");
                self.call::<FeatureDefinition>(&method, &request).await.map(drop)
            }
            Change::Set { scope, set, unset, replace_all } => {
                let unset = unset.into_iter().map(str::to_owned).collect();
                let request = UpdateSettingsRequest { unset, replace_all, ..set_in(scope, &set) };
                self.call::<UpdateSettingsResponse>("SettingsService/UpdateSettings", &request).await.map(drop)
            }
            Change::Both { set } => {
                let requests = set.map(|(scope, key, value)| set_in(scope, &[(key, value)])).into();
                let request = BatchUpdateSettingsRequest { requests, ..Default::default() };
                self.call::<BatchUpdateSettingsResponse>("SettingsService/BatchUpdateSettings", &request)
                    .await
                    .map(drop)
            }
            Change::Reset { scope } => {
                let request = ResetSettingsRequest { name: SCOPES[scope].to_owned(), ..Default::default() };
                self.call::<UpdateSettingsResponse>("SettingsService/ResetSettings", &request).await.map(drop)
            }
        }
    }

    async fn update(
        &self,
        name: String,
        definition: FeatureDefinition,
        field: &str,
        violations: Violations,
    ) -> Result<(), String> {
        let request = UpdateFeatureDefinitionRequest {
            feature_definition: Some(FeatureDefinition { name, ..definition }),
            update_mask: Some(FieldMask { paths: vec![field.to_owned()] }),
            violations: violations.into(),
            ..Default::default()
        };
        self.call::<FeatureDefinition>("DefinitionService/UpdateFeatureDefinition", &request).await.map(drop)
    }

    /// What a feature is in a scope: the value with its source, the value without what the scope sets, and the outcome
    /// of each level.
    async fn shown(&self, scope: usize, key: &str) -> Result<Shown, String> {
        let name = SCOPES[scope].to_owned();
        let get = GetSettingsRequest { name: name.clone(), inheritance: true, features: vec![key.to_owned()] };
        let explain = ExplainFeatureRequest { name, feature: key.to_owned() };
        let settings = self.call::<Settings>("SettingsService/GetSettings", &get).await;
        let explained = self.call::<Explanation>("SettingsService/ExplainFeature", &explain).await;
        let (settings, explained) = match (settings, explained) {
            (Ok(settings), Ok(explained)) => (settings, explained),
            (Err(of_get), Err(of_explain)) if of_get == of_explain => return Err(of_get),
            (of_get, of_explain) => panic!("a read answers {of_get:?}, and its explanation {of_explain:?}"),
        };
        let resolved = settings.values.into_values().next();
        assert_eq!(explained.result, resolved, "a read and its explanation");
        let shown =
            |value: Option<ResolvedValue>| value.map(|value| (integer(&value.value), value.source().as_str_name()));
        let outcomes = explained.levels.iter().map(|level| level.outcome().as_str_name()).collect();
        Ok(Shown { value: shown(resolved), without: shown(explained.without_this_level), outcomes })
    }

    /// The scopes of a feature with their values, in the system or in the instance.
    async fn overrides(&self, parent: String) -> Result<Vec<(String, i64, bool)>, String> {
        let (mut found, mut page_token) = (Vec::new(), String::new());
        loop {
            let request =
                ListOverridesRequest { parent: parent.clone(), page_size: 2, page_token, ..Default::default() };
            let page: ListOverridesResponse = self.call("SettingsService/ListOverrides", &request).await?;
            found.extend(page.overrides.into_iter().map(|it| (it.settings.clone(), integer(&it.value), it.counts)));
            page_token = page.next_page_token;
            if page_token.is_empty() {
                return Ok(found);
            }
        }
    }
}

fn set_in(scope: usize, set: &[(&'static str, i64)]) -> UpdateSettingsRequest {
    let set = set.iter().map(|(key, value)| ((*key).to_owned(), number(*value))).collect();
    UpdateSettingsRequest { name: SCOPES[scope].to_owned(), set, ..Default::default() }
}

fn number(value: i64) -> prost_types::Value {
    prost_types::Value { kind: Some(Kind::NumberValue(value as f64)) }
}

fn integer(value: &Option<prost_types::Value>) -> i64 {
    match value.as_ref().and_then(|value| value.kind.as_ref()) {
        Some(Kind::NumberValue(number)) => *number as i64,
        other => panic!("a number is expected, and this is {other:?}"),
    }
}

fn constraints(minimum: i64) -> Constraints {
    Constraints { minimum: Some(minimum as f64), ..Default::default() }
}

fn change() -> impl Strategy<Value = Change> {
    let parent = || select(vec!["", "instances/demo"]);
    let key = || select(KEYS.to_vec());
    let name = || {
        (parent(), key()).prop_map(|(parent, key)| match parent {
            "" => format!("features/{key}"),
            parent => format!("{parent}/features/{key}"),
        })
    };
    let (value, scope) = (|| 0..4_i64, || 0..SCOPES.len());
    let minimum = || prop::option::of(0..3_i64);
    let verbs = ["Deprecate", "Undeprecate", "Archive", "Unarchive", "Delete", "Undelete"];
    let violations = vec![Violations::Unspecified, Violations::Keep, Violations::Unset];
    let levels = vec![Level::System, Level::Instance, Level::Organization, Level::User];
    prop_oneof![
        3 => (parent(), key(), value(), minimum())
            .prop_map(|(parent, key, default, minimum)| Change::Create { parent, key, default, minimum }),
        1 => (name(), value()).prop_map(|(name, default)| Change::Default { name, default }),
        2 => (name(), minimum(), select(violations))
            .prop_map(|(name, minimum, violations)| Change::Minimum { name, minimum, violations }),
        1 => (name(), subsequence(levels, 0..=4)).prop_map(|(name, levels)| Change::Levels { name, levels }),
        3 => (name(), select(verbs.to_vec())).prop_map(|(name, verb)| Change::State { name, verb }),
        8 => (scope(), vec((key(), value()), 0..3), vec(key(), 0..2), prop::bool::weighted(0.2))
            .prop_map(|(scope, set, unset, replace_all)| Change::Set { scope, set, unset, replace_all }),
        1 => (scope(), key(), value(), scope(), key(), value())
            .prop_map(|(a, k, x, b, l, y)| Change::Both { set: [(a, k, x), (b, l, y)] }),
        1 => scope().prop_map(|scope| Change::Reset { scope }),
    ]
}

proptest! {
    #[test]
    fn every_history_of_definitions_and_settings_is_that_of_the_model(changes in vec(change(), 1..30)) {
        let runtime = Builder::new_current_thread().enable_time().build().unwrap();
        runtime.block_on(async {
            let (services, mut model) = (Services::new(), Model::default());
            for change in &changes {
                prop_assert_eq!(services.change(change).await, model.change(change), "{:?}", change);
            }
            for key in KEYS {
                for (scope, name) in SCOPES.into_iter().enumerate() {
                    prop_assert_eq!(services.shown(scope, key).await, model.shown(scope, key),  "{} {}", name, key);
                }
                for parent in ["", "instances/demo/"] {
                    let overrides = services.overrides(format!("{parent}features/{key}")).await;
                    prop_assert_eq!(overrides, model.overrides(parent.is_empty(), key), "{}features/{}", parent, key);
                }
            }
            Ok(())
        })?;
    }
}
