//! A new feature is a few lines of proto and nothing else; and protos that don't fit together are refused.

#![allow(clippy::unwrap_used)]

use std::fs;
use std::path::Path;

use feature_api::request::Request;
use feature_api::response;
use feature_api::schema::{Schema, SchemaError};
use feature_core::{Layer, Level, Record, Scope, resolve};
use prost_reflect::prost::Message;
use prost_reflect::{DescriptorPool, DynamicMessage, Value};

/// Compiles a copy of the protos after each edit `(file, text, replacement)` of a file in `zitadel/feature/v2`.
fn schema_with(edits: &[(&str, &str, &str)]) -> Result<Schema, SchemaError> {
    let folder = tempfile::tempdir().unwrap();
    copy(Path::new("../proto"), folder.path());
    for (file, text, replacement) in edits {
        let path = folder.path().join("zitadel/feature/v2").join(file);
        let content = fs::read_to_string(&path).unwrap();
        assert!(content.contains(text), "{file} does not contain {text}");
        fs::write(&path, content.replacen(text, replacement, 1)).unwrap();
    }
    let mut compiler = protox::Compiler::new([folder.path()]).unwrap();
    compiler.include_imports(true).open_file("zitadel/feature/v2/feature_service.proto").unwrap();
    Schema::new(DescriptorPool::decode(compiler.encode_file_descriptor_set().as_slice()).unwrap())
}

fn copy(from: &Path, to: &Path) {
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            fs::create_dir(&target).unwrap();
            copy(&entry.path(), &target);
        } else {
            fs::copy(entry.path(), target).unwrap();
        }
    }
}

#[test]
fn a_new_flag_is_set_read_and_inherited_without_a_line_of_rust() {
    let schema = schema_with(&[
        ("system.proto", "  google.protobuf.FieldMask", "  optional bool dark_mode = 50;\n  google.protobuf.FieldMask"),
        ("system.proto", "  FeatureFlag actions = 7;", "  FeatureFlag actions = 7;\n  FeatureFlag dark_mode = 51;"),
        (
            "instance.proto",
            "  google.protobuf.FieldMask",
            "  optional bool dark_mode = 60;\n  google.protobuf.FieldMask",
        ),
        ("instance.proto", "  FeatureFlag actions = 7;", "  FeatureFlag actions = 7;\n  FeatureFlag dark_mode = 61;"),
    ])
    .unwrap();

    // Set at the system, through the bridge and the core as the server does.
    let set = schema.method("/zitadel.feature.v2.FeatureService/SetSystemFeatures").unwrap();
    let mut message = DynamicMessage::new(set.request.clone());
    message.set_field_by_name("dark_mode", Value::Bool(true));
    let request = Request::decode(&set.request, &message.encode_to_vec()).unwrap();
    let patch = request.patch(schema.level(Level::System)).unwrap();
    let mut system = Layer::default();
    system.apply(&patch.changes_to(&system));

    // Read at both levels: the instance inherits it.
    for (level, method) in [(Level::System, "GetSystemFeatures"), (Level::Instance, "GetInstanceFeatures")] {
        let get = schema.method(&format!("/zitadel.feature.v2.FeatureService/{method}")).unwrap();
        let details = Record::default().details(&Scope::System, None);
        let resolved = resolve([(Level::System, &system)]);
        let answer = response::features(&get.response, schema.level(level), &details, &resolved, true);
        let flag = answer.get_field_by_name("dark_mode").unwrap();
        assert_eq!(
            flag.as_message().unwrap().to_string(),
            "enabled:true,source:SOURCE_SYSTEM",
            "{method} must answer the new flag"
        );
    }

    // A mask can unset it again.
    let mut message = DynamicMessage::new(set.request.clone());
    let mut mask = DynamicMessage::new(schema.pool().get_message_by_name("google.protobuf.FieldMask").unwrap());
    mask.set_field_by_name("paths", Value::List(vec![Value::String("dark_mode".into())]));
    message.set_field_by_name("update_mask", Value::Message(mask));
    let request = Request::decode(&set.request, &message.encode_to_vec()).unwrap();
    system.apply(&request.patch(schema.level(Level::System)).unwrap().changes_to(&system));
    assert!(system.is_empty());
}

#[test]
fn protos_that_do_not_fit_together_are_refused_with_the_place() {
    let set = "  optional bool actions = 6;";
    let get = "  FeatureFlag actions = 7;";
    let service = "feature_service.proto";
    #[rustfmt::skip]
    let table: [(&str, &str, &str, &str); 12] = [
        // (file, text, replacement, start of the error)
        ("system.proto", set, "  bool actions = 6;", "zitadel.feature.v2.SetSystemFeaturesRequest.actions: a flag must be optional"),
        ("system.proto", set, "", "zitadel.feature.v2.GetSystemFeaturesResponse.actions: zitadel.feature.v2.SetSystemFeaturesRequest has no field"),
        ("system.proto", get, "", "zitadel.feature.v2.SetSystemFeaturesRequest.actions: zitadel.feature.v2.GetSystemFeaturesResponse has no field"),
        ("system.proto", set, "  optional int32 actions = 6;", "zitadel.feature.v2.SetSystemFeaturesRequest.actions: a feature must be"),
        ("system.proto", set, "  optional ImprovedPerformance actions = 6;", "zitadel.feature.v2.SetSystemFeaturesRequest.actions: a feature must be"),
        ("system.proto", get, "  ImprovedPerformanceFeatureFlag actions = 7;", "zitadel.feature.v2.SetSystemFeaturesRequest.actions: the message that answers for it has no field"),
        ("system.proto", "  LoginV2FeatureFlag login_v2", "  FeatureFlag login_v2", "zitadel.feature.v2.SetSystemFeaturesRequest.login_v2: the message that answers for it has other"),
        ("feature.proto", "  bool required = 1;", "  repeated string required = 1;", "zitadel.feature.v2.Set"),
        (service, "operation: OPERATION_SET", "", "zitadel.feature.v2.FeatureService.SetSystemFeatures: operation and level"),
        (service, "operation: OPERATION_RESET", "operation: OPERATION_SET", "system: no method has the operation Reset"),
        (service, "access: {authenticated: true}", "access: {}", "zitadel.feature.v2.FeatureService.GetSystemFeatures: access needs"),
        (service, "access: {authenticated: true}", "access: {authenticated: true, permission: \"p\"}", "zitadel.feature.v2.FeatureService.GetSystemFeatures: access takes"),
    ];
    for (file, text, replacement, expected) in table {
        let error = schema_with(&[(file, text, replacement)]).unwrap_err().to_string();
        assert!(error.starts_with(expected), "{file}, {replacement:?}: {error}");
    }
}

#[test]
fn a_method_without_access_has_none() {
    let schema = schema_with(&[("feature_service.proto", "access: {authenticated: true}", "")]).unwrap();
    assert_eq!(schema.method("/zitadel.feature.v2.FeatureService/GetSystemFeatures").unwrap().access, None);
}
