//! The settings of traces.

use std::path::PathBuf;

use feature_auth::config::values::{path, text};
use serde::{Deserialize, Serialize};

use crate::config::forms::{Endpoint, ServiceName, ratio};
use crate::config::headers::Headers;

/// Which calls are traced, and where their traces go.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, expecting = "a table")]
pub struct Traces {
    /// The URL of an OpenTelemetry collector that speaks OTLP over gRPC; empty: no call is traced.
    #[serde(deserialize_with = "text::<Endpoint, _, _>")]
    pub endpoint: String,
    /// A file with PEM certificates that the certificate of an https endpoint is checked against, instead of the
    /// machine's own.
    #[serde(default, deserialize_with = "path")]
    pub ca_file: Option<PathBuf>,
    /// A file with headers for the collector, one `name: value` a line.
    #[serde(default, deserialize_with = "path")]
    pub headers_file: Option<PathBuf>,
    /// Headers from a variable of OpenTelemetry, instead of a file. They are secrets, so they have no key in a
    /// configuration, and no printed one shows them.
    #[serde(skip)]
    pub headers: Headers,
    /// The name of this service in traces.
    #[serde(deserialize_with = "text::<ServiceName, _, _>")]
    pub service_name: String,
    /// Which calls are sampled.
    pub sampler: TraceSampler,
    /// The part of calls that a sampler with a ratio samples.
    #[serde(deserialize_with = "ratio")]
    pub sampler_ratio: f64,
}

/// Which calls are sampled: the names and meanings of OpenTelemetry's `OTEL_TRACES_SAMPLER`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TraceSampler {
    /// All.
    AlwaysOn,
    /// None.
    AlwaysOff,
    /// A part, chosen by the trace's id.
    #[serde(rename = "traceidratio")]
    TraceIdRatio,
    /// As the client decided; without its decision, all.
    #[serde(rename = "parentbased_always_on")]
    ParentBasedAlwaysOn,
    /// As the client decided; without its decision, none.
    #[serde(rename = "parentbased_always_off")]
    ParentBasedAlwaysOff,
    /// As the client decided; without its decision, a part, chosen by the trace's id.
    #[serde(rename = "parentbased_traceidratio")]
    ParentBasedTraceIdRatio,
}
