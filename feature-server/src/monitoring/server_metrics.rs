//! The metrics of connections, of the server's certificate and of the issuers' keys.

use std::fmt;
use std::sync::Arc;
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use feature_auth::Authenticator;
use prometheus_client::collector::Collector;
use prometheus_client::encoding::DescriptorEncoder;

use super::metrics::Family;
use crate::net::slots::Slots;
use crate::net::tls::Tls;

/// What the server holds beside its store.
pub struct ServerMetrics {
    /// Counts the connections.
    pub connections: Arc<Slots>,
    /// TLS, if it is on.
    pub tls: Option<Arc<Tls>>,
    /// Has the issuers' keys.
    pub authenticator: Authenticator,
}

impl Collector for ServerMetrics {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let encoder = &mut encoder;
        let (open, refused) = self.connections.open_and_refused();
        Family::gauge(encoder, "feature_server_connections", "Open connections")?.value(open as f64)?;
        Family::counter(encoder, "feature_server_connections_refused", "Connections closed at once, over the limit")?
            .count(refused)?;
        if let Some(expires_at) = self.tls.as_ref().and_then(|tls| tls.expires_at()) {
            let help = "Seconds until the server's certificate expires, negative afterwards";
            let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
            Family::gauge(encoder, "feature_tls_certificate_expiry_seconds", help)?
                .value(expires_at as f64 - now.as_secs_f64())?;
        }
        let ages = self.authenticator.jwks_ages(Instant::now());
        if !ages.is_empty() {
            let help = "Seconds since the issuer's keys were last loaded; infinite before the first time";
            let mut family = Family::gauge(encoder, "feature_jwks_age_seconds", help)?;
            for (issuer, age) in ages {
                family.value_of(&[("issuer", issuer)], age.map_or(f64::INFINITY, |age| age.as_secs_f64()))?;
            }
        }
        Ok(())
    }
}

impl fmt::Debug for ServerMetrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ServerMetrics").finish_non_exhaustive()
    }
}
