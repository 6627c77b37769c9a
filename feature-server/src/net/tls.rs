//! TLS on connections: the handshake, and whom the client's certificate names.
//!
//! `files` makes a configuration of what the files hold, and `reload` keeps it current. Nothing here knows HTTP but for
//! the one answer to who speaks it without TLS, and nothing knows what a client may do.

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

/// A connection's stream, with or without TLS. What TLS needs is boxed, so that a connection without it is no larger.
pub(crate) type Stream<Io> = Either<Io, Box<TlsStream<Io>>>;

/// TLS as the settings ask for it.
pub struct Tls {
    handshakes: Arc<Handshakes>,
    reload: Reload,
}

impl Tls {
    /// Reads the files that the settings name; `None` when they name none.
    ///
    /// # Errors
    /// [`TlsError`] names the setting and the file that cannot be used.
    pub fn open(settings: &Settings) -> Result<Option<Self>, TlsError> {
        let Some(files) = Files::named(&settings.tls) else { return Ok(None) };
        let (reload, config) = Reload::begin(files)?;
        let handshakes = Handshakes {
            config: ArcSwap::from_pointee(config),
            timeout: Duration::from_millis(settings.limits.handshake_timeout_ms),
        };
        Ok(Some(Self { handshakes: Arc::new(handshakes), reload }))
    }

    /// What connections are opened with.
    pub(crate) fn handshakes(&self) -> Arc<Handshakes> {
        Arc::clone(&self.handshakes)
    }

    /// Puts files that change in force, for as long as it runs.
    pub(crate) async fn keep_current(self) -> Infallible {
        self.reload.run(&self.handshakes.config).await
    }
}

/// What handshakes are made with.
pub(crate) struct Handshakes {
    config: ArcSwap<ServerConfig>,
    timeout: Duration,
}

impl Handshakes {
    /// The connection after the handshake, and the client's certificate if it has shown one.
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

/// Opens a connection by a handshake. `None` when it is to be closed.
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
