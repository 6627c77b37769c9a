//! How the client survives stops, kills and hangs of the server, and servers with another history.

use std::cell::Cell;
use std::sync::atomic::AtomicBool;

use rustix::process::Signal;

use super::*;
use crate::support::address;
use crate::support::folder::Folder;

/// For metrics.
const ANY_PORT: &str = "127.0.0.1:0";

/// A server on this folder at an address of its own, a token, and a client that is ready.
async fn watched(folder: Folder, address: &str, options: Options) -> (Server, Token, Client) {
    let server = folder.serve_at(address, ANY_PORT);
    let token = Token::new(&server.token("--role IAM_OWNER --instance demo"));
    let client = client(address, &token, options);
    ready(&client).await;
    (server, token, client)
}

fn actions(client: &Client) -> Result<bool, ReadError> {
    client.scope(DEMO).boolean("actions")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_starts_before_the_server_becomes_ready() {
    let address = address(11);
    let server = Folder::new("").serve();
    let token = server.token("--role IAM_OWNER --instance demo");
    set_actions(&server, true, &token).await;
    let folder = server.stop();
    let patient = client(&address, &Token::new(&token), of_demo());
    let hasty = client(&address, &Token::new(&token), Options { start_limit: Duration::from_millis(200), ..of_demo() });
    assert_eq!((patient.state(), patient.age(), actions(&patient)), (State::NotReady, None, Err(ReadError::NotReady)));
    until(|| hasty.last_end().is_some()).await;
    let late = timeout(PATIENCE, hasty.ready()).await.expect("the limit is short").unwrap_err();
    assert!(matches!(late, StreamEnd::Connection(_)), "{late}");
    assert_eq!((hasty.state(), actions(&hasty)), (State::Error, Err(ReadError::NotReady)));
    let server = folder.serve_at(&address, ANY_PORT);
    ready(&patient).await;
    until_state(&hasty, State::Ready).await;
    assert_eq!((actions(&patient), actions(&hasty)), (Ok(true), Ok(true)));
    server.stop();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_stops_and_starts_again_goes_unnoticed() {
    let address = address(12);
    let (server, token, client) = watched(Folder::new(""), &address, of_demo()).await;
    let states = client.states();
    let over = Arc::new(AtomicBool::new(false));
    let scope = client.scope(DEMO);
    let reads = tokio::task::spawn_blocking({
        let over = Arc::clone(&over);
        move || {
            let mut reads = 0;
            while !over.load(Ordering::Acquire) {
                assert!(scope.boolean("actions").is_ok());
                reads += 1;
            }
            reads
        }
    });
    let folder = tokio::task::spawn_blocking(move || server.stop()).await.unwrap();
    assert!(matches!(client.last_end(), Some(StreamEnd::Closing { retry_after: Some(_) })), "{:?}", client.last_end());
    let server = folder.serve_at(&address, ANY_PORT);
    set_actions(&server, true, &token.get()).await;
    until(|| actions(&client) == Ok(true)).await;
    over.store(true, Ordering::Release);
    assert!(reads.await.unwrap() > 0);
    assert_eq!((client.state(), states.has_changed().unwrap()), (State::Ready, false));
    server.stop();
}

#[tokio::test(flavor = "multi_thread")]
async fn values_outlast_a_killed_server_and_say_how_old_they_are() {
    let address = address(13);
    let (server, token, patient) = watched(Folder::new(""), &address, soon_stale()).await;
    let hasty = client(&address, &token, Options { stale_limit: Duration::from_millis(1), ..soon_stale() });
    let clients = [(patient, State::Stale), (hasty, State::Error)];
    set_actions(&server, true, &token.get()).await;
    for (client, _) in &clients {
        until(|| actions(client) == Ok(true)).await;
    }
    let folder = server.kill();
    for (client, state) in &clients {
        until_state(client, *state).await;
        let age = client.age().unwrap();
        assert!(age >= Duration::from_secs(3), "{state:?} after {age:?}");
        assert_eq!(actions(client), Ok(true));
    }
    let server = folder.serve_at(&address, ANY_PORT);
    for (client, _) in &clients {
        until_state(client, State::Ready).await;
        assert_eq!(actions(client), Ok(true));
    }
    server.stop();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_leaves_a_server_that_hangs() {
    let address = address(14);
    let (server, _, client) = watched(Folder::new(""), &address, soon_stale()).await;
    server.signal(Signal::STOP);
    until_state(&client, State::Stale).await;
    until(|| client.last_end() == Some(StreamEnd::Silence)).await;
    assert_eq!(actions(&client), Ok(false));
    server.signal(Signal::CONT);
    until_state(&client, State::Ready).await;
    server.stop();
}

#[tokio::test(flavor = "multi_thread")]
async fn heartbeats_keep_values_young() {
    let address = address(15);
    let options = Options { heartbeat: Duration::from_secs(2), ..of_demo() };
    let (server, _, client) = watched(Folder::new(""), &address, options).await;
    let oldest = Cell::new(Duration::ZERO);
    until(|| {
        let age = client.age().expect("there are values");
        oldest.set(oldest.get().max(age));
        age + Duration::from_secs(1) < oldest.get()
    })
    .await;
    // The stream is still the first one.
    assert_eq!((client.state(), client.revision(), client.last_end()), (State::Ready, 0, None));
    server.stop();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_change_while_a_client_is_away_comes_at_once_when_it_is_back() {
    let address = address(16);
    let (server, token, client) = watched(Folder::new(""), &address, of_demo()).await;
    let mut changes = client.changes();
    // The server runs on another port for a while.
    let server = server.kill().serve();
    set_actions(&server, true, &token.get()).await;
    let server = server.stop().serve_at(&address, ANY_PORT);
    let change = timeout(PATIENCE, changes.recv()).await.unwrap().unwrap();
    assert_eq!((keys(&change), actions(&client)), (vec!["instances/demo actions".to_owned()], Ok(true)));
    assert!(changes.is_empty(), "{:?}", changes.recv().await);
    server.stop();
}

#[tokio::test(flavor = "multi_thread")]
async fn an_older_backup_takes_its_values_back() {
    let address = address(17);
    let (server, token, client) = watched(Folder::embedded(""), &address, of_demo()).await;
    set_actions(&server, true, &token.get()).await;
    let older = Folder::embedded("");
    let backup = server.folder().run(&format!("backup {}", older.data().display()));
    assert!(backup.status.success(), "{backup:?}");
    set_actions(&server, false, &token.get()).await;
    until(|| client.revision() == 2).await;
    assert_eq!(actions(&client), Ok(false));
    server.kill();
    let server = older.serve_at(&address, ANY_PORT);
    until(|| actions(&client) == Ok(true)).await;
    assert_eq!((&*reason(&client), client.revision()), ("REVISION_UNKNOWN", 1));
    server.stop();
}

#[tokio::test(flavor = "multi_thread")]
async fn another_store_at_the_address_shows_its_own_values() {
    let address = address(18);
    let (server, token, client) = watched(Folder::embedded(""), &address, of_demo()).await;
    set_actions(&server, true, &token.get()).await;
    until(|| actions(&client) == Ok(true)).await;
    let other = Folder::embedded("").serve();
    let foreign = other.token("--role IAM_OWNER --instance demo");
    let other = other.stop();
    server.kill();
    token.renew(&foreign);
    let server = other.serve_at(&address, ANY_PORT);
    until(|| actions(&client) == Ok(false)).await;
    assert_eq!((&*reason(&client), client.revision(), client.state()), ("STORE_CHANGED", 0, State::Ready));
    server.stop();
}
