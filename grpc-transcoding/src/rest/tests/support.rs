//! A small proto whose methods each test brings along, and calls written as one line.

use std::fs;

use http::Method;
use prost_reflect::DescriptorPool;

use crate::error::Error;
use crate::json;
use crate::rest::{RouteError, Routes};

const MESSAGES: &str = r#"
    syntax = "proto3";
    package test;
    import "google/api/annotations.proto";
    import "google/protobuf/any.proto";
    import "google/protobuf/duration.proto";
    import "google/protobuf/field_mask.proto";
    import "google/protobuf/struct.proto";
    import "google/protobuf/timestamp.proto";
    import "google/protobuf/wrappers.proto";
    enum Color { COLOR_UNSPECIFIED = 0; COLOR_RED = 1; COLOR_BLUE = 2; }
    message Inner {
      string name = 1;
      int32 size = 2;
      Inner inner = 3;
      repeated string tags = 4;
      optional bool required = 5;
      map<string, int32> counts = 6;
    }
    message Request {
      string a = 1;
      string b = 2;
      Inner inner = 3;
      bool flag = 4;
      int32 number = 5;
      uint64 large = 6;
      double real = 7;
      bytes data = 8;
      Color color = 9;
      repeated int32 numbers = 10;
      repeated Color colors = 11;
      map<string, string> labels = 12;
      google.protobuf.Timestamp time = 13;
      google.protobuf.Duration span = 14;
      google.protobuf.FieldMask mask = 15;
      google.protobuf.BoolValue maybe = 16;
      google.protobuf.StringValue text = 17;
      google.protobuf.Int64Value count = 18;
      google.protobuf.Struct extra = 19;
      repeated Inner inners = 20;
      oneof choice { string left = 21; string right = 22; Inner deep = 23; }
      google.protobuf.Any any = 24;
      string snake_case = 25;
      repeated google.protobuf.Timestamp times = 26;
      optional string note = 27;
      string resume_token = 28;
      map<int32, bool> sizes = 29;
      map<string, Inner> parts = 30;
    }
    message Answer {
      Inner inner = 1;
      repeated string names = 2;
      int64 total = 3;
      optional string note = 4;
      map<string, string> labels = 5;
      Color color_name = 6;
      google.protobuf.Timestamp time = 7;
      double real = 8;
      string resume_token = 9;
    }
"#;

/// A pool with a service of these methods, each a name and its HTTP rule.
pub(crate) fn pool(methods: &[(&str, &str)]) -> DescriptorPool {
    let methods: String = methods
        .iter()
        .map(|(name, rule)| {
            format!("rpc {name}(Request) returns (Answer) {{ option (google.api.http) = {{{rule}}}; }}\n")
        })
        .collect();
    compile(&methods)
}

/// A pool with a service of these methods.
pub(crate) fn compile(methods: &str) -> DescriptorPool {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("test.proto"), format!("{MESSAGES} service Test {{ {methods} }}")).unwrap();
    let mut compiler = protox::Compiler::new([folder.path().to_str().unwrap(), "../proto"]).unwrap();
    compiler.include_imports(true).open_file("test.proto").unwrap();
    DescriptorPool::decode(compiler.encode_file_descriptor_set().as_slice()).unwrap()
}

/// The routes of these methods, each a name and its HTTP rule.
pub(crate) fn routes(methods: &[(&str, &str)]) -> Result<Routes, RouteError> {
    Routes::new(&pool(methods))
}

/// The result of `VERB /path?query` as a line: `Method {request}`, `! field: violation; …`, `405 VERBS`, `404`.
pub(crate) fn call(routes: &Routes, call: &str, body: &str) -> String {
    let (verb, target) = call.split_once(' ').unwrap();
    let (path, query) = target.split_once('?').map_or((target, None), |(path, query)| (path, Some(query)));
    let call = match routes.find(&Method::from_bytes(verb.as_bytes()).unwrap(), path) {
        Ok(call) => call,
        Err(Error::VerbNotAllowed(allow)) => {
            return format!("405 {}", allow.iter().map(Method::as_str).collect::<Vec<_>>().join(" "));
        }
        Err(error) => return error.http_status().as_u16().to_string(),
    };
    match call.request(query, body.as_bytes()) {
        Ok(message) => format!("{} {}", call.route.method.name(), String::from_utf8(json::encode(&message)).unwrap()),
        Err(violations) => {
            let lines = violations.iter().map(|v| format!("{}: {}", v.field, v.description));
            format!("! {}", lines.collect::<Vec<_>>().join("; "))
        }
    }
}

/// Checks the results of calls `(VERB /path?query, body, result)`. A violation may be given by its beginning.
pub(crate) fn check(routes: &Routes, table: &[(&str, &str, &str)]) {
    for (line, body, expected) in table {
        let outcome = call(routes, line, body);
        let fits = if expected.starts_with('!') { outcome.starts_with(expected) } else { outcome == *expected };
        assert!(fits, "{line} {body}\n is: {outcome}\n not: {expected}");
    }
}
