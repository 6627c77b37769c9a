//! One client: it sends a write and notes what it was answered.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{Context, Result};
use fastrand::Rng;
use feature_api::feature::v1::definition_service_client::DefinitionServiceClient;
use feature_api::feature::v1::settings_service_client::SettingsServiceClient;
use feature_api::feature::v1::{
    ArchiveFeatureDefinitionRequest, BatchUpdateSettingsRequest, ChangeKind, CreateFeatureDefinitionRequest,
    FeatureDefinition, ResetSettingsRequest, UnarchiveFeatureDefinitionRequest, UpdateFeatureDefinitionRequest,
    UpdateSettingsRequest, UpdateSettingsResponse, ValueType,
};
use prost_types::Value;
use prost_types::value::Kind;
use tonic::transport::Channel;
use tonic::{Code, Request, Status};
use tonic_types::StatusExt;

use super::Terms;
use crate::campaign::watch::hub::LOOK;
use crate::campaign::watch::model::text;
use crate::campaign::watch::record::{Answer, Part, Write, digest};
use crate::campaign::watch::scopes::{INSTANCES, LARGE, LOCAL, MARK, SEATS, scope};
use crate::workload::client::Client;
use crate::workload::feature::{LOGIN, Layer, Level, Value as Typed};
use crate::workload::write::{self, Operation, Set};

/// The deadline of a call.
const CALL: Duration = Duration::from_secs(20);

/// The size of a large value, in characters.
const LARGE_CHARACTERS: usize = 8_000;

/// The pause between two changes of a definition, in looks: each concerns every scope.
const DEFINITION_LOOKS: u32 = 100;

/// A client, and what it has sent.
pub struct Caller {
    pub terms: Terms,
    pub rng: Rng,
    pub writes: Vec<Write>,
    settings: SettingsServiceClient<Channel>,
    definitions: DefinitionServiceClient<Channel>,
    typed: Client,
}

impl Caller {
    pub fn new(terms: Terms, channel: Channel, rng: Rng) -> Result<Self> {
        let typed = Client::new(channel.clone(), &terms.hub.token)?;
        let settings = SettingsServiceClient::new(channel.clone());
        let definitions = DefinitionServiceClient::new(channel);
        Ok(Self { terms, rng, writes: Vec::new(), settings, definitions, typed })
    }

    /// Sets features of a scope.
    pub async fn set(&mut self, name: &str) -> bool {
        let (mut request, part) = self.update(name);
        // It may be archived, and the write is refused then.
        if self.rng.u8(..4) == 0 {
            request.set.insert(SEATS.to_owned(), number(self.rng.u32(..5)));
        }
        self.send_update(request, part).await
    }

    /// Sets the large value, which the crowd inherits.
    pub async fn set_large(&mut self) -> bool {
        let value = text(&self.unique(LARGE_CHARACTERS));
        let name = format!("{}/settings", INSTANCES[1]);
        let part = Part { resource: name.clone(), new: BTreeMap::from([(LARGE.to_owned(), digest(&value))]) };
        let set = BTreeMap::from([(LARGE.to_owned(), value)]).into_iter().collect();
        self.send_update(UpdateSettingsRequest { name, set, ..Default::default() }, part).await
    }

    async fn send_update(&mut self, request: UpdateSettingsRequest, part: Part) -> bool {
        let (id, request) = self.request(request);
        let answer = self.settings.update_settings(request).await;
        let answer = answer.map(|answer| etags(std::slice::from_ref(answer.get_ref())));
        self.note(id, ChangeKind::Set, vec![part], answer)
    }

    /// Sets features of several scopes at once.
    pub async fn set_batch(&mut self, names: &[String]) -> bool {
        let (requests, parts): (Vec<_>, Vec<_>) = names.iter().map(|name| self.update(name)).unzip();
        let (id, request) = self.request(BatchUpdateSettingsRequest { requests, ..Default::default() });
        let answer = self.settings.batch_update_settings(request).await;
        self.note(id, ChangeKind::Set, parts, answer.map(|answer| etags(&answer.get_ref().responses)))
    }

    /// Unsets all features of a scope.
    pub async fn reset(&mut self, name: &str) -> bool {
        let message = ResetSettingsRequest { name: name.to_owned(), ..Default::default() };
        let (id, request) = self.request(message);
        let answer = self.settings.reset_settings(request).await;
        let answer = answer.map(|answer| etags(std::slice::from_ref(answer.get_ref())));
        self.note(id, ChangeKind::Reset, vec![plain(name)], answer)
    }

    /// Sets or resets built-in features of a scope with the typed API. A user may move to another organization.
    pub async fn set_typed(&mut self, name: &str, resets: bool) -> bool {
        let scope = scope(name);
        let organization = format!("o{}", self.rng.u8(..2));
        let organization = (scope.level == Level::User && self.rng.u8(..3) == 0).then_some(organization);
        let base_uri = Some(format!("https://login.example.com/{}", self.unique(1)));
        let mut features = Layer::from([(LOGIN, Typed::Login { required: self.rng.bool(), base_uri })]);
        for flag in scope.level.flags() {
            if self.rng.u8(..4) == 0 {
                features.insert(flag, Typed::Flag(self.rng.bool()));
            }
        }
        let (operation, kind) = match resets {
            true => (Operation::Reset, ChangeKind::Reset),
            false => (Operation::Set(Set { features, ..Set::default() }), ChangeKind::Set),
        };
        let id = self.terms.hub.next_id();
        self.typed.set_terms(CALL, vec![("x-request-id", id.parse().expect("an id is ASCII"))]);
        let answer = self.typed.write(&scope, &write::Write { operation, organization }).await;
        self.note(id, kind, vec![plain(name)], answer.map(|_| Vec::new()))
    }

    /// Takes a feature out of use, or into use again, or gives it another default.
    pub async fn change_definition(&mut self) -> bool {
        tokio::time::sleep(LOOK * self.rng.u32(..DEFINITION_LOOKS)).await;
        let name = format!("features/{SEATS}");
        let (id, answer) = match self.rng.u8(..3) {
            0 => {
                let (id, request) = self.request(ArchiveFeatureDefinitionRequest { name, ..Default::default() });
                (id, self.definitions.archive_feature_definition(request).await)
            }
            1 => {
                let (id, request) = self.request(UnarchiveFeatureDefinitionRequest { name, ..Default::default() });
                (id, self.definitions.unarchive_feature_definition(request).await)
            }
            _ => {
                let default_value = Some(number(self.rng.u32(..1_000_000)));
                let definition = FeatureDefinition { name, default_value, ..Default::default() };
                let message =
                    UpdateFeatureDefinitionRequest { feature_definition: Some(definition), ..Default::default() };
                let (id, request) = self.request(message);
                (id, self.definitions.update_feature_definition(request).await)
            }
        };
        let etag = answer.map(|answer| vec![answer.into_inner().etag]);
        self.note(id, ChangeKind::Definition, vec![plain(&format!("features/{SEATS}"))], etag)
    }

    /// Defines the own features.
    pub async fn create(&mut self) -> Result<()> {
        let texts = [("", MARK), ("", LARGE), (INSTANCES[0], LOCAL)];
        let texts = texts.map(|(parent, key)| (parent, key, ValueType::String, text("none")));
        for (parent, key, value_type, default) in texts.into_iter().chain([("", SEATS, ValueType::Integer, number(1))])
        {
            let definition =
                FeatureDefinition { value_type: value_type.into(), default_value: Some(default), ..Default::default() };
            let (id, request) = self.request(CreateFeatureDefinitionRequest {
                parent: parent.to_owned(),
                feature_definition_id: key.to_owned(),
                feature_definition: Some(definition),
                ..Default::default()
            });
            let answer = self.definitions.create_feature_definition(request).await.context("a definition")?;
            let answer = answer.into_inner();
            self.note(id, ChangeKind::Definition, vec![plain(&answer.name)], Ok(vec![answer.etag]));
        }
        Ok(())
    }

    /// A change of a scope whose mark is a new one.
    fn update(&mut self, name: &str) -> (UpdateSettingsRequest, Part) {
        let mark = text(&self.unique(self.terms.characters));
        let part = Part { resource: name.to_owned(), new: BTreeMap::from([(MARK.to_owned(), digest(&mark))]) };
        let mut set = BTreeMap::from([(MARK.to_owned(), mark)]);
        let mut unset = Vec::new();
        let local = name.starts_with(INSTANCES[0]).then(|| (LOCAL, text(&self.rng.u8(..3).to_string())));
        let actions = (self.rng.u8(..3) == 0).then(|| ("actions", boolean(self.rng.bool())));
        for (key, value) in local.into_iter().chain(actions) {
            if self.rng.u8(..4) == 0 {
                unset.push(key.to_owned());
            } else {
                set.insert(key.to_owned(), value);
            }
        }
        (
            UpdateSettingsRequest {
                name: name.to_owned(),
                set: set.into_iter().collect(),
                unset,
                ..Default::default()
            },
            part,
        )
    }

    fn request<T>(&self, message: T) -> (String, Request<T>) {
        let id = self.terms.hub.next_id();
        let mut request = Request::new(message);
        request.set_timeout(CALL);
        let bearer = format!("Bearer {}", self.terms.hub.token).parse().expect("a token is ASCII");
        request.metadata_mut().insert("authorization", bearer);
        request.metadata_mut().insert("x-request-id", id.parse().expect("an id is ASCII"));
        (id, request)
    }

    /// Notes a write. Returns whether the writer goes on.
    fn note(&mut self, id: String, kind: ChangeKind, parts: Vec<Part>, answer: Result<Vec<String>, Status>) -> bool {
        let answer = match answer {
            Ok(etags) => {
                self.terms.hub.acknowledge(parts.len() as u64);
                Answer::Acknowledged(etags)
            }
            Err(status) if is_refusal(&status) => Answer::Refused,
            Err(_) => Answer::Unknown,
        };
        let goes_on = answer != Answer::Unknown;
        self.writes.push(Write { id, era: self.terms.era, kind, parts, answer });
        goes_on
    }

    fn unique(&mut self, characters: usize) -> String {
        let unique = format!("{:016x}", self.rng.u64(..));
        format!("{unique:x<characters$}")
    }
}

fn plain(resource: &str) -> Part {
    Part { resource: resource.to_owned(), new: BTreeMap::new() }
}

fn etags(responses: &[UpdateSettingsResponse]) -> Vec<String> {
    let etag = |response: &UpdateSettingsResponse| response.settings.as_ref().map(|it| it.etag.clone());
    responses.iter().map(|response| etag(response).unwrap_or_default()).collect()
}

/// Whether the server says that it has not written.
fn is_refusal(status: &Status) -> bool {
    let is_full = status.code() == Code::ResourceExhausted;
    is_full
        || status
            .get_details_error_info()
            .is_some_and(|info| matches!(&*info.reason, "FEATURE_ARCHIVED" | "FIELD_INVALID" | "DEFINITION_CHANGED"))
}

fn number(number: u32) -> Value {
    Value { kind: Some(Kind::NumberValue(number.into())) }
}

fn boolean(boolean: bool) -> Value {
    Value { kind: Some(Kind::BoolValue(boolean)) }
}
