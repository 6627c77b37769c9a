//! A store that hangs: calls that need it end at their deadline, other calls continue, and the health reports it.

use std::sync::{Condvar, Mutex};
use std::time::Duration;

use feature_api::zitadel::feature::v2::feature_service_client::FeatureServiceClient;
use feature_api::zitadel::feature::v2::{GetInstanceFeaturesRequest, SetInstanceFeaturesRequest};
use feature_auth::Timestamp;
use feature_auth::mint::{TokenRequest, mint};
use feature_auth::roles::Roles;
use feature_core::{InstanceId, Record, Scope};
use feature_store::{Batch, MemoryStore, Selected, Selection, StoreError};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tonic::transport::{Channel, Endpoint};
use tonic::{Code, Request};
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_client::HealthClient;

use super::*;
use crate::services::FEATURES;

/// A memory store whose reads and appends wait while it hangs, like those of a disk that does not answer.
#[derive(Default)]
struct Hanging {
    inner: MemoryStore,
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    hangs: bool,
    /// The reads and appends that have started.
    entered: usize,
}

impl Hanging {
    fn hang(&self, hangs: bool) {
        self.state.lock().unwrap().hangs = hangs;
        self.changed.notify_all();
    }

    fn entered(&self) -> usize {
        self.state.lock().unwrap().entered
    }

    fn enter(&self) {
        let mut state = self.state.lock().unwrap();
        state.entered += 1;
        drop(self.changed.wait_while(state, |state| state.hangs).unwrap());
    }
}

impl FeatureStore for Hanging {
    fn record(&self, scope: &Scope) -> Result<Record, StoreError> {
        self.enter();
        self.inner.record(scope)
    }

    fn select(&self, selection: Selection<'_>, after: Option<&Scope>, limit: usize) -> Result<Selected, StoreError> {
        self.inner.select(selection, after, limit)
    }

    fn revision(&self) -> u64 {
        self.inner.revision()
    }

    fn append(&self, batch: &Batch) -> Result<(), StoreError> {
        self.enter();
        self.inner.append(batch)
    }

    fn write_failure(&self) -> Option<StoreError> {
        self.inner.write_failure()
    }

    fn close(&self) -> Result<(), StoreError> {
        self.enter();
        Ok(())
    }
}

/// A server over a store that can hang, with short queues, and a connection to it.
struct Bench {
    store: Arc<Hanging>,
    channel: Channel,
    token: String,
    stop: oneshot::Sender<()>,
    served: JoinHandle<Result<Ended, ServerError>>,
    _folder: tempfile::TempDir,
}

const QUEUE: NonZeroUsize = NonZeroUsize::new(3).unwrap();

impl Bench {
    async fn new() -> Self {
        let folder = tempfile::tempdir().expect("the system has a folder for temporary files");
        let mut settings = Settings::default();
        settings.server.data = folder.path().to_owned();
        settings.server.listen = "127.0.0.1:0".parse().expect("it is an address");
        settings.limits.default_deadline_ms = 50;
        // A cached answer would not read the store.
        settings.limits.answer_cache_bytes = 0;
        let store = Arc::new(Hanging::default());
        let keys = KeyFolder::open_or_create(folder.path()).expect("the folder can be written");
        let storage = Storage::alone(store.clone(), Arc::new(MemoryStore::default()));
        let server = Server::over(&settings, storage, keys, None, Monitoring::default(), QUEUE);
        let server = server.await.expect("the server starts");
        let asked = TokenRequest {
            roles: vec!["IAM_OWNER".to_owned()],
            instance: InstanceId::new("demo").ok(),
            organization: None,
            user: None,
            lifetime: Duration::from_secs(60),
        };
        let key = KeyFolder::open_or_create(folder.path()).and_then(|keys| keys.signing()).expect("there is a key");
        let roles = Roles::new(&settings.roles);
        let token = mint(&key, &settings.auth, &roles, &asked, Timestamp::now())
            .unwrap_or_else(|error| panic!("{error}"))
            .token;
        let endpoint = Endpoint::from_shared(format!("http://{}", server.address())).expect("an address is a URL");
        let (stop, stopped) = oneshot::channel();
        let served = tokio::spawn(async move { server.run(&settings, async { drop(stopped.await) }).await });
        let channel = endpoint.connect().await.expect("the server accepts a connection");
        Self { store, channel, token, stop, served, _folder: folder }
    }

    fn request<T>(&self, message: T, deadline: Option<Duration>) -> Request<T> {
        let mut request = Request::new(message);
        request.metadata_mut().insert("authorization", format!("Bearer {}", self.token).parse().expect("ASCII"));
        if let Some(deadline) = deadline {
            request.set_timeout(deadline);
        }
        request
    }

    async fn get(&self, deadline: Option<Duration>) -> Code {
        let request = self.request(GetInstanceFeaturesRequest { inheritance: true }, deadline);
        let answer = FeatureServiceClient::new(self.channel.clone()).get_instance_features(request).await;
        answer.map_or_else(|status| status.code(), |_| Code::Ok)
    }

    async fn set(&self, message: SetInstanceFeaturesRequest, deadline: Option<Duration>) -> Code {
        let request = self.request(message, deadline);
        let answer = FeatureServiceClient::new(self.channel.clone()).set_instance_features(request).await;
        answer.map_or_else(|status| status.code(), |_| Code::Ok)
    }

    async fn health(&self) -> ServingStatus {
        let mut client = HealthClient::new(self.channel.clone());
        let answer = client.check(HealthCheckRequest::default()).await.expect("health is answered");
        answer.into_inner().status()
    }

    /// Waits until the feature service has this health.
    async fn health_of_writes_is(&self, expected: ServingStatus) {
        let request = HealthCheckRequest { service: FEATURES.to_owned() };
        let mut client = HealthClient::new(self.channel.clone());
        let mut answers = client.watch(request).await.expect("health is watched").into_inner();
        while answers.message().await.expect("the watch goes on").expect("it has no end").status() != expected {}
    }
}

/// The server's own deadline. (tonic's client would also enforce a deadline of its own.)
const SOON: Option<Duration> = None;
const LATER: Option<Duration> = Some(Duration::from_secs(60));

fn actions() -> SetInstanceFeaturesRequest {
    SetInstanceFeaturesRequest { actions: Some(true), ..Default::default() }
}

/// Calls until the queue is full, and counts the calls before, all of which end at their deadline.
async fn until_refused(call: impl AsyncFn() -> Code) -> usize {
    for places in 0.. {
        match call().await {
            Code::DeadlineExceeded => {}
            Code::ResourceExhausted => return places,
            code => panic!("{code}"),
        }
    }
    unreachable!("the places are counted")
}

/// Calls until the queue has room: other threads empty it after the store has stopped to hang.
async fn until_accepted(call: impl AsyncFn() -> Code) -> Code {
    loop {
        match call().await {
            Code::ResourceExhausted => {}
            code => return code,
        }
    }
}

// Server and client share a single thread: neither may ever block it for the store.
#[tokio::test]
async fn a_store_that_hangs_delays_only_calls_that_need_it_and_only_to_their_deadline() {
    let bench = Bench::new().await;
    assert_eq!(bench.get(LATER).await, Code::Ok);
    bench.store.hang(true);
    let before = bench.store.entered();

    let threads = reading_threads().get();
    let places = until_refused(async || bench.get(SOON).await).await;
    assert!(places >= threads + QUEUE.get(), "{places} reads in {threads} threads and {QUEUE} places to wait");
    let places = until_refused(async || bench.set(actions(), SOON).await).await;
    assert!(places > QUEUE.get(), "{places} writes in a committer and {QUEUE} places to wait");

    assert_eq!(bench.set(SetInstanceFeaturesRequest::default(), LATER).await, Code::InvalidArgument);
    assert_eq!(bench.health().await, ServingStatus::Serving);
    bench.health_of_writes_is(ServingStatus::NotServing).await;

    bench.store.hang(false);
    bench.health_of_writes_is(ServingStatus::Serving).await;
    assert_eq!(until_accepted(async || bench.set(actions(), LATER).await).await, Code::Ok);
    assert_eq!(until_accepted(async || bench.get(LATER).await).await, Code::Ok);
    // Each thread reads two levels for the first caller; calls that waited behind it read nothing. The first write
    // reads once and appends. The last write finds no change, which is confirmed, and its caller reads two levels.
    assert_eq!(bench.store.entered() - before, 2 * threads + 2 + 2 + 2);
    assert_eq!(bench.store.revision(), 1);
    bench.stop.send(()).expect("the server runs");
    bench.served.await.expect("the server does not panic").expect("the store closes");
}

#[tokio::test]
async fn a_store_that_hangs_does_not_delay_the_shutdown() {
    let store = Arc::new(Hanging::default());
    let committer = Committer::start(store.clone(), NonZeroUsize::MIN).expect("a thread starts");
    store.hang(true);
    let line = close(&committer, Duration::from_millis(20)).await.unwrap_err().to_string();
    let says = "the data folder was not closed, the disk did not answer within 20 ms; nothing acknowledged is lost";
    assert!(line.starts_with(says), "{line}");
    // The store's thread ends with the process; here it ends when the disk answers again.
    store.hang(false);
}
