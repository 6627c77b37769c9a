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
    let (reads, writes, drains) = (*store.reads.borrow(), *store.writes.borrow(), *draining.borrow());
    report(&reporter, reads, writes, drains).await;
    tokio::spawn(keep_reporting(reporter, store, draining));
    server
        .max_decoding_message_size(PUBLIC_MESSAGE_BYTES)
        .accept_compressed(CompressionEncoding::Gzip)
        .send_compressed(CompressionEncoding::Gzip)
}

async fn keep_reporting(reporter: HealthReporter, store: StoreHealth, mut draining: watch::Receiver<bool>) {
    let StoreHealth { mut reads, mut writes } = store;
    loop {
        let (read, write, drain) =
            (*reads.borrow_and_update(), *writes.borrow_and_update(), *draining.borrow_and_update());
        report(&reporter, read, write, drain).await;
        tokio::select! {
            // After the store's own part has ended, it stays as it is, but the server can still drain.
            Ok(()) = reads.changed() => {}
            Ok(()) = writes.changed() => {}
            Ok(()) = draining.changed() => {}
            else => return,
        }
    }
}

async fn report(reporter: &HealthReporter, reads: bool, writes: bool, draining: bool) {
    let status = |serving| if serving { ServingStatus::Serving } else { ServingStatus::NotServing };
    reporter.set_service_status(WHOLE_SERVER, status(!draining)).await;
    reporter.set_service_status(FEATURES, status(!draining && reads)).await;
    reporter.set_service_status(WRITES, status(!draining && writes)).await;
}

#[cfg(test)]
mod tests;
