//! The health of the services (`grpc.health.v1.Health`).
//!
//! `""` says whether the server answers calls at all, and the feature service's own name says whether it accepts
//! writes. Both are `NOT_SERVING` while the server drains.

use tokio::sync::watch;
use tonic::codec::CompressionEncoding;
use tonic_health::ServingStatus;
use tonic_health::pb::health_server::{Health, HealthServer};
use tonic_health::server::HealthReporter;

use super::{FEATURES, PUBLIC_MESSAGE_BYTES};

/// The service name of the whole server.
const WHOLE_SERVER: &str = "";

/// Builds the health service, and keeps its answers current until the end of the process.
///
/// * `accepts_writes`: whether the store accepts writes.
/// * `draining`: whether the server is shutting down.
pub async fn service(
    accepts_writes: watch::Receiver<bool>,
    draining: watch::Receiver<bool>,
) -> HealthServer<impl Health> {
    let (reporter, server) = tonic_health::server::health_reporter();
    let (writes, drains) = (*accepts_writes.borrow(), *draining.borrow());
    report(&reporter, writes, drains).await;
    tokio::spawn(keep_reporting(reporter, accepts_writes, draining));
    server
        .max_decoding_message_size(PUBLIC_MESSAGE_BYTES)
        .accept_compressed(CompressionEncoding::Gzip)
        .send_compressed(CompressionEncoding::Gzip)
}

async fn keep_reporting(
    reporter: HealthReporter,
    mut accepts_writes: watch::Receiver<bool>,
    mut draining: watch::Receiver<bool>,
) {
    loop {
        let (writes, drains) = (*accepts_writes.borrow_and_update(), *draining.borrow_and_update());
        report(&reporter, writes, drains).await;
        tokio::select! {
            // After the committer has ended, `accepts_writes` stays as it is, but the server can still drain.
            Ok(()) = accepts_writes.changed() => {}
            Ok(()) = draining.changed() => {}
            else => return,
        }
    }
}

async fn report(reporter: &HealthReporter, accepts_writes: bool, draining: bool) {
    let status = |serving| if serving { ServingStatus::Serving } else { ServingStatus::NotServing };
    reporter.set_service_status(WHOLE_SERVER, status(!draining)).await;
    reporter.set_service_status(FEATURES, status(!draining && accepts_writes)).await;
}

#[cfg(test)]
mod tests;
