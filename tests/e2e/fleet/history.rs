//! A history that an operator takes back: each server notices it by itself, and shows what the database has now.

use rustix::process::Signal;
use tonic::Code::FailedPrecondition;

use super::{Client, at_least, revision};
use crate::support::address;
use crate::support::fleet::Fleet;
use crate::support::harness::Server;
use crate::support::raw::refusal;

/// Copies what the database has, as a backup would.
const BACKUP: &str = "
    CREATE SCHEMA backup;
    CREATE TABLE backup.head AS TABLE feature_service.head;
    CREATE TABLE backup.events AS TABLE feature_service.events;
    CREATE TABLE backup.records AS TABLE feature_service.records";

const RESTORE: &str = "
    DELETE FROM feature_service.head; INSERT INTO feature_service.head TABLE backup.head;
    DELETE FROM feature_service.events; INSERT INTO feature_service.events TABLE backup.events;
    DELETE FROM feature_service.records; INSERT INTO feature_service.records TABLE backup.records";

#[tokio::test(flavor = "multi_thread")]
async fn servers_start_over_when_the_history_was_taken_back() {
    let fleet = Fleet::new();
    let mut servers = [1, 2].map(|number| {
        let folder = fleet.folder("");
        folder.serve_at(&address(number), &address(number + 2))
    });
    let clients = clients(&servers).await;
    let kept = write(&clients[0], 1..=6).await;
    fleet.database().query(BACKUP);
    let lost = write(&clients[1], 7..=10).await;
    for client in &clients {
        assert_eq!(client.get("ann", &[&at_least(&lost)]).await.expect("a read succeeds"), (10, lost.clone()));
    }

    // Nothing calls the servers.
    fleet.database().query(RESTORE);
    let before = servers.each_ref().map(|server| (server.process(), server.address().to_owned()));
    servers.iter_mut().for_each(Server::wait_until_listening);
    let after = servers.each_ref().map(|server| (server.process(), server.address().to_owned()));
    assert_eq!(before, after, "the same processes on the same addresses");
    let clients = self::clients(&servers).await;
    for (server, client) in servers.iter().zip(&clients) {
        assert_eq!(client.get("ann", &[]).await.expect("a read succeeds"), (6, kept.clone()));
        assert!(server.folder().data().join("replica.set-aside").exists(), "the old view stays for a look");
        let refused = client.get("ann", &[&at_least(&lost)]).await.unwrap_err();
        assert_eq!(refused, refusal(FailedPrecondition, "HISTORY_CHANGED", &[]), "the history ends before {lost}");
    }
    let written = write(&clients[0], 107..=111).await;
    for client in &clients {
        assert_eq!(client.get("ann", &[&at_least(&written)]).await.expect("a read succeeds").0, 111);
        let refused = client.get("ann", &[&at_least(&lost)]).await.unwrap_err();
        assert_eq!(refused, refusal(FailedPrecondition, "HISTORY_CHANGED", &[]), "{lost} is of another history");
    }

    // The second server sleeps until the history is longer again than the one that it knows.
    let [mut awake, mut asleep] = servers;
    asleep.signal(Signal::STOP);
    fleet.database().query(RESTORE);
    awake.wait_until_listening();
    let written = write(&Client::of(&awake).await, 207..=215).await;
    assert!(revision(&written) > 11, "{written}");
    asleep.signal(Signal::CONT);
    asleep.wait_until_listening();
    let servers = [awake, asleep];
    for client in &self::clients(&servers).await {
        assert_eq!(client.get("ann", &[&at_least(&written)]).await.expect("a read succeeds"), (215, written.clone()));
    }
    write(&self::clients(&servers).await[1], 300..=301).await;
    servers.into_iter().for_each(|server| drop(server.stop()));
}

async fn clients(servers: &[Server; 2]) -> [Client; 2] {
    [Client::of(&servers[0]).await, Client::of(&servers[1]).await]
}

/// Writes numbers one after the other. Returns the position of the last one.
async fn write(client: &Client, numbers: impl Iterator<Item = u64>) -> String {
    let mut position = String::new();
    for number in numbers {
        position = client.set("ann", number).await.expect("a write succeeds");
    }
    position
}
