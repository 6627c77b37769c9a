//! Servers that share a PostgreSQL: what a client writes on one of them, and reads on another one.

mod history;
mod outage;
mod reads;
mod starts;
mod writes;

use std::time::{Duration, Instant};

use serde_json::{Value as Json, json};

use crate::support::PATIENCE;
use crate::support::harness::Server;
use crate::support::raw::{Raw, Refusal};

/// A client of one server, which may read and write each user of its instance.
#[derive(Clone)]
struct Client {
    raw: Raw,
    token: String,
}

impl Client {
    async fn of(server: &Server) -> Self {
        Self { raw: Raw::new(server).await, token: server.token("--role IAM_OWNER --instance demo") }
    }

    /// Writes a number. Returns the position of the answer.
    async fn set(&self, user: &str, number: u64) -> Result<String, Refusal> {
        let (_, position) = self.call("SetUserFeatures", setting(user, number), &[]).await?;
        Ok(position)
    }

    /// Reads the number of a user, with this metadata. 0: the user has none. Returns the position of the answer, too.
    async fn get(&self, user: &str, metadata: &[&str]) -> Result<(u64, String), Refusal> {
        let (answer, position) = self.call("GetUserFeatures", question(user), metadata).await?;
        Ok((number(&answer), position))
    }

    async fn call(&self, method: &str, request: Json, metadata: &[&str]) -> Result<(Json, String), Refusal> {
        let metadata = [&[self.token.as_str()], metadata].concat();
        let (answer, metadata) = self.raw.call_for_metadata(method, request, &metadata).await?;
        let position = metadata.get("feature-revision").expect("each answer names its position");
        Ok((answer, position.to_str().expect("a position is ASCII").to_owned()))
    }
}

/// A Set of a user to a number.
fn setting(user: &str, number: u64) -> Json {
    json!({"userId": user, "loginV2": {"baseUri": format!("https://number/{number}")}})
}

/// A Get of a user.
fn question(user: &str) -> Json {
    json!({"userId": user, "inheritance": true})
}

/// The number in the answer to a Get.
fn number(answer: &Json) -> u64 {
    let uri = answer["loginV2"]["baseUri"].as_str().unwrap_or("https://number/0");
    uri.strip_prefix("https://number/").and_then(|number| number.parse().ok()).expect("only numbers are written")
}

/// The metadata of a Get that has to include this position, or `latest`.
pub(crate) fn at_least(position: &str) -> String {
    format!("feature-min-revision = {position}")
}

/// The revision of a position.
fn revision(position: &str) -> u64 {
    let revision = position.split_once('.').and_then(|(revision, _)| revision.parse().ok());
    revision.unwrap_or_else(|| panic!("{position} is not a position"))
}

/// Waits until a condition holds.
async fn wait_until(condition: &str, mut holds: impl AsyncFnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !holds().await {
        assert!(Instant::now() < deadline, "not after {PATIENCE:?}: {condition}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}
