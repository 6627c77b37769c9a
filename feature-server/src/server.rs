//! Builds the server from store, identity, services and network, and shuts it down.

use std::future::{Future, pending};
use std::net::SocketAddr;
use std::num::NonZeroUsize;
use std::panic::resume_unwind;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use feature_api::schema::Schema;
use feature_auth::keys::{KeyFolder, KeysError};
use feature_store::{Committer, EventLoops, FeatureStore, Readers};
use tokio::net::TcpListener;
use tokio::runtime::Handle;
use tokio::sync::{Notify, watch};
use tokio::task::{JoinSet, spawn_blocking};
use tokio::time::timeout;
use tonic::service::Routes;

use crate::config::settings::Settings;
use crate::middleware::auth::{self, AuthLayer};
use crate::middleware::browsers::AllowedHosts;
use crate::middleware::recognise::{MessageBytes, Recogniser};
use crate::middleware::stack;
use crate::monitoring::call_counters::methods_in;
use crate::monitoring::fleet_metrics::FleetMetrics;
use crate::monitoring::store_metrics::{GroupCounters, StoreMetrics};
use crate::monitoring::{Monitoring, ServerMetrics};
use crate::net::tls::Tls;
use crate::net::workers::Workers;
use crate::pages::Pages;
use crate::services::backend::Backend;
use crate::services::catalogue::Catalogues;
use crate::services::definitions::purge_expired;
use crate::services::descriptors;
use crate::services::grpc::{Router, Services};
use crate::services::response_cache::Answers;
use crate::services::{HEALTH, PUBLIC_MESSAGE_BYTES, REFLECTION, health, reflection};
use crate::telemetry::traces::{TraceExport, Tracer};

mod error;
pub mod storage;
pub mod system;

pub use error::ServerError;
use storage::{Fleet, Storage};

/// The least time for the data folder to close, even if the grace period is shorter: sled then writes its buffers,
/// which takes a second or two on a healthy disk.
const LEAST_PATIENCE: Duration = Duration::from_secs(5);

/// Reads, and as many writes, that wait for the disk at once; more are refused. A healthy disk serves so many in less
/// than a deadline.
const QUEUED: NonZeroUsize = NonZeroUsize::new(2_048).expect("it is not 0");

/// Why a server does not run any more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ended {
    /// It was told to stop.
    Stopped,
    /// Its view of the fleet's store has to be made anew: open the server again.
    StartOver,
}

/// A server with its data folder open and its address bound. It answers calls from [`Server::run`] on.
pub struct Server {
    listener: TcpListener,
    workers: Workers,
    address: SocketAddr,
    committer: Arc<Committer>,
    source: (Arc<dyn FeatureStore>, Arc<Readers>),
    fleet: Option<Fleet>,
    services: Services,
    identity: AuthLayer,
    recogniser: Recogniser,
    tls: Option<Arc<Tls>>,
    monitoring: Monitoring,
    traces: Option<(Arc<Tracer>, TraceExport)>,
}

impl Server {
    /// Opens or creates the data folder, sets up identity, and binds the address. Every error of a start occurs here,
    /// before the server reports that it listens.
    ///
    /// # Errors
    /// [`ServerError`] names the cause and the remedy.
    pub async fn open(settings: &Settings) -> Result<Self, ServerError> {
        // A bad setting of TLS or traces fails before the data folder is created.
        let tls = Tls::open(settings)?;
        let traces = Tracer::start(&settings.traces)?;
        let monitoring = Monitoring::open(settings.metrics.listen).await;
        let monitoring = monitoring.map_err(|(address, reason)| ServerError::ListenForMetrics { address, reason })?;
        // A server of a fleet that lacks its keys leaves the database alone. Another one makes keys in the folder of
        // its store, which says what is wrong with the folder.
        let shared_keys = settings.store.url.as_ref().map(|_| open_keys(settings)).transpose()?;
        let of_thread = settings.clone();
        // On a thread of its own, since it may take a minute: meanwhile the probes answer.
        let opened = spawn_blocking(move || Storage::open(&of_thread)).await;
        let storage = opened.unwrap_or_else(|panicked| resume_unwind(panicked.into_panic()))?;
        let keys = shared_keys.map_or_else(|| open_keys(settings), Ok)?;
        Ok(Self { traces, ..Self::over(settings, storage, keys, tls, monitoring, QUEUED).await? })
    }

    /// Like [`Server::open`], for a store that is already open and queues of this length, and without traces.
    async fn over(
        settings: &Settings,
        Storage { writes, view, log, fleet }: Storage,
        keys: KeyFolder,
        tls: Option<Arc<Tls>>,
        monitoring: Monitoring,
        queue: NonZeroUsize,
    ) -> Result<Self, ServerError> {
        let schema = Arc::new(Schema::new(feature_api::descriptor_pool())?);
        let identity = auth::layer(settings, keys, &schema)?;
        let answers = Answers::new(Arc::clone(&view), settings.limits.answer_cache_bytes);
        let catalogues = Arc::new(Catalogues::new(Arc::clone(&view), &schema));
        let readers = Readers::start(view.clone(), reading_threads(), queue).map_err(ServerError::Thread)?;
        let readers = Arc::new(readers);
        let pool = descriptors::pool();
        let methods = methods_in(&pool).count();
        let workers = Workers::start(cores(), methods, &settings.limits).map_err(ServerError::Thread)?;
        let loops = Arc::new(RuntimeLoops(workers.runtimes()));
        let groups = Arc::new(GroupCounters::default());
        let committer = Committer::start_for(loops, groups.clone(), writes.clone(), queue);
        let committer = Arc::new(committer.map_err(ServerError::Thread)?);
        monitoring.metrics.register_calls(&pool, workers.counters());
        monitoring.metrics.register(ServerMetrics {
            connections: workers.connections(),
            tls: tls.clone(),
            authenticator: identity.authenticator().clone(),
        });
        monitoring.metrics.register(StoreMetrics::new(Arc::clone(&writes), Arc::clone(&committer), groups));
        let consistency = fleet.as_ref().map(|fleet| Arc::clone(&fleet.consistency));
        if let Some(fleet) = &fleet {
            fleet.follow_revocations(identity.authenticator().clone()).await?;
            monitoring.metrics.register(FleetMetrics(Arc::clone(&fleet.consistency)));
        }
        let backend = Arc::new(Backend {
            schema,
            readers: Arc::clone(&readers),
            committer: Arc::clone(&committer),
            store: view,
            log,
            authenticator: Some(identity.authenticator().clone()),
            answers,
            catalogues,
            consistency,
            limits: settings.own_features.clone(),
            deleted: Notify::new(),
        });
        let services = Services::new(&backend);
        let listen = |reason| ServerError::Listen { address: settings.server.listen, reason };
        let listener = TcpListener::bind(settings.server.listen).await.map_err(listen)?;
        let address = listener.local_addr().map_err(listen)?;
        let pages = Pages::new(&pool, address, tls.is_some());
        let message_bytes = MessageBytes {
            default: settings.limits.message_bytes,
            of_services: (&[HEALTH, REFLECTION[0], REFLECTION[1]], PUBLIC_MESSAGE_BYTES),
        };
        let readiness = Arc::clone(&monitoring.readiness);
        let recogniser = Recogniser::new(pool, message_bytes, pages, AllowedHosts::new(settings), readiness)?;
        let source = (writes, readers);
        Ok(Self {
            listener,
            workers,
            address,
            committer,
            source,
            fleet,
            services,
            identity,
            recogniser,
            tls,
            monitoring,
            traces: None,
        })
    }

    /// The address that the server listens on.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The address that metrics are served on; `None` if they are off.
    pub fn metrics_address(&self) -> Option<SocketAddr> {
        self.monitoring.address
    }

    /// Answers calls until `shutdown`, or until it has to start over. Then it lets running calls finish, and closes the
    /// data folder. Each of the two may take the grace period of the settings.
    ///
    /// # Errors
    /// [`ServerError`] if the data folder does not close.
    pub async fn run(self, settings: &Settings, shutdown: impl Future<Output = ()>) -> Result<Ended, ServerError> {
        let Self { listener, workers, committer, source, mut fleet, services, identity, .. } = self;
        let Self { recogniser, tls, mut monitoring, traces, .. } = self;
        let (tracer, trace_export) = traces.unzip();
        let consistency = fleet.as_ref().map(|fleet| Arc::clone(&fleet.consistency));
        let store_health = storage::health(consistency.as_ref(), committer.accepts_writes());
        tokio::spawn(monitoring.readiness.clone().after_a_read(source, store_health.writes.clone(), consistency));
        // Aborted at the end, since they hold the store.
        let mut tasks = JoinSet::new();
        tasks.spawn(purge_expired(Arc::clone(services.backend())));
        tasks.spawn(Arc::clone(services.topics()).run());
        let (drain, draining) = watch::channel(false);
        let others = Routes::new(health::service(store_health, draining).await)
            .add_service(reflection::v1())
            .add_service(reflection::v1alpha())
            .prepare();
        let services = Router::new(services, settings.limits.message_bytes, others);
        let service = stack::authorised(services, &identity);
        let mut ended = Ended::Stopped;
        let shutdown = async {
            let must_start_over = async {
                match &mut fleet {
                    Some(fleet) => fleet.must_start_over().await,
                    None => pending().await,
                }
            };
            tokio::select! {
                () = shutdown => {}
                () = must_start_over => ended = Ended::StartOver,
            }
            monitoring.readiness.drain();
            drain.send_replace(true);
            tracing::info!("shutting down: calls under way may finish");
        };
        let connections = stack::serve(listener, workers, service, (recogniser, tracer), tls, settings, shutdown).await;
        if connections > 0 {
            tracing::warn!(connections, "connections were cut off at the end of the grace period");
        }
        let grace = Duration::from_millis(settings.server.shutdown_grace_ms);
        let export = async {
            if let Some(export) = trace_export {
                export.finish(grace).await;
            }
        };
        if let Some(fleet) = &mut fleet {
            fleet.stop(grace).await;
        }
        tasks.shutdown().await;
        let (closed, ..) = tokio::join!(close(&committer, grace.max(LEAST_PATIENCE)), export, monitoring.close());
        closed.map(|()| ended)
    }
}

/// Opens the server's own keys. The servers of a fleet share theirs, so none of them makes one.
///
/// # Errors
/// [`KeysError`] names the cause and the remedy.
pub fn open_keys(settings: &Settings) -> Result<KeyFolder, KeysError> {
    let data = &settings.server.data;
    if settings.store.url.is_none() {
        return KeyFolder::open_or_create(data);
    }
    KeyFolder::open_shared(data, settings.auth.issuers.is_empty() && settings.auth.certificates.is_empty())
}

/// The runtimes of the worker threads. Replies to writes that are sent within one wake its thread once for all of them.
struct RuntimeLoops(Vec<Handle>);

impl EventLoops for RuntimeLoops {
    fn current(&self) -> Option<usize> {
        let current = Handle::try_current().ok()?.id();
        self.0.iter().position(|runtime| runtime.id() == current)
    }

    fn run(&self, event_loop: usize, work: Box<dyn FnOnce() + Send>) {
        self.0[event_loop].spawn(async { work() });
    }
}

/// Closes the data folder, if the disk answers in time.
async fn close(committer: &Committer, patience: Duration) -> Result<(), ServerError> {
    match timeout(patience, committer.close()).await {
        Ok(closed) => closed.map_err(ServerError::Close),
        Err(_) => Err(ServerError::CloseHangs(patience)),
    }
}

/// Reads rarely wait, so one thread for each core is enough. With fewer than four, a few slow places of a disk could
/// block all of them; more than 16 would only take turns.
fn reading_threads() -> NonZeroUsize {
    NonZeroUsize::MIN.saturating_add(cores().get().clamp(4, 16) - 1)
}

/// The number of cores for this process.
fn cores() -> NonZeroUsize {
    thread::available_parallelism().unwrap_or(NonZeroUsize::MIN)
}

#[cfg(test)]
mod tests;
