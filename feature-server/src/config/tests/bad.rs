//! Every kind of bad configuration, and the exact line that is said about it.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;

use super::*;

mod rules;
mod tls;

/// Checks the line that is said.
fn check(file: &str, variables: &[(&str, &str)], flags: &[(&str, &str)], expected: &str) {
    let said = load(file, variables, flags).err();
    assert_eq!(said.as_deref(), Some(expected), "{file} {variables:?} {flags:?}");
    assert_eq!(expected.lines().count(), 1, "{expected}");
}

#[test]
fn unknown_keys_are_named_with_the_nearest_known_one() {
    let role = "[roles.X]\nbound_to = 'instance'\npermissions = ['org.feature.read']\n";
    let table = [
        // (file, what is said)
        ("listen = 'x'", "listen (FILE): unknown key; the nearest known one is server.listen"),
        ("[server]\nlisen = 'x'", "server.lisen (FILE): unknown key; the nearest known one is server.listen"),
        ("[server]\nListen = 'x'", "server.Listen (FILE): unknown key; the nearest known one is server.listen"),
        ("[server]\ncalls = 1", "server.calls (FILE): unknown key; the nearest known one is limits.calls"),
        ("[limit]\ncalls = 1", "limit (FILE): unknown key; the nearest known one is limits"),
        (
            "[instances.host]\n'a.b' = 'c'",
            "instances.host (FILE): unknown key; the nearest known one is instances.hosts",
        ),
        (
            "[[auth.issuers]]\nissuer = 'a'\naudiance = 'b'",
            "auth.issuers[0].audiance (FILE): unknown key; the nearest known one is auth.issuers[0].audience",
        ),
        (
            &format!("{role}permission = []"),
            "roles.X.permission (FILE): unknown key; the nearest known one is roles.X.permissions",
        ),
        ("\"a\\nb\" = 1", "\"a\\nb\" (FILE): unknown key; the nearest known one is auth"),
        (
            "server.'a`b, expected `c`' = 1",
            "server.\"a`b, expected `c`\" (FILE): unknown key; the nearest known one is server.reflection",
        ),
        ("'limits[9999999999]' = 1", "\"limits[9999999999]\" (FILE): unknown key; the nearest known one is limits"),
    ];
    for (file, expected) in table {
        check(file, &[], &[], expected);
    }
}

#[test]
fn unknown_variables_are_named_with_the_nearest_known_one() {
    let table = [
        // (variable, what is said after it)
        ("FEATURE_SERVER__SERVER__LISEN", "FEATURE_SERVER__SERVER__LISTEN"),
        ("FEATURE_SERVER__LISTEN", "FEATURE_SERVER__SERVER__LISTEN"),
        ("FEATURE_SERVER__LIMITS_CALLS", "FEATURE_SERVER__LIMITS__CALLS"),
        ("FEATURE_SERVER__limits__calls", "FEATURE_SERVER__LIMITS__CALLS"),
        ("FEATURE_SERVER__ROLES__IAM_OWNER__BOUND_TO", "FEATURE_SERVER__ROLES"),
        ("FEATURE_SERVER__INSTANCES__HOSTS__DEMO", "FEATURE_SERVER__INSTANCES__HOSTS"),
        ("FEATURE_SERVER__AUTH__ISSUERS__0__ISSUER", "FEATURE_SERVER__AUTH__ISSUERS"),
    ];
    for (variable, nearest) in table {
        let expected = format!("{variable}: unknown environment variable; the nearest known one is {nearest}");
        check("", &[(variable, "x")], &[], &expected);
    }
}

#[test]
fn bad_values_are_named_with_what_is_allowed() {
    let count = "a whole number from 1 to 1000000";
    let address = "an IP address and a port, such as 127.0.0.1:8080 or [::1]:8080";
    let origin = "an origin as browsers send it, such as https://console.example.com or http://10.0.0.1:3000: lower \
                  case, no path, no default port";
    let permission = "one of system.feature, iam.feature, org.feature, user.feature or feature.definition, then \
                      .read, .write or .delete, such as org.feature.read";
    let id = "an id of 1 to 200 characters without control characters";
    let filter = "off, error, warn, info, debug or trace, or a list such as info,feature_server=debug";
    let long = format!("instances.default = '{}'", "x".repeat(201));
    let table = [
        // (file, key and value as they are said, what is allowed)
        ("limits = 1", "limits = 1", "a table"),
        ("limits.calls = 0", "limits.calls = 0", count),
        ("limits.calls = -1", "limits.calls = -1", count),
        ("limits.calls = 1000001", "limits.calls = 1000001", count),
        ("limits.calls = 1.5", "limits.calls = 1.5", count),
        ("limits.calls = '5'", "limits.calls = \"5\"", count),
        ("limits.calls = true", "limits.calls = true", count),
        ("limits.calls = { a = 1 }", "limits.calls = a table", count),
        ("limits.header_bytes = 8191", "limits.header_bytes = 8191", "a whole number from 8192 to 16777216"),
        ("auth.leeway_s = 31", "auth.leeway_s = 31", "a whole number from 0 to 30"),
        ("server.listen = 'localhost:80'", "server.listen = \"localhost:80\"", address),
        ("server.listen = 8080", "server.listen = 8080", address),
        ("server.data = ''", "server.data = \"\"", "a path"),
        ("server.allow_cleartext = 'yes'", "server.allow_cleartext = \"yes\"", "true or false"),
        ("server.allow_cleartext = 1", "server.allow_cleartext = 1", "true or false"),
        ("log.format = {}", "log.format = a table", "one of \"auto\", \"text\", \"json\""),
        ("log.format = { auto = {} }", "log.format = a table", "one of \"auto\", \"text\", \"json\""),
        ("log.format = { auto = 1 }", "log.format = a table", "one of \"auto\", \"text\", \"json\""),
        ("log.format = { xml = 1 }", "log.format = a table", "one of \"auto\", \"text\", \"json\""),
        ("log.format = { auto = 1, xml = 2 }", "log.format = a table", "one of \"auto\", \"text\", \"json\""),
        ("log.format = 5", "log.format = 5", "one of \"auto\", \"text\", \"json\""),
        ("store = [2000000]", "store = [2000000]", "a table"),
        ("limits = [2000000]", "limits = [2000000]", "a table"),
        ("auth.issuers = [['i', 'a']]", "auth.issuers[0] = [\"i\", \"a\"]", "a table"),
        ("roles.X = ['instance', ['org.feature.read']]", "roles.X = [\"instance\", [\"org.feature.read\"]]", "a table"),
        ("log.format = 'xml'", "log.format = \"xml\"", "one of \"auto\", \"text\", \"json\""),
        ("log.filter = 'inof'", "log.filter = \"inof\"", filter),
        ("cors.allowed_origins = ['https://a', '*']", "cors.allowed_origins[1] = \"*\"", origin),
        (
            "cors.allowed_origins = 'https://a'",
            "cors.allowed_origins = \"https://a\"",
            &format!("a list, each {origin}"),
        ),
        ("instances.default = ''", "instances.default = \"\"", id),
        ("instances.default = \"a\\tb\"", "instances.default = \"a\\tb\"", id),
        (&long, &format!("instances.default = \"{}...", "x".repeat(76)), id),
        ("instances.hosts = 'a'", "instances.hosts = \"a\"", "a table"),
        ("[instances.hosts]\n'a.example.com' = 5", "instances.hosts.\"a.example.com\" = 5", id),
        ("auth.issuers = 'x'", "auth.issuers = \"x\"", "a list, each a table"),
        ("auth.issuers = ['x']", "auth.issuers[0] = \"x\"", "a table"),
        ("auth.roles_claim = ''", "auth.roles_claim = \"\"", "a text that is not empty"),
        (
            "[[auth.issuers]]\nissuer = 'i'\naudience = ''",
            "auth.issuers[0].audience = \"\"",
            "a text that is not empty",
        ),
        (
            "[[auth.issuers]]\nissuer = 'i'\naudience = 'a'\njwks_url = 'http://i/keys'",
            "auth.issuers[0].jwks_url = \"http://i/keys\"",
            "an https URL such as https://id.example.com/keys",
        ),
        (
            "[roles.X]\nbound_to = 'org'",
            "roles.X.bound_to = \"org\"",
            "one of \"everything\", \"instance\", \"organization\"",
        ),
        (
            "[roles.X]\nbound_to = 'instance'\npermissions = 5",
            "roles.X.permissions = 5",
            &format!("a list, each {permission}"),
        ),
        (
            "[roles.X]\nbound_to = 'instance'\npermissions = []",
            "roles.X.permissions = []",
            "a list of at least one permission",
        ),
        (
            "[roles.'A.B']\nbound_to = 'instance'\npermissions = ['org.feature.red']",
            "roles.\"A.B\".permissions[0] = \"org.feature.red\"",
            permission,
        ),
    ];
    for (file, said, allowed) in table {
        check(file, &[], &[], &format!("{said} (FILE): must be {allowed}"));
    }
}

#[test]
fn variables_and_flags_are_named_as_the_origin() {
    let count = "a whole number from 1 to 1000000";
    let address = "an IP address and a port, such as 127.0.0.1:8080 or [::1]:8080";
    let calls = "FEATURE_SERVER__LIMITS__CALLS";
    let samplers = "\"always_on\", \"always_off\", \"traceidratio\", \"parentbased_always_on\", \
                    \"parentbased_always_off\", \"parentbased_traceidratio\"";
    let endpoint = "empty, or a URL of http or https with nothing after the port, such as http://127.0.0.1:4317";
    let table = [
        // (variable, value, what is said)
        (calls, "many", format!("limits.calls = \"many\" ({calls}): must be {count}")),
        (calls, " ", format!("limits.calls = \" \" ({calls}): must be {count}")),
        (calls, "0", format!("limits.calls = 0 ({calls}): must be {count}")),
        (
            "FEATURE_SERVER__SERVER__ALLOW_CLEARTEXT",
            "TRUE",
            "server.allow_cleartext = \"TRUE\" (FEATURE_SERVER__SERVER__ALLOW_CLEARTEXT): must be true or false"
                .to_owned(),
        ),
        (
            "FEATURE_SERVER__TRACES__SAMPLER",
            "jaeger_remote",
            format!(
                "traces.sampler = \"jaeger_remote\" (FEATURE_SERVER__TRACES__SAMPLER): must be one of {samplers}"
            ),
        ),
        (
            "FEATURE_SERVER__TRACES__SAMPLER_RATIO",
            "1.5",
            "traces.sampler_ratio = 1.5 (FEATURE_SERVER__TRACES__SAMPLER_RATIO): must be a number from 0 to 1, such as 0.01"
                .to_owned(),
        ),
        (
            "FEATURE_SERVER__TRACES__ENDPOINT",
            "collector:4317",
            format!("traces.endpoint = \"collector:4317\" (FEATURE_SERVER__TRACES__ENDPOINT): must be {endpoint}"),
        ),
        (
            "FEATURE_SERVER__ROLES",
            "IAM_OWNER",
            "roles = \"IAM_OWNER\" (FEATURE_SERVER__ROLES): must be a table".to_owned(),
        ),
        (
            "FEATURE_SERVER__AUTH__ISSUERS",
            "[{ issuer = 'i' ]",
            "FEATURE_SERVER__AUTH__ISSUERS: not valid TOML: invalid inline table element, expected `,`".to_owned(),
        ),
        (
            "FEATURE_SERVER__INSTANCES__HOSTS",
            "{}\nlimits.calls = 5",
            "FEATURE_SERVER__INSTANCES__HOSTS: not valid TOML: unexpected content, expected nothing".to_owned(),
        ),
    ];
    for (variable, value, expected) in table {
        check("", &[(variable, value)], &[], &expected);
    }
    check("", &[], &[("--listen", "8080")], &format!("server.listen = \"8080\" (--listen): must be {address}"));
    check("", &[], &[("--data", "")], "server.data = \"\" (--data): must be a path");
}

#[test]
fn names_and_missing_keys_are_told() {
    let table = [
        // (file, what is said)
        (
            "[instances.hosts]\n'Demo.example.com:80' = 'demo'",
            "instances.hosts.\"Demo.example.com:80\" (FILE): the name must be a host in lower case and without a port, such \
             as demo.example.com or [::1]",
        ),
        (
            "[roles.'A,B']\nbound_to = 'instance'\npermissions = ['org.feature.read']",
            "roles.\"A,B\" (FILE): the name must be a role name of 1 to 200 characters without commas and control \
             characters",
        ),
        (
            "[roles.X]\npermissions = ['org.feature.read']",
            "roles.X.bound_to (FILE): missing; it must be one of \"everything\", \"instance\", \"organization\"",
        ),
        (
            "[[auth.certificates]]\nuri = 'a:b'",
            "auth.certificates[0].roles (FILE): missing; it must be a list, each a role name of 1 to 200 characters without \
             commas and control characters",
        ),
        (
            "[[auth.issuers]]\nissuer = 'i'",
            "auth.issuers[0].audience (FILE): missing; it must be a text that is not empty",
        ),
    ];
    for (file, expected) in table {
        check(file, &[], &[], expected);
    }
}

#[test]
fn unreadable_sources_are_told() {
    let table = [
        // (file, what is said)
        ("a", "FILE: not valid TOML: line 1, column 2: key with no value, expected `=`"),
        ("a = 1\na = 2", "FILE: not valid TOML: line 2, column 1: duplicate key"),
        (
            "[limits]\ncalls =",
            "FILE: not valid TOML: line 2, column 8: string values must be quoted, expected literal string",
        ),
        (
            "limits.calls = 99999999999999999999",
            "FILE: not valid TOML: line 1, column 16: invalid type: integer `99999999999999999999` as i128, expected any \
             valid TOML value",
        ),
    ];
    for (file, expected) in table {
        check(file, &[], &[], expected);
    }
    let folder = tempfile::tempdir().unwrap();
    let latin_1 = folder.path().join("latin-1.toml");
    fs::write(&latin_1, b"# caf\xe9").unwrap();
    let table = [
        // (file, its name as it is said, why it cannot be read)
        (Path::new("no/such\nfile.toml"), "no/such\\nfile.toml", "No such file or directory (os error 2)"),
        (&latin_1, latin_1.to_str().unwrap(), "it is not UTF-8"),
    ];
    for (file, name, why) in table {
        let named = Flags { config: Some(file.to_owned()), ..Flags::default() };
        let error = load_from(&named, Path::new("none.toml"), []).unwrap_err().to_string();
        assert_eq!(error, format!("{name}: the configuration file cannot be read: {why}"));
    }
    let not_unicode = (OsString::from("FEATURE_SERVER__SERVER__DATA"), OsStr::from_bytes(b"\xff").to_owned());
    let error = load_from(&Flags::default(), Path::new("none.toml"), [not_unicode]).unwrap_err().to_string();
    assert_eq!(error, "FEATURE_SERVER__SERVER__DATA: the environment variable must be valid Unicode");
}
