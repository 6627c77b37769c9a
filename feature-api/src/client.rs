//! A client that keeps the values of features in memory, so that an application reads one without a call.
//!
//! [`Client::start`] connects and watches in the background. [`Client::scope`] gives reads without `await`. The client
//! survives restarts of the server: it goes on with the last values, says how old they are, and connects again. Its
//! rules are those of docs/sdk.md, and `examples/watch_values.rs` shows it at work.

mod retry;
mod scope;
mod shared;
mod state;
mod stream;
mod values;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{broadcast, watch};
use tokio::task::JoinHandle;
use tonic::transport::Endpoint;

pub use self::retry::StreamEnd;
pub use self::scope::{ReadError, Scope};
use self::shared::Shared;
use self::state::Limits;
pub use self::state::State;
use self::stream::Watcher;
pub use self::values::Change;

/// So many heartbeats without a message, and the server counts as silent.
const SILENT_HEARTBEATS: u32 = 3;

/// What a client watches, and when it counts as late.
#[derive(Debug, Clone)]
pub struct Options {
    /// The names of the scopes, such as `instances/demo` or `instances/demo/users/ann`; at most 1,000.
    pub scopes: Vec<String>,
    /// The keys of the features, at most 100. Each may end with `*`, such as `checkout.*`. Without any, all of them.
    pub features: Vec<String>,
    /// The labels that the definition of each of these features has, at most 64.
    pub labels: BTreeMap<String, String>,
    /// The organization from which users inherit; without it the one that the server has recorded for each.
    pub organization: Option<String>,
    /// How long the server is silent at most: from 1 to 60 seconds, by default 15. After three times this long without
    /// a message the client is [`State::Stale`], and connects again.
    pub heartbeat: Duration,
    /// How long the client waits for the first values before it is in [`State::Error`]; by default 10 seconds.
    pub start_limit: Duration,
    /// How long it stays [`State::Stale`] before it is in [`State::Error`]; by default 5 minutes.
    pub stale_limit: Duration,
}

/// A client. When it is dropped, the connection ends, and [`Scope`]s keep the last values.
pub struct Client {
    shared: Arc<Shared>,
    task: JoinHandle<()>,
}

impl Options {
    /// All features of these scopes, with the defaults.
    pub fn new(scopes: impl IntoIterator<Item = impl Into<String>>) -> Self {
        Self {
            scopes: scopes.into_iter().map(Into::into).collect(),
            features: Vec::new(),
            labels: BTreeMap::new(),
            organization: None,
            heartbeat: Duration::from_secs(15),
            start_limit: Duration::from_secs(10),
            stale_limit: Duration::from_secs(300),
        }
    }

    /// After so long without a message, the server counts as silent.
    fn silence(&self) -> Duration {
        self.heartbeat.saturating_mul(SILENT_HEARTBEATS)
    }
}

impl Client {
    /// Starts a client on the current tokio runtime.
    ///
    /// * `endpoint`: where the server is, with TLS if it needs it. Leave out `timeout`, because a stream has no end.
    /// * `token`: returns the bearer token, or an empty text for a client with a certificate. It is called before each
    ///   attempt to connect, so after a refused token, too, and must not block.
    ///
    /// # Panics
    /// Outside of a tokio runtime.
    pub fn start(endpoint: Endpoint, token: impl Fn() -> String + Send + Sync + 'static, options: Options) -> Self {
        let limits = Limits { start: options.start_limit, silence: options.silence(), stale: options.stale_limit };
        let shared = Arc::new(Shared::new(limits));
        let watcher = Watcher::new(endpoint, Box::new(token), options, Arc::clone(&shared));
        Self { shared, task: tokio::spawn(watcher.run()) }
    }

    /// Waits until the client has values.
    ///
    /// # Errors
    /// In [`State::Error`] and [`State::Fatal`], with the reason. In the first the client goes on connecting, so the
    /// application can go on with its defaults.
    pub async fn ready(&self) -> Result<(), StreamEnd> {
        let mut states = self.states();
        let state = states.wait_for(|state| *state != State::NotReady).await.map(|state| *state);
        match state.expect("the client has the sender") {
            State::Error | State::Fatal => Err(self.last_end().unwrap_or(StreamEnd::Silence)),
            State::NotReady | State::Ready | State::Stale => Ok(()),
        }
    }

    /// The values of a scope. The name is as the server writes it: with the id in place of `current`.
    pub fn scope(&self, name: impl Into<String>) -> Scope {
        Scope::new(Arc::clone(&self.shared), name.into())
    }

    /// The state.
    pub fn state(&self) -> State {
        self.shared.state()
    }

    /// How old the values may be: the time since the server last said that they are current, plus the age that the
    /// server itself named. `None` without values.
    pub fn age(&self) -> Option<Duration> {
        self.shared.age()
    }

    /// The values show everything up to this revision; 0 without values.
    pub fn revision(&self) -> u64 {
        self.shared.revision()
    }

    /// Why the last stream has ended; `None` before the first end. It stays when a new stream has begun.
    pub fn last_end(&self) -> Option<StreamEnd> {
        self.shared.last_end()
    }

    /// The states from now on; one that is replaced at once may be missed.
    pub fn states(&self) -> watch::Receiver<State> {
        self.shared.states()
    }

    /// The changes of values from now on, the first values among them. A receiver that is more than 64 changes behind
    /// gets `RecvError::Lagged`, and should read everything again.
    pub fn changes(&self) -> broadcast::Receiver<Arc<Change>> {
        self.shared.changes()
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        self.task.abort();
    }
}
