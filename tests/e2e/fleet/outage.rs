//! A database that does not answer, or ends: reads go on, writes are refused, and both come back by themselves.

use serde_json::Value as Json;
use tonic::Code::{DeadlineExceeded, Unavailable};
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_client::HealthClient;

use super::{Client, at_least, wait_until};
use crate::support::curl::{Curl, Version};
use crate::support::fleet::Fleet;
use crate::support::harness::Server;
use crate::support::postgres::Cluster;
use crate::support::raw::refusal;

/// How a database fails.
#[derive(Debug, Clone, Copy)]
enum Outage {
    /// It accepts connections, and never answers.
    Pause,
    /// It ends, by SIGKILL.
    Kill,
}

#[tokio::test(flavor = "multi_thread")]
async fn an_outage_of_the_database_ends_without_a_restart_of_the_servers() {
    let cluster = Cluster::start();
    let fleet = Fleet::on(cluster.database());
    let config = "[store]\nmax_staleness_ms = 1500\n";
    let serving = fleet.folder(config).serve();
    let refusing = fleet.folder(&format!("{config}when_stale = \"refuse\"\n")).serve();
    let servers = [&serving, &refusing];
    let clients = [Client::of(&serving).await, Client::of(&refusing).await];
    for (outage, number) in [(Outage::Pause, 10), (Outage::Kill, 20), (Outage::Pause, 30)] {
        let before = write(&clients[0], number).await;
        for (server, client) in servers.into_iter().zip(&clients) {
            wait_until("a healthy server", async || is_healthy(server).await).await;
            wait_until("its read", async || client.get("ann", &[&at_least(&before)]).await.is_ok()).await;
        }
        let paused = match outage {
            Outage::Pause => Some(cluster.pause()),
            Outage::Kill => {
                cluster.kill();
                None
            }
        };
        for client in &clients {
            let refused = client.set("ann", number + 1).await.expect_err("no database takes it");
            let reasons = [
                (Unavailable, "STORE_UNAVAILABLE"),
                (DeadlineExceeded, "OUTCOME_UNKNOWN"),
                (DeadlineExceeded, "DEADLINE_EXCEEDED"),
            ];
            assert!(reasons.contains(&(refused.code, &refused.reason)), "{outage:?}: {refused:?}");
        }
        for server in servers {
            wait_until("a server that is stale", async || is_stale(server).await).await;
            assert_eq!(probe(server, "/healthz").0, 200, "{outage:?}");
            assert_eq!(health(server, "").await, ServingStatus::Serving, "{outage:?}: it answers calls");
        }
        let (read, position) = clients[0].get("ann", &[]).await.expect("reads go on");
        assert_eq!((read, &position), (number, &before), "{outage:?}");
        let of_latest = clients[0].get("ann", &[&at_least("latest"), "grpc-timeout = 300m"]).await;
        assert_eq!(of_latest.unwrap_err(), refusal(Unavailable, "REVISION_NOT_REACHED", &[]), "{outage:?}");
        for minimum in [&at_least(&before), &at_least("latest"), ""] {
            let refused = clients[1].get("ann", &[minimum]).await.unwrap_err();
            assert_eq!(refused, refusal(Unavailable, "STALE", &[]), "{outage:?}, {minimum}");
        }
        drop(paused);
        if matches!(outage, Outage::Kill) {
            cluster.start_again();
        }
        for server in servers {
            wait_until("a healthy server after the outage", async || is_healthy(server).await).await;
        }
        // The refused writes may have happened all the same, and are before this one then.
        let after = write(&clients[1], number + 2).await;
        for client in &clients {
            let mut read = None;
            wait_until("its read after the outage", async || {
                read = client.get("ann", &[&at_least(&after)]).await.ok();
                read.is_some()
            })
            .await;
            assert_eq!(read.expect("it was read").0, number + 2, "{outage:?}");
        }
    }
    for server in servers {
        assert!(!server.log().contains("starts over"), "the history was never in doubt");
    }
    let _paused = cluster.pause();
    [serving, refusing].into_iter().for_each(|server| drop(server.stop()));
}

/// Writes a number. A server that has just become healthy may not be so for long.
async fn write(client: &Client, number: u64) -> String {
    let mut position = None;
    wait_until("a write", async || {
        position = client.set("ann", number).await.ok();
        position.is_some()
    })
    .await;
    position.expect("it was written")
}

async fn is_healthy(server: &Server) -> bool {
    let (status, report) = probe(server, "/readyz");
    let is_ready = status == 200 && report["status"] == "ready" && report["accepts_writes"] == true;
    is_ready && names(server).await == [ServingStatus::Serving; 2]
}

async fn is_stale(server: &Server) -> bool {
    let (status, report) = probe(server, "/readyz");
    let is_stale = status == 503 && report["status"] == "stale" && report["accepts_writes"] == false;
    is_stale && names(server).await == [ServingStatus::NotServing; 2]
}

/// The health of reads and of writes.
async fn names(server: &Server) -> [ServingStatus; 2] {
    let features = "zitadel.feature.v2.FeatureService";
    [health(server, features).await, health(server, &format!("{features}.writes")).await]
}

async fn health(server: &Server, name: &str) -> ServingStatus {
    let request = HealthCheckRequest { service: name.to_owned() };
    let answer = HealthClient::new(server.channel().await).check(request).await;
    answer.unwrap_or_else(|status| panic!("{name}: {status}")).into_inner().status()
}

fn probe(server: &Server, path: &str) -> (u16, Json) {
    let answer = Curl { server, version: Version::Http1 }.call("GET", path, &[], None);
    (answer.status, answer.json())
}
