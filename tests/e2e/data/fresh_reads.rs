//! Every read after an acknowledged write returns that write or a later one, on every level and where it is inherited.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::SeqCst};

use serde_json::{Value as Json, json};
use tokio::task::JoinSet;

use crate::support::harness::Server;
use crate::support::raw::Raw;

/// The number of writes on each level.
const WRITES: u64 = 100;

/// The number of readers of each level, each with its own connection.
const READERS: usize = 4;

#[tokio::test(flavor = "multi_thread")]
async fn reads_are_never_older_than_an_acknowledged_write() {
    let server = Server::new();
    let token: Arc<str> = server.token("--role SYSTEM_OWNER").into();
    let table = [
        // method, id, instance of the write, instance of the users that are read
        ("SetSystemFeatures", json!({}), "anonymous", "of-system"),
        ("SetInstanceFeatures", json!({}), "of-instance", "of-instance"),
        ("SetOrganizationFeatures", json!({"organizationId": "acme"}), "of-organization", "of-organization"),
        ("SetUserFeatures", json!({"userId": "ann"}), "of-user", "of-user"),
    ];
    let mut tasks = JoinSet::new();
    for (method, id, written, read) in table {
        let acknowledged = Arc::new(AtomicU64::new(0));
        let write = Arc::clone(&acknowledged);
        let (client, caller) = (Raw::new(&server).await, in_instance(&token, written));
        tasks.spawn(async move {
            for number in 1..=WRITES {
                let mut request = id.clone();
                request["loginV2"] = json!({"required": true, "baseUri": format!("https://{read}/{number}")});
                client.call(method, request, &texts(&caller)).await.expect("a write succeeds");
                write.store(number, SeqCst);
            }
        });
        for _ in 0..READERS {
            let acknowledged = Arc::clone(&acknowledged);
            let (client, caller) = (Raw::new(&server).await, in_instance(&token, read));
            tasks.spawn(async move {
                let mut seen = 0;
                while seen < WRITES {
                    let least = acknowledged.load(SeqCst).max(seen);
                    let request = json!({"userId": "ann", "inheritance": true});
                    let answer =
                        client.call("GetUserFeatures", request, &texts(&caller)).await.expect("a read succeeds");
                    seen = number(&answer, read);
                    assert!(seen >= least, "{method}: {seen} was read after {least} was acknowledged or read");
                }
            });
        }
    }
    tasks.join_all().await;
    server.stop();
}

fn in_instance(token: &str, instance: &str) -> [String; 3] {
    [token.to_owned(), format!("x-zitadel-instance-id = {instance}"), "x-zitadel-orgid = acme".to_owned()]
}

fn texts(caller: &[String; 3]) -> [&str; 3] {
    caller.each_ref().map(String::as_str)
}

/// The number in an answer. 0 before the first write of this level.
fn number(answer: &Json, host: &str) -> u64 {
    let uri = answer["loginV2"]["baseUri"].as_str().unwrap_or_default();
    let number = uri.strip_prefix("https://").and_then(|uri| uri.strip_prefix(host)?.strip_prefix('/'));
    number.map_or(0, |number| number.parse().expect("only numbers are written"))
}
