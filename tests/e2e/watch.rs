//! Watches as a client sees them: streams of values and of changes.

mod changes;
mod client;
mod ends;
mod filters;
mod values;

use serde_json::{Value as Json, json};

use crate::support::client_programs::{document, pasted, run};
use crate::support::harness::Server;
use crate::support::raw::{JsonStream, Raw};

const VALUES: &str = "WatchService/WatchValues";
const CHANGES: &str = "WatchService/WatchChanges";
const UPDATE: &str = "SettingsService/UpdateSettings";

#[test]
fn the_walk_of_the_document_works_as_pasted() {
    let server = Server::new();
    let blocks = document(&server, "docs/watch.md", "sh");
    let answers = run(&mut pasted(&server, &blocks.join("\n")));
    let answers = serde_json::Deserializer::from_str(&answers).into_iter::<Json>();
    let answers: Vec<_> = answers.collect::<Result<_, _>>().expect("curl prints JSON");
    assert_eq!(answers.len(), 3, "{answers:?}");
    let scope = |answer: &Json| answer["snapshot"]["scopes"][0].clone();
    assert_eq!(scope(&answers[0])["settings"], "instances/demo/settings");
    assert_eq!(scope(&answers[1]), json!({"settings": "instances/demo/settings"}));
    assert!(answers[2]["heartbeat"].is_object(), "{answers:?}");
    server.stop();
}

/// Sets and unsets features of a scope.
async fn set(raw: &Raw, name: &str, set: Json, unset: &[&str], token: &str) {
    let request = json!({"name": format!("{name}/settings"), "set": set, "unset": unset});
    raw.call(UPDATE, request, &[token]).await.expect("the change is made");
}

/// The next message that tells something.
async fn told(stream: &mut JsonStream) -> Json {
    loop {
        let message = stream.next().await.expect("the stream goes on");
        if message["heartbeat"].is_null() {
            return message;
        }
    }
}

fn text(json: &Json) -> &str {
    json.as_str().unwrap_or_default()
}

fn revision(message: &Json) -> u64 {
    text(&message["revision"]).parse().expect("a message has a revision")
}
