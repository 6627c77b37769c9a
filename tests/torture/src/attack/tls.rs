//! TLS for attacks: the server's certificate, and clients that trust it.

use std::fs;
use std::io;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;

use anyhow::Result;
use hyper_util::rt::TokioIo;
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ClientConnection, RootCertStore};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tower::service_fn;

use crate::server::Binary;

/// The TLS configuration of a client.
pub type Tls = Arc<ClientConfig>;

/// The name in the server's certificate.
const NAME: &str = "localhost";

/// Makes a certificate for a server and configures the server to use it.
///
/// `folder`: the folder for its files.
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

/// The connector for a client's connections.
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

/// The first message of a TLS client.
pub fn hello(tls: Option<&Tls>) -> io::Result<Vec<u8>> {
    let config = tls.cloned().ok_or(io::ErrorKind::Unsupported)?;
    let mut hello = Vec::new();
    ClientConnection::new(config, name()).map_err(io::Error::other)?.write_tls(&mut hello)?;
    Ok(hello)
}

fn name() -> ServerName<'static> {
    ServerName::try_from(NAME).expect("it is a name")
}
