//! The probes: `/healthz` says that the process answers, `/readyz` whether it can serve calls.
//!
//! The server is ready once its store is open, its projection has every event, and one read has been answered; and
//! until it begins to stop. In a fleet, its view must also have been proved new enough. It stays ready when only writes
//! are refused, because reads go on: health over gRPC says which.

use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use feature_core::{Scope, Timestamp};
use feature_store::{FeatureStore, Readers};
use http::header::{CACHE_CONTROL, CONTENT_LENGTH, CONTENT_TYPE};
use http::{HeaderValue, Method, Request, Response, StatusCode};
use prometheus_client::collector::Collector;
use prometheus_client::encoding::DescriptorEncoder;
use serde_json::json;
use tokio::sync::watch;
use tokio::time::sleep;

use super::metrics::Family;
use crate::services::consistency::Consistency;

/// The path that says whether the process answers.
pub const HEALTHZ: &str = "/healthz";

/// The path that says whether the server can serve calls.
pub const READYZ: &str = "/readyz";

/// The pause after a read that has failed.
const RETRY: Duration = Duration::from_secs(1);

/// Whether the path is one of a probe.
pub fn is_probe(path: &str) -> bool {
    [HEALTHZ, READYZ].contains(&path)
}

/// Whether the server can serve calls.
#[derive(Default)]
pub struct Readiness {
    ready: OnceLock<Ready>,
    draining: AtomicBool,
}

/// A store that has answered a read.
struct Ready {
    store: Arc<dyn FeatureStore>,
    accepts_writes: watch::Receiver<bool>,
    /// Of a replica.
    consistency: Option<Arc<Consistency>>,
}

impl Readiness {
    /// The server is ready as soon as its store has answered a read.
    pub async fn after_a_read(
        self: Arc<Self>,
        (store, readers): (Arc<dyn FeatureStore>, Arc<Readers>),
        accepts_writes: watch::Receiver<bool>,
        consistency: Option<Arc<Consistency>>,
    ) {
        while !matches!(readers.read(|store| store.record(&Scope::System)).await, Ok(Ok(_))) {
            sleep(RETRY).await;
        }
        let _ = self.ready.set(Ready { store, accepts_writes, consistency });
    }

    /// The server stops: it is not ready any more.
    pub fn drain(&self) {
        self.draining.store(true, Ordering::Relaxed);
    }

    /// The answer to a request for a probe; `None` for any other request.
    pub fn answer<B>(&self, request: &Request<B>) -> Option<Response<Bytes>> {
        if ![Method::GET, Method::HEAD].contains(request.method()) {
            return None;
        }
        let (status, body) = match request.uri().path() {
            HEALTHZ => (StatusCode::OK, json!({ "status": "ok" })),
            READYZ => self.readyz(),
            _ => return None,
        };
        let body = Bytes::from(format!("{body}\n"));
        let mut response = Response::new(if request.method() == Method::HEAD { Bytes::new() } else { body.clone() });
        *response.status_mut() = status;
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        headers.insert(CONTENT_LENGTH, body.len().into());
        Some(response)
    }

    fn readyz(&self) -> (StatusCode, serde_json::Value) {
        let Some(Ready { store, accepts_writes, consistency }) = self.ready.get() else {
            return (StatusCode::SERVICE_UNAVAILABLE, json!({ "status": "starting" }));
        };
        if self.draining.load(Ordering::Relaxed) {
            return (StatusCode::SERVICE_UNAVAILABLE, json!({ "status": "draining" }));
        }
        let (status, now) = (store.status(), Timestamp::from(SystemTime::now()));
        let age = status.newest_event.map(|time| (now.unix_nanos() - time.unix_nanos()).max(0) as f64 / 1e9);
        let mut report = json!({
            "status": "ready",
            "revision": status.revision,
            "newest_event_age_seconds": age,
            "accepts_writes": *accepts_writes.borrow(),
        });
        let Some(consistency) = consistency else { return (StatusCode::OK, report) };
        report["staleness_seconds"] = json!(consistency.staleness().map(|age| age.as_secs_f64()));
        if consistency.is_fresh() {
            return (StatusCode::OK, report);
        }
        report["status"] = json!("stale");
        (StatusCode::SERVICE_UNAVAILABLE, report)
    }
}

/// The metric that says the same as `/readyz`, for those who only scrape.
#[derive(Debug)]
pub(super) struct ReadinessMetric(pub(super) Arc<Readiness>);

impl Collector for ReadinessMetric {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let ready = self.0.readyz().0 == StatusCode::OK;
        Family::gauge(&mut encoder, "feature_server_ready", "1 while /readyz answers 200, else 0")?
            .value(f64::from(u8::from(ready)))
    }
}

impl fmt::Debug for Readiness {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Readiness").field("draining", &self.draining).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use feature_store::MemoryStore;

    use super::*;

    fn probe(readiness: &Readiness, method: Method, path: &str) -> Option<(u16, String)> {
        let request = Request::builder().method(method).uri(path).body(()).unwrap();
        let answer = readiness.answer(&request)?;
        Some((answer.status().as_u16(), String::from_utf8(answer.into_body().into()).unwrap()))
    }

    #[test]
    fn readyz_is_200_between_the_first_read_and_the_drain() {
        let readiness = Readiness::default();
        let check = |status: u16, report: &str| {
            let expected = Some((status, format!("{report}\n")));
            assert_eq!(probe(&readiness, Method::GET, READYZ), expected);
            assert_eq!(probe(&readiness, Method::HEAD, READYZ), Some((status, String::new())));
            assert_eq!(probe(&readiness, Method::GET, HEALTHZ), Some((200, "{\"status\":\"ok\"}\n".to_owned())));
        };
        check(503, r#"{"status":"starting"}"#);
        let (writes, accepts_writes) = watch::channel(true);
        let store = Arc::new(MemoryStore::default());
        let _ = readiness.ready.set(Ready { store, accepts_writes, consistency: None });
        check(200, r#"{"accepts_writes":true,"newest_event_age_seconds":null,"revision":0,"status":"ready"}"#);
        writes.send_replace(false);
        check(200, r#"{"accepts_writes":false,"newest_event_age_seconds":null,"revision":0,"status":"ready"}"#);
        readiness.drain();
        check(503, r#"{"status":"draining"}"#);
    }

    #[test]
    fn only_get_and_head_of_the_two_paths_are_probes() {
        let readiness = Readiness::default();
        for (method, path) in [(Method::POST, READYZ), (Method::GET, "/"), (Method::GET, "/readyz/")] {
            assert_eq!(probe(&readiness, method, path), None, "{path}");
        }
    }
}
