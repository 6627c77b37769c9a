//! What goes on beside calls: files and keys are looked at once a second, whether somebody calls or not. So what was
//! taken away does not live on until the next call notices.

use std::sync::{Arc, Weak};
use std::time::Duration;

use tokio::time::MissedTickBehavior;

use super::verifier::Verifier;
use crate::auth::clock::Moment;

/// The time between two looks.
const PERIOD: Duration = Duration::from_secs(1);

/// Looks after a verifier for as long as there is one. Must be called on a tokio runtime.
pub fn begin(verifier: &Arc<Verifier>) {
    let verifier = Arc::downgrade(verifier);
    tokio::spawn(async move {
        let mut period = tokio::time::interval(PERIOD);
        period.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            period.tick().await;
            let Some(verifier) = Weak::upgrade(&verifier) else { return };
            look(verifier).await;
        }
    });
}

async fn look(verifier: Arc<Verifier>) {
    let now = Moment::now().steady;
    for issuer in verifier.issuers() {
        // Keys that were never there are loaded too, so that the first call need not wait.
        if issuer.keys.current(now).is_err() {
            issuer.keys.refresh(now);
        }
    }
    if verifier.revocations().may_change() {
        // Only a panic can keep it from the end, and then the last good list stays as with any other accident.
        let _ = tokio::task::spawn_blocking(move || verifier.revocations().look()).await;
    }
}
