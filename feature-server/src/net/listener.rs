//! The accept loop: from the first connection to the end of the last one.

use std::convert::Infallible;
use std::fmt::Display;
use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use http::{Request, Response};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};
use tonic::body::Body;
use tower::Service;

use super::connection::ConnectionServer;
use super::tls::Tls;
use crate::config::settings::Settings;
use crate::middleware::response_body::CallBody;
use crate::net::shutdown::{Drain, Phase};
use crate::net::workers::Workers;

/// How long the loop waits after it could not accept, at first and at most. The pause doubles with each failure.
const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(1);

/// How long the last answers may take to reach their clients.
const FLUSH: Duration = Duration::from_secs(1);

/// A source of connections.
pub(crate) trait Accept: Send {
    /// A connection that is bound to no runtime yet.
    type Socket: Send + 'static;
    /// A connection on the runtime that made it of its socket.
    type Io: AsyncRead + AsyncWrite + Unpin + Send + 'static + TryFrom<Self::Socket, Error: Display + Send>;

    /// The next connection and its client's address. Cancel-safe.
    fn accept(&mut self) -> impl Future<Output = io::Result<(Self::Socket, SocketAddr)>> + Send;
}

impl Accept for TcpListener {
    type Socket = std::net::TcpStream;
    type Io = TcpStream;

    async fn accept(&mut self) -> io::Result<(std::net::TcpStream, SocketAddr)> {
        let (stream, address) = TcpListener::accept(self).await?;
        // Answers are small: to wait until a packet is full would only delay them. The call fails only on a connection
        // that is already closed, which the first read reports.
        let _ = stream.set_nodelay(true);
        Ok((stream.into_std()?, address))
    }
}

/// Serves connections until `shutdown`, lets their calls continue for the grace period, and then ends the rest. Returns
/// how many connections were cut off, because they did not end in time.
/// Without `tls`, connections are in clear text.
pub(crate) async fn run<A, S>(
    mut incoming: A,
    workers: Workers,
    service: S,
    tls: Option<Arc<Tls>>,
    settings: &Settings,
    drain: Drain,
    shutdown: impl Future<Output = ()>,
) -> usize
where
    A: Accept,
    S: Service<Request<Body>, Response = Response<CallBody>, Error = Infallible, Future: Send> + Clone + Send + 'static,
{
    let limits = &settings.limits;
    let server = Arc::new(ConnectionServer::new(limits, tls, drain.clone()));
    let mut connections = JoinSet::new();
    let mut shutdown = pin!(shutdown);
    let mut pause = FIRST_PAUSE;
    loop {
        let accepted = tokio::select! {
            biased;
            () = shutdown.as_mut() => break,
            Some(_) = connections.join_next() => continue,
            accepted = incoming.accept() => accepted,
        };
        match accepted {
            Ok((socket, address)) => {
                pause = FIRST_PAUSE;
                match workers.slot(address.ip()) {
                    Ok(worker) => {
                        let (server, service) = (server.clone(), service.clone());
                        let (runtime, counters) = (worker.runtime.clone(), Arc::clone(&worker.counters));
                        let serve = async move {
                            match A::Io::try_from(socket) {
                                Ok(io) => server.serve(io, address, service, counters).await,
                                Err(error) => tracing::warn!(%error, "a connection could not be opened"),
                            }
                            drop(worker);
                        };
                        connections.spawn_on(serve, &runtime);
                    }
                    Err(refused) => tracing::debug!(%address, refused, "a connection over the limit was closed"),
                }
            }
            Err(error) if is_of_the_connection(&error) => {}
            Err(error) => {
                // The process has probably run out of file descriptors. To retry at once would only burn CPU time.
                tracing::warn!(%error, "cannot accept connections, waiting for {pause:?}");
                tokio::select! {
                    () = shutdown.as_mut() => break,
                    // The end of a connection frees a file descriptor, so the loop retries at once.
                    Some(_) = connections.join_next() => {}
                    () = sleep(pause) => pause = LONGEST_PAUSE.min(pause * 2),
                }
            }
        }
    }
    drop(incoming);
    let grace = Duration::from_millis(settings.server.shutdown_grace_ms);
    for (phase, patience) in [(Phase::Draining, grace), (Phase::Ended, FLUSH)] {
        drain.advance(phase);
        let all_ended = async { while connections.join_next().await.is_some() {} };
        let _ = timeout(patience, all_ended).await;
    }
    let cut_off = connections.len();
    connections.shutdown().await;
    cut_off
}

/// Whether an error concerns only the connection that was being accepted.
fn is_of_the_connection(error: &io::Error) -> bool {
    use io::ErrorKind::*;
    matches!(error.kind(), ConnectionAborted | ConnectionReset | ConnectionRefused | Interrupted)
}
