//! Hand-picked texts: requests of the feature service, correct and mistyped, and error details.

use super::Input;

/// The table, texts of all depths, and bytes that are not text.
pub fn all() -> Vec<Input> {
    let mut inputs: Vec<Input> =
        TABLE.iter().flat_map(|(message, texts)| texts.iter().map(|text| Input::new(message, *text))).collect();
    for depth in [2, 32, 61, 62, 63, 64, 65, 99, 200, 5000] {
        inputs.push(nested(depth));
        inputs.push(Input::new(KINDS, format!("{}{}", "[".repeat(depth), "]".repeat(depth))));
    }
    for (message, text) in NOT_UTF8 {
        inputs.push(Input::new(message, text));
    }
    inputs
}

/// An empty message, nested in this number of messages.
pub fn nested(depth: usize) -> Input {
    Input::new(KINDS, format!("{}{{}}{}", r#"{"message":"#.repeat(depth), "}".repeat(depth)))
}

const KINDS: &str = "kinds.Kinds";

const NOT_UTF8: [(&str, &[u8]); 5] = [
    ("zitadel.feature.v2.LoginV2", b"{\"baseUri\":\"\xff\"}"),
    ("zitadel.feature.v2.LoginV2", b"{\"baseUri\":\"\xc3\"}"),
    ("zitadel.feature.v2.LoginV2", b"{\"baseUri\":\"\xed\xa0\x80\"}"),
    ("zitadel.feature.v2.LoginV2", b"\xff\xfe{\x00}\x00"),
    ("zitadel.feature.v2.LoginV2", b"\xef\xbb\xbf{}"),
];

const TABLE: &[(&str, &[&str])] = &[
    (
        "zitadel.feature.v2.SetSystemFeaturesRequest",
        &[
            "",
            " ",
            "{}",
            " \t\r\n{ } \n",
            "{}{}",
            "{} x",
            "{}\u{0}",
            "{",
            "}",
            "[]",
            "null",
            "true",
            "1",
            r#""x""#,
            r#"{"loginDefaultOrg":true}"#,
            r#"{"login_default_org":true}"#,
            r#"{"LoginDefaultOrg":true}"#,
            r#"{"logindefaultorg":true}"#,
            r#"{"login-default-org":true}"#,
            r#"{"loginDefaultOrg":false}"#,
            r#"{"loginDefaultOrg":null}"#,
            r#"{"loginDefaultOrg":"true"}"#,
            r#"{"loginDefaultOrg":1}"#,
            r#"{"loginDefaultOrg":{"enabled":true}}"#,
            r#"{"loginDefaultOrg":[true]}"#,
            r#"{"loginDefaultOrg":true,"loginDefaultOrg":true}"#,
            r#"{"loginDefaultOrg":true,"login_default_org":false}"#,
            r#"{"loginDefaultOrg":null,"login_default_org":true}"#,
            r#"{"loginDefaultOrg":true,"loginDefaultOrg":null}"#,
            r#"{"login\u0044efaultOrg":true}"#,
            r#"{"loginDefaultOrg":true,}"#,
            r#"{"loginDefaultOrg":true"#,
            r#"{"loginDefaultOrg":tru}"#,
            r#"{"loginDefaultOrg":True}"#,
            r#"{loginDefaultOrg:true}"#,
            r#"{'loginDefaultOrg':true}"#,
            r#"{"loginDefaultOrg" true}"#,
            r#"{"loginDefaultOrg":true "userSchema":true}"#,
            r#"{"loginDefaultOrg":true/* c */}"#,
            r#"{"webKey":true}"#,
            r#"{"unknown":null}"#,
            r#"{"":true}"#,
            r#"{"1":true}"#,
            r#"{"[zitadel.feature.v2.extension]":true}"#,
            r#"{"@type":"type.googleapis.com/zitadel.feature.v2.SetSystemFeaturesRequest"}"#,
            r#"{"improvedPerformance":[]}"#,
            r#"{"improvedPerformance":null}"#,
            r#"{"improvedPerformance":["IMPROVED_PERFORMANCE_ORG_BY_ID",2,"IMPROVED_PERFORMANCE_PROJECT"]}"#,
            r#"{"improvedPerformance":["IMPROVED_PERFORMANCE_NONE"]}"#,
            r#"{"improvedPerformance":["improved_performance_org_by_id"]}"#,
            r#"{"improvedPerformance":[99]}"#,
            r#"{"improvedPerformance":[-1]}"#,
            r#"{"improvedPerformance":[4294967297]}"#,
            r#"{"improvedPerformance":[1.0]}"#,
            r#"{"improvedPerformance":"IMPROVED_PERFORMANCE_PROJECT"}"#,
            r#"{"improvedPerformance":[null]}"#,
            r#"{"improvedPerformance":[[1]]}"#,
            r#"{"loginV2":{}}"#,
            r#"{"loginV2":null}"#,
            r#"{"loginV2":true}"#,
            r#"{"loginV2":{"required":true,"baseUri":"https://login.example.com"}}"#,
            r#"{"login_v2":{"required":true,"base_uri":""}}"#,
            r#"{"loginV2":{"required":null,"baseUri":null}}"#,
            r#"{"loginV2":{"baseUri":1}}"#,
            r#"{"loginV2":{"baseURI":"https://login.example.com"}}"#,
            r#"{"loginV2":{"baseUri":"a","base_uri":"b"}}"#,
            r#"{"updateMask":"loginV2.baseUri,actions"}"#,
            r#"{"updateMask":"login_v2.base_uri"}"#,
            r#"{"updateMask":"*"}"#,
            r#"{"updateMask":""}"#,
            r#"{"updateMask":{"paths":["actions"]}}"#,
            r#"{"update_mask":"actions"}"#,
            r#"{"expectedSequence":"0"}"#,
            r#"{"expectedSequence":7}"#,
            r#"{"expectedSequence":"18446744073709551615"}"#,
            r#"{"expectedSequence":18446744073709551615}"#,
            r#"{"expectedSequence":18446744073709551616}"#,
            r#"{"expectedSequence":"-1"}"#,
            r#"{"expectedSequence":1.5}"#,
            r#"{"expectedSequence":""}"#,
            r#"{"expectedSequence":true}"#,
            r#"{"validateOnly":true,"permissionCheckV2":false,"enableRelationalTables":true}"#,
        ],
    ),
    (
        "zitadel.feature.v2.SetUserFeatureRequest",
        &[
            "{}",
            r#"{"userId":"u1"}"#,
            r#"{"user_id":"u1","webKey":true}"#,
            r#"{"userId":1}"#,
            r#"{"userId":null}"#,
            r#"{"userId":"\u0000"}"#,
            r#"{"userId":"a","user_id":"a"}"#,
            r#"{"userId":"u1","loginV2":{"required":false},"updateMask":"loginV2","expectedSequence":"3"}"#,
            r#"{"organizationId":"o"}"#,
            r#"{"consoleUseV2UserApi":true,"oidcSingleV1SessionTermination":false}"#,
            r#"{"console_use_v2_user_api":true}"#,
            r#"{"consoleUseV2UserAPI":true}"#,
        ],
    ),
    (
        "zitadel.feature.v2.GetUserFeaturesResponse",
        &[
            r#"{"details":{"sequence":"3","changeDate":"2026-11-05T10:00:00.123Z","resourceOwner":"o"}}"#,
            r#"{"actions":{"enabled":true,"source":"SOURCE_USER"},"userSchema":{"source":3}}"#,
            r#"{"actions":{"source":1}}"#,
            r#"{"improvedPerformance":{"executionPaths":["IMPROVED_PERFORMANCE_UNSPECIFIED",7],"source":"SOURCE_APP"}}"#,
            r#"{"loginV2":{"required":true,"baseUri":"","source":"SOURCE_SYSTEM"}}"#,
        ],
    ),
    (
        "google.rpc.BadRequest",
        &[
            r#"{"fieldViolations":[{"field":"a","description":"b"},{}]}"#,
            r#"{"fieldViolations":[{"field":"a"},null]}"#,
            r#"{"fieldViolations":[{"field":"a"},{"x":1}]}"#,
            r#"{"fieldViolations":{"field":"a"}}"#,
        ],
    ),
    (
        "google.rpc.ErrorInfo",
        &[
            r#"{"reason":"R","domain":"d","metadata":{"a":"b","":"","ä":"\n"}}"#,
            r#"{"metadata":{"a":1}}"#,
            r#"{"metadata":{"a":null}}"#,
            r#"{"metadata":{"a":"1","a":"2"}}"#,
            r#"{"metadata":[]}"#,
        ],
    ),
    (
        "google.rpc.Status",
        &[
            r#"{"code":5,"message":"m","details":[{"@type":"type.googleapis.com/google.rpc.RequestInfo","requestId":"r"}]}"#,
            r#"{"details":[{"@type":"type.googleapis.com/google.rpc.RetryInfo","retryDelay":"1.5s"},{}]}"#,
            r#"{"details":[{"@type":"type.googleapis.com/google.rpc.Nothing"}]}"#,
            r#"{"details":[{"requestId":"r"}]}"#,
        ],
    ),
    ("google.protobuf.Timestamp", &[r#""2026-11-05T10:00:00Z""#, "{}", "null", "1"]),
    ("google.protobuf.Duration", &[r#""3.25s""#, "{}", "null", "3"]),
    ("google.protobuf.Struct", &["{}", r#"{"a":{"b":[1,"2",null,true,{}]}}"#, "[]", "null"]),
    ("google.protobuf.Value", &["null", "1", "[]", "{}", r#""x""#, "true", "1e400", "NaN"]),
    ("google.protobuf.Empty", &["{}", r#"{"a":1}"#, "null", "[]"]),
    ("google.protobuf.BoolValue", &["true", "null", r#"{"value":true}"#, r#""true""#]),
    (
        KINDS,
        &[
            r#"{"name":"a","number":1}"#,
            r#"{"name":"a","number":null}"#,
            r#"{"name":"","nothing":null}"#,
            r#"{"number":0}"#,
            r#"{"nothing":"NULL_VALUE"}"#,
            r#"{"nested":{"name":"a"},"message":{"number":2}}"#,
            r#"{"@other":"a"}"#,
            r#"{"renamed":"a"}"#,
            r#"{"other":"a"}"#,
            r#"{"optionalBool":false,"bool":false}"#,
            r#"{"doubleValue":"NaN"}"#,
            r#"{"double":"NaN","float":"-Infinity"}"#,
            r#"{"messages":[{"messages":[{"int32":1},{"texts":{"k":"v"}}]}]}"#,
        ],
    ),
];
