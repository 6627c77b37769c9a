//! The inputs that the server deliberately reads or writes differently from the oracle.
//!
//! In most of them, the oracle accepts everything that Python's own conversions accept, which canonical JSON does not
//! allow.

use std::collections::BTreeMap;

use super::inputs::Input;
use super::inputs::documents::nested;

/// The messages and texts that differ, each with the reason.
pub fn all() -> BTreeMap<(&'static str, Vec<u8>), &'static str> {
    let fields = FIELDS.iter().flat_map(|(reason, fields, values)| {
        let pairs = fields.iter().flat_map(|field| values.iter().map(move |value| (field, value)));
        pairs.map(|(field, value)| (*reason, Input::new(KINDS, format!(r#"{{"{field}":{value}}}"#))))
    });
    let texts = TEXTS.iter().map(|(reason, message, text)| (*reason, Input::new(message, *text)));
    let deep = [64, 65, 99].map(|depth| (DEPTH, nested(depth)));
    fields.chain(texts).chain(deep).map(|(reason, input)| ((input.message, input.text), reason)).collect()
}

const KINDS: &str = "kinds.Kinds";
const REQUEST: &str = "zitadel.feature.v2.SetSystemFeaturesRequest";

const DEPTH: &str = "64 levels of JSON are read here, 99 messages there";
const NUMBERS: &str = "a number in a string has the form of a JSON number; Python's own forms are no JSON";
const INFINITE: &str = "a finite number that is too large is an error, not infinite";
const ENUMS: &str = "an enum value is a name or a whole 32-bit number; the oracle cuts, wraps and converts others";
const NO_OBJECT: &str = "a message is an object; the oracle takes all that it can iterate over without finding a key";
const BASE64: &str = "base64 has no other characters and no surplus padding; the oracle drops them";
const TIMES: &str = "RFC 3339 has all its digits, and offsets of less than a day";
const DURATIONS: &str = "a duration is digits and a point; Python's own numbers are not";
const MASKS: &str = "an empty path names nothing and is left out; the oracle keeps it";
const NEGATIVE_ZERO: &str = "prost-reflect takes negative zero for the default and leaves it out";
const ANY_EMPTY: &str = "prost-reflect cannot write an Any without a type: the message is written as its bytes";
const ANY_OF_EMPTY: &str = "Empty in an Any: both forms are read, and written with a value as Go does it";
const ANY_URL: &str = "the type of an Any is a URL: prost-reflect could not write the message again";
const SPELLINGS: &str = "a field in both spellings is a duplicate; the oracle takes the last";
const NOT_FINITE: &str = "prost-reflect writes null for a DoubleValue that is not finite";

/// Differing values of single fields: the reason, the fields, and the values for each of them.
const FIELDS: &[(&str, &[&str], &[&str])] = &[
    (
        NUMBERS,
        &["int32", "int64", "uint32", "uint64", "sint64", "fixed32", "int64Value", "double", "float"],
        &[r#""+1""#, r#""01""#, r#""1_000""#, r#""1.""#, r#""\u0661""#],
    ),
    (
        NUMBERS,
        &["double", "float"],
        &[r#"" 1""#, r#""1 ""#, r#"".5""#, r#""-NaN""#, r#""+Infinity""#, r#""inf""#, r#""infinity""#, r#""INFINITY""#],
    ),
    (INFINITE, &["double", "float"], &[r#""1e400""#]),
    (INFINITE, &["float"], &[r#""3.5e38""#]),
    ("true is no number", &["double"], &["true", "false"]),
    (NEGATIVE_ZERO, &["double", "float"], &["-0.0", r#""-0""#]),
    (
        ENUMS,
        &["colour"],
        &[
            "1.5",
            "1e-2",
            "0.1",
            "1e-60",
            "4294967295",
            "4294967296",
            "9007199254740993",
            "9223372036854775807",
            "-9223372036854775808",
            "true",
            "false",
            r#""0""#,
            r#""-0""#,
            r#""1""#,
            r#""-1""#,
            r#""9007199254740993""#,
            r#""9223372036854775807""#,
            r#"" 1""#,
            r#""1 ""#,
            r#""+1""#,
            r#""01""#,
            r#""1_000""#,
            r#""\u0661""#,
            r#""\u0031""#,
        ],
    ),
    (ENUMS, &["nothing"], &["true", "false", "1.5", r#""1""#]),
    (ENUMS, &["colours"], &[r#"["1"]"#, "[true,false]", "[1.5]"]),
    (
        ENUMS,
        &["palette"],
        &[r#"{"1.0":true}"#, r#"{"1e2":true}"#, r#"{"2147483648":true}"#, r#"{"1":true,"01":false}"#, r#"{"+1":true}"#],
    ),
    (NUMBERS, &["flags"], &[r#"{"1":true,"01":false}"#, r#"{"+1":true}"#]),
    (NO_OBJECT, &["message", "empty"], &[r#""""#, "[]"]),
    (NO_OBJECT, &["messages"], &["[[]]"]),
    ("null for a list is its absence; the oracle fails on a list of Value", &["values"], &["null"]),
    (
        BASE64,
        &["bytes", "bytesValue"],
        &[r#""Y Q==""#, r#""YQ==\n""#, r#""YQ==YQ==""#, r#""=""#, r#""====""#, r#""ä""#, r#""!!!!""#, r#""YWJj====""#],
    ),
    (
        TIMES,
        &["time"],
        &[
            r#""2024-01-01T00:00:00.Z""#,
            r#""2024-01-01T00:00:00+24:00""#,
            r#""2024-01-01T00:00:00+99:99""#,
            r#""2024-01-01T00:00:00+00:60""#,
            r#""2024-1-1T00:00:00Z""#,
            r#""2024-01-01T0:0:0Z""#,
        ],
    ),
    (DURATIONS, &["duration"], &[r#""1.s""#, r#""+1s""#, r#""1 s""#, r#"" 1s""#, r#""1_0s""#]),
    (MASKS, &["mask"], &[r#""a,""#, r#"",a""#, r#""a,,b""#]),
    (ANY_EMPTY, &["any"], &["{}", r#"{"@type":"x/google.protobuf.Any","value":{}}"#]),
    (
        ANY_OF_EMPTY,
        &["any"],
        &[r#"{"@type":"x/google.protobuf.Empty"}"#, r#"{"@type":"x/google.protobuf.Empty","value":{}}"#],
    ),
    (ANY_URL, &["any"], &[r#"{"@type":"kinds.Kinds"}"#]),
    (
        "an unknown key is an error beside the value of an Any too",
        &["any"],
        &[r#"{"@type":"x/google.protobuf.Duration","value":"1s","other":1}"#],
    ),
    (NOT_FINITE, &["doubleValue"], &[r#""NaN""#]),
];

/// Whole texts that differ: the reason, the message, and the text.
const TEXTS: &[(&str, &str, &str)] = &[
    (NO_OBJECT, REQUEST, "[]"),
    (NO_OBJECT, "google.protobuf.Empty", "[]"),
    (SPELLINGS, REQUEST, r#"{"loginDefaultOrg":null,"login_default_org":true}"#),
    (SPELLINGS, "zitadel.feature.v2.SetUserFeatureRequest", r#"{"userId":"a","user_id":"a"}"#),
    (ENUMS, REQUEST, r#"{"improvedPerformance":[4294967297]}"#),
    (
        ANY_EMPTY,
        "google.rpc.Status",
        r#"{"details":[{"@type":"type.googleapis.com/google.rpc.RetryInfo","retryDelay":"1.5s"},{}]}"#,
    ),
    (INFINITE, "google.protobuf.Value", "1e400"),
    ("NaN is not JSON", "google.protobuf.Value", "NaN"),
    (
        "the null of a NullValue is its value, so two members of a oneof are given",
        KINDS,
        r#"{"name":"","nothing":null}"#,
    ),
    (
        TIMES,
        KINDS,
        r#"{"double":-1.5e3,"time":"2024-02-2T12:30:45.123Z","duration":"-3.5s","texts":{"a":"b"},"any":{"@type":"x/kinds.Kinds"}}"#,
    ),
    (
        TIMES,
        KINDS,
        r#"{"double":-1.5e3,"time":"2024-2-29T12:30:45.123Z","duration":"-3.5s","texts":{"a":"b"},"any":{"@type":"x/kinds.Kinds"}}"#,
    ),
    (
        DURATIONS,
        KINDS,
        r#"{"double":-1.5e3,"time":"2024-02-29T12:30:45.123Z","duration":"-3 .5s","texts":{"a":"b"},"any":{"@type":"x/kinds.Kinds"}}"#,
    ),
];
