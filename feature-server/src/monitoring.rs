//! What operators see of a running server: metrics, and probes that say whether it runs and can answer.

pub mod call_counters;
mod call_metrics;
pub mod fleet_metrics;
mod histogram;
mod listener;
mod metrics;
mod process;
pub mod readiness;
mod server_metrics;
pub mod store_metrics;
pub mod watch_counters;

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::SystemTime;

use tokio::task::JoinHandle;

pub use metrics::Metrics;
use process::ProcessMetrics;
use readiness::{Readiness, ReadinessMetric};
pub use server_metrics::ServerMetrics;

use crate::config::settings::MetricsListen;

/// Metrics and probes, and where they are served.
#[derive(Debug, Default)]
pub struct Monitoring {
    /// The metrics.
    pub metrics: Arc<Metrics>,
    /// Whether the server can serve calls.
    pub readiness: Arc<Readiness>,
    /// The address of their listener; `None` if it is off.
    pub address: Option<SocketAddr>,
    /// The task that serves them.
    listener: Option<JoinHandle<()>>,
}

impl Monitoring {
    /// Serves metrics and probes until [`Monitoring::close`], before anything else is open.
    ///
    /// # Errors
    /// The address that cannot be bound, with the error of the operating system.
    pub async fn open(listen: MetricsListen) -> Result<Self, (SocketAddr, io::Error)> {
        let mut monitoring = Self::default();
        monitoring.metrics.register(ProcessMetrics { started: SystemTime::now() });
        monitoring.metrics.register(ReadinessMetric(Arc::clone(&monitoring.readiness)));
        if let MetricsListen::At(address) = listen {
            let (listener, address) = listener::bind(address).await.map_err(|reason| (address, reason))?;
            monitoring.address = Some(address);
            let (metrics, readiness) = (Arc::clone(&monitoring.metrics), Arc::clone(&monitoring.readiness));
            let serving = listener::run(listener, address.ip().to_canonical().is_loopback(), metrics, readiness);
            monitoring.listener = Some(tokio::spawn(serving));
        }
        Ok(monitoring)
    }

    /// Ends the serving. After that, the address can be bound again.
    pub async fn close(&mut self) {
        if let Some(listener) = self.listener.take() {
            listener.abort();
            // It ends with the abort, and a panic is in the log already.
            let _ = listener.await;
        }
    }
}
