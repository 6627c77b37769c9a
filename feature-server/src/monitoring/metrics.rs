//! The metrics as text, in the format that the scraper asks for.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use http::HeaderMap;
use http::header::ACCEPT;
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{
    DescriptorEncoder, EncodeCounterValue, EncodeLabelSet, MetricEncoder, NoLabelSet, prometheus_text, text,
};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::exemplar::Exemplar;
use prometheus_client::registry::Registry;
use prost_reflect::DescriptorPool;

use super::call_counters::CallCounters;
use super::call_metrics::CallMetrics;
use super::histogram::Total;

/// The media type of the OpenMetrics format.
const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// All metrics. They are read from their sources when a scraper asks.
#[derive(Debug, Default)]
pub struct Metrics(Mutex<Registry>);

impl Metrics {
    /// Adds a source of metrics.
    pub fn register(&self, source: impl Collector) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).register_collector(Box::new(source));
    }

    /// Adds the counters of calls.
    ///
    /// * `pool`: the descriptors that the counters were made for.
    /// * `cores`: the counters of each core.
    pub fn register_calls(&self, pool: &DescriptorPool, cores: Vec<Arc<CallCounters>>) {
        self.register(CallMetrics::new(pool, cores));
    }

    /// The media type and the text for a scraper that sends these headers.
    pub(super) fn scrape(&self, headers: &HeaderMap) -> (&'static str, String) {
        let accepted = headers.get_all(ACCEPT).iter().filter_map(|value| value.to_str().ok());
        let open_metrics = accepted.flat_map(|value| value.split(',')).any(|media_range| {
            media_range.split(';').next().is_some_and(|name| name.trim() == "application/openmetrics-text")
        });
        let registry = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let mut text = String::new();
        let (media_type, encoded) = match open_metrics {
            true => (OPEN_METRICS, text::encode(&mut text, &registry)),
            false => (prometheus_text::CONTENT_TYPE, prometheus_text::encode(&mut text, &registry)),
        };
        encoded.expect("a string takes any text");
        (media_type, text)
    }
}

/// One metric of a source, with a method for each form that its samples have.
pub(super) struct Family<'a>(MetricEncoder<'a>);

impl<'a> Family<'a> {
    /// A counter. Its name gets the suffix `_total`.
    pub(super) fn counter(
        encoder: &'a mut DescriptorEncoder<'_>,
        name: &'a str,
        help: &str,
    ) -> Result<Self, fmt::Error> {
        encoder.encode_descriptor(name, help, None, MetricType::Counter).map(Self)
    }

    /// A gauge.
    pub(super) fn gauge(encoder: &'a mut DescriptorEncoder<'_>, name: &'a str, help: &str) -> Result<Self, fmt::Error> {
        encoder.encode_descriptor(name, help, None, MetricType::Gauge).map(Self)
    }

    /// A histogram.
    pub(super) fn histogram(
        encoder: &'a mut DescriptorEncoder<'_>,
        name: &'a str,
        help: &str,
    ) -> Result<Self, fmt::Error> {
        encoder.encode_descriptor(name, help, None, MetricType::Histogram).map(Self)
    }

    /// The only sample of a counter.
    pub(super) fn count(mut self, value: impl EncodeCounterValue) -> fmt::Result {
        self.0.encode_counter(&value, NO_EXEMPLAR)
    }

    /// The only sample of a gauge.
    pub(super) fn value(mut self, value: f64) -> fmt::Result {
        self.0.encode_gauge(&value)
    }

    /// One sample of a counter.
    pub(super) fn count_of(&mut self, labels: &impl EncodeLabelSet, value: u64) -> fmt::Result {
        self.0.encode_family(labels)?.encode_counter(&value, NO_EXEMPLAR)
    }

    /// One sample of a gauge.
    pub(super) fn value_of(&mut self, labels: &impl EncodeLabelSet, value: f64) -> fmt::Result {
        self.0.encode_family(labels)?.encode_gauge(&value)
    }

    /// The only histogram.
    pub(super) fn total(mut self, total: &Total) -> fmt::Result {
        self.0.encode_histogram::<NoLabelSet>(total.sum, total.count, &total.buckets, None)
    }

    /// One of several histograms.
    pub(super) fn total_of(&mut self, labels: &impl EncodeLabelSet, total: &Total) -> fmt::Result {
        self.0.encode_family(labels)?.encode_histogram::<NoLabelSet>(total.sum, total.count, &total.buckets, None)
    }
}

const NO_EXEMPLAR: Option<&Exemplar<NoLabelSet, f64>> = None;
