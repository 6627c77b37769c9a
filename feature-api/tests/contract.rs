//! The wire contract: names, numbers, kinds and permissions that clients rely on must never move.

#![allow(clippy::unwrap_used)]

use feature_api::schema::{Access, Exemption, Method, Schema};
use prost_reflect::{DescriptorPool, EnumDescriptor, FieldDescriptor, Kind, MessageDescriptor};

const PACKAGE: &str = "zitadel.feature.v2";

/// Per feature its field numbers; 0 where the level does not have it.
#[rustfmt::skip]
const FEATURES: [(&str, u32, u32, u32, u32, u32); 16] = [
    // feature                                 system    instance  organization and
    //                                         Set  Get  Set  Get  user, Set and Get
    ("login_default_org",                       1,   2,   1,   2,   2),
    ("oidc_trigger_introspection_projections",  2,   3,   2,   3,   3),
    ("oidc_legacy_introspection",               3,   4,   3,   4,   4),
    ("user_schema",                             4,   5,   4,   5,   5),
    ("oidc_token_exchange",                     5,   6,   5,   6,   6),
    ("actions",                                 6,   7,   6,   7,   7),
    ("improved_performance",                    7,   8,   7,   8,   8),
    ("web_key",                                 0,   0,   8,   9,   9),
    ("debug_oidc_parent_error",                 0,   0,   9,  10,  10),
    ("oidc_single_v1_session_termination",      8,   9,  10,  11,  11),
    ("disable_user_token_event",                9,  10,  11,  12,  12),
    ("enable_back_channel_logout",             10,  11,  12,  13,  13),
    ("login_v2",                               11,  12,  13,  14,  14),
    ("permission_check_v2",                    12,  13,  14,  15,  15),
    ("console_use_v2_user_api",                 0,   0,  15,  16,  16),
    ("enable_relational_tables",               13,  14,  16,  17,  17),
];

/// One row of [`METHODS`].
type MethodRow = (&'static str, &'static str, &'static str, &'static str, &'static str, Option<Exemption>);

/// The methods: request, response, HTTP rule, permission and who needs none.
#[rustfmt::skip]
const METHODS: [MethodRow; 12] = [
    ("SetSystemFeatures", "SetSystemFeaturesRequest", "SetSystemFeaturesResponse", "PUT /v2/features/system *", "system.feature.write", None),
    ("ResetSystemFeatures", "ResetSystemFeaturesRequest", "ResetSystemFeaturesResponse", "DELETE /v2/features/system ", "system.feature.delete", None),
    ("GetSystemFeatures", "GetSystemFeaturesRequest", "GetSystemFeaturesResponse", "GET /v2/features/system ", "", None),
    ("SetInstanceFeatures", "SetInstanceFeaturesRequest", "SetInstanceFeaturesResponse", "PUT /v2/features/instance *", "iam.feature.write", None),
    ("ResetInstanceFeatures", "ResetInstanceFeaturesRequest", "ResetInstanceFeaturesResponse", "DELETE /v2/features/instance ", "iam.feature.delete", None),
    ("GetInstanceFeatures", "GetInstanceFeaturesRequest", "GetInstanceFeaturesResponse", "GET /v2/features/instance ", "", None),
    ("SetOrganizationFeatures", "SetOrganizationFeaturesRequest", "SetOrganizationFeaturesResponse", "PUT /v2/features/organization/{organization_id} *", "org.feature.write", None),
    ("ResetOrganizationFeatures", "ResetOrganizationFeaturesRequest", "ResetOrganizationFeaturesResponse", "DELETE /v2/features/organization/{organization_id} ", "org.feature.delete", None),
    ("GetOrganizationFeatures", "GetOrganizationFeaturesRequest", "GetOrganizationFeaturesResponse", "GET /v2/features/organization/{organization_id} ", "org.feature.read", Some(Exemption::Member)),
    ("SetUserFeatures", "SetUserFeatureRequest", "SetUserFeaturesResponse", "PUT /v2/features/user/{user_id} *", "user.feature.write", None),
    ("ResetUserFeatures", "ResetUserFeaturesRequest", "ResetUserFeaturesResponse", "DELETE /v2/features/user/{user_id} ", "user.feature.delete", None),
    ("GetUserFeatures", "GetUserFeaturesRequest", "GetUserFeaturesResponse", "GET /v2/features/user/{user_id} ", "user.feature.read", Some(Exemption::SelfAccess)),
];

/// Messages whose fields are all fixed, as `number name type`.
#[rustfmt::skip]
const MESSAGES: [(&str, &[&str]); 13] = [
    ("zitadel.object.v2.Details", &["1 sequence uint64", "2 change_date google.protobuf.Timestamp", "3 resource_owner string", "4 creation_date google.protobuf.Timestamp"]),
    ("zitadel.feature.v2.FeatureFlag", &["1 enabled bool", "2 source zitadel.feature.v2.Source"]),
    ("zitadel.feature.v2.ImprovedPerformanceFeatureFlag", &["1 execution_paths repeated zitadel.feature.v2.ImprovedPerformance", "2 source zitadel.feature.v2.Source"]),
    ("zitadel.feature.v2.LoginV2", &["1 required bool", "2 base_uri optional string"]),
    ("zitadel.feature.v2.LoginV2FeatureFlag", &["1 required bool", "2 base_uri optional string", "3 source zitadel.feature.v2.Source"]),
    ("zitadel.feature.v2.GetSystemFeaturesRequest", &[]),
    ("zitadel.feature.v2.GetInstanceFeaturesRequest", &["1 inheritance bool"]),
    ("zitadel.feature.v2.GetOrganizationFeaturesRequest", &["1 organization_id string", "2 inheritance bool"]),
    ("zitadel.feature.v2.GetUserFeaturesRequest", &["1 user_id string", "2 inheritance bool"]),
    ("zitadel.feature.v2.ResetSystemFeaturesRequest", &[]),
    ("zitadel.feature.v2.ResetInstanceFeaturesRequest", &[]),
    ("zitadel.feature.v2.ResetOrganizationFeaturesRequest", &["1 organization_id string"]),
    ("zitadel.feature.v2.ResetUserFeaturesRequest", &["1 user_id string"]),
];

const CONTROL_FIELDS: [&str; 3] =
    ["100 update_mask google.protobuf.FieldMask", "101 expected_sequence optional uint64", "102 validate_only bool"];

#[test]
fn features_keep_their_numbers_and_kinds_on_all_levels() {
    let pool = feature_api::descriptor_pool();
    let mut expected: Vec<(String, Vec<String>)> = Vec::new();
    for (level, id) in
        [("System", None), ("Instance", None), ("Organization", Some("organization_id")), ("User", Some("user_id"))]
    {
        let set_name =
            if level == "User" { "SetUserFeatureRequest".into() } else { format!("Set{level}FeaturesRequest") };
        let mut set: Vec<String> = id.iter().map(|id| format!("1 {id} string")).collect();
        let mut get = vec!["1 details zitadel.object.v2.Details".to_owned()];
        for (key, system_set, system_get, instance_set, instance_get, other) in FEATURES {
            let (set_number, get_number) = match level {
                "System" => (system_set, system_get),
                "Instance" => (instance_set, instance_get),
                _ => (other, other),
            };
            if set_number > 0 {
                let (set_type, get_type) = types(key);
                set.push(format!("{set_number} {key} {set_type}"));
                get.push(format!("{get_number} {key} {get_type}"));
            }
        }
        set.extend(CONTROL_FIELDS.map(str::to_owned));
        expected.push((set_name, set));
        expected.push((format!("Get{level}FeaturesResponse"), get));
    }
    for (name, fields) in expected {
        assert_eq!(describe(&message(&pool, &format!("{PACKAGE}.{name}"))), fields, "{name}");
    }
}

fn types(key: &str) -> (&'static str, &'static str) {
    match key {
        "improved_performance" => {
            ("repeated zitadel.feature.v2.ImprovedPerformance", "zitadel.feature.v2.ImprovedPerformanceFeatureFlag")
        }
        "login_v2" => ("optional zitadel.feature.v2.LoginV2", "zitadel.feature.v2.LoginV2FeatureFlag"),
        _ => ("optional bool", "zitadel.feature.v2.FeatureFlag"),
    }
}

#[test]
fn fixed_messages_keep_their_fields() {
    let pool = feature_api::descriptor_pool();
    for (name, fields) in MESSAGES {
        assert_eq!(describe(&message(&pool, name)), fields, "{name}");
    }
}

#[test]
fn every_write_answers_details_alone() {
    let pool = feature_api::descriptor_pool();
    for (method, _, response, ..) in METHODS.iter().filter(|(method, ..)| !method.starts_with("Get")) {
        let response = message(&pool, &format!("{PACKAGE}.{response}"));
        assert_eq!(describe(&response), ["1 details zitadel.object.v2.Details"], "{method}");
    }
}

#[test]
fn enums_keep_their_numbers() {
    let pool = feature_api::descriptor_pool();
    let values = |name: &str| -> Vec<String> {
        let descriptor: EnumDescriptor = pool.get_enum_by_name(&format!("{PACKAGE}.{name}")).unwrap();
        descriptor.values().map(|value| format!("{} {}", value.number(), value.name())).collect()
    };
    assert_eq!(
        values("Source"),
        [
            "0 SOURCE_UNSPECIFIED",
            "2 SOURCE_SYSTEM",
            "3 SOURCE_INSTANCE",
            "4 SOURCE_ORGANIZATION",
            "5 SOURCE_PROJECT",
            "6 SOURCE_APP",
            "7 SOURCE_USER"
        ]
    );
    assert_eq!(
        pool.get_enum_by_name("zitadel.feature.v2.Source").unwrap().reserved_ranges().collect::<Vec<_>>(),
        [1..=1]
    );
    assert_eq!(
        values("ImprovedPerformance"),
        [
            "0 IMPROVED_PERFORMANCE_UNSPECIFIED",
            "1 IMPROVED_PERFORMANCE_ORG_BY_ID",
            "2 IMPROVED_PERFORMANCE_PROJECT_GRANT",
            "3 IMPROVED_PERFORMANCE_PROJECT",
            "4 IMPROVED_PERFORMANCE_USER_GRANT",
            "5 IMPROVED_PERFORMANCE_ORG_DOMAIN_VERIFIED"
        ]
    );
}

#[test]
fn methods_keep_their_messages_paths_and_permissions() {
    let pool = feature_api::descriptor_pool();
    let schema = Schema::new(pool.clone()).unwrap();
    let of_service = |method: &&Method| method.path.starts_with(&format!("/{PACKAGE}."));
    assert_eq!(schema.methods().filter(of_service).count(), METHODS.len(), "a method was added: add it to this table");
    for (name, request, response, http, permission, exception) in METHODS {
        let path = format!("/{PACKAGE}.FeatureService/{name}");
        let method = schema.method(&path).unwrap_or_else(|| panic!("{path} is gone"));
        assert_eq!(method.request.full_name(), format!("{PACKAGE}.{request}"), "{name}");
        assert_eq!(method.response.full_name(), format!("{PACKAGE}.{response}"), "{name}");
        let expected = match permission {
            "" => Access::Authenticated,
            permission => Access::Permission { name: permission.to_owned(), exception },
        };
        assert_eq!(method.access, Some(expected), "{name}");
        assert_eq!(http_rule(&pool, name), http, "{name}");
    }
}

fn http_rule(pool: &DescriptorPool, method: &str) -> String {
    use feature_api::google::api::{HttpRule, http_rule::Pattern};
    let extension = pool.get_extension_by_name("google.api.http").unwrap();
    assert_eq!(extension.number(), 72_295_728);
    let service = pool.get_service_by_name("zitadel.feature.v2.FeatureService").unwrap();
    let options = service.methods().find(|descriptor| descriptor.name() == method).unwrap().options();
    let rule: HttpRule = options.get_extension(&extension).as_message().unwrap().transcode_to().unwrap();
    let (verb, path) = match rule.pattern.unwrap() {
        Pattern::Get(path) => ("GET", path),
        Pattern::Put(path) => ("PUT", path),
        Pattern::Delete(path) => ("DELETE", path),
        other => panic!("{method}: {other:?}"),
    };
    format!("{verb} {path} {}", rule.body)
}

fn message(pool: &DescriptorPool, name: &str) -> MessageDescriptor {
    pool.get_message_by_name(name).unwrap_or_else(|| panic!("{name} is gone"))
}

fn describe(message: &MessageDescriptor) -> Vec<String> {
    message.fields().map(|field| format!("{} {} {}", field.number(), field.name(), type_name(&field))).collect()
}

fn type_name(field: &FieldDescriptor) -> String {
    let optional = field.field_descriptor_proto().proto3_optional();
    let label = if field.is_list() {
        "repeated "
    } else if optional {
        "optional "
    } else {
        ""
    };
    let name = match field.kind() {
        Kind::Bool => "bool".to_owned(),
        Kind::String => "string".to_owned(),
        Kind::Uint64 => "uint64".to_owned(),
        Kind::Message(message) => message.full_name().to_owned(),
        Kind::Enum(descriptor) => descriptor.full_name().to_owned(),
        other => format!("{other:?}"),
    };
    format!("{label}{name}")
}
