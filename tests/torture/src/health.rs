//! The server's own report of its health, over gRPC and as `/readyz`.

use anyhow::{Result, bail};
use bytes::Bytes;
use http::Request;
use http_body_util::Full;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio::time::{Instant, sleep};
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_client::HealthClient;

use crate::server::{PATIENCE, Server};

/// Waits until the server reports that it serves, and that it accepts writes or does not.
///
/// # Errors
/// When the server reports something else for too long.
pub async fn told(server: &Server, takes_writes: bool) -> Result<()> {
    let begin = Instant::now();
    loop {
        let says = (status(server, "").await?, status(server, "zitadel.feature.v2.FeatureService").await?);
        let writes = if takes_writes { ServingStatus::Serving } else { ServingStatus::NotServing };
        if says == (ServingStatus::Serving, writes) {
            return Ok(());
        }
        if begin.elapsed() > PATIENCE / 4 {
            bail!("the health of the server and of its writes is {says:?}, though it takes writes: {takes_writes}");
        }
        sleep(PATIENCE / 1000).await;
    }
}

/// Asks once whether the server serves.
///
/// # Errors
/// When the server does not say that it serves.
pub async fn of_server(server: &Server) -> Result<()> {
    match status(server, "").await? {
        ServingStatus::Serving => Ok(()),
        other => bail!("the health of the server is {other:?}"),
    }
}

async fn status(server: &Server, service: &str) -> Result<ServingStatus> {
    let request = HealthCheckRequest { service: service.to_owned() };
    Ok(HealthClient::new(server.channel()?).check(request).await?.into_inner().status())
}

/// The status of `/readyz`; `None` without an answer.
pub async fn readyz(address: &str) -> Option<u16> {
    status_of(address, "/readyz").await
}

/// The status of a path over HTTP/1.1; `None` without an answer.
pub async fn status_of(address: &str, path: &str) -> Option<u16> {
    let socket = TcpStream::connect(address).await.ok()?;
    let (mut sender, connection) = http1::handshake(TokioIo::new(socket)).await.ok()?;
    let connection = tokio::spawn(connection);
    let request = Request::get(path).header("host", address).body(Full::<Bytes>::default()).ok()?;
    let status = sender.send_request(request).await.ok().map(|answer| answer.status().as_u16());
    connection.abort();
    status
}
