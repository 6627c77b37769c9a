//! Strange requests by the thousand: none of what they say may become a series of a metric.

use std::collections::BTreeSet;

use anyhow::{Context, Result, ensure};
use bytes::Bytes;
use fastrand::Rng;
use http::Request;
use http_body_util::{BodyExt, Full};
use hyper::client::conn::http2;
use hyper_util::rt::{TokioExecutor, TokioIo};
use tempfile::TempDir;
use tokio::net::TcpStream;
use tokio::task::JoinSet;

use crate::progress::Progress;
use crate::report::Report;
use crate::server::{Binary, Server};

/// The requests of one cycle.
const REQUESTS: u32 = 1_000;

/// The connections that send them.
const CONNECTIONS: u32 = 20;

/// A text in every strange request, which no label may have.
const MARK: &str = "strange";

/// The most series that may be new at the end: for each of 42 methods, 16 codes beside OK.
const NEW_SERIES: usize = 42 * 16;

/// Sends strange paths, ids, tokens and content types, and compares the series before and after.
pub async fn series(binary: &Binary, cycles: u32, seed: u64) -> Result<Report> {
    let folder = TempDir::new()?;
    let server = binary.serve(&folder.path().join("data")).await?;
    let mut report = Report::new("strange requests");
    let progress = Progress::new("strange requests", cycles);
    let mut rng = Rng::with_seed(seed);
    let before = series_in(&scrape(&server).await?);
    let mut known = before.clone();
    for cycle in 1..=cycles {
        progress.cycle(cycle);
        let mut senders = JoinSet::new();
        for _ in 0..CONNECTIONS {
            senders.spawn(send(server.address().to_owned(), REQUESTS / CONNECTIONS, rng.fork()));
        }
        while let Some(sent) = senders.join_next().await {
            sent??;
        }
        let metrics = scrape(&server).await?;
        if metrics.contains(MARK) {
            report.broken.push("a metric shows what a client sent".to_owned());
            break;
        }
        known.extend(series_in(&metrics));
        report.cycles = cycle;
    }
    let new = known.len() - before.len();
    if new > NEW_SERIES {
        report.broken.push(format!("{new} new series, at most {NEW_SERIES} are allowed"));
    }
    let series = format!("{} series, {new} of them new", known.len());
    report.notes.extend([format!("seed {seed}"), format!("{} requests", cycles * REQUESTS), series]);
    server.stop().await?;
    Ok(report)
}

/// The series in metrics, without their values.
fn series_in(metrics: &str) -> BTreeSet<String> {
    let samples = metrics.lines().filter(|line| !line.starts_with('#'));
    samples.map(|line| line.rsplit_once(' ').map_or(line, |(series, _)| series).to_owned()).collect()
}

async fn scrape(server: &Server) -> Result<String> {
    let socket = TcpStream::connect(server.monitoring()).await?;
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(socket)).await?;
    tokio::spawn(connection);
    let request = Request::get("/metrics").header("host", server.monitoring()).body(Full::<Bytes>::default())?;
    let answer = sender.send_request(request).await?;
    ensure!(answer.status() == 200, "/metrics answers with {}", answer.status());
    Ok(String::from_utf8(answer.into_body().collect().await?.to_bytes().into())?)
}

async fn send(address: String, requests: u32, mut rng: Rng) -> Result<()> {
    let socket = TcpStream::connect(&address).await?;
    let (mut sender, connection) = http2::handshake(TokioExecutor::new(), TokioIo::new(socket)).await?;
    tokio::spawn(connection);
    for _ in 0..requests {
        let strange = format!("{MARK}-{:x}", rng.u64(..));
        let path = match rng.u8(..5) {
            0 => format!("/{strange}/{strange}"),
            1 => format!("/zitadel.feature.v2.FeatureService/{strange}"),
            2 => "/zitadel.feature.v2.FeatureService/GetUserFeatures".to_owned(),
            3 => format!("/v2/features/user/{strange}"),
            _ => format!("/{strange}.Service/Get"),
        };
        let content_type = ["application/grpc", "application/grpc-web", "application/json", &strange][rng.usize(..4)];
        let request = Request::post(format!("http://{address}{path}"))
            .header("content-type", content_type)
            .header("authorization", format!("Bearer {strange}"))
            .header("x-request-id", &strange)
            .header("x-zitadel-instance-id", &strange)
            .body(Full::new(Bytes::from_static(&[0; 5])))?;
        sender.ready().await.context("the server has closed the connection")?;
        sender.send_request(request).await?.into_body().collect().await?;
    }
    Ok(())
}
