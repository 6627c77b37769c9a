//! Which `traceparent` is valid, and which calls each sampler samples.

use http::HeaderValue;

use super::*;

const TRACE: &str = "0af7651916cd43dd8448eb211c80319c";
const SPAN: &str = "b7ad6b7169203331";

#[test]
fn traceparent_is_read_as_the_standard_says() {
    let valid = format!("00-{TRACE}-{SPAN}-01");
    let (zero_trace, zero_span) = ("0".repeat(32), "0".repeat(16));
    let table = [
        // (traceparent, whether the parent is sampled; None: it is invalid)
        (valid.clone(), Some(true)),
        (format!("00-{TRACE}-{SPAN}-00"), Some(false)),
        (format!("00-{TRACE}-{SPAN}-03"), Some(true)),
        (format!("00-{TRACE}-{SPAN}-fe"), Some(false)),
        (format!("01-{TRACE}-{SPAN}-01"), Some(true)),
        (format!("fe-{TRACE}-{SPAN}-01-later"), Some(true)),
        (format!("fe-{TRACE}-{SPAN}-01later"), None),
        (format!("00-{TRACE}-{SPAN}-01-later"), None),
        (format!("00-{TRACE}-{SPAN}-01-"), None),
        (format!("ff-{TRACE}-{SPAN}-01"), None),
        (format!("0g-{TRACE}-{SPAN}-01"), None),
        (format!("00-{zero_trace}-{SPAN}-01"), None),
        (format!("00-{TRACE}-{zero_span}-01"), None),
        (format!("00-{}-{SPAN}-01", TRACE.to_uppercase()), None),
        (format!("00-{TRACE}-{}-01", SPAN.to_uppercase()), None),
        (format!("00-+{}-{SPAN}-01", &TRACE[1..]), None),
        (format!("00_{TRACE}-{SPAN}-01"), None),
        (format!("00-{TRACE}-{SPAN}-0"), None),
        (format!("00-{TRACE}-{SPAN}"), None),
        (format!(" {valid}"), None),
        (String::new(), None),
    ];
    for (text, expected) in table {
        let parent = Parent::parse(text.as_bytes());
        assert_eq!(parent.as_ref().map(|parent| parent.sampled), expected, "{text}");
        if let Some(parent) = parent {
            let ids = (parent.trace_id.to_string(), parent.span_id.to_string());
            assert_eq!((ids.0.as_str(), ids.1.as_str()), (TRACE, SPAN), "{text}");
        }
    }
}

#[test]
fn a_request_with_two_traceparents_has_no_parent() {
    let value = || HeaderValue::try_from(format!("00-{TRACE}-{SPAN}-01")).unwrap();
    let mut headers = HeaderMap::new();
    assert_eq!(Parent::of(&headers), None);
    headers.append(TRACEPARENT, value());
    assert!(Parent::of(&headers).is_some());
    headers.append(TRACEPARENT, value());
    assert_eq!(Parent::of(&headers), None);
}

#[test]
fn each_sampler_decides_as_the_standard_says() {
    // The ratio looks at the last 63 bits: the first id is in the first half, the second is not.
    let (low, high) = (TraceId::from(1), TraceId::from(u128::from(u64::MAX)));
    let parent = |sampled| Some(Parent { trace_id: low, span_id: SpanId::from(1), sampled });
    let table = [
        // (sampler, decisions without a parent about a low and a high id, with a sampled parent, with another one)
        (TraceSampler::AlwaysOn, [true, true], [true, true], [true, true]),
        (TraceSampler::AlwaysOff, [false, false], [false, false], [false, false]),
        (TraceSampler::TraceIdRatio, [true, false], [true, false], [true, false]),
        (TraceSampler::ParentBasedAlwaysOn, [true, true], [true, true], [false, false]),
        (TraceSampler::ParentBasedAlwaysOff, [false, false], [true, true], [false, false]),
        (TraceSampler::ParentBasedTraceIdRatio, [true, false], [true, true], [false, false]),
    ];
    for (sampler, without, with_sampled, with_other) in table {
        let sampling = Sampling::new(sampler, 0.5);
        for (parent, expected) in [(None, without), (parent(true), with_sampled), (parent(false), with_other)] {
            let decisions = [low, high].map(|id| sampling.samples(parent.as_ref(), id));
            assert_eq!(decisions, expected, "{sampler:?} {parent:?}");
        }
    }
    for (ratio, expected) in [(0.0, false), (1.0, true)] {
        let sampling = Sampling::new(TraceSampler::TraceIdRatio, ratio);
        assert!([low, high].iter().all(|id| sampling.samples(None, *id) == expected), "{ratio}");
    }
}
