//! Watches as a client sees them: streams of values and of changes.

mod changes;
mod ends;
mod values;

use serde_json::{Value as Json, json};

use crate::support::raw::{JsonStream, Raw};

const VALUES: &str = "WatchService/WatchValues";
const CHANGES: &str = "WatchService/WatchChanges";
const UPDATE: &str = "SettingsService/UpdateSettings";

/// Sets and unsets features of a scope.
async fn set(raw: &Raw, name: &str, set: Json, unset: &[&str], token: &str) {
    let request = json!({"name": format!("{name}/settings"), "set": set, "unset": unset});
    raw.call(UPDATE, request, &[token]).await.expect("the change is made");
}

/// The next message that is no heartbeat.
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
