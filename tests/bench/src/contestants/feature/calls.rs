//! The calls to the feature server, and the checks of their answers.

use anyhow::{Context, Result, ensure};
use bytes::Bytes;
use feature_api::zitadel::feature::v2::{
    FeatureFlag, GetUserFeaturesRequest, GetUserFeaturesResponse, SetUserFeatureRequest, SetUserFeaturesResponse,
    Source,
};
use http::{HeaderValue, Request};
use prost::Message;

use super::super::frame::{decode, request};
use super::super::writers::writes;
use super::Feature;
use super::everything::everything;
use crate::load::{Call, Client};

const SERVICE: &str = "/zitadel.feature.v2.FeatureService";

/// The numbers of instances and organizations that share the users. An organization is in one instance.
const INSTANCES: usize = 100;
const ORGANIZATIONS: usize = 10_000;

impl Feature {
    /// The inheriting read of the user with every feature set.
    pub async fn get(&self) -> Result<Call> {
        let message = GetUserFeaturesRequest { user_id: "ann".to_owned(), inheritance: true };
        self.constant(self.tenant("demo", "acme").request("GetUserFeatures", &message)).await
    }

    /// The same read over REST.
    pub async fn rest_get(&self) -> Result<Call> {
        let get = Request::get("http://localhost/v2/features/user/ann?inheritance=true").body(Bytes::new())?;
        self.constant(self.tenant("demo", "acme").sign(get)).await
    }

    /// Durable writes. Each writer has its own user.
    pub fn sets(&self, writers: usize) -> Call {
        self.sets_of("writer", writers)
    }

    /// The same with other users, `NAME-0` and so on. The first write of each sets true, the second one false.
    pub fn sets_of(&self, name: &str, writers: usize) -> Call {
        let tenant = self.tenant("demo", "acme");
        let set = |writer, value| {
            let user_id = format!("{name}-{writer}");
            let message = SetUserFeatureRequest { user_id, actions: Some(value), ..Default::default() };
            tenant.request("SetUserFeatures", &message)
        };
        writes(writers, set, sequence)
    }

    /// The read of the first user of these writes.
    pub fn get_of(&self, name: &str) -> Request<Bytes> {
        let message = GetUserFeaturesRequest { user_id: format!("{name}-0"), inheritance: true };
        self.tenant("demo", "acme").request("GetUserFeatures", &message)
    }

    /// The first write of two features of a user; the turn is the number of the user.
    pub fn set_of_many(&self) -> Call {
        let tenant = self.tenant_of_many();
        let set = move |user: usize| {
            let message = SetUserFeatureRequest {
                user_id: format!("user-{user}"),
                actions: Some(true),
                user_schema: Some(user.is_multiple_of(2)),
                ..Default::default()
            };
            tenant(user).request("SetUserFeatures", &message)
        };
        Call::new(set, |_, answer| {
            ensure!(sequence(answer)? == 2, "not the first write of two features");
            Ok(())
        })
    }

    /// The inheriting read of a user. `choose` returns the number of the user for a turn.
    pub fn get_of_many(&self, choose: impl Fn(usize) -> usize + Clone + Send + Sync + 'static) -> Call {
        let (tenant, chosen) = (self.tenant_of_many(), choose.clone());
        let get = move |turn| {
            let user = choose(turn);
            let message = GetUserFeaturesRequest { user_id: format!("user-{user}"), inheritance: true };
            tenant(user).request("GetUserFeatures", &message)
        };
        Call::new(get, move |turn, answer| {
            let answer: GetUserFeaturesResponse = decode(answer)?;
            let own = |enabled| Some(FeatureFlag { enabled, source: Source::User.into() });
            ensure!(answer.actions == own(true), "another value of actions");
            ensure!(answer.user_schema == own(chosen(turn).is_multiple_of(2)), "another value of user_schema");
            Ok(())
        })
    }

    /// Sets every feature on every level that the user inherits from.
    pub(super) async fn switch_everything_on(&self) -> Result<()> {
        let client = Client::connect(&self.process.address).await?;
        let levels = [
            ("SetSystemFeatures", "SetSystemFeaturesRequest", None),
            ("SetInstanceFeatures", "SetInstanceFeaturesRequest", None),
            ("SetOrganizationFeatures", "SetOrganizationFeaturesRequest", Some("acme")),
            ("SetUserFeatures", "SetUserFeatureRequest", Some("ann")),
        ];
        for (method, name, id) in levels {
            client.answer(self.tenant("demo", "acme").request(method, &everything(name, id))).await?;
        }
        Ok(())
    }

    /// A call that compares every answer with the first one.
    pub(super) async fn constant(&self, request: Request<Bytes>) -> Result<Call> {
        let answer = Client::connect(&self.process.address).await?.answer(request.clone()).await?;
        Ok(Call::constant(request, answer))
    }

    pub(super) fn tenant(&self, instance: &str, organization: &str) -> Tenant {
        Tenant { bearer: self.data.token.clone(), instance: id(instance), organization: id(organization) }
    }

    /// Spreads users over instances and organizations.
    fn tenant_of_many(&self) -> impl Fn(usize) -> Tenant + Send + Sync + 'static {
        let bearer = self.data.token.clone();
        let ids = |kind, count| (0..count).map(|index| id(&format!("{kind}-{index}"))).collect::<Vec<_>>();
        let (instances, organizations) = (ids("instance", INSTANCES), ids("organization", ORGANIZATIONS));
        move |user| Tenant {
            bearer: bearer.clone(),
            instance: instances[user % INSTANCES].clone(),
            organization: organizations[user % ORGANIZATIONS].clone(),
        }
    }
}

/// The credential, instance and organization of a call.
pub(super) struct Tenant {
    bearer: HeaderValue,
    instance: HeaderValue,
    organization: HeaderValue,
}

impl Tenant {
    fn request(&self, method: &str, message: &impl Message) -> Request<Bytes> {
        self.sign(request(&format!("{SERVICE}/{method}"), &message.encode_to_vec()))
    }

    /// A request to a method of another service.
    pub(super) fn request_to(&self, path: &str, message: &impl Message) -> Request<Bytes> {
        self.sign(request(path, &message.encode_to_vec()))
    }

    fn sign(&self, mut request: Request<Bytes>) -> Request<Bytes> {
        request.headers_mut().insert("authorization", self.bearer.clone());
        request.headers_mut().insert("x-zitadel-instance-id", self.instance.clone());
        request.headers_mut().insert("x-zitadel-orgid", self.organization.clone());
        request
    }
}

fn id(id: &str) -> HeaderValue {
    HeaderValue::from_str(id).expect("an id is ASCII")
}

/// Whether the answer to a read has what a write to this user has set.
pub fn shows(answer: &[u8], value: bool) -> Result<bool> {
    let answer: GetUserFeaturesResponse = decode(answer)?;
    Ok(answer.actions == Some(FeatureFlag { enabled: value, source: Source::User.into() }))
}

/// The sequence of a user, from the answer to a write.
fn sequence(answer: &[u8]) -> Result<u64> {
    let answer: SetUserFeaturesResponse = decode(answer)?;
    Ok(answer.details.context("an answer without details")?.sequence)
}
