//! Probe clients: call at a fixed rate over one connection and record how long each call takes.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow};
use feature_api::zitadel::feature::v2::GetInstanceFeaturesRequest;
use feature_api::zitadel::feature::v2::feature_service_client::FeatureServiceClient;
use tokio::time::{interval, sleep, timeout};
use tonic::metadata::{Ascii, MetadataValue};
use tonic::transport::{Channel, Endpoint};
use tonic::{Code, Request, Status};

use super::tls;
use super::wire::Target;

/// The time between two calls. A call starts when it is due, even if the previous call is not over.
const BETWEEN: Duration = Duration::from_millis(2);

/// A call without an answer after this time counts as failed.
const PATIENCE: Duration = Duration::from_secs(5);

/// The expected outcome of a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Expected {
    /// A successful answer.
    Answer,
    /// A refusal for lack of a slot, with a time to retry. A successful answer does not count: a slot may have become
    /// free.
    Refusal,
}

/// A client in its own thread, so that attackers do not delay it.
pub struct Probe {
    calls: Arc<Mutex<Vec<Call>>>,
    stopping: Arc<AtomicBool>,
    thread: JoinHandle<Result<()>>,
}

/// A finished call.
#[derive(Debug, Clone)]
pub struct Call {
    /// When the call was due.
    pub due: Instant,
    /// The time from then until the answer.
    pub took: Duration,
    /// Why the call did not have the expected outcome.
    pub failure: Option<String>,
}

impl Probe {
    /// Starts to call.
    pub fn start(target: &Target, expected: Expected) -> Self {
        let (calls, stopping) = (Arc::default(), Arc::new(AtomicBool::new(false)));
        let thread = thread::spawn({
            let (target, calls, stopping) = (target.clone(), Arc::clone(&calls), Arc::clone(&stopping));
            move || {
                tokio::runtime::Builder::new_current_thread()
                    .enable_all()
                    .build()?
                    .block_on(call_on(&target, expected, &calls, &stopping))
            }
        });
        Self { calls, stopping, thread }
    }

    /// The finished calls so far, in the order in which they were due.
    pub fn calls(&self) -> Vec<Call> {
        let mut calls = locked(&self.calls).clone();
        calls.sort_by_key(|call| call.due);
        calls
    }

    /// Stops after the last call has finished. Returns all calls.
    pub fn stop(self) -> Result<Vec<Call>> {
        self.stopping.store(true, Ordering::Relaxed);
        self.thread.join().map_err(|_| anyhow!("the good client panicked"))??;
        let calls = std::mem::take(&mut *locked(&self.calls));
        Ok(calls)
    }
}

/// Makes one call over a new connection.
pub async fn call_once(target: &Target) -> Result<()> {
    timeout(PATIENCE, call(&mut client(target)?, &bearer(target)?, Expected::Answer)).await??;
    Ok(())
}

/// Waits until the server refuses this caller's calls, then starts a probe that expects refusals.
pub async fn overloaded(target: &Target) -> Result<Probe> {
    let (mut client, bearer) = (client(target)?, bearer(target)?);
    let refused = async {
        while !call(&mut client, &bearer, Expected::Refusal).await.unwrap_or(false) {
            sleep(BETWEEN).await;
        }
    };
    timeout(PATIENCE, refused).await.context("the attack has left places for more calls")?;
    Ok(Probe::start(target, Expected::Refusal))
}

/// The 99th percentile of the calls' times.
pub fn p99<'a>(calls: impl IntoIterator<Item = &'a Call>) -> Duration {
    let mut times: Vec<_> = calls.into_iter().map(|call| call.took).collect();
    times.sort();
    times.get((times.len() * 99).div_ceil(100).saturating_sub(1)).copied().unwrap_or_default()
}

async fn call_on(
    target: &Target,
    expected: Expected,
    calls: &Arc<Mutex<Vec<Call>>>,
    stopping: &AtomicBool,
) -> Result<()> {
    let (client, bearer) = (client(target)?, bearer(target)?);
    let mut under_way = tokio::task::JoinSet::new();
    let mut ticks = interval(BETWEEN);
    while !stopping.load(Ordering::Relaxed) {
        let due = ticks.tick().await.into_std();
        let (mut client, bearer, calls) = (client.clone(), bearer.clone(), Arc::clone(calls));
        under_way.spawn(async move {
            let failure = match timeout(PATIENCE, call(&mut client, &bearer, expected)).await {
                Ok(Ok(true)) => None,
                Ok(Ok(false)) => return,
                Ok(Err(status)) => Some(format!("{:?}: {}", status.code(), status.message())),
                Err(_) => Some(format!("no answer within {PATIENCE:?}")),
            };
            locked(&calls).push(Call { due, took: due.elapsed(), failure });
        });
        while under_way.try_join_next().is_some() {}
    }
    under_way.join_all().await;
    Ok(())
}

/// Makes a call. Returns whether it counts.
async fn call(
    client: &mut FeatureServiceClient<Channel>,
    bearer: &MetadataValue<Ascii>,
    expected: Expected,
) -> Result<bool, Status> {
    let mut request = Request::new(GetInstanceFeaturesRequest { inheritance: true });
    request.metadata_mut().insert("authorization", bearer.clone());
    match (client.get_instance_features(request).await, expected) {
        (Ok(_), expected) => Ok(expected == Expected::Answer),
        (Err(status), Expected::Refusal) if is_told_to_wait(&status) => Ok(true),
        (Err(status), _) => Err(status),
    }
}

fn is_told_to_wait(status: &Status) -> bool {
    const RETRY_INFO: &[u8] = b"type.googleapis.com/google.rpc.RetryInfo";
    status.code() == Code::ResourceExhausted && status.details().windows(RETRY_INFO.len()).any(|it| it == RETRY_INFO)
}

fn client(target: &Target) -> Result<FeatureServiceClient<Channel>> {
    // With TLS, the connector encrypts; the layers above it use plain HTTP.
    let endpoint = Endpoint::from_shared(format!("http://{}", target.address))?;
    Ok(FeatureServiceClient::new(match &target.tls {
        Some(tls) => endpoint.connect_with_connector_lazy(tls::connector(tls, target.address)),
        None => endpoint.connect_lazy(),
    }))
}

fn bearer(target: &Target) -> Result<MetadataValue<Ascii>> {
    Ok(format!("Bearer {}", target.token).parse()?)
}

fn locked(calls: &Mutex<Vec<Call>>) -> MutexGuard<'_, Vec<Call>> {
    calls.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_99th_percentile_ignores_one_call_of_a_hundred() {
        let call = |ms| Call { due: Instant::now(), took: Duration::from_millis(ms), failure: None };
        let calls: Vec<_> = (1..=200).map(call).collect();
        assert_eq!(p99(&calls), Duration::from_millis(198));
        assert_eq!(p99(&calls[..1]), Duration::from_millis(1));
        assert_eq!(p99(&[]), Duration::ZERO);
    }
}
