//! Which calls are let in without a token, and that what has no rule is closed.

use super::*;
use crate::auth::testing::schema;

#[test]
fn only_health_and_reflection_are_public_and_what_has_no_rule_is_closed() {
    let mut rules = Rules::new(&schema());
    rules.by_path.insert("/some.v1.Service/Forgotten".to_owned(), None);
    let table = [
        // path                                                              let in
        ("/grpc.health.v1.Health/Check", "public"),
        ("/grpc.health.v1.Health/Watch", "public"),
        ("/grpc.reflection.v1.ServerReflection/ServerReflectionInfo", "public"),
        ("/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo", "public"),
        ("/zitadel.feature.v2.FeatureService/GetSystemFeatures", "by rule"),
        ("/zitadel.feature.v2.FeatureService/SetUserFeatures", "by rule"),
        ("/zitadel.feature.v2.FeatureService/Nothing", "unknown"),
        ("/zitadel.feature.v2.FeatureService/getsystemfeatures", "unknown"),
        ("/zitadel.feature.v2.FeatureService/GetSystemFeatures/", "unknown"),
        ("//zitadel.feature.v2.FeatureService/GetSystemFeatures", "unknown"),
        ("/grpc.health.v1.health/Check", "unknown"),
        ("/grpc.health.v1.Health", "unknown"),
        ("grpc.health.v1.Health/Check", "unknown"),
        ("/x/grpc.health.v1.Health/Check", "unknown"),
        ("/", "unknown"),
        ("", "unknown"),
        ("/some.v1.Service/Forgotten", "closed"),
    ];
    for (path, expected) in table {
        let actual = match rules.admission(path) {
            Ok(Admission::Public) => "public",
            Ok(Admission::By(_)) => "by rule",
            Err(Failure::MethodUnknown(named)) if named == path => "unknown",
            Err(Failure::MethodWithoutAccess(named)) if named == path => "closed",
            Err(other) => panic!("{path}: {other}"),
        };
        assert_eq!(actual, expected, "{path}");
    }
    let long = format!("/{}", "ü".repeat(10_000));
    let told = rules.admission(&long).unwrap_err().to_string();
    assert!(told.chars().count() < 250, "an answer does not repeat what is too long for a header: {told}");
}

#[test]
fn every_method_of_the_protos_has_a_rule() {
    for method in schema().methods() {
        assert!(method.access.is_some(), "{}", method.path);
    }
}
