//! Reads: each server shows what was written on another one to those who ask for it, in every protocol.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::SeqCst};

use serde_json::{Value as Json, json};
use tokio::task::JoinSet;
use tonic::Code;

use super::{Client, at_least, number, question, revision, setting};
use crate::protocols::teller::{Protocol, Teller};
use crate::support::fleet::Fleet;

/// The number of writes for each protocol.
const WRITES: u64 = 6;

#[tokio::test(flavor = "multi_thread")]
async fn a_get_shows_the_write_whose_position_it_names_on_every_server_in_every_protocol() {
    let fleet = Fleet::new();
    let servers = [fleet.serve(), fleet.serve()];
    let token = servers[0].token("--role IAM_OWNER --instance demo");
    let tellers = [Teller::new(&servers[0]), Teller::new(&servers[1])];
    let mut last = 0;
    for protocol in Protocol::ALL {
        for write in 0..WRITES {
            last += 1;
            let (writer, reader) = (&tellers[write as usize % 2], &tellers[(write as usize + 1) % 2]);
            let set = writer.tell_with(protocol, "SetUserFeatures", &setting("ann", last), Some(&token), &[]).await;
            let written = position(&set);
            // Half of the reads name the write, the others ask for all that there is.
            let minimum = if write < WRITES / 2 { written } else { "latest" };
            let metadata = [("feature-min-revision", minimum)];
            let get = reader.tell_with(protocol, "GetUserFeatures", &question("ann"), Some(&token), &metadata).await;
            assert_eq!(number(&get.0), last, "{protocol:?}: a Get that asks for {minimum}: {}", get.0);
            assert_eq!(position(&get), written, "{protocol:?}");
            assert_eq!(revision(written), last, "{protocol:?}: one event for each write");
        }
    }
    servers.into_iter().for_each(|server| drop(server.stop()));
}

/// The position that an answer names.
fn position((answer, metadata): &(Json, http::HeaderMap)) -> &str {
    let position = metadata.get("feature-revision").unwrap_or_else(|| panic!("no position with {answer}"));
    position.to_str().expect("a position is ASCII")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_position_that_cannot_be_shown_is_refused_with_its_reason_in_every_protocol() {
    let fleet = Fleet::new();
    let server = fleet.serve();
    let client = Client::of(&server).await;
    let written = client.set("ann", 1).await.expect("a write succeeds");
    let beyond = written.replacen('1', "2", 1);
    let (_, chain) = written.split_once('.').expect("a position has a chain");
    let other = format!("1.{:08x}", !u32::from_str_radix(chain, 16).expect("hexadecimal digits"));
    // the values of the metadata | code | reason | field
    let table: [(&[&str], _, _, _); 9] = [
        (&[&beyond], Code::FailedPrecondition, "HISTORY_CHANGED", None),
        (&["18446744073709551615.00000000"], Code::FailedPrecondition, "HISTORY_CHANGED", None),
        (&[&other], Code::FailedPrecondition, "HISTORY_CHANGED", None),
        (&[""], Code::InvalidArgument, "FIELD_INVALID", Some("feature-min-revision")),
        (&["1"], Code::InvalidArgument, "FIELD_INVALID", Some("feature-min-revision")),
        (&["Latest"], Code::InvalidArgument, "FIELD_INVALID", Some("feature-min-revision")),
        (&["-1.00000000"], Code::InvalidArgument, "FIELD_INVALID", Some("feature-min-revision")),
        (&["latest", "latest"], Code::InvalidArgument, "FIELD_INVALID", Some("feature-min-revision")),
        (&[&written, "latest"], Code::InvalidArgument, "FIELD_INVALID", Some("feature-min-revision")),
    ];
    let teller = Teller::new(&server);
    for protocol in Protocol::ALL {
        for (values, code, reason, field) in &table {
            let metadata: Vec<_> = values.iter().map(|value| ("feature-min-revision", *value)).collect();
            let request = question("ann");
            let get = teller.tell_with(protocol, "GetUserFeatures", &request, Some(&client.token), &metadata);
            let (error, _) = get.await;
            let detail = |field: &str| error["details"].as_array()?.iter().find_map(|detail| detail.get(field));
            assert_eq!(error["code"], *code as i64, "{protocol:?}, {values:?}: {error}");
            assert_eq!(detail("reason"), Some(&json!(reason)), "{protocol:?}, {values:?}: {error}");
            let named = detail("fieldViolations").map(|violations| &violations[0]["field"]);
            assert_eq!(named.and_then(Json::as_str), *field, "{protocol:?}, {values:?}: {error}");
        }
    }
    server.stop();
}

#[tokio::test(flavor = "multi_thread")]
async fn reads_of_the_latest_are_never_older_than_a_write_that_any_server_has_acknowledged() {
    let fleet = Fleet::new();
    let servers = [fleet.serve(), fleet.serve()];
    let clients = [Client::of(&servers[0]).await, Client::of(&servers[1]).await];
    let mut tasks = JoinSet::new();
    for writer in 0..2 {
        let acknowledged = Arc::new(AtomicU64::new(0));
        let user = ["ann", "bob"][writer];
        let (client, written) = (clients[writer].clone(), Arc::clone(&acknowledged));
        tasks.spawn(async move {
            for number in 1..=50 {
                client.set(user, number).await.expect("a write succeeds");
                written.store(number, SeqCst);
            }
        });
        for reader in [0, 1, 1 - writer] {
            let (client, acknowledged) = (clients[reader].clone(), Arc::clone(&acknowledged));
            tasks.spawn(async move {
                let mut seen = 0;
                while seen < 50 {
                    let least = acknowledged.load(SeqCst).max(seen);
                    (seen, _) = client.get(user, &[&at_least("latest")]).await.expect("a read succeeds");
                    assert!(seen >= least, "{user}: {seen} was read after {least} was acknowledged or read");
                }
            });
        }
    }
    tasks.join_all().await;
    servers.into_iter().for_each(|server| drop(server.stop()));
}
