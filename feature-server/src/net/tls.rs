//! TLS on connections: the handshake, and the client's certificate.
//!
//! `files` builds the configuration from the files, and `reload` keeps it current. Only `hello` knows HTTP, for its
//! answer to a client that does not speak TLS.

use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use rustls::ServerConfig;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::timeout;
use tokio_rustls::StartHandshake;
use tokio_rustls::server::TlsStream;
use tokio_util::either::Either;

use crate::config::settings::Settings;
use crate::net::shutdown::{Drain, Phase};

mod client_certificate;
mod expiry;
mod files;
mod hello;
mod reload;
#[cfg(test)]
mod tests;

pub use client_certificate::ClientCertificate;
use files::Files;
pub use files::TlsError;
use reload::Reload;

/// A connection's stream, with or without TLS. The TLS state is boxed, so that a connection without it is not larger.
pub(crate) type Stream<Io> = Either<Io, Box<TlsStream<Io>>>;

/// TLS as configured by the settings.
pub struct Tls {
    handshakes: Arc<Handshakes>,
    reload: Reload,
}

impl Tls {
    /// Reads the files that the settings name; `None` if they name none.
    ///
    /// # Errors
    /// [`TlsError`] names the setting and the file that cannot be used.
    pub fn open(settings: &Settings) -> Result<Option<Self>, TlsError> {
        let Some(files) = Files::named(&settings.tls) else { return Ok(None) };
        let (reload, config) = Reload::begin(files)?;
        let handshakes = Handshakes {
            config: ArcSwap::from_pointee(config),
            timeout: Duration::from_millis(settings.limits.receive_timeout_ms),
        };
        Ok(Some(Self { handshakes: Arc::new(handshakes), reload }))
    }

    /// The configuration for handshakes, which [`Tls::keep_current`] updates.
    pub(crate) fn handshakes(&self) -> Arc<Handshakes> {
        Arc::clone(&self.handshakes)
    }

    /// Reloads changed files for as long as the future runs.
    pub(crate) async fn keep_current(self) -> Infallible {
        self.reload.run(&self.handshakes.config).await
    }
}

/// The configuration and the timeout of handshakes.
pub(crate) struct Handshakes {
    config: ArcSwap<ServerConfig>,
    timeout: Duration,
}

impl Handshakes {
    /// Performs a handshake. Returns the encrypted stream, and the client's certificate if it has sent one.
    async fn make<Io>(&self, mut io: Io) -> io::Result<(TlsStream<Io>, Option<ClientCertificate>)>
    where
        Io: AsyncRead + AsyncWrite + Unpin,
    {
        let hello = hello::read(&mut io).await?;
        let stream = StartHandshake::from_parts(hello, io).into_stream(self.config.load_full()).await?;
        let chain = stream.get_ref().1.peer_certificates();
        let certificate = chain.and_then(|chain| chain.first()).and_then(|leaf| ClientCertificate::read(leaf));
        Ok((stream, certificate))
    }
}

/// Opens a connection by a handshake; `None` if the connection is to be closed.
///
/// `address`: the client's, for the log.
pub(crate) async fn open<Io>(
    handshakes: &Handshakes,
    io: Io,
    address: SocketAddr,
    drain: Drain,
) -> Option<(Stream<Io>, Option<ClientCertificate>)>
where
    Io: AsyncRead + AsyncWrite + Unpin,
{
    let made = tokio::select! {
        made = timeout(handshakes.timeout, handshakes.make(io)) => {
            made.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
        }
        () = drain.reached(Phase::Draining) => return None,
    };
    match made {
        Ok((stream, certificate)) => Some((Either::Right(Box::new(stream)), certificate)),
        Err(error) => {
            tracing::debug!(%address, %error, "a TLS handshake failed");
            None
        }
    }
}
