//! TLS on connections: the handshake, and the client's certificate.
//!
//! `files` builds the configuration from the files, and `reload` keeps it current.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use arc_swap::ArcSwap;
use feature_auth::CertificateNames;
use rustls::ServerConfig;
use rustls::server::{Accepted, Acceptor};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::time::timeout;
use tokio_rustls::StartHandshake;
use tokio_rustls::server::TlsStream;
use tokio_util::either::Either;
use x509_cert::Certificate;
use x509_cert::der::{self, Decode};
use x509_cert::ext::pkix::SubjectAltName;
use x509_cert::ext::pkix::name::GeneralName;

use crate::config::settings::Settings;
use crate::net::shutdown::{Drain, Phase};

mod files;
mod reload;
#[cfg(test)]
mod tests;

pub use files::TlsError;
use reload::Reload;

/// The bytes of one read. A usual first message fits.
const CHUNK: usize = 4096;

/// The answer to HTTP without TLS: browsers and curl show it to the user.
const NOT_TLS: &[u8] = b"HTTP/1.1 400 Bad Request\r\n\
    content-type: text/plain\r\n\
    content-length: 36\r\n\
    connection: close\r\n\
    \r\n\
    this port speaks TLS: call https://\n";

/// A connection's stream, with or without TLS. The TLS state is boxed, so that a connection without it is not larger.
pub(crate) type Stream<Io> = Either<Io, Box<TlsStream<Io>>>;

/// TLS as configured by the settings.
pub struct Tls {
    config: ArcSwap<ServerConfig>,
    /// When the certificate expires, in seconds since 1970; 0 if that cannot be read.
    expires_at: AtomicU64,
    handshake_timeout: Duration,
}

impl Tls {
    /// Reads the files that the settings name; `None` if they name none. Must be called on a tokio runtime, which
    /// reloads changed files.
    ///
    /// # Errors
    /// [`TlsError`] names the setting and the file that cannot be used.
    pub fn open(settings: &Settings) -> Result<Option<Arc<Self>>, TlsError> {
        let Some((reload, config)) = Reload::begin(&settings.tls)? else { return Ok(None) };
        let handshake_timeout = Duration::from_millis(settings.limits.receive_timeout_ms);
        let (config, expires_at) = (ArcSwap::from_pointee(config), AtomicU64::new(reload.expires_at()));
        let tls = Arc::new(Self { config, expires_at, handshake_timeout });
        tokio::spawn(reload.run(Arc::downgrade(&tls)));
        Ok(Some(tls))
    }

    /// When the certificate in use expires, in seconds since 1970, if that can be read.
    pub fn expires_at(&self) -> Option<u64> {
        Some(self.expires_at.load(Ordering::Relaxed)).filter(|seconds| *seconds > 0)
    }

    /// Opens a connection by a handshake; `None` if the connection is to be closed. Returns the encrypted stream, and
    /// the names in the client's certificate if it has sent one.
    ///
    /// `address`: the client's, for the log.
    pub(crate) async fn accept<Io>(
        &self,
        mut io: Io,
        address: SocketAddr,
        drain: Drain,
    ) -> Option<(Stream<Io>, Option<Arc<CertificateNames>>)>
    where
        Io: AsyncRead + AsyncWrite + Unpin,
    {
        let handshake = async {
            let hello = first_message(&mut io).await?;
            StartHandshake::from_parts(hello, io).into_stream(self.config.load_full()).await
        };
        let made = tokio::select! {
            made = timeout(self.handshake_timeout, handshake) => {
                made.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
            }
            () = drain.reached(Phase::Draining) => return None,
        };
        let stream = made.inspect_err(|error| tracing::debug!(%address, %error, "a TLS handshake failed")).ok()?;
        let unreadable = |error: &der::Error| tracing::debug!(%error, "a client's certificate cannot be read");
        let leaf = stream.get_ref().1.peer_certificates().and_then(<[_]>::first);
        let names = leaf.and_then(|leaf| names_in(leaf).inspect_err(unreadable).ok());
        Some((Either::Right(Box::new(stream)), names.map(Arc::new)))
    }
}

/// Reads the first message of a client. If it is wrong, the client has received an alert by then, or an answer that it
/// can show.
async fn first_message<Io: AsyncRead + AsyncWrite + Unpin>(io: &mut Io) -> io::Result<Accepted> {
    let mut acceptor = Acceptor::default();
    let mut chunk = vec![0; CHUNK];
    let mut beginning = true;
    loop {
        let length = io.read(&mut chunk).await?;
        let mut bytes = &chunk[..length];
        let Some(first) = bytes.first() else { return Err(io::ErrorKind::UnexpectedEof.into()) };
        // HTTP begins with the name of a method or `PRI`, always in capitals. No TLS record begins with a capital
        // letter.
        if beginning && first.is_ascii_uppercase() {
            tell(io, NOT_TLS).await?;
            return Err(io::Error::new(io::ErrorKind::InvalidData, "the client does not speak TLS"));
        }
        beginning = false;
        while !bytes.is_empty() {
            acceptor.read_tls(&mut bytes)?;
        }
        match acceptor.accept() {
            Ok(Some(accepted)) => return Ok(accepted),
            Ok(None) => {}
            Err((error, mut alert)) => {
                let mut words = Vec::new();
                alert.write_all(&mut words)?;
                tell(io, &words).await?;
                return Err(io::Error::new(io::ErrorKind::InvalidData, error));
            }
        }
    }
}

async fn tell<Io: AsyncWrite + Unpin>(io: &mut Io, words: &[u8]) -> io::Result<()> {
    io.write_all(words).await?;
    io.shutdown().await
}

/// The names in a client's certificate, which the handshake has verified.
fn names_in(certificate: &[u8]) -> der::Result<CertificateNames> {
    let certificate = Certificate::from_der(certificate)?;
    let certificate = certificate.tbs_certificate();
    let names = certificate.get_extension::<SubjectAltName>().map_err(|_| der::Error::from(der::ErrorKind::Failed))?;
    let names = names.map(|(_, SubjectAltName(names))| names).unwrap_or_default();
    let uris = names.into_iter().filter_map(|name| match name {
        GeneralName::UniformResourceIdentifier(uri) => Some(uri.to_string()),
        _ => None,
    });
    Ok(CertificateNames {
        subject: certificate.subject().to_string(),
        uris: uris.collect(),
        expires_at: certificate.validity().not_after.to_unix_duration().as_secs(),
    })
}
