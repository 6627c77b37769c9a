//! Starts and stops: `/readyz` says 200 only between the first read that works and the order to stop.

use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use fastrand::Rng;
use feature_api::zitadel::feature::v2::GetInstanceFeaturesRequest;
use feature_api::zitadel::feature::v2::feature_service_client::FeatureServiceClient;
use tempfile::TempDir;
use tokio::time::{sleep, timeout};
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_client::HealthClient;

use crate::health::readyz;
use crate::progress::Progress;
use crate::report::Report;
use crate::server::{Binary, PATIENCE, Server};

/// The longest time between readiness and the order to stop, in milliseconds.
const LIFE_MS: u64 = 20;

/// Starts and stops a server again and again, and asks for its readiness all the time.
pub async fn starts(binary: &Binary, cycles: u32, seed: u64) -> Result<Report> {
    let folder = TempDir::new()?;
    let data = folder.path().join("data");
    let token = binary.token(&data, "--role IAM_OWNER --instance demo").await?;
    let mut report = Report::new("starts and stops");
    let progress = Progress::new("starts and stops", cycles);
    let mut rng = Rng::with_seed(seed);
    for cycle in 1..=cycles {
        progress.cycle(cycle);
        if let Err(error) = start_and_stop(binary, &data, &token, &mut rng).await {
            report.broken.push(format!("cycle {cycle}: {error:#}"));
            break;
        }
        report.cycles = cycle;
    }
    report.notes.push(format!("seed {seed}"));
    Ok(report)
}

async fn start_and_stop(binary: &Binary, data: &Path, token: &str, rng: &mut Rng) -> Result<()> {
    // The server prints its addresses when it is ready, and this asks before. So the ports are chosen here.
    let free = [std::net::TcpListener::bind("127.0.0.1:0")?, std::net::TcpListener::bind("127.0.0.1:0")?];
    let [monitoring, calls] = [free[0].local_addr()?.to_string(), free[1].local_addr()?.to_string()];
    drop(free);
    let mut binary = binary.clone();
    binary.environment.push(("FEATURE_SERVER__METRICS__LISTEN".to_owned(), monitoring.clone()));
    let starting = binary.start_at(data, &calls)?;
    let ready = async {
        while readyz(&monitoring).await.is_none_or(|status| status != 200) {
            sleep(Duration::from_millis(1)).await;
        }
        read(&calls, token).await.context("/readyz says 200, and a read fails")
    };
    let ready = async { timeout(PATIENCE, ready).await.context("the server does not get ready")? };
    let ((), server) = tokio::try_join!(ready, starting.listening())?;
    sleep(Duration::from_millis(rng.u64(..LIFE_MS))).await;
    stop(server, &monitoring).await
}

/// Stops a server, which a stream keeps alive until `/readyz` has said that it stops.
async fn stop(server: Server, monitoring: &str) -> Result<()> {
    let mut health = HealthClient::new(server.channel()?);
    let stream = health.watch(HealthCheckRequest::default()).await?.into_inner();
    server.terminate().await?;
    let draining = async {
        while readyz(monitoring).await != Some(503) {
            sleep(Duration::from_millis(1)).await;
        }
    };
    timeout(PATIENCE, draining).await.context("/readyz does not say that the server stops")?;
    drop((stream, health));
    let ended = server.ended();
    tokio::pin!(ended);
    loop {
        tokio::select! {
            ended = &mut ended => {
                let (status, log) = ended?;
                ensure!(status.success(), "the server ended with {status}:\n{log}");
                return Ok(());
            }
            status = readyz(monitoring) => {
                ensure!(status != Some(200), "/readyz says 200 after it has said that the server stops");
            }
        }
    }
}

/// A read by a caller of the server.
async fn read(address: &str, token: &str) -> Result<()> {
    let channel = tonic::transport::Endpoint::from_shared(format!("http://{address}"))?.connect().await?;
    let mut client = FeatureServiceClient::new(channel);
    let mut request = tonic::Request::new(GetInstanceFeaturesRequest { inheritance: true });
    request.metadata_mut().insert("authorization", format!("Bearer {token}").parse()?);
    client.get_instance_features(request).await?;
    Ok(())
}
