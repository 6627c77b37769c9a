//! Decides whether a call is sampled, from the configured sampler and the `traceparent` of the request.

use http::{HeaderMap, HeaderName};
use opentelemetry::trace::{SpanId, SpanKind, TraceId};
use opentelemetry_sdk::trace::{Sampler, SamplingDecision, ShouldSample};

use crate::config::settings::TraceSampler;

const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");

/// The length of a `traceparent` of version 00. Later versions may append fields.
const TRACEPARENT_BYTES: usize = 55;

/// The client's span, from its `traceparent` (W3C Trace Context, section 3.2). Its `tracestate` is not read: the server
/// calls no other service that could use it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Parent {
    pub(super) trace_id: TraceId,
    pub(super) span_id: SpanId,
    sampled: bool,
}

impl Parent {
    /// The client's span, if there is exactly one `traceparent` and it is valid.
    pub(super) fn of(headers: &HeaderMap) -> Option<Self> {
        let mut values = headers.get_all(TRACEPARENT).iter();
        let value = values.next()?;
        if values.next().is_some() { None } else { Self::parse(value.as_bytes()) }
    }

    /// Reads `VERSION-TRACE_ID-SPAN_ID-FLAGS`.
    fn parse(value: &[u8]) -> Option<Self> {
        let (known, rest) = value.split_at_checked(TRACEPARENT_BYTES)?;
        if [known[2], known[35], known[52]] != *b"---" {
            return None;
        }
        let [version] = hex(&known[..2])?;
        let may_be_longer = version != 0 && rest.first() == Some(&b'-');
        if version == 0xff || !(rest.is_empty() || may_be_longer) {
            return None;
        }
        let trace_id = TraceId::from_bytes(hex(&known[3..35])?);
        let span_id = SpanId::from_bytes(hex(&known[36..52])?);
        let [flags] = hex(&known[53..])?;
        let is_valid = trace_id != TraceId::INVALID && span_id != SpanId::INVALID;
        is_valid.then_some(Self { trace_id, span_id, sampled: flags & 1 == 1 })
    }
}

/// Bytes from lower-case hexadecimal digits.
fn hex<const BYTES: usize>(digits: &[u8]) -> Option<[u8; BYTES]> {
    let digit = |byte: u8| match byte {
        b'0'..=b'9' => Some(byte - b'0'),
        b'a'..=b'f' => Some(byte - b'a' + 10),
        _ => None,
    };
    let mut bytes = [0; BYTES];
    for (byte, pair) in bytes.iter_mut().zip(digits.chunks_exact(2)) {
        *byte = digit(pair[0])? << 4 | digit(pair[1])?;
    }
    Some(bytes)
}

/// The configured sampler.
#[derive(Debug)]
pub(super) struct Sampling {
    /// Decides about calls without a parent.
    root: Sampler,
    /// The client's decision counts if there is one. The SDK's sampler would do the same, with an allocation for each
    /// call that has a `traceparent`.
    parent_based: bool,
}

impl Sampling {
    pub(super) fn new(sampler: TraceSampler, ratio: f64) -> Self {
        let (root, parent_based) = match sampler {
            TraceSampler::AlwaysOn => (Sampler::AlwaysOn, false),
            TraceSampler::AlwaysOff => (Sampler::AlwaysOff, false),
            TraceSampler::TraceIdRatio => (Sampler::TraceIdRatioBased(ratio), false),
            TraceSampler::ParentBasedAlwaysOn => (Sampler::AlwaysOn, true),
            TraceSampler::ParentBasedAlwaysOff => (Sampler::AlwaysOff, true),
            TraceSampler::ParentBasedTraceIdRatio => (Sampler::TraceIdRatioBased(ratio), true),
        };
        Self { root, parent_based }
    }

    pub(super) fn samples(&self, parent: Option<&Parent>, trace_id: TraceId) -> bool {
        match parent {
            Some(parent) if self.parent_based => parent.sampled,
            _ => {
                let result = self.root.should_sample(None, trace_id, "", &SpanKind::Server, &[], &[]);
                result.decision == SamplingDecision::RecordAndSample
            }
        }
    }
}

#[cfg(test)]
mod tests;
