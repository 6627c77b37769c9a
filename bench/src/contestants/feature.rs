//! The feature server with a tenant in it who has everything switched on, on all four levels.

use std::path::Path;

use anyhow::{Result, ensure};
use bytes::Bytes;
use feature_api::descriptor_pool;
use http::Request;
use prost::Message;
use prost_reflect::{DynamicMessage, Kind, MessageDescriptor, Value};
use tempfile::TempDir;
use tokio::process::Command;

use super::built;
use super::frame::{framed, request};
use crate::load::{Call, Client};
use crate::process::Process;

const SERVICE: &str = "/zitadel.feature.v2.FeatureService";

/// Field numbers from here on say how a Set is done, not what is set.
const CONTROLS: u32 = 100;

/// A running feature server with a data folder of its own.
pub struct Feature {
    /// The process.
    pub process: Process,
    token: String,
    _data: TempDir,
}

impl Feature {
    /// Starts it with a data folder in `parent`, and switches everything on.
    ///
    /// `environment`: settings that differ from the defaults.
    pub async fn start(parent: &Path, environment: &[(&str, &str)]) -> Result<Self> {
        let data = tempfile::tempdir_in(parent)?;
        let binary = built("release", "feature-server")?;
        let mut command = Command::new(&binary);
        command.args(["serve", "--listen", "127.0.0.1:0", "--data"]).arg(data.path());
        command.envs(environment.iter().copied());
        let process = Process::start(command).await?;
        let mut minting = Command::new(&binary);
        minting.args(["token", "--role", "SYSTEM_OWNER", "--instance", "demo", "--data"]).arg(data.path());
        let minted = minting.output().await?;
        ensure!(minted.status.success(), "no token: {}", String::from_utf8_lossy(&minted.stderr));
        let server = Self { process, token: String::from_utf8(minted.stdout)?.trim().to_owned(), _data: data };
        server.switch_everything_on().await?;
        Ok(server)
    }

    /// The inheriting read of a user.
    pub async fn get(&self) -> Result<Call> {
        let message =
            message("GetUserFeaturesRequest", &[("user_id", text("ann")), ("inheritance", Value::Bool(true))]);
        self.read(self.request("GetUserFeatures"), vec![framed(&message)]).await
    }

    /// The same read over REST.
    pub async fn rest_get(&self) -> Result<Call> {
        let request = Request::get("http://localhost/v2/features/user/ann?inheritance=true");
        let request =
            request.header("authorization", format!("Bearer {}", self.token)).header("x-zitadel-orgid", "acme");
        self.read(request.body(())?, Vec::new()).await
    }

    /// Durable writes by so many clients, each to a user of its own.
    pub fn sets(&self, clients: usize) -> Vec<Call> {
        let request = self.request("SetUserFeatures");
        let body = |client: usize, value| {
            let user = text(&format!("writer-{client}"));
            framed(&message("SetUserFeatureRequest", &[("user_id", user), ("actions", Value::Bool(value))]))
        };
        let calls = (0..clients).map(|client| vec![body(client, true), body(client, false)]);
        calls.map(|bodies| Call { request: request.clone(), bodies, answer: None }).collect()
    }

    async fn read(&self, request: Request<()>, bodies: Vec<Bytes>) -> Result<Call> {
        let mut call = Call { request, bodies, answer: None };
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
            let bodies = vec![framed(&everything(descriptor(name), id).encode_to_vec())];
            client.call(&Call { request: self.request(method), bodies, answer: None }, 0).await?;
        }
        Ok(())
    }

    fn request(&self, method: &str) -> Request<()> {
        let bearer = format!("Bearer {}", self.token);
        request(&format!("{SERVICE}/{method}"), &[("authorization", &bearer), ("x-zitadel-orgid", "acme")])
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
