//! Attacks on the TLS handshake, and what a client and a server need for it.

use std::fs;
use std::io;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Result;
use hyper_util::rt::TokioIo;
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ClientConnection, RootCertStore};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tower::service_fn;

use super::attacker::Attack;
use super::wire::{Pace, Wire};
use crate::server::Binary;

/// Shorter than by default, so that a run does not take minutes to see it pass.
const SHORT: &[(&str, &str)] = &[("FEATURE_SERVER__LIMITS__HANDSHAKE_TIMEOUT_MS", "1000")];

const fn tls(attack: Attack) -> Attack {
    Attack { tls: true, ..attack }
}

const fn held(attack: Attack) -> Attack {
    Attack { settings: SHORT, let_go_within: Some(Duration::from_secs(10)), ..tls(attack) }
}

pub const ATTACKS: [Attack; 4] = [
    tls(Attack::new("TLS handshakes that are given up", (200, "handshakes"), 20, |wire, pace| {
        Box::pin(given_up(wire, pace))
    })),
    held(Attack::new("half TLS handshakes", (1_000, "connections"), 500, |wire, pace| {
        Box::pin(begun(wire, pace, |hello| hello))
    })),
    held(Attack::new("half TLS hellos", (1_000, "connections"), 500, |wire, pace| {
        Box::pin(begun(wire, pace, |hello| &hello[..hello.len() / 2]))
    })),
    tls(Attack::new("no TLS", (500, "connections"), 10, |wire, pace| Box::pin(random(wire, pace)))),
];

/// How a client comes by TLS.
pub type Tls = Arc<ClientConfig>;

/// The name in the server's certificate.
const NAME: &str = "localhost";

/// Makes a certificate for a server, and has it use it.
///
/// `folder`: where its files are put.
pub fn set_up(binary: &mut Binary, folder: &Path) -> Result<Tls> {
    let made = rcgen::generate_simple_self_signed([NAME.to_owned()])?;
    for (setting, name, text) in [
        ("CERTIFICATE_FILE", "certificate.pem", made.cert.pem()),
        ("KEY_FILE", "key.pem", made.signing_key.serialize_pem()),
    ] {
        let file = folder.join(name);
        fs::write(&file, text)?;
        binary.environment.push((format!("FEATURE_SERVER__TLS__{setting}"), file.display().to_string()));
    }
    let mut roots = RootCertStore::empty();
    roots.add(made.cert.der().clone())?;
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions()?;
    let mut config = config.with_root_certificates(roots).with_no_client_auth();
    config.alpn_protocols = vec![b"h2".to_vec()];
    Ok(Arc::new(config))
}

/// What makes a client's connections.
pub fn connector(
    tls: &Tls,
    address: SocketAddr,
) -> impl tower::Service<http::Uri, Response = TokioIo<TlsStream<TcpStream>>, Error = io::Error, Future: Send> + use<> {
    let connector = TlsConnector::from(Arc::clone(tls));
    service_fn(move |_| {
        let connector = connector.clone();
        async move {
            let stream = TcpStream::connect(address).await?;
            stream.set_nodelay(true)?;
            Ok(TokioIo::new(connector.connect(name(), stream).await?))
        }
    })
}

/// The server proves who it is, which is what costs it most, and nobody is interested.
async fn given_up(mut wire: Wire, pace: &mut Pace) -> io::Result<()> {
    wire.send(&hello(&wire)?).await?;
    let mut answer = [0; 1];
    wire.read(&mut answer).await?;
    pace.keep(1).await;
    Ok(())
}

async fn begun(mut wire: Wire, pace: &mut Pace, part: fn(&[u8]) -> &[u8]) -> io::Result<()> {
    wire.send(part(&hello(&wire)?)).await?;
    pace.keep(1).await;
    wire.closed().await;
    Err(io::ErrorKind::ConnectionReset.into())
}

/// Bytes where a hello is expected; some begin like one.
async fn random(mut wire: Wire, pace: &mut Pace) -> io::Result<()> {
    const HANDSHAKE: &[u8] = &[22, 3, 1];
    let mut noise: Vec<u8> = (0..fastrand::usize(3..4_000)).map(|_| fastrand::u8(..)).collect();
    if fastrand::bool() {
        noise[..HANDSHAKE.len()].copy_from_slice(HANDSHAKE);
    }
    wire.drain();
    wire.send(&noise).await?;
    pace.keep(1).await;
    Ok(())
}

/// The first message of a client.
fn hello(wire: &Wire) -> io::Result<Vec<u8>> {
    let config = wire.target.tls.clone().ok_or(io::ErrorKind::Unsupported)?;
    let mut hello = Vec::new();
    ClientConnection::new(config, name()).map_err(io::Error::other)?.write_tls(&mut hello)?;
    Ok(hello)
}

fn name() -> ServerName<'static> {
    ServerName::try_from(NAME).expect("it is a name")
}
