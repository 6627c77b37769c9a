//! Public services, and closed methods.

use super::*;

#[test]
fn methods_need_a_rule_unless_their_service_is_public() {
    let rule = Rule::new(Some("system.feature.read".to_owned()), None, Some(Level::System));
    let methods = [("/some.v1.Service/Get", Some(rule)), ("/some.v1.Service/Forgotten", None)];
    let rules = AccessRules::new(methods.map(|(path, rule)| (path.to_owned(), rule)), ["grpc.health.v1.Health"]);
    let table = [
        // path                                  result
        ("/grpc.health.v1.Health/Check", "public"),
        ("/grpc.health.v1.Health/Watch", "public"),
        ("/some.v1.Service/Get", "by rule"),
        ("/some.v1.Service/Nothing", "unknown"),
        ("/some.v1.Service/get", "unknown"),
        ("/some.v1.Service/Get/", "unknown"),
        ("//some.v1.Service/Get", "unknown"),
        ("/grpc.health.v1.health/Check", "unknown"),
        ("/grpc.health.v1.Health", "unknown"),
        ("grpc.health.v1.Health/Check", "unknown"),
        ("/x/grpc.health.v1.Health/Check", "unknown"),
        ("/", "unknown"),
        ("", "unknown"),
        ("/some.v1.Service/Forgotten", "closed"),
    ];
    for (path, expected) in table {
        let actual = match rules.find(path) {
            Ok(None) => "public",
            Ok(Some(_)) => "by rule",
            Err(AuthError::MethodUnknown(named)) if named == path => "unknown",
            Err(AuthError::MethodWithoutAccess(named)) if named == path => "closed",
            Err(other) => panic!("{path}: {other}"),
        };
        assert_eq!(actual, expected, "{path}");
    }
}
