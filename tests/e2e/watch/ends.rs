//! How streams end.

use std::fs;

use rustix::process::Signal;
use serde_json::json;
use tonic::Code::{ResourceExhausted, Unauthenticated, Unavailable};
use tonic::transport::Endpoint;

use super::*;
use crate::support::folder::Folder;
use crate::support::harness::Server;
use crate::support::raw::{Raw, refusal};

/// Streams of both methods that have begun.
async fn streams(raw: &Raw, token: &str) -> [JsonStream; 2] {
    let requests =
        [(VALUES, json!({"names": ["instances/demo/settings"]})), (CHANGES, json!({"parent": "instances/demo"}))];
    let mut streams = Vec::new();
    for (method, request) in requests {
        let mut stream = raw.stream(method, request, &[token]).await.expect("the call succeeds");
        stream.next().await.expect("the call succeeds");
        streams.push(stream);
    }
    streams.try_into().ok().expect("there are two")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_stops_says_so_and_when_to_come_again() {
    let server = Server::new();
    let owner = server.token("--role IAM_OWNER --instance demo");
    let raw = Raw::new(&server).await;
    let streams = streams(&raw, &owner).await;
    let told = tokio::spawn(async move {
        let mut told = Vec::new();
        for mut stream in streams {
            let closing = told_closing(&mut stream).await;
            told.push((closing, stream.next().await.unwrap_err()));
        }
        told
    });
    let stopped = tokio::task::spawn_blocking(move || server.stop());
    for (closing, end) in told.await.unwrap() {
        assert_eq!(closing["reason"], "CONNECTION_LEAVING");
        assert!(closing["retryAfter"].is_string(), "{closing}");
        assert_eq!(end, refusal(Unavailable, "STORE_UNAVAILABLE", &[]));
    }
    stopped.await.unwrap();
}

async fn told_closing(stream: &mut JsonStream) -> Json {
    told(stream).await["closing"].clone()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_that_is_too_old_ends_its_streams_first() {
    let server = Folder::new("limits.connection_age_ms = 500").serve();
    let owner = server.token("--role IAM_OWNER --instance demo");
    let raw = Raw::new(&server).await;
    for mut stream in streams(&raw, &owner).await {
        assert_eq!(told_closing(&mut stream).await["reason"], "CONNECTION_LEAVING");
        assert_eq!(stream.next().await.unwrap_err().code, Unavailable);
    }
    server.stop();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_that_expires_or_is_revoked_ends_its_streams() {
    let folder = Folder::new("auth.leeway_s = 0\nauth.revocation_file = 'revoked'");
    fs::write(folder.file("revoked"), "# nothing is revoked\n").unwrap();
    let server = folder.serve();
    let raw = Raw::new(&server).await;
    let short = server.token("--role IAM_OWNER --instance demo --ttl 2s");
    let revoked = server.token("--role IAM_OWNER --instance demo --user ann");
    let stays = server.token("--role IAM_OWNER --instance demo --user bob");
    let of_short = streams(&raw, &short).await;
    let of_revoked = streams(&raw, &revoked).await;
    let [mut kept, _] = streams(&raw, &stays).await;
    for mut stream in of_short {
        assert_eq!(told_end(&mut stream).await, refusal(Unauthenticated, "TOKEN_EXPIRED", &[]));
    }
    fs::write(folder.file("revoked"), "subject ann\n").unwrap();
    for mut stream in of_revoked {
        assert_eq!(told_end(&mut stream).await, refusal(Unauthenticated, "TOKEN_INVALID", &[]));
    }
    set(&raw, "instances/demo", json!({"actions": true}), &[], &stays).await;
    assert!(told(&mut kept).await["delta"].is_object());
    server.stop();
}

async fn told_end(stream: &mut JsonStream) -> crate::support::raw::Refusal {
    loop {
        match stream.next().await {
            Ok(message) => assert!(message["heartbeat"].is_object(), "{message}"),
            Err(end) => return end,
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn streams_have_a_limit_of_their_own_and_leave_the_calls_alone() {
    let server = Folder::new("limits.watches = 8\nlimits.calls = 4").serve();
    let raw = Raw::new(&server).await;
    let owner = server.token("--role IAM_OWNER --instance demo");
    let request = || json!({"names": ["instances/demo/settings"]});
    // A quarter for each identity.
    let one = raw.stream(VALUES, request(), &[&owner]).await.unwrap();
    let other = raw.stream(VALUES, request(), &[&owner]).await.unwrap();
    let refused = raw.stream(VALUES, request(), &[&owner]).await.err();
    assert_eq!(refused, Some(refusal(ResourceExhausted, "TOO_MANY_WATCHES", &[])));
    set(&raw, "instances/demo", json!({"actions": true}), &[], &owner).await;
    drop(one);
    // The place is free when the server has seen that the client has left.
    let mut again = raw.stream(VALUES, request(), &[&owner]).await;
    while again.is_err() {
        again = raw.stream(VALUES, request(), &[&owner]).await;
    }
    drop((other, again));
    server.stop();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_takes_nothing_loses_its_connection_and_no_change() {
    let server = Folder::new("limits.watches = 4\nlimits.send_timeout_ms = 500").serve();
    let owner = server.token("--role IAM_OWNER --instance demo");
    let raw = Raw::new(&server).await;
    for number in 0..50 {
        set(&raw, "instances/demo", json!({"actions": number % 2 == 0}), &[], &owner).await;
    }
    let request = || json!({"parent": "instances/demo", "afterRevision": "0"});
    let endpoint = Endpoint::from_shared(format!("http://{}", server.address())).expect("an address is a valid URL");
    // All of the window is less than the first message.
    let endpoint = endpoint.initial_stream_window_size(1024).initial_connection_window_size(1024);
    let stalled = Raw::over(endpoint.connect().await.expect("the server accepts a connection"));
    let stalled = stalled.stream(CHANGES, request(), &[&owner]).await.expect("the call succeeds");
    // One identity has room for one stream, as soon as the other one has ended.
    let mut next = raw.stream(CHANGES, request(), &[&owner]).await;
    while let Err(refused) = &next {
        assert_eq!(refused, &refusal(ResourceExhausted, "TOO_MANY_WATCHES", &[]));
        next = raw.stream(CHANGES, request(), &[&owner]).await;
    }
    drop(stalled);
    let message = told(&mut next.unwrap()).await;
    assert_eq!(message["changes"]["changes"].as_array().map(Vec::len), Some(50));
    server.stop();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_closing_amid_the_pieces_of_a_state_has_no_token_for_it() {
    let server = Server::new();
    let owner = server.token("--role IAM_OWNER --instance demo");
    let raw = Raw::new(&server).await;
    let definition = json!({"valueType": "VALUE_TYPE_STRING", "defaultValue": ""});
    let define = json!({"parent": "instances/demo", "featureDefinitionId": "motto", "featureDefinition": definition});
    raw.call("DefinitionService/CreateFeatureDefinition", define, &[&owner]).await.expect("the call succeeds");
    set(&raw, "instances/demo", json!({"motto": "x".repeat(30_000)}), &[], &owner).await;
    // All of them inherit the large value.
    let names: Vec<_> = (0..300).map(|user| format!("instances/demo/users/{user}/settings")).collect();
    let mut stream = raw.stream(VALUES, json!({"names": names}), &[&owner]).await.expect("the call succeeds");
    let mut message = stream.next().await.expect("the call succeeds");
    server.signal(Signal::TERM);
    server.wait_for_log("shutting down", 1);
    let mut pieces = 0;
    while message["closing"].is_null() {
        assert_eq!((&message["partial"], &message["resumeToken"]), (&json!(true), &Json::Null));
        pieces += 1;
        message = stream.next().await.expect("the stream ends with a closing");
    }
    assert!(pieces < 9, "the whole state has nine");
    assert_eq!((&message["resumeToken"], &message["revision"]), (&Json::Null, &Json::Null));
    drop(stream);
    server.stopped();
}
