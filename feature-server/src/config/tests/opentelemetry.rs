//! The variables of OpenTelemetry: how much each of them counts, and which are left out.

use super::*;
use crate::config::headers::Headers;
use crate::config::settings::{TraceSampler, Traces};

const GENERAL: &str = "OTEL_EXPORTER_OTLP_HEADERS";
const OF_TRACES: &str = "OTEL_EXPORTER_OTLP_TRACES_HEADERS";
const OWN: &str = "FEATURE_SERVER__TRACES__HEADERS_FILE";

#[test]
fn variables_of_opentelemetry_count_more_than_the_file_and_less_than_those_of_the_server() {
    let (endpoint, other) = ("http://one:4317", "http://two:4317");
    let file = format!("traces.endpoint = '{other}'");
    let general = ("OTEL_EXPORTER_OTLP_ENDPOINT", endpoint);
    let table = [
        // (file, variables, the endpoint)
        ("", vec![], ""),
        ("", vec![general], endpoint),
        ("", vec![general, ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", other)], other),
        ("", vec![general, ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "")], endpoint),
        (&file, vec![general], endpoint),
        (&file, vec![("OTEL_EXPORTER_OTLP_ENDPOINT", "")], other),
        (&file, vec![general, ("FEATURE_SERVER__TRACES__ENDPOINT", "http://three:4317")], "http://three:4317"),
    ];
    for (file, variables, expected) in table {
        assert_eq!(loaded(file, &variables, &[]).traces.endpoint, expected, "{file} {variables:?}");
    }
    let named = [("OTEL_SERVICE_NAME", "a, b"), ("OTEL_TRACES_SAMPLER", "parentbased_traceidratio")];
    for (ratio, expected) in [("0.01", 0.01), ("1", 1.0), ("0", 0.0)] {
        let traces = loaded("", &[named[0], named[1], ("OTEL_TRACES_SAMPLER_ARG", ratio)], &[]).traces;
        let sampler = (traces.sampler, traces.sampler_ratio);
        assert_eq!((&*traces.service_name, sampler), ("a, b", (TraceSampler::ParentBasedTraceIdRatio, expected)));
    }
}

#[test]
fn variables_of_opentelemetry_that_only_others_understand_are_left_out_and_named() {
    let given = [
        ("OTEL_TRACES_SAMPLER", "jaeger_remote"),
        ("OTEL_TRACES_SAMPLER_ARG", "endpoint=http://x"),
        ("OTEL_EXPORTER_OTLP_ENDPOINT", "https://me:secret@collector:4317"),
        ("OTEL_EXPORTER_OTLP_HEADERS", "api-key"),
        ("OTEL_EXPORTER_OTLP_TRACES_HEADERS", "a=1,grpc-b=2"),
    ];
    let variables = given.map(|(name, value)| (OsString::from(name), OsString::from(value)));
    let configuration = load_from(&Flags::default(), Path::new("no such file"), variables).unwrap();
    assert_eq!(*configuration.settings(), Settings::default());
    let mut names = configuration.ignored_variables().to_vec();
    names.sort_unstable();
    let mut expected = given.map(|(name, _)| name);
    expected.sort_unstable();
    assert_eq!(names, expected);
}

#[test]
fn headers_come_from_one_source_the_file_or_a_variable() {
    let file = "traces.headers_file = 'of-file'";
    let one = "api-key=one";
    let table = [
        // (file, variables, the file with headers, the headers themselves)
        ("", vec![], None, ""),
        (file, vec![], Some("of-file"), ""),
        ("", vec![(GENERAL, one)], None, one),
        (file, vec![(GENERAL, one)], None, one),
        ("", vec![(GENERAL, one), (OF_TRACES, "b=2")], None, "b=2"),
        ("", vec![(GENERAL, one), (OF_TRACES, "")], None, one),
        (file, vec![(GENERAL, ""), (OF_TRACES, "not valid")], Some("of-file"), ""),
        (file, vec![(GENERAL, one), (OWN, "own")], Some("own"), ""),
    ];
    for (file, variables, headers_file, headers) in table {
        let traces = loaded(file, &variables, &[]).traces;
        let expected = Headers::from_variable(headers).unwrap_or_default();
        let Traces { headers_file: named, headers, .. } = traces;
        assert_eq!((named.as_deref(), headers), (headers_file.map(Path::new), expected), "{file} {variables:?}");
    }
}

#[test]
fn headers_of_a_variable_are_shown_nowhere() {
    let configuration = load("traces.headers_file = 'of-file'", &[(GENERAL, "api-key=c2VjcmV0")], &[]).unwrap();
    let shown = format!("{configuration:?} {}", configuration.to_toml());
    assert!(!shown.contains("c2VjcmV0"), "{shown}");
    let printed = configuration.to_toml();
    assert!(printed.contains("\n# headers_file is not set\n"), "what does not count is not printed: {printed}");
}

#[test]
fn a_certificate_variable_is_allowed_with_an_http_endpoint() {
    let general = ("OTEL_EXPORTER_OTLP_CERTIFICATE", "general.pem");
    let table = [
        // (file, variables, the file with certificates)
        ("", vec![general], "general.pem"),
        ("traces.ca_file = 'of-file.pem'", vec![general], "general.pem"),
        ("", vec![general, ("OTEL_EXPORTER_OTLP_TRACES_CERTIFICATE", "of-traces.pem")], "of-traces.pem"),
        ("", vec![general, ("FEATURE_SERVER__TRACES__CA_FILE", "own.pem")], "own.pem"),
        ("traces.endpoint = 'http://one:4317'", vec![general], "general.pem"),
        ("traces.ca_file = 'a.pem'", vec![("OTEL_EXPORTER_OTLP_ENDPOINT", "http://one:4317")], "a.pem"),
    ];
    for (file, variables, expected) in table {
        let traces = loaded(file, &variables, &[]).traces;
        assert_eq!(traces.ca_file.as_deref(), Some(Path::new(expected)), "{file} {variables:?}");
    }
}
