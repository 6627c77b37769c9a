//! Random histories of definitions and settings: the services answer like a naive model, call by call.
//!
//! `PROPTEST_CASES` says how many histories, 256 by default.

mod change;
mod model;

use std::sync::Arc;

use feature_api::feature::v1::*;
use feature_api::resource_name::SettingsName;
use feature_core::{Layer, Scope};
use feature_store::{FeatureStore, MemoryStore, record_at};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::Index;
use prost::Message;
use prost_types::FieldMask;
use prost_types::value::Kind;
use tokio::runtime::Builder;

use self::change::{Change, change};
use self::model::{KEYS, Model, SCOPES, Shown};
use crate::call_context::CallContext;
use crate::services::DEFINITIONS;
use crate::services::backend::{Backend, Call};
use crate::services::definitions::DefinitionService;
use crate::services::request::resource::Resource;
use crate::services::settings::SettingsService;
use crate::services::testing::{Who, backend, named_caller};

const REVERT: &str = "SettingsService/RevertSettings";

const OPERATOR: Who = Who { instance: "", organization: "", user: "", roles: "SYSTEM_OWNER" };

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

    /// What a feature is in a scope, now or at a revision: the value with its source, the value without what the scope
    /// sets, and the outcome of each level.
    async fn shown(&self, scope: usize, key: &str, at: Option<u64>) -> Result<Shown, String> {
        let name = SCOPES[scope].to_owned();
        let get = GetSettingsRequest {
            name: name.clone(),
            inheritance: true,
            features: vec![key.to_owned()],
            at: moment(at),
        };
        let explain = ExplainFeatureRequest { name, feature: key.to_owned(), at: moment(at) };
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

    /// Everything that is shown, now or at a revision, is that of the model.
    async fn check(&self, model: &Model, at: Option<u64>) -> Result<(), TestCaseError> {
        for key in KEYS {
            for (scope, name) in SCOPES.into_iter().enumerate() {
                let shown = self.shown(scope, key, at).await;
                prop_assert_eq!(shown, model.shown(scope, key), "{} {} {:?}", name, key, at);
            }
            for parent in ["", "instances/demo/"] {
                let overrides = self.overrides(format!("{parent}features/{key}"), at).await;
                let expected = model.overrides(parent.is_empty(), key);
                prop_assert_eq!(overrides, expected, "{}features/{} {:?}", parent, key, at);
            }
        }
        Ok(())
    }

    /// Reverts a scope to a revision, if its values may be set today, and takes that back.
    async fn revert_twice(&self, name: &str, revision: u64) -> Result<(), TestCaseError> {
        use revert_settings_request::To;
        let before = self.own(name, None).await;
        let revert = |to: To| RevertSettingsRequest { name: name.to_owned(), to: Some(to), ..Default::default() };
        let newest = self.backend.log.newest();
        let reverted = self.call::<UpdateSettingsResponse>(REVERT, &revert(To::Revision(revision))).await;
        if reverted.is_err() {
            return Ok(());
        }
        prop_assert_eq!(self.own(name, None).await, self.own(name, Some(revision)).await, "{} {}", name, revision);
        if self.backend.log.newest() == newest {
            return Ok(());
        }
        let undo = revert(To::Undo(format!("changes/{}", newest + 1)));
        let undone = self.call::<UpdateSettingsResponse>(REVERT, &undo).await;
        // A value that was set before its definition forbade it cannot be set again.
        if undone.is_ok() {
            prop_assert_eq!(self.own(name, None).await, before, "{}", name);
        }
        Ok(())
    }

    /// What a scope itself sets.
    async fn own(&self, name: &str, at: Option<u64>) -> Layer {
        let scope = match SCOPES.iter().position(|known| *known == name) {
            Some(place) => scope_of(place),
            None => panic!("{name} is a scope of the test"),
        };
        let record = self.backend.store.record(&scope).unwrap();
        match at {
            None => record.layer,
            Some(revision) => record_at(&*self.backend.log, &scope, record, revision).unwrap().layer,
        }
    }

    /// The scopes of a feature with their values, in the system or in the instance, now or at a revision.
    async fn overrides(&self, parent: String, at: Option<u64>) -> Result<Vec<(String, i64, bool)>, String> {
        let (mut found, mut page_token) = (Vec::new(), String::new());
        loop {
            let request = ListOverridesRequest {
                parent: parent.clone(),
                page_size: 2,
                page_token,
                at: moment(at),
                ..Default::default()
            };
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

fn moment(at: Option<u64>) -> Option<Moment> {
    at.map(|revision| Moment { moment: Some(moment::Moment::Revision(revision)) })
}

/// The scope with this place among the scopes of the test.
fn scope_of(place: usize) -> Scope {
    let name = SettingsName::new(SCOPES[place]).unwrap();
    let named = named_caller(OPERATOR, &format!("/feature.v1.{REVERT}"));
    Resource::named(&named, &name).unwrap().1.scope().clone()
}

fn constraints(minimum: i64) -> Constraints {
    Constraints { minimum: Some(minimum as f64), ..Default::default() }
}

proptest! {
    #[test]
    fn every_history_of_definitions_and_settings_is_that_of_the_model(
        changes in vec(change(), 1..30),
        past in vec(any::<Index>(), 1),
    ) {
        let runtime = Builder::new_current_thread().enable_time().build().unwrap();
        runtime.block_on(async {
            let (services, mut model) = (Services::new(), Model::default());
            let mut states = Vec::new();
            for change in &changes {
                states.push((services.backend.log.newest(), model.clone()));
                prop_assert_eq!(services.change(change).await, model.change(change), "{:?}", change);
            }
            services.check(&model, None).await?;
            for index in past {
                let (revision, model) = index.get(&states);
                services.check(model, Some(*revision)).await?;
                for name in SCOPES {
                    services.revert_twice(name, *revision).await?;
                }
            }
            Ok(())
        })?;
    }
}
