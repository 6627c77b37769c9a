//! The client of feature-api, which keeps values in memory: what docs/sdk.md demands of such a client.

mod outages;
mod reads;

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use feature_api::client::{Client, Options, ReadError, State, StreamEnd};
use tokio::time::{sleep, timeout};
use tonic::transport::Endpoint;

use super::*;
use crate::support::PATIENCE;

const DEMO: &str = "instances/demo";

/// The token that a client gets, which can be renewed.
#[derive(Clone)]
struct Token {
    text: Arc<Mutex<String>>,
    /// How often the client has asked for it.
    calls: Arc<AtomicUsize>,
}

impl Token {
    fn new(text: &str) -> Self {
        Self { text: Arc::new(Mutex::new(text.to_owned())), calls: Arc::default() }
    }

    fn renew(&self, text: &str) {
        *self.text.lock().expect("no code panics with the token in hand") = text.to_owned();
    }

    fn calls(&self) -> usize {
        self.calls.load(Ordering::Acquire)
    }

    fn get(&self) -> String {
        self.calls.fetch_add(1, Ordering::AcqRel);
        self.text.lock().expect("no code panics with the token in hand").clone()
    }
}

/// A client of a server at this address.
fn client(address: &str, token: &Token, options: Options) -> Client {
    let endpoint = Endpoint::from_shared(format!("http://{address}")).expect("an address is a valid URL");
    let token = token.clone();
    Client::start(endpoint, move || token.get(), options)
}

/// The feature `actions` of an instance.
fn of_demo() -> Options {
    Options { features: vec!["actions".to_owned()], start_limit: PATIENCE, ..Options::new([DEMO]) }
}

/// The same, and three seconds of silence make a client stale.
fn soon_stale() -> Options {
    Options { heartbeat: Duration::from_secs(1), ..of_demo() }
}

async fn ready(client: &Client) {
    let ready = timeout(PATIENCE, client.ready()).await;
    ready.expect("the client hears from the server").expect("the client is ready");
}

async fn until_state(client: &Client, state: State) {
    let mut states = client.states();
    let reached = timeout(PATIENCE, states.wait_for(|now| *now == state)).await;
    reached.unwrap_or_else(|_| panic!("the client is not {state:?}")).expect("the client is there");
}

async fn until(condition: impl Fn() -> bool) {
    let holds = async {
        while !condition() {
            sleep(Duration::from_millis(10)).await;
        }
    };
    timeout(PATIENCE, holds).await.expect("the condition holds in time");
}

/// The reason in the status with which the last stream has ended.
fn reason(client: &Client) -> String {
    match client.last_end() {
        Some(StreamEnd::Status { reason, .. }) => reason,
        other => format!("{other:?}"),
    }
}

async fn set_actions(server: &Server, flag: bool, token: &str) {
    set(&Raw::new(server).await, DEMO, json!({"actions": flag}), &[], token).await;
}

/// The keys of a change, each with its scope.
fn keys(change: &feature_api::client::Change) -> Vec<String> {
    let scopes = change.keys.iter();
    scopes.flat_map(|(name, keys)| keys.iter().map(move |key| format!("{name} {key}"))).collect()
}
