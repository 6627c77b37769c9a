//! Writes on several servers at once: one order, one winner for each sequence, and own writes at once.

use serde_json::json;
use tokio::task::JoinSet;
use tonic::Code::Aborted;

use super::{Client, at_least, number, question, revision, setting};
use crate::support::fleet::Fleet;
use crate::support::raw::refusal;

#[tokio::test(flavor = "multi_thread")]
async fn one_of_the_sets_with_the_same_expected_sequence_wins_on_all_servers() {
    let fleet = Fleet::new();
    let servers = [fleet.serve(), fleet.serve()];
    let clients = [Client::of(&servers[0]).await, Client::of(&servers[1]).await];
    for round in 0..15 {
        let mut sets = JoinSet::new();
        for contestant in 0..12 {
            let client = clients[contestant as usize % 2].clone();
            let number = round * 100 + contestant + 1;
            let mut request = setting("ann", number);
            request["expectedSequence"] = json!(round.to_string());
            sets.spawn(async move { (number, client.call("SetUserFeatures", request, &[]).await) });
        }
        let mut winners = Vec::new();
        for (number, outcome) in sets.join_all().await {
            match outcome {
                Ok((answer, _)) => {
                    assert_eq!(answer["details"]["sequence"], (round + 1).to_string(), "{answer}");
                    winners.push(number);
                }
                Err(refused) => assert_eq!(refused, refusal(Aborted, "SEQUENCE_MISMATCH", &[]), "round {round}"),
            }
        }
        assert_eq!(winners.len(), 1, "round {round}: {winners:?}");
        for client in &clients {
            let (read, _) = client.get("ann", &[&at_least("latest")]).await.expect("a read succeeds");
            assert_eq!(read, winners[0], "round {round}");
        }
    }
    servers.into_iter().for_each(|server| drop(server.stop()));
}

#[tokio::test(flavor = "multi_thread")]
async fn concurrent_writers_see_their_own_writes_and_leave_one_history() {
    const WRITERS: u64 = 8;
    const WRITES: u64 = 25;
    let fleet = Fleet::new();
    let servers = [fleet.serve(), fleet.serve()];
    let clients = [Client::of(&servers[0]).await, Client::of(&servers[1]).await];
    let mut writers = JoinSet::new();
    for writer in 0..WRITERS {
        let client = clients[writer as usize % 2].clone();
        writers.spawn(async move {
            let user = format!("user-{writer}");
            let mut before = 0;
            for number in 1..=WRITES {
                // All write this one, too.
                client.set("shared", writer * WRITES + number).await.expect("a write succeeds");
                let written = client.set(&user, number).await.expect("a write succeeds");
                assert!(revision(&written) > before, "{written} comes after {before}");
                let (read, position) = client.get(&user, &[]).await.expect("a read succeeds");
                assert_eq!(read, number, "{user} sees its own write on the server that took it");
                before = revision(&position);
                assert!(before >= revision(&written), "{position} includes {written}");
            }
        });
    }
    writers.join_all().await;
    let mut states = Vec::new();
    for client in &clients {
        let mut state = Vec::new();
        for user in (0..WRITERS).map(|writer| format!("user-{writer}")).chain(["shared".to_owned()]) {
            let (answer, position) =
                client.call("GetUserFeatures", question(&user), &[&at_least("latest")]).await.expect("a read succeeds");
            assert!(user == "shared" || number(&answer) == WRITES, "{user}: {answer}");
            assert_eq!(revision(&position), 2 * WRITERS * WRITES, "{user}: one event for each write");
            state.push((answer, position));
        }
        states.push(state);
    }
    assert_eq!(states[0], states[1], "both servers show the same");
    let count = "SELECT count(*), count(DISTINCT chain), min(revision), max(revision) FROM feature_service.events";
    let events = 2 * WRITERS * WRITES;
    assert_eq!(fleet.database().query(count), format!("{events}|{events}|1|{events}"));
    servers.into_iter().for_each(|server| drop(server.stop()));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_that_is_repeated_on_another_server_happens_once() {
    const UPDATE: &str = "SettingsService/UpdateSettings";
    let fleet = Fleet::new();
    let servers = [fleet.serve(), fleet.serve()];
    let clients = [Client::of(&servers[0]).await, Client::of(&servers[1]).await];
    let mut attempts = JoinSet::new();
    for attempt in 0..10 {
        let client = clients[attempt % 2].clone();
        let request = json!({"name": "instances/demo/users/ann/settings", "set": {"actions": true},
            "requestId": "8f3a5c1e-0d5b-4c57-9a60-6f1f0a7b2c9d"});
        attempts.spawn(async move { client.call(UPDATE, request, &[]).await });
    }
    for answer in attempts.join_all().await {
        let (answer, _) = answer.expect("each attempt is answered");
        assert_eq!(answer["settings"]["etag"], "\"1\"", "{answer}");
    }
    servers.into_iter().for_each(|server| drop(server.stop()));
}
