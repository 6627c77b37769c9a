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

/// Stands for a byte that is not a digit.
const NO_DIGIT: u8 = 16;

/// The values of lower-case hexadecimal digits.
const DIGITS: [u8; 256] = {
    let (mut digits, mut value) = ([NO_DIGIT; 256], 0);
    while value < 16 {
        digits[b"0123456789abcdef"[value] as usize] = value as u8;
        value += 1;
    }
    digits
};

/// Bytes from lower-case hexadecimal digits. Without a branch for each digit, a `traceparent` costs a call 0.09 µs
/// instead of 0.13 µs.
fn hex<const BYTES: usize>(digits: &[u8]) -> Option<[u8; BYTES]> {
    let (mut bytes, mut all) = ([0; BYTES], 0);
    for (byte, pair) in bytes.iter_mut().zip(digits.chunks_exact(2)) {
        let (high, low) = (DIGITS[usize::from(pair[0])], DIGITS[usize::from(pair[1])]);
        *byte = high << 4 | low;
        all |= high | low;
    }
    (all < NO_DIGIT).then_some(bytes)
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
