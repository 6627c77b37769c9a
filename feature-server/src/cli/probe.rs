//! The command `probe`: asks a running server whether it can serve calls.

use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use bytes::Bytes;
use http::header::HOST;
use http::{Request, StatusCode};
use http_body_util::{BodyExt, Empty, Limited};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::config::settings::{MetricsListen, Settings};
use crate::monitoring::readiness::READYZ;

/// How long the server may take to answer.
const PATIENCE: Duration = Duration::from_secs(5);

/// The most bytes of an answer that are read.
const ANSWER_BYTES: usize = 64 * 1024;

/// Why the server is not known to be ready.
#[derive(Debug, thiserror::Error)]
pub enum ProbeError {
    /// The settings name no address where a probe is answered.
    #[error(
        "{0}, so it is not known where to ask: set metrics.listen to an address with a port, or give one with --address"
    )]
    NoAddress(&'static str),
    /// The server cannot be reached, or does not speak HTTP.
    #[error("no answer from {address}: {reason}")]
    NoAnswer {
        /// The address that was asked.
        address: SocketAddr,
        /// What went wrong.
        reason: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The server says that it is not ready.
    #[error("not ready: {0}")]
    NotReady(String),
}

/// Asks the server of these settings, or the one at this address, whether it is ready. Returns its report.
///
/// # Errors
/// [`ProbeError`].
pub async fn probe(settings: &Settings, address: Option<SocketAddr>) -> Result<String, ProbeError> {
    let address = reachable(address.map_or_else(|| configured(settings), Ok)?);
    let no_answer = |reason| ProbeError::NoAnswer { address, reason };
    let (status, report) = timeout(PATIENCE, ask(address))
        .await
        .unwrap_or_else(|_| Err(io::Error::from(io::ErrorKind::TimedOut).into()))
        .map_err(no_answer)?;
    if status == StatusCode::OK { Ok(report) } else { Err(ProbeError::NotReady(report)) }
}

/// Where the server of these settings answers probes over plain HTTP.
fn configured(settings: &Settings) -> Result<SocketAddr, ProbeError> {
    let address = match settings.metrics.listen {
        MetricsListen::At(address) => address,
        MetricsListen::Off if settings.tls.certificate_file.is_some() => {
            return Err(ProbeError::NoAddress("metrics.listen is \"off\" and calls are encrypted"));
        }
        MetricsListen::Off => settings.server.listen,
    };
    if address.port() == 0 { Err(ProbeError::NoAddress("the port is 0")) } else { Ok(address) }
}

/// The address as a client of this machine uses it: a server that listens on all addresses listens on loopback, too.
fn reachable(mut address: SocketAddr) -> SocketAddr {
    if address.ip().is_unspecified() {
        address.set_ip(if address.is_ipv4() { Ipv4Addr::LOCALHOST.into() } else { Ipv6Addr::LOCALHOST.into() });
    }
    address
}

async fn ask(address: SocketAddr) -> Result<(StatusCode, String), Box<dyn std::error::Error + Send + Sync>> {
    let socket = TcpStream::connect(address).await?;
    let (mut sender, connection) = http1::handshake(TokioIo::new(socket)).await?;
    tokio::spawn(connection);
    let request = Request::get(READYZ).header(HOST, address.to_string()).body(Empty::<Bytes>::new())?;
    let response = sender.send_request(request).await?;
    let status = response.status();
    let body = Limited::new(response.into_body(), ANSWER_BYTES).collect().await?.to_bytes();
    Ok((status, String::from_utf8_lossy(&body).trim_end().to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_address_comes_from_the_settings() {
        let tls = Some("cert.pem".into());
        let table = [
            // metrics.listen, TLS, the address
            ("127.0.0.1:9464", None, Ok("127.0.0.1:9464")),
            ("0.0.0.0:9464", tls.clone(), Ok("127.0.0.1:9464")),
            ("[::]:9464", None, Ok("[::1]:9464")),
            ("off", None, Ok("127.0.0.1:8080")),
            ("off", tls, Err("metrics.listen is \"off\" and calls are encrypted")),
            ("127.0.0.1:0", None, Err("the port is 0")),
        ];
        for (listen, certificate_file, expected) in table {
            let mut settings = Settings::default();
            settings.metrics.listen = listen.to_owned().try_into().unwrap();
            settings.tls.certificate_file = certificate_file;
            let found = configured(&settings).map(|address| reachable(address).to_string());
            let found = found.map_err(|error| match error {
                ProbeError::NoAddress(why) => why,
                error => panic!("{error}"),
            });
            assert_eq!(found.as_deref().map_err(|why| *why), expected, "{listen}");
        }
    }
}
