//! The metrics of a replica.

use std::fmt;
use std::sync::Arc;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::DescriptorEncoder;

use super::metrics::Family;
use crate::services::consistency::Consistency;

/// The view of a replica.
#[derive(Debug)]
pub struct FleetMetrics(pub Arc<Consistency>);

impl Collector for FleetMetrics {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let encoder = &mut encoder;
        let help = "How old the view of this server may be at most; infinite before it is known";
        let staleness = self.0.staleness().map_or(f64::INFINITY, |age| age.as_secs_f64());
        Family::gauge(encoder, "feature_fleet_staleness_seconds", help)?.value(staleness)?;
        let help = "1 while the view is as new as store.max_staleness_ms demands";
        Family::gauge(encoder, "feature_fleet_fresh", help)?.value(f64::from(u8::from(self.0.is_fresh())))?;
        let help = "1 while the database has taken a write of this server within five seconds";
        Family::gauge(encoder, "feature_fleet_takes_writes", help)?.value(f64::from(u8::from(self.0.takes_writes())))
    }
}
