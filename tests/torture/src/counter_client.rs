//! A client that writes numbered values to scopes and reads the numbers back, so that a lost or partial write shows at
//! once.

use anyhow::{Context, Result, bail};
use feature_api::zitadel::feature::v2::feature_service_client::FeatureServiceClient;
use feature_api::zitadel::feature::v2::{
    FeatureFlag, GetInstanceFeaturesRequest, GetOrganizationFeaturesRequest, GetSystemFeaturesRequest,
    GetUserFeaturesRequest, LoginV2, LoginV2FeatureFlag, SetInstanceFeaturesRequest, SetOrganizationFeaturesRequest,
    SetSystemFeaturesRequest, SetUserFeatureRequest,
};
use feature_api::zitadel::object::v2::Details;
use tonic::metadata::{Ascii, MetadataValue};
use tonic::transport::Channel;
use tonic::{Code, Request, Status};

use crate::server::Server;

/// A scope of settings.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Scope {
    /// The system.
    System,
    /// The only instance.
    Instance,
    /// An organization.
    Organization(u32),
    /// A user.
    User(u32),
}

/// The settings of a scope.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    /// The number of the last write.
    pub number: u64,
    /// Sequence, dates and owner.
    pub details: Details,
}

/// A client with all rights.
#[derive(Debug, Clone)]
pub struct Client {
    service: FeatureServiceClient<Channel>,
    authorization: MetadataValue<Ascii>,
    /// The length of the text in each value, in bytes.
    pub text_bytes: usize,
}

impl Client {
    /// A client of this server.
    pub async fn of(server: &Server) -> Result<Self> {
        let token = server.token("--role SYSTEM_OWNER --instance demo").await?;
        let authorization = format!("Bearer {token}").parse()?;
        Ok(Self { service: FeatureServiceClient::new(server.channel()?), authorization, text_bytes: 100 })
    }

    /// Sets three features of a scope to values that encode `number`.
    ///
    /// # Errors
    /// The server's error.
    pub async fn set(&mut self, scope: Scope, number: u64) -> Result<(), Status> {
        let (actions, user_schema) = (Some(flag(number, 1)), Some(flag(number, 2)));
        let login_v2 = Some(LoginV2 { required: flag(number, 4), base_uri: Some(self.uri(number)) });
        match scope {
            Scope::System => {
                let message = SetSystemFeaturesRequest { actions, user_schema, login_v2, ..Default::default() };
                self.service.set_system_features(self.request(message)).await.map(drop)
            }
            Scope::Instance => {
                let message = SetInstanceFeaturesRequest { actions, user_schema, login_v2, ..Default::default() };
                self.service.set_instance_features(self.request(message)).await.map(drop)
            }
            Scope::Organization(id) => {
                let organization_id = id.to_string();
                let default = SetOrganizationFeaturesRequest::default();
                let message =
                    SetOrganizationFeaturesRequest { organization_id, actions, user_schema, login_v2, ..default };
                self.service.set_organization_features(self.request(message)).await.map(drop)
            }
            Scope::User(id) => {
                let user_id = id.to_string();
                let message = SetUserFeatureRequest { user_id, actions, user_schema, login_v2, ..Default::default() };
                self.service.set_user_features(self.request(message)).await.map(drop)
            }
        }
    }

    /// Reads the scope's own settings; `None` if it has none.
    ///
    /// # Errors
    /// The server's error, or that the three features do not encode the same number.
    pub async fn get(&mut self, scope: Scope) -> Result<Option<Found>> {
        macro_rules! parts {
            ($answer:expr) => {
                $answer.map(|answer| {
                    let answer = answer.into_inner();
                    (answer.details, answer.actions, answer.user_schema, answer.login_v2)
                })
            };
        }
        let answer = match scope {
            Scope::System => parts!(self.service.get_system_features(self.request(GetSystemFeaturesRequest {})).await),
            Scope::Instance => {
                let message = GetInstanceFeaturesRequest { inheritance: false };
                parts!(self.service.get_instance_features(self.request(message)).await)
            }
            Scope::Organization(id) => {
                let message = GetOrganizationFeaturesRequest { organization_id: id.to_string(), inheritance: false };
                parts!(self.service.get_organization_features(self.request(message)).await)
            }
            Scope::User(id) => {
                let message = GetUserFeaturesRequest { user_id: id.to_string(), inheritance: false };
                parts!(self.service.get_user_features(self.request(message)).await)
            }
        };
        match answer {
            Err(status) if status.code() == Code::NotFound => Ok(None),
            Err(status) => Err(status).context("reading"),
            Ok((details, actions, user_schema, login)) => {
                let details = details.context("an answer without details")?;
                // An answer for the system always contains every feature.
                if details.sequence == 0 {
                    return Ok(None);
                }
                let number = whole(actions, user_schema, login.as_ref());
                let Some(number) = number else {
                    bail!("{scope:?} is half written: {actions:?} {user_schema:?} {login:?}")
                };
                Ok(Some(Found { number, details }))
            }
        }
    }

    fn request<M>(&self, message: M) -> Request<M> {
        let mut request = Request::new(message);
        request.metadata_mut().insert("authorization", self.authorization.clone());
        request
    }

    fn uri(&self, number: u64) -> String {
        let start = format!("https://example.com/{number}/");
        format!("{start:x<width$}", width = self.text_bytes)
    }
}

fn flag(number: u64, bit: u64) -> bool {
    number & bit != 0
}

/// The number that all three features encode.
fn whole(
    actions: Option<FeatureFlag>,
    user_schema: Option<FeatureFlag>,
    login: Option<&LoginV2FeatureFlag>,
) -> Option<u64> {
    let uri = login?.base_uri.as_deref()?;
    let number = uri.split('/').nth(3)?.parse().ok()?;
    let flags = [actions?.enabled, user_schema?.enabled, login?.required];
    (flags == [1, 2, 4].map(|bit| flag(number, bit))).then_some(number)
}
