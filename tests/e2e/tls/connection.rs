//! Connections over TLS: a gRPC client's connection, and bare ones for checks of certificates.

use std::io;
use std::sync::Arc;

use hyper_util::rt::TokioIo;
use rustls::crypto::aws_lc_rs::default_provider;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tonic::transport::{Channel, Endpoint};
use tower::service_fn;

use super::authority::{Authority, Leaf};
use crate::support::harness::Server;

/// A gRPC connection that trusts the authority and presents this certificate. If the server rejects the certificate,
/// the first call fails.
pub async fn channel(server: &Server, authority: &Authority, client: Option<&Leaf>) -> Channel {
    let connector = TlsConnector::from(Arc::new(config(authority, client, "h2")));
    let address = server.address().to_owned();
    let connect = service_fn(move |_| {
        let (connector, address) = (connector.clone(), address.clone());
        async move {
            let stream = TcpStream::connect(address).await?;
            Ok::<_, io::Error>(TokioIo::new(connector.connect(localhost(), stream).await?))
        }
    });
    // The connector encrypts; for an https address, tonic would add TLS of its own.
    let endpoint = Endpoint::from_static("http://localhost");
    endpoint.connect_with_connector(connect).await.expect("the server accepts a connection")
}

/// A connection that the server has accepted. In TLS 1.3, a client learns only from the first byte whether the server
/// rejects its certificate.
pub async fn connected(
    server: &Server,
    authority: &Authority,
    client: Option<&Leaf>,
) -> io::Result<TlsStream<TcpStream>> {
    let stream = TcpStream::connect(server.address()).await?;
    let connector = TlsConnector::from(Arc::new(config(authority, client, "http/1.1")));
    let mut stream = connector.connect(localhost(), stream).await?;
    stream.write_all(b"HEAD / HTTP/1.1\r\nhost: localhost\r\n\r\n").await?;
    let mut answer = [0; 12];
    stream.read_exact(&mut answer).await?;
    assert_eq!(&answer, b"HTTP/1.1 200", "{}", String::from_utf8_lossy(&answer));
    Ok(stream)
}

/// The certificate that the server presents now.
pub async fn shown(server: &Server, authority: &Authority) -> CertificateDer<'static> {
    let stream = connected(server, authority, None).await.expect("the server is trusted");
    let shown = stream.get_ref().1.peer_certificates().expect("the server shows a certificate");
    shown[0].clone().into_owned()
}

fn localhost() -> ServerName<'static> {
    ServerName::try_from("localhost").expect("it is a name")
}

fn config(authority: &Authority, client: Option<&Leaf>, protocol: &str) -> ClientConfig {
    let mut roots = RootCertStore::empty();
    let root = CertificateDer::from_pem_slice(authority.pem().as_bytes()).expect("a certificate is PEM");
    roots.add(root).expect("the authority can be trusted");
    let config = ClientConfig::builder_with_provider(Arc::new(default_provider()))
        .with_safe_default_protocol_versions()
        .expect("the provider knows them")
        .with_root_certificates(roots);
    let mut config = match client.map(Leaf::identity) {
        Some((chain, key)) => config.with_client_auth_cert(chain, key).expect("the key is that of the certificate"),
        None => config.with_no_client_auth(),
    };
    config.alpn_protocols = vec![protocol.into()];
    config
}
