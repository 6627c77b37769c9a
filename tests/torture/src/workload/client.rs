//! A gRPC client that reads and writes the settings of any scope.

use std::time::Duration;

use anyhow::{Context, Result};
use feature_api::zitadel::feature::v2 as api;
use feature_api::zitadel::feature::v2::feature_service_client::FeatureServiceClient;
use feature_api::zitadel::object::v2 as object;
use prost::Message;
use prost_reflect::DynamicMessage;
use tonic::metadata::{Ascii, MetadataValue};
use tonic::transport::Channel;
use tonic::{Request, Response, Status};

use super::feature::{Details, Layer, Level, Scope};
use super::messages::Messages;
use super::write::{Operation, Write};

/// The deadline of a call, unless the client sets another one. The server's own limit is lower.
const CALL: Duration = Duration::from_secs(20);

/// A connection to the server with a token that has all rights.
pub struct Client {
    grpc: FeatureServiceClient<Channel>,
    caller: Caller,
}

/// The result of a read: the scope's own settings, without inherited ones.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Read {
    pub layer: Layer,
    pub details: Details,
}

struct Caller {
    token: MetadataValue<Ascii>,
    messages: Messages,
    deadline: Duration,
    /// More metadata of the requests.
    metadata: Vec<(&'static str, MetadataValue<Ascii>)>,
    /// The revision that the last answer named.
    revision: Option<String>,
}

impl Client {
    /// A client with this token. It connects at its first call.
    pub fn new(channel: Channel, token: &str) -> Result<Self> {
        let token = format!("Bearer {token}").parse().context("a token is ASCII")?;
        let (messages, metadata, revision) = (Messages::new(), Vec::new(), None);
        let caller = Caller { token, messages, deadline: CALL, metadata, revision };
        Ok(Self { grpc: FeatureServiceClient::new(channel), caller })
    }

    /// Gives the following calls this deadline and this metadata, beside that of the client's own.
    pub fn set_terms(&mut self, deadline: Duration, metadata: Vec<(&'static str, MetadataValue<Ascii>)>) {
        (self.caller.deadline, self.caller.metadata) = (deadline, metadata);
    }

    /// The revision that the last successful answer named, as servers of a fleet do: `<revision>.<start of the chain>`.
    pub fn revision(&self) -> Option<&str> {
        self.caller.revision.as_deref()
    }

    /// Writes to a scope.
    pub async fn write(&mut self, scope: &Scope, write: &Write) -> Result<Details, Status> {
        let Self { grpc, caller } = self;
        let named = write.organization.as_deref();
        let details = match &write.operation {
            Operation::Set(set) => {
                let message = caller.messages.set(scope, set);
                match scope.level {
                    Level::System => {
                        let request: Request<api::SetSystemFeaturesRequest> = caller.typed(scope, named, &message)?;
                        caller.opened(grpc.set_system_features(request).await?).details
                    }
                    Level::Instance => {
                        let request = caller.typed(scope, named, &message)?;
                        caller.opened(grpc.set_instance_features(request).await?).details
                    }
                    Level::Organization => {
                        let request = caller.typed(scope, named, &message)?;
                        caller.opened(grpc.set_organization_features(request).await?).details
                    }
                    Level::User => {
                        let request = caller.typed(scope, named, &message)?;
                        caller.opened(grpc.set_user_features(request).await?).details
                    }
                }
            }
            Operation::Reset => match scope.level {
                Level::System => {
                    let request = caller.request(scope, named, api::ResetSystemFeaturesRequest {});
                    caller.opened(grpc.reset_system_features(request).await?).details
                }
                Level::Instance => {
                    let request = caller.request(scope, named, api::ResetInstanceFeaturesRequest {});
                    caller.opened(grpc.reset_instance_features(request).await?).details
                }
                Level::Organization => {
                    let message = api::ResetOrganizationFeaturesRequest { organization_id: scope.id.clone() };
                    let request = caller.request(scope, named, message);
                    caller.opened(grpc.reset_organization_features(request).await?).details
                }
                Level::User => {
                    let message = api::ResetUserFeaturesRequest { user_id: scope.id.clone() };
                    let request = caller.request(scope, named, message);
                    caller.opened(grpc.reset_user_features(request).await?).details
                }
            },
        };
        Ok(plain(details))
    }

    /// Reads the scope's own settings.
    pub async fn read(&mut self, scope: &Scope) -> Result<Read, Status> {
        let Self { grpc, caller } = self;
        // Without inheritance, the answer for a scope without settings would be empty.
        let inheritance = true;
        Ok(match scope.level {
            Level::System => {
                let request = caller.request(scope, None, api::GetSystemFeaturesRequest {});
                let answer = caller.opened(grpc.get_system_features(request).await?);
                Read { layer: caller.messages.own(Level::System, &answer), details: plain(answer.details) }
            }
            Level::Instance => {
                let request = caller.request(scope, None, api::GetInstanceFeaturesRequest { inheritance });
                let answer = caller.opened(grpc.get_instance_features(request).await?);
                Read { layer: caller.messages.own(Level::Instance, &answer), details: plain(answer.details) }
            }
            Level::Organization => {
                let message = api::GetOrganizationFeaturesRequest { organization_id: scope.id.clone(), inheritance };
                let request = caller.request(scope, None, message);
                let answer = caller.opened(grpc.get_organization_features(request).await?);
                Read { layer: caller.messages.own(Level::Organization, &answer), details: plain(answer.details) }
            }
            Level::User => {
                let message = api::GetUserFeaturesRequest { user_id: scope.id.clone(), inheritance };
                let request = caller.request(scope, None, message);
                let answer = caller.opened(grpc.get_user_features(request).await?);
                Read { layer: caller.messages.own(Level::User, &answer), details: plain(answer.details) }
            }
        })
    }
}

impl Caller {
    fn opened<T>(&mut self, response: Response<T>) -> T {
        let revision = response.metadata().get("feature-revision");
        self.revision = revision.and_then(|revision| revision.to_str().ok()).map(str::to_owned);
        response.into_inner()
    }

    fn typed<T: Message + Default>(
        &self,
        scope: &Scope,
        organization: Option<&str>,
        message: &DynamicMessage,
    ) -> Result<Request<T>, Status> {
        let message = message.transcode_to().map_err(|error| Status::invalid_argument(error.to_string()))?;
        Ok(self.request(scope, organization, message))
    }

    fn request<T>(&self, scope: &Scope, organization: Option<&str>, message: T) -> Request<T> {
        let mut request = Request::new(message);
        request.set_timeout(self.deadline);
        let metadata = request.metadata_mut();
        for (name, value) in &self.metadata {
            metadata.insert(*name, value.clone());
        }
        metadata.insert("authorization", self.token.clone());
        let ids = [("x-zitadel-instance-id", Some(scope.instance.as_str())), ("x-zitadel-orgid", organization)];
        for (name, id) in ids {
            if let Some(id) = id.filter(|id| !id.is_empty()) {
                metadata.insert(name, id.parse().expect("ids of the workload are ASCII"));
            }
        }
        request
    }
}

fn plain(details: Option<object::Details>) -> Details {
    let object::Details { sequence, change_date, resource_owner, creation_date } = details.unwrap_or_default();
    let time = |time: Option<prost_types::Timestamp>| time.map(|time| (time.seconds, time.nanos));
    Details { sequence, owner: resource_owner, changed: time(change_date), created: time(creation_date) }
}
