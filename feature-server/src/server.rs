//! Puts the server together: store, identity, services, transport; and takes it apart again.

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::num::NonZeroUsize;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use feature_api::schema::{Schema, SchemaError};
use feature_store::{CommitError, Committer, FeatureStore, JournalStore, OpenError, Readers, Versioned};
use grpc_transcoding::rest::RouteError;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::time::timeout;
use tonic::service::Routes;
use tower::Layer;

use crate::auth::AuthError;
use crate::auth::access::PUBLIC_SERVICES;
use crate::auth::signing_keys::{KeyFolder, KeysError};
use crate::config::settings::Settings;
use crate::descriptors;
use crate::middleware::auth::{self, AuthLayer};
use crate::middleware::fair_share::FairShare;
use crate::middleware::recognise::allowed_hosts::Hosts;
use crate::middleware::recognise::{MessageBytes, Recogniser};
use crate::middleware::stack;
use crate::net::tls::{Tls, TlsError};
use crate::net::workers::Cores;
use crate::pages::Pages;
use crate::services::feature::{Answers, FeatureService};
use crate::services::grpc::GrpcFeatureService;
use crate::services::router::AllServices;
use crate::services::{PUBLIC_MESSAGE_BYTES, health, reflection};
use crate::system::memory;

/// How long the data folder may take to close at least, whatever the grace period: sled then writes all that it holds back,
/// which on a healthy disk may take a second or two.
const LEAST_PATIENCE: Duration = Duration::from_secs(5);

/// Why the server could not start or stop as it should.
#[derive(Debug, thiserror::Error)]
pub enum ServerError {
    /// The protos make no sense; a defect of the binary.
    #[error("the protos of this binary do not fit together: {0}")]
    Schema(#[from] SchemaError),
    /// The HTTP rules in the protos make no sense; a defect of the binary.
    #[error("the HTTP rules of this binary do not fit together: {0}")]
    Routes(#[from] RouteError),
    /// The data folder could not be opened.
    #[error(transparent)]
    Store(#[from] OpenError),
    /// The signing keys could not be read or made.
    #[error(transparent)]
    Keys(#[from] KeysError),
    /// A setting about identity does not work.
    #[error(transparent)]
    Auth(#[from] AuthError),
    /// The files of TLS cannot be used.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// The address is not to be had.
    #[error("cannot listen on {address}: {reason}; choose another address with --listen")]
    Listen {
        /// The address asked for.
        address: SocketAddr,
        /// What the system says.
        reason: io::Error,
    },
    /// A thread could not be started.
    #[error("cannot start a thread: {0}")]
    Thread(io::Error),
    /// The store did not close well. Everything acknowledged is in the journal all the same.
    #[error("the data folder was not closed cleanly ({0}); the next start checks it")]
    Close(CommitError),
    /// The store did not close in time. Everything acknowledged is in the journal all the same.
    #[error(
        "the data folder was not closed, the disk did not answer within {} ms; nothing acknowledged is lost, and the next \
         start checks it",
        .0.as_millis()
    )]
    CloseHangs(Duration),
}

/// A server that has its data and its address, and answers calls from [`Server::run`] on.
pub struct Server {
    listener: TcpListener,
    cores: Cores,
    address: SocketAddr,
    readers: Arc<Readers>,
    committer: Arc<Committer>,
    answers: Answers,
    schema: Arc<Schema>,
    identity: AuthLayer,
    recogniser: Recogniser,
    tls: Option<Tls>,
}

impl Server {
    /// Opens the data folder, making it when there is none, sets identity up, and binds the address. What can fail
    /// at a start fails here, before anybody is told that the server listens.
    ///
    /// # Errors
    /// [`ServerError`] says what is in the way and what to do.
    pub async fn open(settings: &Settings) -> Result<Self, ServerError> {
        // What the settings of TLS name is looked at before the data folder is made.
        let tls = Tls::open(settings)?;
        let store = JournalStore::open(&settings.server.data, memory::for_records(settings.store.cache_bytes))?;
        Self::over(settings, Arc::new(store), tls).await
    }

    /// As [`Server::open`], over a store that is open already.
    async fn over(settings: &Settings, store: Arc<dyn FeatureStore>, tls: Option<Tls>) -> Result<Self, ServerError> {
        let schema = Arc::new(Schema::new(feature_api::descriptor_pool())?);
        let keys = KeyFolder::open_or_create(&settings.server.data)?;
        let identity = auth::layer(settings, keys, &schema)?;
        let queue = |limit| NonZeroUsize::new(limit).unwrap_or(NonZeroUsize::MIN);
        let reads = queue(settings.limits.queued_reads);
        let store = Versioned::new(store);
        let answers = Answers::new(Arc::clone(&store), settings.limits.answer_cache_bytes);
        let store: Arc<dyn FeatureStore> = store;
        let readers = Readers::start(Arc::clone(&store), reading_threads(), reads).map_err(ServerError::Thread)?;
        let committer = Committer::start(store, queue(settings.limits.queued_writes)).map_err(ServerError::Thread)?;
        let (readers, committer) = (Arc::new(readers), Arc::new(committer));
        let listen = |reason| ServerError::Listen { address: settings.server.listen, reason };
        let listener = TcpListener::bind(settings.server.listen).await.map_err(listen)?;
        let address = listener.local_addr().map_err(listen)?;
        let pool = descriptors::pool();
        let pages = Pages::new(&pool, address, tls.is_some());
        let message_bytes = MessageBytes {
            default: settings.limits.message_bytes,
            of_services: (&PUBLIC_SERVICES, PUBLIC_MESSAGE_BYTES),
        };
        let recogniser = Recogniser::new(pool, message_bytes, pages, Hosts::new(settings))?;
        let cores = Cores::start(cores()).map_err(ServerError::Thread)?;
        Ok(Self { listener, cores, address, readers, committer, answers, schema, identity, recogniser, tls })
    }

    /// The address that it listens on.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Answers calls until `shutdown`, lets those under way finish, and closes the data folder. For either there is as much
    /// time as the grace period of the settings.
    ///
    /// # Errors
    /// [`ServerError`] when the data folder does not close.
    pub async fn run(self, settings: &Settings, shutdown: impl Future<Output = ()>) -> Result<(), ServerError> {
        let Self { listener, cores, readers, committer, answers, schema, identity, recogniser, tls, .. } = self;
        let (drain, draining) = watch::channel(false);
        let features = FeatureService::new(schema, readers, Arc::clone(&committer), answers);
        let features = GrpcFeatureService::new(features, settings.limits.message_bytes);
        let others = Routes::new(health::service(committer.accepts_writes(), draining).await)
            .add_service(reflection::v1())
            .add_service(reflection::v1alpha())
            .prepare();
        let service = identity.layer(FairShare::new(AllServices::new(features, others)));
        let shutdown = async {
            shutdown.await;
            drain.send_replace(true);
            tracing::info!("shutting down: calls under way may finish");
        };
        let stopped = stack::serve(listener, cores, service, recogniser, tls, settings, shutdown).await;
        if stopped.cut_off > 0 {
            tracing::warn!(connections = stopped.cut_off, "connections were cut off at the end of the grace period");
        }
        let grace = Duration::from_millis(settings.server.shutdown_grace_ms);
        close(&committer, grace.max(LEAST_PATIENCE)).await
    }
}

/// Closes the data folder, unless the disk does not let it.
async fn close(committer: &Committer, patience: Duration) -> Result<(), ServerError> {
    match timeout(patience, committer.close()).await {
        Ok(closed) => closed.map_err(ServerError::Close),
        Err(_) => Err(ServerError::CloseHangs(patience)),
    }
}

/// Reads hardly ever wait, so a thread per core does. With fewer than four, a few places of a disk that are slow to
/// read could take all of them; many more would only take turns.
fn reading_threads() -> NonZeroUsize {
    NonZeroUsize::MIN.saturating_add(cores().get().clamp(4, 16) - 1)
}

/// How many cores there are for this process.
fn cores() -> NonZeroUsize {
    thread::available_parallelism().unwrap_or(NonZeroUsize::MIN)
}

#[cfg(test)]
mod tests;
