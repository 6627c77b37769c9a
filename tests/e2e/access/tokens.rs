//! Tokens that become invalid while the server runs: revoked tokens, tokens of a retired key, and tokens over the rate
//! limit.

use std::future::Future;
use std::time::{Duration, Instant};

use rustix::process::Signal;
use serde_json::json;
use tonic::Code::{ResourceExhausted, Unauthenticated};
use tonic_types::StatusExt;

use crate::support::harness::{Folder, Server};
use crate::support::log_audit;
use crate::support::raw::{Raw, Refusal, read, refusal};

/// Calls with a token. The error is the refusal.
async fn call(raw: &Raw, token: &str) -> Result<(), Refusal> {
    raw.call("GetSystemFeatures", json!({}), &[token]).await.map(drop)
}

fn invalid() -> Result<(), Refusal> {
    Err(refusal(Unauthenticated, "TOKEN_INVALID", &[]))
}

/// Repeats a call until it has the expected outcome. Fails after the documented time.
async fn within<F: Future<Output = Result<(), Refusal>>>(
    bound: Duration,
    expected: Result<(), Refusal>,
    what: &str,
    attempt: impl Fn() -> F,
) {
    let begun = Instant::now();
    loop {
        // Measured before the call: a call that was sent within the bound may still have the old outcome.
        let late = begun.elapsed() > bound;
        let actual = attempt().await;
        if actual == expected {
            return;
        }
        assert!(!late, "{what}: still {actual:?} after {bound:?}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn revoked_tokens_stay_refused_while_the_list_cannot_be_read() {
    let folder = Folder::new("[auth]\nrevocation_file = \"revoked\"\n");
    let file = folder.data().with_file_name("revoked");
    let write = |text: &str| std::fs::write(&file, text).expect("the list is written");
    write("# nothing is revoked\n");
    let server = folder.serve();
    let raw = Raw::new(&server).await;
    let (leaked, id) = verbose_token(&server);
    let (other, ann) = (server.token("--instance demo"), server.token("--instance demo --user ann"));
    for token in [&leaked, &other, &ann] {
        assert_eq!(call(&raw, token).await, Ok(()));
    }

    let bound = Duration::from_secs(10);
    write(&format!("# a laptop was lost\njti {id}\n"));
    within(bound, invalid(), "a revoked token", || call(&raw, &leaked)).await;
    assert_eq!(call(&raw, &other).await, Ok(()), "others of the same subject are as good as before");

    // The server logs each unusable list and keeps the previous one.
    write("# a laptop was lost\nnonsense\n");
    server.wait_for_log("line 2 is no entry", 1);
    assert_eq!(call(&raw, &leaked).await, invalid());
    std::fs::remove_file(&file).expect("the list is there");
    server.wait_for_log("cannot be read", 1);
    assert_eq!(call(&raw, &leaked).await, invalid());

    write("subject ann issuer feature-server\n");
    within(bound, Ok(()), "a token that is no longer revoked", || call(&raw, &leaked)).await;
    within(bound, invalid(), "a revoked subject", || call(&raw, &ann)).await;
    server.stop();
}

#[tokio::test(flavor = "multi_thread")]
async fn sighup_reloads_the_list_and_the_server_goes_on() {
    let folder = Folder::new("[auth]\nrevocation_file = \"revoked\"\n");
    let file = folder.file("revoked");
    std::fs::write(&file, "# nothing is revoked\n").expect("the list is written");
    let server = folder.serve();
    let raw = Raw::new(&server).await;
    let token = server.token("--instance demo --user ann");
    assert_eq!(call(&raw, &token).await, Ok(()));
    for signals in 1..=2 {
        server.signal(Signal::HUP);
        server.wait_for_log("SIGHUP: certificates, key files and the list of revoked tokens are read again", signals);
        assert_eq!(call(&raw, &token).await, Ok(()), "the connection is open as before");
    }
    std::fs::write(&file, "subject ann\n").expect("the list is written");
    server.signal(Signal::HUP);
    within(Duration::from_secs(10), invalid(), "a revoked subject", || call(&raw, &token)).await;
    server.stop();
}

/// A token, and its id as the command prints it.
fn verbose_token(server: &Server) -> (String, String) {
    let output = server.folder().run("token --verbose --instance demo");
    let [token, told] = [output.stdout, output.stderr].map(|text| String::from_utf8(text).expect("it is text"));
    let told = told.split_once("the token's id is ").and_then(|(_, rest)| rest.split_once(", and it expires at 20"));
    let id = told.expect("the id is printed").0.to_owned();
    log_audit::note_secret(token.trim_end());
    (token.trim_end().to_owned(), id)
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_are_added_and_retired_without_a_restart() {
    let server = Server::new();
    let raw = Raw::new(&server).await;
    let keys = || {
        let output = server.folder().run("token keys");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let listed = String::from_utf8(output.stdout).expect("a list is text");
        let cells = |line: &str| {
            let cells: Vec<&str> = line.split_whitespace().collect();
            let [_, does, file] = cells[..] else { panic!("{line}") };
            (does.to_owned(), file.rsplit('/').next().unwrap_or_default().to_owned())
        };
        listed.lines().map(cells).collect::<Vec<_>>()
    };
    let listed = |keys: &[(&str, &str)]| -> Vec<_> {
        keys.iter().map(|(does, file)| ((*does).to_owned(), (*file).to_owned())).collect()
    };
    let old = server.token("--instance demo");
    assert_eq!(call(&raw, &old).await, Ok(()));
    assert_eq!(keys(), listed(&[("signs", "1.pem")]));

    assert!(server.folder().run("token keygen").status.success());
    assert_eq!(keys(), listed(&[("verifies", "1.pem"), ("signs", "2.pem")]));
    let new = server.token("--instance demo");
    let bound = Duration::from_secs(10);
    within(bound, Ok(()), "a token of the new key", || call(&raw, &new)).await;
    assert_eq!(call(&raw, &old).await, Ok(()), "both keys are good");

    std::fs::remove_file(server.folder().data().join("keys/1.pem")).expect("the old key is there");
    within(bound, invalid(), "a token of the retired key", || call(&raw, &old)).await;
    assert_eq!(call(&raw, &new).await, Ok(()), "the connection and the other key are as good as before");
    assert_eq!(keys(), listed(&[("signs", "2.pem")]));
    server.stop();
}

#[tokio::test(flavor = "multi_thread")]
async fn rate_limited_identities_get_a_retry_time_and_others_are_served() {
    let server = Folder::new("[limits]\ncalls_per_second_per_identity = 1\n").serve();
    let raw = Raw::new(&server).await;
    let tokens = [server.token("--instance demo"), server.token("--instance demo")];
    let mut refused = None;
    for index in 0..20 {
        // All tokens of an identity share its rate limit.
        refused = raw.send("GetSystemFeatures", Vec::new(), &[&tokens[index % 2]]).await.err();
        if refused.is_some() {
            assert!(index >= 2, "two calls can be saved up");
            break;
        }
    }
    let refused = refused.expect("twenty calls take less than eighteen seconds");
    assert_eq!(read(&refused), refusal(ResourceExhausted, "OVERLOADED", &[]));
    let details = refused.get_error_details();
    let wait = details.retry_info().and_then(|retry| retry.retry_delay).expect("it tells when to come back");
    assert!(wait <= Duration::from_secs(1), "{wait:?}");
    assert_eq!(call(&raw, &server.token("--instance demo --user ann")).await, Ok(()), "another identity");
    assert_eq!(call(&raw, &server.token("--instance other")).await, Ok(()), "the same name in another instance");
    tokio::time::sleep(wait).await;
    assert_eq!(call(&raw, &tokens[0]).await, Ok(()), "after the time that was told");
    server.stop();
}

#[test]
fn an_unreadable_list_prevents_the_start() {
    let folder = Folder::new("[auth]\nrevocation_file = \"revoked\"\n");
    for (text, says) in [(None, "cannot be read"), (Some("jti a\nnonsense\n"), "line 2 is no entry")] {
        if let Some(text) = text {
            std::fs::write(folder.data().with_file_name("revoked"), text).expect("the list is written");
        }
        let output = folder.run("serve --listen 127.0.0.1:0");
        let words = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(64), "{words}");
        let last = words.lines().last().unwrap_or_default();
        assert!(last.contains("auth.revocation_file = \"revoked\"") && last.contains(says), "{last}");
    }
}
