//! `feature.v1.WatchService`: streams of resolved values and of changes.
//!
//! A stream is a state machine that its connection polls. It waits for what it shows, for its next heartbeat, and for
//! what ends it, and holds no queue: a slow client polls it later, and gets the newest state.

mod changes;
mod lifetime;
mod open_stream;
mod resume_token;
mod state;
mod topic;
mod topics;
mod values;
mod wakers;

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use feature_api::feature::v1::{Closing, Heartbeat};
use futures_util::stream::BoxStream;
use prost_types::{Duration as DurationMessage, Timestamp};

pub use self::topics::Topics;
use crate::error::Failure;
use crate::permit::Permit;
use crate::services::backend::{Backend, Call};
use crate::services::response_cache::Frame;

/// How long a stream is silent at most, unless the request says another time within the bounds.
const HEARTBEAT: Duration = Duration::from_secs(15);
const HEARTBEAT_MIN: Duration = Duration::from_secs(1);
const HEARTBEAT_MAX: Duration = Duration::from_secs(60);

/// The longest wait before a stream is continued that its server has ended. Each stream waits another time, so that not
/// all of them come at once.
const RETRY_MAX: Duration = Duration::from_secs(5);

/// The most bytes of a message, about.
const MESSAGE_BYTES: usize = 1024 * 1024;

/// The messages of a stream. After a failure there is none.
pub type Messages = BoxStream<'static, Result<Frame, Failure>>;

/// The service.
pub struct WatchService {
    backend: Arc<Backend>,
    topics: Arc<Topics>,
}

impl WatchService {
    /// The service of this store.
    pub fn new(backend: Arc<Backend>) -> Self {
        Self { topics: Topics::new(Arc::clone(&backend)), backend }
    }

    /// What keeps the values of all streams current. It has to run for as long as the service.
    pub fn topics(&self) -> &Arc<Topics> {
        &self.topics
    }

    /// Begins a stream.
    ///
    /// # Errors
    /// Any [`Failure`] that the protos name.
    pub(super) async fn call(&self, call: Call<'_>, permit: Option<&Permit>) -> Result<Messages, Failure> {
        // First, since the beginning of a stream costs more than all the rest.
        permit.map_or(Ok(()), Permit::watch)?;
        match call.name() {
            "WatchValues" => Box::pin(values::watch(Arc::clone(&self.topics), call)).await,
            "WatchChanges" => Box::pin(changes::watch(Arc::clone(&self.backend), call)).await,
            _ => Err(Failure::MethodUnknown(call.method.path.clone())),
        }
    }
}

/// How long a stream is silent at most.
///
/// # Errors
/// [`Failure::Request`] for a time out of bounds.
fn heartbeat(asked: Option<DurationMessage>) -> Result<Duration, Failure> {
    let Some(asked) = asked else { return Ok(HEARTBEAT) };
    let heartbeat = Duration::try_from(asked).ok().filter(|it| (HEARTBEAT_MIN..=HEARTBEAT_MAX).contains(it));
    heartbeat.ok_or_else(|| Failure::field("heartbeat", "must be from 1 to 60 seconds"))
}

/// A sign of life.
fn sign_of_life(backend: &Backend) -> Heartbeat {
    let age = match &backend.consistency {
        None => Some(Duration::ZERO),
        Some(consistency) => consistency.staleness(),
    };
    Heartbeat { age: age.and_then(|age| age.try_into().ok()) }
}

/// The end of a stream whose connection leaves.
fn closing() -> Closing {
    let retry_after = RETRY_MAX.mul_f64(fastrand::f64());
    Closing { reason: "CONNECTION_LEAVING".to_owned(), retry_after: retry_after.try_into().ok() }
}

fn now() -> Option<Timestamp> {
    Some(SystemTime::now().into())
}
