//! The document of a service with messages and rules of every kind.

use prost_reflect::DescriptorPool;
use serde_json::{Value, json};

use super::*;

const PROTO: &str = r#"
syntax = "proto3";
package other;

import "google/api/annotations.proto";
import "google/protobuf/any.proto";
import "google/protobuf/duration.proto";
import "google/protobuf/struct.proto";
import "google/protobuf/wrappers.proto";

// Books and their shelves.
service Library {
  rpc Find(Query) returns (Book) {
    option (google.api.http) = {
      get: "/v1/{name=shelves/*/books/*}"
      additional_bindings {post: "/v1/books:find" body: "filter" response_body: "tags"}
      additional_bindings {custom: {kind: "LIST" path: "/v1/books"}}
    };
    option deprecated = true;
  }
  // Follows a book.
  rpc Watch(Query) returns (stream Book) {
    option (google.api.http) = {get: "/v1/watch/{filter.id}"};
  }
  rpc Upload(stream Book) returns (Book) {
    option (google.api.http) = {post: "/v1/upload" body: "*"};
  }
  rpc Unmapped(Query) returns (Book);
}

message Query {
  string name = 1;
  Filter filter = 2;
  repeated Kind kinds = 3;
  google.protobuf.Duration patience = 4;
  map<string, string> labels = 5;
  repeated Filter filters = 6;
  google.protobuf.Struct extra = 7;
}

message Filter {
  int64 id = 1;
  // Narrows it further.
  Filter and = 2;
  google.protobuf.Int64Value least = 3;
}

message Book {
  map<string, Book> parts = 1;
  double weight = 2;
  bytes cover = 3;
  google.protobuf.Any more = 4;
  google.protobuf.NullValue nothing = 5;
  repeated string tags = 6;
  oneof where {
    sint32 shelf = 7;
    string owner = 8;
  }
  Kind kind = 9 [deprecated = true];
}

enum Kind {
  KIND_UNSPECIFIED = 0;
  // Bound.
  KIND_BOUND = 1;
}
"#;

fn other() -> Value {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("other.proto"), PROTO).unwrap();
    let protos = concat!(env!("CARGO_MANIFEST_DIR"), "/../proto");
    let mut compiler = protox::Compiler::new([folder.path(), protos.as_ref()]).unwrap();
    compiler.include_imports(true).include_source_info(true).open_file("other.proto").unwrap();
    let pool = DescriptorPool::decode(compiler.encode_file_descriptor_set().as_slice()).unwrap();
    let api = Api {
        title: "",
        description: "",
        version: "",
        license: "",
        headers: &[],
        error_details: &["no.Such"],
        authentication: None,
        refine_text: |_, _| (),
    };
    document(&pool, &api)
}

fn names(operation: &Value) -> String {
    let parameters = operation["parameters"].as_array().unwrap().iter();
    parameters.map(|p| p["name"].as_str().unwrap()).collect::<Vec<_>>().join(" ")
}

#[test]
fn each_binding_that_openapi_can_tell_is_an_operation() {
    let document = other();
    let paths = document["paths"].as_object().unwrap();
    let verbs = |verbs: &Value| verbs.as_object().unwrap().keys().cloned().collect::<Vec<_>>();
    let all: Vec<_> = paths.iter().map(|(path, value)| format!("{} {path}", verbs(value).join(" "))).collect();
    assert_eq!(all, ["post /v1/books:find", "get /v1/shelves/{shelve}/books/{book}", "get /v1/watch/{filter_id}"]);
    let find = &paths["/v1/shelves/{shelve}/books/{book}"]["get"];
    assert_eq!(find["operationId"], "Library_Find");
    assert_eq!(find["deprecated"], true);
    assert_eq!(paths["/v1/books:find"]["post"]["operationId"], "Library_Find_2");
    assert_eq!(document["tags"], json!([{"name": "other.Library", "description": "Books and their shelves."}]));
}

#[test]
fn queries_hold_nested_and_repeated_values_and_maps_but_no_recursion() {
    let paths = other()["paths"].take();
    let find = &paths["/v1/shelves/{shelve}/books/{book}"]["get"];
    assert_eq!(names(find), "shelve book filter.id filter.least kinds patience labels");
    assert_eq!(
        find["parameters"][4],
        json!({
            "name": "kinds", "in": "query",
            "schema": {"type": "array", "items": {"$ref": "#/components/schemas/other.Kind"}},
        })
    );
    assert_eq!(
        find["parameters"][6],
        json!({
            "name": "labels", "in": "query", "style": "deepObject", "explode": true,
            "schema": {"type": "object", "additionalProperties": {"type": "string", "default": ""}},
        })
    );
    assert_eq!(names(&paths["/v1/watch/{filter_id}"]["get"]), "filter_id name filter.least kinds patience labels");
}

#[test]
fn a_body_and_an_answer_can_be_one_field() {
    let post = other()["paths"]["/v1/books:find"]["post"].take();
    assert_eq!(names(&post), "name kinds patience labels");
    let schema = |holder: &Value| holder["content"]["application/json"]["schema"].clone();
    assert_eq!(schema(&post["requestBody"]), json!({"$ref": "#/components/schemas/other.Filter"}));
    assert_eq!(schema(&post["responses"]["200"]), json!({"type": "array", "items": {"type": "string"}}));
}

#[test]
fn a_stream_is_lines_of_json_or_events() {
    let get = other()["paths"]["/v1/watch/{filter_id}"]["get"].take();
    let schema = json!({"schema": {"$ref": "#/components/schemas/other.Book"}});
    let content = json!({"application/x-ndjson": schema, "text/event-stream": schema});
    assert_eq!(get["responses"]["200"]["content"], content);
}

#[test]
fn without_known_details_an_error_may_have_any() {
    let status = other()["components"]["schemas"]["google.rpc.Status"].take();
    assert_eq!(status["properties"]["details"]["items"]["required"], json!(["@type"]));
}

#[test]
fn every_kind_of_field_has_its_canonical_json() {
    let properties = other()["components"]["schemas"]["other.Book"]["properties"].take();
    let check = |name: &str, schema: Value| assert_eq!(properties[name], schema, "{name}");
    check("parts", json!({"type": "object", "additionalProperties": {"$ref": "#/components/schemas/other.Book"}}));
    let weight = &properties["weight"];
    assert_eq!(weight["oneOf"][0], json!({"type": "number", "format": "double"}));
    check("cover", json!({"type": "string", "contentEncoding": "base64", "default": ""}));
    check("more", json!({"type": "object", "properties": {"@type": {"type": "string"}}, "required": ["@type"]}));
    check("nothing", json!({"type": "null"}));
    check("tags", json!({"type": "array", "items": {"type": "string"}}));
    check("shelf", json!({"type": "integer", "format": "int32"}));
    check(
        "kind",
        json!({"$ref": "#/components/schemas/other.Kind", "default": "KIND_UNSPECIFIED", "deprecated": true}),
    );
}
