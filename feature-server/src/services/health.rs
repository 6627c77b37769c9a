//! The health of the services (`grpc.health.v1.Health`).
//!
//! There are three names, all `NOT_SERVING` while the server drains:
//!
//! - `""`: whether the server answers calls at all;
//! - the feature service's own name: whether its reads are as new as the operator demands. Those of a server with a
//!   store of its own always are, and then this says whether it accepts writes;
//! - that name with `.writes` behind it: whether the server accepts writes.

use tokio::sync::watch;
use tonic::codec::CompressionEncoding;
use tonic_health::ServingStatus;
use tonic_health::pb::health_server::{Health, HealthServer};
use tonic_health::server::HealthReporter;

use super::{FEATURES, PUBLIC_MESSAGE_BYTES};

/// The service name of the whole server.
const WHOLE_SERVER: &str = "";

/// The service name of writes.
const WRITES: &str = "zitadel.feature.v2.FeatureService.writes";

/// All names.
const NAMES: [&str; 3] = [WHOLE_SERVER, FEATURES, WRITES];

/// What a store can do at the moment.
#[derive(Debug, Clone)]
pub struct StoreHealth {
    /// Whether its reads are good.
    pub reads: watch::Receiver<bool>,
    /// Whether it accepts writes.
    pub writes: watch::Receiver<bool>,
}

/// Builds the health service, and keeps its answers current until the end of the process.
///
/// `draining`: whether the server is shutting down.
pub async fn service(store: StoreHealth, draining: watch::Receiver<bool>) -> HealthServer<impl Health> {
    let (reporter, server) = tonic_health::server::health_reporter();
    let mut reported = [ServingStatus::Unknown; 3];
    let now = statuses(*store.reads.borrow(), *store.writes.borrow(), *draining.borrow());
    report(&reporter, &mut reported, now).await;
    tokio::spawn(keep_reporting(reporter, reported, store, draining));
    server
        .max_decoding_message_size(PUBLIC_MESSAGE_BYTES)
        .accept_compressed(CompressionEncoding::Gzip)
        .send_compressed(CompressionEncoding::Gzip)
}

async fn keep_reporting(
    reporter: HealthReporter,
    mut reported: [ServingStatus; 3],
    store: StoreHealth,
    mut draining: watch::Receiver<bool>,
) {
    let StoreHealth { mut reads, mut writes } = store;
    loop {
        let now = statuses(*reads.borrow_and_update(), *writes.borrow_and_update(), *draining.borrow_and_update());
        report(&reporter, &mut reported, now).await;
        tokio::select! {
            // After the store's own part has ended, it stays as it is, but the server can still drain.
            Ok(()) = reads.changed() => {}
            Ok(()) = writes.changed() => {}
            Ok(()) = draining.changed() => {}
            else => return,
        }
    }
}

/// The statuses of [`NAMES`].
fn statuses(reads: bool, writes: bool, draining: bool) -> [ServingStatus; 3] {
    [true, reads, writes]
        .map(|works| if works && !draining { ServingStatus::Serving } else { ServingStatus::NotServing })
}

/// Reports what has changed: the reporter would send a status that is as before once more to its watchers.
async fn report(reporter: &HealthReporter, reported: &mut [ServingStatus; 3], now: [ServingStatus; 3]) {
    for ((name, reported), now) in NAMES.into_iter().zip(reported).zip(now) {
        if *reported != now {
            reporter.set_service_status(name, now).await;
            *reported = now;
        }
    }
}

#[cfg(test)]
mod tests;
