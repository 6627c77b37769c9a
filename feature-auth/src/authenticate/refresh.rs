//! The task that looks after files and keys every second, so that a removed key or a revoked token does not stay valid
//! until the next call.

use std::sync::{Arc, Weak};
use std::time::Duration;

use tokio::time::MissedTickBehavior;

use super::verifier::Verifier;
use crate::clock::Timestamp;

const PERIOD: Duration = Duration::from_secs(1);

/// Spawns the task for a verifier. It ends with the verifier. Must be called on a tokio runtime.
pub(crate) fn spawn(verifier: &Arc<Verifier>) {
    let verifier = Arc::downgrade(verifier);
    tokio::spawn(async move {
        let mut period = tokio::time::interval(PERIOD);
        period.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            period.tick().await;
            let Some(verifier) = Weak::upgrade(&verifier) else { return };
            refresh(verifier).await;
        }
    });
}

async fn refresh(verifier: Arc<Verifier>) {
    let now = Timestamp::now().monotonic;
    for issuer in verifier.issuers() {
        // `current` loads old keys again. Missing keys are loaded here, so that the first call need not wait.
        if issuer.keys.current(now).is_err() {
            issuer.keys.refresh(now);
        }
    }
    if verifier.revocations().has_file() {
        // The join fails only after a panic. Then the last good list stays.
        let _ = tokio::task::spawn_blocking(move || verifier.revocations().reload()).await;
    }
}
