//! The feature server with a tenant in it who has everything switched on, on all four levels.

use std::path::{Path, PathBuf};

use anyhow::{Result, ensure};
use bytes::Bytes;
use feature_api::descriptor_pool;
use http::{HeaderValue, Request};
use prost::Message;
use prost_reflect::{DynamicMessage, Kind, MessageDescriptor, Value};
use tempfile::TempDir;
use tokio::process::Command;

use super::built;
use super::frame::request;
use crate::load::{Call, Client};
use crate::process::Process;

const SERVICE: &str = "/zitadel.feature.v2.FeatureService";

/// How many instances and organizations many users are spread over. An organization is in one instance.
const INSTANCES: usize = 100;
const ORGANIZATIONS: usize = 10_000;

/// One identity makes all calls here, and more at once than it may by default.
const UNLIMITED: [(&str, &str); 2] =
    [("FEATURE_SERVER__LIMITS__CALLS_PER_SECOND_PER_IDENTITY", "1000000"), ("FEATURE_SERVER__LIMITS__CALLS", "100000")];

/// Field numbers from here on say how a Set is done, not what is set.
const CONTROLS: u32 = 100;

/// A data folder with a token for it. Dropped, it is removed.
pub struct Data {
    folder: TempDir,
    binary: PathBuf,
    token: HeaderValue,
}

/// A running feature server.
pub struct Feature {
    /// The process.
    pub process: Process,
    data: Data,
}

impl Data {
    /// A new folder in `parent`.
    pub async fn new(parent: &Path) -> Result<Self> {
        let (folder, binary) = (tempfile::tempdir_in(parent)?, built("release", "feature-server")?);
        let mut minting = Command::new(&binary);
        minting.args(["token", "--role", "SYSTEM_OWNER", "--data"]).arg(folder.path());
        let minted = minting.output().await?;
        ensure!(minted.status.success(), "no token: {}", String::from_utf8_lossy(&minted.stderr));
        let token = format!("Bearer {}", String::from_utf8(minted.stdout)?.trim()).parse()?;
        Ok(Self { folder, binary, token })
    }

    /// Takes the projection away, which is then built from the journal.
    pub fn remove_projection(&self) -> Result<()> {
        Ok(std::fs::remove_dir_all(self.folder.path().join("projection"))?)
    }

    /// Starts a server on it.
    ///
    /// `environment`: settings that differ from the defaults.
    pub async fn serve(self, environment: &[(&str, &str)]) -> Result<Feature> {
        let mut command = Command::new(&self.binary);
        command.args(["serve", "--listen", "127.0.0.1:0", "--data"]).arg(self.folder.path());
        command.envs(UNLIMITED).envs(environment.iter().copied());
        Ok(Feature { process: Process::start(command).await?, data: self })
    }
}

impl Feature {
    /// Starts it on a data folder in `parent`, with a user who has everything switched on.
    ///
    /// `environment`: settings that differ from the defaults.
    pub async fn start(parent: &Path, environment: &[(&str, &str)]) -> Result<Self> {
        let server = Data::new(parent).await?.serve(environment).await?;
        server.switch_everything_on().await?;
        Ok(server)
    }

    /// Stops it as an operator does.
    pub async fn stop(self) -> Result<Data> {
        self.process.stop().await?;
        Ok(self.data)
    }

    /// The inheriting read of the user who has everything.
    pub async fn get(&self) -> Result<Call> {
        let fields = [("user_id", text("ann")), ("inheritance", Value::Bool(true))];
        let get = self.tenant("demo", "acme").request("GetUserFeatures", &message("GetUserFeaturesRequest", &fields));
        self.constant(Call::new(move |_| get.clone())).await
    }

    /// The same read over REST.
    pub async fn rest_get(&self) -> Result<Call> {
        let get = Request::get("http://localhost/v2/features/user/ann?inheritance=true").body(Bytes::new())?;
        let get = self.tenant("demo", "acme").sign(get);
        self.constant(Call::new(move |_| get.clone())).await
    }

    /// Durable writes by so many clients, each to a user of its own, which differ from one to the next.
    pub fn sets(&self, clients: usize) -> Call {
        let tenant = self.tenant("demo", "acme");
        Call::new(move |turn| {
            let user = text(&format!("writer-{}", turn % clients));
            let value = Value::Bool((turn / clients).is_multiple_of(2));
            tenant
                .request("SetUserFeatures", &message("SetUserFeatureRequest", &[("user_id", user), ("actions", value)]))
        })
    }

    /// The first write of two features of a user, by the number of the user.
    pub fn set_of_many(&self) -> Call {
        let server = self.for_many();
        Call::new(move |user| {
            let id = text(&format!("user-{user}"));
            let fields =
                [("user_id", id), ("actions", Value::Bool(true)), ("user_schema", Value::Bool(user.is_multiple_of(2)))];
            server(user).request("SetUserFeatures", &message("SetUserFeatureRequest", &fields))
        })
    }

    /// The inheriting read of a user; `choose` tells which by the number of the turn.
    pub fn get_of_many(&self, choose: impl Fn(usize) -> usize + Send + Sync + 'static) -> Call {
        let server = self.for_many();
        Call::new(move |turn| {
            let user = choose(turn);
            let fields = [("user_id", text(&format!("user-{user}"))), ("inheritance", Value::Bool(true))];
            server(user).request("GetUserFeatures", &message("GetUserFeaturesRequest", &fields))
        })
    }

    /// Spreads users over instances and organizations.
    fn for_many(&self) -> impl Fn(usize) -> Tenant + Send + Sync + 'static {
        let bearer = self.data.token.clone();
        let ids = |kind: &str, count: usize| -> Vec<HeaderValue> {
            (0..count).map(|index| format!("{kind}-{index}").parse().expect("an id is ASCII")).collect()
        };
        let (instances, organizations) = (ids("instance", INSTANCES), ids("organization", ORGANIZATIONS));
        move |user| Tenant {
            bearer: bearer.clone(),
            instance: instances[user % INSTANCES].clone(),
            organization: organizations[user % ORGANIZATIONS].clone(),
        }
    }

    async fn constant(&self, mut call: Call) -> Result<Call> {
        call.answer = Some(Client::connect(&self.process.address).await?.answer(&call).await?);
        Ok(call)
    }

    async fn switch_everything_on(&self) -> Result<()> {
        let client = Client::connect(&self.process.address).await?;
        let levels = [
            ("SetSystemFeatures", "SetSystemFeaturesRequest", None),
            ("SetInstanceFeatures", "SetInstanceFeaturesRequest", None),
            ("SetOrganizationFeatures", "SetOrganizationFeaturesRequest", Some(("organization_id", "acme"))),
            ("SetUserFeatures", "SetUserFeatureRequest", Some(("user_id", "ann"))),
        ];
        for (method, name, id) in levels {
            let set = self.tenant("demo", "acme").request(method, &everything(descriptor(name), id).encode_to_vec());
            client.call(&Call::new(move |_| set.clone()), 0).await?;
        }
        Ok(())
    }

    fn tenant(&self, instance: &str, organization: &str) -> Tenant {
        let value = |id: &str| HeaderValue::from_str(id).expect("an id is ASCII");
        let (instance, organization) = (value(instance), value(organization));
        Tenant { bearer: self.data.token.clone(), instance, organization }
    }
}

/// For whom calls are made.
#[derive(Clone)]
struct Tenant {
    bearer: HeaderValue,
    instance: HeaderValue,
    organization: HeaderValue,
}

impl Tenant {
    fn request(&self, method: &str, message: &[u8]) -> Request<Bytes> {
        self.sign(request(&format!("{SERVICE}/{method}"), message))
    }

    fn sign(&self, mut request: Request<Bytes>) -> Request<Bytes> {
        request.headers_mut().insert("authorization", self.bearer.clone());
        request.headers_mut().insert("x-zitadel-instance-id", self.instance.clone());
        request.headers_mut().insert("x-zitadel-orgid", self.organization.clone());
        request
    }
}

fn descriptor(name: &str) -> MessageDescriptor {
    descriptor_pool().get_message_by_name(&format!("zitadel.feature.v2.{name}")).expect("the contract has this message")
}

fn text(text: &str) -> Value {
    Value::String(text.to_owned())
}

fn message(name: &str, fields: &[(&str, Value)]) -> Vec<u8> {
    let mut message = DynamicMessage::new(descriptor(name));
    for (field, value) in fields {
        message.set_field_by_name(field, value.clone());
    }
    message.encode_to_vec()
}

/// A message in which every field is set, so that none is at its default.
fn everything(descriptor: MessageDescriptor, id: Option<(&str, &str)>) -> DynamicMessage {
    let mut message = DynamicMessage::new(descriptor.clone());
    for field in descriptor.fields().filter(|field| field.number() < CONTROLS) {
        let value = match field.kind() {
            Kind::Bool => Value::Bool(true),
            Kind::String => Value::String(id.map_or("https://login.example.com/ui/v2", |(_, id)| id).to_owned()),
            Kind::Enum(members) => {
                let numbers = members.values().map(|member| member.number()).filter(|number| *number != 0);
                Value::List(numbers.map(Value::EnumNumber).collect())
            }
            Kind::Message(inner) => Value::Message(everything(inner, None)),
            kind => unreachable!("no feature is of kind {kind:?}"),
        };
        message.set_field(&field, value);
    }
    message
}
